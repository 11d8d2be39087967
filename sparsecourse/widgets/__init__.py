"""What students touch. Every explorer: a pure function behind it, at most three controls."""

from sparsecourse.widgets.first_pruning import (
    first_pruning,
    prune_weights,
    train_classifier,
    validation_accuracy,
)
from sparsecourse.widgets.polynomial_fit import polynomial_fit
from sparsecourse.widgets.quiz import quiz

__all__ = [
    "first_pruning",
    "polynomial_fit",
    "prune_weights",
    "quiz",
    "train_classifier",
    "validation_accuracy",
]
