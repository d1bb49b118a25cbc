from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import openvino
import pytest
import torch
from quintet.engine.engine import Engine
from quintet.errors import SettingsError
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings
from quintet.pages.weights import networks_in


def test_tensors_of_every_kind_cross_in_one_copy(chain: PageChain) -> None:
    tensors = (
        torch.randn(3, 4),
        torch.empty(0, 4, 2),
        torch.arange(5),
        torch.tensor([True, False, True]),
        torch.randn(7).half(),
        torch.tensor(3.5),
        torch.randn(4, 6).T,
        torch.randn(1, 2)[:, 1],  # one element, contiguous with a stride of 2
        torch.arange(3, dtype=torch.int16),
    )
    before = chain.engine.host_copies
    hosted = chain.engine.to_host(*tensors)
    assert chain.engine.host_copies == before + 1
    for tensor, copy in zip(tensors, hosted, strict=True):
        assert torch.equal(tensor, copy)
        assert tensor.dtype == copy.dtype


def test_calls_run_side_by_side_and_come_back_in_order(model_store: Path) -> None:
    engine = Engine(Settings(device="cpu", threads=2), networks_in(model_store))
    both = threading.Barrier(2, timeout=20)

    def work(call: torch.Tensor) -> int:
        both.wait()
        return int(call)

    assert engine.each(work, [torch.tensor(number) for number in (3, 1)]) == [3, 1]


def test_what_fails_in_one_call_is_raised_to_the_caller(chain: PageChain) -> None:
    def work(call: torch.Tensor) -> int:
        return 1 // int(call)

    with pytest.raises(ZeroDivisionError):
        chain.engine.each(work, [torch.tensor(1), torch.tensor(0)])


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_a_device_that_is_not_there_is_refused_at_start(model_store: Path) -> None:
    with pytest.raises(SettingsError, match="no CUDA device"):
        Engine(Settings(device="cuda"), networks_in(model_store))


FIRST_CALLS = """
import sys, threading, torch
from pathlib import Path
from quintet.engine.engine import Engine
from quintet.pages.settings import Settings
from quintet.pages.weights import networks_in

engine = Engine(Settings(engine="openvino", device="cpu", threads=4), networks_in(Path(sys.argv[1])))
network, together = engine.network("line_orientation"), threading.Barrier(4)

def work(call):
    together.wait()
    return network(torch.zeros(1, 3, 48, 192))

sys.setswitchinterval(1e-4)
engine.each(work, [torch.tensor(number) for number in range(4)])
"""


@pytest.mark.slow
def test_threads_whose_first_calls_come_together_do_not_wait_for_each_other_for_ever(model_store: Path) -> None:
    """In a process of its own, since only its first calls matter; about half of such processes hung before the fix."""
    subprocess.run([sys.executable, "-c", FIRST_CALLS, str(model_store)], timeout=120, check=True)


def test_the_largest_probability_and_its_place_are_pytorchs(chain: PageChain) -> None:
    values = torch.rand(3, 5, 1000, generator=torch.Generator().manual_seed(1))
    values[0, 0, 7], values[0, 0, 11] = 1.0, 1.0  # the first of equals
    for dtype in (torch.float32, torch.bfloat16):
        best, places = chain.engine.largest(values.to(dtype))
        assert torch.equal(best, values.to(dtype).amax(dim=-1))
        assert torch.equal(values.to(dtype).gather(-1, places[..., None]).squeeze(-1), best)
        assert int(places[0, 0]) == 7


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_probabilities_of_many_classes_leave_a_network_as_wide_as_it_computes(model_store: Path, dtype: str) -> None:
    """What is narrowed is what is seen in passing: what is kept is float32, and nothing else is narrowed."""
    if dtype == "bfloat16" and "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this CPU does not compute in bfloat16")
    engine = Engine(Settings(device="cpu", engine="openvino", dtype=dtype), networks_in(model_store))
    line = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(1))
    seen: list[torch.Tensor] = []
    engine.network("recognition", lambda probabilities: (seen.append(probabilities.clone()), ())[1])(line)
    (kept,) = engine.network("recognition")(line)
    assert seen[0].dtype == getattr(torch, dtype)
    assert kept.dtype == torch.float32
    assert torch.equal(kept, seen[0].float())
    torch.testing.assert_close(kept.sum(dim=-1), torch.ones_like(kept[..., 0]), atol=0.02, rtol=0)
    engine.network("line_orientation", lambda scores: (seen.append(scores.clone()), ())[1])(torch.rand(1, 3, 48, 192))
    assert seen[1].dtype == torch.float32


def test_outputs_that_are_kept_outlive_later_calls(chain: PageChain) -> None:
    network, seen = chain.engine.network("line_orientation"), torch.rand(2, 3, 48, 192)
    (kept,) = network(seen)
    before = kept.clone()
    network(torch.rand(2, 3, 48, 192))
    assert torch.equal(kept, before)
    (shrunk,) = chain.engine.network("line_orientation", lambda scores: (scores.sum(),))(seen)
    torch.testing.assert_close(shrunk, before.sum())
