"""Residual branches that go as a whole: which there are, and what is left without them."""

import copy
from functools import cache
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparsecourse import costs
from sparsecourse.nets.chain import chain
from sparsecourse.nets.resnet import BasicBlock, _stage, projection
from sparsecourse.pruning import criteria, dead_groups, ssl
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.selection import Plan, plan_without, select
from sparsecourse.pruning.surgery import compact, load, save
from tests.pruning.odd_nets import (
    Assembled,
    ConcatOfThree,
    MultiOutput,
    NestedResidual,
    PaddedShortcut,
    Preactivation,
    ResidualChain,
    SplitInThree,
    SqueezeAndExcitation,
    ThreeAdded,
    TwoInParallel,
    TwoInputs,
)
from tests.pruning.test_surgery import (
    assert_costs,
    assert_same_function,
    course_net,
    odd,
    random_inputs,
    randomised,
    run,
)

# Network -> its branches, as their layers -> a module whose output is zero if the branch is.
BRANCHES = {
    ResidualChain: {(f"blocks.{i}.0.0", f"blocks.{i}.1"): f"blocks.{i}" for i in range(3)},
    Preactivation: {(f"blocks.{i}.2",): f"blocks.{i}" for i in range(3)},
    PaddedShortcut: {("a",): "a"},
    SqueezeAndExcitation: {("a.0", "down", "up"): "a"},
    NestedResidual: {("b.0",): "b", ("a.0", "b.0", "c"): "c", ("project",): "project"},
    ThreeAdded: {("a.0",): "a", ("b",): "b"},
    TwoInParallel: {("a.0",): "a", ("b",): "b"},
    SplitInThree: {("a.0",): "a", ("b.0", "c.0"): "b"},
    Assembled: {
        ("first.conv",): "first.conv",
        ("second.conv",): "second.conv",
        ("a.0", "b"): "b",
        ("gate",): "gate",
    },
}
EITHER = {  # of these, one must stay
    NestedResidual: [{("a.0", "b.0", "c"), ("project",)}],
    TwoInParallel: [{("a.0",), ("b",)}],
    SplitInThree: [{("a.0",), ("b.0", "c.0")}],
}


@pytest.mark.parametrize("kind", BRANCHES)
def test_branches_are_what_a_shortcut_goes_around(kind):
    _, _, graph = odd(kind, torch.float64)
    assert {branch.layers for branch in graph.branches} == set(BRANCHES[kind])


@pytest.mark.parametrize("kind", [ConcatOfThree, MultiOutput, TwoInputs])
def test_sums_of_what_starts_elsewhere_or_is_read_elsewhere_are_no_branches(kind):
    _, _, graph = odd(kind, torch.float64)
    assert graph.branches == ()


def chosen(graph, seed, branches, keep=0.6):
    """A plan with some branches gone, and with channels removed at random."""
    generator = torch.Generator().manual_seed(seed)
    removed = torch.rand(graph.n_groups, generator=generator) > keep
    removed[list(graph.fixed)] = False
    for _, groups in graph.tensors:
        removed[groups[0]] &= not removed[groups].all()
    return plan_without(graph, removed, [layer for branch in branches for layer in branch])


@pytest.mark.parametrize("kind", BRANCHES)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), data=st.data())
def test_small_equals_silenced_on_odd_nets(kind, seed, data):
    net, inputs, graph = odd(kind, torch.float64)
    gone = data.draw(st.sets(st.sampled_from(sorted(BRANCHES[kind])), min_size=1))
    for either in EITHER.get(kind, ()):
        if either <= gone:
            gone -= {min(either)}
    plan = chosen(graph, seed, gone)
    small = compact(graph, plan)
    silent = [BRANCHES[kind][branch] for branch in gone]
    assert_same_function(net, small, plan, inputs, 1e-10, silent=silent)
    assert_costs(graph, plan, small, tuple(inputs[0].shape[1:]))


def cifar_resnet_with_projections():
    return chain(
        conv1=nn.Conv2d(3, 16, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(16),
        relu1=nn.ReLU(),
        stage1=_stage(BasicBlock, projection, 16, 16, 3, stride=1),
        stage2=_stage(BasicBlock, projection, 16, 32, 3, stride=2),
        stage3=_stage(BasicBlock, projection, 32, 64, 3, stride=2),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        fc=nn.Linear(64, 10),
    )


@cache
def residual_net(name):
    if name != "option B":
        return course_net(name)
    torch.manual_seed(0)
    net = randomised(cifar_resnet_with_projections())
    return net, (3, 32, 32), trace(net, torch.empty(1, 3, 32, 32))


def silencer(branch):
    """The normalisation at the end of a branch of the course's networks."""
    block, _, last = branch[-1].rpartition(".")
    return f"{block}.{last.replace('conv', 'norm')}"


def some_branches(graph, seed, share=0.5):
    """At random, and never a block's branch together with its projection."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for branch in graph.branches:
        if torch.rand((), generator=generator) < share:
            found[branch.addition] = branch.layers
    return list(found.values())


NETWORKS = ["resnet20", "option B", "resnet56", "resnet18", "resnet34", "resnet50"]


@pytest.mark.parametrize("name", NETWORKS)
def test_each_block_has_its_branch_and_each_projection_is_one(name):
    net, _, graph = residual_net(name)
    expected = []
    for path, block in net.named_modules():
        if hasattr(block, "shortcut"):
            convolutions = [n for n, _ in block.named_children() if n.startswith("conv")]
            expected.append(tuple(f"{path}.{n}" for n in convolutions))
            if hasattr(block.shortcut, "conv"):
                expected.append((f"{path}.shortcut.conv",))
    assert [branch.layers for branch in graph.branches] == expected
    assert all(branch.through == branch.layers for branch in graph.branches)


@pytest.mark.parametrize("name", NETWORKS)
def test_small_equals_silenced_on_the_residual_nets_of_the_course(name):
    net, shape, graph = residual_net(name)
    gone = some_branches(graph, 0)
    plan = chosen(graph, 0, gone, keep=0.7)
    small = compact(graph, plan)
    assert_costs(graph, plan, small, shape)
    dtype = torch.float32 if name in ("resnet34", "resnet50") else torch.float64  # for time's sake
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    inputs = random_inputs([(1, *shape)], dtype)
    pair = (copy.deepcopy(net).to(dtype), copy.deepcopy(small).to(dtype))
    silent = [silencer(branch) for branch in gone]
    assert_same_function(*pair, plan, inputs, tolerance, (False,), silent)


@pytest.mark.parametrize("kind", BRANCHES)
def test_one_branch_less_in_float32(kind):
    net, inputs, graph = odd(kind, torch.float32)
    (branch, silent), *_ = BRANCHES[kind].items()
    plan = chosen(graph, 1, [branch])
    assert_same_function(net, compact(graph, plan), plan, inputs, 1e-5, silent=[silent])


@settings(max_examples=2, deadline=None)
@given(seed=st.integers(0, 1000), name=st.sampled_from(["resnet20", "option B"]))
def test_random_sets_of_branches_in_training_and_evaluation(seed, name):
    net, shape, graph = residual_net(name)
    gone = some_branches(graph, seed)
    plan = chosen(graph, seed, gone)
    inputs = random_inputs([(2, *shape)], torch.float64)
    pair = (copy.deepcopy(net).double(), compact(graph, plan).double())
    silent = [silencer(branch) for branch in gone]
    assert_same_function(*pair, plan, inputs, 1e-10, silent=silent)


def layers_of(graph, start):
    return [
        layer
        for branch in graph.branches
        if branch.layers[0].startswith(start) and ".shortcut" not in branch.layers[0]
        for layer in branch.layers
    ]


def test_without_all_branches_of_the_later_stages_their_new_channels_go():
    net, shape, graph = residual_net("resnet20")
    plan = plan_without(graph, graph.removed(None), layers_of(graph, "stage3"))
    small = compact(graph, plan)
    assert small.fc.in_features == 32  # of the stage before; the others were zeros of the padding
    assert_costs(graph, plan, small, shape)
    both = layers_of(graph, "stage2") + layers_of(graph, "stage3")
    plan = plan_without(graph, graph.removed(None), both)
    small = compact(graph, plan)
    assert small.fc.in_features == 16
    silent = [silencer((layer,)) for layer in both if layer.endswith("conv2")]
    inputs = random_inputs([(2, *shape)], torch.float64)
    pair = (copy.deepcopy(net).double(), small.double())
    assert_same_function(*pair, plan, inputs, 1e-10, silent=silent)


def test_with_projections_a_stage_keeps_its_channels():
    _, _, graph = residual_net("option B")
    small = compact(graph, plan_without(graph, graph.removed(None), layers_of(graph, "stage3")))
    assert small.fc.in_features == 64
    assert [n for n, _ in small.stage3.named_parameters()] == [
        "0.shortcut.conv.weight",
        "0.shortcut.norm.weight",
        "0.shortcut.norm.bias",
    ]


def test_a_projection_can_go_if_the_branch_beside_it_stays():
    net, shape, graph = residual_net("option B")
    plan = plan_without(graph, graph.removed(None), ["stage2.0.shortcut.conv"])
    small = compact(graph, plan)
    assert not hasattr(small.stage2[0], "shortcut")
    x = random_inputs([(2, *shape)], torch.float32)
    before = copy.deepcopy(net).eval()
    before.stage2[0].shortcut.register_forward_hook(lambda _, x, y: 0 * y)
    torch.testing.assert_close(run(small.eval(), x), run(before, x))


def test_branches_and_chosen_channels_go_together():
    _, _, graph = odd(ResidualChain, torch.float64)
    channels = select(graph, criteria.l1(graph), 0.5, by="filters", scope="layer")
    plan = plan_without(graph, graph.removed(channels), ["blocks.1.0.0", "blocks.1.1"])
    assert plan.kept == {**channels.kept, "blocks.1.0.0": (), "blocks.1.1": ()}
    assert plan.gone == ("blocks.1.0.0", "blocks.1.1")
    small = compact(graph, plan)
    assert [n for n, _ in small.blocks.named_children()] == ["0", "2"]


def test_small_trains_and_is_pruned_again():
    _, inputs, graph = odd(ResidualChain, torch.float64)
    plan = plan_without(graph, graph.removed(None), ["blocks.1.0.0", "blocks.1.1"])
    small = compact(graph, plan)
    assert isinstance(small, ResidualChain)
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
    again = trace(small, inputs[0])
    assert {branch.layers for branch in again.branches} == {
        branch for branch in BRANCHES[ResidualChain] if "blocks.1.1" not in branch
    }
    plan = plan_without(again, again.removed(None), ["blocks.0.0.0", "blocks.0.1"])
    smaller = compact(again, plan)
    assert_same_function(small, smaller, plan, inputs, 1e-10, silent=["blocks.0.2"])


def test_a_saved_network_without_branches_is_loaded_into_another_instance(tmp_path):
    _, inputs, graph = odd(Assembled, torch.float64)
    plan = chosen(graph, 3, [("a.0", "b"), ("first.conv",)])
    small = compact(graph, plan).eval()
    save(tmp_path, small, plan)
    loaded = load(tmp_path, trace(Assembled().double(), inputs[0])).eval()
    assert torch.equal(run(loaded, inputs), run(small, inputs))
    assert list(loaded.state_dict()) == list(small.state_dict())
    gone = ("first.", "a.", "b.")
    assert not [key for key in small.state_dict() if key.startswith(gone)]
    assert Plan.from_json((tmp_path / "plan.json").read_text()) == plan


def test_the_large_network_keeps_its_branches():
    net, _, graph = odd(Assembled, torch.float64)
    before = copy.deepcopy(net.state_dict())
    compact(graph, plan_without(graph, graph.removed(None), ["a.0", "b"]))
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert isinstance(net.add, nn.Module)
    assert type(net) is Assembled


def test_what_is_used_elsewhere_too_stays():
    _, inputs, graph = odd(Assembled, torch.float64)
    small = compact(graph, plan_without(graph, graph.removed(None), ["first.conv"]))
    assert isinstance(small.relu, nn.ReLU)
    run(small, inputs)


def test_layers_that_no_shortcut_goes_around_are_never_emptied():
    _, _, graph = odd(ResidualChain, torch.float64)
    nothing = graph.removed(None)
    with pytest.raises(ValueError, match=r"left of stem\.0: only whole residual branches can go"):
        plan_without(graph, nothing, ["stem.0"])
    with pytest.raises(ValueError, match=r"left of blocks\.0\.1: only whole .*'blocks\.2\.1'\]"):
        plan_without(graph, nothing, ["blocks.0.1"])
    with pytest.raises(ValueError, match="left of nowhere"):
        plan_without(graph, nothing, ["nowhere"])
    plan = Plan({"stem.0": ()}, {"stem.0": 12})
    for use in (graph.parameters, graph.multiply_adds, lambda plan: compact(graph, plan)):
        with pytest.raises(ValueError, match=r"nothing would be left of stem\.0"):
            use(plan)
    with pytest.raises(ValueError, match=r"the plan is for 9 filters in blocks\.0\.1"):
        compact(
            graph,
            Plan({"blocks.0.0.0": (), "blocks.0.1": ()}, {"blocks.0.0.0": 8, "blocks.0.1": 9}),
        )


def test_one_operand_of_an_addition_must_stay():
    _, _, graph = odd(TwoInParallel, torch.float64)
    with pytest.raises(ValueError, match=r"\['a\.0'\] and \['b'\] cannot both go: no shortcut"):
        plan_without(graph, graph.removed(None), ["a.0", "b"])
    _, _, graph = odd(NestedResidual, torch.float64)
    with pytest.raises(ValueError, match="cannot both go"):
        plan_without(graph, graph.removed(None), ["a.0", "b.0", "c", "project"])


def test_plans_of_branches_are_written_and_read():
    plan = Plan({"a": (0, 2), "b.c": ()}, {"a": 3, "b.c": 2})
    assert plan.gone == ("b.c",)
    assert Plan.from_json(plan.to_json()) == plan


def test_a_branch_died_if_a_layer_that_all_goes_through_is_zero():
    net = copy.deepcopy(odd(SqueezeAndExcitation, torch.float64)[0])
    graph = trace(net, torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    assert [branch.through for branch in graph.branches] == [("a.0",)]
    assert dead_groups.dead_branches(graph) == ()
    with torch.no_grad():
        net.up.weight.zero_()  # the gate still lets half of the signal pass
        assert dead_groups.dead_branches(graph) == ()
        net.a[0].weight.zero_()
    assert dead_groups.dead_branches(graph) == ("a.0", "down", "up")


def test_all_dead_layers_of_a_branch_name_it_once_and_two_dead_operands_are_refused():
    net = copy.deepcopy(odd(NestedResidual, torch.float64)[0])
    graph = trace(net, torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    with torch.no_grad():
        net.b[0].weight.zero_()
        assert dead_groups.dead_branches(graph) == ("b.0",)
        net.c.weight.zero_()
        assert sorted(dead_groups.dead_branches(graph)) == ["a.0", "b.0", "c"]
        net.project.weight.zero_()
    with pytest.raises(ValueError, match="cannot both go"):
        dead_groups.dead_branches(graph)


def test_what_a_dead_branch_still_adds_is_a_constant_and_goes_with_it():
    net, inputs, _ = odd(ResidualChain, torch.float64)
    net = copy.deepcopy(net).eval()
    block = net.blocks[1]
    with torch.no_grad():
        block[1].weight.zero_()
        added = block(torch.rand(2, 12, 8, 8, dtype=torch.float64))
    constant = added[:1, :, :1, :1]
    assert constant.abs().min() > 0
    torch.testing.assert_close(added, constant.expand_as(added))
    graph = trace(net, inputs[0])
    small = compact(
        graph, plan_without(graph, graph.removed(None), dead_groups.dead_branches(graph))
    )
    assert not torch.allclose(run(small, inputs), run(net, inputs))
    with torch.no_grad():  # without the constant there is no difference
        block[2].bias.copy_(
            (block[2].running_mean - block[1].bias)
            * block[2].weight
            / (block[2].running_var + block[2].eps).sqrt()
        )
    torch.testing.assert_close(run(small, inputs), run(net, inputs))


def test_prices_on_depth_kill_branches_that_surgery_then_removes():
    torch.manual_seed(0)
    net = ResidualChain()
    graph = trace(net, torch.zeros(1, 3, 8, 8))
    prices = {f"blocks.{i}.1": {"depth": price} for i, price in enumerate((0.0, 3.0, 3.0))}
    step = ssl.ProximalStep(net, prices)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    X, y = torch.randn(16, 3, 8, 8), torch.arange(16) % 5
    for number in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(X), y).backward()
        optimizer.step()
        step.after_step(SimpleNamespace(model=net, optimizer=optimizer, number=number, steps=30))
    dead = dead_groups.dead_branches(graph)
    assert dead == ("blocks.1.0.0", "blocks.1.1", "blocks.2.0.0", "blocks.2.1")
    small = compact(graph, plan_without(graph, graph.removed(None), dead)).eval()
    assert costs.count(small, (3, 8, 8)).totals.parameters < graph.parameters()


class BlockAroundOneLayer(nn.Module):
    """A block whose forward adds, with no module of its own but one convolution."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        return x + self.conv(x)


def test_a_block_stays_callable_when_its_only_layer_has_gone():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = BlockAroundOneLayer()
            self.head = nn.Conv2d(4, 2, 1)

        def forward(self, x):
            return self.head(self.block(x))

    net, x = Two().eval(), torch.randn(2, 4, 5, 5)
    graph = trace(net, x)
    small = compact(graph, plan_without(graph, graph.removed(None), ("block.conv",)))
    assert not list(small.block.children())
    torch.testing.assert_close(small(x), net.head(x))


def test_an_interrupted_save_leaves_the_older_network(tmp_path, monkeypatch):
    net, x = ResidualChain().eval(), torch.zeros(1, 3, 8, 8)
    graph = trace(net, x)
    plan = plan_without(graph, graph.removed(None))
    save(tmp_path, compact(graph, plan), plan)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(Plan, "to_json", lambda plan: 1 / 0)
    other = select(graph, criteria.random(graph), 0.5, by="filters", scope="layer")
    with pytest.raises(ZeroDivisionError):
        save(tmp_path, compact(graph, other), other)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
