"""Discrimination-aware channel pruning: keep the channels that help to tell the classes apart.

Two channels may be equally good at restoring a layer's outputs, and one of them says nothing about
the class. So the loss of a layer l has two terms, L = L_M + lam * L_S:

- L_M = ||O - O_b||_F^2 / (2 Q), the Q outputs of the layer against those of the network before,
- L_S, the cross-entropy of a classifier behind the layer. In a deep network the final loss is far
  from the first layers. So classifiers are attached to chosen layers p in between, which see
  F = average pooling(ReLU(batch normalisation(O^p))) and are linear in it. L_S of layer l is that
  of the next such layer from l on, or the network's own loss.

What is simpler here than in the paper: the network is fine-tuned once with all losses together,
instead of once before each of them; the weights of chosen channels are found by L-BFGS on all
images, instead of stochastic gradient descent; the number of channels is given, and there is no
condition that stops earlier.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from sparsecourse.functional.channel_selection import select_gradient
from sparsecourse.nets.chain import chain
from sparsecourse.pruning.graph import Graph, trace
from sparsecourse.pruning.masks import per_layer
from sparsecourse.pruning.reconstruction import (
    Fit,
    Report,
    channels_to_keep,
    columns_of_channels,
    without_groups,
)
from sparsecourse.pruning.selection import plan_without
from sparsecourse.reference.validation import count, strength
from sparsecourse.training.loop import fit
from sparsecourse.training.samples import samples

BATCH = 256  # images that run through the network at once
STEPS = 20  # of L-BFGS, at most, each time that channels were added


def prune_channels_by_gradient(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    keep: float | Mapping[str, float],
    losses_after: Collection[str] = (),
    *,
    lam: float = 1.0,
    rounds: int = 10,
    epochs: int = 1,
    seed: int = 0,
) -> tuple[nn.Module, Report]:
    """Prune the channels that layers read, by the gradient of a loss that knows the classes.

    First a copy of the network is fine-tuned, with its own loss and those of the classifiers in
    between. Then for each layer, in the order in which they run, all weights are set to zero, and
    channels are added: those with the largest ||dL/dW_j||_F^2. After each addition L is minimised
    over the weights of the channels there are. Where the layer has a bias that is fitted too, first
    of all alone. All else stays as it is, in evaluation mode.

    Parameters
    ----------
    model : nn.Module, images (n, ...) -> scores (n, classes)
        Trained, on any device. It stays as it is.
    images : Tensor, shape (n_images, ...)
        Of the training set.
    labels : Tensor of int, shape (n_images,)
        Their classes.
    keep : float, 0 to 1, or mapping of layer name to float or int
        The channels that stay, as for `reconstruction.prune_channels`.
    losses_after : collection of str
        Convolutions and linear layers that get a classifier of their own. Default: none, so that
        the network's own loss is that of all layers.
    lam : float, >= 0
        Weight of L_S; the authors' settings have 1. For 0 the classes do not matter.
    rounds : int, >= 1
        In how many rounds the channels of a layer are added, the same number in each, or one less.
        The paper adds one at a time: let there be as many rounds as channels.
    epochs : int, >= 0
        Of fine-tuning; 0 only without `losses_after`, whose classifiers must be trained.
    seed : int, >= 0
        Of the classifiers, and of the order of images in the fine-tuning.

    Returns
    -------
    small : nn.Module
        In the mode of `model`.
    report : Report
        Errors are those of all places, against the fine-tuned network; none are held out. Where
        `lam` is large they may be above 1: outputs are not all that counts.

    Raises
    ------
    ValueError
        If `keep` or `losses_after` names what is no such layer, if a number is out of range, on bad
        images or labels, if the outputs of a layer do not vary, or if the network cannot be traced.

    References
    ----------
    Zhuang, Tan, Zhuang, Liu, Guo, Wu, Huang, Zhu, Discrimination-aware channel pruning for deep
    neural networks, NeurIPS 2018, section 3, algorithms 1 and 2.
    """
    lam = strength(lam)
    if count("rounds", rounds) == 0:
        raise ValueError("rounds must be >= 1, got 0")
    if count("epochs", epochs) == 0 and losses_after:
        raise ValueError("epochs must be >= 1 to train the classifiers of losses_after, got 0")
    current = copy.deepcopy(model).eval()
    X, y = samples("images and labels", (images, labels), current)
    graph = trace(current, X[:1])
    numbers, losses = channels_to_keep(graph, keep), loss_of_layer(graph, losses_after)

    classifiers = _classifiers(graph, losses_after, X, count("seed", seed))
    if epochs:
        _fine_tune(current, classifiers, X, y, epochs, seed)
    tuned = copy.deepcopy(current)
    for module in (current, *classifiers.values()):
        module.eval().requires_grad_(False)

    removed = torch.zeros(graph.n_groups, dtype=torch.bool)
    fits = {}
    for name, (producer, n_kept) in numbers.items():
        columns = columns_of_channels(graph, name, producer).to(X.device)
        target, at = _outputs(tuned, name, X), losses[name]
        loss = _JointLoss(current, X, y, name, target, at, classifiers.get(at), lam)
        kept = _choose(graph.layers[name].module, columns, n_kept, rounds, loss).cpu()
        gone = torch.ones(len(columns), dtype=torch.bool)
        gone[kept] = False
        removed[graph.layers[producer].groups[gone]] = True
        error = _error(name, graph.layers[name].module, target, _outputs(current, name, X))
        fits[name] = Fit(producer, len(columns), tuple(kept.tolist()), error, None)

    for parameter, given in zip(current.parameters(), model.parameters(), strict=True):
        parameter.requires_grad_(given.requires_grad)
    return without_groups(graph, removed, model), Report(plan_without(graph, removed), fits)


def classifier_after(layer: nn.Module, n_classes: int) -> nn.Sequential:
    """Make the untrained classifier that sees what a layer puts out.

    Parameters
    ----------
    layer : nn.Conv2d or nn.Linear
    n_classes : int

    Returns
    -------
    classifier : nn.Sequential, outputs of the layer -> scores (n, n_classes)
        Batch normalisation, ReLU, the mean over all places, and a linear layer. A linear layer has
        one place.

    Raises
    ------
    ValueError
        If it is another kind of layer.

    References
    ----------
    Zhuang et al., NeurIPS 2018, section 3.
    """
    if isinstance(layer, nn.Conv2d):
        n = layer.out_channels
        pooled = {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        return chain(norm=nn.BatchNorm2d(n), relu=nn.ReLU(), **pooled, fc=nn.Linear(n, n_classes))
    if isinstance(layer, nn.Linear):
        n = layer.out_features
        return chain(norm=nn.BatchNorm1d(n), relu=nn.ReLU(), fc=nn.Linear(n, n_classes))
    raise ValueError(f"a classifier stands after an nn.Conv2d or nn.Linear, got {layer}")


def loss_of_layer(graph: Graph, losses_after: Collection[str]) -> dict[str, str | None]:
    """Find the loss L_S by which the channels of each layer are chosen.

    Parameters
    ----------
    graph : Graph
    losses_after : collection of str
        Layers with a classifier.

    Returns
    -------
    losses : dict of str to str or None
        For each layer the first one with a classifier from there on, in the order in which they
        run; None for the loss of the network.

    Raises
    ------
    ValueError
        If a name is no layer's.

    References
    ----------
    Zhuang et al., NeurIPS 2018, algorithm 1.
    """
    per_layer("losses_after", dict.fromkeys(losses_after), graph.layers)
    losses, following = {}, None
    for name in reversed(graph.layers):
        following = name if name in losses_after else following
        losses[name] = following
    return losses


class _WithClassifiers(nn.Module):
    """A network that gives the scores of all classifiers while it is trained, its own first."""

    def __init__(self, net: nn.Module, classifiers: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.net, self.after = net, list(classifiers)
        self.classifiers = nn.ModuleList(classifiers.values())

    def forward(self, X: Tensor) -> Tensor | list[Tensor]:
        if not self.training:
            return self.net(X)
        with _watched(self.net, self.after) as made:
            scores = self.net(X)
        pairs = zip(self.after, self.classifiers, strict=True)
        return [scores, *(classifier(made[name]) for name, classifier in pairs)]


@dataclass(frozen=True)
class _JointLoss:
    """L_M + lam L_S of one layer, on all images."""

    net: nn.Module
    X: Tensor
    y: Tensor
    name: str
    target: Tensor
    at: str | None
    classifier: nn.Module | None
    lam: float

    def with_gradient(self, parameters: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Its value, and the gradient by some parameters of the network."""
        value = self.X.new_zeros(())
        gradient = [torch.zeros_like(parameter) for parameter in parameters]
        names = [self.name] if self.at is None else [self.name, self.at]
        for batch in torch.arange(len(self.X), device=self.X.device).split(BATCH):
            with torch.enable_grad(), _watched(self.net, names) as made:
                scores = self.net(self.X[batch])
                if self.classifier is not None:
                    scores = self.classifier(made[self.at])
                restored = mse_loss(made[self.name], self.target[batch]) / 2
                loss = restored + self.lam * cross_entropy(scores, self.y[batch])
                loss = loss * len(batch) / len(self.X)
                parts = torch.autograd.grad(loss, parameters)
            value += loss.detach()
            for total, part in zip(gradient, parts, strict=True):
                total += part
        return value, gradient


def _classifiers(
    graph: Graph, losses_after: Collection[str], X: Tensor, seed: int
) -> dict[str, nn.Module]:
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        n_classes = graph.model(X[:1]).shape[1]
        return {
            name: classifier_after(graph.layers[name].module, n_classes).to(X)
            for name in losses_after
        }


def _fine_tune(
    net: nn.Module,
    classifiers: Mapping[str, nn.Module],
    X: Tensor,
    y: Tensor,
    epochs: int,
    seed: int,
) -> None:
    """Train the network and the classifiers with the sum of all losses."""
    fit(
        _WithClassifiers(net, classifiers),
        (X, y),
        epochs=epochs,
        loss=lambda all_scores, y: sum(cross_entropy(scores, y) for scores in all_scores),
        seed=seed,
        device=X.device,
        progress=False,
    )


def _choose(
    layer: nn.Module, columns: Tensor, n_kept: int, rounds: int, loss: _JointLoss
) -> Tensor:
    """Add channels to none, round by round; leave the layer with the weights of those chosen."""
    layer.requires_grad_(True)
    with torch.no_grad():
        layer.weight.zero_()
    chosen = torch.empty(0, dtype=torch.int64, device=columns.device)
    _minimise(layer, columns[chosen], loss)
    for new in torch.arange(n_kept).tensor_split(min(rounds, n_kept)):
        _, (gradient,) = loss.with_gradient([layer.weight])
        # A channel's columns as a kernel.
        gradient = gradient.flatten(1)[:, columns].unsqueeze(-1)
        chosen = select_gradient(gradient, chosen, len(new))
        _minimise(layer, columns[chosen], loss)
    layer.requires_grad_(False)
    return chosen


def _minimise(layer: nn.Module, columns: Tensor, loss: _JointLoss) -> None:
    """Minimise over the bias and some columns of the weights, from what they are."""
    is_free = torch.zeros_like(layer.weight, dtype=torch.bool).flatten(1)
    is_free[:, columns.flatten()] = True
    is_free = is_free.reshape(layer.weight.shape)
    parameters = list(layer.parameters())
    optimizer = torch.optim.LBFGS(parameters, max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        value, gradient = loss.with_gradient(parameters)
        for parameter, part in zip(parameters, gradient, strict=True):
            # Where the gradient is zero in each step, L-BFGS goes nowhere.
            parameter.grad = part * is_free if parameter is layer.weight else part
        return value

    optimizer.step(closure)
    for parameter in parameters:
        parameter.grad = None


@contextmanager
def _watched(net: nn.Module, names: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """What some layers put out, once the network has run."""
    made: dict[str, Tensor] = {}

    def note(name: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        made[name] = output.clone()  # an activation behind it may work in place

    handles = [net.get_submodule(name).register_forward_hook(partial(note, name)) for name in names]
    try:
        yield made
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def _outputs(net: nn.Module, name: str, X: Tensor) -> Tensor:
    parts = []
    for batch in X.split(BATCH):
        with _watched(net, [name]) as made:
            net(batch)
        parts.append(made[name])
    return torch.cat(parts)


def _error(name: str, layer: nn.Module, target: Tensor, made: Tensor) -> float:
    """||Y - Y'||_F / ||Y||_F, less means where there is a bias, as in `Fit`."""
    places = [dim for dim in range(target.ndim) if dim != 1]
    centre = 0 if layer.bias is None else target.mean(places, keepdim=True)
    size = (target - centre).norm()
    if size <= 10 * torch.finfo(target.dtype).eps * target.norm():
        raise ValueError(f"{name}: its outputs do not vary on these images: no error is small")
    return float((target - made).norm() / size)
