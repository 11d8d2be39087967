"""Arguments in, arrays of floats out, or an error that names what was given and expected."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Groups = Sequence[Sequence[int]]


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


def strength(lam: float) -> float:
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
    value = penalty(lam)
    if value.ndim != 0:
        raise ValueError(f"lam must be a single number, got shape {value.shape}")
    return float(value)


def positive(name: str, value: float) -> float:
    """Check that `value` is a number above zero.

    Parameters
    ----------
    name : str
        What the caller's signature calls the argument.
    value : float

    Returns
    -------
    value : float

    Raises
    ------
    ValueError
        If it is not.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not number > 0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    return number


def fraction(name: str, value: float) -> float:
    """Check that `value` is a number from 0 to 1.

    Parameters
    ----------
    name : str
        What the caller's signature calls the argument.
    value : float

    Returns
    -------
    value : float

    Raises
    ------
    ValueError
        If it is not.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    return number


def coefficients(X: NDArray[np.float64], b: ArrayLike) -> NDArray[np.float64]:
    """Check that `b` has one entry for each column of `X`.

    Parameters
    ----------
    X : ndarray, shape (n_samples, n_features)
    b : array_like, shape (n_features,)

    Returns
    -------
    b : ndarray of float64, a copy

    Raises
    ------
    ValueError
        As `finite_array`, and if its length differs.
    """
    b = finite_array("b", b, ndim=(1,))
    if len(b) != X.shape[1]:
        raise ValueError(f"b must have shape ({X.shape[1]},) like a row of X, got {b.shape}")
    return b


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


def column_groups(groups: Groups, n_features: int) -> list[NDArray[np.int64]]:
    """Check that every column is in exactly one group.

    Parameters
    ----------
    groups : sequence of sequences of int
        The columns of each group.
    n_features : int

    Returns
    -------
    groups : list of ndarray of int64

    Raises
    ------
    ValueError
        If a group is empty or holds what is no column, if two groups overlap, or if a column is in
        none. (Where groups overlap the penalty does not split into blocks, and a block cannot be
        thresholded alone.)
    """
    if not hasattr(groups, "__len__"):
        raise ValueError(f"groups must be a list of lists of column numbers, got {groups!r}")
    member_of = np.full(n_features, -1)
    checked = []
    for i, group in enumerate(groups):
        try:
            columns = np.asarray(group)
        except ValueError:  # lists of different lengths
            columns = np.empty(0)
        if columns.ndim != 1 or columns.size == 0 or columns.dtype.kind not in "iu":
            raise ValueError(f"group {i} must list one or more column numbers, got {group!r}")
        for j in columns:
            if not 0 <= j < n_features:
                raise ValueError(f"group {i} holds column {j}; X has columns 0 to {n_features - 1}")
            if member_of[j] >= 0:
                both = f"groups {member_of[j]} and {i}" if member_of[j] != i else f"group {i} twice"
                raise ValueError(f"groups must not overlap, but column {j} is in {both}")
            member_of[j] = i
        checked.append(columns.astype(np.int64))
    if (member_of < 0).any():
        left_out = int(np.argmin(member_of))
        raise ValueError(f"every column must be in a group, but column {left_out} is in none")
    return checked
