"""What `torch.cuda` says while there is a fake device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks.gpu_budget.account import Account
from benchmarks.gpu_budget.fake_cuda import DeviceTensor, FakeCuda
from benchmarks.gpu_budget.page_locked import PageLocked


@contextmanager
def fake_cuda(account: Account) -> Iterator[None]:
    """Within, in this thread, `torch.cuda` has a device; what it is asked to do is entered in the account.

    Where there is a real one it is set up first, since PyTorch notes once a process that this has been done.
    """
    if torch.cuda.is_available():
        torch.cuda.init()
    torch._C._ensureCUDADeviceGuardSet()
    page_locked = PageLocked()
    with ExitStack() as stack:
        # A module's parameters become tensors of our class, in place of an ordinary one's with our contents.
        stack.enter_context(patch("torch.__future__._overwrite_module_params_on_conversion", True))
        for name, value in _driver(account, page_locked).items():
            stack.enter_context(patch.object(torch.cuda, name, value))
        stack.enter_context(patch("torchvision.io.decode_jpeg", _decode_jpeg))
        # `torch.tensor` makes its tensor on the host, and then copies that in an operator of its own.
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        # For what a chain sets up too: a view of an ordinary tensor cannot be one of inference.
        stack.enter_context(torch.inference_mode())
        stack.enter_context(FakeCuda(account, page_locked))
        yield


def _driver(account: Account, page_locked: PageLocked) -> dict[str, Any]:
    """Functions of `torch.cuda`; the names of those that the chain may call."""

    def synchronize(*_device: object) -> None:
        account.wait("synchronize")

    class Event:
        def __init__(self, **_options: object) -> None: ...

        def record(self, *_stream: object) -> None: ...

        def query(self) -> bool:
            return True

        def wait(self, *_stream: object) -> None: ...

        def synchronize(self) -> None:
            synchronize()

    stream = SimpleNamespace(synchronize=synchronize, wait_stream=lambda _: None, wait_event=lambda _: None)
    cudart = SimpleNamespace(cudaHostRegister=page_locked.lock, cudaHostUnregister=page_locked.unlock)
    return {
        "Event": Event,
        "Stream": lambda *_: stream,
        "_lazy_init": lambda: None,
        "cudart": lambda: cudart,
        "current_stream": lambda *_: stream,
        "device": nullcontext,
        "get_device_capability": lambda *_: (9, 0),
        "is_available": lambda: True,
        "set_device": lambda _: None,
        "stream": nullcontext,
        "synchronize": synchronize,
    }


def _decode_jpeg(encoded: list[Tensor], mode: Any, device: torch.device) -> list[Tensor]:  # noqa: ANN401 - an enum
    """Stands in for nvJPEG: pixels of the device, decoded by the host."""
    decode = torch.ops.image.decode_jpeg
    return [DeviceTensor(decode(one, mode.value, False)) for one in encoded]
