"""A CUDA device that is not there: tensors that say they lie on it, and a mode that runs what is asked of them.

Their data lie on the CPU, or nowhere (PyTorch's device `meta`), as inside a network, where only shapes are needed. What
a device would refuse, and what it would do slowly without a word, is an error here: tensors of host and device in one
operator, a host tensor as an index into one of the device.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import quintet
import torch
from torch import Tensor
from torch.utils import _pytree
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_budget.account import Account
from benchmarks.gpu_budget.kernels import Operator, is_view, name_of, waits
from benchmarks.gpu_budget.page_locked import PINNING, PageLocked

CUDA = torch.device("cuda", 0)
_CODE = Path(quintet.__file__ or "").parent
_COPIES = frozenset({"_to_copy", "copy_"})
_INDEXED = frozenset({"index", "index_put", "index_put_"})
# Composed of others elsewhere, but one kernel on CUDA.
_WHOLE = frozenset({"upsample_nearest2d"})


class MixedDevicesError(RuntimeError):
    """An operator was given tensors of the device and of the host."""


class DeviceTensor(torch.Tensor):
    """A tensor of the device; `held` has its data on the CPU, or is a meta tensor."""

    held: Tensor

    @staticmethod
    def __new__(cls: type[DeviceTensor], held: Tensor) -> DeviceTensor:
        """Like `held`, but for the device."""
        made: DeviceTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CUDA,
        )
        made.held = held
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, *_: Any, **__: Any) -> Any:  # type: ignore[override]  # noqa: ANN401
        """Refuse: there is no device any more."""
        raise RuntimeError(f"{func} on a tensor of the device, outside of fake_cuda")

    def __repr__(self) -> str:  # type: ignore[override]
        return f"DeviceTensor({tuple(self.shape)}, {self.dtype})"

    def tolist(self) -> Any:  # noqa: ANN401 - as deep as the tensor
        """A copy to the host, then a list, as of a real one; PyTorch refuses it to subclasses."""
        return self.cpu().tolist()

    def hollow(self) -> DeviceTensor:
        """The same without data."""
        return DeviceTensor(_without_data(self.held))


class FakeCuda(TorchDispatchMode):
    """Runs operators on what device tensors hold, and enters them in an account. For one thread."""

    def __init__(self, account: Account, page_locked: PageLocked) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # PyTorch does not type it
        self._account = account
        self._page_locked = page_locked

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - PyTorch does not type operators
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the operator returns
        """Run one operator, of the device or of the host."""
        kwargs, name = dict(kwargs or {}), name_of(func)
        values = _pytree.tree_leaves((args, kwargs))
        if name in PINNING or kwargs.get("pin_memory"):
            return self._page_locked.run(func, args, kwargs)
        if not any(isinstance(v, DeviceTensor) or (isinstance(v, torch.device) and v.type == "cuda") for v in values):
            return func(*args, **kwargs)
        if name == "scaled_dot_product_attention":
            return self._attention(*args, **kwargs)
        if name == "cudnn_convolution_relu":
            return self._convolution_relu(func, args)
        if name not in _WHOLE and _is_composed(func):
            with self:
                return func.decompose(*args, **kwargs)
        _check_devices(func, values)
        return self._run(func, tuple(args), kwargs)

    def _run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401 - as above
        """An operator that is not composed of others."""
        on_device = [value for value in _pytree.tree_leaves((args, kwargs)) if isinstance(value, DeviceTensor)]
        stays = _stays_on_device(func, args, kwargs)
        # What a network makes from nothing has no data either.
        hollow = any(tensor.held.is_meta for tensor in on_device) or (self._account.in_network and not on_device)
        if hollow and (not stays or waits(func, args, kwargs)):
            raise RuntimeError(f"{func} needs a value from within a network, where tensors have none here")
        held = {id(one): _without_data(one.held) if hollow else one.held for one in on_device}
        wrapped = {id(held[id(one)]): one for one in on_device}
        inner_args, inner_kwargs = _pytree.tree_map_only(DeviceTensor, lambda one: held[id(one)], (args, kwargs))
        if "device" in kwargs:
            inner_kwargs["device"] = torch.device("meta" if hollow else "cpu")
        for driver_word in ("pin_memory", "non_blocking"):
            inner_kwargs.pop(driver_word, None)

        def wrap(made: Tensor) -> DeviceTensor:
            tensor = wrapped[id(made)] if id(made) in wrapped else DeviceTensor(made)
            tensor.held = made  # without data now, where it was changed by a tensor that has none
            return tensor

        out = func(*inner_args, **inner_kwargs)
        if name_of(func) == "convolution":
            out = _laid_out_by_cudnn(out, args)
        out = _pytree.tree_map_only(Tensor, wrap, out) if stays else out
        self._enter(Operator(func, args, kwargs, out), stays=stays)
        return out

    def _enter(self, operator: Operator, *, stays: bool) -> None:
        name, args = operator.name, operator.args
        source = args[name == "copy_"] if name in _COPIES else None
        if source is not None and not stays:
            self._account.to_host(source.nbytes)
            if not (operator.kwargs.get("non_blocking") or args[2:] == (True,)):
                self._account.wait(f"{name} to the host{_where()}")
        elif source is not None and not isinstance(source, DeviceTensor):
            self._account.to_device(source.nbytes, page_locked=self._page_locked.holds(source))
        else:
            if waits(operator.func, args, operator.kwargs):
                self._account.wait(f"{name}{_where()}")
            if not is_view(operator.func):
                self._account.operator(operator)

    def _convolution_relu(self, func: Any, args: Sequence[Any]) -> Any:  # noqa: ANN401 - as above
        """Which PyTorch has for CUDA alone."""
        _check_devices(func, args)
        x, weight, bias = (one.held.to(args[0].held.device) for one in args[:3])
        out = DeviceTensor(_laid_out_by_cudnn(torch.nn.functional.conv2d(x, weight, bias, *args[3:]), args))
        self._account.operator(Operator(func, tuple(args), {}, out))
        return out

    def _attention(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        *rest: Any,  # noqa: ANN401 - PyTorch's own arguments
        **options: Any,  # noqa: ANN401 - as above
    ) -> Any:  # noqa: ANN401 - a device tensor
        """As CUDA does it: half precision in one kernel, heads padded to a multiple of 8; else in steps."""
        aten, head = torch.ops.aten, query.shape[-1]
        scale = options.pop("scale", None) or head**-0.5
        with self:
            if query.element_size() != 2 or rest or options:
                math = aten._scaled_dot_product_attention_math
                return math(query, key, value, *rest, scale=scale, **options)[0]
            padded = [torch.nn.functional.pad(one, (0, -head % 8)) if head % 8 else one for one in (query, key, value)]
            # Heads lie beside one another in what the kernel writes.
            out = torch.empty_like(padded[0].transpose(1, 2), memory_format=torch.contiguous_format).transpose(1, 2)
        q, k, v, lines = _pytree.tree_map_only(DeviceTensor, lambda one: one.held, [*padded, out])
        lines.copy_(torch.nn.functional.scaled_dot_product_attention(q, k, v, scale=scale))
        flash = aten._scaled_dot_product_flash_attention.default
        self._account.operator(Operator(flash, tuple(padded), {"scale": scale}, (out,)))
        with self:
            return out[..., :head]


def _is_composed(func: Any) -> bool:  # noqa: ANN401 - as above
    composed = "CompositeImplicitAutograd"
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), composed))


def _check_devices(func: Any, values: Sequence[Any]) -> None:  # noqa: ANN401 - as above
    """Refuse what CUDA refuses, and indices that would be copied from the host without a word."""
    tensors = [value for value in values if isinstance(value, Tensor)]
    on_host = [tensor for tensor in tensors if not isinstance(tensor, DeviceTensor)]
    if len(on_host) in {0, len(tensors)} or name_of(func) in _COPIES:
        return
    # A single number of the host goes along as an argument of a kernel, but for an index.
    if name_of(func) in _INDEXED or any(tensor.ndim for tensor in on_host):
        shapes = ", ".join(f"{'device' if isinstance(t, DeviceTensor) else 'host'} {tuple(t.shape)}" for t in tensors)
        raise MixedDevicesError(f"{func}{_where()} was given tensors of both: {shapes}; copy with Engine.to_device")


def _stays_on_device(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:  # noqa: ANN401 - as above
    """Whether the result of an operator lies on the device."""
    if kwargs.get("device") is not None:
        return bool(kwargs["device"].type == "cuda")
    return name_of(func) != "copy_" or isinstance(args[0], DeviceTensor)


def _laid_out_by_cudnn(made: Tensor, args: Sequence[Any]) -> Tensor:
    """A convolution's output, channels last if input or weight is, which PyTorch without data does not always say."""
    last = any(one.held.is_contiguous(memory_format=torch.channels_last) for one in args[:2])
    return made.contiguous(memory_format=torch.channels_last) if last else made


def _without_data(tensor: Tensor) -> Tensor:
    if tensor.is_meta:
        return tensor
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")


def _where() -> str:
    """The line of the service's code that is under way."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(_CODE):
            return f" at {file.relative_to(_CODE)}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
