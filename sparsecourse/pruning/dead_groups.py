"""Which groups of weights died in training, what else dies with them, and what is left.

A group is dead if all of its weights are exactly zero. After `ssl.Subgradient`, which makes none
of them zero, and where noise brings groups back at a tiny size, also if it is no longer than a
small share of the longest group of its kind in the layer: the choice of that share is stated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import pandas as pd
from torch import Tensor, nn

from sparsecourse.functional.weight_groups import group_norms
from sparsecourse.pruning.graph import Graph
from sparsecourse.pruning.masks import Masks, masks_of, per_layer, weight_layers
from sparsecourse.reference.validation import fraction
from sparsecourse.reference.weight_groups import numbering_axes


def collect(model: nn.Module, kinds: Mapping[str, Iterable[str]], relative: float = 0.0) -> Masks:
    """Find the weights of groups that are alive.

    Parameters
    ----------
    model : nn.Module
    kinds : mapping of layer name to kinds of groups
        A weight stays if all of its groups are alive. The prices of `ssl` will do, too.
    relative : float, 0 to 1
        A group is dead that is no longer than this share of the longest of its kind in the layer.
        0 takes exact zeros only.

    Returns
    -------
    masks : dict of str to Tensor of bool
        To be given to `masks.apply`, so that in fine-tuning the dead stay dead.

    Raises
    ------
    ValueError
        If a name is no layer's, a kind is unknown, a weight is not finite (a network that diverged
        looks like one whose groups all died), or `relative` is no share.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 4.
    """
    fraction("relative", relative)
    masks = {}
    for name, (layer, its_kinds) in per_layer("kinds", kinds, weight_layers(model)).items():
        weight = layer.weight.detach()
        masks[name] = masks_of(model)[name]
        for kind in its_kinds:
            norms = group_norms(weight, kind)
            kill(masks[name], kind, norms <= relative * norms.max())
    return masks


def dead_branches(graph: Graph) -> tuple[str, ...]:
    """Find the layers of residual branches through which no signal goes any more.

    So it is where all weights are exactly zero in a layer that everything in the branch goes
    through. Such a branch still adds a constant, from shifts and biases: `surgery.compact` takes
    that away, too, and what it did is for fine-tuning to learn again.

    Parameters
    ----------
    graph : Graph

    Returns
    -------
    layers : tuple of str
        For `selection.plan_without`. If a projection died, but the branch beside it did not, the
        projection is among them.

    Raises
    ------
    ValueError
        If both operands of an addition died, as `Graph.going`.

    References
    ----------
    Wen, Wu, Wang, Chen, Li, Learning structured sparsity in deep neural networks, NeurIPS 2016,
    section 3.2, eq. (4).
    """
    layers = [
        name
        for branch in graph.branches
        if not all(graph.layers[through].module.weight.any() for through in branch.through)
        for name in branch.layers
    ]
    graph.going(layers)
    return tuple(dict.fromkeys(layers))


def kill(mask: Tensor, kind: str, dead: Tensor) -> None:
    """Set a mask to False throughout some groups, in place.

    Parameters
    ----------
    mask : Tensor of bool, shape of a weight
    kind : str
        A key of `reference.weight_groups.KINDS`.
    dead : Tensor of bool, one a group
        In the shape that `group_norms` gives.

    Raises
    ------
    ValueError
        If there is no such kind.
    """
    numbering = numbering_axes(kind, mask.ndim)
    running = [axis for axis in range(mask.ndim) if axis not in numbering]
    mask.permute(*numbering, *running)[dead] = False


def connect(masks: Mapping[str, Tensor], following: Mapping[str, str]) -> Masks:
    """Let die what has no input, and what no living weight reads.

    A filter (or neuron) without weights sends on a constant, which retraining can put into the
    biases behind; one that nobody reads does nothing. So both ends go: the filter, and the weights
    of the layer behind that read it. That may leave other filters without weights or readers,
    and is repeated until nothing changes.

    Parameters
    ----------
    masks : mapping of layer name to Tensor of bool
    following : mapping of layer name to layer name
        Which layer reads which. It reads all of that layer and nothing else; a linear layer behind
        a convolution reads each of its maps, flattened, as a run of columns.

    Returns
    -------
    masks : dict of str to Tensor of bool
        New ones.

    Raises
    ------
    ValueError
        If there is no mask of a layer, or if a layer does not fit the one it reads.
    """
    connected = {name: mask.clone() for name, mask in masks.items()}
    pairs = [_pair(connected, *names) for names in following.items()]
    left = math.inf
    while (now := sum(int(mask.sum()) for mask in connected.values())) < left:
        left = now
        for written, read in pairs:
            dead = ~(written.flatten(1).any(1) & read.flatten(2).any(2).any(0))
            written[dead] = False
            read[:, dead] = False
    return connected


def counts(model: nn.Module) -> pd.DataFrame:
    """Count what is left, in the terms of the paper's tables.

    Parameters
    ----------
    model : nn.Module
        With masks or without. Exact zeros count as dead, and nothing else.

    Returns
    -------
    left : DataFrame
        A row for each layer. Columns `filters`, `channels` and `shapes` (for a linear layer:
        neurons, inputs, and inputs again) count groups with a weight that is not zero;
        `multiply_adds` is the share that is left of the layer's: filters times shapes that are
        left, over all.

    Raises
    ------
    ValueError
        As `masks.weight_layers`, or if a weight is not finite.

    References
    ----------
    Wen et al., NeurIPS 2016, tables 1 and 2 and section 4.1.
    """
    rows = {}
    for name, layer in weight_layers(model).items():
        weight = layer.weight.detach()
        left = {
            kind: int(group_norms(weight, kind).count_nonzero())
            for kind in ("filters", "channels", "shapes")
        }
        products = left["filters"] * left["shapes"]
        rows[name] = {**left, "multiply_adds": products / weight.numel()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("layer")


def _pair(masks: Mapping[str, Tensor], writer: str, reader: str) -> tuple[Tensor, Tensor]:
    """Views of two masks: (filters, ...) of the one, (outputs, filters, ...) of the other."""
    for name in (writer, reader):
        if name not in masks:
            raise ValueError(f"following names {name!r}, masks are of {list(masks)}")
    written, read = masks[writer], masks[reader]
    n_filters, n_inputs = len(written), read.shape[1]
    if n_inputs % n_filters or (read.ndim == 4 and n_inputs != n_filters):
        raise ValueError(
            f"{reader} has {n_inputs} inputs, which do not come from the {n_filters} outputs of "
            f"{writer}"
        )
    return written, read.unflatten(1, (n_filters, n_inputs // n_filters)).flatten(2)
