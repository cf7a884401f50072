"""The images of opened folders, read once for all visitors."""

from __future__ import annotations

import streamlit as st

from featlib.errors import ImageError
from featlib.images import ImageSet, find_place, load_images
from featlib.lru import ByteLRU
from featlib.ui.compute.progress import Task
from featlib.ui.session import Session
from featlib.ui.text import plain

MAX_BYTES = 2**30  # of zips; an image in a file is read again when it is needed
BYTES_PER_IMAGE = 1000  # its name, labels and path
MAX_REASONS_SHOWN = 3


@st.cache_resource(show_spinner=False)
def _sets() -> ByteLRU[tuple[str, int], ImageSet]:
    return ByteLRU(MAX_BYTES)


def folder_images(session: Session, place: str) -> ImageSet:
    """Return the images of a folder, zip or table in an opened folder.

    Args:
        session: Knows whether the user has stopped the reading.
        place: `folder:NAME/PATH`.

    Raises:
        ImageError: There is no such place, or no image in it can be read.
        Stopped: The user has stopped the reading.
    """
    folder, below = find_place(place)
    path = folder.find(below)
    key = (place, path.stat().st_mtime_ns)
    found = _sets().get(key)
    if found is not None:
        return found
    name = below.rpartition("/")[2] or folder.name
    task = Task(session, f"images {place}", f"Reading {plain(name)}", unit="images")
    found = _sets().get(key)  # another visitor may have read them meanwhile
    if found is None:
        with task.running() as report:
            found = load_images(path, name=name, within=folder, on_progress=report)
        if not len(found):
            reasons = " ".join(problem.reason for problem in found.problems[:MAX_REASONS_SHOWN])
            raise ImageError(f"No image in '{name}' can be read: {reasons}")
        _sets().put(key, found, sum(item.nbytes + BYTES_PER_IMAGE for item in found))
    return found


def read_again(place: str) -> None:
    """Read the images of a place again when they are next needed, because its files have changed."""
    _sets().drop(lambda key: key[0] == place)
