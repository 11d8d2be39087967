"""What a student gets back: a page that says what each function earned, and what to look at."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from sparsecourse.grading import page, results
from sparsecourse.grading.exercise import Exercise
from sparsecourse.grading.gradebook import Entry, Gradebook
from sparsecourse.grading.results import Mark, Result


class FeedbackError(Exception):
    """There is nothing to tell; the message says what to do first."""


def write_all(exercise: Exercise, folder: Path, url: str | None, out: Path) -> list[Path]:
    """Write a page for each student who has a result.

    Parameters
    ----------
    exercise : Exercise
    folder : Path
        Where `grade` keeps results and the gradebook.
    url : str, optional
        Of the gradebook; default: the one that `folder` has used before.
    out : Path
        Folder of the pages; made if there is none.

    Returns
    -------
    pages : list of Path

    Raises
    ------
    FeedbackError
        If nothing was graded, or the gradebook does not know of it.
    GradebookError
        If there is no gradebook to read.
    """
    kept = folder / exercise.topic / "results"
    students = sorted(path.stem for path in kept.glob("*.json"))
    if not students:
        raise FeedbackError(
            f"{kept} holds no results: first run "
            f"python3 -m sparsecourse grade {exercise.topic} SUBMISSIONS --out grades.csv"
        )
    with Gradebook(folder, url, read_only=True) as gradebook:
        return [
            write(exercise, results.stored(kept, student), gradebook.entry(exercise, student), out)
            for student in students
        ]


def write(exercise: Exercise, result: Result, entry: Entry | None, out: Path) -> Path:
    """Write `out`/STUDENT.html.

    Parameters
    ----------
    exercise : Exercise
    result : Result
        Why points were lost.
    entry : Entry, optional
        The points that count, with those that a person gave, and comments.
    out : Path

    Returns
    -------
    path : Path

    Raises
    ------
    FeedbackError
        If result, entry and exercise do not belong together.
    ValueError
        If the student's id leads out of `out`.
    """
    path = out / f"{result.student}.html"
    if path.parent.resolve() != out.resolve():
        raise ValueError(f"{result.student!r} is no id of a student: its page would leave {out}")
    if result.ungradable is not None:
        outcome = _not_graded(result)
    else:
        _refuse_what_does_not_fit(exercise, result, entry)
        outcome = _graded(exercise, result, entry)
    page.write(
        path,
        "feedback",
        title=page.title(exercise),
        topic=exercise.topic,
        student=result.student,
        handed_in=_time(result.timestamp),
        **outcome,
    )
    return path


def _refuse_what_does_not_fit(exercise: Exercise, result: Result, entry: Entry | None) -> None:
    functions = set(exercise.grade_ids)
    recorded = set() if entry is None else set(entry.points)
    if set(result.marks) != functions or recorded != functions | set(exercise.manual):
        raise FeedbackError(
            f"{result.student}: what is stored does not fit the gradebook, or the exercise as it "
            "is now: run the same grade command again (--resume keeps what is scored), or name "
            "its gradebook with --gradebook"
        )


def _not_graded(result: Result) -> dict[str, Any]:
    ours = "something went wrong on the grading machine"
    return {
        "ungradable": ours if result.fault else result.ungradable,
        "hand_in_again": not result.fault,
    }


def _graded(exercise: Exercise, result: Result, entry: Entry) -> dict[str, Any]:
    counted = sum(points for name, points in entry.points.items() if name not in entry.waiting)
    functions = [_function(name, mark, entry) for name, mark in result.marks.items()]
    answers = [_question(name, maximum, entry) for name, maximum in exercise.manual.items()]
    waiting = sum(about["maximum"] for about in functions + answers if about["waiting"])
    return {
        "ungradable": None,
        "score": counted - entry.penalty,
        "maximum": exercise.maximum - waiting,
        "waiting": waiting,
        "penalty": entry.penalty,
        "headings": page.headings(exercise),
        "functions": functions,
        "answers": answers,
        "notes": result.notes,
    }


def _question(name: str, maximum: int, entry: Entry) -> dict[str, Any]:
    return {
        "name": name,
        "points": entry.points[name],
        "maximum": maximum,
        "waiting": name in entry.waiting,
        "comment": entry.comments.get(name),
    }


def _function(name: str, mark: Mark, entry: Entry) -> dict[str, Any]:
    what, _, look = (mark.failure or "").partition(" Look first: ")
    return _question(name, mark.maximum, entry) | {
        "right": mark.points == mark.maximum,
        "by_hand": entry.points[name] != mark.points,
        "what": what,
        "look": look,
    }


def _time(timestamp: str | None) -> str | None:
    return f"{datetime.fromisoformat(timestamp):%Y-%m-%d %H:%M %Z}" if timestamp else None
