"""The viewer and the report in a real headless Chromium: opened, clicked, searched, and complaining of nothing."""

import shutil

import pytest
from quintet_client.cli import main
from quintet_client.input.page_ids import page_id_of

from tests.client.viewer.browser import chromium
from tests.client.viewer.made_runs import (
    HEIGHT_PX,
    HOSTILE,
    WIDTH_PX,
    answer,
    draw,
    make_run,
    texts_of,
    write_answer,
    write_ledger,
)
from tests.client.viewer.test_viewer_server import viewing
from tests.unit.exports.test_redacted import FACE, photo_answer, textured

pytestmark = pytest.mark.slow
TURNED = "invoices/page001.jpg"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def url(made):
    with viewing(made.output_path) as address:
        yield address


@pytest.fixture(autouse=True)
def _nothing_to_complain_of(browser):
    """Every test ends without a word on the console, a request that leaves the machine, or a name that became code."""
    browser.dark(False)
    browser.complaints()
    yield
    assert browser.complaints() == []
    assert browser.run("return document.title") != "hacked"


def show(browser, url, screen, selector, count=1):
    """Open a screen anew and wait for what it shows."""
    browser.open("about:blank")
    browser.open(f"{url}#/{screen}")
    browser.wait_for(selector, count)


def test_the_overview_shows_counts_that_add_up_and_the_speed_over_time(browser, url):
    show(browser, url, "", ".chart")
    assert browser.text(".equation") == "10 pages = 8 read + 2 failed"
    assert browser.texts(".tile dd")[:3] == ["10", "8", "2"]
    assert browser.count(".chart g") >= 8
    assert browser.texts(".bars li:not(.bad) .name")[3:] == ["decode", "text detection", "recognition"]
    assert browser.texts(".bars li:not(.bad) .name + span")[4] == "46.3 s (70%)"
    assert browser.texts(".bars .bad .name") == ["IMAGE_DECODE_FAILED", "UNSUPPORTED_FORMAT"]


def test_thumbnails_appear_and_a_click_opens_the_page(browser, url):
    show(browser, url, "pages", ".card", 10)
    browser.wait("[...document.querySelectorAll('.card img')].every(i => i.complete && i.naturalWidth > 0)")
    browser.click(f'.card[title="{TURNED}"]')
    browser.wait_for(".stage .line")
    assert browser.text(".title h1") == TURNED
    assert browser.count(".stage .line") == browser.count("[role=option]") == len(texts_of(1))


def test_pages_are_filtered_by_state_and_by_name(browser, url):
    show(browser, url, "pages", ".card", 10)
    browser.run(
        "const s = document.querySelector('.head select'); s.value = 'failed'; s.dispatchEvent(new Event('change'))"
    )
    browser.wait("document.querySelectorAll('.card').length === 2")
    assert sorted(browser.texts(".card .file")) == sorted([HOSTILE.rsplit("/", 1)[-1], "broken.jpg"])
    show(browser, url, "pages?name=PAGE00", ".card", 8)


@pytest.mark.parametrize("page_id", ["invoices/page000.png", TURNED, "invoices/page002.tiff"])
def test_lines_lie_over_the_image_the_way_a_person_reads_it(browser, url, page_id):
    show(browser, url, f"page?id={page_id}", ".stage .line")
    browser.wait("document.querySelector('.sheet img')?.naturalWidth > 0")
    stage, image, line = (browser.box(selector) for selector in (".stage", ".sheet img", '.line[data-line="2"]'))
    scale = stage[2] / WIDTH_PX
    assert image == pytest.approx(stage, abs=1), "the turned image fills the upright stage"
    assert stage[3] == pytest.approx(HEIGHT_PX * scale, abs=1)
    expected = [stage[0] + 40 * scale, stage[1] + 140 * scale, 300 * scale, 34 * scale]
    assert line == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("page_id", ["invoices/page000.png", TURNED])
def test_words_lie_over_the_image_when_asked_for(browser, url, page_id):
    show(browser, url, f"page?id={page_id}", ".stage .line")
    display = "return getComputedStyle(document.querySelector('.stage .word')).display"
    assert browser.run(display) == "none"
    browser.press("w")
    assert browser.run(display) != "none"
    place = int(page_id == TURNED)
    assert browser.count(".stage .word") == sum(len(text.split()) for text in texts_of(place))
    stage, word = browser.box(".stage"), browser.box('.word[data-line="2"]')
    scale = stage[2] / WIDTH_PX
    assert word == pytest.approx([stage[0] + 40 * scale, stage[1] + 140 * scale, 90 * scale, 34 * scale], abs=2)
    browser.click('.word[data-line="2"]')
    browser.wait_for('.line.on[data-line="2"]')
    browser.press("w")


def test_line_and_text_are_linked_both_ways(browser, url):
    show(browser, url, "page?id=invoices/page000.png", ".stage .line")
    browser.click('[role="option"][data-line="2"]')
    browser.wait_for('.line.on[data-line="2"]')
    browser.click('.line[data-line="3"]')
    assert browser.text('[role="option"][aria-selected="true"]').startswith("Thank you")
    browser.run("document.querySelector('.lines').focus()")
    browser.press("ArrowDown")
    browser.run("document.querySelector('.lines [data-line=\"0\"]').click()")
    browser.press("ArrowDown")
    browser.wait_for('.line.on[data-line="1"]')


def test_the_drawing_can_be_switched_off_and_zoomed(browser, url):
    show(browser, url, "page?id=invoices/page000.png", ".stage .line")
    width = "document.querySelector('.stage').getBoundingClientRect().width"
    before = browser.run(f"return {width}")
    browser.press("+")
    assert browser.run(f"return {width}") == pytest.approx(before * 1.25, rel=0.01)
    browser.press("l")
    assert browser.run("return getComputedStyle(document.querySelector('.stage .line')).display") == "none"
    browser.press("l")
    assert browser.run("return getComputedStyle(document.querySelector('.stage .line')).display") != "none"


def test_the_arrow_keys_go_to_the_next_page_and_back(browser, url):
    show(browser, url, "page?id=invoices/page000.png", ".stage .line")
    browser.press("ArrowRight")
    browser.wait("document.querySelector('.title h1').innerText === arguments[0]", TURNED)
    assert browser.text(".position") == "4 of 10"
    browser.press("ArrowLeft")
    browser.wait("document.querySelector('.title h1').innerText === 'invoices/page000.png'")
    browser.press("Escape")
    browser.wait_for(".card", 10)


def test_search_finds_a_word_and_marks_it_on_the_page(browser, url):
    show(browser, url, "", ".tile")
    browser.press("/")
    browser.type("#search input", "brulee 7003")
    browser.press("Enter")
    browser.wait("document.querySelectorAll('.hit').length === 1")
    assert browser.texts(".hit mark") == ["7003", "brûlée"]
    browser.click(".hit")
    browser.wait_for(".stage .line.hit", 2)
    assert browser.text(".title h1") == "invoices/page003.png"
    assert browser.texts(".lines mark") == ["7003", "brûlée"]


def test_the_arrow_keys_go_through_what_was_found(browser, url):
    show(browser, url, "search?q=invoice", ".hit", 8)
    second = browser.texts(".hit .name")[1]
    browser.click(".hit")
    browser.wait_for(".stage .line.hit")
    assert browser.text(".position") == "1 of 8"
    browser.press("ArrowRight")
    browser.wait("document.querySelector('.title h1').innerText === arguments[0]", second)
    assert browser.count(".stage .line.hit") == 1


def test_failures_are_listed_with_their_reasons_and_names_are_only_text(browser, url):
    show(browser, url, "failures", "tbody tr", 2)
    rows = [browser.texts(f"tbody tr:nth-child({row}) td")[:3] for row in (1, 2)]
    assert rows[0] == [HOSTILE, "UNSUPPORTED_FORMAT", "<script>document.title='hacked'</script>"]
    assert rows[1] == ["broken.jpg", "IMAGE_DECODE_FAILED", "the image is damaged or truncated"]
    browser.click("tbody tr:nth-child(1) a")
    browser.wait_for(".reason")
    assert "UNSUPPORTED_FORMAT" in browser.text(".reason")
    assert "There is no image to show" in browser.text(".desk")


def test_dark_colours_follow_the_system(browser, url):
    show(browser, url, "", ".tile")
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = browser.run(colour)
    browser.dark(True)
    dark = browser.run(colour)
    brightness = [sum(map(int, shown[4:-1].split(","))) for shown in (dark, light)]
    assert brightness[0] < 120
    assert brightness[1] > 600


def test_everything_that_can_be_used_has_a_name(browser, url):
    unnamed = """return [...document.querySelectorAll('a, button, input, select, [tabindex="0"]')].filter(e =>
        !(e.innerText?.trim() || e.ariaLabel || e.title || e.labels?.length)).map(e => e.outerHTML)"""
    for screen, selector in SCREENS:
        show(browser, url, screen, selector)
        assert browser.run(unnamed) == []


SCREENS = (("", ".tile"), ("pages", ".card"), ("failures", "td"), (f"page?id={TURNED}", ".line"))
# What scrolls within something that scrolls, or is cut off.
NESTED = """return [...document.querySelectorAll('main *')].filter(e =>
    /auto|scroll/.test(getComputedStyle(e).overflowY) && e.scrollHeight > e.clientHeight + 1
).map(e => e.className)"""
CUT_OFF = """return [...document.querySelectorAll('.bars span, .chart text, td, th, .tile dd')].filter(e => {
    const own = e.getBoundingClientRect(), panel = e.closest('.panel, .tile').getBoundingClientRect();
    const overflows = e.clientWidth && e.scrollWidth > e.clientWidth + 1;
    return own.width && (own.left < panel.left || own.right > panel.right || overflows);
}).map(e => e.textContent)"""


@pytest.fixture
def window(browser):
    """Sets the size of the window, for one test."""

    def size(width, height):
        browser.devtools(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    yield size
    browser.devtools("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_at_every_width_nothing_is_cut_off_and_nothing_scrolls_sideways(browser, url, window, width):
    window(width, 900)
    for screen, selector in SCREENS:
        show(browser, url, screen, selector)
        assert browser.run("return document.documentElement.scrollWidth") <= width, screen
        assert browser.run(CUT_OFF) == [], screen


def test_only_one_thing_scrolls_down_a_page(browser, url, window):
    window(1440, 900)
    show(browser, url, f"page?id={TURNED}", ".stage .line")
    assert browser.run("return document.documentElement.scrollHeight") == 900
    assert browser.run(NESTED) == ["desk"]
    window(390, 844)
    show(browser, url, f"page?id={TURNED}", ".stage .line")
    assert browser.run(NESTED) == []
    browser.click('button[title="Fit the whole page"]')
    before = browser.box(".stage")
    browser.click('button[title="Fit the whole page"]')
    assert browser.box(".stage") == pytest.approx(before, abs=1)


def test_on_a_telephone_failures_are_read_and_charts_have_letters(browser, url, window):
    window(390, 844)
    show(browser, url, "failures", "tbody tr", 2)
    assert browser.box("tbody td")[2] > 300
    assert browser.run("return document.querySelector('.panel').getBoundingClientRect().height") < 500
    show(browser, url, "", ".chart .tick")
    assert browser.box(".chart .tick")[3] > 10


def test_pages_whose_names_hold_a_per_cent_sign_or_lie_behind_a_link_are_shown(browser, tmp_path):
    folder, far = tmp_path / "in", tmp_path / "far"
    for place in (folder, far):
        place.mkdir()
    (folder / "below").symlink_to(far)
    draw(["per cent"]).save(folder / "100%.jpg")
    draw(["far away"]).save(far / "page.png")
    rows = [write_answer(tmp_path / "out", page_id_of(name), answer([name])) for name in ("100%.jpg", "below/page.png")]
    write_ledger(tmp_path / "out", rows)
    with viewing(tmp_path / "out", folder) as url:
        show(browser, url, "pages?name=100%25.j", ".card")
        for name in ("100%.jpg", "below/page.png"):
            show(browser, url, "pages", ".card", 2)
            browser.click(f'.card[title="{name}"]')
            browser.wait("document.querySelector('.title h1')?.innerText === arguments[0]", name)
            browser.wait("document.querySelector('.sheet img')?.naturalWidth > 0")


def test_a_report_opens_from_a_folder_of_its_own(browser, made, tmp_path):
    assert main(["report", str(made.output_path), "--html", str(tmp_path / "run.html"), "--sample", "3"]) == 0
    alone = tmp_path / "mailed"
    alone.mkdir()
    shutil.move(tmp_path / "run.html", alone / "run.html")
    browser.open((alone / "run.html").as_uri())
    browser.wait_for("figure svg.page image", 3)
    assert browser.text(".equation") == "10 pages = 8 read + 2 failed"
    assert browser.count(".chart g") >= 8
    assert browser.count("figure svg.page .line") == 3 * 4
    assert HOSTILE in browser.text("tbody")
    assert (
        browser.run("return performance.getEntriesByType('resource').filter(r => !r.name.startsWith('data:')).length")
        == 0
    )


def test_a_result_of_an_unknown_schema_is_its_picture_and_its_json(browser, tmp_path):
    draw(["sign"]).save(tmp_path / "shot.png")
    document = {"schema": "zoo.animal/1", "model": "m1", "name": "<b>okapi</b>"}
    write_ledger(tmp_path / "out", [write_answer(tmp_path / "out", "shot.png", document)])
    with viewing(tmp_path / "out", tmp_path) as url:
        show(browser, url, "page?id=shot.png", ".desk img.plain")
        browser.wait("document.querySelector('.desk img').naturalWidth > 0")
        assert "zoo.animal/1" in browser.text(".text .reason")
        assert '"name": "<b>okapi</b>"' in browser.text(".text pre")
        assert browser.count("[data-toggle]") == 0
        browser.press("r")
        show(browser, url, "search?q=shot", ".hit")
        show(browser, url, "search?q=nowhere", ".empty")
        browser.wait("document.querySelector('.empty').textContent.includes('no text to search')")


def test_faces_and_texts_lie_over_their_photo(browser, tmp_path):
    textured().save(tmp_path / "beach.png")
    write_ledger(tmp_path / "out", [write_answer(tmp_path / "out", "beach.png", photo_answer())])
    with viewing(tmp_path / "out", tmp_path) as url:
        show(browser, url, "page?id=beach.png", ".stage .region", 2)
        browser.wait("document.querySelector('.sheet img')?.naturalWidth > 0")
        left, top, width, height = browser.box(".stage")
        x, y, across, down = browser.box('.stage [data-label="face"]')
        found = [(x - left) / width, (y - top) / height, across / width, down / height]
        x0, y0, x1, y1 = FACE
        assert found == pytest.approx([x0 / 320, y0 / 240, (x1 - x0) / 320, (y1 - y0) / 240], abs=0.01)
        assert browser.texts(".legend li") == ["face", "text"]
        assert browser.text(".text .reason") == "1 face, 1 text, nudity 0.02"
        browser.press("r")
        browser.press("+")
