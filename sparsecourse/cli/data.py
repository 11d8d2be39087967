"""Show where each data set is, or fetch some for later use without a network."""

from __future__ import annotations

import argparse

from sparsecourse.cli import environment
from sparsecourse.data import catalogue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="where each data set is")
    fetch = actions.add_parser("fetch", help="download into the cache, and verify")
    fetch.add_argument("names", nargs="+", metavar="NAME")


def run(arguments: argparse.Namespace) -> int:
    if arguments.action == "list":
        environment.enter_if_ready(arguments.argv)
        for name, where in catalogue.available().items():
            print(f"{name:15} {where or 'not here: ' + catalogue.remedy(name)}")
        return 0
    environment.enter([], arguments.argv)
    from sparsecourse.data import DamagedDataError, DataNotFoundError, load

    failed = 0
    for name in arguments.names:
        try:
            print(f"{name}: verified ({load(name).source})")
        except (DamagedDataError, DataNotFoundError, ValueError) as error:
            print(f"{name}: {error}")
            failed = 1
    return failed
