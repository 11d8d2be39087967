"""Run an experiment behind a paper's table, or list them.

Results are kept after each seed in sparsecourse/experiments/records/, with the device, the
versions, the date and the commit. The same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from sparsecourse.cli import environment

if TYPE_CHECKING:
    from sparsecourse.experiments.record import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="what there is, and what is recorded of it")
    listing.set_defaults(act=show)
    running = actions.add_parser("run", help="run the seeds that are not recorded yet")
    running.add_argument("name", metavar="NAME")
    running.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... (default: 3)")
    running.add_argument("--device", help="of torch (default: cuda where there is one, else cpu)")
    running.add_argument(
        "--scheduler", metavar="ADDRESS", help="of a Dask cluster: a seed a worker"
    )
    running.set_defaults(act=run_one)


def run(arguments: argparse.Namespace) -> int:
    environment.enter(["grade"] if getattr(arguments, "scheduler", None) else [], arguments.argv)
    return arguments.act(arguments)


def show(arguments: argparse.Namespace) -> int:
    """Print a line for each experiment."""
    from sparsecourse import experiments

    for name, experiment in experiments.all_of_them().items():
        try:
            recorded = experiments.load(name).origin
        except ValueError:
            recorded = "nothing recorded"
        print(f"{name}: {experiment.summary}")
        print(f"    about {experiment.minutes:g} minutes a seed on two cores; {recorded}")
    return 0


def run_one(arguments: argparse.Namespace) -> int:
    """Run one experiment, and print its means so far after each seed."""
    import torch

    from sparsecourse import executors
    from sparsecourse.experiments import find
    from sparsecourse.experiments.running import run as run_seeds

    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if arguments.scheduler:
        opened = partial(executors.dask, arguments.scheduler)
    else:
        opened = partial(executors.local, 1)  # seeds side by side would share the cores
    try:
        experiment = find(arguments.name)
        print(f"{experiment.summary} About {experiment.minutes:g} minutes a seed on two cores.")
        record = None
        for record in run_seeds(experiment.name, range(arguments.seeds), device, opened):
            print(record.origin, flush=True)
            for row in record.rows:
                figures = next(s["rows"][row] for s in record.seeds.values() if row in s["rows"])
                told = ", ".join(_told(record, row, figure) for figure in figures)
                print(f"    {row}: {told}", flush=True)
        if record is None:
            print("All of these seeds are recorded.")
    except (ValueError, executors.NoScheduler) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _told(record: Record, row: str, figure: str) -> str:
    mean = f"{figure} {record.mean(row, figure):.4g}"
    if len(record.values(row, figure)) == 1:
        return mean
    return f"{mean} ± {record.deviation(row, figure):.2g}"
