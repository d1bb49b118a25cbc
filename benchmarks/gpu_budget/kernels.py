"""What an operator is on CUDA: kernels with their bytes and FLOPs, a wait, or nothing but another view of memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from quintet.authoring.checks.waits import WAITING, has_mask
from torch import Tensor
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

# Besides those that are views by their schema.
_NO_KERNEL = frozenset({
    "_unsafe_view", "_reshape_alias", "detach", "empty", "empty_like", "empty_strided", "lift_fresh", "new_empty",
    "new_empty_strided", "record_stream",
})  # fmt: skip
# On the host these are free; the first is a wait unless the size of its result is given.
_WAITING_ON_DEVICE = frozenset({"repeat_interleave", "bincount", "unique_dim"})
# They read as many elements of their first tensor as they write, not all of it.
_GATHERING = frozenset({"gather", "index", "index_select", "embedding", "take"})
# They touch as many elements of their first tensor as they are given values or indices.
_SCATTERING = frozenset({"index_add_", "index_fill_", "index_put_", "masked_fill_", "scatter_", "scatter_add_"})
# They write their first tensor without reading it.
_OVERWRITING = frozenset({"copy_", "fill_", "zero_"})
# A kernel of ours that blends four words of four bytes into three channels: so much a value written, of each input.
_OURS, _READ_BY_OURS = "quintet", 16 / 3


class Kernel(NamedTuple):
    """One launch."""

    kind: str  # the operator; of convolutions what they are, and their bias apart
    bytes: float
    flops: float
    largest: int  # bytes of the largest tensor


class Operator(NamedTuple):
    """A call that the dispatcher was given, and what came of it."""

    func: Any  # PyTorch does not type operators
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    out: Any

    @property
    def name(self) -> str:
        """Without namespace and overload."""
        return name_of(self.func)


def name_of(func: Any) -> str:  # noqa: ANN401 - as above
    """An operator's name without namespace and overload."""
    return str(func.name()).split("::")[1].split(".")[0]


def is_view(func: Any) -> bool:  # noqa: ANN401 - as above
    """Whether an operator launches nothing: it looks at memory another way, or takes some."""
    return bool(func.is_view) or name_of(func) in _NO_KERNEL


def waits(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> bool:  # noqa: ANN401 - as above
    """Whether the host waits for the device to know what comes of it; copies to the host are seen elsewhere."""
    name = name_of(func)
    if name in _WAITING_ON_DEVICE:
        return kwargs.get("output_size") is None
    return name in WAITING or (name in {"index", "index_put", "index_put_"} and has_mask(args[1]))


def kernels_of(operator: Operator) -> Iterator[Kernel]:
    """The launches of an operator on the device; sorts and others that are several kernels count as one."""
    largest = max(map(_size, _tensors((operator.args, operator.kwargs, operator.out))), default=0)
    flops, kind, moved = _flops(operator), operator.name, _bytes(operator)
    if kind == "cudnn_convolution_relu":
        kind = _kind_of_convolution(operator.args[1], groups=operator.args[6])
        yield Kernel(f"{kind} with ReLU", moved, flops, largest)
        return
    if kind == "convolution":
        kind = _kind_of_convolution(operator.args[1], transposed=operator.args[6], groups=operator.args[8])
        yield Kernel(kind, moved, flops, largest)
        if operator.args[2] is not None:  # cuDNN has no bias in PyTorch: it is added in place
            yield Kernel("bias of a convolution", 2 * _size(operator.out), 0, _size(operator.out))
        return
    if kind == "constant_pad_nd":  # filled whole, then copied into
        yield Kernel("fill of a pad", _size(operator.out), 0, largest)
    yield Kernel(kind, moved, flops, largest)


def plan_of(operator: Operator) -> tuple[Any, ...] | None:
    """What cuDNN keeps a plan for, of a convolution: shapes, stride, padding, dilation, groups; None of others."""
    if operator.name not in {"convolution", "cudnn_convolution_relu"}:
        return None
    args = operator.args
    return operator.name, tuple(args[0].shape), tuple(args[1].shape), *(tuple(one) for one in args[3:6]), args[-1]


def _flops(operator: Operator) -> float:
    args, kind = operator.args, operator.name
    if kind in {"_addmm_activation", "addmm_"}:  # for which PyTorch has no formula
        return float(2 * args[1].numel() * args[2].shape[1])
    if kind == "cudnn_convolution_relu":
        return float(2 * operator.out.numel() * args[1].shape[1:].numel())
    formula = flop_registry.get(operator.func.overloadpacket)
    return float(formula(*args, **operator.kwargs, out_val=operator.out)) if formula else 0.0


def _kind_of_convolution(weight: Tensor, *, groups: int, transposed: bool = False) -> str:
    if transposed:
        return "convolution, transposed"
    if groups > 1:
        return "convolution, depthwise"
    return f"convolution {'x'.join(map(str, weight.shape[2:]))}"


def _bytes(operator: Operator) -> float:
    """What is read and written, each tensor once; of broadcast ones what lies in memory."""
    arguments = _tensors((operator.args, operator.kwargs))
    changed = _tensors(_changed(operator))
    made = [tensor for tensor in _tensors(operator.out) if not _is_among(tensor, changed)]
    skipped = changed if operator.name in _OVERWRITING else _tensors(operator.kwargs.get("out"))
    read = [tensor for tensor in arguments if not _is_among(tensor, skipped)]
    written = sum(map(_size, (*made, *changed)))
    if operator.name in _SCATTERING:
        given = [_size(tensor) for tensor in arguments if not _is_among(tensor, changed)]
        return sum(given) + 2 * max(given, default=0)
    if operator.name in _GATHERING:
        return 2 * written + sum(map(_size, read[1:]))
    if operator.func.namespace == _OURS:
        elements = sum(tensor.numel() for tensor in (*made, *changed))
        return written + sum(min(_size(tensor), _READ_BY_OURS * elements) for tensor in read)
    return written + sum(map(_size, read))


def _changed(operator: Operator) -> list[Any]:
    """The arguments that an operator writes to, by its schema."""
    schema = operator.func._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, operator.args, strict=False)} | operator.kwargs
    written = [argument.name for argument in schema if argument.alias_info and argument.alias_info.is_write]
    return [given.get(name) for name in written]


def _is_among(tensor: Tensor, tensors: Sequence[Tensor]) -> bool:
    return any(tensor is one for one in tensors)


def _size(tensor: Tensor) -> int:
    """Bytes in memory: what a view shows several times, as windows that overlap do, lies there once."""
    spread = [(size, stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride]
    elements = torch.Size(size for size, _ in spread).numel()
    reached = 1 + sum((size - 1) * stride for size, stride in spread)
    return min(elements, reached) * tensor.element_size() if tensor.numel() else 0


def _tensors(values: Any) -> list[Tensor]:  # noqa: ANN401 - any nest
    return [value for value in tree_leaves(values) if isinstance(value, Tensor)]
