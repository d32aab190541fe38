"""Batches are made while others are used, and no more of them than are wanted."""

from __future__ import annotations

import threading
import time

from gbench.train.parts import ahead


def test_the_next_results_are_made_while_one_is_used() -> None:
    began = [threading.Event() for _ in range(6)]

    def work(item: int) -> int:
        began[item].set()
        time.sleep(0.01 * (5 - item))  # later ones are ready sooner
        return item

    results = ahead(work, range(6), workers=2)
    for item, result in enumerate(results):
        assert result == item
        for following in began[item + 1 : item + 3]:
            assert following.wait()
        assert not any(event.is_set() for event in began[item + 4 :])


def test_what_is_no_longer_wanted_is_not_begun() -> None:
    done = []
    results = ahead(done.append, range(1000), workers=1)
    next(results)
    results.close()
    assert len(done) <= 3
