"""Which page comes at which index: kinds, turns and damage, spread so that every share is exact."""

import random
from collections.abc import Sequence

from benchmarks.sample_pages.records import Brief, Damage, PagePlan

# Words a page: from, to.
_LIGHT = (60, 110)
_DENSE = (160, 180)
_TURNS = (90, 180, 270)


def plan_pages(
    count: int, seed: int, kinds: Sequence[str], *, dense: bool = False, scale: float = 1.0
) -> list[PagePlan]:
    """Plan a set of pages.

    Every fourth page is turned, by 90, 180 and 270 degrees in turn; every seventh is a PNG as a program would write it,
    the rest are JPEGs as a scanner would. A page's plan depends on its index and the seed alone: a longer set begins
    with the shorter one.

    Raises:
        ValueError: if there is no kind, or `count` or `scale` is not positive.
    """
    if count < 1 or scale <= 0 or not kinds:
        raise ValueError(f"need at least one page and one kind and a positive scale, got {count}, {kinds}, {scale}")
    return [
        PagePlan(
            index,
            seed,
            kinds[index % len(kinds)],
            _plan_brief(index, seed, dense, scale),
            _plan_damage(index, seed, scale),
        )
        for index in range(count)
    ]


def _plan_brief(index: int, seed: int, dense: bool, scale: float) -> Brief:
    """How much one page holds."""
    return Brief(words=random.Random(f"brief/{seed}/{index}").randint(*(_DENSE if dense else _LIGHT)), scale=scale)


def _plan_damage(index: int, seed: int, scale: float) -> Damage:
    """What happens to one page."""
    rng = random.Random(f"damage/{seed}/{index}")
    turn_deg = _TURNS[index // 4 % 3] if index % 4 == 3 else 0
    if index % 7 == 5:
        return Damage(turn_deg=turn_deg, jpeg_quality=None)
    return Damage(
        turn_deg=turn_deg,
        skew_deg=round(rng.uniform(-2, 2), 2) if rng.random() < 0.5 else 0.0,
        blur_px=round(rng.uniform(0.4, 0.9), 2) * scale if rng.random() < 0.4 else 0.0,
        noise_std=round(rng.uniform(2, 8), 1) if rng.random() < 0.6 else 0.0,
        shade=round(rng.uniform(0.05, 0.2), 2) if rng.random() < 0.4 else 0.0,
        grey=rng.random() < 0.15,
        jpeg_quality=rng.randint(40, 95),
    )
