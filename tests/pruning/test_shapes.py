"""A convolution on gathered columns: the same function, smaller, trained, saved and counted."""

import copy

import pytest
import torch
from torch import nn

from sparsecourse import costs, nets
from sparsecourse.pruning import dead_groups, masks
from sparsecourse.pruning.shapes import GatheredColumns, gather_columns, without_dead_columns
from sparsecourse.training import fit

SETTINGS = [
    {},
    {"stride": 2, "padding": 1},
    {"stride": (1, 3), "padding": (2, 0), "dilation": (1, 2), "bias": False},
]
TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5}


def with_dead_columns(kernel_size=(3, 2), channels=4, left=0.3, **settings):
    torch.manual_seed(0)
    conv = nn.Conv2d(channels, 5, kernel_size, **settings)
    dead = torch.rand(channels, *kernel_size) > left
    dead[0, 0, 0], dead[1, 0, 0] = False, True
    with torch.no_grad():
        conv.weight[:, dead] = 0
    return conv, int((~dead).sum())


@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_dense_convolution_forward_and_backward(settings, dtype, layout):
    conv, _ = with_dead_columns(**settings)
    conv = conv.to(dtype)
    smaller = without_dead_columns(conv)
    X = torch.randn(3, 4, 9, 8, dtype=dtype).contiguous(memory_format=layout)
    results = []
    for layer in (conv, smaller):
        inputs = X.clone().requires_grad_()
        outputs = layer(inputs)
        outputs.square().sum().backward()
        results.append((outputs, inputs.grad))
    for dense, gathered in zip(*results, strict=True):
        torch.testing.assert_close(
            gathered, dense, atol=TOLERANCES[dtype] * float(dense.detach().abs().max()), rtol=0
        )
    columns = smaller.columns.is_left.permute(1, 2, 0)
    its = conv.weight.grad.permute(0, 2, 3, 1)[:, columns]
    found = smaller.product.weight.grad[:, :, 0, 0]
    torch.testing.assert_close(found, its, atol=TOLERANCES[dtype] * float(its.abs().max()), rtol=0)


@pytest.mark.parametrize("settings", SETTINGS)
def test_it_multiplies_by_the_columns_that_are_left_and_no_more(settings):
    conv, n_left = with_dead_columns(**settings)
    smaller = without_dead_columns(conv)
    assert smaller.product.weight.shape == (5, n_left, 1, 1)
    counted = [costs.count(layer, (4, 9, 8)).totals for layer in (conv, smaller)]
    assert counted[1].multiply_adds * 24 == counted[0].multiply_adds * n_left
    assert counted[1].weights == 5 * n_left
    assert sum(p.numel() for p in smaller.columns.parameters()) == 0


def test_only_what_is_needed_of_the_image_is_gathered():
    is_left = torch.zeros(2, 2, 2, dtype=torch.bool)
    is_left[1, 0, 1] = is_left[0, 0, 1] = is_left[0, 1, 0] = True
    X = torch.arange(18.0).reshape(1, 2, 3, 3)
    maps = GatheredColumns(is_left)(X)[0]
    assert maps.tolist() == [
        [[1, 2], [4, 5]],  # position (0, 1) on channel 0
        [[10, 11], [13, 14]],  # and on channel 1
        [[3, 4], [6, 7]],  # position (1, 0) on channel 0
    ]


def test_a_network_keeps_its_other_layers_and_the_original_its_weights():
    torch.manual_seed(0)
    lenet = nets.lenet5()
    with torch.no_grad():
        lenet.conv1.weight[:, 0, :, 1:] = 0
        lenet.conv2.weight[:, 3:] = 0
    masks.apply(lenet, dead_groups.collect(lenet, {"conv1": ["shapes"], "conv2": ["shapes"]}))
    before = copy.deepcopy(lenet.state_dict())
    smaller = gather_columns(lenet, ["conv1", "conv2"])
    X = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(smaller(X), lenet(X), atol=1e-5, rtol=1e-5)
    assert smaller.conv1.product.weight.shape == (20, 5, 1, 1)
    assert smaller.conv2.product.weight.shape == (50, 75, 1, 1)
    assert torch.equal(smaller.fc1.weight, lenet.fc1.weight)
    assert smaller.fc1.weight is not lenet.fc1.weight
    for name, value in lenet.state_dict().items():
        assert torch.equal(value, before[name])
    assert list(masks.weight_layers(smaller)) == ["conv1.product", "conv2.product", "fc1", "fc2"]


def test_it_trains_like_the_masked_convolution():
    def trained(model):
        X = torch.rand(40, 4, 6, 6, generator=torch.Generator().manual_seed(1)).double()
        fit(model, (X, torch.arange(40) % 3), epochs=5, batch_size=10, device="cpu")
        return model

    conv, _ = with_dead_columns(padding=1)
    torch.manual_seed(2)
    net = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(5 * 6 * 7, 3)).double()
    masks.apply(net, dead_groups.collect(net, {"0": ["shapes"]}))
    before = net[0].weight.detach().clone()
    smaller = trained(gather_columns(net, ["0"]))
    trained(net)
    left = smaller[0].columns.is_left.permute(1, 2, 0)
    found, its = smaller[0].product.weight[:, :, 0, 0], net[0].weight.permute(0, 2, 3, 1)[:, left]
    torch.testing.assert_close(found, its, atol=1e-8, rtol=1e-6)
    assert (net[0].weight - before).abs().max() > 1e-3


def test_what_is_saved_says_which_columns_are_meant():
    first, n_left = with_dead_columns()
    saved = without_dead_columns(first)
    other = nn.Conv2d(4, 5, (3, 2))
    dead = torch.ones(24, dtype=torch.bool)
    dead[-n_left:] = False  # as many columns, elsewhere
    with torch.no_grad():
        other.weight[:, dead.reshape(4, 3, 2)] = 0
    loaded = without_dead_columns(other)
    loaded.load_state_dict(saved.state_dict())
    X = torch.randn(2, 4, 7, 7)
    assert torch.equal(loaded(X), saved(X))
    torch.testing.assert_close(loaded(X), first(X), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Linear(3, 3),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
    ],
)
def test_other_layers_are_refused(layer):
    with pytest.raises(ValueError, match="conv must "):
        without_dead_columns(layer)


def test_a_convolution_without_columns_and_images_that_do_not_fit_are_refused():
    conv = nn.Conv2d(2, 3, 3)
    nn.init.zeros_(conv.weight)
    with pytest.raises(ValueError, match=r"with a column that is left, got torch.bool .* with 0"):
        without_dead_columns(conv)
    smaller = without_dead_columns(nn.Conv2d(2, 3, 3))
    with pytest.raises(ValueError, match=r"images must have 2 channels, got shape \(1, 3, 5, 5\)"):
        smaller(torch.zeros(1, 3, 5, 5))
    with pytest.raises(ValueError, match=r"layers names \['conv9'\], the layers are"):
        gather_columns(nets.lenet5(), ["conv9"])
