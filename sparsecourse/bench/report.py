"""What is printed and stored: times, ratios, and what did not reach the gap."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import numpy as np

from sparsecourse.bench.measure import Measurement
from sparsecourse.bench.problems import Problem
from sparsecourse.bench.solvers import GAP, SOLVERS, THREADS

OURS = "sparsecourse"
PEERS = [name for name in SOLVERS if name != OURS]
PACKAGES = ["numpy", "scipy", "torch", "scikit-learn", "celer", "skglm", "numba", "nbgrader"]

Results = Mapping[Problem, Mapping[str, Measurement]]


def conditions(seed: int) -> dict:
    """Everything that a measured time depends on.

    Parameters
    ----------
    seed : int

    Returns
    -------
    conditions : dict of str, int and float
    """
    return circumstances() | {"threads": THREADS, "gap": GAP, "seed": seed}


def circumstances() -> dict:
    """When, where and with what something was measured.

    Returns
    -------
    circumstances : dict of str and int
    """
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": _processor(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in PACKAGES},
    }


def heading(conditions: dict) -> str:
    """Say what is compared, and where; then the title row of the times.

    Parameters
    ----------
    conditions : dict

    Returns
    -------
    text : str
    """
    versions = ", ".join(f"{name} {version}" for name, version in conditions["versions"].items())
    return (
        f"Time to a duality gap of {GAP:.0e}, in ms: median [quartiles]; {THREADS} thread.\n"
        f"{conditions['device']}; {versions}.\n\n{_row('', SOLVERS)}"
    )


def times(problem: Problem, found: Mapping[str, Measurement]) -> str:
    """One row: the times of all solvers on a problem.

    Parameters
    ----------
    problem : Problem
    found : mapping of Measurement

    Returns
    -------
    text : str
    """
    return _row(str(problem), [_time(found[name]) for name in SOLVERS])


def ratios(results: Results) -> str:
    """The table of ratios, and what it comes to.

    Parameters
    ----------
    results : mapping of mapping of Measurement
        By problem and by name of the solver.

    Returns
    -------
    text : str
    """
    lines = [_row(f"Times that of {OURS}", PEERS)]
    for problem, found in results.items():
        cells = [found[peer].failure or _times(ratio(found[peer], found[OURS])) for peer in PEERS]
        lines.append(_row(str(problem), cells))
    summaries = [summary(results, peer) for peer in PEERS]
    lines.append("")
    lines.append(_row("geometric mean", [_times(s["geometric_mean"]) for s in summaries]))
    lines.append(_row("smallest", [_times(s["smallest"]) for s in summaries]))
    lines.append(
        _row("problems compared", [f"{s['problems']} of {len(results)}" for s in summaries])
    )
    lines += ["", _row("First call, s", SOLVERS)]
    for problem, found in results.items():
        seconds = [found[name].first_call for name in SOLVERS]
        if any(seconds):
            lines.append(_row(problem.task, [f"{s:.1f}" if s else "-" for s in seconds]))
    lines.append("(imports and compilation; in no other figure)")
    return "\n".join(lines)


def ratio(peer: Measurement, ours: Measurement) -> float | None:
    """How many times as long as ours a peer took.

    Parameters
    ----------
    peer, ours : Measurement

    Returns
    -------
    ratio : float or None
        Of the medians; None where one of the two did not reach the gap.
    """
    if peer.failure or ours.failure:
        return None
    return peer.median / ours.median


def summary(results: Results, peer: str) -> dict:
    """What all ratios to one peer come to.

    Parameters
    ----------
    results : mapping of mapping of Measurement
    peer : str

    Returns
    -------
    summary : dict
        How many "problems" both solved, and of their ratios the "geometric_mean" and the
        "smallest", None without any.
    """
    found = [ratio(of[peer], of[OURS]) for of in results.values()]
    values = [value for value in found if value is not None]
    return {
        "problems": len(values),
        "geometric_mean": float(np.exp(np.mean(np.log(values)))) if values else None,
        "smallest": min(values, default=None),
    }


def store(path: Path, conditions: dict, results: Results) -> None:
    """Write everything as JSON, whole or not at all.

    Parameters
    ----------
    path : Path
    conditions : dict
    results : mapping of mapping of Measurement
    """
    rows = [
        {
            "problem": str(problem),
            "solver": name,
            "tol": measurement.tol,
            "gap": measurement.gap if np.isfinite(measurement.gap) else None,
            "seconds": measurement.seconds,
            "failure": measurement.failure or None,
            "first_call": measurement.first_call,
        }
        for problem, found in results.items()
        for name, measurement in found.items()
    ]
    ratios = {peer: summary(results, peer) for peer in PEERS}
    report = conditions | {"ratios": ratios, "measurements": rows}
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _row(title: str, cells: Iterable[str]) -> str:
    return (f"{title:27}" + "".join(f"{cell:>24}" for cell in cells)).rstrip()


def _time(measurement: Measurement) -> str:
    if measurement.failure:
        return measurement.failure
    low, high = measurement.quartiles
    return f"{_ms(measurement.median)} [{_ms(low)}, {_ms(high)}]"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.{1 if seconds < 0.1 else 0}f}"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
