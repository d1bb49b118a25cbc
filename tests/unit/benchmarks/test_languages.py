"""Scores of languages: which letters an alphabet lacks, which fonts can draw a text, and how alike two texts are."""

import io
import json

import pytest
from PIL import Image, ImageFont

from benchmarks.languages import LANGUAGES, draw, has_letters, missing_letters, similarity
from benchmarks.sample_pages.fonts import font_file

pytestmark = pytest.mark.unit


def test_letters_are_missing_in_both_cases_and_a_sharp_s_has_no_upper_case():
    assert missing_letters("áß", ["a", "á", "A"]) == "Áß"


def test_a_text_is_compared_without_regard_to_how_its_lines_and_diacritics_are_written():
    assert similarity("één twee", "e\u0301e\u0301n\ntwee") == 1
    assert similarity("一二三四", "一二\n三四") == 1
    assert similarity("abcd", "abxd") == 0.75
    assert similarity("abcd", "") == 0


def test_only_fonts_that_have_the_letters_are_drawn_with():
    latin = ImageFont.truetype(font_file("source-sans", "regular"), 24)
    texts = {name: language["text"] for name, language in json.loads(LANGUAGES.read_text("utf-8")).items()}
    drawn = {name for name, text in texts.items() if has_letters(latin, text)}
    assert {"English", "Czech", "Vietnamese", "Greek", "Russian"} <= drawn
    assert not drawn & {"Japanese", "Korean", "Chinese, simplified"}


def test_a_page_has_ink_within_its_margins():
    font = ImageFont.truetype(font_file("source-sans", "regular"), 24)
    with Image.open(io.BytesIO(draw("All human beings are born free", font))) as page:
        left, top, right, bottom = page.point(lambda value: 255 - value).getbbox()
        assert 75 < left < right <= page.width - 75
        assert 75 < top < bottom <= page.height - 75
