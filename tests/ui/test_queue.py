"""The queue: in the order of asking, with positions, shared between long computations."""

from __future__ import annotations

import threading
import time

import pytest

from featlib.ui.compute.queue import Queue


def ignore(ahead):
    pass


def fail(ahead):
    pytest.fail("nobody is ahead")


class Visitor(threading.Thread):
    """Somebody who wants a turn and remembers how many were ahead."""

    def __init__(self, queue, key, order):
        super().__init__(daemon=True)
        self.queue, self.key, self.order, self.ahead = queue, key, order, []
        self.start()
        while queue.find(key) is None:
            time.sleep(0.001)

    def run(self):
        with self.queue.turn(self.key, self.ahead.append):
            self.order.append(self.key)


def test_turns_come_in_the_order_of_asking_and_positions_are_told():
    queue, order = Queue(), []
    with queue.turn("first", fail):
        visitors = [Visitor(queue, str(number), order) for number in range(4)]
        end = time.monotonic() + 30
        while not all(visitor.ahead for visitor in visitors):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert [visitor.ahead[-1] for visitor in visitors] == [1, 2, 3, 4]
        assert order == []
    for visitor in visitors:
        visitor.join(30)
    assert order == ["0", "1", "2", "3"]


def test_an_error_gives_up_the_turn():
    queue = Queue()
    with pytest.raises(ZeroDivisionError), queue.turn("a", ignore):
        raise ZeroDivisionError
    with queue.turn("b", fail):
        pass


def test_who_waits_can_leave():
    queue = Queue()

    def leave(ahead):
        raise KeyboardInterrupt

    with queue.turn("a", fail):
        with pytest.raises(KeyboardInterrupt), queue.turn("b", leave):
            pass
        assert queue.find("b") is None
        assert queue.find("a") is not None
    assert queue.find("a") is None


def test_a_long_computation_lets_others_in_between_its_batches():
    queue, order = Queue(slice_seconds=0), []
    with queue.turn("long", fail) as turn:
        queue.share(turn, fail)  # nobody waits
        visitor = Visitor(queue, "short", order)
        queue.share(turn, ignore)
        order.append("long again")
        visitor.join(30)
    assert order == ["short", "long again"]


def test_a_computation_keeps_its_turn_for_a_slice_of_time():
    queue, order = Queue(slice_seconds=1000), []
    with queue.turn("long", fail) as turn:
        visitor = Visitor(queue, "short", order)
        queue.share(turn, fail)
        order.append("long")
    visitor.join(30)
    assert order == ["long", "short"]
