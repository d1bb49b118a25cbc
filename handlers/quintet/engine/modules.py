"""Networks that come as PyTorch modules: built by a function of the chain's package, their weights never unpickled."""

import importlib
import io
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from quintet.errors import WeightsError

# Modules whose weights are those they are made with are made alike everywhere.
_SEED = 0


def build(name: str) -> nn.Module:
    """The module that ``package.module:function`` makes, in eval mode and without gradients.

    Raises:
        WeightsError: there is no such function, or it makes no module.
    """
    place, _, function = name.partition(":")
    try:
        make = getattr(importlib.import_module(place), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise WeightsError(f"there is no function {name} that makes a network: {error}") from error
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        module = make()
    if not isinstance(module, nn.Module):
        raise WeightsError(f"{name} makes a {type(module).__name__}, not a torch.nn.Module")
    return module.eval().requires_grad_(False)


def load(name: str, path: Path) -> nn.Module:
    """The module of this name with the weights of a .safetensors file, strictly.

    Raises:
        WeightsError: as `build`, or the file cannot be read or does not fit.
    """
    module = build(name)
    fill(module, _read(path.read_bytes(), path.name), f"{path.name} for {name}")
    return module


def fill(module: nn.Module, tensors: Mapping[str, Tensor], words: str) -> None:
    """Give a module these weights, strictly; WeightsError, which says `words`, if they do not fit."""
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        raise WeightsError(f"{words}: the weights do not fit the module: {error}") from error


def state_dict_of(content: bytes, file: str) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state dict that `torch.save` wrote, read with weights_only.

    Raises:
        WeightsError: it is neither, or holds more than tensors by name.
    """
    if file.endswith(".safetensors"):
        return _read(content, file)
    try:
        tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files bring out errors of many types
        raise WeightsError(f"{file} is no state dict that weights_only reads: {error}") from error
    if not isinstance(tensors, Mapping) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise WeightsError(f"{file} is no state dict: it must map names to tensors; save model.state_dict()")
    return dict(tensors)


def save(module: nn.Module, path: Path) -> None:
    """Write a module's weights as .safetensors; tensors that share memory are written each for itself."""
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in module.state_dict().items()}
    path.write_bytes(safetensors.torch.save(tensors))


def _read(content: bytes, file: str) -> dict[str, Tensor]:
    try:
        tensors: dict[str, Tensor] = safetensors.torch.load(content)
    except Exception as error:  # its errors have no common type
        raise WeightsError(f"{file} cannot be read as safetensors: {error}") from error
    return tensors
