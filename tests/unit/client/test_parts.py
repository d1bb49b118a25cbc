"""OUTPUT as parts, in a folder: who commits first, what counts, and a ledger that can be made again."""

import threading

import pytest
from quintet_client.errors import OutputUnwritableError
from quintet_client.output.formats import choose
from quintet_client.output.ledger import Ended, Ledger, Row
from quintet_client.output.opening import open_output
from quintet_client.output.parts.output import PartsOutput
from quintet_client.output.parts.place import PartsPlace, SupersededError, part_name
from quintet_client.output.parts.rows import encode_part
from quintet_client.output.parts.writer import MOST_ITEMS

MODEL = "m1"


def ended(page_id, state="ok", text="words"):
    document = b'{"model":"m1","text":"%s"}\n' % text.encode() if state == "ok" else b""
    size = len(document) if document else -1
    code = "" if state == "ok" else "BAD"
    return Ended(Row(page_id, state, 1, code, "", 10, 20, size, f"r-{page_id}"), MODEL if document else "", document)


def opened(place):
    output = PartsOutput(place)
    output.sync()
    return output


def rows_of(output):
    with Ledger.open(output.ledger) as ledger:
        return {row.page_id: row for row in ledger.all_rows()}


def commit(place, run, writer, number, items):
    return PartsPlace(place).commit(part_name(run, writer, number), encode_part(items), run)


def test_what_is_written_is_read_back_also_with_a_cache_of_another_machine(tmp_path, monkeypatch):
    output = PartsOutput(tmp_path / "out")
    with output.claim():
        output.sync()
        assert output.begin() == 1
        told = []
        items = [ended(f"a/{number}", text=f"text {number}") for number in range(MOST_ITEMS)] + [ended("b", "failed")]
        for item in items:
            output.write(item, told.append)
        assert len(told) == MOST_ITEMS, "told once their part is in place"
        output.flush()
    assert told == [item.row for item in items]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    other = open_output(tmp_path / "out")
    other.sync()
    assert rows_of(other) == {item.row.page_id: item.row for item in items}
    assert other.read_page("a/7") == items[7].document
    assert other.size_of("a/7") == len(items[7].document)
    with pytest.raises(FileNotFoundError):
        other.read_page("b")
    with Ledger.open(other.ledger) as ledger:
        assert ledger.model() == MODEL
    assert not list((tmp_path / "out" / "parts").glob(".*")), "no partial file is left"


def test_of_many_who_commit_one_part_at_a_time_one_does(tmp_path):
    place = PartsPlace(tmp_path)
    run = place.begin({})
    contents = [encode_part([ended("a", text=f"by {number}")]) for number in range(16)]
    won = []

    def try_it(content):
        if place.commit("00001-1-000000", content, run):
            won.append(content)

    threads = [threading.Thread(target=try_it, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert list((tmp_path / "parts").iterdir()) == [tmp_path / "parts" / "00001-1-000000.parquet"]
    assert place.commit("00001-1-000000", won[0], run), "the answer may have been lost: the same again is no fault"


def test_runs_have_numbers_of_their_own_and_the_later_one_stops_the_earlier(tmp_path):
    place = PartsPlace(tmp_path)
    first, second = place.begin({"dpi": "200"}), place.begin({"dpi": "200", "served_model": "quintet"})
    assert (first, second) == (1, 2)
    assert place.facts() == {"dpi": "200", "served_model": "quintet"}
    with pytest.raises(SupersededError, match="another client"):
        commit(tmp_path, first, "1", 0, [ended("a")])
    assert commit(tmp_path, second, "1", 0, [ended("a")])


def test_of_an_item_in_several_parts_the_one_with_the_last_name_counts_whenever_it_is_found(tmp_path):
    PartsPlace(tmp_path).begin({})
    commit(tmp_path, 1, "3", 0, [ended("a", text="late"), ended("b")])
    output = opened(tmp_path)
    commit(tmp_path, 1, "1", 5, [ended("a", "failed"), ended("c")])
    output.sync()
    assert set(rows_of(output)) == {"a", "b", "c"}
    assert b"late" in output.read_page("a")
    assert rows_of(output)["a"].state == "ok"


def test_what_output_shall_not_hold_is_gone_for_every_reader(tmp_path, monkeypatch):
    output = PartsOutput(tmp_path)
    with output.claim():
        output.sync()
        output.begin()
        for page_id in ("a", "b", "c.pdf#1", "c.pdf#2"):
            output.write(ended(page_id), lambda row: None)
        output.flush()
        output.sync()
        (text,) = choose(["txt"])
        for name in ("a", "b", "c.pdf"):
            output.write_export(text, name, b"text")
        output.remove_page("a")
        output.remove_page("c.pdf#2")
        assert output.begin() == 2
    assert [output.has_export(text, name) for name in ("a", "b", "c.pdf")] == [False, True, False]
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    other = opened(tmp_path)
    assert set(rows_of(other)) == {"b", "c.pdf#1"}
    assert other.gone_documents() == ["a"]


@pytest.mark.parametrize("damage", ["removed", "replaced", "ledger"])
def test_a_ledger_that_is_not_that_of_the_parts_is_made_again(tmp_path, damage):
    PartsPlace(tmp_path).begin({})
    commit(tmp_path, 1, "1", 0, [ended("a")])
    commit(tmp_path, 1, "1", 1, [ended("b")])
    output = opened(tmp_path)
    part = tmp_path / "parts" / "00001-1-000001.parquet"
    if damage == "ledger":
        output.ledger.write_bytes(b"no database" * 1000)
    else:
        part.unlink()
    if damage == "replaced":
        part.write_bytes(encode_part([ended("c")]))
    output.sync()
    assert set(rows_of(output)) == {"removed": {"a"}, "replaced": {"a", "c"}, "ledger": {"a", "b"}}[damage]


def test_a_file_that_is_no_part_is_named(tmp_path):
    PartsPlace(tmp_path).begin({})
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "x.parquet").write_bytes(b"no part at all")
    with pytest.raises(OutputUnwritableError, match=r"x\.parquet is no part"):
        opened(tmp_path)


def test_starting_anew_leaves_no_part_and_no_export(tmp_path):
    PartsPlace(tmp_path).begin({})
    commit(tmp_path, 1, "1", 0, [ended("a")])
    output = opened(tmp_path)
    (text,) = choose(["txt"])
    output.write_export(text, "a", b"text")
    with output.claim():
        output.start_anew()
        assert not output.has_export(text, "a")
        assert rows_of(output) == {}
        assert PartsPlace(tmp_path).parts() == {}
        assert output.begin() == 2, "whoever goes on writing an earlier run is stopped"
