"""Counts against products that are really made, against torch, and by hand."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrize, prune
from torch.utils.flop_counter import FlopCounterMode

from sparsecourse import costs
from sparsecourse.nets import NETS, lenet5, resnet20


@st.composite
def convolutions(draw):
    """A convolution without padding, normal or transposed, and the shape of an image."""
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    dimensions = draw(st.integers(1, 3))
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(dimensions))
    arguments = {
        "kernel_size": kernel,
        "stride": draw(st.integers(1, 2)),
        "dilation": draw(st.integers(1, 2)),
        "groups": groups,
        "bias": draw(st.booleans()),
    }
    kinds = [[nn.Conv1d, nn.ConvTranspose1d], [nn.Conv2d, nn.ConvTranspose2d]]
    kinds += [[nn.Conv3d, nn.ConvTranspose3d]]
    kind = draw(st.sampled_from(kinds[dimensions - 1]))
    sizes = tuple(draw(st.integers(5, 7)) for _ in range(dimensions))
    return kind(inputs, outputs, **arguments), (inputs, *sizes)


def products(layer, input_shape):
    """How many products the layer makes: each is 1 x 1, and the outputs are their sums."""
    layer = copy.deepcopy(layer).double()
    nn.init.ones_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return int(layer(torch.ones(1, *input_shape, dtype=torch.float64)).sum())


@settings(max_examples=60, deadline=None)
@given(convolutions())
def test_every_product_of_a_convolution_is_counted(case):
    layer, input_shape = case
    assert costs.count(layer, input_shape).totals.multiply_adds == products(layer, input_shape)


@pytest.mark.parametrize("input_shape", [(7,), (3, 7), (2, 3, 7)])
def test_a_linear_layer_on_a_sequence_is_counted_at_each_place(input_shape):
    layer = nn.Linear(7, 4)
    totals = costs.count(layer, input_shape).totals
    assert totals.multiply_adds == products(layer, input_shape)
    assert totals.output_shape == (*input_shape[:-1], 4)


def test_products_with_padded_zeros_are_counted():
    totals = costs.count(nn.Conv2d(3, 8, 3, padding=1), (3, 10, 10)).totals
    assert totals.multiply_adds == 8 * 3 * 9 * 100


def test_a_layer_by_hand():
    # 5 x 5 filters on 28 x 28 pixels leave 24 x 24.
    (layer,) = costs.count(nn.Conv2d(1, 20, 5), (1, 28, 28)).layers
    assert layer == costs.LayerCosts(
        name="",
        kind="Conv2d",
        output_shape=(20, 24, 24),
        parameters=20 * 25 + 20,
        weights=20 * 25,
        multiply_adds=20 * 25 * 24 * 24,
        weight_bytes=4 * (20 * 25 + 20),
        activation_bytes=4 * 20 * 24 * 24,
    )


@pytest.mark.parametrize("name", NETS)
def test_networks_cost_what_torch_counts(name):
    with torch.device("meta"):
        net = NETS[name]().eval()
    with FlopCounterMode(display=False) as counter:
        net(torch.empty(1, *net.input_shape, device="meta"))
    totals = costs.count(net, net.input_shape).totals
    assert 2 * totals.multiply_adds == counter.get_total_flops()
    assert totals.parameters == sum(p.numel() for p in net.parameters())


def test_normalisation_and_bias_are_parameters_and_not_weights():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.GroupNorm(2, 8))
    rows = costs.count(net, (3, 8, 8)).to_frame()
    assert rows["parameters"].tolist() == [3 * 8 * 9 + 8, 16, 0, 16, 3 * 8 * 9 + 8 + 32]
    assert rows["weights"].tolist() == [3 * 8 * 9, 0, 0, 0, 3 * 8 * 9]
    assert rows["multiply_adds"].tolist()[1:4] == [0, 0, 0]
    assert rows["activation_bytes"].tolist() == [4 * 8 * 36, 0, 0, 0, 4 * 8 * 36]


class Twice(nn.Module):
    """One layer on two sizes, under two names."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3)
        self.again = self.conv

    def forward(self, x):
        return self.again(self.conv(x))


def test_a_layer_used_twice_works_twice_and_is_stored_once():
    first, second = costs.count(Twice(), (2, 8, 8)).layers
    assert (first.name, second.name) == ("conv", "conv")
    assert (first.parameters, second.parameters) == (2 * 2 * 9 + 2, 0)
    assert (second.weights, second.weight_bytes) == (0, 0)
    assert (first.multiply_adds, second.multiply_adds) == (36 * 36, 36 * 16)


def test_weights_that_two_layers_share_are_stored_once():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    net[1].weight = net[0].weight
    first, second = costs.count(net, (4,)).layers
    assert (first.parameters, second.parameters) == (20, 4)
    assert (first.weights, second.weights) == (16, 0)
    assert first.multiply_adds == second.multiply_adds == 16


def test_bytes_are_those_of_the_format_asked_for():
    single = costs.count(lenet5(), (1, 28, 28)).totals
    assert single.weight_bytes == 4 * 431_080
    for dtype in (torch.bfloat16, torch.int8):
        totals = costs.count(lenet5(), (1, 28, 28), dtype=dtype).totals
        assert totals.weight_bytes * 4 == single.weight_bytes * dtype.itemsize
        assert totals.activation_bytes * 4 == single.activation_bytes * dtype.itemsize
        assert totals.multiply_adds == single.multiply_adds


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_format_that_the_model_is_in_does_not_matter(dtype):
    assert costs.count(lenet5().to(dtype), (1, 28, 28)) == costs.count(lenet5(), (1, 28, 28))


def test_nothing_is_allocated():
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(10**6, 10**6), nn.Linear(10**6, 10))
    assert costs.count(net, (10**6,)).totals.weights == 10**12 + 10**7  # 4 TB


def test_the_model_is_left_as_it_was():
    torch.manual_seed(0)
    net = resnet20().train()
    net(torch.rand(2, 3, 32, 32)).sum().backward()
    net.conv1.eval()
    net.conv1.weight.requires_grad_(False)
    watched = []
    net.conv1.register_forward_hook(lambda *arguments: watched.append(arguments))
    net.fc.register_full_backward_hook(lambda *arguments: watched.append(arguments))
    tensors = {name: (id(t), t.clone()) for name, t in net.state_dict(keep_vars=True).items()}
    gradients = {name: p.grad.clone() for name, p in net.named_parameters()}
    modes = [module.training for module in net.modules()]
    hooks = [len(module._forward_hooks) for module in net.modules()]
    random = torch.get_rng_state()

    assert costs.count(net, (3, 32, 32)).totals.parameters == 269_722

    assert watched == []
    assert modes == [module.training for module in net.modules()]
    assert hooks == [len(module._forward_hooks) for module in net.modules()]
    assert torch.equal(random, torch.get_rng_state())
    assert not net.conv1.weight.requires_grad
    for name, tensor in net.state_dict(keep_vars=True).items():
        identity, value = tensors[name]
        assert id(tensor) == identity
        assert torch.equal(tensor, value)
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter.grad, gradients[name])


class Halved(nn.Module):
    def forward(self, weight):
        return weight / 2


def pruned(net):
    for layer in (net.conv2, net.fc1):
        prune.l1_unstructured(layer, "weight", amount=0.9)
        prune.random_unstructured(layer, "bias", amount=0.5)
    net(torch.rand(1, 1, 28, 28)).sum().backward()  # weights are now results of a computation
    return net


def parametrized(net):
    for layer in (net.conv2, net.fc1):
        parametrize.register_parametrization(layer, "weight", Halved())
    return net


@pytest.mark.parametrize("change", [pruned, parametrized])
def test_masked_and_parametrised_layers_cost_what_they_did(change):
    dense = costs.count(lenet5(), (1, 28, 28))
    changed = costs.count(change(lenet5()), (1, 28, 28))
    assert changed.totals == dense.totals
    assert [layer.name for layer in changed.layers] == [layer.name for layer in dense.layers]


def test_a_traced_network_costs_the_same():
    traced = fx.symbolic_trace(resnet20())
    assert costs.count(traced, (3, 32, 32)).totals == costs.count(resnet20(), (3, 32, 32)).totals


class Scaled(nn.Module):
    """A part with a parameter of its own next to a layer."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return self.scale * self.fc(x)


class Functional(nn.Module):
    """A layer whose weights are used, and that is not."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return F.linear(self.fc1(x), self.fc2.weight, self.fc2.bias)


class Correlation(nn.Module):
    """A product of activations."""

    def forward(self, x):
        return x @ x.mT


class BehindTheBack(nn.Module):
    """A layer that runs, and whose weights are used once more."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return F.linear(self.fc(x), self.fc.weight)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.PReLU()), r"1 \(PReLU\) has parameters of its own"),
        (nn.Sequential(nn.Linear(4, 4), Scaled()), r"1 \(Scaled\) has parameters of its own"),
        (nn.LSTM(4, 4), r"the model \(LSTM\) has parameters of its own"),
        (nn.Bilinear(4, 4, 4), r"\(Bilinear\) has parameters of its own"),
        (Functional(), r"did not run as modules: fc2\.weight, fc2\.bias"),
        (Correlation(), "torch sees 36 multiply-adds, .* have 0: "),
        (BehindTheBack(), "torch sees 96 multiply-adds, .* have 48: "),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(model, message):
    with pytest.raises(ValueError, match=message):
        costs.count(model, (3, 4))


def test_parts_without_parameters_may_return_anything():
    class Halves(nn.Module):
        def forward(self, x):
            return x.chunk(2)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.halves, self.fc = Halves(), nn.Linear(4, 2)

        def forward(self, x):
            return self.fc(self.halves(x)[0])

    assert costs.count(Net(), (4,)).totals.multiply_adds == 8


def test_a_parameter_that_is_none_is_no_parameter():
    part = nn.ReLU()
    part.register_parameter("slope", None)
    assert costs.count(nn.Sequential(nn.Linear(4, 2), part), (4,)).totals.parameters == 10


@pytest.mark.parametrize("input_shape", [(), (3, 0, 4), (3, -1), (1.0, 2)])
def test_an_input_shape_is_of_positive_integers(input_shape):
    with pytest.raises(ValueError, match="input_shape must be positive integers, got"):
        costs.count(nn.Identity(), input_shape)


def test_images_that_a_network_does_not_take_are_refused_by_it():
    with pytest.raises(ValueError, match=r"must have shape \(n, 1, 28, 28\), got \(1, 3, 32, 32\)"):
        costs.count(lenet5(), (3, 32, 32))


def test_totals_are_the_sums():
    counted = costs.count(lenet5(), (1, 28, 28))
    assert counted.totals.output_shape == (10,)
    frame = counted.to_frame()
    assert list(frame.index) == [name for name, _ in lenet5().named_children()] + ["total"]
    layers = frame.drop("total")
    for column in ("parameters", "weights", "multiply_adds", "weight_bytes", "activation_bytes"):
        assert layers[column].sum() == frame.loc["total", column] == getattr(counted.totals, column)
    assert layers["energy_joule"].sum() == pytest.approx(frame.loc["total", "energy_joule"])


def test_energy_by_hand():
    totals = costs.count(nn.Linear(1000, 100, bias=False), (1000,)).totals
    energy = totals.energy()
    assert energy.arithmetic == pytest.approx(1e5 * (3.7 + 0.9) * 1e-12)
    assert energy.weights == pytest.approx(1e5 * 640e-12)
    assert energy.activations == pytest.approx(100 * 2 * 5e-12)
    assert energy.total == pytest.approx(energy.arithmetic + energy.weights + energy.activations)
    cached = totals.energy(weights_in="SRAM")
    assert energy.weights == pytest.approx(128 * cached.weights)
    assert energy.arithmetic == cached.arithmetic


def test_half_the_bytes_take_half_the_energy_to_move():
    full = costs.count(lenet5(), (1, 28, 28)).totals.energy()
    half = costs.count(lenet5(), (1, 28, 28), dtype=torch.float16).totals.energy()
    assert half.weights == pytest.approx(full.weights / 2)
    assert half.activations == pytest.approx(full.activations / 2)


def test_energy_knows_two_memories():
    totals = costs.count(nn.Linear(2, 2), (2,)).totals
    with pytest.raises(
        ValueError, match=r"weights_in must be one of \['DRAM', 'SRAM'\], got 'disk'"
    ):
        totals.energy(weights_in="disk")
