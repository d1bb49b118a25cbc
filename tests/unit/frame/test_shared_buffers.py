"""What a worker takes for a shared buffer, what it refuses, and what becomes of it: real memory, sockets, processes."""

import fcntl
import json
import multiprocessing
import os
import secrets
import signal
import socket
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quintet.errors import Code, SettingsError
from quintet.frame.frames import BufferSlice
from quintet.frame.settings import FrameSettings
from quintet.frame.shared_memory import buffers, handshake
from quintet.frame.shared_memory.buffers import SEALS, SharedBuffers
from quintet.frame.shared_memory.handshake import (
    TAKEN,
    HandshakeError,
    Hello,
    open_directory,
    send_hello,
    socket_names,
)
from quintet_client.shared_memory.buffer import SharedBuffer

SIZE = 1 << 20
NAME = bytes(range(16))
SETTINGS = FrameSettings(shared_memory=True, shared_memory_bytes=SIZE, shared_memory_rings=2)
NOBODY = 65534
FORK = multiprocessing.get_context("fork")


class NoDevice:
    def pin(self, _memory):
        return False


class Pinner:
    """Says yes, and remembers what is still pinned."""

    def __init__(self):
        self.pinned = []

    def pin(self, memory):
        self.pinned.append(memory)
        return True

    def unpin(self, memory):
        assert len(bytes(memory)) == SIZE  # still mapped
        self.pinned.remove(memory)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "rings"


@pytest.fixture
def worker(folder):
    made = SharedBuffers(SETTINGS, NoDevice())
    made.listen(folder)
    return made


def sealed(size=SIZE, seals=SEALS, name="quintet-buffer"):
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(descriptor, size)
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


@contextmanager
def connected(folder, number=0):
    directory = open_directory(folder)
    try:
        connection = handshake.connect(directory, socket_names(directory)[number], timeout_s=10)
    finally:
        os.close(directory)
    with connection:
        yield connection


def offer(folder, descriptor, name=NAME, size=SIZE):
    """What the worker says to this memory; it is let go again."""
    with connected(folder) as connection:
        send_hello(connection, Hello(name, size), descriptor)
        return connection.recv(handshake.MOST_ANSWER_BYTES)


def wait_until(condition, timeout_s=10):
    ends_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_at, "waited in vain"
        time.sleep(0.01)


def knows(worker, name=NAME):
    return isinstance(worker.find(BufferSlice(name, 0, 64)), memoryview)


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def mapped(pid="self"):
    """The sealed memory that a process has mapped for reading alone, as a worker does."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return [line for line in lines if "memfd:quintet-buffer" in line and " r--s " in line]


def test_a_buffer_is_read_at_its_slices_and_gone_with_its_client(worker, folder):
    buffer = SharedBuffer(SIZE)
    assert buffer.attach(folder, NAME) == 1
    buffer.view[640:647] = b"a page!"
    assert bytes(worker.find(BufferSlice(NAME, 640, 7))) == b"a page!"
    assert len(mapped()) == 1
    assert buffer.attach(folder, NAME) == 0  # it holds it already
    buffer.detach()
    wait_until(lambda: not mapped())
    assert worker.find(BufferSlice(NAME, 640, 7)).code is Code.UNKNOWN_RING
    assert buffer.attach(folder, NAME) == 1
    buffer.detach()


def test_a_client_killed_with_sigkill_leaves_nothing_mapped(worker, folder):
    told = FORK.Queue()

    def client():
        buffer = SharedBuffer(SIZE)
        told.put(buffer.attach(folder, NAME))
        time.sleep(60)

    process = FORK.Process(target=client, daemon=True)
    process.start()
    assert told.get(timeout=10) == 1
    assert knows(worker)
    assert mapped()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    wait_until(lambda: not mapped() and not knows(worker))


def test_memory_stays_while_a_batch_is_read_but_its_name_is_refused_at_once(folder):
    pinner = Pinner()
    worker = SharedBuffers(SETTINGS, pinner)
    worker.listen(folder)
    buffer = SharedBuffer(SIZE)
    buffer.attach(folder, NAME)
    wait_until(lambda: pinner.pinned)  # from then on it waits for nothing but its client's end
    buffer.view[:4] = b"page"
    with worker.reading():
        page = worker.find(BufferSlice(NAME, 0, 4))
        buffer.detach()
        wait_until(lambda: not knows(worker))
        assert bytes(page) == b"page"
        assert mapped()
    del page
    wait_until(lambda: not mapped())


def test_what_was_pinned_is_unpinned_before_it_is_unmapped(folder):
    pinner = Pinner()
    SharedBuffers(SETTINGS, pinner).listen(folder)
    buffer = SharedBuffer(SIZE)
    buffer.attach(folder, NAME)
    wait_until(lambda: pinner.pinned)
    buffer.detach()
    wait_until(lambda: not pinner.pinned and not mapped())


class SlowPinner(Pinner):
    """Pins and unpins when it is told to."""

    def __init__(self):
        super().__init__()
        self.begun, self.go_on = threading.Semaphore(0), threading.Semaphore(0)

    def pin(self, memory):
        self.wait()
        return super().pin(memory)

    def unpin(self, memory):
        self.wait()
        super().unpin(memory)

    def wait(self):
        self.begun.release()
        assert self.go_on.acquire(timeout=60)


def reads_within(worker, timeout_s=20):
    began = threading.Event()

    def read():
        with worker.reading():
            began.set()

    threading.Thread(target=read, daemon=True).start()
    return began.wait(timeout_s)


def test_batches_are_read_while_memory_is_pinned_and_unpinned(folder):
    pinner = SlowPinner()
    worker = SharedBuffers(SETTINGS, pinner)
    worker.listen(folder)
    buffer = SharedBuffer(SIZE)
    buffer.attach(folder, NAME)
    assert pinner.begun.acquire(timeout=10)
    buffer.view[:4] = b"page"
    assert reads_within(worker)
    assert bytes(worker.find(BufferSlice(NAME, 0, 4))) == b"page"
    pinner.go_on.release()
    wait_until(lambda: pinner.pinned)
    buffer.detach()
    assert pinner.begun.acquire(timeout=10)
    assert reads_within(worker)
    assert mapped()
    assert not knows(worker)
    pinner.go_on.release()
    wait_until(lambda: not pinner.pinned and not mapped())


def test_the_worker_cannot_write_into_a_buffer_and_nobody_can_shrink_it(worker, folder):
    buffer = SharedBuffer(SIZE)
    buffer.attach(folder, NAME)
    page = worker.find(BufferSlice(NAME, 0, 64))
    assert page.readonly
    with pytest.raises(PermissionError):
        os.ftruncate(buffer._descriptor, 0)
    with pytest.raises(PermissionError):
        fcntl.fcntl(buffer._descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    page.release()
    buffer.detach()


@given(offset=st.integers(0, 2**64 - 1), length=st.integers(0, 2**64 - 1))
@pytest.mark.parametrize("scale", [1, 1 << 44])
def test_no_slice_reaches_beyond_its_buffer(held, scale, offset, length):
    part = BufferSlice(NAME, offset // scale, length // scale)
    found = held.find(part)
    if part.offset % handshake.ALIGNMENT_BYTES == 0 and 0 < part.length <= SIZE - part.offset:
        assert len(found) == part.length
    else:
        assert found.code is Code.INVALID_PARAMETER


@pytest.mark.parametrize(
    "part",
    [(0, 0), (0, SIZE + 1), (SIZE, 1), (SIZE - 64, 65), (1, 64), (63, 1), (2**64 - 64, 64), (2**64 - 64, 2**64 - 1)],
)
def test_a_slice_outside_or_out_of_line_is_refused(held, part):
    assert held.find(BufferSlice(NAME, *part)).code is Code.INVALID_PARAMETER


@pytest.mark.parametrize("part", [(0, SIZE), (SIZE - 64, 64), (64, 1)])
def test_a_slice_inside_is_found(held, part):
    assert len(held.find(BufferSlice(NAME, *part))) == part[1]


@pytest.fixture(scope="module")
def held(tmp_path_factory):
    """A worker that holds one buffer, whose memory `mapped` does not find."""
    folder = tmp_path_factory.mktemp("held") / "rings"
    made = SharedBuffers(SETTINGS, NoDevice())
    made.listen(folder)
    memory = sealed(name="held")
    with connected(folder) as connection:
        send_hello(connection, Hello(NAME, SIZE), memory)
        assert connection.recv(512) == TAKEN
        yield made
    os.close(memory)


@given(st.binary(min_size=16, max_size=16).filter(lambda name: name != NAME))
def test_a_guessed_name_finds_nothing_and_no_error_says_a_name(held, name):
    refused = held.find(BufferSlice(name, 0, 64))
    assert refused.code is Code.UNKNOWN_RING
    assert name.hex() not in refused.message
    assert NAME.hex() not in refused.message


def test_names_are_made_by_the_service_at_random(worker, folder):
    invitations = [worker.invitation() for _ in range(100)]
    assert {invitation["directory"] for invitation in invitations} == {str(folder)}
    names = {bytes.fromhex(invitation["ring"]) for invitation in invitations}
    assert len(names) == 100
    assert {len(name) for name in names} == {16}
    json.dumps(invitations)


def test_a_worker_that_is_off_has_no_socket_and_knows_no_buffer(folder):
    off = SharedBuffers(FrameSettings(), NoDevice())
    off.listen(folder)
    assert not folder.exists()
    assert off.invitation().code is Code.SHARED_MEMORY_OFF
    assert off.find(BufferSlice(NAME, 0, 1)).code is Code.UNKNOWN_RING


def refusals():
    """What is no shared buffer: a maker of the descriptor, the size that is declared, words of the refusal."""
    ordinary = os.O_RDWR | os.O_CREAT
    return {
        "not sealed": (lambda _: sealed(seals=0), SIZE, "sealed"),
        "may be grown": (lambda _: sealed(seals=SEALS & ~fcntl.F_SEAL_GROW), SIZE, "sealed"),
        "may be shrunk": (lambda _: sealed(seals=SEALS & ~fcntl.F_SEAL_SHRINK), SIZE, "sealed"),
        "seals may be added": (lambda _: sealed(seals=SEALS & ~fcntl.F_SEAL_SEAL), SIZE, "sealed"),
        "an ordinary file": (lambda tmp: os.open(tmp / "file", ordinary), SIZE, "sealed"),
        "a file in /dev/shm": (lambda _: in_dev_shm(), SIZE, "sealed"),
        "a device": (lambda _: os.open("/dev/zero", os.O_RDONLY), SIZE, "sealed"),
        "a directory": (lambda tmp: os.open(tmp, os.O_RDONLY), SIZE, "sealed"),
        "a pipe": (lambda _: one_of(os.pipe()), SIZE, "sealed"),
        "a socket": (lambda _: socket.socket(socket.AF_UNIX).detach(), SIZE, "sealed"),
        "smaller than declared": (lambda _: sealed(SIZE // 2), SIZE, "bytes"),
        "larger than declared": (lambda _: sealed(SIZE), SIZE // 2, "bytes"),
        "empty": (lambda _: sealed(0), 0, "bytes"),
        "larger than allowed": (lambda _: sealed(SIZE + 4096), SIZE + 4096, "bytes"),
        "of a declared size that no memory has": (lambda _: sealed(), 2**64 - 1, "bytes"),
        "to be written only": (lambda _: write_only(), SIZE, "mapped"),
    }


def one_of(descriptors):
    os.close(descriptors[1])
    return descriptors[0]


def in_dev_shm():
    path = Path("/dev/shm", secrets.token_hex(8))
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    path.unlink()
    os.ftruncate(descriptor, SIZE)
    return descriptor


def write_only():
    memory = sealed()
    reopened = os.open(f"/proc/self/fd/{memory}", os.O_WRONLY)
    os.close(memory)
    return reopened


@pytest.mark.parametrize("case", refusals())
def test_what_is_no_sealed_memory_of_the_declared_size_is_refused(worker, folder, tmp_path, case):
    make, size, words = refusals()[case]
    descriptor = make(tmp_path)
    open_before = open_descriptors()
    answer = offer(folder, descriptor, size=size)
    os.close(descriptor)
    assert words in answer.decode()
    assert NAME.hex() not in answer.decode()
    assert not knows(worker)
    assert not mapped()
    wait_until(lambda: open_descriptors() <= open_before)


def test_memory_with_more_seals_than_needed_is_taken(folder, worker):
    memory = sealed(seals=SEALS | fcntl.F_SEAL_WRITE)
    answer = offer(folder, memory)
    os.close(memory)
    assert answer in {TAKEN, b"the memory cannot be mapped: Operation not permitted"}  # taken since Linux 6.7


HELLO = handshake._HELLO.pack(handshake.MAGIC, handshake.VERSION, NAME, SIZE)


@pytest.mark.parametrize("count", [0, 2, 4, 9])
def test_one_descriptor_comes_with_a_buffer_neither_none_nor_several(worker, folder, count):
    memory = sealed()
    open_before = open_descriptors()
    with connected(folder) as connection:
        socket.send_fds(connection, [HELLO], [memory] * count)
        assert b"one descriptor" in connection.recv(512)
    os.close(memory)
    assert not knows(worker)
    wait_until(lambda: open_descriptors() < open_before)  # all that were sent have been closed


@pytest.mark.parametrize(
    "message",
    [
        HELLO[:-1],
        HELLO + b"x",
        HELLO[:1],
        b"x" * 65536,
        b"\0" * len(HELLO),
        HELLO.replace(b"\x91", b"\x92"),
        HELLO[:8] + b"\2" + HELLO[9:],
    ],
    ids=["cut", "too long", "one byte", "64 KiB", "zeros", "other magic", "other version"],
)
def test_a_malformed_hello_is_refused_and_its_descriptor_closed(worker, folder, message):
    memory = sealed()
    open_before = open_descriptors()
    with connected(folder) as connection:
        socket.send_fds(connection, [message], [memory])
        assert b"a hello" in connection.recv(512)
    os.close(memory)
    wait_until(lambda: open_descriptors() < open_before)
    assert not knows(worker)


@given(st.binary(max_size=80))
def test_garbage_never_becomes_a_buffer_and_the_worker_goes_on(held_folder, message):
    with connected(held_folder) as connection:
        connection.send(message)
        if message:
            assert connection.recv(512) != TAKEN
    memory = sealed()
    try:
        assert offer(held_folder, memory, name=secrets.token_bytes(16)) == TAKEN
    finally:
        os.close(memory)


@pytest.fixture(scope="module")
def held_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("garbage") / "rings"
    SharedBuffers(
        FrameSettings(shared_memory=True, shared_memory_bytes=SIZE, shared_memory_rings=100), NoDevice()
    ).listen(folder)
    return folder


def test_a_second_hello_on_one_connection_ends_it(worker, folder):
    memory = sealed()
    with connected(folder) as connection:
        send_hello(connection, Hello(NAME, SIZE), memory)
        assert connection.recv(512) == TAKEN
        send_hello(connection, Hello(secrets.token_bytes(16), SIZE), memory)
        wait_until(lambda: not knows(worker) and not mapped())
    os.close(memory)


def test_a_connection_that_says_nothing_holds_nobody_up_and_is_closed_in_the_end(worker, folder, monkeypatch):
    monkeypatch.setattr(buffers, "HELLO_WITHIN_S", 0.5)
    buffer = SharedBuffer(SIZE)
    with connected(folder) as silent:
        began = time.monotonic()
        assert buffer.attach(folder, NAME) == 1
        assert time.monotonic() - began < 0.4
        assert silent.recv(512) == b""
    assert knows(worker)
    buffer.detach()


def test_silent_connections_are_bounded_and_the_worker_recovers(folder, monkeypatch):
    monkeypatch.setattr(buffers, "HELLO_WITHIN_S", 0.5)
    monkeypatch.setattr(buffers, "_MOST_WAITING", 3)
    worker = SharedBuffers(SETTINGS, NoDevice())
    worker.listen(folder)
    before = threading.active_count()
    held = [connected(folder) for _ in range(30)]
    for connection in held:
        connection.__enter__()
    assert threading.active_count() <= before + 3 + SETTINGS.shared_memory_rings
    buffer = SharedBuffer(SIZE)
    wait_until(lambda: buffer.attach(folder, NAME))
    for connection in held:
        connection.__exit__(None, None, None)
    buffer.detach()


def test_a_name_that_is_held_is_refused_and_stays_with_its_owner(worker, folder):
    buffer, other = SharedBuffer(SIZE), SharedBuffer(SIZE)
    assert buffer.attach(folder, NAME) == 1
    buffer.view[:5] = b"first"
    assert other.attach(folder, NAME) == 0
    other.detach()
    assert bytes(worker.find(BufferSlice(NAME, 0, 5))) == b"first"
    buffer.detach()


def test_more_buffers_than_allowed_are_refused_until_one_goes(worker, folder):
    held = [SharedBuffer(SIZE) for _ in range(3)]
    assert [buffer.attach(folder, secrets.token_bytes(16)) for buffer in held] == [1, 1, 0]
    held[0].detach()
    wait_until(lambda: held[2].attach(folder, NAME) == 1)
    for buffer in held:
        buffer.detach()


def as_nobody(work):
    """Run this in a process of another user; what it says, and the descriptors that it sends."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    ours, theirs = socket.socketpair()

    def child():
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        try:
            work(theirs)
        except OSError as error:
            theirs.send(repr(error).encode())

    process = FORK.Process(target=child, daemon=True)
    process.start()
    theirs.close()
    answer, descriptors, _flags, _address = socket.recv_fds(ours, 4096, 1)
    process.join()
    ours.close()
    return answer.decode(), descriptors


@pytest.fixture
def reachable():
    """A folder of sockets, in folders that everybody may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as parent:
        Path(parent).chmod(0o755)
        yield Path(parent, "rings")


def connect_and_offer(folder, memory):
    """What somebody does who knows a socket's name."""
    path = str(next(folder.iterdir()))

    def work(told):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
            connection.connect(path)
            with suppress(BrokenPipeError):  # refused before anything is said
                send_hello(connection, Hello(NAME, SIZE), memory)
            told.send(connection.recv(512))

    return work


def test_another_user_cannot_reach_a_socket_whose_name_they_know(reachable):
    worker = SharedBuffers(SETTINGS, NoDevice())
    worker.listen(reachable)
    memory = sealed()
    assert "PermissionError" in as_nobody(connect_and_offer(reachable, memory))[0]
    os.close(memory)


def test_another_users_connection_is_refused_even_where_the_directory_is_open(reachable, caplog):
    worker = SharedBuffers(SETTINGS, NoDevice())
    worker.listen(reachable)
    reachable.chmod(0o777)
    next(reachable.iterdir()).chmod(0o777)
    memory = sealed()
    assert as_nobody(connect_and_offer(reachable, memory))[0] != TAKEN.decode()
    wait_until(lambda: "the client runs as another user" in caplog.text)
    os.close(memory)
    assert not knows(worker)
    assert not mapped()


def test_memory_that_another_user_made_is_refused(worker, folder):
    def make(connection):
        socket.send_fds(connection, [b"."], [sealed()])

    _, (memory,) = as_nobody(make)
    answer = offer(folder, memory)
    os.close(memory)
    assert b"belongs to another user" in answer


def test_the_client_hands_nothing_to_a_directory_that_others_may_enter(folder):
    folder.mkdir(mode=0o755)
    with pytest.raises(HandshakeError, match="0700"):
        SharedBuffer(SIZE).attach(folder, NAME)
    folder.chmod(0o700)
    (folder.parent / "link").symlink_to(folder)
    with pytest.raises(OSError, match="link"):
        SharedBuffer(SIZE).attach(folder.parent / "link", NAME)


def test_a_worker_does_not_listen_where_others_may_enter(folder):
    folder.mkdir(mode=0o755)
    with pytest.raises(SettingsError, match="0700"):
        SharedBuffers(SETTINGS, NoDevice()).listen(folder)


def test_sockets_of_dead_workers_are_swept_away_and_those_of_live_ones_stay(folder):
    process = FORK.Process(target=lambda: SharedBuffers(SETTINGS, NoDevice()).listen(folder), daemon=True)
    process.start()
    process.join()
    (dead,) = folder.iterdir()
    first = SharedBuffers(SETTINGS, NoDevice())
    first.listen(folder)
    assert not dead.exists()
    SharedBuffers(SETTINGS, NoDevice()).listen(folder)
    assert len(list(folder.iterdir())) == 2
    buffer = SharedBuffer(SIZE)
    assert buffer.attach(folder, NAME) == 2
    assert knows(first)
    buffer.detach()


def test_a_directory_with_a_long_path_serves_as_well(tmp_path):
    folder = tmp_path / ("long" * 30) / "rings"
    folder.parent.mkdir()
    SharedBuffers(SETTINGS, NoDevice()).listen(folder)
    buffer = SharedBuffer(SIZE)
    assert buffer.attach(folder, NAME) == 1
    buffer.detach()


def test_a_buffer_attached_to_a_worker_that_died_attaches_to_its_successor(folder):
    listening, ending = FORK.Event(), FORK.Event()

    def live():
        SharedBuffers(SETTINGS, NoDevice()).listen(folder)
        listening.set()
        ending.wait()

    process = FORK.Process(target=live, daemon=True)
    process.start()
    assert listening.wait(10)
    buffer = SharedBuffer(SIZE)
    assert buffer.attach(folder, NAME) == 1
    process.kill()
    process.join()
    successor = SharedBuffers(SETTINGS, NoDevice())
    successor.listen(folder)
    assert buffer.attach(folder, NAME) == 1
    assert (buffer.workers, knows(successor)) == (1, True)
    buffer.detach()


@pytest.mark.parametrize(
    ("options", "environment", "expected"),
    [
        ({}, {}, False),
        ({"shared_memory": True}, {}, True),
        ({}, {"QUINTET_SHARED_MEMORY": "on"}, True),
        ({"shared_memory": True}, {"QUINTET_SHARED_MEMORY": "off"}, False),
        ({"shared_memory": True}, {"QUINTET_SHARED_MEMORY": ""}, True),
    ],
)
def test_it_is_off_unless_the_configuration_or_the_environment_says_on(options, environment, expected):
    left = {**options, "device": "cpu"}
    assert FrameSettings.taken_from(left, environment).shared_memory is expected
    assert left == {"device": "cpu"}


@pytest.mark.parametrize(
    ("options", "environment", "words"),
    [
        ({"shared_memory": "yes"}, {}, "shared_memory is 'yes'"),
        ({}, {"QUINTET_SHARED_MEMORY": "1"}, "on and off"),
        ({"shared_memory_bytes": 0}, {}, "shared_memory_bytes is 0"),
        ({"shared_memory_rings": 1.5}, {}, "shared_memory_rings is 1.5"),
    ],
)
def test_a_wrong_setting_is_named(options, environment, words):
    with pytest.raises(SettingsError, match=words):
        FrameSettings.taken_from(options, environment)
