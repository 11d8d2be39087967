"""What an experiment is, and which there are."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch

# Row -> figure -> value, such as {"30x": {"error": 0.0125, "rate": 30.3}}.
Rows = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Experiment:
    """A run that ends in the figures of a table.

    Parameters
    ----------
    name : str
        As it is called on the command line; the record has this name, too.
    summary : str
        What is done, in a sentence.
    table : str, optional
        Name of the paper's table (`sparsecourse.papers`) that its rows stand beside.
    run : callable
        Takes a seed and a device, returns rows. All that is random comes from the seed.
    minutes : float
        About how long one seed takes on two cores.
    differs : str
        What is done otherwise than in the paper: data, epochs, augmentation.
    """

    name: str
    summary: str
    table: str | None
    run: Callable[[int, torch.device], Rows]
    minutes: float
    differs: str


def all_of_them() -> dict[str, Experiment]:
    """Every experiment of this package.

    Returns
    -------
    found : dict of str to Experiment
        By name, sorted.
    """
    from sparsecourse import experiments

    found = {}
    for module in pkgutil.iter_modules(experiments.__path__):
        loaded = importlib.import_module(f"{experiments.__name__}.{module.name}")
        for experiment in getattr(loaded, "EXPERIMENTS", ()):
            found[experiment.name] = experiment
    return dict(sorted(found.items()))


def find(name: str) -> Experiment:
    """The experiment of that name.

    Parameters
    ----------
    name : str

    Returns
    -------
    experiment : Experiment

    Raises
    ------
    ValueError
        If there is none.
    """
    known = all_of_them()
    if name not in known:
        raise ValueError(f"there is no experiment {name!r}; there are: {', '.join(known)}")
    return known[name]
