"""Install what the course needs, without starting anything."""

from __future__ import annotations

import argparse
import sys

from sparsecourse.cli import environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--extras",
        default="",
        metavar="A,B",
        help="also install: test, grade, bench (comma-separated)",
    )
    add_cpu_argument(parser)


def add_cpu_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="when installing, take torch's small build without CUDA, from PyTorch's own index",
    )


def run(arguments: argparse.Namespace) -> None:
    extras = [extra.strip() for extra in arguments.extras.split(",") if extra.strip()]
    environment.enter(extras, arguments.argv, cpu=arguments.cpu)
    print(f"Everything is installed: {sys.executable}")
    print("Next: python3 -m sparsecourse lab")
