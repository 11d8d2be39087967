"""What is solved: AR(1) designs of three sizes and two real data sets, each at several lam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sparsecourse.data import load
from sparsecourse.reference import group_lasso, lasso

SIZES = [(500, 1000), (1000, 10000), (2000, 50000)]
REAL = ["riboflavin", "leukemia"]
RATIOS = [5, 20, 100]
GROUP_SIZE = 10
PATH_LENGTH = 20
CORRELATION = 0.6
SIGNAL_TO_NOISE = 3


@dataclass(frozen=True)
class Problem:
    """One problem, in words: small enough to be sent to another process, which makes the arrays.

    Attributes
    ----------
    task : "lasso", "group lasso" or "path"
        A path is the lasso's.
    data : str or (int, int)
        Name of a real data set, or shape of an AR(1) design.
    ratio : int
        lam is lambda_max / ratio; a path goes from lambda_max down to it.
    seed : int
        Of an AR(1) design.
    """

    task: str
    data: str | tuple[int, int]
    ratio: int
    seed: int = 0

    def __str__(self) -> str:
        data = self.data if isinstance(self.data, str) else "{}x{}".format(*self.data)
        to = "to " if self.task == "path" else ""
        return f"{self.task} {data} {to}/{self.ratio}"


@dataclass(frozen=True, eq=False)
class Instance:
    """A problem's arrays.

    Attributes
    ----------
    X : ndarray of float64, shape (n, p)
        Its columns are contiguous: what all coordinate descents want.
    y : ndarray of float64, shape (n,)
    lams : ndarray, shape (n_lams,)
        One for each solution asked for, from large to small.
    groups : list of list of int, or None
        The columns of each group, where the task is the group lasso.
    """

    X: np.ndarray
    y: np.ndarray
    lams: np.ndarray
    groups: list[list[int]] | None


def choose(quick: bool, real: Sequence[str], seed: int) -> list[Problem]:
    """All problems of the benchmark, or those that take three minutes.

    Parameters
    ----------
    quick : bool
    real : sequence of str
        Those of REAL that are here.
    seed : int
        Of the AR(1) designs.

    Returns
    -------
    problems : list of Problem, those of one design together
    """
    problems = []
    for size in SIZES:
        if quick and size == SIZES[2]:
            break
        small = size == SIZES[0]
        ratios = RATIOS[:1] if quick and not small else RATIOS
        problems += [Problem("lasso", size, ratio, seed) for ratio in ratios]
        if small or not quick:
            problems.append(Problem("path", size, RATIOS[-1], seed))
            problems += [Problem("group lasso", size, ratio, seed) for ratio in ratios]
    for name in real:
        problems += [Problem("lasso", name, ratio) for ratio in RATIOS]
        problems.append(Problem("path", name, RATIOS[-1]))
    return problems


def make(problem: Problem) -> Instance:
    """Make the arrays of a problem.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    instance : Instance

    Raises
    ------
    DataNotFoundError
        If the real data set is not here.
    """
    grouped = problem.task == "group lasso"
    if isinstance(problem.data, str):
        X, y = standardised(problem.data)
    else:
        X = ar1(*problem.data, problem.seed)
        y = sparse_response(X, GROUP_SIZE if grouped else 1, problem.seed)
    groups = np.arange(X.shape[1]).reshape(-1, GROUP_SIZE).tolist() if grouped else None
    largest = group_lasso.lambda_max(X, y, groups) if grouped else lasso.lambda_max(X, y)
    smallest = largest / problem.ratio
    if problem.task == "path":
        lams = np.geomspace(largest, smallest, PATH_LENGTH)
    else:
        lams = np.array([smallest])
    return Instance(X, y, lams, groups)


@lru_cache(maxsize=1)
def ar1(n: int, p: int, seed: int) -> np.ndarray:
    """Draw columns of which each is correlated with the one before.

    The correlation of columns i and j is CORRELATION ** |i - j|, their variance is 1. The last
    design is kept: the largest takes 0.8 GB.

    Parameters
    ----------
    n, p : int
    seed : int

    Returns
    -------
    X : ndarray, shape (n, p), columns contiguous
    """
    X = np.empty((n, p), order="F")
    np.random.default_rng(seed).standard_normal(out=X.T)
    for j in range(1, p):
        X[:, j] = CORRELATION * X[:, j - 1] + np.sqrt(1 - CORRELATION**2) * X[:, j]
    return X


def sparse_response(X: np.ndarray, group_size: int, seed: int) -> np.ndarray:
    """Draw a linear model with n / 10 coefficients, in whole groups, and noise.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    group_size : int
        Neighbouring columns in a group.
    seed : int

    Returns
    -------
    y : ndarray, shape (n,)
    """
    n, p = X.shape
    generator = np.random.default_rng([seed, group_size])
    active = generator.choice(p // group_size, n // (10 * group_size), replace=False)
    columns = (active[:, None] * group_size + np.arange(group_size)).ravel()
    signal = X[:, columns] @ generator.standard_normal(len(columns))
    noise = generator.standard_normal(n)
    return signal + noise * (np.linalg.norm(signal) / np.linalg.norm(noise) / SIGNAL_TO_NOISE)


def standardised(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Load all samples of a real data set, its columns and its target with mean 0, variance 1.

    Parameters
    ----------
    name : str

    Returns
    -------
    X : ndarray, shape (n, p), columns contiguous
    y : ndarray, shape (n,)

    Raises
    ------
    DataNotFoundError
        If the data set is not here.
    """
    samples = load(name).all
    X = np.asfortranarray(samples.X - samples.X.mean(axis=0))
    X /= X.std(axis=0)
    y = samples.y - samples.y.mean()
    return X, y / y.std()
