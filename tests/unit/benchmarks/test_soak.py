"""The verdict of a soak: what counts as flat, and as lost."""

from __future__ import annotations

import math

import pytest

from benchmarks.soak import Sample, Soak, describe, trend
from benchmarks.soak_client import Round

MB = 1_000_000


def samples(client_growth: float = 0.0, server_growth: float = 0.0) -> list[Sample]:
    """An hour, once a second: a warm-up, then a saw-tooth around a level that grows by a share until the end."""
    return [
        Sample(
            float(at_s),
            int(1000 * MB * (1 + server_growth * at_s / 3600)),
            int(1500 * MB * (1 + server_growth * at_s / 3600) * min(1.0, 0.5 + at_s / 600)),
            int(500 * MB * (1 + client_growth * at_s / 3600) * (1.2 if at_s % 60 < 30 else 0.8)),
        )
        for at_s in range(3600)
    ]


ROUNDS = [Round(60.0 * number, 241, 240, 1, 240, "same") for number in range(1, 60)]


def test_flat_memory_is_flat_whatever_the_warm_up_and_the_saw_tooth() -> None:
    assert [one.is_flat for one in Soak(ROUNDS, samples()).trends()] == [True, True]


@pytest.mark.parametrize(("client", "server"), [(0.2, 0.0), (0.0, 0.2)])
def test_a_leak_of_a_fifth_in_an_hour_is_found_and_named(client: float, server: float) -> None:
    found = {one.whose: one.is_flat for one in Soak(ROUNDS, samples(client, server)).trends()}
    assert found == {"client": not client, "server": not server}


def test_growth_is_that_of_the_line_over_the_whole_time() -> None:
    points = [(float(at_s), 100.0 + at_s / 10) for at_s in range(101)]
    assert math.isclose(trend("server", points).growth, 10 / 105, rel_tol=1e-6)
    assert trend("server", points[:1]).growth == 0


@pytest.mark.parametrize(
    ("one", "lost"),
    [(Round(1, 10, 9, 1, 9, "d"), 0), (Round(1, 10, 8, 1, 8, "d"), 1), (Round(1, 10, 9, 1, 8, "d"), 1)],
)
def test_a_page_without_an_end_or_an_answer_is_lost(one: Round, lost: int) -> None:
    assert Soak([one], samples()).lost == lost


def test_another_text_is_told() -> None:
    assert Soak(ROUNDS, samples()).is_same
    assert not Soak([*ROUNDS, Round(1, 241, 240, 1, 240, "other")], samples()).is_same


def test_the_table_has_a_row_for_each_window() -> None:
    lines = describe(Soak(ROUNDS, samples())).splitlines()
    assert len(lines) == 22
    assert lines[-1].split()[:4] == ["60.0", str(59 * 240), "59", "0"]
