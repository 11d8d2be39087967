"""Training: one loop to read, with hooks for what the course adds to it.

`fit` trains, `error` says how many answers are wrong. Methods that act while a network is trained
(masks, penalties, gates) are hooks: see `hooks`.
"""

from __future__ import annotations

from sparsecourse.training.evaluation import error
from sparsecourse.training.finite import NonFiniteError
from sparsecourse.training.history import History
from sparsecourse.training.hooks import Step
from sparsecourse.training.loop import ADAMW, constant, fit, one_cycle, shift

__all__ = [
    "ADAMW",
    "History",
    "NonFiniteError",
    "Step",
    "constant",
    "error",
    "fit",
    "one_cycle",
    "shift",
]
