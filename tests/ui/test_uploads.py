"""The store of uploads: a key reads, an hour after the last visit it opens nothing, and nobody's set is lost in use."""

from __future__ import annotations

import pytest

from featlib.errors import FeatlibError
from featlib.ui.uploads import UploadStore

HOUR = 3600


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(clock):
    return UploadStore(max_bytes=100, max_bytes_per_visitor=60, keep_seconds=HOUR, clock=clock)


def test_a_key_reads_what_was_put_and_every_upload_gets_a_new_one(store):
    first, second = (store.put(value, "images", 1, "ann") for value in ("cats", "cats"))
    assert first != second
    assert min(len(first), len(second)) == 22  # 128 bits
    assert (store.get(first, "images"), store.get(second, "images", "bob")) == ("cats", "cats")
    assert store.get(first, "model") is None
    assert store.get("guess", "images") is None
    assert store.why_gone("guess") == "unknown"


def test_what_a_visit_uses_stays_and_its_hour_begins_when_the_last_one_ends(store, clock):
    key = store.put("cats", "images", 1, "ann")
    assert store.get(key, "images", "bob") == "cats"
    clock.now += 50 * HOUR
    store.leave("ann")
    clock.now += 50 * HOUR
    store.sweep()
    store.leave("bob")
    clock.now += HOUR - 1
    assert store.get(key, "images") == "cats"  # which starts the hour again
    clock.now += HOUR - 1
    assert store.get(key, "images") == "cats"
    clock.now += HOUR
    store.sweep()
    assert store.get(key, "images") is None
    assert store.why_gone(key) == "expired"


def test_a_visit_that_comes_back_takes_hold_again(store, clock):
    key = store.put("cats", "images", 1, "ann")
    store.leave("ann")  # a short cut of the network
    clock.now += HOUR / 2
    assert store.get(key, "images", "ann") == "cats"
    clock.now += 9 * HOUR
    assert store.get(key, "images") == "cats"


def test_a_visit_uses_one_of_each_kind_and_the_one_before_keeps_its_hour(store, clock):
    first = store.put("cats", "images", 1, "ann")
    model = store.put("net", "model", 1, "ann")
    second = store.put("dogs", "images", 1, "ann")
    clock.now += HOUR - 1
    assert store.get(first, "images", "ann") == "cats"  # Back
    clock.now += HOUR
    assert store.get(second, "images") is None
    assert (store.get(first, "images"), store.get(model, "model")) == ("cats", "net")


def test_what_is_larger_than_the_limit_is_refused_and_the_one_before_stays_in_use(store, clock):
    key = store.put("cats", "images", 50, "ann")
    with pytest.raises(FeatlibError, match="It takes 61 bytes of memory, and a visitor may bring 60 bytes"):
        store.put("dogs", "images", 61, "ann")
    clock.now += 2 * HOUR
    assert store.get(key, "images") == "cats"


def test_a_visitor_s_limit_drops_that_visitor_s_own_the_oldest_first(store):
    other = store.put("cats", "images", 30, "bob")
    store.leave("bob")
    first, second, third = (store.put(value, "images", 25, "ann") for value in "123")
    assert store.get(first, "images") is None
    assert store.why_gone(first) == "dropped"
    assert [store.get(key, "images") for key in (second, third, other)] == ["2", "3", "cats"]


def test_the_limit_of_all_drops_what_no_visit_uses_the_least_recently_used_first(store):
    keys = {name: store.put(name, "images", 40, name) for name in ("ann", "bob")}
    store.leave("ann")
    store.leave("bob")
    store.get(keys["ann"], "images")
    new = store.put("cyd", "images", 30, "cyd")
    assert store.get(keys["bob"], "images") is None
    assert (store.get(keys["ann"], "images"), store.get(new, "images")) == ("ann", "cyd")


def test_what_is_in_use_is_never_dropped(store):
    keys = {name: store.put(name, "images", 45, name) for name in ("ann", "bob")}
    with pytest.raises(FeatlibError, match="memory for uploads is in use"):
        store.put("cyd", "images", 11, "cyd")
    assert [store.get(keys[name], "images") for name in keys] == ["ann", "bob"]
    model = store.put("net", "model", 10, "ann")
    with pytest.raises(FeatlibError, match="memory for uploads is in use"):
        store.put("larger", "model", 16, "ann")  # 45 in use, and 60 allowed
    assert store.get(model, "model") == "net"


def test_forget_deletes_at_once_for_everybody(store):
    key = store.put("cats", "images", 60, "ann")
    assert store.get(key, "images", "bob") == "cats"
    assert store.forget(key, "ann")
    assert store.get(key, "images") is None
    assert store.why_gone(key) == "forgotten"
    assert store.get(store.put("dogs", "images", 60, "bob"), "images") == "dogs"
    assert not store.forget("guess", "ann")


def test_forget_deletes_what_was_replaced_too_and_nothing_of_another_visitor_who_is_here(store):
    of_ann = store.put("cats", "images", 1, "ann")
    assert store.get(of_ann, "images", "bob") == "cats"
    assert not store.forget(of_ann, "bob")
    first = store.put("dogs", "images", 1, "bob", before=of_ann)
    second = store.put("owls", "images", 1, "bob", before=first)
    assert store.forget(second, "bob")
    assert [store.get(key, "images") for key in (first, second, of_ann)] == [None, None, "cats"]
    store.leave("ann")  # and comes back by a reload, as another visitor
    assert store.forget(of_ann, "cyd")
    assert store.get(of_ann, "images") is None


def test_what_anybody_may_see_is_kept_under_its_name(store):
    assert store.put("net", "model", 1, "ann", "folder:course/net.keras") == "folder:course/net.keras"
    assert store.put("other", "model", 61, "bob", "folder:course/net.keras") == "folder:course/net.keras"
    assert store.get("folder:course/net.keras", "model") == "net", "nobody replaces what another uses"


def test_a_visit_may_end_its_use_of_one_kind_only(store, clock):
    model, images = store.put("net", "model", 1, "ann"), store.put("cats", "images", 1, "ann")
    store.leave("ann", "model")
    clock.now += HOUR
    assert (store.get(model, "model"), store.get(images, "images")) == (None, "cats")
