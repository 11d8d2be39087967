"""Stop when the validation error no longer falls, with the weights of the best epoch."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from torch import nn

from sparsecourse.training.history import History


class EarlyStop:
    """Keep the weights of the best epoch so far. Without patience, do nothing.

    Parameters
    ----------
    patience : int or None
        Epochs without a lower validation error after which it is time to stop.
    history : History
    model : nn.Module
    """

    def __init__(self, patience: int | None, history: History, model: nn.Module) -> None:
        self.patience = patience
        self.history = history
        self.model = model
        self._weights: Mapping[str, Any] = {}

    def is_due(self) -> bool:
        """Whether the last lower validation error is as many epochs ago as the patience lasts."""
        if self.patience is None or not self.history:
            return False
        return len(self.history) - 1 - self.history.best_epoch >= self.patience

    def note_epoch(self) -> None:
        """Keep the weights if the last epoch is the best one."""
        if self.patience is not None and self.history.best_epoch == len(self.history) - 1:
            self._weights = copy.deepcopy(self.model.state_dict())

    def restore_best(self) -> None:
        """Give the model the weights of the best epoch."""
        if self.patience is not None:
            self.model.load_state_dict(self._weights)

    def state_dict(self) -> Mapping[str, Any]:
        """The weights of the best epoch."""
        return self._weights

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with saved weights."""
        self._weights = state
