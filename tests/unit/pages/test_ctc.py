from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from quintet.pages.stages.recognition import collapse
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
