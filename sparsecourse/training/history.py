"""What happened in each epoch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field

import pandas as pd


@dataclass
class History:
    """One entry for each epoch, in lists. Its length is the number of epochs.

    Attributes
    ----------
    train_loss : list of float
        Mean over the epoch's batches, while the weights moved.
    validation_loss, validation_error : list of float
        At the end of the epoch; the error is the share of wrong answers. NaN without validation.
    learning_rate : list of float
        Of the epoch's last step.
    seconds : list of float
        Wall time, validation included.
    """

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_error: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.train_loss)

    def __str__(self) -> str:
        if not self.train_loss:
            return "no epochs"
        text = f"loss {self.train_loss[-1]:.3f}"
        if math.isnan(self.validation_error[-1]):
            return text
        return f"{text}, validation error {self.validation_error[-1]:.2%}"

    @property
    def best_epoch(self) -> int:
        """The first of the epochs with the lowest validation error, counted from 0."""
        return self.validation_error.index(min(self.validation_error))

    def append(self, **values: float) -> None:
        """Add the entry of one epoch, all attributes by name."""
        for name, value in values.items():
            getattr(self, name).append(value)

    def to_frame(self) -> pd.DataFrame:
        """A row for each epoch, a column for each attribute."""
        return pd.DataFrame(asdict(self)).rename_axis("epoch")

    def state_dict(self) -> dict[str, list[float]]:
        """The entries, to be saved in a checkpoint."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Replace the entries by those of a checkpoint."""
        vars(self).update(state)
