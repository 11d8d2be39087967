"""Bound the memory and the number of all processes of a sandbox together, where the system lets us.

Limits of a process hold for each one alone: sixty processes may each take the memory of one.
A control group bounds their sum. Making one takes rights that containers and users often lack;
then there is none, and the limits of each process have to do.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OURS = Path("/proc/self/cgroup")
NAME = "sparsecourse"
WHERE_THERE_IS_SWAP = {"memory.memsw.limit_in_bytes", "memory.swap.max"}
OLD = 3600  # seconds; no sandbox lives that long


@contextlib.contextmanager
def bounded(memory: int, processes: int) -> Iterator[list[str]]:
    """Make a group, give the beginning of a command line that starts within it, remove it.

    Parameters
    ----------
    memory : int
        Bytes, files in memory included.
    processes : int

    Yields
    ------
    prefix : list of str
        Empty where no group is to be had.
    """
    name = f"{NAME}-{os.getpid()}-{uuid.uuid4().hex}"
    made: list[Path] = []
    for parent, limits in _places(memory, processes):
        group = parent / name
        _remove_old(parent)
        try:
            group.mkdir()
            made.append(group)
            for file, bound in limits.items():
                if file not in WHERE_THERE_IS_SWAP or (group / file).exists():
                    (group / file).write_text(str(bound))
        except OSError:
            _remove(made)
            made = []
            break
    entering = "; ".join(f'echo $$ > "{group}/cgroup.procs"' for group in made)
    try:
        yield ["/bin/sh", "-c", f'set -e; {entering}; exec "$@"', "sh"] if made else []
    finally:
        _remove(made)


def _places(memory: int, processes: int) -> list[tuple[Path, dict[str, int]]]:
    """Where groups can be made (version 2: in one tree; version 1: in one for each controller)."""
    if not OURS.exists():
        return []
    own = {
        kind: path.lstrip("/")
        for _, kind, path in (line.split(":", 2) for line in OURS.read_text().splitlines())
    }
    if {"memory", "pids"} <= own.keys():
        return [
            (
                ROOT / "memory" / own["memory"],
                {"memory.limit_in_bytes": memory, "memory.memsw.limit_in_bytes": memory},
            ),
            (ROOT / "pids" / own["pids"], {"pids.max": processes}),
        ]
    # A group that holds processes, as ours does, may not bound groups below it: go beside it.
    beside = (ROOT / own.get("", "")).parent
    with contextlib.suppress(OSError):
        if {"memory", "pids"} <= set((beside / "cgroup.subtree_control").read_text().split()):
            limits = {"memory.max": memory, "memory.swap.max": 0, "pids.max": processes}
            return [(beside, limits)]
    return []


def _remove(groups: list[Path]) -> None:
    """A group can be removed once the system has seen off its last process."""
    for group in groups:
        for _ in range(200):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.005)


def _remove_old(parent: Path) -> None:
    """Remove what a grader that was killed left behind, as far as it is empty."""
    for group in parent.glob(f"{NAME}-*"):
        with contextlib.suppress(OSError):
            if group.stat().st_mtime < time.time() - OLD:
                group.rmdir()
