from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.pages.stages.recognition import collapse, with_faint_spaces
from rapidocr.ch_ppocr_rec.utils import CTCLabelDecode


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 30))
def test_tokens_and_scores_equal_rapidocrs_decoder(seed: int, lines: int, steps: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    probabilities = (torch.randn(lines, steps, 4, generator=generator) * 3).softmax(dim=2)
    tokens, scores = collapse(*probabilities.max(dim=2))
    theirs, _ = CTCLabelDecode(character=["a", "b"])(probabilities.numpy())
    alphabet = ["", "a", "b", " "]
    assert ["".join(alphabet[token] for token in line) for line in tokens.tolist()] == [text for text, _ in theirs]
    torch.testing.assert_close(scores, torch.tensor([score for _, score in theirs]), atol=2e-5, rtol=0)


def test_blank_lines_score_zero() -> None:
    blank = torch.zeros(2, 7, 5)
    blank[:, :, 0] = 1
    tokens, scores = collapse(*blank.max(dim=2))
    assert tokens.sum() == 0
    assert scores.tolist() == [0, 0]


def test_a_space_is_read_where_it_is_faint_and_nothing_else_is_likely() -> None:
    """Classes: blank, a, b, space."""
    certain_a, faint, fainter = [0.0, 1.0, 0.0, 0.0], [0.7, 0.0, 0.0, 0.3], [0.9, 0.0, 0.0, 0.1]
    certain_b, beside_a_letter = [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.6, 0.4]
    probabilities = torch.tensor([[certain_a, faint, faint, certain_b], [certain_a, fainter, beside_a_letter, faint]])
    best, classes = with_faint_spaces(*probabilities.max(dim=2), probabilities[..., 3], 3)
    tokens, scores = collapse(best, classes)
    assert tokens.tolist() == [[1, 3, 0, 2], [1, 0, 2, 3]]
    torch.testing.assert_close(scores, torch.tensor([(1 + 0.3 + 1) / 3, (1 + 0.6 + 0.3) / 3]))
