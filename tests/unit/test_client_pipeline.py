from __future__ import annotations

import threading
import time

from quintet_client.cancellation import Cancellation, Stage


def test_a_stage_starts_no_more_threads_than_its_work_needs() -> None:
    seen: set[int] = set()

    def work(done: threading.Event) -> None:
        seen.add(threading.get_ident())
        done.set()

    stage = Stage(work, threads=64, room=64, cancellation=Cancellation(), drops_on_cancel=False)
    for _ in range(200):
        done = threading.Event()
        stage.put(done)
        assert done.wait(10)
        time.sleep(0.001)  # the thread goes back to the queue
    assert stage.finish(1)
    assert len(seen) < 8


def test_a_stage_starts_as_many_threads_as_its_work_needs_and_no_more_than_allowed() -> None:
    together, done = threading.Barrier(5, timeout=20), list[int]()

    def work(item: int) -> None:
        together.wait()
        done.append(item)

    stage = Stage(work, threads=5, room=0, cancellation=Cancellation(), drops_on_cancel=False)
    for item in range(20):  # four times five that wait for each other
        stage.put(item)
    assert stage.finish(1)
    assert sorted(done) == list(range(20))


def test_a_stage_that_got_no_work_ends_at_once() -> None:
    assert Stage(print, threads=3, room=1, cancellation=Cancellation(), drops_on_cancel=False).finish(1)
