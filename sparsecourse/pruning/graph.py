"""A network as layers and the channels that they share: what structured pruning decides about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from sparsecourse.pruning.branches import Branch, Place
from sparsecourse.pruning.following import Reshaping, Walk, walk

if TYPE_CHECKING:
    from sparsecourse.pruning.selection import Plan


@dataclass(frozen=True)
class Layer:
    """A convolution or a linear layer.

    Attributes
    ----------
    module : nn.Module
        That of the network, not a copy.
    groups : Tensor of int64, shape (n_filters,)
        For each filter (neuron) the group of channels that it goes with.
    inputs : Tensor of int64, shape (n_inputs,)
        For each channel (feature) that it reads, the group.
    places : int
        How often its weights are used for one image.
    norm : str or None
        Name of the batch or instance normalisation that reads its output as it is.
    """

    module: nn.Module
    groups: Tensor
    inputs: Tensor
    places: int
    norm: str | None

    @property
    def filters(self) -> Tensor:
        """The weights as a matrix, shape (n_filters, weights of one)."""
        weight, module = self.module.weight.detach(), self.module
        if isinstance(module, _ConvTransposeNd):  # (inputs, filters of a group, ...)
            weight = weight.unflatten(0, (module.groups, -1)).transpose(1, 2).flatten(0, 1)
        return weight.flatten(1)

    def weights(self, n_filters: int, n_inputs: int) -> int:
        """How many weights there are with fewer filters and inputs."""
        groups = getattr(self.module, "groups", 1)
        if groups == len(self.inputs):  # depthwise, and stays so
            groups = n_inputs
        kernel = self.module.weight[0, 0].numel()
        return n_filters * (n_inputs // groups) * kernel


@dataclass(frozen=True)
class Stream:
    """Groups that run through the same layers.

    Attributes
    ----------
    layers : tuple of str
        Whose filters are in these groups.
    groups : Tensor of int64, shape (n_groups,)
    filters : int
        The most filters that one group has in one layer: 1 but for grouped convolutions.
    """

    layers: tuple[str, ...]
    groups: Tensor
    filters: int


@dataclass(frozen=True, eq=False)
class Graph:
    """What `trace` found. A group is a set of channels that can only be removed together.

    Attributes
    ----------
    model : nn.Module
    layers : mapping of str to Layer
        Names as in ``model.named_modules()``, in the order in which they run.
    norms : mapping of str to Tensor of int64, shape (n_channels,)
        The group of each channel of batch and instance normalisations.
    fixed : mapping of int to str
        Groups that must stay, and why.
    tensors : tuple of (str, Tensor of int64)
        What makes a tensor, and the groups of its channels: one at least must stay.
    reshapings : tuple of Reshaping
    branches : tuple of Branch
        The parts that can go as a whole, because a shortcut carries the signal.
    n_groups : int
    """

    model: nn.Module
    layers: Mapping[str, Layer]
    norms: Mapping[str, Tensor]
    fixed: Mapping[int, str]
    tensors: tuple[tuple[str, Tensor], ...]
    reshapings: tuple[Reshaping, ...]
    branches: tuple[Branch, ...]
    n_groups: int

    @cached_property
    def streams(self) -> tuple[Stream, ...]:
        """The groups that can be removed, as streams."""
        n_filters = torch.stack(
            [
                torch.bincount(layer.groups, minlength=self.n_groups)
                for layer in self.layers.values()
            ]
        )
        names, free = list(self.layers), n_filters.any(0)
        free[list(self.fixed)] = False
        alike: dict[tuple[int, ...], list[int]] = {}
        for group in free.nonzero().flatten().tolist():
            alike.setdefault(tuple(n_filters[:, group].tolist()), []).append(group)
        return tuple(
            Stream(
                tuple(name for name, n in zip(names, pattern, strict=True) if n),
                torch.tensor(groups),
                max(pattern),
            )
            for pattern, groups in alike.items()
        )

    def removed(self, plan: Plan | None) -> Tensor:
        """Which groups a plan removes; None removes nothing.

        Where branches go, so do the channels of the stream that only their layers make.

        Parameters
        ----------
        plan : Plan or None

        Returns
        -------
        removed : Tensor of bool, shape (n_groups,)

        Raises
        ------
        ValueError
            If the plan is for another network, removes a part of a group or what must stay, or
            leaves nothing of an activation; as `going`, too.
        """
        removed = torch.zeros(self.n_groups, dtype=torch.bool)
        if plan is None:
            return removed
        for name, kept in plan.kept.items():
            if name not in self.layers:
                raise ValueError(f"the plan names {name}, the layers are {list(self.layers)}")
            groups = self.layers[name].groups
            if len(groups) != plan.filters[name]:
                raise ValueError(
                    f"the plan is for {plan.filters[name]} filters in {name}, there are "
                    f"{len(groups)}"
                )
            if name in plan.gone:
                continue
            gone = torch.ones(len(groups), dtype=torch.bool)
            gone[list(kept)] = False
            removed[groups[gone]] = True
        staying = {name: layer for name, layer in self.layers.items() if name not in plan.gone}
        for name, layer in staying.items():
            gone = removed[layer.groups].nonzero().flatten()
            unplanned = [i for i in gone.tolist() if i in plan.kept.get(name, gone)]
            if unplanned:
                raise ValueError(
                    f"the plan keeps filter {unplanned[0]} of {name}, and removes channels that go "
                    f"with it: {self._partners(int(layer.groups[unplanned[0]]))} go together"
                )
        branches = self.going(plan.gone)
        if branches:
            made = torch.zeros_like(removed)
            made[torch.cat([layer.groups for layer in staying.values()])] = True
            made[list(self.fixed)] = True
            for branch in branches:
                removed[branch.channels[~made[branch.channels]]] = True
        self.check(removed)
        return removed

    def going(self, layers: Collection[str]) -> tuple[Branch, ...]:
        """The residual branches that go with some layers, without those inside of others.

        Parameters
        ----------
        layers : collection of str
            Whole branches.

        Returns
        -------
        branches : tuple of Branch

        Raises
        ------
        ValueError
            If a layer is not in a branch of which all layers go, or if both operands of an
            addition would go.
        """
        whole = [branch for branch in self.branches if set(branch.layers) <= set(layers)]
        stuck = set(layers).difference(*(branch.layers for branch in whole))
        if stuck:
            raise ValueError(
                f"nothing would be left of {', '.join(sorted(stuck))}: only whole residual "
                f"branches can go, which are {[list(branch.layers) for branch in self.branches]}"
            )
        largest: dict[Place, Branch] = {}
        for branch in whole:
            if any(set(branch.layers) < set(other.layers) for other in whole):
                continue
            other = largest.setdefault(branch.addition, branch)
            if other is not branch:
                raise ValueError(
                    f"{list(other.layers)} and {list(branch.layers)} cannot both go: no shortcut "
                    "would carry the signal"
                )
        return tuple(largest.values())

    def check(self, removed: Tensor) -> None:
        """Refuse to remove what must stay.

        Parameters
        ----------
        removed : Tensor of bool, shape (n_groups,)

        Raises
        ------
        ValueError
            If a fixed group is removed, or all channels of an activation.
        """
        for group in removed.nonzero().flatten().tolist():
            if group in self.fixed:
                raise ValueError(f"{self._partners(group)} must stay: {self.fixed[group]}")
        for name, groups in self.tensors:
            if removed[groups].all():
                raise ValueError(f"nothing would be left of what {name} returns")

    def parameters(self, plan: Plan | None = None) -> int:
        """Parameters of layers and normalisations after surgery, by formula.

        Parameters
        ----------
        plan : Plan or None
            None is the network as it is.

        Returns
        -------
        parameters : int
            As `costs.count` of the smaller network has it.

        Raises
        ------
        ValueError
            As `removed`.
        """
        return self.cost("parameters", self.removed(plan), plan.gone if plan else ())

    def multiply_adds(self, plan: Plan | None = None) -> int:
        """Multiply-adds for one image after surgery, by formula.

        Parameters
        ----------
        plan : Plan or None
            None is the network as it is.

        Returns
        -------
        multiply_adds : int
            As `costs.count` of the smaller network has it.

        Raises
        ------
        ValueError
            As `removed`.
        """
        return self.cost("multiply_adds", self.removed(plan), plan.gone if plan else ())

    def cost(self, by: str, removed: Tensor, gone: Collection[str] = ()) -> int:
        """What is left without some groups and branches.

        Parameters
        ----------
        by : str
            "multiply_adds", "parameters" or "filters".
        removed : Tensor of bool, shape (n_groups,)
        gone : collection of str
            Layers of branches.

        Returns
        -------
        cost : int

        Raises
        ------
        ValueError
            If there is no such cost, and as `going`.
        """
        kinds = ("multiply_adds", "parameters", "filters")
        if by not in kinds:
            raise ValueError(f"by must be one of {kinds}, got {by!r}")
        without = {name for branch in self.going(gone) for name in branch.modules}
        total = 0
        for name, layer in self.layers.items():
            if name in without:
                continue
            n_filters = int((~removed[layer.groups]).sum())
            n_inputs = int((~removed[layer.inputs]).sum())
            if by == "filters":
                total += n_filters
            elif by == "multiply_adds":
                total += layer.places * layer.weights(n_filters, n_inputs)
            else:
                has_bias = layer.module.bias is not None
                total += layer.weights(n_filters, n_inputs) + has_bias * n_filters
        if by == "parameters":
            total += sum(n for name, n in self._others.items() if name not in without)
            for name, groups in self.norms.items():
                if name in without:
                    continue
                n_parameters = sum(p.numel() for p in self.model.get_submodule(name).parameters())
                total += n_parameters // len(groups) * int((~removed[groups]).sum())
        return total

    @cached_property
    def _others(self) -> dict[str, int]:
        """Parameters of the modules that keep their size."""
        return {
            name: sum(parameter.numel() for parameter in module.parameters(recurse=False))
            for name, module in self.model.named_modules()
            if name not in self.layers and name not in self.norms
        }

    def _partners(self, group: int) -> str:
        return ", ".join(
            f"{name}[{i}]"
            for name, layer in self.layers.items()
            for i in (layer.groups == group).nonzero().flatten().tolist()
        )


def trace(model: nn.Module, example_input: Tensor | tuple[Tensor, ...]) -> Graph:
    """Find the layers of a network and the channels they share.

    Couplings are followed through convolutions (grouped, depthwise and transposed ones too),
    linear layers, normalisations of single channels, activations, pooling, reshaping, slices,
    concatenation, padding, channel shuffles, sums and products of activations. Channels that are
    mixed without weights (local response, group and layer normalisation, softmax) must stay, and
    so must the network's inputs and outputs; ``graph.fixed`` says why.

    Parameters
    ----------
    model : nn.Module
        On any device. It stays as it is, and the graph refers to it.
    example_input : Tensor or tuple of Tensor
        With a batch as the first dimension. Only the shapes matter.

    Returns
    -------
    graph : Graph

    Raises
    ------
    ValueError
        If something cannot be followed: the name of the layer or operation, and why. That is so
        for layers used twice, shared or masked weights, parameters outside of layers, Python's
        decisions on values, and operations that `following` does not know.
    """
    inputs = example_input if isinstance(example_input, tuple) else (example_input,)
    for value in inputs:
        if not isinstance(value, Tensor) or value.ndim < 2:
            given = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"example_input must be tensors with a batch dimension, got {given}")
    return _graph(model, walk(model, inputs))


def _graph(model: nn.Module, found: Walk) -> Graph:
    """Replace labels by the numbers of their groups."""
    _, group_of = found.labels.classes().unique(return_inverse=True)
    fixed: dict[int, str] = {}
    for label, reason in found.labels.reasons.items():
        fixed.setdefault(int(group_of[label]), reason)
    for reshaping in found.reshapings:
        reshaping.before = group_of[reshaping.before]
        reshaping.after = [group_of[labels] for labels in reshaping.after]
    tensors = {}
    for name, labels in found.tensors:
        groups = group_of[labels].unique()
        tensors.setdefault(tuple(groups.tolist()), (name, groups))
    for branch in found.branches:
        branch.channels = group_of[branch.channels].unique()
    return Graph(
        model=model,
        layers={
            name: Layer(
                module=model.get_submodule(name),
                groups=group_of[labels],
                inputs=group_of[found.inputs[name]],
                places=found.places[name],
                norm=found.norm_after.get(name),
            )
            for name, labels in found.filters.items()
        },
        norms={name: group_of[labels] for name, labels in found.norms.items()},
        fixed=fixed,
        tensors=tuple(tensors.values()),
        reshapings=tuple(found.reshapings),
        branches=tuple(found.branches),
        n_groups=int(group_of.max()) + 1,
    )
