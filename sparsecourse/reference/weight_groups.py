"""Groups of a layer's weights: what can be removed from it as a whole, and the group lasso on it.

W has shape (filters, channels, height, width) for a convolution. A linear layer's (outputs,
inputs) is the case of one-pixel images, where a filter is a neuron with its inputs. Kinds of
groups, with the weights that are zero together:

================= ==================================== ==================
kind              one group                            zero together
================= ==================================== ==================
"filters"         a filter; a row of the matrix        W[i]
"channels"        what all filters do with a channel   W[:, j]
"shapes"          one position in all filters; a       W[:, j, p, q]
                  column of the matrix
"kernels"         a filter's 2-D kernel on a channel   W[i, j]
"depth"           the whole layer                      W
================= ==================================== ==================

The matrix is ``W.reshape(filters, -1)``. In a linear layer "channels" and "shapes" are the same,
and "kernels" are single weights.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sparsecourse.reference.norms import group_soft_threshold
from sparsecourse.reference.validation import finite_array

Floats = NDArray[np.float64]

# The axes of W that number the groups; the others run through a group.
KINDS = {
    "filters": (0,),
    "channels": (1,),
    "shapes": (1, 2, 3),
    "kernels": (0, 1),
    "depth": (),
}


def group_view(W: ArrayLike, kind: str) -> Floats:
    """See the weights group by group, without a copy: what is written into a group is in W.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `KINDS`.

    Returns
    -------
    groups : ndarray, shape (*numbers, *entries)
        The axes that number the groups first, then those that run through one. For filters (f, c,
        h, w), for channels (c, f, h, w), for shapes (c, h, w, f), for kernels (f, c, h, w), of
        which the first two number, and for depth (f, c, h, w), of which none does. A view, if `W`
        is an array of float64.

    Raises
    ------
    ValueError
        If there is no such kind, or on bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.2; 2-D kernels: section 3.3.
    """
    W = _weights(W)
    numbering = numbering_axes(kind, W.ndim)
    running = tuple(axis for axis in range(W.ndim) if axis not in numbering)
    return np.transpose(W, numbering + running)


def group_norms(W: ArrayLike, kind: str) -> Floats:
    """Length of each group: the square root of the sum of its squares.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `KINDS`.

    Returns
    -------
    norms : ndarray, shape (*numbers,)
        (f,) for filters, (c,) for channels, (c, h, w) for shapes, (f, c) for kernels, () for depth.

    Raises
    ------
    ValueError
        As `group_view`.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.1.
    """
    groups, numbers = group_view(W, kind), _numbers(W, kind)
    norms = np.zeros(numbers)
    for g in np.ndindex(numbers):
        norms[g] = np.sqrt(np.sum(groups[g] ** 2))
    return norms


def group_penalty(W: ArrayLike, kind: str) -> float:
    """Sum of the lengths of all groups: the price R_g(W) of the group lasso, without lam.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `KINDS`.

    Returns
    -------
    price : float

    Raises
    ------
    ValueError
        As `group_view`.

    References
    ----------
    Wen et al., NeurIPS 2016, eqs. (2) to (4): filters and channels, shapes, depth.
    """
    return float(group_norms(W, kind).sum())


def group_subgradient(W: ArrayLike, kind: str) -> Floats:
    """A subgradient of `group_penalty`: each group divided by its length, and zero for a zero one.

    However short a group is, its piece has length one: a step of gradient descent goes past zero
    and back, and never ends there.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `KINDS`.

    Returns
    -------
    D : ndarray, shape of `W`

    Raises
    ------
    ValueError
        As `group_view`.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.1, who descend along it.
    """
    W = _weights(W)
    D = np.zeros_like(W)
    groups, into, norms = group_view(W, kind), group_view(D, kind), group_norms(W, kind)
    for g in np.ndindex(norms.shape):
        if norms[g] > 0:
            into[g] = groups[g] / norms[g]
    return D


def proximal_step(W: ArrayLike, kind: str, lam: float) -> Floats:
    """Minimise 1/2 ||V - W||^2 + lam sum_g ||V_g|| over V: the block soft threshold of each group.

    Parameters
    ----------
    W : array_like, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `KINDS`.
    lam : float, >= 0
        After a gradient step of size eta, eta times the price.

    Returns
    -------
    V : ndarray, shape of `W`
        Groups no longer than `lam` are exactly zero, the others shorter by `lam`.

    Raises
    ------
    ValueError
        If `lam` is negative, and as `group_view`.

    References
    ----------
    Yuan, Lin, Model selection and estimation in regression with grouped variables, JRSS B 2006,
    eq. (2.4); Parikh, Boyd, Proximal algorithms, 2014, section 6.5.4.
    """
    W = _weights(W)
    V = np.zeros_like(W)
    groups, into = group_view(W, kind), group_view(V, kind)
    for g in np.ndindex(_numbers(W, kind)):
        into[g] = group_soft_threshold(groups[g].ravel(), lam).reshape(groups[g].shape)
    return V


def numbering_axes(kind: str, ndim: int) -> tuple[int, ...]:
    """The axes of a weight that number the groups of a kind.

    Parameters
    ----------
    kind : str
        A key of `KINDS`.
    ndim : int
        4 for the weight of a convolution, of shape (filters, channels, height, width), 2 for that
        of a linear layer.

    Returns
    -------
    axes : tuple of int

    Raises
    ------
    ValueError
        If there is no such kind.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.2.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return tuple(axis for axis in KINDS[kind] if axis < ndim)


def _weights(W: ArrayLike) -> Floats:
    checked = finite_array("W", W, ndim=(2, 4))
    # The check copies; a view must be one of what was given.
    return W if isinstance(W, np.ndarray) and W.dtype == np.float64 else checked


def _numbers(W: ArrayLike, kind: str) -> tuple[int, ...]:
    shape = np.shape(W)
    return tuple(shape[axis] for axis in numbering_axes(kind, len(shape)))
