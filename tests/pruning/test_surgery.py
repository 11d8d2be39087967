"""The smaller network computes what the large one does without the removed channels."""

import copy
from functools import cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparsecourse import costs
from sparsecourse.nets import NETS, mobilenet
from sparsecourse.pruning import criteria
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.selection import Plan, plan_without, select
from sparsecourse.pruning.surgery import compact, load, save
from tests.pruning.odd_nets import (
    FOLLOWED,
    PaddedShortcut,
    ResidualChain,
    WrittenOutFlatten,
)

# The checks find out themselves which channels disappear, and ask the graph nothing: what changes
# where a layer reads, when the outputs of removed filters change, is a channel that is removed.


def randomised(net, seed=0):
    """All numbers of a network random, those of normalisations too."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in net.modules():
            for name, tensor in (
                *module.named_parameters(recurse=False),
                *module.named_buffers(recurse=False),
            ):
                if not tensor.is_floating_point():
                    continue
                tensor.uniform_(-1, 1, generator=generator)
                if "norm" in type(module).__name__.lower() and name in ("weight", "running_var"):
                    tensor.mul_(0.4).add_(0.9)
                elif tensor.ndim > 1:
                    tensor.mul_((3 / tensor[0].numel()) ** 0.5)
    return net


def products(net):
    return {
        n: m for n, m in net.named_modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)
    }


def channel_dim(layer):
    return -1 if isinstance(layer, nn.Linear) else 1


def run(net, inputs, before=None, after=None):
    """The outputs of a network, with hooks ``(name, tensor) -> tensor`` at its layers."""
    handles = []
    for name, layer in products(net).items():
        if before:
            handles.append(
                layer.register_forward_pre_hook(lambda _, x, name=name: (before(name, x[0]),))
            )
        if after:
            handles.append(layer.register_forward_hook(lambda _, x, y, name=name: after(name, y)))
    with torch.no_grad():
        outputs = net(*inputs)
    for handle in handles:
        handle.remove()
    return outputs


def channels_read(net, inputs, removed):
    """Layer -> which channels it reads that come directly from removed filters."""
    read, made, changed = {}, {}, {}
    generator = torch.Generator().manual_seed(1)

    def disturbed(name, y):
        dim = channel_dim(products(net)[name])
        new = made[name].clone()
        if name in removed:
            index = torch.tensor(removed[name])
            part = new.index_select(dim, index)
            noise = torch.rand(part.shape, generator=generator, dtype=part.dtype)
            new.index_copy_(dim, index, part + size * (1 + noise))
        return new

    def compared(name, x):
        layer = products(net)[name]
        differs = (x != read[name]).movedim(channel_dim(layer), 0).flatten(1).any(1)
        changed[name] = changed.get(name, False) | differs
        return x

    run(
        net,
        inputs,
        lambda n, x: read.setdefault(n, x.clone()),
        lambda n, y: made.setdefault(n, y.clone()).clone(),
    )
    for size in (3, 3000, -3):  # noqa: B007, so that no ReLU hides it
        run(net, inputs, compared, disturbed)
    return changed


def flat(outputs):
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    parts = outputs.values() if isinstance(outputs, dict) else outputs
    return [tensor for part in parts for tensor in flat(part)]


def assert_same_function(net, small, plan, inputs, tolerance, modes=(False, True), silent=()):
    """The invariant, in evaluation and in training; these modules are given zeros as outputs."""
    staying = [name for name in products(net) if plan.kept.get(name, True)]
    removed = {
        name: sorted(set(range(plan.filters[name])) - set(plan.kept[name]))
        for name in staying
        if name in plan.kept
    }
    net, small = copy.deepcopy(net), copy.deepcopy(small)
    for name in silent:
        net.get_submodule(name).register_forward_hook(lambda _, x, y: torch.zeros_like(y))
    gone = channels_read(net.eval(), inputs, removed)
    may_go = dict.fromkeys(gone, 0)  # what no layer before makes any more: zeros of a padding
    if silent:
        whole = {name: range(len(products(net)[name].weight)) for name in staying}
        for name, made in channels_read(net, inputs, whole).items():
            if made.any():  # else these are inputs of the network
                may_go[name] = int((~made & ~gone[name]).sum())
    for training in modes:
        net.train(training)
        small.train(training)

        def masked(name, x):
            dim = channel_dim(products(net)[name])
            return x.index_fill(dim, gone[name].nonzero().flatten(), 0)

        expected, found = flat(run(net, inputs, before=masked)), flat(run(small, inputs))
        for big_output, small_output in zip(expected, found, strict=True):
            assert small_output.shape == big_output.shape
            scale = big_output.abs().max().clamp(min=1)
            assert (small_output - big_output).abs().max() <= tolerance * scale
    assert list(products(small)) == staying
    for name, layer in products(small).items():
        n_inputs = getattr(layer, "in_channels", None) or layer.in_features
        most = int((~gone[name]).sum())
        assert most - may_go[name] <= n_inputs <= most
        n_filters = getattr(layer, "out_channels", None) or layer.out_features
        assert n_filters == len(plan.kept.get(name, range(n_filters)))


def random_inputs(shapes, dtype):
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


@cache
def odd(kind, dtype):
    torch.manual_seed(0)
    net = randomised(kind().to(dtype))
    inputs = random_inputs(FOLLOWED[kind], dtype)
    return net, inputs, trace(net, tuple(inputs))


@pytest.mark.parametrize("kind", FOLLOWED)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 1000),
    keep=st.floats(0.1, 1),
    scope=st.sampled_from(["global", "layer"]),
    multiple_of=st.sampled_from([1, 1, 2, 4]),
)
def test_small_equals_masked_on_odd_nets(kind, seed, keep, scope, multiple_of):
    net, inputs, graph = odd(kind, torch.float64)
    scores = criteria.random(graph, torch.Generator().manual_seed(seed))
    plan = select(graph, scores, keep, by="filters", scope="layer", multiple_of=multiple_of)
    if scope == "global":
        removed = torch.rand(graph.n_groups, generator=torch.Generator().manual_seed(seed)) > keep
        removed[list(graph.fixed)] = False
        for _, groups in graph.tensors:
            removed[groups[0]] &= not removed[groups].all()
        plan = plan_without(graph, removed)
    small = compact(graph, plan)
    assert_same_function(net, small, plan, inputs, 1e-10)
    if len(inputs) == 1:
        assert_costs(graph, plan, small, tuple(inputs[0].shape[1:]))


@pytest.mark.parametrize("kind", FOLLOWED)
def test_half_of_each_odd_net_in_float32(kind):
    net, inputs, graph = odd(kind, torch.float32)
    plan = select(graph, criteria.l1(graph), 0.5, by="filters", scope="layer")
    assert plan.kept
    assert_same_function(net, compact(graph, plan), plan, inputs, 1e-5)


@cache
def course_net(name):
    """With weights, and an input that is as small as the network allows."""
    with torch.device("meta"):
        net = mobilenet(0.5, 64) if name == "mobilenet" else NETS[name]()
    net = randomised(net.to_empty(device="cpu"))
    net._forward_pre_hooks.clear()  # they check the size of pictures
    pooled = name.startswith("resnet") and net.input_shape[1] == 224
    shape = (3, 64, 64) if pooled else net.input_shape
    for module in net.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # so that training can be compared, too
    return net, shape, trace(net, torch.empty(1, *shape))


HUGE = ("vgg16", "vgg19")  # their convolutions are checked in vgg16_cifar


@pytest.mark.parametrize("name", [name for name in NETS if name not in HUGE])
def test_small_equals_masked_on_the_nets_of_the_course(name):
    net, shape, graph = course_net(name)
    plan = select(graph, criteria.l1(graph), 0.6, by="filters", scope="layer")
    small = compact(graph, plan)
    assert_costs(graph, plan, small, shape)
    large, deep = shape[1] > 64, len(graph.layers) > 60
    if not large:
        inputs = random_inputs([(2, *shape)], torch.float64)
        modes = (False,) if deep and shape[1] == 64 else (False, True)  # for time's sake
        doubles = (copy.deepcopy(net).double(), copy.deepcopy(small).double())
        assert_same_function(*doubles, plan, inputs, 1e-10, modes)
    if not deep:
        inputs = random_inputs([(1 if large else 2, *shape)], torch.float32)
        assert_same_function(net, small, plan, inputs, 1e-5, (False,))


def assert_costs(graph, plan, small, shape):
    found = costs.count(small, tuple(shape)).totals
    assert graph.multiply_adds(plan) == found.multiply_adds
    assert graph.parameters(plan) == found.parameters
    assert graph.cost("filters", graph.removed(plan), plan.gone) == sum(
        getattr(layer, "out_channels", None) or layer.out_features
        for layer in products(small).values()
    )


@pytest.mark.parametrize("name", [*HUGE, "resnet56", "googlenet"])
def test_half_of_the_multiply_adds_are_left_by_count(name):
    with torch.device("meta"):
        net = NETS[name]()
    graph = trace(net, torch.empty(1, *net.input_shape))
    plan = select(graph, criteria.random(graph, torch.Generator().manual_seed(0)), 0.5)
    assert_costs(graph, plan, compact(graph, plan), net.input_shape)
    dense = costs.count(net, net.input_shape).totals
    assert (graph.multiply_adds(), graph.parameters()) == (dense.multiply_adds, dense.parameters)
    assert 0.49 * dense.multiply_adds < graph.multiply_adds(plan) <= 0.5 * dense.multiply_adds


def halved(kind=PaddedShortcut):
    net, inputs, graph = odd(kind, torch.float64)
    plan = select(graph, criteria.l1(graph), 0.5, by="filters", scope="layer")
    return net, inputs, graph, plan


def test_the_large_network_stays_as_it_is():
    net, _, graph, plan = halved()
    before = copy.deepcopy(net.state_dict())
    small = compact(graph, plan)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


@pytest.mark.parametrize("kind", [PaddedShortcut, ResidualChain])
def test_small_is_a_module_of_the_same_class_and_keys_that_trains(kind):
    net, inputs, graph, plan = halved(kind)
    small = compact(graph, plan)
    assert isinstance(small, kind)
    assert list(small.state_dict()) == list(net.state_dict())
    optimizer = torch.optim.SGD(small.parameters(), lr=0.05)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = small.train()(*inputs).square().mean()
        loss.backward()
        assert all(parameter.grad is not None for parameter in small.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_small_takes_other_batches_and_copies():
    _, _, graph, plan = halved(WrittenOutFlatten)
    small = copy.deepcopy(compact(graph, plan)).eval()
    X = torch.randn(5, 1, 16, 16, dtype=torch.float64)
    one_by_one = torch.cat([small(x[None]) for x in X])
    torch.testing.assert_close(small(X), one_by_one)


def test_small_knows_the_images_it_takes():
    net = NETS["resnet20"]()
    graph = trace(net, torch.zeros(1, 3, 32, 32))
    small = compact(graph, select(graph, criteria.l1(graph)))
    assert small.input_shape == (3, 32, 32)
    assert small.stage2[0].shortcut.stride == 2
    with pytest.raises(ValueError, match="images must have shape"):
        small(torch.zeros(1, 3, 30, 30))


def test_small_can_be_pruned_again():
    _, inputs, graph, plan = halved()
    small = compact(graph, plan)
    again = trace(small, inputs[0])
    plan = select(again, criteria.l1(again), 0.5, by="filters", scope="layer")
    assert_same_function(small, compact(again, plan), plan, inputs, 1e-10)


def test_frozen_parameters_stay_frozen():
    net, inputs, _, plan = halved()
    net = copy.deepcopy(net)
    net.stem[0].weight.requires_grad_(False)
    small = compact(trace(net, inputs[0]), plan)
    assert not small.stem[0].weight.requires_grad
    assert small.stem[0].bias.requires_grad


def test_saved_network_is_loaded_into_another_instance(tmp_path):
    _, inputs, graph, plan = halved()
    small = compact(graph, plan).eval()
    save(tmp_path / "small", small, plan)
    other = trace(PaddedShortcut().double(), inputs[0])
    loaded = load(tmp_path / "small", other).eval()
    assert torch.equal(loaded(*inputs), small(*inputs))
    assert Plan.from_json((tmp_path / "small" / "plan.json").read_text()) == plan


def test_plans_that_do_not_fit_are_refused():
    _, _, graph, _ = halved()
    stem = tuple(range(11))
    with pytest.raises(
        ValueError, match=r"plan names nowhere, the layers are \['stem.0', 'a', 'head'\]"
    ):
        compact(graph, Plan({"nowhere": (0,)}, {"nowhere": 2}))
    with pytest.raises(ValueError, match=r"plan is for 13 filters in stem\.0, there are 12"):
        compact(graph, Plan({"stem.0": stem}, {"stem.0": 13}))
    with pytest.raises(
        ValueError, match=r"keeps filter 13 of a, and removes.*stem.0\[11\], a\[13\] go"
    ):
        compact(graph, Plan({"stem.0": stem}, {"stem.0": 12}))
    with pytest.raises(ValueError, match=r"head\[1\] must stay: it is an output"):
        compact(graph, Plan({"head": (0, 2, 3, 4)}, {"head": 5}))
    kept = {"stem.0": (0,), "a": (0, 2)}
    compact(graph, Plan(kept, {"stem.0": 12, "a": 18}))
    _, _, chain, _ = halved(ResidualChain)
    whole = torch.zeros(chain.n_groups, dtype=torch.bool)
    whole[chain.layers["blocks.0.0.0"].groups] = True
    with pytest.raises(ValueError, match=r"nothing would be left of what blocks\.0\.0\.0"):
        plan_without(chain, whole)


def test_a_module_with_numbers_in_it_cannot_stand_in_two_places():
    class Flat(nn.Module):
        def forward(self, x):
            return x.view(-1, 6)

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.flat = Flat()
            self.a, self.b, self.c = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 2)

        def forward(self, x):
            return self.c(self.flat(self.b(self.flat(self.a(x)))))

    graph = trace(Twice(), torch.zeros(2, 4))
    plan = select(graph, criteria.l1(graph), 0.5, by="filters", scope="layer")
    with pytest.raises(ValueError, match="flat is used more than once"):
        compact(graph, plan)


@pytest.mark.parametrize("name", ["vgg16_cifar", "resnet20", "mobilenet"])
def test_shapes_are_those_of_torch_pruning(name):
    import torch_pruning

    net, shape, graph = course_net(name)
    net.float()
    plan = select(graph, criteria.l1(graph), 0.7, by="filters", scope="layer")
    if name == "resnet20":  # it does not follow padded shortcuts: the streams stay as they are
        shares = {layer: 0.7 for layer in graph.layers if layer.endswith(".conv1")}
        plan = select(graph, criteria.l1(graph), shares, by="filters", scope="layer")
    peer = copy.deepcopy(net)
    dependencies = torch_pruning.DependencyGraph().build_dependency(peer, torch.randn(1, *shape))
    done = set()
    for layer, kept in plan.kept.items():
        gone = sorted(set(range(plan.filters[layer])) - set(kept))
        groups = frozenset(graph.layers[layer].groups[gone].tolist())
        if groups not in done:  # the layers that go with it are cut by the peer itself
            done.add(groups)
            module = peer.get_submodule(layer)
            cut = (
                torch_pruning.prune_conv_out_channels
                if isinstance(module, nn.Conv2d)
                else torch_pruning.prune_linear_out_channels
            )
            dependencies.get_pruning_group(module, cut, idxs=gone).prune()
    small = compact(graph, plan)
    assert {k: v.shape for k, v in small.state_dict().items()} == {
        k: v.shape for k, v in peer.state_dict().items()
    }
    x = torch.randn(2, *shape)
    torch.testing.assert_close(small.eval()(x), peer.eval()(x), rtol=1e-4, atol=1e-5)
