"""Measured products on disk: how long they took, and where, when and with what."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sparsecourse.timing.measuring import Measurement
from sparsecourse.timing.sparse import Layer, Timed

FOLDER = Path(__file__).with_name("recorded")
PACKAGES = ["numpy", "scipy", "torch"]
KEPT = 25  # times of a measurement: its quartiles are the seventh and the nineteenth
ORIGIN = {"date", "device", "threads", "versions"}


@dataclass(frozen=True)
class Curve:
    """What one layer's products took.

    Attributes
    ----------
    layer : Layer
    points : tuple of Timed
        In the order measured.
    origin : dict
        Keys ``date``, ``device``, ``threads``, ``versions``.
    """

    layer: Layer
    points: tuple[Timed, ...]
    origin: dict[str, Any]

    @property
    def formats(self) -> list[str]:
        """Those that have points, in the order measured."""
        return list(dict.fromkeys(point.format for point in self.points))

    def of(self, name: str) -> list[Timed]:
        """The points of a format, from low sparsity to high.

        Parameters
        ----------
        name : str

        Returns
        -------
        points : list of Timed
        """
        found = [point for point in self.points if point.format == name]
        return sorted(found, key=lambda point: point.sparsity)

    @property
    def where(self) -> str:
        """Where it came from, in a line for readers."""
        threads = self.origin["threads"]
        return (
            f"{self.origin['device']}, {threads} thread{'s' * (threads > 1)}, "
            f"torch {self.origin['versions']['torch']}, {self.origin['date'][:10]}"
        )


def measured_now(layer: Layer, points: Sequence[Timed]) -> Curve:
    """Keep what was just measured, with where it came from.

    Parameters
    ----------
    layer : Layer
    points : sequence of Timed
        At least one.

    Returns
    -------
    curve : Curve
        Of many times, 25 quantiles are kept, which have the same median and quartiles; all have
        four digits, as no clock is more exact.

    Raises
    ------
    ValueError
        If there is no point.
    """
    if not points:
        raise ValueError("points must hold at least one measured product, got none")
    measured = points[0].sparse
    origin = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": measured.device,
        "threads": measured.threads,
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in PACKAGES},
    }
    return Curve(layer, tuple(map(_thinned, points)), origin)


def store(curves: Sequence[Curve], path: Path, table: pd.DataFrame | None = None) -> None:
    """Write curves, whole or not at all.

    Parameters
    ----------
    curves : sequence of Curve
    path : Path
        Its folder is made.
    table : DataFrame, optional
        Figures to stand beside them, for other programs: `load` does not read it.
    """
    stored = {"curves": [asdict(curve) for curve in curves]}
    if table is not None:
        stored["table"] = table.reset_index().to_dict(orient="records")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(stored) + "\n", encoding="utf-8")
    partial.replace(path)


def load(path: Path) -> list[Curve]:
    """Read what `store` wrote.

    Parameters
    ----------
    path : Path

    Returns
    -------
    curves : list of Curve

    Raises
    ------
    ValueError
        If it is no such file.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return [_curve(curve) for curve in stored["curves"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        given = f"{path.name}: {type(error).__name__}: {error}"
        raise ValueError(f"expected curves as `store` writes them, got {given}") from error


def recorded() -> dict[str, list[Curve]]:
    """The curves that come with the course.

    Returns
    -------
    recorded : dict of str to list of Curve
        Device -> its curves.
    """
    found = [load(path) for path in sorted(FOLDER.glob("*.json"))]
    return {curves[0].origin["device"]: curves for curves in found}


def _thinned(point: Timed) -> Timed:
    dense, sparse = (
        replace(measured, times=tuple(float(f"{time:.4g}") for time in _some_of(measured.times)))
        for measured in (point.dense, point.sparse)
    )
    return replace(point, dense=dense, sparse=sparse)


def _some_of(times: Sequence[float]) -> Sequence[float]:
    return times if len(times) <= KEPT else np.quantile(times, np.linspace(0, 1, KEPT)).tolist()


def _curve(stored: dict[str, Any]) -> Curve:
    points = tuple(
        Timed(**(point | {name: _measurement(point[name]) for name in ("dense", "sparse")}))
        for point in stored["points"]
    )
    if missing := ORIGIN - set(stored["origin"]):
        raise KeyError(f"origin has no {', '.join(sorted(missing))}")
    return Curve(Layer(**stored["layer"]), points, dict(stored["origin"]))


def _measurement(stored: dict[str, Any]) -> Measurement:
    return Measurement(**(stored | {"times": tuple(stored["times"])}))
