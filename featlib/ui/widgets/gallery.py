"""Pictures to pick from, by mouse and keyboard: images by their names, channels as tiles, stages in a row."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import streamlit as st

from featlib.images import ImageItem
from featlib.plots import jpeg_bytes
from featlib.ui.session import choose, current_session, guarded, widget_value
from featlib.ui.text import plain

Layout = Literal["rows", "tiles", "strip", "steps"]
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}

CSS = """
.gallery { display: grid; grid-template-columns: repeat(auto-fill, var(--side)); gap: 8px; padding: 4px; }
.gallery.tiles { grid-template-columns: repeat(auto-fill, minmax(var(--side), 1fr)); gap: 6px; }
.gallery.strip, .gallery.steps { display: flex; overflow-x: auto; scrollbar-width: thin; }
.gallery.steps { gap: 24px; }
.gallery button { position: relative; display: flex; flex-direction: column; align-items: stretch;
  box-sizing: border-box; width: 100%; padding: 4px; margin: 0; cursor: pointer; text-align: center;
  color: var(--st-text-color); background: transparent; font: inherit; font-size: 0.75rem; line-height: 1.3;
  border: 2px solid transparent; border-radius: 8px; }
.gallery.strip button, .gallery.steps button { flex: none; width: calc(var(--side) + 12px); }
.gallery.strip .edge { position: sticky; z-index: 1; width: 28px; padding: 0; font-size: 1.4rem;
  align-items: center; justify-content: center;
  background: var(--st-background-color); border-color: var(--st-border-color); }
.edge:first-child { left: -4px; }
.edge:last-child { right: -4px; }
.gallery.tiles button { padding: 2px; font-size: 0.7rem; border-radius: 4px; }
.gallery button:hover { border-color: var(--st-primary-color); }
.gallery button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.gallery button[aria-pressed="true"] { border-color: var(--st-primary-color);
  background: var(--st-secondary-background-color); }
.gallery button[aria-pressed="true"] .caption { font-weight: 600; }
.gallery.steps button:not(:first-child)::before { content: "→"; position: absolute; left: -22px; width: 20px;
  top: calc(var(--side) / 2 - 8px); opacity: 0.6; }
.gallery img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 4px; }
.gallery.tiles img { image-rendering: pixelated; border-radius: 2px; aspect-ratio: auto; }
.gallery .caption, .gallery .note { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.gallery .caption { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; margin-top: 2px;
  white-space: normal; overflow-wrap: anywhere; }
.gallery .note { opacity: 0.75; }
.gallery.tiles .text { display: flex; justify-content: space-between; gap: 4px; }
"""

# Names are untrusted text: they only become attributes and text nodes, never HTML.
JS = """
const KEYS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];
const PAUSE = 250;  // ms after the last arrow key: who walks past a picture does not mean it

function neighbor(buttons, from, key) {
  if (key === "Home" || key === "End") return buttons.at(key === "Home" ? 0 : -1);
  if (key === "ArrowLeft" || key === "ArrowRight") return buttons[from + (key === "ArrowRight" ? 1 : -1)];
  const down = key === "ArrowDown", here = buttons[from];
  const beyond = buttons.filter((b) => (down ? b.offsetTop > here.offsetTop : b.offsetTop < here.offsetTop));
  const far = (b) => 1e4 * Math.abs(b.offsetTop - here.offsetTop) + Math.abs(b.offsetLeft - here.offsetLeft);
  return beyond.sort((a, b) => far(a) - far(b))[0];
}

export default function({ data, parentElement, setTriggerValue }) {
  let gallery = parentElement.querySelector(".gallery");
  if (!gallery) {
    gallery = document.createElement("div");
    gallery.setAttribute("role", "group");
    parentElement.appendChild(gallery);
  }
  gallery.className = "gallery " + data.layout;
  gallery.setAttribute("aria-label", data.label);
  gallery.style.setProperty("--side", data.side + "px");
  const pick = (value) => {
    clearTimeout(gallery.waiting);
    setTriggerValue("picked", value);
  };
  const buttons = data.pictures.map((picture, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = picture.title;
    button.dataset.value = picture.value;
    button.setAttribute("aria-label", picture.title);
    button.setAttribute("aria-pressed", String(picture.value === data.selected));
    const image = document.createElement("img");
    image.src = picture.source;
    image.alt = picture.title;
    image.onload = () => {
      if (image.naturalWidth > data.side) image.style.imageRendering = "auto";
    };
    const text = document.createElement("span");
    text.className = "text";
    for (const line of ["caption", "note"]) {
      if (!picture[line]) continue;
      const span = document.createElement("span");
      span.className = line;
      for (const part of picture[line].split(/(?<=[_.-])/)) span.append(part, document.createElement("wbr"));
      text.append(span);
    }
    button.append(image, text);
    button.onclick = () => pick(picture.value);
    button.onkeydown = (event) => {
      if (!KEYS.includes(event.key)) return;
      const next = neighbor(buttons, i, event.key);
      const beyond = { ArrowLeft: data.before, ArrowRight: data.after }[event.key];
      if (!next && typeof beyond !== "number") return;  // the page scrolls
      event.preventDefault();
      clearTimeout(gallery.waiting);
      if (next) {
        next.focus();
        gallery.waiting = setTimeout(() => pick(Number(next.dataset.value)), PAUSE);
      } else {
        pick(beyond);
      }
    };
    return button;
  });
  const edge = (value, arrow, name) => {
    if (value === null) return [];
    const button = document.createElement("button");
    button.type = "button";
    button.className = "edge";
    button.textContent = arrow;
    button.title = name;
    button.setAttribute("aria-label", name);
    button.onclick = () => pick(value);
    return [button];
  };
  const focused = parentElement.activeElement?.dataset.value;
  gallery.replaceChildren(
    ...edge(data.before, "‹", "The images before"), ...buttons, ...edge(data.after, "›", "The next images"));
  const find = (value) => buttons.find((button) => button.dataset.value === String(value));
  if (focused !== undefined) (find(focused) ?? find(data.selected))?.focus({ preventScroll: true });
  const chosen = find(data.selected);
  if (chosen && gallery.dataset.shown !== String(data.selected)) {
    const hidden = chosen.offsetLeft - gallery.offsetLeft;
    if (hidden < gallery.scrollLeft || hidden + chosen.offsetWidth > gallery.scrollLeft + gallery.clientWidth) {
      gallery.scrollLeft = hidden - (gallery.clientWidth - chosen.offsetWidth) / 2;
    }
    gallery.dataset.shown = String(data.selected);
  }
}
"""

_gallery = st.components.v2.component("featlib_gallery", css=CSS, js=JS)


@dataclass(frozen=True)
class Picture:
    """A picture to pick.

    Attributes:
        value: Passed to `on_pick`.
        data: A PNG or JPEG file.
        title: What it shows, for the tooltip and screen readers.
        caption: The line below it.
        note: A second line; empty for none.
    """

    value: int
    data: bytes
    title: str
    caption: str
    note: str = ""


def show_pictures(
    key: str,
    pictures: Sequence[Picture],
    on_pick: Callable[[int], None],
    *,
    label: str,
    selected: int | None = None,
    side: int = 96,
    layout: Layout = "rows",
    beyond: tuple[int | None, int | None] = (None, None),
) -> None:
    """Show pictures to pick from. Arrow keys walk from one to the next, Home and End to the first and the last.

    Args:
        key: Unique on the page.
        pictures: The pictures.
        on_pick: Called with the value of the picked one, before the page runs again.
        label: What they are, for screen readers.
        selected: Value of the one that is marked.
        side: Width of a picture in pixels.
        layout: "rows" that wrap; "tiles", rows that fill the width, enlarged without smoothing; "strip", one row that
            is scrolled; "steps", such a row with arrows between.
        beyond: Values to pick before the first and after the last picture, where there are more; None where not.
    """

    @guarded
    def call() -> None:
        value = widget_value(key)["picked"]
        if value is not None:
            on_pick(int(value))

    data = {
        "pictures": [
            {
                "value": picture.value,
                "source": _data_url(picture.data),
                "title": picture.title,
                "caption": picture.caption,
                "note": picture.note,
            }
            for picture in pictures
        ],
        "label": label,
        "selected": selected,
        "side": side,
        "layout": layout,
        "before": beyond[0],
        "after": beyond[1],
    }
    _gallery(key=key, data=data, on_picked_change=call)


def choose_image(index: int, images: str = "") -> None:
    """Choose an image, in a callback.

    Args:
        index: Its position in the set.
        images: The name of a built-in set, which is chosen too; empty for the session's images.
    """
    if images:
        current_session().choose("images", images)
    choose("image", index)


def gallery(
    key: str,
    images: Sequence[ImageItem],
    values: Sequence[int],
    *,
    notes: Sequence[str] | None = None,
    selected: int | None = None,
    on_pick: Callable[[int], None] | None = None,
    side: int = 96,
    layout: Layout = "rows",
    beyond: tuple[int | None, int | None] = (None, None),
    link: bool = False,
) -> None:
    """Show images by their names; a click chooses one.

    Args:
        key: Unique on the page.
        images: The images.
        values: One value per image, passed to `on_pick`.
        notes: A second line below each name, such as a label or a similarity; the folder's name if None.
        selected: Value of the image that is marked.
        on_pick: Called with the value of the picked image; if None, the value is a position in the session's images,
            and that image is chosen.
        side: Width of a picture in pixels.
        layout: As in `show_pictures`.
        beyond: As in `show_pictures`.
        link: Whether to offer to open the chosen image on Feature maps, from a page about many images; the values are
            positions in the session's images.
    """
    pictures = [
        Picture(
            value=value,
            data=jpeg_bytes(item.thumbnail(side * 2)),
            title=f"{item.name}: {note}" if note and note not in item.name else item.name,
            caption=short_name(item.name),
            note=note,
        )
        for item, value, note in zip(images, values, notes or [_folder(item) for item in images], strict=True)
    ]
    show_pictures(
        key,
        pictures,
        on_pick or choose_image,
        label="Images",
        selected=selected,
        side=side,
        layout=layout,
        beyond=beyond,
    )
    if not link:
        return
    session = current_session()
    chosen = dict(zip(values, images, strict=True)).get(session.image)
    if chosen is None:
        st.caption("Click an image to choose it.")
        return
    label = f"Open “{plain(short_name(chosen.name))}” on Feature maps"
    st.page_link("pages/feature_maps.py", label=label, icon=":material/grid_view:", query_params=session.to_query())


def short_name(name: str) -> str:
    """Return the name of an image without its folders and its suffix."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in IMAGE_SUFFIXES else path.name or name


def _folder(item: ImageItem) -> str:
    return item.labels.get("folder", "")


def _data_url(data: bytes) -> str:
    kind = "jpeg" if data[:2] == b"\xff\xd8" else "png"
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()
