"""`quintet read` against the real service."""

import json
import signal

import pytest
from PIL import Image, ImageDraw, ImageFont
from quintet_client import PageError, QuintetClient

from tests.client.reading import answers, assert_adds_up, count_answers, finish, read, rows, start_client, wait_until


@pytest.fixture
def output(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def draw_pages(folder, count):
    """Draw small pages, each with a number of its own to be read back."""
    font = ImageFont.load_default(size=28)
    words = {f"page{i:02}.png": f"Invoice {7000 + 37 * i}" for i in range(count)}
    for name, text in words.items():
        image = Image.new("RGB", (420, 200), "white")
        ImageDraw.Draw(image).text((30, 70), text, fill="black", font=font)
        image.save(folder / name)
    return words


def read_here(service, folder, output, *options):
    return read(folder, output, service.inference_url, "--token-file", service.token_file, *options)


def test_a_folder_is_read_and_a_second_run_changes_no_byte(service, folder, output):
    words = draw_pages(folder, 12)
    assert read_here(service, folder, output) == 0
    assert assert_adds_up(output)["ok"] == 12
    before = answers(output)
    assert {name: json.loads(answer)["text"] for name, answer in before.items()} == words
    assert read_here(service, folder, output) == 0
    assert assert_adds_up(output)["skipped"] == 12
    assert answers(output) == before


def test_bad_pages_fail_by_code_and_their_neighbours_are_read(service, folder, output):
    draw_pages(folder, 4)
    (folder / "corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more of this")
    (folder / "empty.png").write_bytes(b"")
    with (folder / "huge.png").open("wb") as file:
        file.truncate((64 << 20) + 4096)  # a hole in the file system, but more than the service takes
    assert read_here(service, folder, output) == 3
    counts = assert_adds_up(output)
    assert (counts["ok"], counts["failed"]) == (4, 3)
    codes = {page: row["code"] for page, row in rows(output).items() if row["state"] == "failed"}
    assert codes == {
        "corrupt.jpg": "IMAGE_DECODE_FAILED",
        "empty.png": "EMPTY_BODY",
        "huge.png": "IMAGE_TOO_LARGE",
    }


@pytest.mark.slow
def test_a_killed_client_is_completed_by_a_rerun_to_the_same_bytes(service, folder, output, tmp_path):
    draw_pages(folder, 10)
    options = ("--token-file", service.token_file)
    running = start_client(folder, output, service.inference_url, *options, "--in-flight", 2, "--loaders", 1)
    wait_until(lambda: count_answers(output) >= 2)
    running.send(signal.SIGKILL)
    assert finish(running)[0] == -signal.SIGKILL
    assert count_answers(output) < 10
    assert read_here(service, folder, output) == 0
    assert assert_adds_up(output)["inputs"] == 10
    assert read_here(service, folder, tmp_path / "undisturbed") == 0
    assert answers(output) == answers(tmp_path / "undisturbed")


def test_a_wrong_token_ends_with_5(service, folder, output, tmp_path):
    draw_pages(folder, 2)
    (tmp_path / "token").write_text("wrong")
    (tmp_path / "token").chmod(0o600)
    assert read(folder, output, service.inference_url, "--token-file", tmp_path / "token") == 5
    assert count_answers(output) == 0


def test_the_client_for_other_services_gives_typed_results_and_errors(service, folder):
    words = draw_pages(folder, 1)
    client = QuintetClient(service.inference_url, service.token_file)
    page = client.read((folder / "page00.png").read_bytes())
    assert (page.text, page.width_px, page.height_px) == (words["page00.png"], 420, 200)
    with pytest.raises(PageError, match="UNSUPPORTED_FORMAT") as caught:
        client.read(b"no image")
    assert caught.value.request_id
    client.close()


def test_many_pages_are_read_packed_for_other_services(service, folder):
    words = draw_pages(folder, 6)
    (folder / "bad.jpg").write_bytes(b"no image")
    with QuintetClient(service.inference_url, service.token_file) as client:
        ends = dict(client.read_many([(path.name, path) for path in folder.iterdir()], pack=4))
    assert ends.pop("bad.jpg").code == "UNSUPPORTED_FORMAT"
    assert {name: page.text for name, page in ends.items()} == words
