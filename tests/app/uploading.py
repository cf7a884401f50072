"""Images brought to the app through its widgets."""

from __future__ import annotations

import mimetypes

from PIL import Image
from streamlit.testing.v1 import AppTest

from featlib.images import load_samples
from tests.app.driver import open_page, run
from tests.images.corpus import encode


def pictures(count: int, folders: tuple[str, ...] = ("",)) -> list[tuple[str, bytes]]:
    """(name, PNG) of so many different pictures, dealt out to the folders in turn."""
    shapes = load_samples("shapes")
    folder = [f"{folder}/" if folder else "" for folder in folders]
    return [
        (f"{folder[i % len(folder)]}{i}.png", encode(Image.fromarray(shapes[i * 31].pixels), "PNG"))
        for i in range(count)
    ]


def upload(at: AppTest, files: list[tuple[str, bytes]], widget: str = "files") -> AppTest:
    """Uploads files, all at once, through the widget "files" or "folder" of Home."""
    triples = [(name, data, mimetypes.guess_type(name)[0] or "application/octet-stream") for name, data in files]
    at.file_uploader(key=widget).set_value(triples)
    return run(at)


def brought(count: int, folders: tuple[str, ...] = ("",)) -> AppTest:
    """Home, with so many uploaded pictures in use."""
    return upload(open_page(layer="head_relu"), pictures(count, folders), "folder" if folders != ("",) else "files")
