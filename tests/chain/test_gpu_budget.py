"""The page chain as on CUDA, over a device that is not there: it reads the same, and asks for no more than docs say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from quintet.pages.chain import PageChain
from quintet.pages.settings import Settings

from benchmarks.gpu_budget.account import Account
from benchmarks.gpu_budget.count import OnCpu, count_batches, counted_chain, dense_pages
from benchmarks.gpu_budget.report import as_json
from benchmarks.gpu_budget.roofline import Gpu
from tests.chain.test_chain import results
from tests.conftest import ROOT, draw_page, encode

DOCS = (ROOT / "docs" / "gpu.md").read_text("utf-8")
LINES = ["Quintet reads pages", "Total 1,249.50 EUR", "Ltd."]
# Canvases upright and lying; a progressive JPEG and a PNG, which the host decodes in any case.
PAGES = [
    encode(draw_page(LINES, (640, 420)), "JPEG", quality=90),
    encode(draw_page(LINES[::-1], (640, 420), turn_deg=90), "JPEG", progressive=True),
    encode(draw_page(LINES[1:], (500, 300))),
]
# What may not grow, by the columns of the tables in docs/gpu.md.
COLUMNS = ("calls", "network_launches", "other_launches", "waits", "to_host_mb", "network_gb", "other_gb")


def rows(heading: str) -> dict[str, dict[str, float]]:
    """The rows of the table below a heading of docs/gpu.md."""
    section = DOCS.split(f"## {heading}\n")[1].split("\n## ")[0]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    return {
        name: dict(zip(COLUMNS, (float(cell.replace(",", "")) for cell in cells), strict=False))
        for name, *cells in table
        if cells and re.fullmatch(r"[\d.,]+", cells[0])
    }


@pytest.fixture(scope="module")
def on_cpu(model_store: Path) -> PageChain:
    """In single precision, so that machines with and without bfloat16 count the same lines."""
    return PageChain(Settings(device="cpu", dtype="float32"), model_store)


@contextmanager
def opened(on_cpu: PageChain, model_store: Path, **settings: str) -> Iterator[tuple[PageChain, Account]]:
    account = Account()
    with counted_chain(Settings(device="cuda", **settings), model_store, OnCpu(on_cpu.engine), account) as on_cuda:
        account.clear()
        yield on_cuda, account


def test_pages_read_on_a_fake_gpu_say_what_they_say_on_the_cpu_within_the_budget_of_the_docs(
    on_cpu: PageChain, model_store: Path
) -> None:
    with opened(on_cpu, model_store, jpeg="host") as (on_cuda, account):
        assert (on_cuda.engine.device.type, str(on_cuda.engine.dtype)) == ("cuda", "torch.float16")
        read = results(on_cuda(PAGES))
    for ours, theirs in zip(read, results(on_cpu(PAGES)), strict=True):
        assert ours["text"] == theirs["text"]
        for line, other in zip(ours["lines"], theirs["lines"], strict=True):
            assert np.abs(np.subtract(line["quad_px"], other["quad_px"])).max() <= 3
    counted = as_json([account.stages, account.stages], len(PAGES), Gpu())["all"]
    assert counted["to_device_mb"] > 2
    assert counted["pageable_mb"] < 0.1, "pixels come from page-locked memory"
    allowed = rows("Three small pages")["all"]
    assert {name: counted[name] for name in allowed if counted[name] > allowed[name]} == {}, allowed


def test_waits_do_not_grow_with_the_batch_and_jpegs_on_the_device_cost_one(
    on_cpu: PageChain, model_store: Path
) -> None:
    with opened(on_cpu, model_store, jpeg="device") as (on_cuda, account):
        on_cuda(PAGES[:1])
        one = waits(account)
        account.clear()
        on_cuda(PAGES[:1] * 2)
    assert one == waits(account)
    assert one.total() == rows("Three small pages")["all"]["waits"] + 1


def test_single_precision_on_a_gpu_is_no_tf32(on_cpu: PageChain, model_store: Path) -> None:
    torch.backends.cudnn.allow_tf32 = True
    with opened(on_cpu, model_store, dtype="float16"):
        assert torch.backends.cudnn.allow_tf32
    with opened(on_cpu, model_store, dtype="float32") as (on_cuda, _):
        assert on_cuda.engine.dtype == torch.float32
    flags = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    assert "tf32" not in flags


def waits(account: Account) -> Counter[str]:
    return sum((stage.waits for stage in account.stages.values()), start=Counter())


@pytest.mark.slow
def test_dense_pages_ask_a_gpu_for_what_the_docs_say(model_store: Path) -> None:
    """In both directions: a table that promises less than the code does would let it get worse again."""
    batches = count_batches(Settings(device="cuda", jpeg="host"), model_store, [dense_pages(64)], warm_up=False)
    found = as_json(batches * 2, 64, Gpu())
    counted = {**found["stages"], "all": found["all"]}
    for name, allowed in rows("64 dense pages").items():
        for column, value in allowed.items():
            assert counted[name.replace(" ", "_")][column] == pytest.approx(value, rel=0.05, abs=0.3), (name, column)
