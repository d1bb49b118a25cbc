"""What this chain computes, and that it keeps what every chain promises."""

import sys
from pathlib import Path

import pytest
import torch
from quintet.authoring.check import check_chain
from quintet.operations.models import make_networks
from torchvision.models.detection._utils import BoxCoder

from newchain.networks import anchors
from newchain.stages import decode_boxes, mean_places

CHAIN = "newchain.chain:NewChain"


@pytest.fixture(scope="module")
def model_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The networks as `quintet models` makes them; takes a minute."""
    folder = tmp_path_factory.mktemp("model_store")
    make_networks(CHAIN, folder)
    return folder


def test_boxes_are_those_of_torchvision() -> None:
    ours = anchors()
    offsets = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0))
    theirs = BoxCoder((10.0, 10.0, 5.0, 5.0)).decode_single(offsets, ours).clamp(0, 1)
    found = decode_boxes(offsets, ours)
    whole = (found[:, 2:] - found[:, :2] > 0.011).all(dim=1)
    assert whole.float().mean() > 0.9
    assert torch.allclose(found[whole], theirs[whole], atol=1e-5)


def test_the_mean_place_of_a_peak_is_the_peak() -> None:
    maps = torch.zeros(1, 1, 10, 20)
    maps[0, 0, 3, 4] = 100.0
    assert torch.allclose(mean_places(maps), torch.tensor([[[4.5 / 20, 3.5 / 10]]]))


def test_the_chain_keeps_what_every_chain_promises(model_store: Path) -> None:
    assert check_chain(CHAIN, model_store, None, sys.stdout) == {}
