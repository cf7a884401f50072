"""The store of results: bounded, least recently used first out, safe from many threads."""

from __future__ import annotations

import random
import sys
import threading

import numpy as np
import pytest

from featlib.ui.compute import cache
from featlib.ui.compute.cache import ResultStore


def test_what_was_put_is_got():
    store = ResultStore(100)
    value = np.arange(3)
    store.put(("a", 1), value, 10)
    assert store.get(("a", 1)) is value
    assert store.get(("a", 2)) is None


def test_the_least_recently_used_goes_first():
    store = ResultStore(30)
    for key in "abc":
        store.put(key, key.upper(), 10)
    store.get("a")
    store.put("d", "D", 10)
    assert [store.get(key) for key in "abcd"] == ["A", None, "C", "D"]


def test_as_many_go_as_are_needed():
    store = ResultStore(30)
    for key in "abc":
        store.put(key, key, 10)
    store.put("big", "BIG", 25)
    assert [store.get(key) for key in ("a", "b", "c", "big")] == [None, None, None, "BIG"]


def test_exactly_full_is_not_too_full():
    store = ResultStore(30)
    for key in "abc":
        store.put(key, key, 10)
    assert all(store.get(key) for key in "abc")


def test_what_is_put_again_counts_once():
    store = ResultStore(30)
    for _ in range(10):
        store.put("a", "A", 20)
    store.put("b", "B", 10)
    assert (store.get("a"), store.get("b")) == ("A", "B")
    store.put("a", "small", 5)
    store.put("c", "C", 15)
    assert [store.get(key) for key in "abc"] == ["small", "B", "C"]


def test_one_value_larger_than_the_store_is_kept_until_the_next():
    store = ResultStore(10)
    store.put("huge", "H", 1000)
    assert store.get("huge") == "H"
    store.put("a", "A", 1)
    assert (store.get("huge"), store.get("a")) == (None, "A")


@pytest.fixture
def hasty():
    """Threads that interrupt each other as often as can be."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def test_many_threads_leave_the_books_in_order(hasty):
    store = ResultStore(500)
    errors = []

    def work(seed):
        dice = random.Random(seed)
        try:
            for _ in range(4000):
                key = dice.randrange(60)
                store.put(key, (key, seed), dice.randrange(1, 40))
                found = store.get(dice.randrange(60))
                if found is not None and not 0 <= found[0] < 60:
                    errors.append(found)
        except (KeyError, RuntimeError) as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert store._bytes == sum(nbytes for _, nbytes in store._values.values())
    assert 0 < store._bytes <= 500
    for key in range(60):
        found = store.get(key)
        assert found is None or found[0] == key


def test_a_network_is_loaded_once_for_each_choice():
    one = cache.backbone("EfficientNetLite0", "random", False, 96)
    assert cache.backbone("EfficientNetLite0", "random", False, 96) is one
    assert (one.weights, one.include_top, one.input_shape) == ("random", False, (96, 96, 3))
    other = cache.backbone("EfficientNetLite0", "random", True, 96)
    assert other is not one
    assert other.fingerprint != one.fingerprint
