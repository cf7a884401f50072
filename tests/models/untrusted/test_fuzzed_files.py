"""Mutated good files: the inspection accepts, or raises its one error."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from featlib.errors import ModelError
from featlib.models.untrusted import inspect_model_file
from featlib.models.untrusted.config_rules import check_config
from featlib.models.untrusted.hdf5 import rewrite_h5
from featlib.models.untrusted.inspection import inspect_model
from featlib.models.untrusted.json_text import parse_json
from featlib.models.untrusted.keras2 import repair_config
from featlib.models.untrusted.layer_names import rename_layers
from tests.models.untrusted.files import WEIGHTS, write

QUICK = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
CHANGES = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)), min_size=1, max_size=6
)
ODD = ["\ud800", "\x1b[31m", "\u202e", "a\nb", "\0", "a[0]", "\N{GRINNING FACE}"]
WORDS = st.sampled_from(
    ["Dense", "Lambda", "function", "keras.layers", "os", "__tensor__", "Policy", "relu", "in", "", *ODD]
)
KEYS = [
    "class_name",
    "config",
    "module",
    "registered_name",
    "layers",
    "inbound_nodes",
    "output_layers",
    "dtype",
    "axis",
    "name",
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


def _changed(data: bytes, changes) -> bytes:
    result = bytearray(data)
    for place, new in changes:
        at = int(place * len(result))
        result[at : at + len(new)] = new
    return bytes(result)


@settings(QUICK, max_examples=300)
@given(changes=CHANGES, cut=st.none() | st.floats(0, 1))
def test_zip(good, changes, cut):
    data = _changed(good.keras, changes)
    data = data if cut is None else data[: int(cut * len(data))]
    try:
        inspect_model(data)
    except ModelError:
        return


@settings(QUICK, max_examples=300)
@given(changes=CHANGES)
def test_hdf5(good, changes):
    try:
        rewrite_h5(_changed(good.members[WEIGHTS], changes))
    except ModelError:
        return


@settings(QUICK, max_examples=12)
@given(changes=CHANGES)
def test_hdf5_files(good, tmp_path, changes):
    try:
        inspect_model_file(write(tmp_path, "model.h5", _changed(good.h5, changes)))
    except ModelError:
        return


@settings(QUICK, max_examples=300)
@given(data=st.data())
def test_config(good, data):
    _check_mutant(good, data)


@pytest.mark.slow
@settings(QUICK, max_examples=2000)
@given(data=st.data())
def test_two_thousand_configs(good, data):
    _check_mutant(good, data)


def _check_mutant(good, data):
    """The mutant passes, or is refused in one line that any terminal shows."""
    config = _mutated(good.config, data)
    try:
        config, renamed = rename_layers(parse_json(json.dumps(config).encode(), "config.json"))
        check_config(config)
        repaired, repairs = repair_config(config)
    except ModelError as refusal:
        assert str(refusal).isprintable()
        assert len(str(refusal)) < 600
        return
    assert isinstance(repaired, dict)
    assert all(repair.isprintable() for repair in (*renamed, *repairs))


@settings(QUICK, max_examples=150)
@given(text=st.text(alphabet='[]{}",:0123456789.eE-\\ntrufalsN x', max_size=200))
def test_json(text):
    try:
        parse_json(text.encode(), "config.json")
    except ModelError:
        return


def _mutated(config, data):
    """Walks down a random way and puts a random value, or a random key, where it ends."""
    holder = config
    for _ in range(data.draw(st.integers(0, 8))):
        inner = [
            value
            for value in (holder.values() if isinstance(holder, dict) else holder)
            if value and isinstance(value, dict | list)
        ]
        if not inner:
            break
        holder = data.draw(st.sampled_from(inner))
    keys = [*holder, *KEYS] if isinstance(holder, dict) else list(range(len(holder)))
    holder[data.draw(st.sampled_from(keys))] = data.draw(VALUES)
    return config
