"""The way from an opened folder to what is in it, as select boxes."""

from __future__ import annotations

from functools import lru_cache

import streamlit as st

from featlib.errors import ImageError
from featlib.images import PLACE_PREFIX, OpenFolder, open_folders
from featlib.text import natural_key, printable
from featlib.ui.text import plain

COMMAND = "featlib app path/to/folder"
MAX_COUNTED = 60  # sub-folders of which the files are counted


def browse_folders(key: str, suffixes: tuple[str, ...], current: str = "") -> tuple[str, bool]:
    """Show select boxes that lead from an opened folder down to one of its sub-folders or files.

    A folder that cannot be read is named; the way to the others stays.

    Args:
        key: Tells these select boxes from others on the page.
        suffixes: The ends of the names of the files that are offered, in lower case.
        current: The place that they lead to at first.

    Returns:
        The place, `folder:NAME/PATH`, and whether it is a file.
    """
    folders = {folder.name: folder for folder in open_folders()}
    name, *wanted = current.removeprefix(PLACE_PREFIX).split("/")
    names = list(folders)
    chosen = names[0]
    if len(names) > 1:
        first = names.index(name) if name in names else 0
        chosen = st.selectbox("Open folder", names, index=first, key=f"{key} folder")
    if chosen != name:
        wanted = []
    below: list[str] = []
    is_file = False
    while not is_file:
        try:
            titles, files = _titles(folders[chosen], below, suffixes)
        except ImageError as error:
            st.error(plain(error))
            break
        if len(titles) == 1:
            break
        entry = st.selectbox(
            "Folder or file" if below else f"In “{chosen}”",
            list(titles),
            index=list(titles).index(wanted[0]) if wanted and wanted[0] in titles else 0,
            format_func=titles.__getitem__,
            key=f"{key} {'/'.join([chosen, *below])}",
            label_visibility="collapsed" if below else "visible",
        )
        if not entry:
            break
        below.append(entry)
        wanted = wanted[1:]
        is_file = entry in files
    return PLACE_PREFIX + "/".join([chosen, *below]), is_file


def _titles(folder: OpenFolder, below: list[str], suffixes: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
    """Return what can be chosen in a folder, with its name on screen, "" for the folder itself; and which are files."""
    here = "/".join(below)
    folders, files = folder.list_entries(here)
    titles = {"": f"all of “{[folder.name, *below][-1]}”{_count(folder, here)}"}
    for own in sorted(folders, key=natural_key):
        counts = _count(folder, "/".join([*below, own])) if len(folders) <= MAX_COUNTED else ""
        titles[own] = f"{own}/{counts}"
    usable = sorted((file for file in files if file.lower().endswith(suffixes)), key=natural_key)
    return titles | {file: file for file in usable}, usable


def _count(folder: OpenFolder, below: str) -> str:
    """Return how many folders and files there are in a folder, as text; "" where it cannot be read."""
    try:
        return _count_version(folder, below, folder.find(below).stat().st_mtime_ns)
    except (ImageError, OSError):
        return ""


@lru_cache(maxsize=10_000)  # each run of a page counts the same folders, until one is another by `mtime`
def _count_version(folder: OpenFolder, below: str, mtime: int) -> str:
    counts = zip(map(len, folder.list_entries(below)), ("folder", "file"), strict=True)
    return "".join(f" · {n:,} {noun}{'' if n == 1 else 's'}" for n, noun in counts if n)


def place_title(place: str) -> str:
    """Return the name on screen of a place in an opened folder."""
    return printable(place.removeprefix(PLACE_PREFIX))


def show_how_to_open(what: str) -> None:
    """Show the command that opens a folder.

    Args:
        what: What can be chosen in the app then, in the plural.
    """
    st.caption(
        f"No folder of this machine is open. Its owner starts the app with one, and {what} in it can be chosen here:"
    )
    st.code(COMMAND, language="bash")
