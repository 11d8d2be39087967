"""Get a student's answers out of a sandbox: run the cells, call the functions, read what they say.

What comes over the pipe was written by a process that a student's code had for its own. So lines
are read with bounds, each is taken for a claim about that student's own answers, and nothing else
depends on them. A cell or function that ends or stalls everything is left out the next time: the
rest is run again without it, and earns what it deserves.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import IO, Any

from sparsecourse.grading import sandbox, wire

MAX_LINE = 4 * wire.MAX_BYTES
MAX_STREAM = 8 * MAX_LINE
MAX_NAME = 100  # characters of an exception's name
MAX_STEPS = 20  # a submission may take the time of so many
START_SECONDS = 60  # for an interpreter on a busy machine
GRACE_SECONDS = 2  # between the runner's own watch and ours

ENDS = {"done", "died", "time", "missing", "no process"}

Step = tuple[str, Any]  # ("cell", its number) or ("function", its name)


@dataclass(frozen=True)
class Job:
    """What one sandbox gets to do.

    Parameters
    ----------
    cells : list of str
        Code, in order.
    cases : dict of str to list
        Name of each function -> its inputs, encoded by `wire`.
    seconds : float
        Wall time of one cell, and of one function on all its inputs.
    protected : bool
        False runs it without a sandbox.
    hidden : tuple of Path
        Folders that a sandbox must not show.
    """

    cells: list[str]
    cases: dict[str, list[dict]]
    seconds: float
    protected: bool = True
    hidden: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Returned:
    """What a call gave: a value, or the name of the exception, or of the argument it changed."""

    value: Any = None
    raised: str | None = None
    changed: str | None = None


@dataclass
class Answers:
    """What a student's functions answered.

    Parameters
    ----------
    returned : dict of str to dict of int to Returned
        Name of a function -> number of a case -> what came back.
    ends : dict of str to str
        How each function's process ended: done, time, died, missing, no process; or "late", if
        it was not called because the submission as a whole took too long.
    failed_cells : dict of int to str
        Number of a cell -> the exception that ended it, or "time", or "died".
    """

    returned: dict[str, dict[int, Returned]] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)
    failed_cells: dict[int, str] = field(default_factory=dict)


class SandboxFailed(Exception):  # noqa: N818
    """The sandbox did not start; the message holds what it said."""


def answer(job: Job) -> Answers:
    """Run the cells and call the functions, in as few sandboxes as that takes.

    Raises
    ------
    SandboxFailed
        If nothing could be run at all.
    """
    answers = Answers()
    left_out: set[int] = set()
    last = time.monotonic() + START_SECONDS + MAX_STEPS * job.seconds
    while pending := [name for name in job.cases if name not in answers.ends]:
        running = _Run(job, left_out, pending, answers, last)
        why = running.to_its_end()
        if why is None or time.monotonic() > last:
            for name in pending:  # a runner that says it is done has spoken of all, or lied
                answers.ends.setdefault(name, "late" if why else "died")
        elif running.step is None:
            raise SandboxFailed(running.said or f"it ended without a word ({why})")
        elif running.step[0] == "cell":
            left_out.add(running.step[1])
            answers.failed_cells[running.step[1]] = why
        else:
            answers.ends.setdefault(running.step[1], why)
    return answers


def probe() -> None:
    """Try the sandbox on a function of our own.

    Raises
    ------
    Refused
        If it does not start, or does not answer.
    """
    if shutil.which("bwrap") is None:
        raise sandbox.Refused(f"bubblewrap (bwrap) is not installed.\n{sandbox.INSTRUCTIONS}")
    job = Job(["def probe(x):\n    return x + 1"], {"probe": [{"x": 41}]}, seconds=10.0)
    try:
        found = answer(job)
    except SandboxFailed as problem:
        raise sandbox.Refused(
            f"The sandbox does not start: {problem}\n{sandbox.INSTRUCTIONS}"
        ) from problem
    if found.returned.get("probe", {}).get(0) != Returned(42):
        raise sandbox.Refused(f"The sandbox does not work: {found}\n{sandbox.INSTRUCTIONS}")


class _Run:
    """One sandbox, from its start to its end."""

    def __init__(
        self, job: Job, left_out: set[int], pending: list[str], answers: Answers, last: float
    ) -> None:
        self.job, self.pending, self.answers, self.last = job, pending, answers, last
        self.cells = [(n, source) for n, source in enumerate(job.cells) if n not in left_out]
        self.ahead: list[Step] = [("cell", number) for number, _ in self.cells]
        self.ahead += [("function", name) for name in pending]
        self.step: Step | None = None
        self.unsent = memoryview(b"")
        self.done = False
        self.said = ""
        self._wait(START_SECONDS)

    def _wait(self, seconds: float) -> None:
        self.deadline = min(time.monotonic() + seconds, self.last)

    def to_its_end(self) -> str | None:
        """Start it, feed it, read it; None if it came to its end, else "time" or "died"."""
        protected = self.job.protected
        job = {
            "cells": self.cells,
            "functions": self.pending,
            "seconds": self.job.seconds,
            "limits": sandbox.limits() if protected else {},
            "user": sandbox.user() if protected else None,
            "alone": protected,
        }
        start = sandbox.started if protected else sandbox.started_unprotected
        with start(self.job.hidden) as process:
            os.set_blocking(process.stdin.fileno(), False)
            self._queue(job)
            try:
                for line in self._lines(process):
                    before = self.step
                    self._take(line)
                    if self.done:
                        return None
                    if self.step != before and self.step[0] == "function":
                        # Only now: nothing that ran before has seen these inputs.
                        self._queue(self.job.cases[self.step[1]])
            except TimeoutError:
                return "time"
            finally:
                os.set_blocking(process.stderr.fileno(), False)
                self.said = (process.stderr.read(2000) or b"").decode(errors="replace").strip()
        return "died"

    def _queue(self, message: Any) -> None:
        self.unsent = memoryview(bytes(self.unsent) + json.dumps(message).encode() + b"\n")

    def _send(self, pipe: IO[bytes]) -> None:
        try:
            self.unsent = self.unsent[os.write(pipe.fileno(), self.unsent) :]
        except OSError:  # the reader is gone: its silence tells
            self.unsent = memoryview(b"")

    def _lines(self, process: Popen) -> Iterator[bytes]:
        """Send what is queued; whole lines that come, until there are no more or far too many."""
        rest, total = [], 0  # what a line began with, in pieces
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while total < MAX_STREAM and sum(map(len, rest)) < MAX_LINE:
                if self.unsent:
                    selector.register(process.stdin, selectors.EVENT_WRITE)
                # Somebody who never stops writing has no more time than others.
                left = self.deadline - time.monotonic()
                ready = [key.fileobj for key, _ in selector.select(left)] if left > 0 else []
                if not ready:
                    raise TimeoutError
                if self.unsent:
                    selector.unregister(process.stdin)
                if process.stdin in ready:
                    self._send(process.stdin)
                if process.stdout not in ready:
                    continue
                chunk = os.read(process.stdout.fileno(), 2**20)
                if not chunk:
                    return
                total += len(chunk)
                *whole, tail = chunk.split(b"\n")
                if whole:
                    yield b"".join([*rest, whole[0]])
                    yield from whole[1:]
                    rest = []
                rest.append(tail)

    def _take(self, line: bytes) -> None:
        """Believe a line as far as it speaks of the step that is due, or of the next."""
        try:
            said = json.loads(line)
            step = next((key, said[key]) for key in ("cell", "function") if key in said)
        except (ValueError, TypeError, StopIteration, RecursionError):
            self.done = line == b'{"done": true}'
            return
        if self.ahead and step == self.ahead[0] and len(said) == 1:
            self.step = self.ahead.pop(0)
            self._wait(self.job.seconds + GRACE_SECONDS)
        elif self.step is None or step != self.step:
            return
        elif step[0] == "cell":
            if isinstance(said.get("error"), str):
                self.answers.failed_cells[step[1]] = said["error"][:MAX_NAME]
        elif isinstance(said.get("end"), str) and said["end"] in ENDS:
            self.answers.ends[step[1]] = said["end"]
        elif type(said.get("case")) is int:
            self._take_result(step[1], said)

    def _take_result(self, function: str, said: dict) -> None:
        try:
            value = wire.decode(said.get("value"))
        except ValueError:
            return
        raised, changed = (
            text[:MAX_NAME] if isinstance(text := said.get(key), str) else None
            for key in ("raised", "changed")
        )
        if said["case"] in range(len(self.job.cases[function])):
            results = self.answers.returned.setdefault(function, {})
            results[said["case"]] = Returned(value, raised, changed)
