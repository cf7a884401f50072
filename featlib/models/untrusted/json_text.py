"""JSON out of an untrusted file, of bounded size, depth and numbers."""

from __future__ import annotations

import json
import math
from typing import Any

from featlib.errors import ModelError
from featlib.models.untrusted.wording import quoted
from featlib.text import format_bytes

MAX_BYTES = 16 * 2**20
MAX_DEPTH = 100
MAX_VALUES = 1_000_000  # the largest stock network has 40,000
MAX_DIGITS = 20


def parse_json(data: bytes, name: str) -> Any:  # noqa: ANN401
    """Parse JSON.

    Args:
        data: The text in UTF-8.
        name: What the text is, for messages, for example "config.json".

    Raises:
        ModelError: It is too large, too deep or not JSON, or holds NaN, an infinite or a huge number, or a key twice.
    """
    if len(data) > MAX_BYTES:
        raise ModelError(f"Its {name} has {format_bytes(len(data))}; at most {format_bytes(MAX_BYTES)} are allowed.")
    too_deep = f"Its {name} is nested deeper than {MAX_DEPTH} levels, the most that are allowed."
    try:
        value = json.loads(
            data.decode("utf-8"),
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_finite,
            object_pairs_hook=_without_repeats,
        )
    except RecursionError:
        raise ModelError(too_deep) from None
    except ModelError:
        raise
    except ValueError as error:
        raise ModelError(
            f"Its {name} is not valid JSON ({error}): the file is damaged. Save the model again."
        ) from error
    level, count = [value], 0
    for _ in range(MAX_DEPTH + 1):
        count += len(level)
        if count > MAX_VALUES:
            raise ModelError(f"Its {name} holds more than {MAX_VALUES:,} values, the most that are allowed.")
        nested = [item for item in level if isinstance(item, dict | list)]
        level = [child for item in nested for child in (item.values() if isinstance(item, dict) else item)]
    if level:
        raise ModelError(too_deep)
    return value


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ModelError(f"Its config holds a number of {len(text):,} digits; at most {MAX_DIGITS} are allowed.")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ModelError(f"Its config holds the number {quoted(text)}; only finite numbers are allowed.")
    return value


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        raise ModelError("Its config gives the same name twice in one object, which Keras never writes.")
    return result
