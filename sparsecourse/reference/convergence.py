"""What an iterative solver returns, and how it says that it did not arrive."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Generic, TypeVar

Array = TypeVar("Array")  # of NumPy or, in functional/, of PyTorch


class ConvergenceWarning(UserWarning):
    """A solver stopped before it arrived; the message states the gap that it reached."""


@dataclass(frozen=True)
class Solution(Generic[Array]):
    """Coefficients, and the certificate of how good they are.

    Attributes
    ----------
    coef : ndarray or Tensor, shape (n_features,)
        With a column each, where there are several targets.
    gap : float
        How far the objective can be from its minimum, relative to ||y||^2 / (2n), the objective
        at zero (absolute where y = 0). Of several targets, the largest.
    n_iter : int
        Iterations, or sweeps over all coefficients, that were made.
    """

    coef: Array
    gap: float
    n_iter: int

    def warn_unless(self, tol: float) -> Solution[Array]:
        """Return the solution itself, after a ConvergenceWarning if its gap exceeds `tol`.

        Raises
        ------
        ValueError
            If the gap is not a number.
        """
        if math.isnan(self.gap):
            raise ValueError("X, y or b0 is too large: their products are not finite; rescale them")
        if self.gap > tol:
            warnings.warn(
                f"not converged after {self.n_iter} iterations: gap {self.gap:.1e}, asked for "
                f"{tol:.1e}; allow more iterations, a larger tol or a larger lam",
                ConvergenceWarning,
                stacklevel=3,
            )
        return self
