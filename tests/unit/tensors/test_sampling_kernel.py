"""The sampling kernel where there is no GPU: Triton interprets it, and compiles it for one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from quintet.tensors import sampling
from quintet.tensors.sampling import HALF

from tests.conftest import ROOT
from tests.unit.tensors.test_sampling import packed

CASES = Path(__file__).with_name("sampling_kernel_cases.py")
# Compiles versions of the kernel for a GPU, from an A100 on, and says what each takes.
COMPILE = """
import pathlib, subprocess, sys, triton
from triton.backends.compiler import GPUTarget
from quintet.tensors.sampling_kernel import TYPES, WARPS, _sample

for version in sys.argv[1:]:
    dtype, capability, *absent = version.split()
    types = {"out": dtype} | TYPES | dict.fromkeys(absent, "constexpr")
    source = triton.compiler.ASTSource(_sample, types, {(_sample.arg_names.index(name),): None for name in absent})
    options = {"num_warps": WARPS, "enable_fp_fusion": False}
    made = triton.compile(source, target=GPUTarget("cuda", int(capability), 32), options=options)
    assert "fma.rn" not in made.asm["ptx"]
    code = pathlib.Path(triton.knobs.cache.dir, "code.cubin")
    code.write_bytes(made.asm["cubin"])
    usage = subprocess.check_output([triton.knobs.nvidia.cuobjdump.path, "-res-usage", code], text=True).split()
    assert "STACK:0" in usage and "LOCAL:0" in usage, usage  # nothing is spilled
    print(version, *(word for word in usage if word.startswith("REG:")))
"""
ALL_VERSIONS = [
    f"*{dtype} {capability} {absent}"
    for dtype in ("fp16", "bf16", "fp32")
    for capability in (80, 90)
    for absent in ("", "items", "widths_px", "items widths_px")
]


def in_a_process(*arguments: str, **environment: str) -> str:
    pytest.importorskip("triton")
    command, environment = [sys.executable, *arguments], os.environ | environment
    ran = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.parametrize("which", ["not slow", pytest.param("slow", marks=pytest.mark.slow)])
def test_the_kernel_fills_what_the_tensor_code_fills(which: str) -> None:
    said = in_a_process(
        "-m", "pytest", "-q", "-s", "-m", which, "-p", "no:cacheprovider", str(CASES), TRITON_INTERPRET="1"
    )
    sys.stdout.write(said)
    assert "passed" in said
    assert "skipped" not in said


@pytest.mark.parametrize("versions", [["*fp16 90"], pytest.param(ALL_VERSIONS, marks=pytest.mark.slow)], ids=len)
def test_the_kernel_compiles_without_a_gpu(versions: list[str], tmp_path: Path) -> None:
    sys.stdout.write(in_a_process("-c", COMPILE, *versions, TRITON_CACHE_DIR=str(tmp_path)))


def arguments(dtype: torch.dtype = torch.float32) -> tuple[object, ...]:
    pages = packed([torch.arange(60 * 40 * 3).remainder(256).view(40, 60, 3).numpy().astype("uint8")])
    raster = [pages.values, pages.offsets, pages.heights, pages.widths]
    page, to_image, items, widths = torch.tensor([0, 0]), torch.eye(3).expand(2, 3, 3), torch.tensor([1]), None
    return raster, page, to_image, items, widths, [20, 10], [*HALF.mean, *HALF.std], dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_operator_is_what_its_schema_and_its_fake_say(dtype: torch.dtype) -> None:
    operator = torch.ops.quintet.sample.default
    torch.library.opcheck(operator, arguments(dtype), test_utils=("test_schema", "test_faketensor"))
    made = operator(*arguments(dtype))
    assert made.is_contiguous(memory_format=torch.channels_last)
    assert made.dtype == dtype


def test_what_is_no_kernel_is_said_once_and_the_tensor_code_fills(caplog: pytest.LogCaptureFixture) -> None:
    """Where there is no GPU the kernel cannot be launched: Triton has no driver."""
    device = torch.device("cpu")
    sampling._fill_on_cuda.cache_clear()
    with caplog.at_level(logging.WARNING):
        ways = {sampling._fill_on_cuda(device) for _ in range(3)}
    assert ways == {sampling._fill_rounded_once}
    assert len(caplog.records) == 1
    assert "instead of one" in caplog.text
    sampling._fill_on_cuda.cache_clear()
