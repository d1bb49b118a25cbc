"""Records to results: one copy to the host, then plain Python."""

from typing import Any

from torch import Tensor

from quintet.engine.engine import Engine
from quintet.photos.records import Faces, Photos
from quintet.tensors.geometry import map_points
from quintet.tensors.levels import slices
from quintet.tensors.records import Lines

Result = dict[str, Any]


class PhotoWriter:
    """Turns the last records of a batch into results of `quintet.photo/1`.

        {"width_px": 512, "height_px": 600, "nudity": 0.0001,
         "faces": [{"box_px": [173.4, 118.6, 355.6, 340.5], "score": 0.9998,
                    "points_px": [[221.7, 192.2], [309.8, 186.1], [269.4, 239.2], [232.7, 279.6], [306.6, 275.9]]}],
         "texts": [{"quad_px": [[108.5, 491.2], [162.8, 496.1], [161.4, 511.2], [107.1, 506.3]]}]}

    `nudity` is a probability. Boxes are left, top, right, bottom; the points of a face are its left eye, right eye,
    nose, left and right corner of the mouth, as seen. The largest face comes first. Quads run clockwise from the text's
    top left. All in pixels of the image frame.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(self, photos: Photos, nudity: Tensor, faces: Faces, texts: Lines) -> list[Result]:
        """One JSON-ready result a photo."""
        quads = map_points(photos.to_image[texts.page], texts.quads_px)
        tensors = (
            nudity, faces.boxes_px, faces.points_px, faces.scores, faces.page, quads, texts.page,
        )  # fmt: skip
        scores, boxes, points, face_scores, face_page, quads_px, text_page = self._engine.to_host(*tensors)
        count = len(photos.sizes_px)
        all_faces = [
            {"box_px": box, "score": score, "points_px": five}
            for box, score, five in zip(_rounded(boxes), _rounded(face_scores, 4), _rounded(points), strict=True)
        ]
        all_texts = [{"quad_px": quad} for quad in _rounded(quads_px)]
        sizes, nudities = photos.sizes_px.tolist(), _rounded(scores, 4)
        return [
            {
                "width_px": width,
                "height_px": height,
                "nudity": score,
                "faces": all_faces[own],
                "texts": all_texts[owned],
            }
            for (width, height), score, own, owned in zip(
                sizes, nudities, slices(face_page, count), slices(text_page, count), strict=True
            )
        ]


def _rounded(values: Tensor, decimals: int = 1) -> list[Any]:
    """As a person reads them."""
    rounded: list[Any] = values.double().round(decimals=decimals).tolist()
    return rounded
