"""Clickable pictures, for mouse and keyboard: the tiles of one picture, or a row of thumbnails."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from featlib.images import ImageItem
from featlib.plots import png_bytes
from featlib.ui.session import guarded, widget_value

GRID_CSS = """
.grid { position: relative; margin: 0; max-width: 100%; }
.grid img { display: block; width: 100%; height: auto; }
.grid button { position: absolute; padding: 0; margin: 0; background: transparent; cursor: pointer;
  border: 2px solid transparent; border-radius: 4px; }
.grid button:hover { border-color: var(--st-primary-color); }
.grid button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.grid button[aria-pressed="true"] { border: 3px solid var(--st-primary-color);
  box-shadow: 0 0 0 2px var(--st-background-color); }
"""

# Names are untrusted text: they only become attributes and text nodes, never HTML.
GRID_JS = """
export default function({ data, parentElement, setTriggerValue }) {
  let grid = parentElement.querySelector(".grid");
  if (!grid) {
    grid = document.createElement("figure");
    grid.className = "grid";
    parentElement.appendChild(grid);
  }
  const picture = document.createElement("img");
  picture.src = data.source;
  picture.alt = data.alt;
  grid.style.width = data.width + "px";
  const percent = (part, whole) => (100 * part / whole) + "%";
  const buttons = data.tiles.map((tile) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = tile.label;
    button.setAttribute("aria-label", tile.label);
    button.setAttribute("aria-pressed", String(tile.value === data.selected));
    button.dataset.value = tile.value;
    button.style.left = percent(tile.x, data.width);
    button.style.top = percent(tile.y, data.height);
    button.style.width = percent(tile.width, data.width);
    button.style.height = percent(tile.height, data.height);
    button.onclick = () => setTriggerValue("picked", tile.value);
    return button;
  });
  const focused = parentElement.activeElement?.dataset.value;
  grid.replaceChildren(picture, ...buttons);
  buttons.find((button) => button.dataset.value === focused)?.focus({ preventScroll: true });
}
"""

ROW_CSS = """
.row { display: flex; flex-wrap: wrap; gap: 8px; }
.row button { display: block; width: var(--side); padding: 4px; margin: 0; cursor: pointer; text-align: center;
  color: var(--st-text-color); background: transparent; font: inherit; font-size: 0.75rem; line-height: 1.25;
  border: 2px solid transparent; border-radius: 8px; }
.row button:hover { border-color: var(--st-primary-color); }
.row button:focus-visible { outline: 3px solid var(--st-primary-color); outline-offset: 1px; }
.row button[aria-pressed="true"] { border-color: var(--st-primary-color);
  background: var(--st-secondary-background-color); font-weight: 600; }
.row img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; border-radius: 4px; }
.row span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; margin-top: 2px; }
.row button[disabled] { cursor: default; border-color: transparent; }
"""

ROW_JS = """
export default function({ data, parentElement, setTriggerValue }) {
  let row = parentElement.querySelector(".row");
  if (!row) {
    row = document.createElement("div");
    row.className = "row";
    parentElement.appendChild(row);
  }
  row.style.setProperty("--side", data.side + "px");
  const focused = parentElement.activeElement?.dataset.value;
  const buttons = data.pictures.map((picture) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = picture.title;
    button.disabled = !data.pickable;
    button.dataset.value = picture.value;
    button.setAttribute("aria-pressed", String(picture.value === data.selected));
    const image = document.createElement("img");
    image.src = picture.source;
    image.alt = picture.title;
    const caption = document.createElement("span");
    caption.textContent = picture.caption;
    button.append(image, caption);
    button.onclick = () => setTriggerValue("picked", picture.value);
    return button;
  });
  row.replaceChildren(...buttons);
  buttons.find((button) => button.dataset.value === focused)?.focus({ preventScroll: true });
}
"""

_picture_grid = st.components.v2.component("featlib_picture_grid", css=GRID_CSS, js=GRID_JS)
_thumbnail_row = st.components.v2.component("featlib_thumbnail_row", css=ROW_CSS, js=ROW_JS)


@dataclass(frozen=True)
class Tile:
    """A clickable part of a picture.

    Attributes:
        value: The value passed to `on_pick`.
        label: What it shows, for the tooltip and screen readers.
        x: Left edge in pixels of the picture.
        y: Top edge in pixels of the picture.
        width: Width in pixels of the picture.
        height: Height in pixels of the picture.
    """

    value: int
    label: str
    x: int
    y: int
    width: int
    height: int


def picture_grid(
    key: str,
    png: bytes,
    size: tuple[int, int],
    tiles: Sequence[Tile],
    *,
    alt: str,
    selected: int | None = None,
    on_pick: Callable[[int], None] | None = None,
) -> None:
    """Show a picture whose tiles can be clicked.

    Args:
        key: Unique on the page.
        png: The picture.
        size: (width, height) of the picture in pixels; it shrinks on a narrower page.
        tiles: The clickable parts.
        alt: Alternative text.
        selected: Value of the tile that is marked.
        on_pick: Called with the value of the clicked tile, before the page runs again.
    """
    data = {
        "source": _data_url(png),
        "width": size[0],
        "height": size[1],
        "tiles": [asdict(tile) for tile in tiles],
        "alt": alt,
        "selected": selected,
    }
    _picture_grid(key=key, data=data, on_picked_change=_callback(key, on_pick))


def thumbnail_row(
    key: str,
    images: Sequence[ImageItem],
    values: Sequence[int],
    *,
    captions: Sequence[str] | None = None,
    selected: int | None = None,
    on_pick: Callable[[int], None] | None = None,
    side: int = 96,
) -> None:
    """Show images as thumbnails with captions.

    Args:
        key: Unique on the page.
        images: The images.
        values: One value per image, passed to `on_pick`.
        captions: A line below each; the images' names if None.
        selected: Value of the image that is marked.
        on_pick: Called with the value of the clicked image, before the page runs again; None for pictures that are
            not clickable.
        side: Width of a thumbnail in pixels.
    """
    pictures = [
        {
            "source": _data_url(png_bytes(item.thumbnail(side * 2))),
            "caption": caption,
            "title": item.name if caption == item.name else f"{item.name}: {caption}",
            "value": value,
        }
        for item, value, caption in zip(images, values, captions or [i.name for i in images], strict=True)
    ]
    data = {"pictures": pictures, "side": side, "selected": selected, "pickable": on_pick is not None}
    _thumbnail_row(key=key, data=data, on_picked_change=_callback(key, on_pick))


def _callback(key: str, on_pick: Callable[[int], None] | None) -> Callable[[], None]:
    @guarded
    def call() -> None:
        value = widget_value(key)["picked"]
        if on_pick and value is not None:
            on_pick(int(value))

    return call


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
