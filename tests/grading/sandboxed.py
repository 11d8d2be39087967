"""What the tests of the sandbox share: words from inside, ears outside, and traces afterwards."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import indent

from sparsecourse.grading import cgroup, sandbox, scoring

SECONDS = 5.0


@functools.cache
def has_groups() -> bool:
    """Whether control groups can be made here, to bound all processes together."""
    with cgroup.bounded(2**20, 1) as prefix:
        return bool(prefix)


@functools.cache
def why_no_sandbox() -> str | None:
    """None where there is a sandbox; else why not."""
    try:
        scoring.probe()
    except sandbox.Refused as reason:
        return str(reason).splitlines()[0]
    return None


def told(body: str, seconds: float = SECONDS, **about) -> str:
    """What the body of a function, run inside, returns as text."""
    probe = f"def probe(x):\n{indent(body.strip(), '    ')}"
    ask = (
        "import numpy\ndef ask(x):\n"
        "    return numpy.frombuffer(str(probe(x)).encode()[:10**5], numpy.uint8)"
    )
    answers = scoring.answer(scoring.Job([probe, ask], {"ask": [{"x": 1}]}, seconds, **about))
    answer = answers.returned.get("ask", {}).get(0)
    assert answer is not None, answers
    assert answer.value is not None, answers
    return answer.value.tobytes().decode()


@contextlib.contextmanager
def listening(folder: Path) -> Iterator[tuple[list[tuple], list[bytes]]]:
    """Listen on sockets of every kind.

    Parameters
    ----------
    folder : Path
        For the socket that has a name.

    Yields
    ------
    addresses : list of tuple
        Family, kind and address of each.
    heard : list of bytes
        What arrives; a connection alone is an empty one.
    """
    abstract = f"\0sparsecourse-{os.getpid()}"
    wanted = [
        ("AF_INET", "SOCK_STREAM", ("127.0.0.1", 0)),
        ("AF_INET", "SOCK_DGRAM", ("127.0.0.1", 0)),
        ("AF_UNIX", "SOCK_STREAM", str(folder / "socket")),
        ("AF_UNIX", "SOCK_STREAM", abstract),
        ("AF_UNIX", "SOCK_DGRAM", abstract + "-datagrams"),
    ]
    heard: list[bytes] = []
    ended = threading.Event()

    def listen(ear: socket.socket, kind: str) -> None:
        ear.settimeout(0.1)
        while not ended.is_set():
            with contextlib.suppress(TimeoutError):
                if kind == "SOCK_DGRAM":
                    heard.append(ear.recv(100))
                else:
                    with ear.accept()[0] as link:
                        heard.append(link.recv(100))

    with contextlib.ExitStack() as stack:
        addresses, threads = [], []
        for family, kind, address in wanted:
            ear = stack.enter_context(socket.socket(getattr(socket, family), getattr(socket, kind)))
            ear.bind(address)
            if kind == "SOCK_STREAM":
                ear.listen()
            addresses.append((family, kind, ear.getsockname() if family == "AF_INET" else address))
            threads.append(threading.Thread(target=listen, args=(ear, kind)))
        for thread in threads:
            thread.start()
        try:
            yield addresses, heard
        finally:
            ended.set()
            for thread in threads:
                thread.join()


def sandboxed_processes() -> set[tuple[str, str]]:
    """Number and start of each process that a sandbox has started, ours or another's."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError):
            command = (process / "cmdline").read_bytes().split(b"\0")
            of_a_sandbox = (
                command[0].endswith(b"bwrap") or f"{sandbox.INSIDE}/runner.py".encode() in command
            )
            if of_a_sandbox or process.stat().st_uid >= sandbox.USERS:
                started = (process / "stat").read_text().rpartition(")")[2].split()[19]
                found.add((process.name, started))
    return found


def groups() -> set[Path]:
    """Control groups of sandboxes that this process has started."""
    mine = f"{cgroup.NAME}-{os.getpid()}-*"
    return {group for parent, _ in cgroup._places(0, 0) for group in parent.glob(mine)}


def assert_gone(left: set, now) -> None:
    """Wait for what was there to vanish: another grader's may be alive, but not for long."""
    for _ in range(300):
        left = left & now()
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(f"left behind: {left}")
