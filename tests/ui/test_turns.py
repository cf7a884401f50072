"""Turns go round, in the order of asking; the background sees whether anybody waits."""

from __future__ import annotations

import threading
import time

import pytest

from featlib.ui.compute.turns import Front, Turns


def test_turns_go_to_who_has_waited_longest():
    turns, order, threads = Turns(), [], []

    def take(number):
        with turns.turn():
            order.append(number)

    with turns.turn():
        for number in range(5):
            threads.append(threading.Thread(target=take, args=(number,)))
            threads[-1].start()
            while len(turns._queue) < number + 2:
                time.sleep(0.001)
        assert not order
    for thread in threads:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]


def test_a_turn_ends_with_an_error():
    turns = Turns()
    with pytest.raises(ZeroDivisionError), turns.turn():
        raise ZeroDivisionError
    with turns.turn(waiting=lambda: pytest.fail("nobody has it")):
        pass


def test_it_is_quiet_when_nobody_waits_and_has_not_just_waited():
    front = Front()
    assert front.is_quiet(1000)
    with front.waiting():
        with front.waiting():
            assert not front.is_quiet(0)
        assert not front.is_quiet(0)
    assert front.is_quiet(0)
    assert not front.is_quiet(1000)
