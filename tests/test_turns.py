"""turns.py: one at a time, in the order in which they came."""

from __future__ import annotations

import threading
import time

import pytest

from cyclegan_hub.serving.studio import Turns


def test_the_turn_goes_to_who_waited_longest() -> None:
    turns, order = Turns(), []
    threads = []

    def ask(number: int) -> None:
        with turns:
            order.append(number)

    with turns:
        for number in range(8):
            threads.append(threading.Thread(target=ask, args=(number,)))
            threads[-1].start()
            while len(turns._waiting) <= number:  # it waits before the next one comes
                time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert order == list(range(8))


def test_one_who_asks_again_and_again_does_not_keep_the_others_waiting() -> None:
    turns, taken, stop = Turns(), [], threading.Event()

    def greedy() -> None:
        while not stop.is_set():
            with turns:
                taken.append("greedy")
                time.sleep(0.001)

    thread = threading.Thread(target=greedy)
    thread.start()
    while not taken:
        time.sleep(0.001)
    before = len(taken)
    with turns:
        after = len(taken)
    stop.set()
    thread.join()
    assert after - before <= 2


def test_an_error_hands_the_turn_on() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="broken"), turns:
        raise ValueError("broken")
    with turns:
        pass
