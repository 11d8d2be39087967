"""Channels are chosen layer by layer, and what is left is fitted to what the network put out."""

import copy
from functools import cache, partial

import pytest
import torch
from torch import nn

from sparsecourse import costs, data, training
from sparsecourse.functional.convolution import im2col
from sparsecourse.nets import NETS
from sparsecourse.nets.chain import chain
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.reconstruction import METHODS, chains, prune_channels
from sparsecourse.pruning.selection import Plan
from sparsecourse.pruning.surgery import compact
from tests.pruning import odd_nets
from tests.pruning.test_surgery import randomised

ALL_PLACES = 10_000


def images(n, *shape, seed=5):
    return torch.randn((n, *shape), generator=torch.Generator().manual_seed(seed))


def small_net(dtype=torch.float64, bias=True, **options):
    """Convolution, normalisation, pooling; one with all options of a kernel; flatten; linear."""
    net = chain(
        conv1=nn.Conv2d(2, 6, 3, padding=1, bias=bias),
        norm1=nn.BatchNorm2d(6),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(2),
        conv2=nn.Conv2d(
            6, 8, (3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), bias=bias, **options
        ),
        relu2=nn.ReLU(),
        flatten=nn.Flatten(),
        fc1=nn.Linear(8 * 7 * 4, 9, bias=bias),
        relu3=nn.ReLU(),
        fc2=nn.Linear(9, 5, bias=bias),
    )
    return randomised(net.to(dtype)).eval()


SHAPE = (2, 14, 14)


@torch.no_grad()
def make_twins(net, producer, reader, scale):
    """Filter 3 becomes filter 1, read with smaller weights, not those of its twin: it goes."""
    for module in [net.get_submodule(producer), *([net.norm1] if producer == "conv1" else [])]:
        for tensor in module.state_dict().values():
            if tensor.ndim:
                tensor[3] = tensor[1]
    weight = net.get_submodule(reader).weight
    weight.unflatten(1, (len(net.get_submodule(producer).weight), -1))[:, 3] *= scale


@cache
def trained_lenet():
    digits = data.load("digits", shape=(1, 28, 28))
    torch.manual_seed(0)
    net = NETS["lenet5"]()
    train = digits.train.X[:3000], digits.train.y[:3000]
    training.fit(net, train, epochs=1, progress=False, device="cpu")
    return net.eval(), torch.from_numpy(digits.train.X[:100])


@torch.no_grad()
def read_and_made(net, name, X):
    """What a layer reads, as the rows of a matrix, and what it puts out for them."""
    met = {}
    module = net.get_submodule(name)
    handle = module.register_forward_hook(lambda _, x, y: met.update(x=x[0], y=y))
    net(X)
    handle.remove()
    x, y = met["x"], met["y"]
    if isinstance(module, nn.Conv2d):
        settings = (module.kernel_size, module.stride, module.padding, module.dilation)
        x, y = im2col(x, *settings).mT, y.flatten(2).mT
    return x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])


def left_of(report, name, made):
    """The outputs of the filters that the smaller network still has."""
    return made[:, list(report.plan.kept[name])] if name in report.plan.kept else made


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("lenet5", (1, 28, 28)), ("vgg16_cifar", (3, 32, 32)), ("resnet20", (3, 32, 32))],
)
def test_with_nothing_to_prune_nothing_changes(kind, shape):
    net = randomised(NETS[kind]()).eval()
    X = images(3, *shape)
    small, report = prune_channels(net, X, 1.0)
    assert report.fits == {}
    assert report.plan == Plan({}, {})
    with torch.no_grad():
        expected = net(X)
        assert (small(X) - expected).abs().max() <= 1e-5 * expected.abs().max()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-8)])
@pytest.mark.parametrize(
    ("reader", "method"),
    [("fc1", "l1"), ("fc2", "l1"), *(("conv2", m) for m in METHODS if m != "random")],
)
def test_a_twin_can_go_without_loss_if_the_other_is_fitted_again(reader, method, dtype, tolerance):
    net = small_net(dtype)
    producer = {"conv2": "conv1", "fc1": "conv2", "fc2": "fc1"}[reader]
    make_twins(net, producer, reader, 0.02 if reader == "conv2" else 0.3)
    channels = len(net.get_submodule(producer).weight)
    X = images(600, *SHAPE).to(dtype)
    small, report = prune_channels(net, X, {reader: channels - 1}, method)
    assert 3 not in report.fits[reader].kept
    assert report.fits[reader].error <= tolerance
    new = images(20, *SHAPE, seed=6).to(dtype)
    plain = compact(trace(net, X[:1]), report.plan)
    with torch.no_grad():
        expected = net(new)
        assert (small(new) - expected).abs().max() <= tolerance * expected.abs().max()
        assert (plain(new) - expected).abs().max() > 1e-3 * expected.abs().max()


def test_a_dead_channel_goes_first_where_inputs_are_looked_at_and_stays_where_only_weights_are():
    net, X = small_net(), images(100, *SHAPE).double()
    with torch.no_grad():
        net.norm1.weight[4], net.norm1.bias[4] = 0, -1
        net.conv2.weight[:, 4] *= 10
    errors = {}
    for method in ("lasso", "alternating", "thinet", "l1"):
        _, report = prune_channels(net, X, {"conv2": 5}, method, n_places=5)
        found = report.fits["conv2"]
        assert (4 in found.kept) == (method == "l1")
        errors[method] = found.error
    assert max(errors["lasso"], errors["alternating"], errors["thinet"]) <= 1e-8
    assert errors["l1"] > 0.01


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_every_fit_is_the_least_squares_optimum_on_inputs_from_the_pruned_network(method, bias):
    net, X = small_net(bias=bias), images(250, *SHAPE).double()
    keep = {"conv2": 4, "fc1": 5, "fc2": 6}
    small, report = prune_channels(net, X, keep, method, n_places=ALL_PLACES)
    assert {name: len(found.kept) for name, found in report.fits.items()} == keep
    for name, found in report.fits.items():
        read, made = read_and_made(small, name, X)
        target = left_of(report, name, read_and_made(net, name, X)[1])
        residual = target - made
        assert residual.norm() > 1e-3 * target.norm()  # no fit is exact here
        if bias:
            read = torch.cat([read, torch.ones_like(read[:, :1])], 1)
        size = read.norm(dim=0)[:, None] * residual.norm(dim=0)
        assert (read.mT @ residual).abs().div(size.clamp(min=1e-300)).max() <= 1e-8
        if name == "fc2":  # all its filters are left: the error of the whole layer
            centre = target.mean(0) if bias else 0
            expected = residual.norm() / (target - centre).norm()
            assert found.error == pytest.approx(float(expected), rel=1e-8)


def test_fitting_to_the_pruned_predecessor_makes_up_for_its_errors():
    net, X = small_net(), images(250, *SHAPE).double()
    keep = {"conv2": 2, "fc2": 6}
    small, report = prune_channels(net, X, keep, "l1", n_places=ALL_PLACES)
    # The same channels, but fc2 fitted to what it reads in the network as it was.
    alone, of_one = prune_channels(net, X, {"fc2": 6}, "l1", n_places=ALL_PLACES)
    assert of_one.fits["fc2"].kept == report.fits["fc2"].kept
    other = copy.deepcopy(small)
    other.fc2.load_state_dict(alone.fc2.state_dict())
    with torch.no_grad():
        target = net(X)
        assert (small(X) - target).norm() < 0.97 * (other(X) - target).norm()


def test_held_out_errors_are_those_of_other_images():
    net, X = small_net(), images(250, *SHAPE).double()
    new = images(40, *SHAPE, seed=8).double()
    small, report = prune_channels(net, X, {"fc2": 5}, "l1", ALL_PLACES, held_out=new)
    with torch.no_grad():
        centre = net(X).mean(0)
        expected = (net(new) - small(new)).norm() / (net(new) - centre).norm()
    assert report.fits["fc2"].held_out_error == pytest.approx(float(expected), rel=1e-8)
    assert report.fits["fc2"].held_out_error != report.fits["fc2"].error
    _, without = prune_channels(net, X, {"fc2": 5}, "l1", ALL_PLACES)
    assert without.fits["fc2"].held_out_error is None


@pytest.mark.parametrize(("n_places", "n_images"), [(1, 300), (5, 120)])
def test_places_are_sampled_and_inputs_stay_with_their_outputs(n_places, n_images):
    net, X = small_net(), images(n_images, *SHAPE).double()
    # Exact only if each patch is with its own output.
    make_twins(net, "conv1", "conv2", 0.02)
    _, report = prune_channels(net, X, {"conv2": 5}, "l1", n_places, held_out=X[:30])
    assert report.fits["conv2"].error <= 1e-8
    assert report.fits["conv2"].held_out_error <= 1e-8
    # A filter has 30 weights and a bias: with fewer samples than that there is no one best fit.
    message = r"conv2: 30 samples are too few to fit 31 weights of a filter"
    with pytest.raises(ValueError, match=message):
        prune_channels(net, X[: 30 // n_places], {"conv2": 5}, "l1", n_places)


def test_the_seed_decides_about_places_and_random_channels_and_nothing_else_is_drawn():
    net, X = small_net(), images(100, *SHAPE).double()
    state = torch.get_rng_state()
    runs = {
        (method, seed): prune_channels(net, X, {"conv2": 3}, method, 3, seed)
        for method in ("l1", "random")
        for seed in (0, 1, 2)
    }
    assert torch.equal(torch.get_rng_state(), state)
    again, _ = prune_channels(net, X, {"conv2": 3}, "random", 3, 0)
    assert torch.equal(again.conv2.weight, runs["random", 0][0].conv2.weight)
    assert (
        len({report.fits["conv2"].kept for (m, _), (_, report) in runs.items() if m == "random"})
        > 1
    )
    by_l1 = [run for (m, _), run in runs.items() if m == "l1"]
    assert len({report.fits["conv2"].kept for _, report in by_l1}) == 1
    assert len({float(small.conv2.weight.detach().sum()) for small, _ in by_l1}) == 3


def test_the_original_stays_and_shares_nothing_with_the_smaller_one():
    net, X = small_net().train(), images(120, *SHAPE).double()
    net.norm1.eval()
    net.conv1.weight.requires_grad_(False)
    before = copy.deepcopy(net.state_dict())
    small, _ = prune_channels(net, X, {"conv2": 0.5}, n_places=5)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name])
    for name, module in net.named_modules():
        other = small.get_submodule(name)
        assert type(other) is type(module)
        assert other.training == module.training
        assert not module._forward_hooks
        assert not other._forward_hooks
    storages = {tensor.data_ptr() for tensor in net.state_dict().values()}
    assert not storages & {tensor.data_ptr() for tensor in small.state_dict().values()}
    assert not small.conv1.weight.requires_grad
    assert small.conv2.weight.requires_grad
    small(X[:4]).sum().backward()
    assert small.conv2.weight.grad is not None


@pytest.mark.parametrize(
    ("kind", "shape", "keep"),
    [
        ("lenet5", (1, 28, 28), {"conv2": 0.5, "fc1": 0.1, "fc2": 0.1}),
        ("vgg16_cifar", (3, 32, 32), {"conv1_2": 0.25, "fc1": 16}),
        ("resnet20", (3, 32, 32), 0.5),
    ],
)
def test_the_smaller_network_costs_what_the_plan_says(kind, shape, keep):
    net = randomised(NETS[kind]())
    small, report = prune_channels(net, images(100, *shape), keep, "l1", n_places=5)
    graph = trace(net, images(1, *shape))
    totals = costs.count(small, shape).totals
    assert totals.parameters == graph.parameters(report.plan)
    assert totals.multiply_adds == graph.multiply_adds(report.plan)
    for name, found in report.fits.items():
        share = keep[name] if isinstance(keep, dict) else keep
        n_kept = share if isinstance(share, int) else round(share * found.channels)
        assert len(found.kept) == n_kept
        assert small.get_submodule(found.producer).weight.shape[0] == n_kept
        assert report.plan.kept[found.producer] == found.kept


def test_only_channels_inside_of_blocks_can_be_chosen_in_a_residual_network():
    found = chains(trace(NETS["resnet20"](), torch.zeros(1, 3, 32, 32)))
    blocks = [f"stage{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1, 2)]
    assert found == {f"{block}.conv2": f"{block}.conv1" for block in blocks}


def test_of_grouped_joined_or_shared_channels_none_is_chosen():
    def of(net, *shape):
        return chains(trace(net, torch.zeros(1, *shape)))

    # The classifier alone reads what nobody else does.
    assert of(NETS["mobilenet"](), 3, 224, 224) == {"fc": "block13.pointwise"}
    assert of(odd_nets.ConcatOfThree(), 3, 8, 8) == {}
    assert of(odd_nets.DenseBlock(), 3, 8, 8) == {}
    assert of(odd_nets.Grouped(), 3, 8, 8) == {"head": "c.0"}
    assert of(odd_nets.ResidualChain(), 3, 8, 8) == {
        f"blocks.{block}.1": f"blocks.{block}.0.0" for block in range(3)
    }


class Joined(nn.Module):
    """What one layer makes is read twice by another: each channel has two places in its matrix."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3)
        self.conv2 = nn.Conv2d(8, 3, 3)

    def forward(self, x):
        y = self.conv1(x)
        return self.conv2(torch.cat([y.relu(), y.tanh()], 1))


def test_a_channel_that_is_read_at_two_places_goes_from_both():
    net, X = randomised(Joined().double()), images(60, 2, 9, 9).double()
    small, report = prune_channels(net, X, {"conv2": 2}, "thinet", ALL_PLACES)
    assert small.conv2.weight.shape == (3, 4, 3, 3)
    read, made = read_and_made(small, "conv2", X)
    residual = read_and_made(net, "conv2", X)[1] - made
    assert (read.mT @ residual).abs().max() <= 1e-8 * read.norm() * residual.norm()
    assert len(report.fits["conv2"].kept) == 2


@pytest.mark.parametrize("method", METHODS)
def test_fitting_again_is_never_worse_than_removing_alone(method):
    net, X = trained_lenet()
    small, report = prune_channels(net, X, {"conv2": 8}, method, n_places=ALL_PLACES)
    plain = compact(trace(net, X[:1]), report.plan)
    target = read_and_made(net, "conv2", X)[1]
    spread = (target - target.mean(0)).norm()
    fitted, removed = (
        float((target - read_and_made(n, "conv2", X)[1]).norm() / spread) for n in (small, plain)
    )
    assert fitted == pytest.approx(report.fits["conv2"].error, rel=1e-3)
    assert fitted < removed


REFUSED = [
    ({"method": "best"}, "method must be one of .*'lasso'.*got 'best'"),
    ({"n_places": 0}, "n_places must be >= 1, got 0"),
    ({"keep": 1.5}, "keep must be .*0 to 1, got 1.5|keep .*1.5"),
    ({"keep": {"conv2": 0}}, "keep of conv2 must be 1 to 6 channels, got 0"),
    ({"keep": {"conv2": 7}}, "keep of conv2 must be 1 to 6 channels, got 7"),
    ({"keep": {"conv3": 2}}, "keep names .*'conv3'.*the layers are"),
    ({"keep": {"conv1": 1}}, "keep names conv1, whose channels stay: .*input of the network"),
    ({"images": torch.full((4, *SHAPE), float("nan"))}, "images"),
    ({"held_out": torch.full((4, *SHAPE), float("inf"))}, "held_out"),
]


@pytest.mark.parametrize(("changed", "message"), REFUSED)
def test_what_is_asked_wrongly_is_refused_by_name(changed, message):
    given = {"images": images(100, *SHAPE), "keep": {"conv2": 3}, **changed}
    with pytest.raises(ValueError, match=message):
        prune_channels(small_net(), **given)


def test_layers_whose_channels_are_not_theirs_alone_are_refused_with_the_reason():
    refused = partial(pytest.raises, ValueError)
    X = images(2, 3, 32, 32)
    with refused(match=r"keep names stage1\.1\.conv1, .* is made by \['conv.*stage1\.0\.conv2"):
        prune_channels(NETS["resnet20"](), X, {"stage1.1.conv1": 0.5})
    with refused(match=r"keep names conv2, .*it has 2 groups"):
        prune_channels(small_net(groups=2), images(2, *SHAPE), {"conv2": 3})
    with refused(match=r"keep names conv2, .*padded by .*'circular'"):
        prune_channels(small_net(padding_mode="circular"), images(2, *SHAPE), {"conv2": 3})
    with refused(match=r"the model has no layer whose channels can be chosen: .*'0'"):
        prune_channels(nn.Sequential(nn.Conv2d(2, 3, 3)), images(2, *SHAPE), 0.5)


def test_a_layer_that_puts_out_a_constant_is_refused_by_name():
    net = small_net()
    with torch.no_grad():
        net.conv2.weight.zero_()
    with pytest.raises(ValueError, match=r"^conv2: Y must not be"):
        prune_channels(net, images(100, *SHAPE), {"conv2": 3})


def test_a_share_leaves_at_least_one_channel_and_a_whole_number_is_a_number():
    net, X = small_net(torch.float32), images(250, *SHAPE)
    _, report = prune_channels(net, X, 0.0, "l1")
    assert {name: len(found.kept) for name, found in report.fits.items()} == dict.fromkeys(
        chains(trace(net, X[:1])), 1
    )
    _, report = prune_channels(net, X, {"fc2": 1, "conv2": 1.0}, "l1")
    assert {name: len(found.kept) for name, found in report.fits.items()} == {"fc2": 1}
