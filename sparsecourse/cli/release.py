"""Make exercises/ from solutions/, or a folder to hand out (for instructors)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparsecourse.cli import environment
from sparsecourse.cli.requirements import ROOT, require_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("topics", nargs="*", metavar="NN_topic", help="default: all")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--check",
        action="store_true",
        help="write nothing; fail where exercises/ is not what solutions/ gives",
    )
    instead.add_argument(
        "--student-bundle",
        type=Path,
        metavar="DIR",
        help="write what students need, without solutions and checks, into a new folder",
    )


def run(arguments: argparse.Namespace) -> int:
    require_folder("solutions")
    environment.enter(["grade"], arguments.argv)
    from sparsecourse.grading import bundle, release

    try:
        if arguments.check:
            return report_differences(release.differences(ROOT, arguments.topics))
        if arguments.student_bundle:
            bundle.bundle(ROOT, arguments.student_bundle, arguments.topics)
            print(f"{arguments.student_bundle}: hand this folder out.")
            return 0
        for path in release.release(ROOT, arguments.topics):
            print(path.relative_to(ROOT))
    except (release.ReleaseError, bundle.BundleError) as error:
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
