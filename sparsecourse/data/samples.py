"""What a loaded data set is, and how samples are divided into training, validation and test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SEED = 0


# eq=False: comparing arrays with == gives no truth value.
@dataclass(frozen=True, eq=False)
class Split:
    """Samples and their targets.

    Attributes
    ----------
    X : ndarray, shape (n, channels, height, width) float32, or (n, p) float64
    y : ndarray, shape (n,)
        int64 classes of images, float64 values otherwise.
    """

    X: np.ndarray
    y: np.ndarray

    def __repr__(self) -> str:
        return f"Split(X: {self.X.shape} {self.X.dtype}, y: {self.y.shape} {self.y.dtype})"


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in three parts that share no sample.

    Attributes
    ----------
    name : str
        Of the data set that this is: the substitute's where one was loaded.
    source : str
        "scikit-learn", "SPARSECOURSE_DATA", "cache" or "download".
    train, validation, test : Split
    feature_names : tuple of str
        Name of each column of X; empty for images.
    classes : tuple of str
        Name of each class; empty for a real-valued target.
    """

    name: str
    source: str
    train: Split
    validation: Split
    test: Split
    feature_names: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def all(self) -> Split:
        """The three parts concatenated: training, validation, test."""
        parts = (self.train, self.validation, self.test)
        return Split(
            np.concatenate([part.X for part in parts]), np.concatenate([part.y for part in parts])
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """What a reader returns: all samples, not yet divided.

    Attributes
    ----------
    X : ndarray, shape (n, ...)
        Images may be uint8, 0 to 255.
    y : ndarray, shape (n,)
    is_test : ndarray of bool, shape (n,), or None
        The published test part, None where none was published.
    feature_names : tuple of str
    """

    X: np.ndarray
    y: np.ndarray
    is_test: np.ndarray | None = None
    feature_names: tuple[str, ...] = ()


def divide(samples: Samples, sizes: tuple[int, int, int]) -> tuple[Split, Split, Split]:
    """Divide samples at random, by a fixed seed; each part keeps the order of the samples.

    Parameters
    ----------
    samples : Samples
    sizes : (int, int, int)
        Samples to train, to validate, to test; their sum is the number of samples.

    Returns
    -------
    train, validation, test : Split
        The published test part stays the test part.
    """
    _, n_validation, n_test = sizes
    # RandomState and not Generator: its stream is frozen, so that everyone has the same parts
    # whatever the version of NumPy.
    order = np.random.RandomState(SEED).permutation(len(samples.y))
    is_test = samples.is_test
    if is_test is None:
        is_test = np.zeros(len(order), dtype=bool)
        is_test[order[:n_test]] = True
    rest = order[~is_test[order]]
    parts = rest[n_validation:], rest[:n_validation], np.flatnonzero(is_test)
    found = tuple(len(part) for part in parts)
    if found != sizes:
        raise ValueError(f"the samples divide into {found}, the catalogue expects {sizes}")
    return tuple(_part(samples, np.sort(part)) for part in parts)


def _part(samples: Samples, index: np.ndarray) -> Split:
    X = samples.X[index]
    if X.dtype == np.uint8:
        # Only now, part by part: float32 pixels take four times the memory.
        X = np.divide(X, 255, dtype=np.float32)
    return Split(X, samples.y[index])
