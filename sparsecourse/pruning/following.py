"""One walk through a network: which channels each layer makes and reads, and which go together.

torch.fx writes the network down as a graph. It is run on tensors without data, to know shapes, and
on labels (see `labels`), with one rule for each kind of operation. An operation without a rule is
refused: nothing is guessed. To teach a new one, add it to the table of its kind below.
"""

from __future__ import annotations

import copy
import math
import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrize

from sparsecourse.pruning.branches import Branch, Place, residual_branches
from sparsecourse.pruning.labels import Labels, spread
from sparsecourse.pruning.masks import weight_layers

# Operations on functions and methods of tensors; methods are named by text.
Operation = type[nn.Module] | Callable | str

NORMS = (_BatchNorm, _InstanceNorm)

# Each number is computed from the one at its place.
ELEMENTWISE: set[Operation] = {
    *(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout),
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Softsign),
    *(nn.LogSigmoid, nn.PReLU),
    *(F.relu, F.relu6, F.leaky_relu, F.elu, F.selu, F.gelu, F.silu, F.mish, F.hardswish),
    *(F.hardsigmoid, F.hardtanh, F.sigmoid, F.tanh, F.softplus, F.logsigmoid),
    *(torch.relu, torch.sigmoid, torch.tanh, torch.abs, torch.clamp, torch.exp, torch.square),
    *("relu", "relu_", "sigmoid", "sigmoid_", "tanh", "abs", "clamp", "exp", "square"),
    *("contiguous", "clone"),
    *(operator.neg, operator.pow),
}
# Each number is computed from numbers of its channel, the second dimension.
CHANNELWISE: set[Operation] = {
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d),
    *(nn.Upsample, nn.UpsamplingNearest2d, nn.UpsamplingBilinear2d),
    *(nn.ReflectionPad1d, nn.ReflectionPad2d, nn.ReplicationPad1d, nn.ReplicationPad2d),
    *(nn.ZeroPad1d, nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d),
    *(F.max_pool1d, F.max_pool2d, F.avg_pool1d, F.avg_pool2d, F.interpolate),
    *(F.adaptive_avg_pool1d, F.adaptive_avg_pool2d),
    *(F.adaptive_max_pool1d, F.adaptive_max_pool2d),
}
# Channels are mixed, so that all of them must stay.
MIXING: set[Operation] = {
    *(nn.LocalResponseNorm, nn.GroupNorm, nn.LayerNorm, nn.Softmax, nn.LogSoftmax),
    *(F.softmax, F.log_softmax, torch.softmax, torch.log_softmax, "softmax", "log_softmax"),
}
# Two activations, or one and a number, are combined place by place.
COMBINING: set[Operation] = {
    *(operator.add, operator.iadd, torch.add, "add", "add_"),
    *(operator.sub, operator.isub, torch.sub, "sub", "sub_"),
    *(operator.mul, operator.imul, torch.mul, "mul", "mul_"),
    operator.truediv,
}
# Numbers along some dimensions become one.
REDUCING: set[Operation] = {torch.mean, torch.sum, torch.amax, "mean", "sum", "amax"}
# Numbers are moved only.
MOVING: set[Operation] = {
    *(nn.Flatten, torch.flatten, "flatten"),
    *(torch.cat, torch.concat, torch.permute, torch.transpose, torch.unsqueeze),
    *("permute", "transpose", "unsqueeze", "expand_as"),
}


@dataclass
class Reshaping:
    """An operation that only moves numbers, and whose arguments may count channels.

    Attributes
    ----------
    owner : str
        The module in whose forward it stands.
    owner_uses : int
        How often that is called.
    position : int
        Its number among the operations there that are no modules.
    kind : str
        "view", "split", "pad" or "slice": how its arguments are corrected.
    arguments : list
        Those after the tensor, as numbers.
    dim_before, dim_after : int or None
        The dimension along which the channels are.
    before : Tensor of int64, shape (n_channels,)
        Labels along it.
    after : list of Tensor of int64
        One for each tensor that comes out.
    n_dims : int
        Before.
    """

    owner: str
    owner_uses: int
    position: int
    kind: str
    arguments: list[Any]
    dim_before: int | None
    dim_after: int | None
    before: Tensor
    after: list[Tensor]
    n_dims: int


@dataclass
class Walk:
    """What was found: names of modules -> labels of the channels that they make and read.

    Attributes
    ----------
    labels : Labels
    filters, inputs : dict of str to Tensor of int64
        Of convolutions and linear layers.
    places : dict of str to int
        How often a layer's weights are used for one image.
    norms : dict of str to Tensor of int64
        Channels of the batch and instance normalisations.
    norm_after : dict of str to str
        Layer -> the normalisation that reads its output as it is.
    reshapings : list of Reshaping
    tensors : list of (str, Tensor of int64)
        The channels of each activation, and the name of what makes it.
    branches : list of Branch
    """

    labels: Labels = field(default_factory=Labels)
    filters: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)
    places: dict[str, int] = field(default_factory=dict)
    norms: dict[str, Tensor] = field(default_factory=dict)
    norm_after: dict[str, str] = field(default_factory=dict)
    reshapings: list[Reshaping] = field(default_factory=list)
    tensors: list[tuple[str, Tensor]] = field(default_factory=list)
    branches: list[Branch] = field(default_factory=list)


def walk(model: nn.Module, inputs: tuple[Tensor, ...]) -> Walk:
    """Follow the channels of a network from its inputs to its outputs.

    Parameters
    ----------
    model : nn.Module
        It stays as it is.
    inputs : tuple of Tensor
        Of which the shapes matter.

    Returns
    -------
    walk : Walk

    Raises
    ------
    ValueError
        If something cannot be followed: its name, and why.
    """
    for name, module in model.named_modules():
        if parametrize.is_parametrized(module):
            raise ValueError(
                f"{name or 'the model'} is masked or parametrized, and a smaller copy would be "
                "without: take that off first (masks.remove keeps the zeros)"
            )
    weight_layers(model)
    skeleton = _without_data(model)
    tracer = Tracer()
    graph = tracer.trace_or_refuse(skeleton.eval())
    if _spelled(graph) != _spelled(Tracer().trace_or_refuse(skeleton.train())):
        raise ValueError(
            "forward does something else in training than in evaluation, and only one of the two "
            "can be followed: put what differs into modules, such as nn.Dropout"
        )
    follower = _Follower(fx.GraphModule(skeleton.eval(), graph), tracer)
    with torch.no_grad():
        follower.run(*(tensor.to("meta") for tensor in inputs), enable_io_processing=False)
    follower.found.branches = residual_branches(
        nodes=graph.nodes,
        places={
            node: place for node, place in follower.places.items() if tracer.calls[place[0]] < 2
        },
        owners=tracer.owners,
        activations=follower.of_node,
        channels=follower.channels,
        layers=follower.found.filters,
    )
    return follower.found


class Tracer(fx.Tracer):
    """torch.fx's tracer, which also notes in which module's forward each operation stands."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = ""
        self.owners: dict[fx.Node, str] = {}
        self.calls: Counter[str] = Counter()

    def trace_or_refuse(self, model: nn.Module) -> fx.Graph:
        """Trace; what torch.fx cannot is a ValueError that names the module."""
        try:
            return self.trace(model)
        except Exception as error:  # a forward may raise anything when it gets no tensors
            raise ValueError(
                f"{self.owner or 'the model'}: torch.fx cannot trace it: {error}"
            ) from error

    def call_module(self, m: nn.Module, forward: Callable, args: tuple, kwargs: dict) -> Any:
        """Note whose forward is run meanwhile."""
        before, self.owner = self.owner, self.path_of_module(m)
        self.calls[self.owner] += 1
        result = super().call_module(m, forward, args, kwargs)
        self.owner = before
        return result

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """Note where it stands."""
        node = super().create_node(*args, **kwargs)
        self.owners[node] = self.owner
        return node


def operations(tracer: Tracer, graph: fx.Graph) -> dict[fx.Node, Place]:
    """Number the operations that are no modules, in the forward of each module.

    Parameters
    ----------
    tracer : Tracer
        That has traced `graph`.
    graph : fx.Graph

    Returns
    -------
    places : dict of fx.Node to (str, int)
        The module in whose forward the operation stands, and its number there.
    """
    n_before: Counter[str] = Counter()
    places = {}
    for node in graph.nodes:
        if node.op in ("call_function", "call_method"):
            owner = tracer.owners[node]
            places[node] = (owner, n_before[owner])
            n_before[owner] += 1
    return places


class _Follower(fx.Interpreter):
    """Runs a graph on tensors without data, and on labels beside them."""

    def __init__(self, module: fx.GraphModule, tracer: Tracer) -> None:
        super().__init__(module)
        self.extra_traceback = False
        self.found = Walk()
        self.labels = self.found.labels
        self.tracer = tracer
        self.owners = tracer.owners
        self.of_node: dict[fx.Node, Any] = {}  # labels of its result: a tensor or several
        self.channels: dict[fx.Node, Tensor] = {}  # of those with one tensor
        self.places = operations(tracer, module.graph)
        self.uses = Counter(node.target for node in module.graph.nodes if node.op == "call_module")

    def run_node(self, node: fx.Node) -> Any:
        if node.op == "get_attr":
            raise ValueError(f"{node.target} is used outside of a layer: make a layer of it")
        if node.op == "output":
            for labels in _tensors(fx.node.map_arg(node.args, self.of_node.get)):
                self.labels.keep(labels, "it is an output of the network")
            return None
        try:
            result = super().run_node(node)
        except Exception as error:  # whatever torch raises for this input
            self.refuse(node, f"it does not run on this example: {error}")
        if _tensors(result):
            self.of_node[node] = self.follow(node, result)
            for labels in _tensors(self.of_node[node]):
                self.channels[node] = self.straight(node, labels)[1]
                self.found.tensors.append((self.called(node), self.channels[node]))
        return result

    def follow(self, node: fx.Node, result: Any) -> Any:
        """The labels of a node's result, by the rule for its operation."""
        if node.op == "placeholder":
            return self.network_input(result)
        args, kwargs = fx.node.map_arg(
            (node.args, node.kwargs), lambda n: self.of_node.get(n, self.env.get(n))
        )
        operation = node.target
        if node.op == "call_module":
            module = self.fetch_attr(node.target)
            operation = type(module)
            if isinstance(module, (nn.Linear, _ConvNd, *NORMS)) and self.uses[node.target] > 1:
                self.refuse(node, f"it is used {self.uses[node.target]} times")
            if isinstance(module, nn.Linear | _ConvNd):
                return self.product(node, module, args[0], result)
            if isinstance(module, NORMS):
                return self.norm(node, args[0], result)
            if isinstance(module, nn.PReLU) and module.num_parameters > 1:
                self.refuse(node, "it has a slope for each channel")
        if operation not in RULES:
            self.refuse(node, "it is not known how channels go through it")
        return RULES[operation](self, node, args, kwargs, result)

    def network_input(self, result: Tensor) -> Tensor:
        dim = min(1, result.ndim - 1)
        made = self.labels.new(result.shape[1] if dim else 1, free=True)
        self.labels.keep(made, "it is an input of the network")
        return spread(made, dim, result.shape)

    def product(
        self, node: fx.Node, layer: nn.Linear | _ConvNd, x: Tensor, result: Tensor
    ) -> Tensor:
        linear = isinstance(layer, nn.Linear)
        if not linear and x.ndim != len(layer.kernel_size) + 2:
            self.refuse(node, f"its input has no batch: {tuple(x.shape)}")
        dim = -1 if linear else 1
        inputs = self.read(node, x, dim)
        filters = self.labels.new(result.shape[dim])
        groups = 1 if linear else layer.groups
        if groups == len(inputs) > 1:  # depthwise: a filter goes with its channel
            self.labels.unite(filters.view(groups, -1), inputs[:, None])
        elif groups > 1:  # groups stay equal: the k-th channels of all go together
            for channels in (filters.view(groups, -1), inputs.view(groups, -1)):
                self.labels.unite(channels, channels[:1])
        counted = x if isinstance(layer, _ConvTransposeNd) else result
        self.found.places[node.target] = math.prod(counted.shape[1:]) // counted.shape[dim]
        self.found.inputs[node.target] = inputs
        self.found.filters[node.target] = filters
        return spread(filters, dim, result.shape)

    def norm(self, node: fx.Node, x: Tensor, result: Tensor) -> Tensor:
        channels = self.read(node, x, 1)
        self.found.norms[node.target] = channels
        before = node.args[0]
        if before.op == "call_module" and before.target in self.found.filters:
            self.found.norm_after[before.target] = node.target
        return spread(channels, 1, result.shape)

    def elementwise(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        return self.only_tensor(node, args, kwargs)

    def channelwise(self, node: fx.Node, args: tuple, kwargs: dict, result: Any) -> Tensor:
        x = self.only_tensor(node, args, kwargs)
        if not isinstance(result, Tensor):
            self.refuse(node, "it returns more than one tensor")
        return spread(self.read(node, x, 1), 1, result.shape)

    def mixing(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        x = self.only_tensor(node, args, kwargs)
        self.labels.keep(x, f"{self.called(node)} mixes it with other channels")
        return x

    def combining(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        if len(args) != 2 or kwargs:
            self.refuse(node, "give it two arguments without a name")
        a, b = args
        if not isinstance(a, Tensor):
            a, b = b, a
        if not isinstance(b, Tensor):
            if any(isinstance(given, fx.Node) and given not in self.of_node for given in node.args):
                self.refuse(node, "its number is computed from a shape, which would change")
            return a
        a, b = (x[(None,) * (result.ndim - x.ndim)] for x in (a, b))
        for one, all_ in ((a, b), (b, a)):
            if any(one.shape[dim] < all_.shape[dim] for dim in self.labels.varying(all_)):
                # One channel serves all of the other's, whichever of these are left.
                if self.labels.varying(one) or one.shape[self.straight(node, all_)[0]] > 1:
                    self.refuse(node, "it multiplies each channel of one by each of the other")
                self.labels.keep(one, f"{self.called(node)} gives it to all channels")
                return all_.expand(result.shape)
        self.labels.unite(a, b)
        return a.expand(result.shape)

    def reducing(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        x = args[0]
        given = args[1] if len(args) > 1 else kwargs.get("dim", tuple(range(x.ndim)))
        dims = {dim % x.ndim for dim in (given if isinstance(given, list | tuple) else (given,))}
        dim, channels = self.straight(node, x)
        if dim in dims:
            self.refuse(node, "it makes one number of several channels")
        if dim is None:
            return channels.expand(result.shape)
        if result.ndim < x.ndim:
            dim -= sum(reduced < dim for reduced in dims)
        return spread(channels, dim, result.shape)

    def squeezing(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        given = args[1] if len(args) > 1 else kwargs.get("dim")
        if not isinstance(given, int) or args[0].shape[given] != 1:
            self.refuse(node, "say which dimension of size 1; another could become 1 by pruning")
        return args[0].squeeze(given)

    def moving(self, node: fx.Node, args: tuple, kwargs: dict, result: Any) -> Any:
        if node.op == "call_module":
            return self.fetch_attr(node.target)(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **kwargs)
        return node.target(*args, **kwargs)

    def shuffling(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        groups = self.fetch_attr(node.target).groups
        apart = args[0].unflatten(1, (groups, -1))
        self.straight(node, apart)
        return apart.transpose(1, 2).flatten(1, 2)

    def viewing(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        # Each as an argument of its own, or all in a list that is written out.
        listed = len(args) == 2 and isinstance(node.args[1], list | tuple)
        sizes = args[1] if listed else args[1:]
        if not all(isinstance(size, int) for size in sizes) or kwargs:
            self.refuse(node, "give its sizes one by one")
        expand = node.target == "expand"
        after = args[0].expand(result.shape) if expand else args[0].reshape(result.shape)
        return self.reshaped(node, "view", args[0], list(sizes), after)

    def splitting(self, node: fx.Node, args: tuple, kwargs: dict, result: Any) -> tuple:
        dim = args[2] if len(args) > 2 else kwargs.get("dim", 0)
        sizes = [part.shape[dim] for part in result]
        return self.reshaped(
            node, "split", args[0], [dim % args[0].ndim], args[0].split(sizes, dim)
        )

    def padding(self, node: fx.Node, args: tuple, kwargs: dict, result: Tensor) -> Tensor:
        mode = args[2] if len(args) > 2 else kwargs.get("mode", "constant")
        pads = list(args[1]) if len(args) > 1 else list(kwargs["pad"])
        if mode != "constant" or min(pads) < 0:
            self.refuse(node, "only constants can be padded, and nothing cut off")
        one = F.pad(args[0][:1], pads, value=-1)  # of the batch
        new = one < 0
        one[new] = self.labels.new(int(new.sum()), free=True)
        return self.reshaped(node, "pad", args[0], pads, one.expand(result.shape))

    def slicing(self, node: fx.Node, args: tuple, kwargs: dict, result: Any) -> Any:
        if isinstance(args[0], tuple):
            return args[0][args[1]]
        index = list(args[1]) if isinstance(args[1], tuple) else [args[1]]
        if not all(isinstance(part, int | slice) for part in index):
            self.refuse(node, "only numbers and slices can be followed as an index")
        dim, _ = self.straight(node, args[0])
        if dim is not None and dim < len(index):
            step = index[dim].step if isinstance(index[dim], slice) else None
            if step not in (None, 1) and any(isinstance(part, int) for part in index):
                self.refuse(
                    node, "take every n-th channel and a number of others one after another"
                )
        return self.reshaped(node, "slice", args[0], index, args[0][tuple(index)])

    def reshaped(self, node: fx.Node, kind: str, x: Tensor, arguments: list, after: Any) -> Any:
        """Write down what may have to be corrected."""
        outputs = [self.straight(node, labels) for labels in _tensors(after)]
        dim, before = self.straight(node, x)
        self.found.reshapings.append(
            Reshaping(
                owner=self.owners[node],
                owner_uses=self.tracer.calls[self.owners[node]],
                position=self.places[node][1],
                kind=kind,
                arguments=arguments,
                n_dims=x.ndim,
                dim_before=dim,
                dim_after=outputs[0][0],
                before=before,
                after=[channels for _, channels in outputs],
            )
        )
        return after

    def only_tensor(self, node: fx.Node, args: tuple, kwargs: dict) -> Tensor:
        if not isinstance(args[0], Tensor) or _tensors(args[1:]) or _tensors(kwargs):
            self.refuse(node, "it must get one tensor, as the first argument")
        return args[0]

    def read(self, node: fx.Node, x: Tensor, dim: int) -> Tensor:
        """The labels of the channels that an operation reads along one dimension."""
        channels = self.labels.channels(x, dim % x.ndim)
        if channels is None:
            self.refuse(
                node,
                f"it reads dimension {dim % x.ndim} of {tuple(x.shape)} as channels, and the "
                f"channels of the layers before are along dimension {self.labels.varying(x)}",
            )
        return channels

    def straight(self, node: fx.Node, x: Tensor) -> tuple[int | None, Tensor]:
        """The one dimension along which channels are, and their labels."""
        dim = self.labels.straighten(x)
        if dim == 0:
            self.refuse(node, "it moves channels into the batch")
        return dim, x[
            tuple(slice(None) if at == dim else slice(0, 1) for at in range(x.ndim))
        ].flatten()

    def called(self, node: fx.Node) -> str:
        """How messages call a node."""
        if node.op == "call_module":
            return f"{node.target} ({type(self.fetch_attr(node.target)).__name__})"
        if node.op == "placeholder":
            return node.target
        operation = node.target if isinstance(node.target, str) else node.target.__name__
        return f"{operation} in {self.owners[node] or 'the model'}"

    def refuse(self, node: fx.Node, why: str) -> NoReturn:
        raise ValueError(f"{self.called(node)} cannot be followed: {why}")


RULES: dict[Operation, Callable] = {
    **dict.fromkeys(ELEMENTWISE, _Follower.elementwise),
    **dict.fromkeys(CHANNELWISE, _Follower.channelwise),
    **dict.fromkeys(MIXING, _Follower.mixing),
    **dict.fromkeys(COMBINING, _Follower.combining),
    **dict.fromkeys(REDUCING, _Follower.reducing),
    **dict.fromkeys(MOVING, _Follower.moving),
    **dict.fromkeys(("view", "reshape", "expand", torch.reshape), _Follower.viewing),
    **dict.fromkeys(("chunk", "split", torch.chunk, torch.split), _Follower.splitting),
    **dict.fromkeys((torch.squeeze, "squeeze"), _Follower.squeezing),
    nn.ChannelShuffle: _Follower.shuffling,
    F.pad: _Follower.padding,
    operator.getitem: _Follower.slicing,
}


def _tensors(result: Any) -> list[Tensor]:
    """The tensors in a result or an argument, which may be nested."""
    if isinstance(result, Tensor):
        return [result]
    if isinstance(result, dict):
        result = result.values()
    elif not isinstance(result, list | tuple) or isinstance(result, torch.Size):
        return []
    return [tensor for part in result for tensor in _tensors(part)]


def _spelled(graph: fx.Graph) -> list[str]:
    return [f"{node.op} {node.target} {node.args} {node.kwargs}" for node in graph.nodes]


def _without_data(model: nn.Module) -> nn.Module:
    """A copy whose tensors are on the meta device; the tensors are not copied on the way."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    empty = {
        id(tensor): nn.Parameter(tensor.detach().to("meta"), requires_grad=False)
        if isinstance(tensor, nn.Parameter)
        else tensor.to("meta")
        for tensor in tensors.values()
    }
    return copy.deepcopy(model, empty)
