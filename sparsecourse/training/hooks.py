"""What takes part in training from outside the loop.

A hook is any object with one or more of these methods, each taking a `Step`:

- ``before_step``: before the batch goes through the model;
- ``after_backward``: gradients are there, and are neither clipped nor used yet;
- ``after_step``: the weights have moved; the optimizer still has the learning rate of this move;
- ``end_of_epoch``: before the model is validated and saved.

At each moment the hooks are called in the order in which they are listed. What a hook has to
remember belongs into buffers of the model: they move with it to another device, and are saved in
checkpoints. Random numbers from torch's default generators repeat with the seed of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn
from torch.optim import Optimizer

MOMENTS = ("before_step", "after_backward", "after_step", "end_of_epoch")


@dataclass(frozen=True)
class Step:
    """Where a run is, and what a hook may act on.

    Attributes
    ----------
    model : nn.Module
        In training mode, on the device of the run.
    optimizer : Optimizer
    epoch : int
        Counted from 0.
    number : int
        Of the step since the run began, from 0 to `steps` - 1.
    steps : int
        In all epochs together.
    """

    model: nn.Module
    optimizer: Optimizer
    epoch: int
    number: int
    steps: int


def require_hooks(hooks: Sequence[object]) -> None:
    """Make sure that every hook has a method that `notify` would call.

    Raises
    ------
    ValueError
        If one has none: a misspelt name would otherwise go unnoticed.
    """
    for place, hook in enumerate(hooks):
        if not any(callable(getattr(hook, moment, None)) for moment in MOMENTS):
            raise ValueError(
                f"hooks[{place}] must have a method of {', '.join(MOMENTS)}, got {hook!r}"
            )


def notify(hooks: Sequence[object], moment: str, step: Step) -> None:
    """Call the method `moment` of the hooks that have it."""
    for hook in hooks:
        method = getattr(hook, moment, None)
        if method is not None:
            method(step)
