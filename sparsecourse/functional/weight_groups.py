"""Groups of a layer's weights on tensors: the twins of `sparsecourse.reference.weight_groups`.

The kinds of groups, "filters", "channels", "shapes", "kernels" and "depth", are listed there.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparsecourse.functional.norms import group_soft_threshold
from sparsecourse.functional.validation import finite_tensor
from sparsecourse.reference.weight_groups import numbering_axes


def group_view(W: Tensor, kind: str) -> Tensor:
    """See the weights group by group, without a copy: what is written into a group is in W.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, height, width) or (outputs, inputs)
        In any memory format.
    kind : str
        A key of `reference.weight_groups.KINDS`.

    Returns
    -------
    groups : Tensor, shape (*numbers, *entries)
        The axes that number the groups first, then those that run through one. For filters (f, c,
        h, w), for channels (c, f, h, w), for shapes (c, h, w, f), for kernels (f, c, h, w), of
        which the first two number, and for depth (f, c, h, w), of which none does. A view.

    Raises
    ------
    ValueError
        If there is no such kind, or on bad input.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.2; 2-D kernels: section 3.3.
    """
    numbering = numbering_axes(kind, _weights(W).ndim)
    return W.permute(numbering + _running(W.ndim, numbering))


def group_norms(W: Tensor, kind: str) -> Tensor:
    """Length of each group: the square root of the sum of its squares.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `reference.weight_groups.KINDS`.

    Returns
    -------
    norms : Tensor, shape (*numbers,)
        (f,) for filters, (c,) for channels, (c, h, w) for shapes, (f, c) for kernels, () for depth.

    Raises
    ------
    ValueError
        As `group_view`.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.1.
    """
    running = _running(W.ndim, numbering_axes(kind, _weights(W).ndim))
    return torch.linalg.vector_norm(W, dim=running) if running else W.abs()


def group_penalty(W: Tensor, kind: str) -> Tensor:
    """Sum of the lengths of all groups: the price R_g(W) of the group lasso, without lam.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `reference.weight_groups.KINDS`.

    Returns
    -------
    price : Tensor, shape ()

    Raises
    ------
    ValueError
        As `group_view`.

    References
    ----------
    Wen et al., NeurIPS 2016, eqs. (2) to (4): filters and channels, shapes, depth.
    """
    return group_norms(W, kind).sum()


def group_subgradient(W: Tensor, kind: str) -> Tensor:
    """A subgradient of `group_penalty`: each group divided by its length, and zero for a zero one.

    However short a group is, its piece has length one: a step of gradient descent goes past zero
    and back, and never ends there.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `reference.weight_groups.KINDS`.

    Returns
    -------
    D : Tensor, shape of `W`

    Raises
    ------
    ValueError
        As `group_view`.

    References
    ----------
    Wen et al., NeurIPS 2016, section 3.1, who descend along it.
    """
    numbering = numbering_axes(kind, _weights(W).ndim)
    norms = group_norms(W, kind)
    # A group of norm zero is divided by one.
    return W / _spread(norms.where(norms > 0, 1), W.ndim, numbering)


def proximal_step(W: Tensor, kind: str, lam: float) -> Tensor:
    """Minimise 1/2 ||V - W||^2 + lam sum_g ||V_g|| over V: the block soft threshold of each group.

    Parameters
    ----------
    W : Tensor, shape (filters, channels, height, width) or (outputs, inputs)
    kind : str
        A key of `reference.weight_groups.KINDS`.
    lam : float, >= 0
        After a gradient step of size eta, eta times the price.

    Returns
    -------
    V : Tensor, shape of `W`
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
    groups = group_view(W, kind)
    numbers = groups.shape[: len(numbering_axes(kind, W.ndim))]
    shrunk = group_soft_threshold(groups.reshape(*numbers, -1), lam)
    V = torch.zeros_like(W)
    group_view(V, kind).copy_(shrunk.reshape(groups.shape))
    return V


def _weights(W: Tensor) -> Tensor:
    if finite_tensor("W", W, least_ndim=2).ndim not in (2, 4):
        raise ValueError(f"W must be 2-D or 4-D, got shape {tuple(W.shape)}")
    return W


def _running(ndim: int, numbering: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(axis for axis in range(ndim) if axis not in numbering)


def _spread(values: Tensor, ndim: int, numbering: tuple[int, ...]) -> Tensor:
    """One value a group, in the shape that broadcasts to the weight."""
    shape = [1] * ndim
    for axis, size in zip(numbering, values.shape, strict=True):
        shape[axis] = size
    return values.reshape(shape)
