"""Sparsity, from linear regression to pruned networks: the package behind the lectures.

Submodules load on first use (PEP 562): ``python3 -m sparsecourse`` has to start on a bare Python.
This file also parses on Pythons too old for the rest, so that they get a sentence, not a traceback.
"""

import importlib

__version__ = "0.1.0"

_SUBMODULES = (
    "bench",
    "cli",
    "costs",
    "data",
    "executors",
    "experiments",
    "functional",
    "grading",
    "nets",
    "notebook",
    "papers",
    "pruning",
    "reference",
    "timing",
    "training",
    "widgets",
)


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return importlib.import_module("sparsecourse." + name)
    raise AttributeError("module 'sparsecourse' has no attribute %r" % (name,))


def __dir__() -> list:
    return sorted(list(globals()) + list(_SUBMODULES))
