"""What an actor of `quintet batch` does on its node before it reads: its share, its cores, its archive, its GPU."""

import io
import os
import subprocess
import sys
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet.frame.chain import Chain
from quintet_client.cluster.hosting import host_chain, node_folder, unpack_archive, visible_gpu
from quintet_client.cluster.messages import Share, packed, unpacked
from quintet_client.cluster.settings import BatchSettings
from quintet_client.cluster.shares import Node, share_out
from quintet_client.errors import UsageError
from quintet_client.input.source import Part, Source
from quintet_client.service.page import FileStamp

_NODES = st.lists(st.builds(Node, st.integers(0, 64), st.integers(0, 8)), min_size=1, max_size=6)


@given(nodes=_NODES, actors=st.none() | st.integers(1, 40), gpus=st.none() | st.sampled_from([0, 0.25, 0.5, 1, 2]))
def test_all_actors_have_room_with_what_they_are_given(nodes, actors, gpus):
    try:
        share = share_out(nodes, actors, gpus)
    except UsageError:
        return
    assert actors in {None, share.actors}
    assert share.cpus >= 1
    if share.gpus:
        room = sum(int(node.gpus / share.gpus) for node in nodes)
    else:
        room = sum(int(node.cpus / share.cpus) for node in nodes)
    assert room >= share.actors >= 1


@pytest.mark.parametrize(
    ("nodes", "actors", "gpus", "share"),
    [
        ([Node(2, 0)], None, None, Share(1, 2, 0.0)),
        ([Node(2, 0)], 2, None, Share(2, 1, 0.0)),
        ([Node(0, 0), Node(16, 0), Node(8, 0)], None, None, Share(2, 8, 0.0)),
        ([Node(16, 8)], None, None, Share(8, 2, 1.0)),
        ([Node(16, 1)], None, 0.5, Share(2, 8, 0.5)),
        ([Node(16, 8)], 3, 0, Share(3, 5, 0.0)),
    ],
)
def test_nodes_are_shared_out(nodes, actors, gpus, share):
    assert share_out(nodes, actors, gpus) == share


def test_more_actors_than_cores_or_gpus_are_refused():
    with pytest.raises(UsageError, match="give --actors 2"):
        share_out([Node(2, 0)], 3, None)
    with pytest.raises(UsageError, match="GPUs for 1 actors"):
        share_out([Node(8, 1)], 2, 1)


@pytest.mark.parametrize(
    ("nodes", "actors", "gpus", "share"),
    [
        ([], 8, 1, Share(8, 1, 1.0)),
        ([Node(0, 0), Node(8, 1)], 8, 1, Share(8, 8, 1.0)),
        ([Node(0, 0), Node(1, 0)], 2, None, Share(2, 1, 0.0)),
    ],
)
def test_a_cluster_that_may_grow_has_room_for_all_that_are_asked_for(nodes, actors, gpus, share):
    assert share_out(nodes, actors, gpus, may_grow=True) == share
    with pytest.raises(UsageError):
        share_out(nodes, actors, gpus)


def test_settings_out_of_range_are_refused(tmp_path):
    for wrong in ({"block": 0}, {"actors": 0}, {"stall_s": 0}, {"gpus_per_actor": -1}, {"ray": "ray://host:1"}):
        with pytest.raises(UsageError, match=f"--{next(iter(wrong)).replace('_', '-')}"):
            BatchSettings(tmp_path, tmp_path, **wrong)


def test_passwords_out_of_a_pipe_are_refused_since_every_node_reads_them(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(UsageError, match=r"--password-file .*pipe is no file.* every node"):
        BatchSettings(tmp_path, tmp_path, password_file=tmp_path / "pipe")


def _archive(text):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("model-config.yaml", text)
    return content.getvalue()


_HOLD = """
import sys
from pathlib import Path
from quintet_client.cluster.hosting import keep_to_cores, unpack_archive
folder = Path(sys.argv[1])
print(unpack_archive(folder, "a" * 64, lambda: sys.exit("it is there")), flush=True)
print(*keep_to_cores(1, folder), flush=True)
sys.stdin.read()
"""
_ASK = """
import sys
from pathlib import Path
from quintet_client.cluster.hosting import keep_to_cores
print(*keep_to_cores(int(sys.argv[1]), Path(sys.argv[2])))
"""


@pytest.fixture
def actor(tmp_path):
    """A process that uses an archive, and one core."""
    unpack_archive(tmp_path, "a" * 64, lambda: _archive("a"))
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process, process.stdout.readline().strip(), process.stdout.readline().strip()


def test_an_archive_is_unpacked_once_a_node_and_removed_when_nobody_uses_it(actor, tmp_path):
    process, place, _core = actor
    assert place == str(tmp_path / ("a" * 16))
    other = unpack_archive(tmp_path, "b" * 64, lambda: _archive("b"))
    assert (other / "model-config.yaml").read_text() == "b"
    assert (tmp_path / ("a" * 16) / "model-config.yaml").read_text() == "a"
    process.communicate("")
    unpack_archive(tmp_path, "b" * 64, bytes)
    assert not (tmp_path / ("a" * 16)).exists()


def test_actors_of_a_node_have_different_cores(actor, tmp_path):
    _process, _place, core = actor
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is one core")
    command = [sys.executable, "-c", _HOLD, str(tmp_path)]
    other = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert other.stdout.split()[-1] != core


def test_a_core_that_is_not_free_yet_is_waited_for(actor, tmp_path):
    process, _place, core = actor
    count = len(os.sched_getaffinity(0))
    command = [sys.executable, "-c", _ASK, str(count), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(2)
        process.communicate("")
        assert core in other.communicate()[0].split()


def test_a_folder_that_is_open_to_others_is_not_used(tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="open to others"):
        node_folder(shared)
    assert node_folder(tmp_path / "mine").stat().st_mode & 0o777 == 0o700


def test_a_gpu_is_known_by_its_number_among_those_that_a_process_sees(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert visible_gpu([5]) == 1
    assert visible_gpu([]) is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert visible_gpu([2]) == 2


def test_a_block_crosses_to_an_actor_as_it_is():
    block = [
        Source("a", "/in/\udce9.jpg", FileStamp(1, 2)),
        Source("b.pdf#2", "s3://bucket/b.pdf", FileStamp(3, 2**62), page=2),
        Source("c", "/in/c.pdf", code="DOCUMENT_EMPTY", message="no page"),
        Source("d.tar/d.png", "s3://bucket/d.tar", FileStamp(5, 6), part=Part(512, 5)),
    ]
    assert packed(block).isascii()
    assert unpacked(packed(block)) == block


class StagedChain(Chain):
    optional_stages = ("layout", "words")
    fingerprint = "whole"

    @classmethod
    def from_options(cls, options, model_store, device_index=None):
        return cls()

    def without(self, stages):
        other = type(self)()
        other.fingerprint = f"without {sorted(stages)}"
        return other


def test_a_chain_is_hosted_without_the_stages_that_are_left_out_and_with_all_others(tmp_path):
    (tmp_path / "model-config.yaml").write_text(f"handler: {{chain: '{__name__}:StagedChain'}}")
    assert host_chain(tmp_path, None).chain.fingerprint == "whole"
    assert host_chain(tmp_path, None, ("words", "layout")).chain.fingerprint == "without ['layout', 'words']"
    with pytest.raises(UsageError, match="--leave-out: 'recognition' cannot be left out; layout, words can be"):
        host_chain(tmp_path, None, ("recognition",))
