"""Cores by what a process may run on and by the limits of its control groups, as containers have them."""

import os

import pytest
from quintet.engine.cores import usable_cores

ALL = len(os.sched_getaffinity(0))


def groups(tmp_path, own="/", **limits):
    """Control groups with these limits: `top` of all, `inner` of the group below."""
    (tmp_path / "groups" / "inner").mkdir(parents=True)
    for name, limit in limits.items():
        folder = tmp_path / "groups" / ("" if name == "top" else name)
        (folder / "cpu.max").write_text(f"{limit}\n")
    (tmp_path / "own").write_text(f"9:name=systemd:/x\n0::{own}\n")
    return tmp_path / "groups", tmp_path / "own"


@pytest.mark.parametrize(
    ("own", "limits", "cores"),
    [
        ("/", {}, ALL),
        ("/", {"top": "max 100000"}, ALL),
        ("/", {"top": "50000 100000"}, 1),
        ("/", {"top": "100000 100000"}, 1),
        ("/", {"top": "6400000 100000"}, min(ALL, 64)),
        ("/inner", {"top": "max 100000", "inner": "100000 100000"}, 1),
        ("/inner", {"top": "100000 100000", "inner": "max 100000"}, 1),
        ("/inner", {"top": "garbage", "inner": ""}, ALL),
        ("/gone", {}, ALL),
    ],
)
def test_the_least_limit_on_the_way_counts(tmp_path, own, limits, cores):
    assert usable_cores(*groups(tmp_path, own, **limits)) == cores


def test_part_of_a_core_is_one_thread_more(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    assert usable_cores(*groups(tmp_path, top="350000 100000")) == 4


def test_without_control_groups_it_is_what_the_process_may_run_on(tmp_path):
    assert usable_cores(tmp_path / "none", tmp_path / "none") == ALL
