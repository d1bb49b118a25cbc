"""Greedy CTC decoding in tensors.

Source: A. Graves et al., Connectionist Temporal Classification (ICML 2006), best-path decoding.
"""

import torch
from torch import Tensor

BLANK = 0


def collapse(best: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The best path of each line, repeats and blanks taken out in place.

    Args:
        best: (N, T) float, the probability of the most probable class of each step.
        classes: (N, T) int64, that class; 0 is the blank.

    Returns:
        Tokens (N, T) int32, the class where a character begins and 0 elsewhere; and scores (N,) float32, the mean
        probability of the characters, 0 where there is none.
    """
    repeated = torch.zeros_like(classes, dtype=torch.bool)
    repeated[:, 1:] = classes[:, 1:] == classes[:, :-1]
    begins = (classes != BLANK) & ~repeated
    total = (best.float() * begins).sum(dim=1)
    return (classes * begins).to(torch.int32), total / begins.sum(dim=1).clamp(min=1)
