"""What a worker does with one submission, on this machine or another: it holds no right answer."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path

from sparsecourse.grading import answers, scoring
from sparsecourse.grading.answers import Ungradable
from sparsecourse.grading.marking import EXCEPTIONS
from sparsecourse.grading.results import Cell


@dataclass(frozen=True)
class Task:
    """One submission, and the inputs that its functions are called with.

    Parameters
    ----------
    student : str
    content : bytes
        The notebook.
    timestamp : str, optional
        When it was handed in, ISO 8601.
    given_code : list of str
        Cells that the exercise came with, restored: a student may have deleted them.
    cases : dict of str to list
        See `scoring.Job`, as for the others.
    """

    student: str
    content: bytes
    timestamp: str | None
    given_code: list[str]
    cases: dict[str, list[dict]]
    seconds: float
    protected: bool
    hidden: tuple[Path, ...]


@dataclass(frozen=True)
class Scored:
    """Answers that nobody has judged yet, or the reason why there are none.

    `fault` tells that the reason lies with this machine.
    """

    seconds: float
    ungradable: str | None = None
    fault: bool = False
    cells: list[Cell] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    answers: scoring.Answers | None = None


def work(task: Task) -> Scored:
    """Read the notebook, run it in a sandbox, bring back what its functions answered."""
    start = time.monotonic()

    def spent() -> float:
        return time.monotonic() - start

    try:
        cells = answers.read(task.content, list(task.cases))
    except Ungradable as problem:
        return Scored(spent(), str(problem))
    code = [cell.source for cell in cells if cell.kind == "code"]
    job = scoring.Job(task.given_code + code, task.cases, task.seconds, task.protected, task.hidden)
    try:
        found = scoring.answer(job)
    except scoring.SandboxFailed as problem:
        return Scored(spent(), f"the sandbox did not start: {problem}", fault=True)
    notes = [
        _note(number - len(task.given_code), job.cells[number], why, task.seconds)
        for number, why in sorted(found.failed_cells.items())
        if number >= len(task.given_code)
    ]
    return Scored(spent(), cells=cells, notes=notes, answers=found)


def _note(number: int, source: str, why: str, seconds: float) -> str:
    first = next((line.strip() for line in source.splitlines() if line.strip()), "")[:60]
    if why == "time":
        what = f"was stopped after {seconds:g} seconds and left out"
    elif why == "died":
        what = "ended everything (an exit, a crash, too much memory) and was left out"
    else:
        what = f"stopped with {why if why in EXCEPTIONS else 'an exception of your own'}"
    return f"Code cell {number + 1} ({first}) {what}; the cells after it ran."
