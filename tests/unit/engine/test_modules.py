"""Networks that come as PyTorch modules: in, checked, out again in both engines, and never unpickled."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
import zipfile

import pytest
import safetensors.torch
import torch
from quintet.engine import modules
from quintet.engine.conversion import build
from quintet.engine.engine import Engine
from quintet.engine.settings import EngineSettings
from quintet.engine.weights import NetworkStore, Source
from quintet.errors import WeightsError
from torch import nn

HERE = __name__


class Tiny(nn.Module):
    """Convolution, PReLU and a pool that rounds up: any height and width in, two outputs out."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.prelu = nn.PReLU(4)
        self.pool = nn.MaxPool2d(2, 2, ceil_mode=True)

    def forward(self, images):
        maps = self.pool(self.prelu(self.norm(self.conv(images))))
        return maps.softmax(dim=1), maps.mean(dim=(2, 3))


class Vectors(nn.Module):
    """Not of images: (N, 6) in."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 2)

    def forward(self, vectors):
        return self.linear(vectors)


class Branching(nn.Module):
    """What no export follows: its way depends on the values."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 2)

    def forward(self, vectors):
        return self.linear(vectors) if float(vectors.sum()) > -1e9 else vectors


class Mixing(Vectors):
    """Looks at its neighbours."""

    def forward(self, vectors):
        return self.linear(vectors - vectors.mean(dim=0))


def source(make, shape, **changes):
    return dataclasses.replace(Source("net", "", "", "", "", "", shape, module=f"{HERE}:{make.__name__}"), **changes)


def made(folder, sources, files=None):
    store = NetworkStore(folder, sources)
    build.build_store(store, "converter", files=files)
    return store


def pinned(folder, name, content):
    (folder / name).write_bytes(content)
    return {"file": name, "file_sha256": hashlib.sha256(content).hexdigest()}


def saved(tensors, path, **options):
    torch.save(tensors, path, **options)
    return path.read_bytes()


@pytest.mark.parametrize("how", ["first weights", "pt", "safetensors", "wheel"])
def test_a_module_runs_alike_in_both_engines_with_the_weights_of_its_file(tmp_path, how):
    torch.manual_seed(5)
    trained = Tiny().eval()
    trained.norm.running_mean.fill_(0.25)
    given = source(Tiny, ("N", 3, "H", "W"))
    wheels = None
    if how == "pt":
        given = dataclasses.replace(given, **pinned(tmp_path, "a.pt", saved(trained.state_dict(), tmp_path / "a.pt")))
    elif how == "safetensors":
        content = safetensors.torch.save(trained.state_dict())
        given = dataclasses.replace(given, **pinned(tmp_path, "a.safetensors", content))
    elif how == "wheel":
        content = saved(trained.state_dict(), tmp_path / "a.pt")
        wheels = tmp_path / "wheels"
        wheels.mkdir()
        with zipfile.ZipFile(wheels / "my_nets-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr("nets/a.pt", content)
        digest = hashlib.sha256(next(wheels.iterdir()).read_bytes()).hexdigest()
        file = {"file": "nets/a.pt", "file_sha256": hashlib.sha256(content).hexdigest()}
        given = dataclasses.replace(given, wheel="my-nets", version="1.0", wheel_sha256=digest, **file)
    store = NetworkStore(tmp_path / "store", [given])
    build.build_store(store, "converter", wheels, tmp_path)
    images = torch.rand(3, 3, 21, 34)
    with torch.inference_mode():
        expected = (store.load("net") if how == "first weights" else trained)(images)
    for engine in ("torch", "openvino"):
        network = Engine(EngineSettings(engine=engine, device="cpu", dtype="float32"), store).network("net")
        for ours, theirs in zip(network(images), expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        assert [out.shape for out in network(images[:0])] == [out[:0].shape for out in expected], "no items, no error"


def test_first_weights_are_the_same_each_time_and_leave_the_random_state_alone(tmp_path):
    state = torch.get_rng_state()
    modules.build(f"{HERE}:Vectors")
    assert torch.equal(torch.get_rng_state(), state)
    stores = [made(tmp_path / name, [source(Vectors, ("N", 6))]) for name in ("a", "b")]
    assert stores[0].fingerprint() == stores[1].fingerprint()


def test_what_openvino_cannot_read_runs_in_pytorch(tmp_path, caplog):
    store = made(tmp_path, [source(Branching, ("N", 6))])
    assert "net runs in PyTorch on a CPU too" in caplog.text
    assert store.openvino_path("net") is None
    engine = Engine(EngineSettings(device="cpu"), store)
    assert engine.network("net")(torch.rand(4, 6))[0].shape == (4, 2)


def test_a_network_whose_items_depend_on_their_batch_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="net: the converted network is off by"):
        made(tmp_path, [source(Mixing, ("N", 6))])


class Bomb:
    def __reduce__(self):
        return (print, ("unpickled",))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Bomb()), "no state dict that weights_only reads"),
        (b"no tensors", "no state dict that weights_only reads"),
    ],
    ids=["pickle", "rubbish"],
)
def test_nothing_is_unpickled(tmp_path, capsys, content, words):
    with pytest.raises(WeightsError, match=words):
        made(tmp_path / "store", [source(Vectors, ("N", 6), **pinned(tmp_path, "a.pt", content))], tmp_path)
    assert "unpickled" not in capsys.readouterr().out


def test_files_that_are_not_what_the_source_says_are_refused_with_words(tmp_path):
    content = saved(Vectors().state_dict(), tmp_path / "a.pt")
    right = pinned(tmp_path, "a.pt", content)

    def refused(words, files=tmp_path, make=Vectors, **changes):
        with pytest.raises(WeightsError, match=words):
            made(tmp_path / "store", [source(make, ("N", 6), **{**right, **changes})], files)

    refused("--files DIR", files=None)
    refused("cannot read b.pt", file="b.pt")
    refused(f"its SHA-256 is {right['file_sha256']}", file_sha256="0" * 64)
    refused("do not fit the module", make=Tiny)
    refused("no state dict: it must map names", **pinned(tmp_path, "c.pt", saved([1], tmp_path / "c.pt")))
    refused("there is no function", module="json:nothing")
    refused("not a torch.nn.Module", module="builtins:dict")
    assert not (tmp_path / "store" / "provenance.json").exists()


@pytest.mark.parametrize("suffix", [".safetensors", ".xml", ".bin"])
def test_a_changed_file_is_found(tmp_path, suffix):
    store = made(tmp_path, [source(Vectors, ("N", 6))])
    path = store.path("net", suffix)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(WeightsError, match="was changed"):
        store.verify()
