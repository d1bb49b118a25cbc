"""Photos (quintet.photo/1): faces and texts, each in a colour."""

from collections.abc import Mapping
from typing import Any

from quintet_client.exports.photos.photo import photo_of
from quintet_client.viewer.schemas.shapes import Drawing, Shape, corners_of, counted


def draw(document: Mapping[str, Any]) -> Drawing:
    """Draw a photo; raises PageError if it is not as documented."""
    photo = photo_of(document)
    faces = (Shape("region", "face", f"face {face.score:.2f}", corners_of(face.box_px)) for face in photo.faces)
    texts = (Shape("region", "text", "text", quad_px) for quad_px in photo.texts)
    said = f"{counted(len(photo.faces), 'face')}, {counted(len(photo.texts), 'text')}, nudity {photo.nudity:.2f}"
    return Drawing(photo.width_px, photo.height_px, (*faces, *texts), said)
