"""No source of ours unpickles, evaluates or shells out: held against the syntax trees, not against words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
SOURCES = sorted(
    path for folder in ("handlers", "client", "benchmarks", "requirements") for path in (ROOT / folder).rglob("*.py")
)
# Modules whose loading runs what it loads, or that hide such a module.
MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "jsonpickle"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "tempfile.mktemp",
    "torch.hub.load",
    "torch.jit.load",
}
# These are safe with the right word only.
NEEDS = {
    "torch.load": ("weights_only", True),
    "numpy.load": ("allow_pickle", False),
    "np.load": ("allow_pickle", False),
}
FORBIDDEN_WORDS = {("shell", True), ("verify", False), ("allow_pickle", True), ("weights_only", False)}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression that is one, else an empty string."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(source: str) -> Iterator[str]:
    """What a source must not do, with its line."""
    for node in ast.walk(ast.parse(source)):
        for fault in (*_imports(node), *_calls(node)):
            yield f"line {node.lineno}: {fault}"


def _imports(node: ast.AST) -> Iterator[str]:
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
    if isinstance(node, ast.ImportFrom) and node.module:
        names = [node.module, *(f"{node.module}.{name}" for name in names)]
    yield from (f"imports {name}" for name in names if set(name.split(".")) & MODULES)


def _calls(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = dotted(node.func)
    words = {(word.arg, word.value.value) for word in node.keywords if isinstance(word.value, ast.Constant)}
    if name in CALLS or name.split(".")[0] in MODULES or name in {"yaml.load", "yaml.unsafe_load", "yaml.full_load"}:
        yield f"calls {name}"
    if name in NEEDS and NEEDS[name] not in words:
        yield f"calls {name} without {NEEDS[name][0]}={NEEDS[name][1]}"
    yield from (f"calls {name or 'something'} with {word}={value}" for word, value in words & FORBIDDEN_WORDS)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_source_loads_no_code_from_data_and_starts_no_shell(path: Path) -> None:
    assert list(faults(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch.serialization, dill as d",
        "from multiprocessing import reduction, pickle",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "eval(text)",
        "import os; os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "requests.get(url, verify=False)",
        "torch.hub.load('owner/name', 'model')",
    ],
)
def test_what_is_forbidden_is_found(source: str) -> None:
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        "import json",
        "torch.load(path, weights_only=True)",
        "np.load(path, allow_pickle=False)",
        "yaml.safe_load(text)",
        "re.compile('x')",
        "network.eval()",
        "subprocess.run(['ls'], check=True)",
        "# import pickle",
    ],
)
def test_what_is_allowed_is_not(source: str) -> None:
    assert not list(faults(source))
