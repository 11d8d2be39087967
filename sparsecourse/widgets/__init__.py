"""What students touch. Every explorer: a pure function behind it, at most three controls."""

from sparsecourse.widgets.channel_explorer import channel_explorer
from sparsecourse.widgets.coordinate_steps import coordinate_steps
from sparsecourse.widgets.energy_budget import energy_budget, spend_energy
from sparsecourse.widgets.filter_explorer import filter_explorer
from sparsecourse.widgets.filter_path import filter_path
from sparsecourse.widgets.first_pruning import (
    first_pruning,
    prune_weights,
    train_classifier,
    validation_accuracy,
)
from sparsecourse.widgets.granularity import granularity
from sparsecourse.widgets.group_paths import group_paths
from sparsecourse.widgets.lasso_path import lasso_path
from sparsecourse.widgets.norm_ball import norm_ball
from sparsecourse.widgets.polynomial_fit import polynomial_fit
from sparsecourse.widgets.quiz import quiz
from sparsecourse.widgets.rank_explorer import rank_explorer
from sparsecourse.widgets.speedup_explorer import speedup_explorer
from sparsecourse.widgets.thresholds import thresholds
from sparsecourse.widgets.weight_threshold import weight_threshold

__all__ = [
    "channel_explorer",
    "coordinate_steps",
    "energy_budget",
    "filter_explorer",
    "filter_path",
    "first_pruning",
    "granularity",
    "group_paths",
    "lasso_path",
    "norm_ball",
    "polynomial_fit",
    "prune_weights",
    "quiz",
    "rank_explorer",
    "speedup_explorer",
    "spend_energy",
    "thresholds",
    "train_classifier",
    "validation_accuracy",
    "weight_threshold",
]
