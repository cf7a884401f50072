"""How programs are written: imports, blocks, strings."""

from __future__ import annotations

from collections.abc import Iterable

NUMPY, KERAS, FEATLIB, PILLOW = "import numpy as np", "import keras", "import featlib", "from PIL import Image"


def program(imports: Iterable[str], *blocks: str) -> str:
    """Joins imports, sorted as isort does, and blocks of code into one program."""
    lines = "\n".join(sorted(set(imports), key=_import_order))
    return "\n\n".join([lines, *(_spaced(block.strip("\n")) for block in blocks)]) + "\n"


def literal(text: str) -> str:
    """A string as a Python literal in double quotes. Whatever a name holds, it stays a string."""
    quoted = repr(text)
    return quoted if '"' in text or "'" in text else f'"{quoted[1:-1]}"'


def _spaced(block: str) -> str:
    return f"\n{block}\n" if block.startswith("def ") else block


def _import_order(line: str) -> tuple[bool, str]:
    return line.startswith("from"), line.lower()
