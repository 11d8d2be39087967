"""Grade a class: each submission scored in a sandbox, one writer, a CSV to be trusted."""

from __future__ import annotations

import csv
import hashlib
import json
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from sparsecourse import executors
from sparsecourse.grading import exercise, results, scoring, submissions
from sparsecourse.grading.answers import Ungradable
from sparsecourse.grading.exercise import Exercise
from sparsecourse.grading.gradebook import Gradebook
from sparsecourse.grading.marking import Key
from sparsecourse.grading.results import Result
from sparsecourse.grading.submissions import Submission
from sparsecourse.grading.work import Scored, Task, work

GRADED, MANUAL, UNGRADABLE = "graded", "needs manual grading", "ungradable"
Opened = Callable[[], AbstractContextManager[Executor]]


class ResumeError(Exception):
    """There is no run to go on with; the message says why."""


@dataclass(frozen=True)
class Row:
    """One line of the CSV: `score` is None where nothing could be graded.

    `penalty` is what was taken for handing in late; the score is without it.
    """

    student: str
    status: str
    score: float | None
    points: dict[str, float]
    penalty: float
    seconds: float


@dataclass(frozen=True)
class Grades:
    """A class, graded.

    Parameters
    ----------
    exercise : Exercise
    rows : list of Row
        By student.
    results : dict of str to Result
        By student: why points were lost.
    scored, kept : int
        How many were scored by this command, and by the run that it resumed.
    """

    exercise: Exercise
    rows: list[Row]
    results: dict[str, Result]
    scored: int
    kept: int


def grade(
    root: Path,
    topic: str,
    path: Path,
    folder: Path,
    opened: Opened,
    in_flight: int,
    *,
    resume: bool = False,
    protected: bool = True,
    seconds: float = 10.0,
    pattern: str | None = None,
    url: str | None = None,
) -> Grades:
    """Grade the submissions at `path`.

    Parameters
    ----------
    root : Path
        The clone: holds solutions/ and exercises/.
    topic : str
        NN_topic.
    path : Path
        A folder or a zip, see `submissions.find`.
    folder : Path
        Where results and the gradebook are kept.
    opened : callable
        Gives an executor, see `executors.finished`.
    in_flight : int
        How many submissions are held in memory at once.
    resume : bool
        Keep what an interrupted run has scored.
    protected : bool
        False runs students' code without a sandbox.
    seconds : float
        Wall time of one cell, and of one function on all its inputs.
    pattern : str, optional
        How a student is told from a file name, see `submissions.find`.
    url : str, optional
        Of the gradebook; default: SQLite in `folder`.

    Raises
    ------
    ExerciseError, SubmissionsError
        If there is nothing to grade, or nothing to grade it by.
    Refused
        If there is no sandbox.
    ResumeError
        If `resume` is asked for and there is no such run.
    """
    asked = exercise.load(root, topic)
    found = submissions.find(path, topic, pattern)
    if protected:
        scoring.probe()
    with Gradebook(folder, url) as gradebook:
        run = _run(folder / topic / "run.json", root / "solutions" / topic, path, resume)
        gradebook.prepare(root, asked)
        keys = {check.name: Key.draw(check, run["seed"]) for check in asked.checks}
        grading = _Grading(asked, keys, run["id"], folder / topic / "results", gradebook)
        options = {
            "given_code": asked.given_code,
            "cases": {name: key.cases for name, key in keys.items()},
            "seconds": seconds,
            "protected": protected,
            "hidden": tuple(place.resolve() for place in (root / "solutions", folder, path)),
        }
        with tqdm(total=len(found), unit="submission", smoothing=0) as bar:
            tasks = grading.tasks(found, options, bar.update)
            for task, scored in executors.finished(opened, work, tasks, in_flight):
                grading.judge(task, scored, seconds)
                bar.update()
        rows = [grading.row(submission.student) for submission in found]
        return Grades(asked, rows, grading.results, grading.scored, grading.kept)


def _run(file: Path, solutions: Path, path: Path, resume: bool) -> dict[str, Any]:
    """What makes a run one run: the seed of its hidden inputs, the checks, the submissions."""
    checks = hashlib.sha256()
    for name in sorted(solutions.glob("*.*")):
        checks.update(name.read_bytes())
    about = {"submissions": str(path.resolve()), "checks": checks.hexdigest()}
    if resume:
        if not file.is_file():
            raise ResumeError(f"{file} is not there: nothing was begun; leave out --resume")
        run = json.loads(file.read_text(encoding="utf-8"))
        for name, value in about.items():
            if run[name] != value:
                raise ResumeError(
                    f"the run to go on with had other {name} ({run[name]}, now {value}); "
                    "leave out --resume to grade anew"
                )
        return run
    run = {"id": secrets.token_hex(8), "seed": secrets.randbits(64), **about}
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(run, indent=1), encoding="utf-8")
    partial.replace(file)
    return run


class _Grading:
    """One run: what is known, what is new, and where it is written."""

    def __init__(
        self, asked: Exercise, keys: dict[str, Key], run: str, store: Path, gradebook: Gradebook
    ) -> None:
        self.exercise, self.keys, self.run = asked, keys, run
        self.store, self.gradebook = store, gradebook
        self.results: dict[str, Result] = {}
        self.scored = self.kept = 0

    def tasks(
        self, found: list[Submission], options: dict[str, Any], known: Callable[[], Any]
    ) -> Iterator[Task]:
        """What is left to score; calls `known` for each submission that needs no scoring."""
        for submission in found:
            student = submission.student
            try:
                content = submission.read()
            except Ungradable as problem:
                about = {"ungradable": str(problem), "timestamp": submission.timestamp}
                self._keep(Result(student, "", self.run, **about))
                known()
                continue
            before = results.stored(self.store, student)
            if before and (before.run, before.digest) == (self.run, _digest(content)):
                self.kept += 1
                self._record(before)
                known()
            else:
                yield Task(student, content, submission.timestamp, **options)

    def judge(self, task: Task, scored: Scored | BaseException, seconds: float) -> None:
        """Judge what a worker brought, and write it down."""
        self.scored += 1
        about = {
            "student": task.student,
            "digest": _digest(task.content),
            "run": self.run,
            "timestamp": task.timestamp,
        }
        if isinstance(scored, BaseException):
            why = f"its worker failed ({type(scored).__name__}: {scored})"
            self._keep(Result(**about, ungradable=why, fault=True))
        elif scored.answers is None:
            about |= {"ungradable": scored.ungradable, "fault": scored.fault}
            self._keep(Result(**about, seconds=scored.seconds))
        else:
            marks = {name: key.mark(scored.answers, seconds) for name, key in self.keys.items()}
            about |= {"notes": scored.notes, "cells": scored.cells, "seconds": scored.seconds}
            self._keep(Result(**about, marks=marks))

    def _keep(self, result: Result) -> None:
        """First the file: a run that is killed here has lost nothing, and scores nothing twice."""
        results.store(self.store, result)
        self._record(result)

    def _record(self, result: Result) -> None:
        self.gradebook.record(self.exercise, result)
        self.results[result.student] = replace(result, cells=[])  # memory stays flat

    def row(self, student: str) -> Row:
        """The line of the CSV, with what a person has graded by hand."""
        result = self.results[student]
        if result.ungradable is not None:
            return Row(student, f"{UNGRADABLE}: {result.ungradable}", None, {}, 0.0, result.seconds)
        entry = self.gradebook.entry(self.exercise, student)
        status = MANUAL if entry.waiting else GRADED
        # What nobody has read yet is unknown, not 0.
        points = {name: got for name, got in entry.points.items() if name not in entry.waiting}
        score = sum(points.values()) - entry.penalty
        return Row(student, status, score, points, entry.penalty, result.seconds)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write_csv(out: Path, grades: Grades) -> None:
    """Write `out`, whole or not at all: one line a student, empty where nothing is known."""
    names = [check.name for check in grades.exercise.checks] + list(grades.exercise.manual)
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["student", "status", "score", "maximum", *names, "penalty", "seconds"])
        for row in grades.rows:
            known = row.score is not None
            score, penalty = (f"{n:g}" if known else "" for n in (row.score, row.penalty))
            points = [f"{row.points[name]:g}" if name in row.points else "" for name in names]
            maximum = f"{grades.exercise.maximum:g}"
            writer.writerow(
                [row.student, row.status, score, maximum, *points, penalty, f"{row.seconds:.2f}"]
            )
    partial.replace(out)
