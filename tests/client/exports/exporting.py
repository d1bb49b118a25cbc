"""How these tests export: small images, a script that answers them, the command, and what it made."""

import hashlib
import json

from PIL import Image
from quintet_client.cli import main

from tests.client.reading import answers
from tests.client.scripted_server import Reply, our_error, page_answer

SIZE = (124, 175)


def write_images(folder, count):
    """Write small images, each of its own."""
    for at in range(count):
        path = folder / f"part{at % 2}" / f"page{at:02}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", SIZE, 255 - at).save(path)


def two_words(request):
    """Answer like the service, with two words that depend on the page, sized as the images are."""
    document = json.loads(page_answer(request).body)
    text = f"page {hashlib.sha256(request.body).hexdigest()[:8]}"
    lines = [{"text": text, "score": 0.9, "quad_px": [[10, 10], [100, 10], [100, 20], [10, 20]], "region": None}]
    document |= {"width_px": SIZE[0], "height_px": SIZE[1], "lines": lines, "text": text, "regions": []}
    return Reply(200, json.dumps(document).encode())


def failing(request):
    """Answer as `two_words` does, but refuse what is no image."""
    return two_words(request) if request.body.startswith(b"\x89PNG") else our_error(400, "UNSUPPORTED_FORMAT")


def export(output, formats, *options):
    return main(["export", str(output), "--to", formats, *map(str, options)])


def exported(output):
    """Give the bytes of every export by its path."""
    root = output / "exports"
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def texts(output):
    return {page: json.loads(answer)["text"] for page, answer in answers(output).items()}
