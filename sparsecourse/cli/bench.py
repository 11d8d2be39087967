"""Measure: solvers and grading against others', sparse layers and pruned networks against dense.

All solvers solve the same problems, on one thread, to the same duality gap, judged from outside on
the coefficients (half an hour and 5 GB of memory). Both graders grade the same made-up class. Each
sparse product is checked against the dense one, each pruned network against the masked one; both
are timed beside what is dense.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

from sparsecourse.cli import environment
from sparsecourse.cli.requirements import ROOT
from sparsecourse.data import catalogue


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True)
    solvers = actions.add_parser("solvers", help="lasso, its path, and group lasso")
    solvers.add_argument(
        "--quick", action="store_true", help="three minutes: the smaller problems, fewer rounds"
    )
    solvers.add_argument("--seed", type=int, default=0, help="of the random designs (default: 0)")
    solvers.add_argument("--json", type=Path, metavar="FILE", help="store every figure there")
    solvers.set_defaults(measure=measure_solvers)
    grading = actions.add_parser("grading", help="a class, graded by us and by nbgrader")
    grading.add_argument(
        "--submissions", type=int, default=200, help="in the class (default: 200; 10 minutes)"
    )
    grading.add_argument("--topic", default="04_ridge_and_lasso", metavar="NN_topic")
    grading.add_argument("--workers", type=int, default=2, help="processes of each (default: 2)")
    grading.add_argument("--json", type=Path, metavar="FILE", help="store every figure there")
    grading.set_defaults(measure=measure_grading)
    layers = actions.add_parser("layers", help="AlexNet's pruned layers, as in a published table")
    layers.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    layers.add_argument("--threads", type=int, help="default: as many as torch uses")
    layers.add_argument("--table-only", action="store_true", help="half a minute: no crossovers")
    layers.add_argument("--json", type=Path, metavar="FILE", help="store every figure there")
    layers.set_defaults(measure=measure_layers)
    networks = actions.add_parser("networks", help="whole networks, pruned and made smaller")
    networks.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    networks.add_argument("--threads", type=int, help="default: as many as torch uses")
    networks.add_argument("--json", type=Path, metavar="FILE", help="store every figure there")
    networks.set_defaults(measure=measure_networks)


def run(arguments: argparse.Namespace) -> None:
    arguments.measure(arguments)


def measure_grading(arguments: argparse.Namespace) -> None:
    """Grade one class twice, and print how long it took."""
    environment.enter(["grade"], arguments.argv)
    from sparsecourse.bench import classroom, grading, report

    topic, workers = arguments.topic, arguments.workers
    made = classroom.make(ROOT, topic, arguments.submissions)
    kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(one.kind for one in made).items())
    print(f"{len(made)} submissions of {topic} ({kinds}), {workers} processes each.", flush=True)
    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, rated in {
            "sparsecourse": partial(grading.ours, made, topic),
            "nbgrader": partial(grading.nbgraders, made, ROOT, topic),
        }.items():
            (place := Path(folder, name)).mkdir()
            rate = rates[name] = rated(place, workers)
            memory = ", ".join(f"{megabytes:.0f}" for megabytes in rate.memory)
            print(
                f"{name:12} {rate.seconds:7.1f} s, {rate.a_minute:6.1f} a minute; other points "
                f"than deserved: {rate.failed}; MB at each quarter: {memory}",
                flush=True,
            )
    ratio = rates["sparsecourse"].a_minute / rates["nbgrader"].a_minute
    print(f"{ratio:.1f} times nbgrader's rate.")
    if arguments.json:
        grading.store(arguments.json, report.circumstances(), rates)


def measure_layers(arguments: argparse.Namespace) -> None:
    """Measure the layers of a published table, then look for where each format begins to pay."""
    environment.enter([], arguments.argv)
    from sparsecourse.bench import layers
    from sparsecourse.timing.curves import store

    warn_if_busy()
    how = arguments.device, arguments.threads
    table = layers.measure_table(*how)
    print(layers.in_lines(table), flush=True)
    curves = []
    if not arguments.table_only:
        for curve in layers.measure_curves(*how):
            curves.append(curve)
        print(f"\n{layers.crossovers(curves)}\n{curves[0].where}")
    if arguments.json:
        store(curves, arguments.json, table)


def measure_networks(arguments: argparse.Namespace) -> None:
    """Measure pruned networks, printing each row as soon as it is there."""
    environment.enter([], arguments.argv)
    from tqdm.auto import tqdm

    from sparsecourse.bench import networks

    warn_if_busy()
    print(networks.heading(), flush=True)
    measured = []
    for timed in networks.measure(arguments.device, arguments.threads):
        measured.append(timed)
        tqdm.write(networks.in_a_line(timed))
    print(f"\n{networks.where(networks.conditions(measured))}")
    if arguments.json:
        networks.store(arguments.json, measured)


def warn_if_busy() -> None:
    """Say so where other programs use the processor."""
    from sparsecourse.timing import busy

    if (share := busy()) > 0.1:
        print(f"{share:.0%} of this machine is in use by others: the figures will mislead.\n")


def measure_solvers(arguments: argparse.Namespace) -> None:
    """Solve the problems, printing each row as soon as it is there."""
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
