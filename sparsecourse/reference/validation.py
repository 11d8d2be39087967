"""Arguments in, arrays of floats out, or an error that names what was given and expected."""

from __future__ import annotations

import operator

import numpy as np
from numpy.typing import ArrayLike, NDArray


def finite_array(name: str, value: ArrayLike, ndim: tuple[int, ...]) -> NDArray[np.float64]:
    """Convert `value` to a non-empty float64 array of finite numbers.

    Parameters
    ----------
    name : str
        What the caller's signature calls the argument.
    value : array_like
    ndim : tuple of int
        The numbers of dimensions allowed.

    Returns
    -------
    array : ndarray of float64

    Raises
    ------
    ValueError
        If `value` does not hold real numbers, has another number of dimensions, is empty, or
        holds NaN or inf.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{name} must be an array of numbers ({error})") from None
    # A conversion to float would take text, and drop imaginary parts and masks.
    if array.dtype.kind not in "biuf" or np.ma.isMaskedArray(value):
        kind = f"{type(value).__name__} of {array.dtype}"
        raise ValueError(f"{name} must be an array of real numbers, got {kind}")
    array = array.astype(np.float64)
    if array.ndim not in ndim:
        expected = " or ".join(f"{n}-D" for n in ndim)
        raise ValueError(f"{name} must be {expected}, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if not np.isfinite(array).all():
        at = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[at]} at index {at}")
    return array


def design_and_target(
    X: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Check a design matrix and its target against each other.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,) or (n_samples, n_targets)

    Returns
    -------
    X, y : ndarray of float64

    Raises
    ------
    ValueError
        As `finite_array`, and if the numbers of samples differ.
    """
    X = finite_array("X", X, ndim=(2,))
    y = finite_array("y", y, ndim=(1, 2))
    if len(X) != len(y):
        raise ValueError(f"y must have one row per sample: X has {len(X)}, y has shape {y.shape}")
    return X, y


def design_and_one_target(
    X: ArrayLike, y: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `design_and_target`, for solvers of one problem at a time.

    Parameters
    ----------
    X : array_like, shape (n_samples, n_features)
    y : array_like, shape (n_samples,)

    Returns
    -------
    X, y : ndarray of float64

    Raises
    ------
    ValueError
        As `design_and_target`, and if `y` has several targets.
    """
    X, y = design_and_target(X, y)
    if y.ndim != 1:
        raise ValueError(f"y must be 1-D, got shape {y.shape}: solve for one target at a time")
    return X, y


def count(name: str, value: int) -> int:
    """Check that `value` is a whole number, 0 or more.

    Parameters
    ----------
    name : str
        What the caller's signature calls the argument.
    value : int
        A NumPy integer will do; a float will not, even if it is whole.

    Returns
    -------
    value : int

    Raises
    ------
    ValueError
        If it is not whole, or negative.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} must be a whole number >= 0, got {value!r}") from None
    if number < 0:
        raise ValueError(f"{name} must be a whole number >= 0, got {value!r}")
    return number


def penalty(lam: ArrayLike) -> NDArray[np.float64]:
    """Check one or more regularisation strengths.

    Parameters
    ----------
    lam : float or array_like, >= 0

    Returns
    -------
    lam : ndarray of float64; 0-D for a single number

    Raises
    ------
    ValueError
        As `finite_array`, and if a value is negative.
    """
    values = finite_array("lam", lam, ndim=tuple(range(33)))
    if (values < 0).any():
        raise ValueError(f"lam must be >= 0, got {values.min()}")
    return values
