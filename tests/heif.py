"""Images as phones write them; the encoder is one that tests alone have."""

import io

import pillow_heif
from PIL import Image


def heif_of(page: Image.Image, **options: object) -> bytes:
    """An HEIF coded with HEVC."""
    target = io.BytesIO()
    pillow_heif.from_pillow(page).save(target, **options)
    return target.getvalue()
