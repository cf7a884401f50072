"""How programs are written: imports, blocks of code, string literals."""

from __future__ import annotations

from collections.abc import Iterable

NUMPY, KERAS, FEATLIB, PILLOW = "import numpy as np", "import keras", "import featlib", "from PIL import Image"


def program(imports: Iterable[str], *blocks: str) -> str:
    """Join imports, sorted as isort does, and blocks of code into one program."""
    lines = "\n".join(sorted(set(imports), key=lambda line: (line.startswith("from"), line.lower())))
    stripped = (block.strip("\n") for block in blocks)
    return "\n\n".join([lines, *(f"\n{block}\n" if block.startswith("def ") else block for block in stripped)]) + "\n"


def literal(text: str) -> str:
    """Return a string as a Python literal in double quotes; whatever a name contains, it stays a string."""
    quoted = repr(text)
    return quoted if '"' in text or "'" in text else f'"{quoted[1:-1]}"'
