"""Make a folder of photos and their truth: `python -m benchmarks.sample_photos FOLDER --photos 24 --seed 7`.

Faces of two portraits are pasted at several sizes and places onto photos of other things, and signs with a line of
text. truth.json tells of each file its size, the boxes of its faces and the quads of its texts, in pixels.
"""

import argparse
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from benchmarks.photo_files import FACELESS, PORTRAITS, PhotosMissingError, photo_files
from benchmarks.sample_pages.fonts import TEXT_FAMILIES, Pen, load_font
from benchmarks.sample_pages.words import heading

TRUTH_FILE = "truth.json"
_LONG_SIDE_PX = (480, 1600)
_FACE_HEIGHT_PX = (36, 360)
_CONTEXT = 0.35  # of a face's size, on each side: hair and neck come with it
_TEXT_PX = (22, 64)
_TURN_DEG = 8.0
_TRIES = 12

Box = tuple[float, float, float, float]
Quad = list[list[float]]


class Photo(NamedTuple):
    """One photo and what is on it: boxes (x0, y0, x1, y1) and quads from the text's top left, clockwise."""

    image: Image.Image
    faces: list[Box]
    texts: list[Quad]


def make_photo(files: dict[str, Path], seed: int, index: int) -> Photo:
    """One photo, a function of seed and index alone: every fourth is a portrait, the others show other things."""
    rng = random.Random(f"photo/{seed}/{index}")
    name = rng.choice(tuple(PORTRAITS)) if index % 4 == 0 else rng.choice(FACELESS)
    with Image.open(files[name]) as opened:
        image = opened.convert("RGB")
    scale = rng.randint(*_LONG_SIDE_PX) / max(image.size)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
    photo = Photo(image, [_scaled(PORTRAITS[name], scale)] if name in PORTRAITS else [], [])
    taken = list(photo.faces)
    for _ in range(rng.randint(0, 4)):
        _paste_face(photo, taken, files, rng)
    for _ in range(rng.randint(0, 3)):
        _paste_sign(photo, taken, rng)
    return photo


def _scaled(box: Sequence[float], scale: float) -> Box:
    left, top, right, bottom = (value * scale for value in box)
    return left, top, right, bottom


def _paste_face(photo: Photo, taken: list[Box], files: dict[str, Path], rng: random.Random) -> None:
    """Paste a face with soft edges where nothing is yet, if there is such a place."""
    name = rng.choice(tuple(PORTRAITS))
    left, top, right, bottom = PORTRAITS[name]
    margins = _CONTEXT * (right - left), _CONTEXT * (bottom - top)
    height = math.exp(rng.uniform(*map(math.log, _FACE_HEIGHT_PX)))
    scale = min(height, 0.4 * photo.image.height) / (bottom - top)
    with Image.open(files[name]) as opened:
        around = (left - margins[0], top - margins[1], right + margins[0], bottom + margins[1])
        cut = opened.convert("RGB").crop(around)
    cut = cut.resize((round(cut.width * scale), round(cut.height * scale)), Image.Resampling.LANCZOS)
    cut = ImageOps.mirror(cut) if rng.random() < 0.5 else cut
    cut = ImageEnhance.Brightness(cut).enhance(rng.uniform(0.75, 1.2))
    if (place := _free_place(photo.image.size, cut.size, taken, rng)) is None:
        return
    mask = Image.new("L", cut.size, 0)
    edge = round(0.08 * cut.width)
    ImageDraw.Draw(mask).rounded_rectangle((edge, edge, cut.width - edge, cut.height - edge), 3 * edge, fill=255)
    photo.image.paste(cut, place, mask.filter(ImageFilter.GaussianBlur(edge / 2)))
    x, y = place[0] + margins[0] * scale, place[1] + margins[1] * scale
    photo.faces.append((x, y, x + (right - left) * scale, y + (bottom - top) * scale))


def _paste_sign(photo: Photo, taken: list[Box], rng: random.Random) -> None:
    """Paste a sign with one line of text, slightly turned, where nothing is yet, if there is such a place."""
    dark, light = (rng.randint(0, 70),) * 3, (rng.randint(190, 255), rng.randint(190, 255), rng.randint(150, 255))
    ink, paper = (dark, light) if rng.random() < 0.7 else (light, dark)
    font = load_font(Pen(rng.choice(TEXT_FAMILIES), rng.randint(*_TEXT_PX), "bold", ink))
    text = " ".join(heading(rng).split()[: rng.randint(2, 4)])
    x0, y0, x1, y1 = font.getbbox(text)
    margin = font.size / 2
    size = math.ceil(x1 - x0 + 2 * margin), math.ceil(y1 - y0 + 2 * margin)
    sign = Image.new("RGBA", size, (*paper, 255))
    ImageDraw.Draw(sign).text((margin - x0, margin - y0), text, fill=ink, font=font)
    turn_deg = rng.uniform(-_TURN_DEG, _TURN_DEG)
    turned = sign.rotate(-turn_deg, Image.Resampling.BICUBIC, expand=True)
    if (place := _free_place(photo.image.size, turned.size, taken, rng)) is None:
        return
    photo.image.paste(turned, place, turned)
    centre = place[0] + turned.width / 2, place[1] + turned.height / 2
    half = (x1 - x0) / 2, (y1 - y0) / 2
    cos, sin = math.cos(math.radians(turn_deg)), math.sin(math.radians(turn_deg))
    corners = [(-half[0], -half[1]), (half[0], -half[1]), half, (-half[0], half[1])]
    photo.texts.append([[centre[0] + x * cos - y * sin, centre[1] + x * sin + y * cos] for x, y in corners])


def _free_place(
    size: tuple[int, int], needed: tuple[int, int], taken: list[Box], rng: random.Random
) -> tuple[int, int] | None:
    """A top left corner at which nothing is covered, taken from now on; None if none was found."""
    for _ in range(_TRIES if needed[0] < size[0] and needed[1] < size[1] else 0):
        x, y = rng.randint(0, size[0] - needed[0]), rng.randint(0, size[1] - needed[1])
        right, bottom = x + needed[0], y + needed[1]
        if all(right <= x0 or x >= x1 or bottom <= y0 or y >= y1 for x0, y0, x1, y1 in taken):
            taken.append((x, y, right, bottom))
            return x, y
    return None


def write_photos(folder: Path, count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Write photos and then their truth, which it returns: a folder with a truth is a complete one.

    Raises:
        PhotosMissingError: the photos that they are made of cannot be downloaded.
    """
    files = photo_files()
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, dict[str, Any]] = {}
    for index in range(count):
        photo = make_photo(files, seed, index)
        name = f"photo-{index:04}.{'png' if index % 7 == 5 else 'jpg'}"
        photo.image.save(folder / name, quality=90)
        truth[name] = {
            "width_px": photo.image.width,
            "height_px": photo.image.height,
            "faces": [[round(value, 1) for value in box] for box in photo.faces],
            "texts": [[[round(value, 1) for value in point] for point in quad] for quad in photo.texts],
        }
    (folder / TRUTH_FILE).write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    return truth


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sample_photos", description=__doc__)
    parser.add_argument("output", type=Path, help="folder for the photos and truth.json")
    parser.add_argument("--photos", type=int, default=24, help="how many photos (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="same seed, same bytes (default: %(default)s)")
    options = parser.parse_args(arguments)
    try:
        truth = write_photos(options.output, options.photos, options.seed)
    except PhotosMissingError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    faces, texts = (sum(len(photo[what]) for photo in truth.values()) for what in ("faces", "texts"))
    sys.stderr.write(f"{len(truth)} photos with {faces} faces and {texts} texts in {options.output}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
