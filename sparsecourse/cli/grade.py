"""Grade a class: score every submission in a sandbox, write a CSV (for instructors).

SUBMISSIONS is a folder in nbgrader's layout (STUDENT/NN_topic/NN_topic.ipynb), a folder of
notebooks, or a zip as learning-management systems export it. Scores also go into nbgrader's
gradebook, where answers in words wait for a person (`lab --grading`). Exit code: 0 when every
submission is graded or waits for a person, 3 when some could not be graded, 1 when the command
could not do its work.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from functools import partial
from pathlib import Path

from sparsecourse.cli import environment
from sparsecourse.cli.requirements import ROOT, require_folder

SOME_UNGRADABLE = 3
INTERRUPTED = 130
FOLDER = ROOT / ".grading"
IN_FLIGHT_ON_A_CLUSTER = 100


def csv_file(text: str) -> Path:
    """Where the table goes, from the command line: the report beside it ends otherwise."""
    if not text.endswith(".csv"):
        raise argparse.ArgumentTypeError(f"{text} does not end in .csv")
    return Path(text)


def at_least_one(text: str) -> int:
    """A number of workers, from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 on")
    return int(text)


def positive_seconds(text: str) -> float:
    """A time limit, from the command line."""
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")


def add_gradebook_arguments(parser: argparse.ArgumentParser) -> None:
    """Where grades are kept: the same for all commands that read or write them."""
    parser.add_argument(
        "--grading-dir",
        type=Path,
        default=FOLDER,
        metavar="DIR",
        help="results and gradebook (default: .grading in the course's folder)",
    )
    parser.add_argument(
        "--gradebook", metavar="URL", help="SQLAlchemy URL (default: SQLite in the grading dir)"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="NN_topic")
    parser.add_argument("submissions", type=Path, metavar="SUBMISSIONS")
    parser.add_argument(
        "--out",
        type=csv_file,
        required=True,
        metavar="grades.csv",
        help="the table; a report on the class goes beside it, grades.html",
    )
    parser.add_argument(
        "--workers",
        type=at_least_one,
        default=os.cpu_count() or 1,
        help="processes on this machine (default: one a core)",
    )
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster: use its workers")
    parser.add_argument(
        "--resume", action="store_true", help="keep what the last run of this class has scored"
    )
    parser.add_argument(
        "--seconds",
        type=positive_seconds,
        default=10.0,
        help="wall time of one cell, and of one function on all its inputs (default: 10)",
    )
    parser.add_argument(
        "--student-pattern",
        metavar="REGEX",
        help="how a path names its student: a group (?P<student>...); default: as nbgrader, "
        "Canvas, Moodle, Blackboard and Brightspace do",
    )
    parser.add_argument(
        "--unsafe-no-sandbox",
        action="store_true",
        help="run students' code unprotected: for machines that hold nothing else",
    )
    add_gradebook_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    require_folder("solutions")
    environment.enter(["grade"], arguments.argv)
    from sparsecourse import executors
    from sparsecourse.grading import grade, report
    from sparsecourse.grading.assignment import AssignmentError
    from sparsecourse.grading.exercise import ExerciseError
    from sparsecourse.grading.gradebook import GradebookError
    from sparsecourse.grading.sandbox import Refused
    from sparsecourse.grading.submissions import SubmissionsError

    if arguments.unsafe_no_sandbox:
        print(
            "WARNING: without a sandbox, a submission can read the solutions, change grades and "
            "harm this machine.",
            file=sys.stderr,
        )
    if arguments.scheduler:
        opened = partial(executors.dask, arguments.scheduler)
        in_flight = IN_FLIGHT_ON_A_CLUSTER
    else:
        opened = partial(executors.local, arguments.workers)
        in_flight = 2 * arguments.workers
    try:
        grades = grade.grade(
            ROOT,
            arguments.topic,
            arguments.submissions,
            arguments.grading_dir,
            opened,
            in_flight,
            resume=arguments.resume,
            protected=not arguments.unsafe_no_sandbox,
            seconds=arguments.seconds,
            pattern=arguments.student_pattern,
            url=arguments.gradebook,
        )
    except (
        AssignmentError,
        ExerciseError,
        GradebookError,
        Refused,
        SubmissionsError,
        executors.NoScheduler,
        grade.ResumeError,
    ) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. The same command with --resume goes on from here.", file=sys.stderr)
        return INTERRUPTED
    grade.write_csv(arguments.out, grades)
    page = arguments.out.with_suffix(".html")
    report.write(grades, page)
    return summarise(grades, arguments, page)


def summarise(grades, arguments: argparse.Namespace, page: Path) -> int:
    """Say what was done, and what is left to do; return the exit code."""
    waiting = [row for row in grades.rows if row.status.startswith("needs")]
    ungradable = [row for row in grades.rows if row.score is None]
    kept = f", {grades.kept} before" if grades.kept else ""
    print(f"{len(grades.rows)} submissions: {grades.scored} scored now{kept}.")
    if waiting:
        folder = "" if arguments.grading_dir == FOLDER else f" {arguments.grading_dir}"
        print(f"{len(waiting)} wait for a person: python3 -m sparsecourse lab --grading{folder}")
        print("Then run the same command with --resume: it writes the CSV anew.")
    for row in ungradable:
        print(f"{row.student}: {row.status}")
    print(f"Written: {arguments.out}, {page}")
    return SOME_UNGRADABLE if ungradable else 0
