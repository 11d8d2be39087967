"""A network as layers and the channels that they share: what structured pruning decides about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

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
    n_groups : int
    """

    model: nn.Module
    layers: Mapping[str, Layer]
    norms: Mapping[str, Tensor]
    fixed: Mapping[int, str]
    tensors: tuple[tuple[str, Tensor], ...]
    reshapings: tuple[Reshaping, ...]
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
            leaves nothing of an activation.
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
            gone = torch.ones(len(groups), dtype=torch.bool)
            gone[list(kept)] = False
            removed[groups[gone]] = True
        for name, layer in self.layers.items():
            gone = removed[layer.groups].nonzero().flatten()
            unplanned = [i for i in gone.tolist() if i in plan.kept.get(name, gone)]
            if unplanned:
                raise ValueError(
                    f"the plan keeps filter {unplanned[0]} of {name}, and removes channels that go "
                    f"with it: {self._partners(int(layer.groups[unplanned[0]]))} go together"
                )
        self.check(removed)
        return removed

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
        return self.cost("parameters", self.removed(plan))

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
        return self.cost("multiply_adds", self.removed(plan))

    def cost(self, by: str, removed: Tensor) -> int:
        """What is left without some groups.

        Parameters
        ----------
        by : str
            "multiply_adds", "parameters" or "filters".
        removed : Tensor of bool, shape (n_groups,)

        Returns
        -------
        cost : int

        Raises
        ------
        ValueError
            If there is no such cost.
        """
        kinds = ("multiply_adds", "parameters", "filters")
        if by not in kinds:
            raise ValueError(f"by must be one of {kinds}, got {by!r}")
        total = 0
        for layer in self.layers.values():
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
            total += self._other_parameters
            for name, groups in self.norms.items():
                n_parameters = sum(p.numel() for p in self.model.get_submodule(name).parameters())
                total += n_parameters // len(groups) * int((~removed[groups]).sum())
        return total

    @cached_property
    def _other_parameters(self) -> int:
        """Those of modules that keep their size."""
        shrinking = {*self.layers, *self.norms}
        return sum(
            parameter.numel()
            for name, module in self.model.named_modules()
            if name not in shrinking
            for parameter in module.parameters(recurse=False)
        )

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
        n_groups=int(group_of.max()) + 1,
    )
