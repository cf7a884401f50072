"""Networks by name, built and compiled once per process of tests. They never change, so tests may share them."""

from __future__ import annotations

from functools import lru_cache

from featlib.models import Backbone, is_model_path, load_backbone

_built = lru_cache(maxsize=16)(load_backbone)


def load_shared(model: str, **options: object) -> Backbone:
    """What `load_backbone` returns; networks by name with given or random weights come from an earlier call."""
    by_name = isinstance(model, str) and not is_model_path(model)
    is_shared = by_name and options.get("weights", "imagenet") in (None, "imagenet", "random")
    return (_built if is_shared else load_backbone)(model, **options)
