"""A price on the size of all weights, paid while the network is trained."""

from __future__ import annotations

from sparsecourse.pruning.masks import trained_weights
from sparsecourse.reference.validation import positive
from sparsecourse.training import Step


class L1Penalty:
    """Hook of `training.fit`: add ``lam * sum |w|`` over the weights of all layers to the loss.

    Its subgradient ``lam * sign(w)`` joins the gradient. The steps are finite, so a weight that is
    drawn to zero goes to and fro around it, and is exactly zero only under a mask. For a penalty
    on squares take the optimizer's weight decay.

    Parameters
    ----------
    lam : float, > 0

    Raises
    ------
    ValueError
        If `lam` is not positive.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 3.1.
    """

    def __init__(self, lam: float) -> None:
        self.lam = positive("lam", lam)

    def after_backward(self, step: Step) -> None:
        """Add the subgradient."""
        for weight in trained_weights(step.model).values():
            weight.grad.add_(weight.detach().sign(), alpha=self.lam)
