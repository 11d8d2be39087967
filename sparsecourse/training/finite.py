"""Stop a run that has diverged, where it happens and with a word on what to try."""

from __future__ import annotations

import math

import torch

from sparsecourse.training.hooks import Step


class NonFiniteError(ArithmeticError):
    """A loss, gradient, weight or score is NaN or infinite: no result can come from it."""


def require_finite(what: str, value: float, step: Step) -> None:
    """Stop if a number is not finite, and name the weights if it is due to them.

    Parameters
    ----------
    what : str
        The number, in words.
    value : float
    step : Step
        Where the run is.

    Raises
    ------
    NonFiniteError
    """
    if not math.isfinite(value):
        require_finite_weights(step)
        raise _diverged(f"{what} is {value}", step)


def require_finite_weights(step: Step) -> None:
    """Stop if a parameter of the model is not finite.

    Raises
    ------
    NonFiniteError
        Naming the parameters.
    """
    parameters = step.model.named_parameters()
    broken = [name for name, value in parameters if not torch.isfinite(value).all()]
    if broken:
        raise _diverged(f"not finite: the weights {', '.join(broken)}", step)


def _diverged(what: str, step: Step) -> NonFiniteError:
    rate = step.optimizer.param_groups[0]["lr"]
    return NonFiniteError(
        f"{what}, in epoch {step.epoch}, step {step.number} of {step.steps}, counted from 0. Try "
        f"a lower learning rate (here it is {rate:.2g}), or clip the gradients (clip=1.0)"
    )
