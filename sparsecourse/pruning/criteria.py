"""Criteria: a score for each filter, higher where it should stay.

A criterion takes a graph (see `graph.trace`), and what else it needs, and returns layer -> tensor
of shape (n_filters,). It may leave layers out. Filters that go together are brought to one score
in `selection.select`, so that a criterion need not know of them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparsecourse.pruning.graph import Graph

Scores = dict[str, Tensor]


def l1(graph: Graph) -> Scores:
    """The sum of the absolute weights of each filter.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    scores : dict of str to Tensor, shape (n_filters,)

    References
    ----------
    Li, Kadav, Durdanovic, Samet, Graf, Pruning filters for efficient ConvNets, ICLR 2017,
    section 3.1.
    """
    return {name: layer.filters.abs().sum(1) for name, layer in graph.layers.items()}


def l2(graph: Graph) -> Scores:
    """The Euclidean norm of the weights of each filter.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    scores : dict of str to Tensor, shape (n_filters,)

    References
    ----------
    He, Kang, Dong, Fu, Yang, Soft filter pruning for accelerating deep convolutional neural
    networks, IJCAI 2018, section 3.2, with p = 2.
    """
    return {name: layer.filters.norm(dim=1) for name, layer in graph.layers.items()}


def random(graph: Graph, generator: torch.Generator | None = None) -> Scores:
    """Uniform random numbers: what a criterion must beat.

    Parameters
    ----------
    graph : Graph
    generator : torch.Generator, optional
        Of the CPU. Default: torch's.

    Returns
    -------
    scores : dict of str to Tensor, shape (n_filters,)

    References
    ----------
    Li et al., ICLR 2017, section 4.4, compare with random filters.
    """
    return {
        name: torch.rand(len(layer.groups), generator=generator)
        for name, layer in graph.layers.items()
    }


def batch_norm_scale(graph: Graph) -> Scores:
    """The absolute scale (gamma) of the normalisation that reads the layer's output as it is.

    Layers without one have no score; their filters stay, unless they go together with others.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    scores : dict of str to Tensor, shape (n_filters,)

    Raises
    ------
    ValueError
        If no layer has one.

    References
    ----------
    Liu, Li, Shen, Huang, Yan, Zhang, Learning efficient convolutional networks through network
    slimming, ICCV 2017, section 3.
    """
    norms = {
        name: graph.model.get_submodule(layer.norm)
        for name, layer in graph.layers.items()
        if layer.norm is not None
    }
    scores = {name: norm.weight.detach().abs() for name, norm in norms.items() if norm.affine}
    if not scores:
        raise ValueError(
            "no layer is followed by a normalisation with a scale: take another criterion"
        )
    return scores
