"""What a process has started ends with it, also what is being started."""

import os
import subprocess
import sys
import time

from quintet_client.cluster.session import kill_session

from tests.cluster.batching import session_of, wait_for

# A leader and a process of its session, both of which start others as fast as they can.
_STARTING = """
import os, time
os.fork()
for _ in range(400):
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    time.sleep(0.001)
time.sleep(60)
"""


def test_processes_that_start_while_a_session_is_killed_are_killed_too():
    for _ in range(5):
        leader = subprocess.Popen([sys.executable, "-c", _STARTING], start_new_session=True)
        try:
            while len(session_of(leader.pid)) < 8:
                time.sleep(0.01)
            kill_session(leader.pid)
            leader.wait()
            wait_for(lambda pid=leader.pid: not session_of(pid), 2)  # dying takes a moment
        finally:
            for process in session_of(leader.pid):
                process.kill()


# What talks to Ray, here a process that starts others and dies with the first of them.
_TIED = """
import os, select, time
ends = []
for _ in range(40):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        time.sleep(60)
        os._exit(0)
    os.close(theirs)
    ends.append(ours)
select.select(ends, [], [])
"""


def test_a_session_ends_with_the_input_of_its_leader_though_one_process_dies_with_another(tmp_path):
    (tmp_path / "tied.py").write_text(_TIED)
    (tmp_path / "folder" / "of-ray").mkdir(parents=True)
    ours, theirs = os.pipe()
    leader = subprocess.Popen(
        [sys.executable, "-m", "quintet_client.cluster.session", "tied", str(theirs), tmp_path / "folder"],
        pass_fds=[theirs],
        stdin=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        start_new_session=True,
    )
    try:
        os.close(theirs)
        wait_for(lambda: len(session_of(leader.pid)) == 42, 10)
        leader.stdin.close()
        assert os.read(ours, 1) == b"", "the other end learns that the process has gone"
        assert leader.wait(10) == 0
        assert session_of(leader.pid) == []
        assert not (tmp_path / "folder").exists()
    finally:
        os.close(ours)
        for process in session_of(leader.pid):
            process.kill()
