"""Where the pixels of batches lie: memory of their own, or one page-locked piece that waits for its last copy."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
from quintet.pixels.page_memory import BatchMemory

MOST = 1 << 20


class Cuda:
    """What the memory needs of an engine; notes what is asked of it."""

    def __init__(self, *, locks: bool = True) -> None:
        self.locks = locks
        self.locked: list[int] = []  # bytes
        self.asked = 0
        self.waits: list[str] = []

    def pin(self, memory: memoryview) -> bool:
        self.asked += 1
        assert not memory.readonly
        if self.locks:
            self.locked.append(memory.nbytes)
        return self.locks

    def unpin(self, memory: memoryview) -> None:
        memory[0] = 1  # still mapped
        self.locked.remove(memory.nbytes)

    def mark(self) -> Callable[[], None]:
        copy = f"copy {len(self.waits)}"
        return lambda: self.waits.append(copy)


def test_one_locked_piece_serves_all_batches_and_none_begins_before_the_copy_of_the_last() -> None:
    engine = Cuda()
    memory = BatchMemory(engine, MOST)
    first = memory.take(100_000)
    memory.copied()
    assert engine.waits == []
    assert memory.take(99_000) is first
    assert engine.waits == ["copy 0"]
    assert len(engine.locked) == 1


@pytest.mark.parametrize(("words", "locked"), [(100_000, 106_496), (MOST - 1, MOST), (MOST + 5, MOST + 5), (1, 1)])
def test_it_is_at_most_an_eighth_larger_than_asked_and_within_what_a_batch_may_have(words: int, locked: int) -> None:
    engine = Cuda()
    assert len(BatchMemory(engine, MOST).take(words).words) == locked
    assert words <= locked <= words * 1.125


def test_it_grows_by_eighths_and_what_it_outgrows_is_unlocked_first() -> None:
    engine = Cuda()
    memory = BatchMemory(engine, MOST)
    for words in range(1000, 4000, 10):
        assert len(memory.take(words).words) >= words
        assert len(engine.locked) == 1
    assert engine.asked <= 2 * 8 + 1


def test_it_is_unlocked_with_whoever_keeps_it() -> None:
    engine = Cuda()
    memory = BatchMemory(engine, MOST)
    memory.take(1000)
    del memory
    gc.collect()
    assert engine.locked == []


def test_where_nothing_is_locked_each_batch_has_memory_of_its_own_and_nobody_asks_again() -> None:
    engine = Cuda(locks=False)
    memory = BatchMemory(engine, MOST)
    pieces = [memory.take(1000) for _ in range(3)]
    memory.copied()
    assert len({id(piece) for piece in pieces}) == 3
    assert [len(piece.words) for piece in pieces[1:]] == [1000, 1000]
    assert (engine.asked, engine.waits) == (1, [])
