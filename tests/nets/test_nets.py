"""What holds for every network, and what is particular to one."""

import copy
import pickle

import pytest
import torch
from torch import fx, nn

from sparsecourse.nets import NETS, lenet5, mobilenet, resnet20
from sparsecourse.nets.googlenet import Inception
from sparsecourse.nets.resnet import BasicBlock, ZeroPadding

SMALL = ["lenet_300_100", "lenet5", "mlp_500_300", "convnet", "vgg16_cifar", "resnet20"]


def on_meta(name):
    with torch.device("meta"):
        return NETS[name]()


def images(net, n=2, device="meta"):
    return torch.rand(n, *net.input_shape, device=device)


@pytest.mark.parametrize("name", NETS)
def test_scores_have_a_column_for_each_class(name):
    net = on_meta(name)
    classes = 1000 if net.input_shape[-1] > 32 else 10
    assert net(images(net, n=3)).shape == (3, classes)


@pytest.mark.parametrize("name", SMALL)
def test_images_are_scored_one_by_one(name):
    torch.manual_seed(0)
    net = NETS[name]().eval()
    X = images(net, n=3, device="cpu")
    scores = net(X)
    assert scores.isfinite().all()
    assert not torch.allclose(scores[0], scores[1])
    torch.testing.assert_close(scores, torch.cat([net(x[None]) for x in X]))


@pytest.mark.parametrize("name", NETS)
def test_every_parameter_receives_a_gradient(name):
    net = on_meta(name)
    net(images(net)).sum().backward()
    assert [name for name, parameter in net.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("name", NETS)
def test_a_network_can_be_traced(name):
    net = on_meta(name)
    traced = fx.symbolic_trace(net)
    assert traced(images(net)).shape == net(images(net)).shape
    assert traced.state_dict().keys() == net.state_dict().keys()


@pytest.mark.parametrize("name", SMALL)
def test_a_traced_network_computes_the_same(name):
    net = NETS[name]().eval()
    X = images(net, device="cpu")
    torch.testing.assert_close(fx.symbolic_trace(net)(X), net(X))


@pytest.mark.parametrize("name", NETS)
def test_each_layer_is_a_named_module_that_runs_once(name):
    net = on_meta(name)
    graph = fx.symbolic_trace(net).graph
    ran = [node.target for node in graph.nodes if node.op == "call_module"]
    assert len(ran) == len(set(ran))
    assert set(ran) == {
        name
        for name, module in net.named_modules()
        if not list(module.children()) and not isinstance(module, ZeroPadding)
    }
    # Everything else is the addition of a shortcut, its zero padding, and concatenation.
    functions = {node.target.__name__ for node in graph.nodes if node.op == "call_function"}
    assert functions <= {"add", "getitem", "pad", "cat"}
    assert not [node for node in graph.nodes if node.op == "call_method"]


@pytest.mark.parametrize("name", NETS)
def test_images_of_another_shape_are_refused_in_words(name):
    net = on_meta(name)
    channels, height, width = net.input_shape
    expected = rf"must have shape \(n, {channels}, {height}, {width}\), got "
    for shape in [
        (2, channels, height + 1, width),
        (2, channels, height, width - 4),
        (2, channels + 2, height, width),
        (channels, height, width),
        (2, channels * height * width),
    ]:
        with pytest.raises(ValueError, match=expected + rf"\({shape[0]}, {shape[1]}"):
            net(torch.empty(shape, device="meta"))


def test_a_copy_refuses_the_same():
    net = lenet5()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        twin(torch.zeros(1, 1, 28, 28))
        with pytest.raises(ValueError, match=r"got \(1, 1, 32, 32\)"):
            twin(torch.zeros(1, 1, 32, 32))


def test_a_network_inside_another_can_be_traced():
    twice = nn.Sequential(nn.Identity(), resnet20())
    assert "1.stage3.2.conv2" in dict(fx.symbolic_trace(twice).named_modules())


def products_without_relu(net):
    """Names of convolutions and linear layers with no ReLU before the next one or the output."""
    graph = fx.symbolic_trace(net).graph
    modules = dict(net.named_modules())

    def kind(node):
        return type(modules[node.target]) if node.op == "call_module" else None

    found = set()
    for node in graph.nodes:
        if kind(node) not in (nn.Conv2d, nn.Linear):
            continue
        behind = list(node.users)
        while behind:
            user = behind.pop()
            if kind(user) in (nn.Conv2d, nn.Linear) or user.op == "output":
                found.add(node.target)
            elif kind(user) is not nn.ReLU:
                behind.extend(user.users)
    return found


@pytest.mark.parametrize("name", NETS)
def test_a_relu_stands_behind_every_layer_but_the_last(name):
    last = list(on_meta(name).named_children())[-1][0]
    as_in_caffe = {"lenet5": {"conv1", "conv2"}, "convnet": {"fc1"}}
    assert products_without_relu(on_meta(name)) == {last} | as_in_caffe.get(name, set())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (nn.Dropout, {"alexnet": 2, "alexnet_grouped": 2, "vgg16": 2, "vgg19": 2, "googlenet": 1}),
        (nn.LocalResponseNorm, {"alexnet_grouped": 2, "googlenet": 2}),
        (nn.AvgPool2d, {"convnet": 2, "googlenet": 1}),
    ],
)
def test_layers_without_weights_are_where_the_papers_have_them(kind, expected):
    found = {
        name: sum(isinstance(module, kind) for module in on_meta(name).modules()) for name in NETS
    }
    assert {name: number for name, number in found.items() if number} == expected


def test_convnet_pools_before_its_first_relu_only():
    order = [name for name, _ in NETS["convnet"]().named_children()]
    assert order[1:3] == ["pool1", "relu1"]
    assert order[4:6] == ["relu2", "pool2"]
    assert order[7:9] == ["relu3", "pool3"]


def test_option_a_keeps_every_other_pixel_and_adds_zeros():
    x = torch.rand(2, 3, 4, 6)
    y = ZeroPadding(3, 8, stride=2)(x)
    assert y.shape == (2, 8, 2, 3)
    torch.testing.assert_close(y[:, :3], x[:, :, ::2, ::2])
    assert (y[:, 3:] == 0).all()


def test_cifar_resnets_have_no_parameters_in_their_shortcuts():
    assert [name for name in resnet20().state_dict() if "shortcut" in name] == []


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (BasicBlock(4, 4, 1, nn.Identity()), lambda x: x),
        (BasicBlock(4, 8, 2, ZeroPadding(4, 8, 2)), ZeroPadding(4, 8, 2)),
    ],
)
def test_a_residual_block_that_computes_zero_passes_its_shortcut_on(block, expected):
    nn.init.zeros_(block.norm2.weight)
    x = torch.randn(2, 4, 6, 6)
    torch.testing.assert_close(block(x), expected(x).relu())


def test_inception_concatenates_its_branches_in_the_order_of_the_table():
    widths = {"branch1": 2, "branch2": 3, "branch3": 4, "branch4": 5}
    inception = Inception(6, 2, 1, 3, 1, 4, 5)
    x = torch.rand(1, 6, 8, 8)
    parts = inception(x).split(list(widths.values()), dim=1)
    for part, branch in zip(parts, widths, strict=True):
        torch.testing.assert_close(part, inception.get_submodule(branch)(x))


@pytest.mark.parametrize("alpha", [0.75, 0.5, 0.25])
def test_alpha_thins_every_layer_of_mobilenet(alpha):
    with torch.device("meta"):
        full, thin = mobilenet(), mobilenet(alpha)
    for wide, narrow in zip(full.modules(), thin.modules(), strict=True):
        if isinstance(wide, nn.Conv2d):
            assert narrow.out_channels == alpha * wide.out_channels


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alpha": 0}, "alpha must be above 0 and at most 1"),
        ({"alpha": 1.5}, r"got 1\.5"),
        ({"alpha": 0.01}, "leave a channel of 32"),
        ({"resolution": 200}, "resolution must be a positive multiple of 32, got 200"),
        ({"resolution": 0}, "got 0"),
    ],
)
def test_mobilenet_refuses_what_it_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=message):
        mobilenet(**arguments)
