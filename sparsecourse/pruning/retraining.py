"""Prune and retrain: in rounds, or little by little while the network is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from torch import Tensor, fx, nn

from sparsecourse.functional.pruning import cubic_sparsity, dropout_ratio
from sparsecourse.pruning.masks import (
    Masks,
    apply,
    magnitude,
    masks_of,
    per_layer,
    weight_layers,
)
from sparsecourse.training import Step

Level = TypeVar("Level")
Result = TypeVar("Result")


def iterative(
    model: nn.Module,
    levels: Iterable[Level],
    choose: Callable[[nn.Module, Level], Masks],
    retrain: Callable[[nn.Module], Result],
) -> list[Result]:
    """Prune a little, retrain what is left, and again: once for each level.

    Parameters
    ----------
    model : nn.Module
        Trained. It is pruned in place.
    levels : iterable
        How far to prune in each round, in the terms of `choose`.
    choose : callable, (model, level) -> masks
        ``masks.magnitude`` for shares kept, ``masks.threshold`` for thresholds.
    retrain : callable, model -> anything
        Trains the weights that are left, with a lower learning rate than before.

    Returns
    -------
    results : list
        What `retrain` returned in each round.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 3.
    """
    results = []
    for level in levels:
        apply(model, choose(model, level))
        adjust_dropout(model, masks_of(model))
        results.append(retrain(model))
    return results


class GradualPruning:
    """Hook of `training.fit`: prune by magnitude, all layers ranked together, on a cubic schedule.

    Masks are put on at once, so that a checkpoint of any step can be loaded. Leave out `patience`
    of `fit`: the epoch with the lowest error may be one with too many weights.

    Parameters
    ----------
    model : nn.Module
        The one that will be trained.
    final : float, 0 to 1
        Share of the weights that are zero in the end.
    start : int, >= 0
        The step (counted from 0) before which it is pruned to `initial`.
    updates : int, >= 1
        How many times it is pruned after that.
    every : int, >= 1
        Steps between two of them.
    initial : float, 0 to `final`

    Raises
    ------
    ValueError
        As `functional.pruning.cubic_sparsity`, and, in training, if that has too few steps.

    References
    ----------
    Zhu, Gupta, To prune, or not to prune: exploring the efficacy of pruning for model compression,
    ICLR workshop 2018 (arXiv 2017), section 3. They rank layer by layer.
    """

    def __init__(
        self,
        model: nn.Module,
        final: float,
        *,
        start: int,
        updates: int,
        every: int,
        initial: float = 0.0,
    ) -> None:
        self.schedule = {
            "initial": initial,
            "final": final,
            "start": start,
            "updates": updates,
            "every": every,
        }
        cubic_sparsity(0, **self.schedule)  # its errors belong here
        self.steps = range(start, start + updates * every + 1, every)
        apply(model, masks_of(model))

    def before_step(self, step: Step) -> None:
        """Prune, if the schedule says so."""
        if self.steps[-1] >= step.steps:
            raise ValueError(
                f"the last update is before step {self.steps[-1]}, and training has steps 0 to "
                f"{step.steps - 1}: fewer updates, or more epochs"
            )
        if step.number in self.steps:
            sparsity = float(cubic_sparsity(step.number, **self.schedule))
            apply(step.model, magnitude(step.model, keep=1 - sparsity))


def adjust_dropout(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Lower the ratio of each nn.Dropout to ``D_o sqrt(C_ir / C_io)``.

    C_i are the connections into the neurons that are dropped: the weights of the layer before, or
    of all layers whose outputs come together there. Dropout on the network's input stays as it is.
    D_o is the ratio that the module had when this was first called (its attribute `dense_p`), so
    that it may be called again with other masks. Ratios are not in a state_dict: call this after
    masks are loaded, too.

    Parameters
    ----------
    model : nn.Module
        One that torch.fx can trace, if there is an nn.Dropout in it.
    masks : mapping of layer name to Tensor of bool
        Layers that are not named count as dense.

    Raises
    ------
    ValueError
        If a name is no layer's, or if one module drops neurons in two places.

    References
    ----------
    Han, Pool, Tran, Dally, Learning both weights and connections for efficient neural networks,
    NeurIPS 2015, section 3.2, eq. (2).
    """
    dropouts = {name: m for name, m in model.named_modules() if isinstance(m, nn.Dropout)}
    if not dropouts:
        return
    layers = weight_layers(model)
    masked = per_layer("masks", masks, layers)
    places: dict[str, list[fx.Node]] = {}
    for node in fx.symbolic_trace(model).graph.nodes:
        if node.op == "call_module" and node.target in dropouts:
            places.setdefault(node.target, []).append(node)
    for name, nodes in places.items():
        if len(nodes) > 1:
            raise ValueError(
                f"{name} drops neurons in {len(nodes)} places, and has one ratio: give each place "
                "an nn.Dropout of its own"
            )
        before = _layers_before(nodes[0], layers)
        if before:
            dropout = dropouts[name]
            if not hasattr(dropout, "dense_p"):
                dropout.dense_p = dropout.p
            connections = sum(layers[layer].weight.numel() for layer in before)
            pruned = sum(int((~masked[layer][1]).sum()) for layer in before if layer in masked)
            dropout.p = float(dropout_ratio(dropout.dense_p, connections, connections - pruned))


def _layers_before(node: fx.Node, layers: Mapping[str, nn.Module]) -> set[str]:
    """Walk against the flow until layers with weights are met."""
    found, seen, ahead = set(), set(), list(node.all_input_nodes)
    while ahead:
        node = ahead.pop()
        if node.op == "call_module" and node.target in layers:
            found.add(node.target)
        elif node not in seen:
            seen.add(node)
            ahead.extend(node.all_input_nodes)
    return found
