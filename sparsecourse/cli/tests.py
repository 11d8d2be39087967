"""Run all tests: units, parity, notebooks, exercises, browser.

Arguments after -- go to pytest, for example: test -- tests/data -k mnist
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from sparsecourse.cli import environment
from sparsecourse.cli.requirements import ROOT, require_folder
from sparsecourse.cli.setup import add_cpu_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_cpu_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    require_folder("tests")
    environment.enter(["test"], arguments.argv, cpu=arguments.cpu)
    command = [sys.executable, "-m", "pytest", *arguments.passed_on]
    return subprocess.run(command, cwd=ROOT).returncode
