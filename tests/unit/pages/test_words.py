"""Words from time steps: what holds of them whatever is read."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from quintet.pages.results.words import Characters, words_of

# Of a line: how many pixels of its crop it fills, and what is said at each of its time steps; "" for nothing.
Said = tuple[int, list[str]]
LINES = st.lists(
    st.tuples(st.integers(1, 900), st.lists(st.sampled_from(["", "", "a", "W", " ", "\u3000", "文"]), max_size=40)),
    max_size=5,
)
QUAD = np.array([[100, 100], [900, 100], [900, 140], [100, 140]], dtype=np.float32)


def characters_of(lines: list[Said]) -> Characters:
    said = [(text, step, at) for at, (_, texts) in enumerate(lines) for step, text in enumerate(texts) if text]
    texts, steps, line = zip(*said, strict=True) if said else ((), (), ())
    probabilities = np.linspace(0.5, 1, len(said))
    return Characters(np.array(texts, object), probabilities, np.array(steps, np.int64), np.array(line, np.int64))


def words(lines: list[Said]) -> list[list[dict]]:
    widths = np.array([width for width, _ in lines], np.int64)
    return words_of(characters_of(lines), np.tile(QUAD, (len(lines), 1, 1)), widths)


@given(LINES)
def test_words_are_the_lines_words_side_by_side_within_the_line(lines: list[Said]) -> None:
    found = words(lines)
    texts = characters_of(lines).of_lines(len(lines))
    assert [[word["text"] for word in own] for own in found] == [text.split() for text in texts]
    for own in found:
        corners = np.array([word["quad_px"] for word in own]).reshape(-1, 4, 2)
        edges = corners[:, :2, 0].reshape(-1)
        assert (np.diff(edges) >= 0).all()
        assert (np.diff(edges)[::2] > 0).all(), "none is without width"
        assert edges.size == 0 or (edges.min() >= 100 and edges.max() <= 900)
        assert (corners[:, :2, 1] == 100).all()
        assert (corners[:, 2:, 1] == 140).all()
        assert all(0.5 <= word["score"] <= 1 for word in own)


@given(LINES, LINES)
def test_a_lines_words_depend_on_it_alone(lines: list[Said], others: list[Said]) -> None:
    together = words([*lines, *others])
    assert [[word["text"] for word in own] for own in together] == [
        [word["text"] for word in own] for part in (lines, others) for own in words(part)
    ]
    assert [[word["quad_px"] for word in own] for own in together] == [
        [word["quad_px"] for word in own] for part in (lines, others) for own in words(part)
    ]


def test_a_word_reaches_from_before_its_first_character_to_behind_its_last() -> None:
    ((first, second),) = words([(400, ["", "a", "", "b", "", "", " ", "", "", "c", "", "d", ""])])
    assert first["quad_px"][0][0] < 100 + 1.2 * 16 < 100 + 3.2 * 16 < first["quad_px"][1][0]
    assert second["quad_px"][0][0] > first["quad_px"][1][0]
    assert first["score"] == 0.5625
