"""A network's name with its options, as links and parameters carry it: "MobileNetV2(alpha=0.35)"."""

from __future__ import annotations

import ast
import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from featlib.errors import ModelError

if TYPE_CHECKING:
    from featlib.models.applications.catalog import ModelChoice

Option = bool | int | float
CLASSES = 1000
COMMON = {"weights", "include_top", "include_preprocessing", "name", "pooling", "input_tensor", "input_shape"}
COMMON |= {"classifier_activation", "classes"}  # arguments that are no option of one family
LIMITS = {"alpha": (0.05, 4), "depth_multiplier": (1, 8), "classes": (1, 65_536)}  # a link must not fill the memory


def parse_model_name(text: str) -> tuple[str, dict[str, Any]]:
    """Splits "MobileNetV2(alpha=0.35)" into the name and its options; nothing in it is run.

    Raises:
        ModelError: what is in the brackets is not options with plain values.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(\(.{0,200}\))?\s*", text)
    if match is None:
        return text, {}
    try:
        options = _literals(match[2] or "()")
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ModelError(
            f"The options of a network are written like MobileNetV2(alpha=0.35). Received: '{text}'."
        ) from error
    return match[1], options


def write_model_name(choice: ModelChoice, options: Mapping[str, Option]) -> str:
    """Writes a network's name with the options that are not the default, always in the same way."""
    defaults = allowed_options(choice)
    written = [f"{key}={options[key]!r}" for key in defaults if key in options and options[key] != defaults[key]]
    return f"{choice.name}({', '.join(written)})" if written else choice.name


def check_options(choice: ModelChoice, options: Mapping[str, Any]) -> dict[str, Option]:
    """Checks the options of a network.

    Returns:
        The options that are not the default.

    Raises:
        ModelError: an unknown option, or a value of another kind than the default.
    """
    defaults = allowed_options(choice)
    for key in options:
        if key not in defaults:
            allowed = ", ".join(f"{name}={default!r}" for name, default in defaults.items()) or "none"
            raise ModelError(f"'{choice.name}' has no option '{key}'. Allowed: {allowed}.")
    checked = {key: _check_value(choice.name, key, value, defaults[key]) for key, value in options.items()}
    return {key: value for key, value in checked.items() if value != defaults[key]}


def allowed_options(choice: ModelChoice) -> dict[str, Option]:
    """The options of a network and their defaults."""
    return {} if choice.embedded else {**choice.options, "classes": CLASSES}


def keras_options(function: Callable[..., Any]) -> dict[str, Any]:
    """The options of a function of keras.applications that its family alone has, and their defaults."""
    return {name: default for name, default in keras_arguments(function).items() if name not in COMMON}


def keras_arguments(function: Callable[..., Any]) -> dict[str, Any]:
    """All arguments of a function and their defaults."""
    return {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}


def _literals(brackets: str) -> dict[str, Any]:
    call = ast.parse(f"f{brackets}", mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
        raise ValueError("only options by name are allowed")
    values = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    if len(values) != len(call.keywords):
        raise ValueError("an option is given twice")
    return values


def _check_value(model: str, key: str, value: Any, default: Option) -> Option:  # noqa: ANN401
    low, high = LIMITS.get(key, (0, math.inf))
    kinds = (int, float) if type(default) is float else (type(default),)
    if type(value) not in kinds or not low <= value <= high:
        wanted = "True or False" if type(default) is bool else f"a {'whole ' * (type(default) is int)}number"
        limits = f" from {low} to {high:,}" if key in LIMITS else ""
        raise ModelError(f"{key} of '{model}' must be {wanted}{limits}. Received: {value!r}.")
    return type(default)(value)
