"""An image as HTML for notebooks: a small picture inside the page, in the colors of the page around it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from html import escape
from io import BytesIO

import numpy as np
from PIL import Image

from featlib.text import printable


def picture_html(pixels: np.ndarray, name: str) -> str:
    """Return (h, w, 3) uint8 pixels as an image element with its data inside; `name` is the text alternative."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=85)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="{escape(printable(name))}" src="data:image/jpeg;base64,{data}">'


def figure_html(picture: str, name: str, labels: Mapping[str, str], side: int) -> str:
    """Return a picture with its name and labels below.

    Args:
        picture: HTML.
        name: The image's name.
        labels: From label column to value.
        side: The width in pixels.
    """
    lines = "<br>".join(escape(printable(f"{column}: {label}")) for column, label in labels.items())
    caption = f"{escape(printable(name))}<br><small>{lines}</small>"
    return (
        f'<figure style="display: inline-block; width: {side}px; margin: 0.3em; vertical-align: top; color: inherit">'
        f'{picture}<figcaption style="overflow-wrap: anywhere">{caption}</figcaption></figure>'
    )
