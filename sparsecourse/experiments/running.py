"""Run an experiment, a seed at a time, keeping each as soon as it is there."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import torch

from sparsecourse import executors
from sparsecourse.experiments import record as recording
from sparsecourse.experiments import specification
from sparsecourse.experiments.record import Record
from sparsecourse.experiments.specification import Rows


def run(
    name: str,
    seeds: Iterable[int],
    device: str,
    opened: Callable[[], AbstractContextManager[Executor]],
    folder: Path = recording.FOLDER,
) -> Iterator[Record]:
    """Run what of `seeds` is not recorded yet.

    Parameters
    ----------
    name : str
        Of the experiment.
    seeds : iterable of int
    device : str
        Of torch, such as ``cpu`` or ``cuda``.
    opened : callable
        Gives an executor, see `executors.finished`.
    folder : Path
        Where records are kept.

    Yields
    ------
    record : Record
        After each seed.

    Raises
    ------
    Exception
        What the experiment raised, once the other seeds are done and kept.
    """
    specification.find(name)
    known = recording.load(name, folder).seeds if (folder / f"{name}.json").is_file() else {}
    due = [seed for seed in seeds if seed not in known]
    work = partial(one_seed, name, device=device)
    error = None
    for seed, found in executors.finished(opened, work, due, in_flight=max(len(due), 1)):
        if isinstance(found, BaseException):
            error = found
            continue
        known = {**known, seed: found}
        record = Record(name, known)
        recording.store(record, folder)
        yield record
    if error is not None:
        raise error


def one_seed(name: str, seed: int, device: str) -> dict[str, Any]:
    """Run one seed here; its rows, and where they came from.

    Parameters
    ----------
    name : str
    seed : int
    device : str

    Returns
    -------
    found : dict

    Raises
    ------
    ValueError
        If a figure is not finite: nothing of that kind is recorded.
    """
    place = torch.device(device)
    start = time.perf_counter()
    rows = specification.find(name).run(seed, place)
    seconds = time.perf_counter() - start
    _refuse_what_is_not_finite(name, seed, rows)
    return {"rows": rows, **recording.origin(place), "seconds": round(seconds, 1)}


def _refuse_what_is_not_finite(name: str, seed: int, rows: Rows) -> None:
    for row, figures in rows.items():
        for figure, value in figures.items():
            if not math.isfinite(value):
                raise ValueError(f"{name}, seed {seed}: {figure} of {row!r} is {value}")
