"""JSON out of a stranger's file, parsed only after its size and depth are known."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from featlib.errors import ModelError
from featlib.models.untrusted.wording import megabytes, shown

MAX_BYTES = 16_000_000
MAX_DEPTH = 100
MAX_VALUES = 1_000_000  # the largest stock network has 40,000
MAX_DIGITS = 20
TOKEN = re.compile(r'[\[\]{}]|"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def parse_json(data: bytes, name: str) -> Any:  # noqa: ANN401
    """Parses JSON of bounded size, depth and numbers.

    Args:
        data: the text in UTF-8.
        name: what the text is, for the message, for example "config.json".

    Raises:
        ModelError: it is too large, too deep, no JSON, or holds NaN, an infinite or a huge number, or a name twice.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"Its {name} has {megabytes(len(data))}; at most {megabytes(MAX_BYTES)} are allowed.")
    if data.count(b",") > MAX_VALUES or data.count(b"[") + data.count(b"{") > MAX_VALUES:
        raise ModelError(f"Its {name} holds more than {MAX_VALUES:,} values, the most that are allowed.")
    try:
        text = data.decode("utf-8")
        _check_depth(text, name)
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_number,
            object_pairs_hook=_without_repeats,
        )
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(
            f"Its {name} is not valid JSON ({error}): the file is damaged; save the model again."
        ) from error


def _check_depth(text: str, name: str) -> None:
    depth = 0
    for match in TOKEN.finditer(text):
        token = match.group()[0]
        depth += 1 if token in "[{" else -1 if token in "]}" else 0
        if depth > MAX_DEPTH:
            raise ModelError(f"Its {name} nests brackets deeper than {MAX_DEPTH} levels, the most that are allowed.")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ModelError(f"Its config holds a number of {len(text):,} digits; at most {MAX_DIGITS} are allowed.")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ModelError(f"Its config holds the number {shown(text)}; only finite numbers are allowed.")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ModelError("Its config gives the same name twice in one object, which Keras never writes.")
    return result
