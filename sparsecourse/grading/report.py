"""The instructor's page on a class: scores, what was hard, and whom to look after."""

from __future__ import annotations

import base64
import io
import math
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from sparsecourse.grading import page
from sparsecourse.grading.grade import GRADED, MANUAL, Grades, Row

MOST_BARS = 31
SLOWEST = 5


@dataclass(frozen=True)
class Question:
    """How a class did on one function, or on one answer that a person reads.

    Parameters
    ----------
    name : str
    heading : str
        What stands above it in the exercise.
    maximum : int
    points : list of float
        Of those whose points are known.
    kinds : list of str
        What went wrong, in words for students: one for each who lost points in a function.
    """

    name: str
    heading: str
    maximum: int
    points: list[float]
    kinds: list[str]

    @property
    def mean(self) -> float:
        """Mean of the points that are known."""
        return statistics.mean(self.points)

    @property
    def full(self) -> float:
        """Share of those with all points."""
        return statistics.mean(float(points >= self.maximum) for points in self.points)

    @property
    def most_common(self) -> tuple[str, int]:
        """What sort of mistake was made most often, and how often."""
        return Counter(self.kinds).most_common(1)[0]


def write(grades: Grades, out: Path) -> None:
    """Write the page to `out`.

    Parameters
    ----------
    grades : Grades
    out : Path
    """
    scored = [row for row in grades.rows if row.score is not None]
    scores = [row.score for row in scored]
    asked = questions(grades, scored)
    maximum = grades.exercise.maximum
    page.write(
        out,
        "report",
        title=page.title(grades.exercise),
        maximum=maximum,
        scored=len(scored),
        graded=[row for row in scored if row.status == GRADED],
        waiting=[row for row in scored if row.status == MANUAL],
        ungradable=[row for row in grades.rows if row.score is None],
        mean=statistics.mean(scores) if scores else None,
        median=statistics.median(scores) if scores else None,
        picture=_data_uri(histogram(scored, maximum)) if scores else None,
        alt=in_words(scores),
        functions=[asked[check.name] for check in grades.exercise.checks],
        answers=[asked[name] for name in grades.exercise.manual],
        slowest=sorted(grades.rows, key=lambda row: -row.seconds)[:SLOWEST],
    )


def questions(grades: Grades, scored: list[Row]) -> dict[str, Question]:
    """How the class did on each function and each answer, by name.

    Parameters
    ----------
    grades : Grades
    scored : list of Row
        Those with a score.

    Returns
    -------
    questions : dict of str to Question
    """
    exercise = grades.exercise
    headings = page.headings(exercise)
    maxima = {check.name: check.points for check in exercise.checks} | exercise.manual
    found = {}
    for name, maximum in maxima.items():
        points = [row.points[name] for row in scored if name in row.points]
        marks = [grades.results[row.student].marks.get(name) for row in scored]
        kinds = [mark.kind for mark in marks if mark is not None and mark.kind is not None]
        found[name] = Question(name, headings[name], maximum, points, kinds)
    return found


def histogram(scored: list[Row], maximum: int) -> Figure:
    """Students by score: those whose score is final below, those who wait for a person above.

    Parameters
    ----------
    scored : list of Row
        One or more, all with a score.
    maximum : int

    Returns
    -------
    figure : Figure
    """
    final = [row.score for row in scored if row.status == GRADED]
    so_far = [row.score for row in scored if row.status == MANUAL]
    # A penalty or extra credit leads out of the ordinary range.
    low = min(0, *map(math.floor, final + so_far))
    high = max(maximum, *map(math.ceil, final + so_far))
    width = math.ceil((high - low + 1) / MOST_BARS)
    edges = np.arange(low, high + width + 1, width) - 0.5
    with matplotlib.style.context("sparsecourse.house"):
        figure = Figure(figsize=(4.8, 3))
        axes = figure.subplots()
        axes.hist(
            [final, so_far],
            bins=edges,
            stacked=True,
            rwidth=0.85,
            label=["graded", "so far: an answer waits for a person"],
            color=["#0072B2", "#E69F00"],
        )
        whole = all(float(score).is_integer() for score in final + so_far)
        axes.set_xlabel(f"score{'' if whole else ', rounded'}, out of {maximum} points")
        axes.set_ylabel("students")
        axes.set_xlim(edges[0], edges[-1])
        axes.grid(False, axis="x")
        axes.set_axisbelow(True)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        if so_far:
            figure.legend(loc="outside upper left", ncols=2)
    return figure


def in_words(scores: list[float]) -> str:
    """The histogram for those who cannot see it.

    Parameters
    ----------
    scores : list of float

    Returns
    -------
    text : str
    """
    counts = sorted(Counter(scores).items())
    return "Students by score. " + ", ".join(f"{score:.4g} points: {n}" for score, n in counts)


def _data_uri(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"
