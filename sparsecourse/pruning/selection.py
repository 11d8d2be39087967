"""Which filters and layers stay: a plan, chosen by scores within a budget."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from sparsecourse.functional.validation import finite_tensor
from sparsecourse.pruning.graph import Graph, Stream
from sparsecourse.pruning.masks import per_layer
from sparsecourse.reference.validation import count, fraction


@dataclass(frozen=True)
class Plan:
    """The filters that stay, for the layers that lose some.

    Attributes
    ----------
    kept : mapping of str to tuple of int
        Layer -> the filters that stay, ascending. None: the layer goes, with its whole branch.
    filters : mapping of str to int
        Layer -> how many filters it has before.

    Raises
    ------
    ValueError
        If filters are not ascending or out of range, or if the layers of both differ.
    """

    kept: Mapping[str, tuple[int, ...]]
    filters: Mapping[str, int]

    def __post_init__(self) -> None:
        if set(self.kept) != set(self.filters):
            raise ValueError(
                f"kept and filters must name the same layers, got {list(self.kept)} and "
                f"{list(self.filters)}"
            )
        for name, kept in self.kept.items():
            n = count(f"filters of {name}", self.filters[name])
            numbers = [count(f"a filter of {name}", filter_) for filter_ in kept]
            if numbers != sorted(set(numbers)) or (numbers and numbers[-1] >= n):
                raise ValueError(
                    f"{name}: the filters kept must be some of 0 to {n - 1}, ascending, "
                    f"got {list(kept)}"
                )

    @property
    def gone(self) -> tuple[str, ...]:
        """The layers that go."""
        return tuple(name for name, kept in self.kept.items() if not kept)

    def to_json(self) -> str:
        """Write the plan as text.

        Returns
        -------
        text : str
            A JSON object: layer -> ``{"filters": how many, "kept": [which]}``.
        """
        layers = {
            name: {"filters": self.filters[name], "kept": list(kept)}
            for name, kept in self.kept.items()
        }
        return json.dumps(layers, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote.

        Parameters
        ----------
        text : str

        Returns
        -------
        plan : Plan

        Raises
        ------
        ValueError
            If it is no plan.
        """
        try:
            layers = json.loads(text)
            kept = {name: tuple(layer["kept"]) for name, layer in layers.items()}
            filters = {name: layer["filters"] for name, layer in layers.items()}
        except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(
                f'a plan is a JSON object {{layer: {{"filters": n, "kept": [...]}}}}: {error!r}'
            ) from None
        return cls(kept, filters)


def plan_without(graph: Graph, removed: Tensor, gone: Collection[str] = ()) -> Plan:
    """The plan that removes some groups of channels, and some residual branches.

    Parameters
    ----------
    graph : Graph
    removed : Tensor of bool, shape (n_groups,)
        ``graph.removed(plan)`` has those of another plan; of None, no groups.
    gone : collection of str
        The layers of these branches: all of each that goes.

    Returns
    -------
    plan : Plan
        Channels that only the layers of these branches make go, too.

    Raises
    ------
    ValueError
        If a group must stay, or nothing would be left of an activation; as `Graph.going`, too.
    """
    graph.check(removed)
    graph.going(gone)
    kept, filters = {}, {}
    for name, layer in graph.layers.items():
        lost = removed[layer.groups] | (name in gone)
        if lost.any():
            kept[name] = tuple((~lost).nonzero().flatten().tolist())
            filters[name] = len(lost)
    plan = Plan(kept, filters)
    graph.removed(plan)
    return plan


def select(
    graph: Graph,
    scores: Mapping[str, Tensor],
    keep: float | Mapping[str, float] = 0.5,
    *,
    by: Literal["multiply_adds", "parameters", "filters"] = "multiply_adds",
    scope: Literal["global", "layer"] = "global",
    multiple_of: int = 1,
) -> Plan:
    """Choose the filters that stay: those of the highest scores, within a budget.

    Filters that go together have one score: the mean over those that have one. Groups without a
    score stay. Of equal scores in a layer, the earlier filter stays. A layer is never emptied, and
    neither is an activation.

    Parameters
    ----------
    graph : Graph
    scores : mapping of str to Tensor, shape (n_filters,)
        For each layer; higher is kept.
    keep : float, 0 to 1, or mapping of layer name to float
        Share of the cost that is left at most. A mapping, for ``by="filters", scope="layer"``, is
        the share of each layer's filters; layers that it does not name keep all.
    by : str
        The cost: "multiply_adds", "parameters" or "filters", of the whole network.
    scope : str
        "global": all groups are ranked together, and the lowest go until the budget is met.
        "layer": each layer keeps the same share of its filters, ``round(share * n_filters)``. For
        ``by="filters"`` the share is `keep`, otherwise the largest that meets the budget.
    multiple_of : int, >= 1
        Numbers of filters are rounded up to a multiple of it; a layer that has less than that, or
        no multiple, may also stay as it is.

    Returns
    -------
    plan : Plan

    Raises
    ------
    ValueError
        If scores do not fit the layers, or the budget cannot be met.
    """
    if scope not in ("global", "layer"):
        raise ValueError(f"scope must be 'global' or 'layer', got {scope!r}")
    if count("multiple_of", multiple_of) == 0:
        raise ValueError("multiple_of must be >= 1, got 0")
    ranks = _ranks(graph, scores)
    if isinstance(keep, Mapping):
        if (by, scope) != ("filters", "layer"):
            raise ValueError('a share for each layer needs by="filters" and scope="layer"')
        shares = _shares(graph, ranks, keep)
        return plan_without(graph, _share_removed(graph, ranks, shares, multiple_of))

    nothing = torch.zeros(graph.n_groups, dtype=torch.bool)
    budget = fraction("keep", keep) * graph.cost(by, nothing)
    if scope == "layer" and by == "filters":
        shares = [keep] * len(ranks)
        return plan_without(graph, _share_removed(graph, ranks, shares, multiple_of))
    if scope == "layer":
        most = SHARES

        def removed_by(step: int) -> Tensor:
            shares = [1 - step / SHARES] * len(ranks)
            return _share_removed(graph, ranks, shares, multiple_of)

    else:
        ascending = _ascending(graph, ranks, multiple_of)
        most = len(ascending)

        def removed_by(step: int) -> Tensor:
            return nothing.index_fill(0, torch.cat([nothing[:0].long(), *ascending[:step]]), True)

    # Each step removes what the one before did, and more: the first within the budget.
    step = bisect_left(range(most), True, key=lambda i: graph.cost(by, removed_by(i)) <= budget)
    removed = removed_by(step)
    if graph.cost(by, removed) > budget:
        raise ValueError(
            f"keep = {keep} of the {by} cannot be met: without emptying a layer, "
            f"{graph.cost(by, removed) / graph.cost(by, nothing):.4f} is left at least"
        )
    return plan_without(graph, removed)


SHARES = 1000  # steps in which a share common to all layers is looked for


@dataclass(frozen=True)
class _Rank:
    """The groups of a stream and their scores, lowest first."""

    stream: Stream
    groups: Tensor
    scores: Tensor

    def chunks(self, multiple_of: int) -> list[slice]:
        """What can be removed at once, so that multiples are left."""
        n, step = len(self.groups), multiple_of // math.gcd(multiple_of, self.stream.filters)
        ends = range(n % step or step, n + 1, step)
        return [slice(max(0, end - step), end) for end in ends]


def _ranks(graph: Graph, scores: Mapping[str, Tensor]) -> list[_Rank]:
    total, scored = torch.zeros(2, graph.n_groups, dtype=torch.float64)
    for name, (layer, given) in per_layer("scores", dict(scores), graph.layers).items():
        values = finite_tensor(f"scores of {name}", given, least_ndim=1).detach().cpu()
        if values.shape != layer.groups.shape:
            raise ValueError(
                f"scores of {name} must be one number for each of {len(layer.groups)} filters, "
                f"got shape {tuple(values.shape)}"
            )
        total.index_add_(0, layer.groups, values.double())
        scored.index_add_(0, layer.groups, torch.ones_like(values, dtype=torch.float64))
    ranks = []
    for stream in graph.streams:
        if scored[stream.groups].all():  # of the same layers: all have one, or none
            means, groups = (total / scored)[stream.groups].flip(0), stream.groups.flip(0)
            order = means.argsort(stable=True)  # of equal scores the later one goes first
            ranks.append(_Rank(stream, groups[order], means[order]))
    return ranks


def _shares(graph: Graph, ranks: list[_Rank], keep: Mapping[str, float]) -> list[float]:
    """The share of each stream, from those of layers."""
    shares = {
        name: fraction(f"keep of {name}", share)
        for name, (_, share) in per_layer("keep", dict(keep), graph.layers).items()
    }
    in_streams = {name for rank in ranks for name in rank.stream.layers}
    for name, share in shares.items():
        if share < 1 and name not in in_streams:
            why = graph.fixed.get(int(graph.layers[name].groups[0]), "it has no scores")
            raise ValueError(f"keep = {share} of {name}: its filters must stay, because {why}")
    found = []
    for rank in ranks:
        named = {name: shares[name] for name in rank.stream.layers if name in shares}
        if len(set(named.values())) > 1:
            raise ValueError(f"these layers share channels, and need one share: {named}")
        found.append(next(iter(named.values()), 1.0))
    return found


def _share_removed(
    graph: Graph, ranks: list[_Rank], shares: list[float], multiple_of: int
) -> Tensor:
    """Remove the lowest of each stream, down to its share."""
    removed = torch.zeros(graph.n_groups, dtype=torch.bool)
    guard = _Guard(graph)
    for rank, share in zip(ranks, shares, strict=True):
        n_removed = len(rank.groups) - round(share * len(rank.groups))
        for chunk in rank.chunks(multiple_of):
            groups = rank.groups[chunk]
            if chunk.stop <= n_removed and guard.takes(groups):
                removed[groups] = True
    return removed


def _ascending(graph: Graph, ranks: list[_Rank], multiple_of: int) -> list[Tensor]:
    """What can be removed from the whole network, one after another, lowest first."""
    chunks = [
        (float(rank.scores[chunk].mean()), rank.groups[chunk])
        for rank in ranks
        for chunk in rank.chunks(multiple_of)
    ]
    guard = _Guard(graph)
    return [groups for _, groups in sorted(chunks, key=lambda c: c[0]) if guard.takes(groups)]


class _Guard:
    """Takes groups away from a network, unless nothing would be left of an activation."""

    def __init__(self, graph: Graph) -> None:
        self.left = [len(groups) for _, groups in graph.tensors]
        self.tensors_of: dict[int, list[int]] = {}
        for tensor, (_, groups) in enumerate(graph.tensors):
            for group in groups.tolist():
                self.tensors_of.setdefault(group, []).append(tensor)

    def takes(self, groups: Tensor) -> bool:
        """Whether these can go; then they are gone."""
        lost = Counter(t for group in groups.tolist() for t in self.tensors_of.get(group, ()))
        if any(self.left[tensor] <= n for tensor, n in lost.items()):
            return False
        for tensor, n in lost.items():
            self.left[tensor] -= n
        return True
