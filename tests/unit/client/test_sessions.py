"""What a process has started ends with it, also what is being started."""

import subprocess
import sys
import time

from quintet_client.cluster.job import kill_session

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
