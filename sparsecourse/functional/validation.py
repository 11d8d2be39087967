"""Tensors in, checked tensors out, or an error that names what was given and expected."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def finite_tensor(name: str, value: Tensor, least_ndim: int) -> Tensor:
    """Check that `value` is a non-empty floating-point tensor of finite numbers.

    Parameters
    ----------
    name : str
        What the caller's signature calls the argument.
    value : Tensor
    least_ndim : int
        The least number of dimensions; leading ones are a batch.

    Returns
    -------
    value : Tensor, unchanged

    Raises
    ------
    ValueError
        If it is no tensor of float32 or float64, has too few dimensions, is empty, or holds NaN
        or inf.
    """
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64):
        kind = str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a tensor of float32 or float64, got {kind}")
    shape = tuple(value.shape)
    if value.ndim < least_ndim:
        raise ValueError(f"{name} must be at least {least_ndim}-D, got shape {shape}")
    if value.numel() == 0:
        raise ValueError(f"{name} must not be empty, got shape {shape}")
    # The sum shows NaN and inf in one pass and without a copy; it may also overflow.
    if not math.isfinite(value.detach().sum()) and not torch.isfinite(value).all():
        at = tuple(torch.nonzero(~torch.isfinite(value))[0].tolist())
        raise ValueError(f"{name} must be finite, got {value[at].item()} at index {at}")
    return value


def design_and_target(X: Tensor, y: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Check a (batch of) design matrices and targets against each other.

    Parameters
    ----------
    X : Tensor, shape (..., n_samples, n_features)
    y : Tensor, shape (..., n_samples) or (..., n_samples, n_targets)
        The same batch dimensions, dtype and device as `X`.

    Returns
    -------
    X : Tensor, unchanged
    Y : Tensor, shape (..., n_samples, n_targets)
        `y` as columns, one where it was a vector.
    is_vector : bool
        Whether `y` was a vector, so that the caller can give one back.

    Raises
    ------
    ValueError
        As `finite_tensor`, and if shapes, dtypes or devices differ.
    """
    X = finite_tensor("X", X, least_ndim=2)
    y = finite_tensor("y", y, least_ndim=1)
    is_vector = y.ndim == X.ndim - 1
    Y = y.unsqueeze(-1) if is_vector else y
    if Y.shape[:-1] != X.shape[:-1]:
        expected = tuple(X.shape[:-1])
        raise ValueError(
            f"y must have shape {expected} or {(*expected, 'n_targets')} to match X of shape "
            f"{tuple(X.shape)}, got {tuple(y.shape)}"
        )
    if (Y.dtype, Y.device) != (X.dtype, X.device):
        raise ValueError(f"y must be {X.dtype} on {X.device} like X, got {Y.dtype} on {Y.device}")
    return X, Y, is_vector


def one_design_and_target(X: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """As `design_and_target`, for solvers of one problem at a time.

    Parameters
    ----------
    X : Tensor, shape (n_samples, n_features)
    y : Tensor, shape (n_samples,)

    Returns
    -------
    X, y : Tensor, unchanged

    Raises
    ------
    ValueError
        As `design_and_target`, and if there is a batch or several targets.
    """
    design_and_target(X, y)
    if X.ndim != 2 or y.ndim != 1:
        raise ValueError(
            f"X must be 2-D and y 1-D, got shapes {tuple(X.shape)} and {tuple(y.shape)}: solve "
            "one problem at a time"
        )
    return X, y


def penalty(lam: float | Tensor, like: Tensor) -> Tensor:
    """Check one or more regularisation strengths, and bring them to the dtype and device of data.

    Parameters
    ----------
    lam : float or Tensor, >= 0
    like : Tensor
        The data that they will be used with.

    Returns
    -------
    lam : Tensor, 0-D for a single number

    Raises
    ------
    ValueError
        As `finite_tensor`, and if a value is negative.
    """
    try:
        values = torch.as_tensor(lam, dtype=torch.float64, device=like.device)
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"lam must be a number or a tensor, got {lam!r}") from None
    finite_tensor("lam", values, least_ndim=0)
    if (values < 0).any():
        raise ValueError(f"lam must be >= 0, got {values.min().item()}")
    return values.to(like.dtype)


def strength(lam: float | Tensor) -> float:
    """Check one regularisation strength.

    Parameters
    ----------
    lam : float, >= 0

    Returns
    -------
    lam : float

    Raises
    ------
    ValueError
        As `penalty`, and if there are several.
    """
    value = penalty(lam, like=torch.empty(0))
    if value.ndim != 0:
        raise ValueError(f"lam must be a single number, got shape {tuple(value.shape)}")
    return float(lam)


def strengths(lams: Tensor) -> list[float]:
    """Check the regularisation strengths of a path.

    Parameters
    ----------
    lams : Tensor, shape (n_lams,), >= 0

    Returns
    -------
    lams : list of float

    Raises
    ------
    ValueError
        If it is no 1-D tensor, or a value is negative or not finite.
    """
    if finite_tensor("lams", lams, least_ndim=1).ndim != 1:
        raise ValueError(f"lams must be 1-D, got shape {tuple(lams.shape)}")
    return [strength(lam) for lam in lams.tolist()]


def coefficients(name: str, b: Tensor, X: Tensor, is_vector: bool) -> Tensor:
    """Check that `b` has one entry for each column of `X`, and bring it to columns.

    Parameters
    ----------
    name : str
        What the caller's signature calls the argument.
    b : Tensor, shape (..., n_features) or (..., n_features, n_targets)
    X : Tensor, shape (..., n_samples, n_features)
    is_vector : bool
        Whether the target is a vector, so that `b` must be one.

    Returns
    -------
    B : Tensor, shape (..., n_features, n_targets)

    Raises
    ------
    ValueError
        As `finite_tensor`, and if shape, dtype or device do not match `X`.
    """
    finite_tensor(name, b, least_ndim=1)
    B = b.unsqueeze(-1) if is_vector else b
    if B.ndim != X.ndim or (*B.shape[:-2], B.shape[-2]) != (*X.shape[:-2], X.shape[-1]):
        expected = (*X.shape[:-2], X.shape[-1]) + (() if is_vector else ("n_targets",))
        raise ValueError(f"{name} must have shape {expected}, got {tuple(b.shape)}")
    if (B.dtype, B.device) != (X.dtype, X.device):
        raise ValueError(
            f"{name} must be {X.dtype} on {X.device} like X, got {B.dtype} on {B.device}"
        )
    return B
