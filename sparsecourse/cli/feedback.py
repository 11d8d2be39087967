"""Write a page for each student: what was right, what failed, what to look at (for instructors).

Reads what `grade` has stored, and points and comments that a person gave since. A page loads
nothing and can be sent to its student as it is: OUT/STUDENT.html.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparsecourse.cli import environment
from sparsecourse.cli.grade import add_gradebook_arguments
from sparsecourse.cli.requirements import ROOT, require_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topic", metavar="NN_topic")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where pages go")
    add_gradebook_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    require_folder("solutions")
    environment.enter(["grade"], arguments.argv)
    from sparsecourse.grading import exercise, feedback
    from sparsecourse.grading.gradebook import GradebookError

    try:
        asked = exercise.load(ROOT, arguments.topic)
        pages = feedback.write_all(asked, arguments.grading_dir, arguments.gradebook, arguments.out)
    except (exercise.ExerciseError, feedback.FeedbackError, GradebookError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.out}: {len(pages)} pages, one a student.")
    return 0
