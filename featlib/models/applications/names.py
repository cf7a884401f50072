"""A network's name with its options, as links and parameters carry it: "MobileNetV2(alpha=0.35)"."""

from __future__ import annotations

import ast
import re
from typing import Any

from featlib.errors import ModelError

Option = bool | int | float


def parse_model_name(text: str) -> tuple[str, dict[str, Any]]:
    """Split "MobileNetV2(alpha=0.35)" into the name and its options, without evaluating code.

    Raises:
        ModelError: The parentheses contain anything but options with plain values.
    """
    match = re.fullmatch(r"\s*(\w+)\s*(\(.{0,200}\))?\s*", text)
    if match is None:
        return text, {}
    try:
        call = ast.parse(f"f{match[2] or '()'}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError("only options by name are allowed")
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
        if len(options) != len(call.keywords):
            raise ValueError("an option is given twice")
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise ModelError(
            f"The options of a network are written like MobileNetV2(alpha=0.35). Received: '{text}'."
        ) from error
    return match[1], options
