"""Who may have a request under way beside whom."""

import random
import threading
import time

from quintet_client.service.isolation import Isolation


def test_a_suspect_is_under_way_alone_and_everybody_gets_a_turn():
    isolation, lock, under_way, turns = Isolation(), threading.Lock(), [], []

    def visit(suspect):
        for _ in range(20):
            with isolation.alone() if suspect else isolation.together():
                with lock:
                    under_way.append(suspect)
                    assert not any(under_way) or under_way == [True]
                time.sleep(random.uniform(0, 0.001))
                with lock:
                    under_way.remove(suspect)
                    turns.append(suspect)

    threads = [threading.Thread(target=visit, args=(number < 3,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (turns.count(True), turns.count(False)) == (60, 140)


def test_who_fails_on_the_way_leaves_the_way():
    isolation = Isolation()
    for way in (isolation.alone, isolation.together):
        try:
            with way():
                raise RuntimeError
        except RuntimeError:
            pass
    with isolation.alone():
        pass
