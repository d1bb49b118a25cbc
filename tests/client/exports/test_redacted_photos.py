"""Photos from reading to what may be published: the answers of a chain that finds faces and text."""

import io
import json

import pytest
from PIL import Image, ImageOps
from quintet_client.cli import main

from tests.client.exports.exporting import export, exported
from tests.client.reading import assert_adds_up, read
from tests.client.scripted_server import MODEL, Reply, ScriptedServer, our_error, page_answer
from tests.client.viewer.test_viewer_server import get, viewing
from tests.unit.exports.test_redacted import SIZE, photo_answer, pixels, textured

TURNED = 6  # EXIF: a viewer turns it right


def find_faces(request):
    """Script: a face and a sign on every image, in the frame in which a viewer shows it; nothing else is a photo."""
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(request.body)))
    except OSError:
        return our_error(400, "UNSUPPORTED_FORMAT")
    return Reply(200, json.dumps(photo_answer(image.size) | {"model": MODEL, "request_id": "r"}).encode())


@pytest.fixture
def photos(folder):
    """Three photos and a file that is none."""
    exif = Image.Exif()
    exif[0x0112] = TURNED
    (folder / "summer").mkdir()
    textured(seed=1).save(folder / "summer" / "beach.png")
    textured(seed=2).transpose(Image.Transpose.ROTATE_90).save(folder / "summer" / "turned.jpg", exif=exif)
    textured(seed=3).save(folder / "plain.jpg")
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture
def run(photos, output):
    with ScriptedServer(find_faces) as server:
        assert read(photos, output, server.url, "--model", "photos", "--formats", "redacted") == 3
    assert assert_adds_up(output)["exports"] == {
        "exported": 3, "unread": 1, "pending": 0, "failed_outputs": 0, "ended_early": ""
    }  # fmt: skip
    return output


def test_photos_are_redacted_under_their_own_names_while_they_are_read_or_later(run, photos):
    made = exported(run)
    assert set(made) == {f"redacted/{name}" for name in ("summer/beach.png", "summer/turned.jpg", "plain.jpg")}
    for name, body in made.items():
        original = Image.open(io.BytesIO((photos / name.removeprefix("redacted/")).read_bytes()))
        redacted = Image.open(io.BytesIO(body))
        assert (redacted.format, redacted.size) == (original.format, SIZE)
        difference = abs(pixels(ImageOps.exif_transpose(original)).mean(2) - pixels(redacted).mean(2))
        assert difference[60:125, 100:148].mean() > 4 * difference[:, 200:].mean()
    (run / "exports" / "redacted" / "plain.jpg").unlink()
    assert export(run, "redacted") == 0
    assert exported(run) == made


def test_a_photo_that_is_read_again_as_something_else_loses_its_redacted_one(run, photos):
    (photos / "plain.jpg").write_bytes(b"no photo any more")
    with ScriptedServer(find_faces) as server:
        assert read(photos, run, server.url, "--model", "photos") == 3
    assert "redacted/plain.jpg" not in exported(run)


def test_formats_of_pages_and_of_photos_know_each_other_by_name(run, tmp_path, photos, caplog):
    assert export(run, "txt,csv,redacted") == 7
    assert "plain.jpg could not be exported as txt: it shows quintet.page/1" in caplog.text
    assert "was read as quintet.photo/1; of that there are jsonl,redacted" in caplog.text
    assert {path.split("/")[0] for path in exported(run)} == {"redacted"}
    with ScriptedServer(page_answer) as server:
        assert read(photos, tmp_path / "pages", server.url, "--formats", "txt,redacted") == 7
    assert "it shows quintet.photo/1" in caplog.text
    assert "was read as quintet.page/1; of that there are txt,md,hocr,alto,pdf,parquet,csv,jsonl,dolma" in caplog.text
    assert {path.split("/")[0] for path in exported(tmp_path / "pages")} == {"txt"}


def test_the_viewer_and_the_report_draw_faces_and_texts(run):
    with viewing(run) as url:
        found = get(url, "api/page", id="summer/turned.jpg").json()
        assert (found["drawing"]["width_px"], found["drawing"]["height_px"]) == SIZE
        assert [shape["label"] for shape in found["drawing"]["shapes"]] == ["face", "text"]
        assert found["drawing"]["said"] == "1 face, 1 text, nudity 0.02"
        assert json.loads(found["raw"])["nudity"] == 0.02
        assert '"box_px": [100.5, 60.0, 148.2, 124.9]' in found["raw"]
    assert main(["report", str(run)]) == 0
    text = (run / "report.html").read_text()
    assert text.count('<polygon class="region" data-label="face"') == text.count("data:image/jpeg") == 3


def test_a_photo_that_is_not_as_documented_is_shown_as_json_and_not_redacted(photos, output, caplog):
    def script(request):
        reply = find_faces(request)
        return Reply(200, reply.body.replace(b"quad_px", b"box_px")) if reply.status == 200 else reply

    with ScriptedServer(script) as server:
        assert read(photos, output, server.url, "--model", "photos") == 3
    assert export(output, "redacted") == 7
    assert "not a photo as documented" in caplog.text
    assert exported(output) == {}
    with viewing(output) as url:
        found = get(url, "api/page", id="plain.jpg").json()
        assert (found["drawing"], found["schema"]) == (None, "quintet.photo/1")
        assert "box_px" in found["raw"]
