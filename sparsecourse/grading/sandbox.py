"""A place where a student's code can do no harm: bubblewrap, as a list of what is allowed.

Inside there is an interpreter with its packages, to be read; a stub of this package; a folder in
memory to write to; and no network, no other process, no file of the host, no privilege. Whatever
is not bound below does not exist there.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import sparsecourse
from sparsecourse.grading import cgroup, syscalls

PACKAGE = Path(sparsecourse.__file__).parent
MEMORY = 4 * 2**30  # bytes of one process; torch alone asks for 1.5 GB of addresses
SCRATCH = 2**28  # bytes of files
PROCESSES = 64
SECONDS_TO_END = 5
USERS = 1_900_000_000  # first of the numbers that stand for users who own nothing anywhere

# What is found inside -> what it is outside.
LAYOUT = {
    "runner.py": PACKAGE / "grading" / "inside" / "runner.py",
    "wire.py": PACKAGE / "grading" / "wire.py",
    "sparsecourse/__init__.py": PACKAGE / "grading" / "inside" / "stub" / "__init__.py",
    "sparsecourse/grading.py": PACKAGE / "grading" / "inside" / "stub" / "grading.py",
    "sparsecourse/data": PACKAGE / "data",
}
INSIDE = "/grader"
LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib")
LINKER = ("/etc/ld.so.cache", "/etc/alternatives")
VARIABLES = {
    "HOME": "/tmp",
    "USER": "student",
    "LANG": "C.UTF-8",
    "PATH": "/usr/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "agg",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

INSTRUCTIONS = """\
Grading runs students' code, and does so only where it can do no harm. What to do:
- On Linux, install bubblewrap (Debian, Ubuntu: sudo apt install bubblewrap). If it is there and
  refused, the system forbids user namespaces: ask its administrator to allow them for bwrap, or
  run the command as root.
- On Windows, use WSL2; on macOS, a Linux virtual machine. In a container, allow bubblewrap (it
  needs to mount, e.g. --cap-add SYS_ADMIN with Docker).
- In a machine that holds nothing but the submissions and has no network, --unsafe-no-sandbox runs
  them unprotected."""


class Refused(Exception):  # noqa: N818  (it is the host that refuses)
    """There is no sandbox to be had here; the message says why, and what to do."""


@contextlib.contextmanager
def started(hidden: tuple[Path, ...] = ()) -> Iterator[subprocess.Popen]:
    """Start the runner inside a sandbox; end everything within when the block is left.

    Parameters
    ----------
    hidden : tuple of Path
        Folders that must not be seen, should they lie within what is bound.

    Yields
    ------
    process : Popen
        With pipes: it reads a job, and writes answers.
    """
    with (
        cgroup.bounded(MEMORY + SCRATCH, 2 * PROCESSES) as prefix,
        syscalls.refused() as refused,
    ):
        process = subprocess.Popen(
            prefix + command(hidden, refused),
            pass_fds=[] if refused is None else [refused],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # The first process inside inherits these; a student's code may read them.
            env={"PATH": os.defpath},
            start_new_session=True,  # a Ctrl-C is for the grader, not for what it grades
        )
        with ended_afterwards(process):
            yield process


@contextlib.contextmanager
def started_unprotected(hidden: tuple[Path, ...] = ()) -> Iterator[subprocess.Popen]:
    """Start the runner without a sandbox, in a folder of its own: for those who ask for it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for name, source in LAYOUT.items():
            target = Path(folder, "grader", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        process = subprocess.Popen(
            [sys.executable, "-s", str(Path(folder, "grader", "runner.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=folder,
            env=VARIABLES | {"HOME": folder},
            start_new_session=True,
        )
        with ended_afterwards(process):
            yield process


@contextlib.contextmanager
def ended_afterwards(process: subprocess.Popen) -> Iterator[None]:
    """Kill and reap when the block is left, however it is left."""
    try:
        yield
    finally:
        with contextlib.suppress(OSError, IndexError, subprocess.TimeoutExpired):
            # The child of bubblewrap is the first process inside. Once it is reaped, all are.
            children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            os.kill(int(children.split()[0]), signal.SIGKILL)
            process.wait(SECONDS_TO_END)
        # Without a sandbox: whatever else a student's code started.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError):
                pipe.close()


def user() -> int | None:
    """Who the student's code runs as: nobody's number where we are root, else ourselves.

    Limits on the number of processes do not bind root. A number a thread keeps those apart that
    run at the same time.
    """
    return USERS + threading.get_native_id() if os.geteuid() == 0 else None


def limits() -> dict[str, int]:
    """The limits of each process, by the names of `resource`."""
    return {
        "AS": MEMORY,
        "CORE": 1,  # at 0, a program that the host keeps for dumps would be started all the same
        "CPU": 600,
        "FSIZE": SCRATCH,
        "NOFILE": 256,
        "NPROC": PROCESSES + (0 if os.geteuid() == 0 else _threads_of_this_user()),
    }


def command(hidden: tuple[Path, ...] = (), refused: int | None = None) -> list[str]:
    """The command line: bubblewrap, what it shows, and the runner.

    Parameters
    ----------
    hidden : tuple of Path
    refused : int, optional
        Descriptor of a file that holds the filter of system calls.
    """
    # Found by our PATH: the one it is started with is another.
    arguments = [shutil.which("bwrap") or "bwrap", "--die-with-parent", "--new-session"]
    arguments += ["--cap-drop", "ALL"]
    if os.geteuid() == 0:
        # No user namespace: within one, every user would be root to the host's count of processes.
        # The runner becomes somebody else before it touches a student's code.
        arguments += ["--unshare-ipc", "--unshare-net", "--unshare-pid", "--unshare-uts"]
        arguments += ["--unshare-cgroup-try", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        arguments += ["--unshare-all", "--unshare-user", "--disable-userns"]
    if refused is not None:
        arguments += ["--seccomp", str(refused)]
    arguments += ["--hostname", "sandbox", "--clearenv"]
    for name, value in VARIABLES.items():
        arguments += ["--setenv", name, value]
    arguments += ["--proc", "/proc", "--dev", "/dev"]
    if os.path.exists("/proc/keys"):  # it names the keys of whoever started us
        arguments += ["--ro-bind", os.devnull, "/proc/keys"]
    for folder in ("/dev/shm", "/tmp"):
        arguments += ["--perms", "1777", "--size", str(SCRATCH), "--tmpfs", folder]
    mounts = _shown(hidden) | {
        f"{INSIDE}/{name}": ["--ro-bind", str(source)] for name, source in LAYOUT.items()
    }
    for folder in sorted({parent for name in mounts for parent in map(str, Path(name).parents)}):
        arguments += ["--dir", folder]  # left to itself, bubblewrap makes them for root alone
    for name in sorted(mounts):
        arguments += [*mounts[name], name]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]
    # Without "..", for there is nothing to go through inside.
    return [*arguments, os.path.abspath(sys.executable), "-s", f"{INSIDE}/runner.py"]


def _shown(hidden: tuple[Path, ...]) -> dict[str, list[str]]:
    """Libraries, the interpreter and its environment, read-only: path -> how to mount it."""
    mounts: dict[str, list[str]] = {}
    for name in (*LIBRARIES, *LINKER):
        path = Path(name)
        if path.is_symlink():
            mounts[name] = ["--symlink", os.readlink(path)]
        elif path.exists():
            mounts[name] = ["--ro-bind", name]
    prefixes = (sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix)
    environment = set(map(os.path.abspath, prefixes))
    if "/usr" in environment:  # all programs of the system: the interpreter alone will do
        environment -= {"/usr"}
        environment |= {os.path.abspath(sys.executable), os.path.realpath(sys.executable)}
    mounts |= {name: ["--ro-bind", name] for name in environment}
    shown = [Path(name) for name, (option, *_) in mounts.items() if option == "--ro-bind"]
    # This package may be installed as well as run from a clone: no copy of it is shown.
    copies = [place for folder in sys.path if (place := Path(folder, PACKAGE.name)).is_dir()]
    for path in map(Path.resolve, (PACKAGE, *copies, *hidden)):
        for folder in shown:
            if path.is_relative_to(folder.resolve()):
                name = str(folder / path.relative_to(folder.resolve()))
                empty = ["--tmpfs", name, "--remount-ro"]
                mounts[name] = empty if path.is_dir() else ["--ro-bind", os.devnull]
    return mounts


def _threads_of_this_user() -> int:
    """What the user already runs, where that counts: in a user namespace before Linux 5.14."""
    if tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (5, 14):
        return 0
    threads = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if process.stat().st_uid == os.getuid():
                threads += len(os.listdir(process / "task"))
    return threads
