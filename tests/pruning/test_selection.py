"""Plans: chosen within a budget, checked, written and read."""

import math

import pytest
import torch
from torch import nn

from sparsecourse import costs, papers
from sparsecourse.nets import NETS
from sparsecourse.papers.published import printed
from sparsecourse.pruning import criteria
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.selection import Plan, select
from sparsecourse.pruning.surgery import compact
from tests.pruning.odd_nets import FOLLOWED, ChunkAndShuffle, Grouped, PaddedShortcut, ResidualChain


def traced(kind):
    torch.manual_seed(0)
    return trace(kind(), tuple(torch.zeros(shape) for shape in FOLLOWED[kind]))


def perceptron():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2, bias=False)
    )
    return trace(net, torch.zeros(1, 4))


SCORES = {
    "0": torch.tensor([5.0, 1, 4, 2, 6, 3]),
    "2": torch.tensor([50.0, 10, 40, 20, 30]),
    "4": torch.tensor([0.0, 0]),
}


def test_each_layer_keeps_its_share_of_the_highest_scores():
    plan = select(perceptron(), SCORES, 0.5, by="filters", scope="layer")
    assert plan == Plan({"0": (0, 2, 4), "2": (0, 2)}, {"0": 6, "2": 5})


def test_the_lowest_of_all_layers_go_until_the_budget_is_met():
    graph = perceptron()
    # Parameters: 5 n + (n + 1) m + 2 m with n and m neurons; 75 dense. Scores of "0" are lowest.
    assert graph.parameters() == 30 + 35 + 10
    for keep, kept in ((1, 6), (65 / 75, 5), (64 / 75, 4), (35 / 75, 2), (25 / 75, 1)):
        plan = select(graph, SCORES, keep, by="parameters")
        assert len(plan.kept.get("0", range(6))) == kept
        assert "2" not in plan.kept
    plan = select(graph, SCORES, 24 / 75, by="parameters")
    assert plan.kept == {"0": (4,), "2": (0, 2, 3, 4)}


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_of_equal_scores_the_earlier_filter_stays(scope):
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    graph = trace(net, torch.empty(1, 3))
    scores = {"0": torch.tensor([6.0, 4.0, 9.0, 4.0, 5.0])}
    plan = select(graph, scores, 6 / 7, by="filters", scope=scope)
    assert plan.kept["0"] == (0, 1, 2, 4)


def test_layers_are_never_emptied_and_impossible_budgets_are_refused():
    graph = perceptron()
    plan = select(graph, SCORES, 9 / 75, by="parameters")
    assert plan.kept == {"0": (4,), "2": (0,)}
    with pytest.raises(
        ValueError, match=r"keep = 0\.1 of the parameters cannot be met.*0\.1200 is left"
    ):
        select(graph, SCORES, 0.1, by="parameters")
    plan = select(graph, SCORES, 0, by="filters", scope="layer")
    assert plan.kept == {"0": (4,), "2": (0,)}


def test_half_of_a_layer_that_alone_feeds_another_is_not_emptied():
    graph = traced(ChunkAndShuffle)
    scores = {"stem.0": torch.arange(12.0)}  # the lowest six are all that passes by
    plan = select(graph, scores, 0.25, by="filters", scope="layer")
    compact(graph, plan)(torch.zeros(2, 3, 8, 8))
    assert min(plan.kept["stem.0"]) == 5


def test_one_share_for_all_layers_meets_a_budget():
    graph = traced(ResidualChain)
    plan = select(graph, criteria.l1(graph), 0.5, scope="layer")
    shares = {len(plan.kept[name]) / plan.filters[name] for name in plan.kept}
    assert max(shares) - min(shares) < 1 / 8
    assert 0.4 < graph.multiply_adds(plan) / graph.multiply_adds() <= 0.5


def test_filters_that_go_together_are_ranked_by_their_mean():
    graph = traced(PaddedShortcut)
    scores = {"stem.0": torch.zeros(12), "a": torch.arange(18.0) + 2}
    scores["stem.0"][0] = 100  # with a[2], whose own score is 4: mean 52
    plan = select(graph, scores, {"stem.0": 1 / 12}, by="filters", scope="layer")
    assert plan.kept == {"stem.0": (0,), "a": (0, 1, 2, 14, 15, 16, 17)}


def test_layers_without_scores_stay():
    plan = select(perceptron(), {"2": SCORES["2"]}, 0.5, by="filters", scope="layer")
    assert list(plan.kept) == ["2"]


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_numbers_of_filters_are_multiples(scope):
    graph = trace(NETS["resnet20"](), torch.zeros(1, 3, 32, 32))
    plan = select(graph, criteria.l1(graph), 0.6, scope=scope, multiple_of=8)
    assert {len(kept) % 8 for kept in plan.kept.values()} == {0}
    assert graph.multiply_adds(plan) <= 0.6 * graph.multiply_adds()
    grouped = traced(Grouped)
    plan = select(grouped, criteria.l1(grouped), 0.55, by="filters", scope="layer", multiple_of=8)
    # 16 filters in 4 groups become 8. Of the others 3 or 12 go at once, never 8 of them.
    assert {name: len(kept) for name, kept in plan.kept.items()} == {"b.0": 8}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": 1.5}, "keep must be between 0 and 1"),
        ({"scope": "net"}, "scope must be 'global' or 'layer'"),
        ({"by": "bytes"}, "by must be one of"),
        ({"multiple_of": 0}, "multiple_of must be >= 1"),
        ({"keep": {"0": 0.5}}, 'needs by="filters" and scope="layer"'),
        ({"keep": {"x": 0.5}, "by": "filters", "scope": "layer"}, "keep names"),
        ({"keep": {"4": 0.5}, "by": "filters", "scope": "layer"}, "because it is an output"),
        ({"scores": {"x": torch.ones(2)}}, "scores names"),
        ({"scores": {"0": torch.ones(2)}}, "one number for each of 6 filters"),
        ({"scores": {"0": torch.full((6,), math.nan)}}, "scores of 0 must be finite"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        select(**{"graph": perceptron(), "scores": SCORES, **arguments})


def test_layers_that_share_channels_need_one_share():
    graph = traced(ResidualChain)
    keep = {"stem.0": 0.5, "blocks.0.1": 0.25}
    with pytest.raises(ValueError, match=r"share channels, and need one share.*stem\.0.*0\.25"):
        select(graph, criteria.l1(graph), keep, by="filters", scope="layer")


def test_plans_are_written_and_read():
    plan = Plan({"a": (0, 2), "b.c": (1,)}, {"a": 3, "b.c": 2})
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "a plan is a JSON object"),
        ("[1]", "a plan is a JSON object"),
        ('{"a": {"kept": [0]}}', "a plan is a JSON object"),
        (
            '{"a": {"filters": 2, "kept": [0, 2]}}',
            "a: the filters kept must be some of 0 to 1",
        ),
        ('{"a": {"filters": 2, "kept": [1, 0]}}', "ascending"),
        ('{"a": {"filters": 2, "kept": [0.5]}}', "whole number"),
    ],
)
def test_bad_plans_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        Plan.from_json(text)


def test_plans_name_the_same_layers_twice():
    with pytest.raises(ValueError, match="must name the same layers"):
        Plan({"a": (0,)}, {"b": 2})


# Li et al., ICLR 2017. A share p of n filters is removed as ceil(p n), and layers are counted from
# the first convolution: the first convolutions of the blocks are 2, 4, ... Rates and skipped layers
# are the paper's; rounding up is the one choice that gives all of their counts, which are of weights
# without batch normalisation. Their percentages are met to 0.1.
def li2017(name, cuts, skipped):
    with torch.device("meta"):
        net = NETS[name]()
    graph = trace(net, torch.empty(1, 3, 32, 32))
    n = len(net.stage1)
    shares = {}
    for block in range(3 * n):
        layer = f"stage{block // n + 1}.{block % n}.conv1"
        filters = 16 * 2 ** (block // n)
        if 2 + 2 * block not in skipped:
            shares[layer] = (filters - math.ceil(round(cuts[block // n] * filters, 6))) / filters
    return graph, shares


@pytest.mark.parametrize(
    ("row", "cuts", "skipped"),
    [
        ("ResNet-56-pruned-A", (0.1, 0.1, 0.1), {16, 20, 38, 54}),
        ("ResNet-56-pruned-B", (0.6, 0.3, 0.1), {16, 18, 20, 34, 38, 54}),
        ("ResNet-110-pruned-A", (0.5, 0, 0), {36}),
        ("ResNet-110-pruned-B", (0.5, 0.4, 0.3), {36, 38, 74}),
    ],
)
def test_plans_of_li_et_al_for_resnets_have_their_counts(row, cuts, skipped):
    graph, shares = li2017(row.split("-pruned")[0].replace("-", "").lower(), cuts, skipped)
    plan = select(graph, criteria.random(graph), shares, by="filters", scope="layer")
    table = printed("li2017_filter_pruning").set_index("model").loc[row]
    before = costs.count(graph.model, (3, 32, 32)).totals
    after = costs.count(compact(graph, plan), (3, 32, 32)).totals
    for kind, column in (("multiply_adds", "flop"), ("weights", "parameters")):
        left, dense = getattr(after, kind), getattr(before, kind)
        digits = len(table[column].partition("e")[0].replace(".", ""))
        assert float(f"{left:.{digits - 1}e}") == float(table[column])
        percent = 100 * (1 - left / dense)
        assert percent == pytest.approx(float(table[f"{column}_pruned_percent"]), abs=0.1)


def test_plan_of_li_et_al_for_vgg16_has_their_whole_table():
    table = papers.table("li2017_vgg16_layers").frame[:-1]
    with torch.device("meta"):
        net = NETS["vgg16_cifar"]()
    graph = trace(net, torch.empty(1, 3, 32, 32))
    shares = {
        name: maps_left / maps
        for name, maps, maps_left in zip(
            graph.layers, table["maps"], table["maps_pruned"], strict=True
        )
    }
    plan = select(graph, criteria.random(graph), shares, by="filters", scope="layer")
    layers = [
        [layer for layer in costs.count(model, (3, 32, 32)).layers if layer.weights]
        for model in (net, compact(graph, plan))
    ]
    for row, before, after in zip(table.to_dict("records"), *layers, strict=True):
        assert after.output_shape[0] == row["maps_pruned"]
        percent = 100 * (1 - after.multiply_adds / before.multiply_adds)
        assert round(percent) == row["flop_pruned_percent"]
    totals = printed("li2017_filter_pruning").set_index("model").loc["VGG-16-pruned-A"]
    assert f"{graph.multiply_adds(plan):.2e}".replace("e+0", "e") == totals["flop"]
    assert f"{graph.parameters(plan):.1e}".replace("e+0", "e") == totals["parameters"]
    for cost, column in ((graph.multiply_adds, "flop"), (graph.parameters, "parameters")):
        percent = 100 * (1 - cost(plan) / cost())
        assert f"{percent:.1f}" == totals[f"{column}_pruned_percent"]
