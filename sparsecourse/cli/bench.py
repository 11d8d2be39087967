"""Measure our solvers against those of scikit-learn, celer and skglm.

All solve the same problems, on one thread, to the same duality gap, judged from outside on the
coefficients. The full run takes about half an hour and 5 GB of memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparsecourse.cli import environment
from sparsecourse.data import catalogue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    solvers = actions.add_parser("solvers", help="lasso, its path, and group lasso")
    solvers.add_argument(
        "--quick", action="store_true", help="three minutes: the smaller problems, fewer rounds"
    )
    solvers.add_argument("--seed", type=int, default=0, help="of the random designs (default: 0)")
    solvers.add_argument("--json", type=Path, metavar="FILE", help="store every figure there")


def run(arguments: argparse.Namespace) -> None:
    environment.enter(["bench"], arguments.argv)
    from tqdm.auto import tqdm

    from sparsecourse.bench import compare, problems, report

    here = {name: where for name, where in catalogue.available().items() if name in problems.REAL}
    for name, where in here.items():
        if where is None:
            print(f"Without {name}, which is not here: {catalogue.remedy(name)}")
    chosen = problems.choose(arguments.quick, [n for n in here if here[n]], arguments.seed)
    conditions = report.conditions(arguments.seed) | {"quick": arguments.quick}
    print(report.heading(conditions))
    results = {}
    patience = compare.QUICK if arguments.quick else compare.FULL
    for problem, found in compare.compare(chosen, patience):
        results[problem] = found
        tqdm.write(report.times(problem, found))
        if arguments.json:  # after each problem: a run that is interrupted has stored something
            report.store(arguments.json, conditions, results)
    print("\n" + report.ratios(results))
