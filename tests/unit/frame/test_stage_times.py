"""A request is told its share of the time of a batch, and nobody trips over what another server says."""

import pytest
from quintet.frame.stage_times import HEADER, from_header, to_header


def test_what_is_told_is_understood_and_the_shares_of_a_batch_are_the_whole() -> None:
    seconds = {"decode": 0.4, "text_detection": 1.2}
    shares = [from_header(to_header(seconds, share)[HEADER]) for share in (0.25, 0.75)]
    assert list(shares[0]) == list(seconds)
    assert {stage: sum(share[stage] for share in shares) for stage in seconds} == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "share"), [({}, 1.0), ({"decode": 1.0}, 0.0)])
def test_without_a_timed_stage_or_a_page_there_is_no_header(seconds, share) -> None:
    assert to_header(seconds, share) == {}


@pytest.mark.parametrize("told", ["", ",,", "a", "=1", "a=", "a=nan", "a=inf", "a=-1", "a=1e999", "a=x, b", "x=1y"])
def test_what_is_no_time_is_left_out(told) -> None:
    assert from_header(told) == {}


def test_endless_headers_are_cut() -> None:
    assert len(from_header(", ".join(f"s{number}=1" for number in range(10_000)))) == 64
