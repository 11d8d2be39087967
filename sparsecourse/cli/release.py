"""Make exercises/ from solutions/ (for instructors)."""

from __future__ import annotations

import argparse
import sys

from sparsecourse.cli import environment
from sparsecourse.cli.requirements import ROOT


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topics", nargs="*", metavar="NN_topic", help="default: all")
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where exercises/ is not what solutions/ gives",
    )


def run(arguments: argparse.Namespace) -> int:
    environment.enter(["grade"], arguments.argv)
    from sparsecourse.grading import release

    try:
        if arguments.check:
            return report_differences(release.differences(ROOT, arguments.topics))
        for path in release.release(ROOT, arguments.topics):
            print(path.relative_to(ROOT))
    except release.ReleaseError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def report_differences(differences: list[str]) -> int:
    """Print what `--check` found; return the exit code."""
    for difference in differences:
        print(difference)
    if differences:
        print("Run: python3 -m sparsecourse release")
        return 1
    print("exercises/ is what solutions/ gives.")
    return 0
