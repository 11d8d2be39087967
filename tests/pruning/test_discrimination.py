"""Channels are chosen by a gradient that knows the classes, and what is left minimises the loss."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from sparsecourse import costs, data, training
from sparsecourse.nets import NETS
from sparsecourse.nets.chain import chain
from sparsecourse.pruning import discrimination
from sparsecourse.pruning.discrimination import (
    classifier_after,
    loss_of_layer,
    prune_channels_by_gradient,
)
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.reconstruction import prune_channels
from sparsecourse.pruning.selection import Plan
from tests.pruning.test_surgery import randomised

SHAPE, CLASSES = (2, 8, 8), 3


def small_net(bias=False):
    """As in LeNet-5, no activation follows conv2: L is smooth and convex in its weights."""
    net = chain(
        conv1=nn.Conv2d(2, 6, 3, padding=1),
        norm1=nn.BatchNorm2d(6),
        relu1=nn.ReLU(inplace=True),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(6, 4, 3, bias=bias),
        flatten=nn.Flatten(),
        fc1=nn.Linear(16, 7),
        fc2=nn.Linear(7, CLASSES),
    )
    return randomised(net.double()).eval()


def sample(n=60, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n, *SHAPE, generator=generator).double()
    return X, torch.randint(CLASSES, (n,), generator=generator)


def by_hand(net, X, y, lam, weight, bias=None):
    """L of conv2 with these weights; the rest of the network as it is."""
    read = net.pool1(F.relu(net.norm1(net.conv1(X)))).detach()
    target = net.conv2(read).detach()
    made = F.conv2d(read, weight, bias)
    scores = net.fc2(net.fc1(made.flatten(1)))
    restored = (made - target).square().sum() / (2 * target.numel())
    picked = scores.log_softmax(1)[torch.arange(len(y)), y]
    return restored - lam * picked.mean()


def steepness(net, X, y, lam, weight, step=1e-5):
    """||dL/dW_j||_F^2 of each channel, by central differences."""
    gradient = torch.zeros_like(weight)
    for at in range(weight.numel()):
        apart = torch.zeros_like(weight)
        apart.view(-1)[at] = step
        ahead, behind = (by_hand(net, X, y, lam, weight + d) for d in (apart, -apart))
        gradient.view(-1)[at] = (ahead - behind) / (2 * step)
    return gradient.square().sum((0, 2, 3))


@torch.no_grad()
def with_zeros(small, report, net):
    """The weights of conv2 as the large network would have them."""
    weight = torch.zeros_like(net.conv2.weight)
    weight[:, list(report.fits["conv2"].kept)] = small.conv2.weight
    return weight


@pytest.mark.parametrize("lam", [0.0, 1.0, 30.0])
def test_each_round_adds_the_channel_of_the_steepest_gradient(lam):
    net, (X, y) = small_net(), sample()
    weight, chosen, orders = torch.zeros_like(net.conv2.weight), [], []
    with torch.no_grad():
        for n_kept in (1, 2, 3):
            steep = steepness(net, X, y, lam, weight)
            steep[chosen] = 0
            first, second = steep.sort(descending=True).values[:2]
            assert first > 1.001 * second  # else the test would say nothing
            chosen.append(int(steep.argmax()))
            with torch.enable_grad():
                small, report = prune_channels_by_gradient(
                    net, X, y, {"conv2": n_kept}, lam=lam, rounds=n_kept, epochs=0
                )
            assert report.fits["conv2"].kept == tuple(sorted(chosen))
            weight = with_zeros(small, report, net)
            orders.append(list(chosen))
    assert orders[-1][:1] == orders[0]


@pytest.mark.parametrize("lam", [0.0, 1.0, 30.0])
def test_weights_of_the_chosen_channels_minimise_the_joint_loss(lam, monkeypatch):
    monkeypatch.setattr(discrimination, "STEPS", 300)
    net, (X, y) = small_net(bias=True), sample()
    small, report = prune_channels_by_gradient(net, X, y, {"conv2": 4}, lam=lam, epochs=0)
    kept = list(report.fits["conv2"].kept)

    def gradient(weight, bias):
        full = torch.zeros_like(net.conv2.weight).index_copy(1, torch.tensor(kept), weight)
        loss = by_hand(net, X, y, lam, full, bias)
        return float(
            torch.cat([g.flatten() for g in torch.autograd.grad(loss, (weight, bias))]).norm()
        )

    before = net.conv2.weight[:, kept].detach().requires_grad_(), net.conv2.bias
    found = small.conv2.weight, small.conv2.bias
    assert gradient(*found) <= 0.01 * gradient(*before)


def test_without_classes_the_fit_is_that_of_least_squares():
    net, (X, y) = small_net(bias=True), sample(150)
    _, report = prune_channels_by_gradient(net, X, y, {"conv2": 3}, lam=0, epochs=0)
    with torch.no_grad():
        read = net.pool1(F.relu(net.norm1(net.conv1(X))))
        target = net.conv2(read).flatten(2).mT.reshape(-1, 4)
        patches = F.unfold(read[:, list(report.fits["conv2"].kept)], 3).mT.reshape(-1, 27)
        design = torch.cat([patches, torch.ones_like(patches[:, :1])], 1)
        left = target - design @ torch.linalg.lstsq(design, target).solution
        best = float(left.norm() / (target - target.mean(0)).norm())
    assert best <= report.fits["conv2"].error <= 1.01 * best


def noisy_or_useful(n=400):
    """Channel 0 is the class and faint, channel 1 is loud and says nothing; both are read."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (n,), generator=generator)
    signal = 0.5 * (2.0 * y - 1)
    noise = 3 * torch.randn(n, generator=generator)
    X = torch.stack([signal, noise], 1)[:, :, None, None].expand(-1, -1, 4, 4).contiguous()
    net = chain(
        conv1=nn.Conv2d(2, 2, 1, bias=False),
        conv2=nn.Conv2d(2, 2, 1, bias=False),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(2, 2),
    )
    with torch.no_grad():
        net.conv1.weight.copy_(torch.eye(2)[:, :, None, None])
        net.conv2.weight.copy_(torch.eye(2)[:, :, None, None])
        net.fc.weight.copy_(torch.tensor([[-4.0, 0.0], [4.0, 0.0]]))  # looks at the class alone
        net.fc.bias.zero_()
    return net.eval(), X, y


def wrong(net, X, y):
    with torch.no_grad():
        return float((net(X).argmax(1) != y).float().mean())


def test_reconstruction_keeps_the_loud_channel_and_discrimination_the_one_with_the_class():
    net, X, y = noisy_or_useful()
    assert wrong(net, X, y) == 0
    kept, errors = {}, {}
    for method in ("lasso", "alternating", "thinet"):
        small, report = prune_channels(net, X, {"conv2": 1}, method)
        kept[method], errors[method] = report.fits["conv2"].kept, wrong(small, X, y)
    for lam in (0.0, 10.0):
        small, report = prune_channels_by_gradient(net, X, y, {"conv2": 1}, lam=lam, epochs=0)
        kept[lam], errors[lam] = report.fits["conv2"].kept, wrong(small, X, y)
    assert kept == {"lasso": (1,), "alternating": (1,), "thinet": (1,), 0.0: (1,), 10.0: (0,)}
    assert errors.pop(10.0) == 0
    assert min(errors.values()) > 0.3


def test_classifiers_average_what_is_above_zero_after_normalisation():
    torch.manual_seed(0)
    classifier = randomised(classifier_after(nn.Conv2d(2, 5, 3), 3)).eval()
    O = torch.randn(4, 5, 6, 7)  # noqa: E741, as in the paper
    norm, last = classifier.norm, classifier.fc
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    normal = (O - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[
        :, None, None
    ]
    averaged = normal.clamp(min=0).sum((2, 3)) / 42
    expected = averaged @ last.weight.T + last.bias
    assert torch.allclose(classifier(O), expected, atol=1e-5)
    linear = randomised(classifier_after(nn.Linear(9, 5), 3)).eval()
    linear.load_state_dict(classifier.state_dict())
    assert torch.allclose(linear(O[:, :, 0, 0]), last(normal[:, :, 0, 0].clamp(min=0)), atol=1e-5)
    assert classifier_after(nn.Conv2d(2, 5, 3), 3).norm.training


def test_each_layer_has_the_next_loss_from_there_on():
    graph = trace(NETS["lenet5"](), torch.empty(1, 1, 28, 28))
    assert loss_of_layer(graph, ["fc1", "conv1"]) == {
        "conv1": "conv1",
        "conv2": "fc1",
        "fc1": "fc1",
        "fc2": None,
    }
    assert set(loss_of_layer(graph, ()).values()) == {None}


@pytest.fixture
def fitted(monkeypatch):
    """What was fine-tuned: the samples' loss, and the network with its classifiers afterwards."""
    seen = {}

    def watching(model, train, **options):
        seen["before"] = copy.deepcopy(model)
        history = training.fit(model, train, **options)
        seen.update(options, after=copy.deepcopy(model).eval(), epochs=len(history))
        return history

    monkeypatch.setattr(discrimination, "fit", watching)
    return seen


def test_the_network_is_fine_tuned_with_all_losses_together(fitted):
    net, (X, y) = small_net(), sample()
    prune_channels_by_gradient(net, X, y, {"fc2": 3}, ["conv2", "fc1"], epochs=2)
    joint = fitted["before"].train()
    scores = joint(X)
    assert [tuple(each.shape) for each in scores] == [(len(X), CLASSES)] * 3
    net.train()
    assert torch.equal(scores[0], net(X))
    made = {"conv2": net[:5](X), "fc1": net[:7](X)}
    for name, classifier, each in zip(made, joint.classifiers, scores[1:], strict=True):
        assert torch.allclose(each, classifier(made[name])), name
    expected = sum(F.cross_entropy(each, y) for each in scores)
    assert torch.allclose(fitted["loss"](scores, y), expected)
    assert fitted["epochs"] == 2
    for before, after in zip(
        fitted["before"].parameters(), fitted["after"].parameters(), strict=True
    ):
        assert not torch.equal(before, after)


@pytest.mark.parametrize("lam", [1.0, 30.0])
def test_layers_in_front_of_a_classifier_are_fitted_to_its_loss(fitted, lam):
    net, (X, y) = small_net(bias=True), sample()
    small, _ = prune_channels_by_gradient(net, X, y, {"conv2": 4}, ["conv2"], lam=lam)
    tuned, (classifier,) = fitted["after"].net, fitted["after"].classifiers

    def loss(net, scores_of):
        with torch.no_grad():
            made, target = net[:5](X), tuned[:5](X)
            return float(F.mse_loss(made, target) / 2 + lam * F.cross_entropy(scores_of(made), y))

    # Each of the two is better by the loss that it was fitted to.
    other, _ = prune_channels_by_gradient(tuned, X, y, {"conv2": 4}, lam=lam, epochs=0)
    assert loss(small, classifier) < 0.99 * loss(other, classifier)
    assert loss(other, tuned[5:]) < 0.99 * loss(small, tuned[5:])


def test_lenet_comes_out_smaller_and_better_than_chance():
    digits = data.load("digits", shape=(1, 28, 28))
    torch.manual_seed(0)
    net = NETS["lenet5"]()
    X, y = (torch.from_numpy(part[:600]) for part in (digits.train.X, digits.train.y))
    training.fit(net, (digits.train.X, digits.train.y), epochs=2, progress=False, device="cpu")
    keep = {"conv2": 0.5, "fc1": 10, "fc2": 40}
    small, report = prune_channels_by_gradient(net.eval(), X, y, keep, ["conv2"], rounds=3)
    shapes = {name: tuple(small.get_submodule(name).weight.shape) for name in ("conv1", *keep)}
    assert shapes == {
        "conv1": (10, 1, 5, 5),
        "conv2": (10, 10, 5, 5),
        "fc1": (40, 160),
        "fc2": (10, 40),
    }
    assert costs.count(small, (1, 28, 28)).totals.weights == 250 + 2500 + 6400 + 400
    assert {name: len(found.kept) for name, found in report.fits.items()} == {
        "conv2": 10,
        "fc1": 10,
        "fc2": 40,
    }
    assert report.plan.kept["conv2"] == report.fits["fc1"].kept
    assert report.fits["fc1"].producer == "conv2"
    validation = torch.from_numpy(digits.validation.X), torch.from_numpy(digits.validation.y)
    assert wrong(small, *validation) < 0.3


def test_the_original_stays_and_the_smaller_one_has_its_modes():
    net, (X, y) = small_net(bias=True).train(), sample()
    net.norm1.eval()
    net.conv1.weight.requires_grad_(False)
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    small, _ = prune_channels_by_gradient(net, X, y, {"conv2": 3}, ["fc1"])
    assert torch.equal(torch.get_rng_state(), state)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    for name, module in net.named_modules():
        other = small.get_submodule(name)
        assert type(other) is type(module)
        assert other.training == module.training
        assert not module._forward_hooks
        assert not other._forward_hooks
    frozen = {name for name, parameter in small.named_parameters() if not parameter.requires_grad}
    assert frozen == {"conv1.weight"}


def test_with_nothing_to_prune_and_no_epochs_nothing_changes():
    net, (X, y) = small_net(), sample()
    small, report = prune_channels_by_gradient(net, X, y, 1.0, epochs=0)
    assert report.plan == Plan({}, {})
    with torch.no_grad():
        assert torch.equal(small(X), net(X))


def test_batches_and_the_seed_of_an_untrained_run_change_nothing(monkeypatch):
    net, (X, y) = small_net(), sample()
    whole, report = prune_channels_by_gradient(net, X, y, {"conv2": 3}, epochs=0)
    monkeypatch.setattr(discrimination, "BATCH", 7)
    parts, again = prune_channels_by_gradient(net, X, y, {"conv2": 3}, epochs=0, seed=5)
    assert again.fits["conv2"].kept == report.fits["conv2"].kept
    assert torch.allclose(parts.conv2.weight, whole.conv2.weight, atol=1e-6)
    tuned = [
        prune_channels_by_gradient(net, X, y, {"conv2": 3}, ["conv2"], seed=seed)[0]
        for seed in (0, 0, 1)
    ]
    assert torch.equal(tuned[0].conv2.weight, tuned[1].conv2.weight)
    assert not torch.equal(tuned[0].conv1.weight, tuned[2].conv1.weight)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"keep": {"conv1": 1}}, "conv1, whose channels stay"),
        ({"keep": {"conv2": 9}}, "1 to 6 channels, got 9"),
        ({"keep": 1.5}, "keep must be"),
        ({"losses_after": ["conv9"]}, "losses_after"),
        ({"lam": -1.0}, "lam must be"),
        ({"rounds": 0}, "rounds must be >= 1"),
        ({"epochs": 0, "losses_after": ["conv2"]}, "epochs must be >= 1"),
        ({"epochs": -1}, "epochs must be"),
        ({"seed": -1}, "seed must be"),
        ({"labels": torch.full((60,), 3)}, "classes 0 to 2"),
        ({"labels": torch.zeros(59).long()}, "images and labels"),
        ({"images": torch.full((60, *SHAPE), torch.nan)}, "finite"),
        ({"keep": {"fc1": 2}, "images": torch.zeros(60, *SHAPE), "epochs": 0}, "fc1: its outputs"),
    ],
)
def test_bad_input_is_refused(changed, message):
    X, y = sample()
    given = {"images": X, "labels": y, "keep": {"conv2": 2}, "epochs": 1} | changed
    net = small_net(bias=True)
    with pytest.raises(ValueError, match=message):
        prune_channels_by_gradient(net, **given)


def test_a_classifier_stands_after_convolutions_and_linear_layers_only():
    with pytest.raises(ValueError, match=r"nn.Conv2d or nn.Linear, got BatchNorm2d"):
        classifier_after(nn.BatchNorm2d(3), 4)
