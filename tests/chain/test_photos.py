"""Properties of the photo chain, with its five real networks, beside facenet-pytorch and ONNX Runtime."""

from __future__ import annotations

import io
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from quintet.authoring.checks.waits import CountWaits
from quintet.errors import Code, Failure, SettingsError, WeightsError
from quintet.frame.chain import Chain, find_chain
from quintet.photos.budgets import Budgets
from quintet.photos.chain import PhotoChain
from quintet.photos.settings import PhotoSettings
from quintet.photos.stages.face_proposals import Levels, pyramid, tiles_of

from benchmarks.bench_photos.agreement import compare
from benchmarks.bench_photos.script import PhotoScript
from benchmarks.photo_files import PhotosMissingError, photo_files
from benchmarks.sample_photos import write_photos
from tests.chain.test_chain import results
from tests.conftest import MODEL_STORE, encode

STORE = MODEL_STORE / "photos"


@pytest.fixture(scope="module")
def photo_store() -> Path:
    if not (STORE / "provenance.json").exists():
        pytest.skip("model_store/photos/ is empty: run make models CHAIN=photos")
    return STORE


@pytest.fixture(scope="module")
def photo_chain(photo_store: Path) -> PhotoChain:
    return PhotoChain(PhotoSettings(), photo_store)


@pytest.fixture(scope="module")
def script(photo_store: Path) -> PhotoScript:
    try:
        return PhotoScript()
    except WeightsError as error:
        pytest.skip(f"the reference is not at hand: {error}")


def made_photos(folder: Path, count: int, seed: int) -> dict[str, dict[str, Any]]:
    """Photos in a folder, and their truth."""
    try:
        return write_photos(folder, count, seed)
    except PhotosMissingError as error:
        pytest.skip(f"the photos are not at hand: {error}")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two portraits, three photos of other things, all of other sizes; faces, signs and neither pasted onto them."""
    folder = tmp_path_factory.mktemp("photos")
    made_photos(folder, 5, 3)
    return sorted(folder.glob("photo-*"))


@pytest.fixture(scope="module")
def bodies(photos: list[Path]) -> list[bytes]:
    return [photo.read_bytes() for photo in photos]


@pytest.fixture(scope="module")
def together(photo_chain: PhotoChain, bodies: list[bytes]) -> list[dict[str, Any]]:
    """What the chain says of all of them in one batch."""
    return results(photo_chain(bodies))


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The same faces to half a pixel, the same texts to a pixel of their canvas, the same scores."""
    assert len(ours["faces"]) == len(theirs["faces"])
    assert len(ours["texts"]) == len(theirs["texts"])
    for face, other in zip(ours["faces"], theirs["faces"], strict=True):
        for name in ("box_px", "points_px"):
            assert np.abs(np.subtract(face[name], other[name])).max() <= 0.5
        assert face["score"] == pytest.approx(other["score"], abs=0.01)
    for text, other in zip(ours["texts"], theirs["texts"], strict=True):
        assert np.abs(np.subtract(text["quad_px"], other["quad_px"])).max() <= 1.5
    assert ours["nudity"] == pytest.approx(theirs["nudity"], abs=0.01)


def test_the_photo_chain_is_what_the_frame_hosts(photo_chain: PhotoChain) -> None:
    assert isinstance(photo_chain, Chain)
    assert find_chain("photos") is PhotoChain


def test_filled_calls_and_few_canvases_show_what_a_cpus_own_show(photo_store: Path, bodies: list[bytes]) -> None:
    own, filled = (
        results(PhotoChain(PhotoSettings(device="cpu", engine="torch", graphs=graphs), photo_store)(bodies))
        for graphs in ("eager", "captured")
    )
    assert sum(len(photo["faces"]) for photo in own) > 0
    for ours, theirs in zip(filled, own, strict=True):
        assert_same(ours, theirs)


def test_faces_are_those_that_facenet_pytorch_finds(
    script: PhotoScript, photos: list[Path], together: list[dict[str, Any]]
) -> None:
    theirs = [script(photo) for photo in photos]
    agreement = compare(theirs, together)
    print(agreement.describe())  # noqa: T201 - for -s
    assert agreement.faces[0] >= 8
    assert set(agreement.faces) == {agreement.faces[0]}
    assert agreement.points_px <= 0.5
    # open_nsfw's own package sends each photo through a JPEG before it looks.
    assert agreement.nudity <= 0.05


@pytest.mark.slow
def test_faces_agree_with_facenet_pytorchs_on_many_photos(
    script: PhotoScript, photo_chain: PhotoChain, tmp_path: Path
) -> None:
    made_photos(tmp_path, 32, 5)
    files = [*sorted(tmp_path.glob("photo-*")), *photo_files().values()]
    images = [Image.open(path).convert("RGB") for path in files]
    ours = results(photo_chain([path.read_bytes() for path in files]))
    theirs = [{**result, "faces": script.find_faces(image)} for result, image in zip(ours, images, strict=True)]
    agreement = compare(theirs, ours)
    print(agreement.describe())  # noqa: T201 - for -s
    their_count, our_count, matched = agreement.faces
    assert min(their_count, our_count) >= 60
    assert matched / max(their_count, our_count) >= 0.99


def test_the_text_of_signs_is_covered(photos: list[Path], together: list[dict[str, Any]]) -> None:
    truth = json.loads((photos[0].parent / "truth.json").read_text())
    hung = [
        (result, quad) for photo, result in zip(photos, together, strict=True) for quad in truth[photo.name]["texts"]
    ]
    assert len(hung) >= 5
    for result, quad in hung:
        size = result["width_px"], result["height_px"]
        found, text = (painted(size, quads) for quads in ([t["quad_px"] for t in result["texts"]], [quad]))
        assert (found & text).sum() >= 0.95 * text.sum()


def painted(size_px: tuple[int, int], quads: list[list[list[float]]]) -> np.ndarray:
    mask = Image.new("1", size_px)
    for quad in quads:
        ImageDraw.Draw(mask).polygon([(x, y) for x, y in quad], fill=1)
    return np.asarray(mask)


def test_a_batch_equals_its_photos_one_at_a_time(
    photo_chain: PhotoChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    for body, result in zip(bodies, together, strict=True):
        assert_same(results(photo_chain([body]))[0], result)


def test_the_order_of_photos_does_not_matter(
    photo_chain: PhotoChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    for result, reversed_result in zip(together, reversed(results(photo_chain(bodies[::-1]))), strict=True):
        assert_same(result, reversed_result)


def test_one_bad_body_leaves_its_neighbours_unchanged(
    photo_chain: PhotoChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    first, empty, text, last = photo_chain([bodies[0], b"", b"plain text", bodies[1]])
    assert [o.code for o in (empty, text) if isinstance(o, Failure)] == [Code.EMPTY_BODY, Code.UNSUPPORTED_FORMAT]
    assert_same(results([first])[0], together[0])
    assert_same(results([last])[0], together[1])


def test_photos_without_anything_to_hide_are_results_too(photo_chain: PhotoChain) -> None:
    sizes = [(10, 10), (19, 400), (640, 480)]  # in the first two not even the smallest face fits
    outcomes = results(photo_chain([encode(Image.new("RGB", size, "grey")) for size in sizes]))
    assert [(o["width_px"], o["height_px"]) for o in outcomes] == sizes
    assert all(outcome["faces"] == outcome["texts"] == [] for outcome in outcomes)
    assert photo_chain([]) == []


def test_what_is_found_lies_in_the_photo_and_the_largest_face_comes_first(together: list[dict[str, Any]]) -> None:
    assert json.loads(json.dumps(together)) == together
    for result in together:
        size = [result["width_px"], result["height_px"]]
        for face in result["faces"]:
            box = np.array(face["box_px"])
            assert (box >= 0).all()
            assert (box <= size * 2).all()
            left_eye, right_eye, nose, left_mouth, right_mouth = face["points_px"]
            assert left_eye[0] < right_eye[0]
            assert left_eye[1] < nose[1] < left_mouth[1]
            assert left_mouth[0] < right_mouth[0]
        areas = [np.prod(np.subtract(face["box_px"][2:], face["box_px"][:2])) for face in result["faces"]]
        assert areas == sorted(areas, reverse=True)


def test_a_photo_shown_turned_by_its_exif_gives_boxes_as_it_is_shown(
    photo_chain: PhotoChain, photos: list[Path], together: list[dict[str, Any]]
) -> None:
    image = Image.open(photos[0])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned clockwise by a quarter
    body = io.BytesIO()
    image.transpose(Image.Transpose.ROTATE_90).save(body, "PNG", exif=exif)
    (result,) = results(photo_chain([body.getvalue()]))
    pairs = zip(result["faces"], together[0]["faces"], strict=True)
    assert all(np.abs(np.subtract(a["box_px"], b["box_px"])).max() <= 0.5 for a, b in pairs)


@pytest.fixture(scope="module")
def like_cuda(photo_store: Path) -> Iterator[PhotoChain]:
    """A chain in PyTorch on the CPU whose calls are as large as on CUDA and run in turn, in the thread that asks."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr("quintet.photos.budgets.CPU_BUDGETS", Budgets(*[sys.maxsize] * 6))
        chain = PhotoChain(PhotoSettings(device="cpu", engine="torch"), photo_store)
        monkeypatch.setattr(chain.engine, "each", lambda work, calls: [work(call) for call in calls])
        yield chain


@pytest.mark.slow
def test_pytorch_in_calls_as_large_as_on_cuda_finds_the_same(
    like_cuda: PhotoChain, bodies: list[bytes], together: list[dict[str, Any]]
) -> None:
    for result, other in zip(results(like_cuda(bodies[:3])), together, strict=False):
        assert_same(result, other)


def test_what_waits_for_the_device_does_not_grow_with_the_batch(like_cuda: PhotoChain) -> None:
    """Photos of one size, since calls are planned by size on the host, where counting costs no wait."""
    try:
        portrait = Image.open(photo_files()["astronaut.png"]).convert("RGB").resize((320, 320))
    except PhotosMissingError as error:
        pytest.skip(f"the photos are not at hand: {error}")
    bodies = [encode(portrait.rotate(angle)) for angle in (0, 2)]

    def waits(batch: list[bytes]) -> tuple[Counter[str], int]:
        before = like_cuda.engine.host_copies
        with CountWaits() as mode:
            outcomes = results(like_cuda(batch))
        assert [len(outcome["faces"]) for outcome in outcomes] == [1] * len(batch)
        return mode.waits, like_cuda.engine.host_copies - before

    assert waits(bodies[:1])[1] == 1
    assert waits(bodies[:1]) == waits(bodies) == waits(bodies * 3)


def test_a_pyramid_ends_where_its_short_side_holds_one_cell() -> None:
    levels = pyramid(torch.tensor([4, 9]), torch.tensor([[200, 40], [15, 300]]), PhotoSettings())
    assert levels.page.tolist() == [4, 4, 4]  # 40 pixels hold faces of 20, 28 and 40 pixels; 15 none
    assert levels.sizes_px.tolist() == [[121, 25], [86, 18], [61, 13]]


def test_tiles_hold_each_cell_of_each_level_once_on_canvases_of_bounded_size() -> None:
    sizes = torch.tensor([[12, 13], [512, 513], [514, 2000], [1763, 1201]])
    tiles = tiles_of(Levels(torch.arange(4), torch.ones(4), sizes))
    covered = [torch.zeros((height - 1) // 2 - 4, (width - 1) // 2 - 4) for width, height in sizes.tolist()]
    for level, (x, y), (across, down) in zip(
        *(t.tolist() for t in (tiles.level, tiles.begins, tiles.counts)), strict=True
    ):
        assert across > 0
        assert down > 0
        covered[level][y : y + down, x : x + across] += 1
    assert all((cells == 1).all() for cells in covered)
    assert (tiles.canvases_px >= 2 * (tiles.counts + 5)).all()
    assert tiles.canvases_px.max() == 512
    assert (tiles.canvases_px % 8 == 0).all()


def test_settings_out_of_range_are_refused_with_words(photo_store: Path) -> None:
    with pytest.raises(SettingsError, match="setting min_face_px is 5; allowed is int from 12 to 1000"):
        PhotoChain.from_options({"min_face_px": 5}, photo_store)


def test_what_changes_answers_changes_the_fingerprint(photo_chain: PhotoChain) -> None:
    same, other = PhotoSettings(photo_calls=2), PhotoSettings(min_face_px=40)
    assert photo_chain.fingerprint.endswith(same.fingerprint())
    assert not photo_chain.fingerprint.endswith(other.fingerprint())


def test_the_smallest_face_is_a_setting(photo_store: Path, bodies: list[bytes], together: list[dict[str, Any]]) -> None:
    sides = [min(b[2] - b[0], b[3] - b[1]) for result in together for b in (face["box_px"] for face in result["faces"])]
    assert min(sides) < 100 < max(sides)
    large = results(PhotoChain(PhotoSettings(min_face_px=100), photo_store)(bodies))
    assert 0 < sum(len(result["faces"]) for result in large) < len(sides)
