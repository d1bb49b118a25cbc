"""Where the weights of the five networks are from.

As they stand here, `file` empty, the networks keep their first weights, always the same. For weights of your own, save
the state dict of what `networks` makes, as .safetensors or with `torch.save`; name the file and its SHA-256
(`sha256sum scene.pt`); and have `quintet models` look for it with `--files FOLDER`. A network that is an ONNX file is
named in the same way, without `module`.
"""

from quintet.engine.weights import Source

from newchain.networks import CROP_PX, DETECTION_PX, SCENE_PX


def _source(stage: str, size_px: tuple[int, int], file: str = "", file_sha256: str = "") -> Source:
    width, height = size_px
    return Source(
        stage,
        wheel="",
        version="",
        wheel_sha256="",
        file=file,
        file_sha256=file_sha256,
        shape=("N", 3, height, width),
        module=f"newchain.networks:{stage}",
    )


SOURCES = (
    _source("scene", SCENE_PX),
    _source("detection", DETECTION_PX),
    _source("kind", CROP_PX),
    _source("mask", CROP_PX),
    _source("keypoints", CROP_PX),
)
