"""Rename layers whose names hold what layer paths or screens give a meaning: brackets, commas, plus signs, emoji."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import Any

from featlib.models.untrusted.wording import quoted

RENAMED = frozenset("[]#()+,")
JOINERS = frozenset("\u200d\ufe0f\u20e3")  # inside emoji of several characters
REFERENCES = ("inbound_nodes", "input_layers", "output_layers")
MAX_EXAMPLES = 3


def rename_layers(config: Any) -> tuple[Any, tuple[str, ...]]:  # noqa: ANN401
    """Give layers with such names plain ones, and keep the references to them.

    Args:
        config: Parsed JSON, not checked yet. It is changed in place.

    Returns:
        The config, and one sentence where layers were renamed.
    """
    holders = list(_named_holders(config))
    taken = {holder["name"] for holder in holders}
    new_names: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for name in sorted(taken):
        plain = "".join("_" if _is_odd(char) else char for char in name if char not in JOINERS)
        if plain == name:
            continue
        plain = f"layer{plain}" if plain.startswith("_") else plain  # which TensorFlow refuses
        new = plain
        while new in taken:
            counts[plain] += 1
            new = f"{plain}_{counts[plain]}"
        taken.add(new)
        new_names[name] = new
    if not new_names:
        return config, ()
    for holder in holders:
        holder["name"] = new_names.get(holder["name"], holder["name"])
    for node in _dicts(config):
        for key in REFERENCES:
            if key in node:
                node[key] = _replaced(node[key], new_names)
    examples = [f"{quoted(old)} is now {quoted(new)}" for old, new in list(new_names.items())[:MAX_EXAMPLES]]
    more = ", …" if len(new_names) > MAX_EXAMPLES else ""
    kinds = "layer" if len(new_names) == 1 else "layers"
    return config, (f"Renamed {len(new_names):,} {kinds}: {', '.join(examples)}{more}.",)


def _is_odd(char: str) -> bool:
    symbol = not char.isascii() and unicodedata.category(char) in ("So", "Sk")
    return char in RENAMED or symbol


def _named_holders(config: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    """Yield the dicts that hold the name of a layer, a model or an operation."""
    for node in _dicts(config):
        if "class_name" in node:
            inner = node.get("config")
            for holder in (node, inner if isinstance(inner, dict) else {}):
                if isinstance(holder.get("name"), str):
                    yield holder


def _dicts(value: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _replaced(value: Any, new_names: dict[str, str]) -> Any:  # noqa: ANN401
    """Return a copy in which new names stand for the old ones, as texts and as keys."""
    if isinstance(value, dict):
        return {new_names.get(key, key): _replaced(item, new_names) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, new_names) for item in value]
    return new_names.get(value, value) if isinstance(value, str) else value
