"""Checks of single arguments: each returns the value, or raises one error with the value and the rule."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from featlib.errors import FeatlibError

if TYPE_CHECKING:
    import numpy as np

MAX_SEED = 2**32 - 1  # of NumPy's and scikit-learn's generators
MAX_SHOWN = 100


def whole_number(name: str, value: Any, least: int = 1, most: int | None = None) -> int:  # noqa: ANN401
    """Check a whole number, `least` to `most`; NumPy's integers are some, True is none."""
    bounds = f"at least {least:,}" if most is None else f"from {least:,} to {most:,}"
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise FeatlibError(f"{name} must be a whole number, {bounds}. Received: {shown(value)}.")
    if number < least:
        raise FeatlibError(f"{name} must be at least {least:,}. Received: {shown(number)}.")
    if most is not None and number > most:
        raise FeatlibError(f"{name} must be at most {most:,}. Received: {shown(number)}.")
    return number


def seed(value: Any, name: str = "random_state") -> int:  # noqa: ANN401
    """Check the seed of a random generator."""
    return whole_number(name, value, 0, MAX_SEED)


def finite_number(name: str, value: Any, *, most: float = math.inf) -> float:  # noqa: ANN401
    """Check a finite number, from -`most` to `most`."""
    if isinstance(value, bool | str | bytes) or not hasattr(value, "__float__") or hasattr(value, "__len__"):
        raise FeatlibError(f"{name} must be a number. Received: {shown(value)}.")
    try:
        number = float(value)
    except (OverflowError, TypeError, ValueError):  # a whole number of 400 digits
        number = math.inf
    if not math.isfinite(number):
        raise FeatlibError(f"{name} must be a finite number. Received: {shown(value)}.")
    if abs(number) > most:
        raise FeatlibError(f"{name} must be from {-most:g} to {most:g}. Received: {shown(value)}.")
    return number


def flag(name: str, value: Any) -> bool:  # noqa: ANN401
    """Check True or False, NumPy's too."""
    if type(value).__name__ not in ("bool", "bool_"):
        raise FeatlibError(f"{name} must be True or False. Received: {shown(value)}.")
    return bool(value)


def choice(name: str, value: Any, allowed: Sequence[Any]) -> Any:  # noqa: ANN401
    """Check one of a few values."""
    if not any(value is one or (isinstance(value, str) and value == one) for one in allowed):
        listed = ", ".join(map(repr, allowed[:-1])) + f" or {allowed[-1]!r}"
        raise FeatlibError(f"{name} must be {listed}. Received: {shown(value)}.")
    return value


def instance(name: str, value: Any, kind: type | tuple[type, ...], what: str) -> Any:  # noqa: ANN401
    """Check the type of a value.

    Args:
        name: The argument's name.
        value: What was given.
        kind: The allowed type or types.
        what: What is allowed, in words.
    """
    if not isinstance(value, kind):
        raise FeatlibError(f"{name} must be {what}. Received: {shown(value)}.")
    return value


def file_path(name: str, value: Any) -> Path:  # noqa: ANN401
    """Check the path of a file or folder: a text or a Path, without null bytes."""
    instance(name, value, (str, Path), "a path")
    if not str(value) or "\0" in str(value):
        raise FeatlibError(f"{name} must be a path. Received: {shown(value)}.")
    return Path(value)


def sequence(name: str, value: Any, what: str) -> list[Any]:  # noqa: ANN401
    """Check several values in an order: no text, and no set or dict, whose order may change.

    Args:
        name: The argument's name.
        value: What was given.
        what: What is allowed, in words.
    """
    ordered = hasattr(value, "__iter__") and not isinstance(value, str | bytes | Set | Mapping)
    if not ordered or getattr(value, "ndim", 1) != 1:
        raise FeatlibError(f"{name} must be {what}. Received: {shown(value)}.")
    return list(value)


def as_array(name: str, values: Any) -> np.ndarray:  # noqa: ANN401
    """Return values as an array; rows must be equally long."""
    import numpy as np

    try:
        return np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise FeatlibError(f"{name} must be an array. Received: {shown(values)} ({reason}).") from error


def rgb_pixels(name: str, values: Any, shape: str) -> np.ndarray:  # noqa: ANN401
    """Check an array of RGB pixels.

    Args:
        name: The argument's name.
        values: What was given.
        shape: What is allowed, in words: "(h, w, 3)" or "(n, h, w, 3)".
    """
    pixels = as_array(name, values)
    if (
        pixels.ndim != shape.count(",") + 1
        or pixels.shape[-1] != 3
        or pixels.dtype.kind not in "uif"
        or not pixels.size
    ):
        raise FeatlibError(f"{name} must be an array {shape} of RGB pixels. Received: {shown(values)}.")
    return pixels


def shown(value: object) -> str:
    """Return a value for a message: its repr in one line of at most 100 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"
