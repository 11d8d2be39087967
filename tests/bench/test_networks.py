"""What `bench networks` prunes, checks and prints, on times that are made up or very short."""

import json
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from sparsecourse import costs, nets, papers
from sparsecourse.bench import networks
from sparsecourse.cli import main
from sparsecourse.nets.chain import network
from sparsecourse.pruning import criteria
from sparsecourse.pruning.graph import trace
from sparsecourse.pruning.selection import select
from sparsecourse.timing.measuring import Measurement

BY_NAME = {(case.network, case.plan): case for case in networks.CASES}


def took(*seconds):
    return Measurement(seconds, len(seconds), threads=2, device="CPU x", is_settled=True)


@pytest.fixture
def timed():
    """A quarter of the multiply-adds: twice as fast alone, five times as fast in a batch."""
    return networks.Timed(
        "net",
        "plan",
        parameters=(1000, 310),
        multiply_adds=(8000, 2000),
        times={1: (took(3.0, 4.0, 5.0), took(1.0, 2.0, 3.0)), 64: (took(5.0), took(1.0))},
    )


@pytest.fixture
def quick(monkeypatch):
    """Next to no time for each network, and two cases only."""
    monkeypatch.setattr(networks, "SECONDS", 1e-4)
    monkeypatch.setattr(networks, "BATCHES", (1, 2))
    monkeypatch.setattr("sparsecourse.timing.measuring.WARM_UP", 1e-4)
    chosen = (
        BY_NAME["LeNet-5", "SSL: 3 and 12 filters"],
        BY_NAME["LeNet-5", "SSL: 7 and 14 columns"],
    )
    monkeypatch.setattr(networks, "CASES", chosen)
    return chosen


def pruned(case):
    torch.manual_seed(0)
    net = case.make().eval()
    return net, *case.prune(net)


@pytest.mark.parametrize("case", networks.CASES, ids=lambda case: f"{case.network}, {case.plan}")
def test_small_networks_put_out_what_masked_ones_do_and_not_what_dense_ones_do(case):
    torch.manual_seed(0)
    net = networks.with_random_weights(case.make()).eval()
    masked, small = case.prune(net)
    X = torch.randn(2, *net.input_shape)
    with torch.no_grad():
        dense, expected, found = net(X), masked(X), small(X)
    assert (found - expected).abs().max() <= 1e-4 * expected.abs().max()
    assert (expected - dense).abs().max() > 1e-2 * dense.abs().max()


@pytest.mark.parametrize("case", networks.CASES, ids=lambda case: f"{case.network}, {case.plan}")
def test_plans_leave_what_their_names_say(case):
    net, _, small = pruned(case)
    left = (
        costs.count(small, net.input_shape).totals.multiply_adds
        / costs.count(net, net.input_shape).totals.multiply_adds
    )
    if case.plan.startswith("half") and "filters" not in case.plan:
        assert 0.45 < left <= 0.5
    layers = {name: m for name, m in small.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    if case.plan == "half of the filters":
        widths = [module.weight.shape[0] for module in layers.values()]
        assert widths == [10, 25, 250, 10]
    if case.plan == "SSL: 3 and 12 filters":
        assert [layers[name].out_channels for name in ("conv1", "conv2")] == [3, 12]
    if case.plan == "SSL: 7 and 14 columns":
        assert layers["conv1.product"].weight.shape == (20, 7, 1, 1)
        assert layers["conv2.product"].weight.shape == (50, 14, 1, 1)
        assert int(small.conv2.columns.is_left.any(-1).any(-1).sum()) == 1  # channel
    if case.plan == "half, in sixteens":
        assert {m.weight.shape[0] % 16 for m in layers.values() if m.weight.ndim == 4} == {0}


@pytest.mark.parametrize(
    ("network", "plan", "model", "published"),
    [
        ("VGG-16", "Li et al., A", "VGG-16-pruned-A", 34.2),
        ("ResNet-56", "Li et al., A", "ResNet-56-pruned-A", 10.4),
        ("ResNet-56", "Li et al., B", "ResNet-56-pruned-B", 27.6),
    ],
)
def test_published_plans_save_what_the_paper_prints(network, plan, model, published):
    table = papers.table("li2017_filter_pruning").frame.set_index("model")
    assert float(table.loc[model, "flop_pruned_percent"]) == published
    net, _, small = pruned(BY_NAME[network, plan])
    dense, left = (costs.count(m, net.input_shape).totals.multiply_adds for m in (net, small))
    assert 100 * (1 - left / dense) == pytest.approx(published, abs=0.1)


def test_masks_zero_what_layers_read_and_leave_the_network_itself_alone():
    torch.manual_seed(0)
    net = network(
        (1, 4, 4), conv=nn.Conv2d(1, 3, 3), relu=nn.ReLU(), flat=nn.Flatten(), fc=nn.Linear(12, 2)
    )
    with torch.no_grad():
        net.conv.weight[1] = 0  # the smallest: it goes
        net.conv.bias[1] = 5  # and would be seen if it did not
    before = {name: value.clone() for name, value in net.state_dict().items()}
    masked, small = networks.without_filters(
        net,
        lambda graph: select(
            graph, criteria.l1(graph), {"conv": 2 / 3}, by="filters", scope="layer"
        ),
    )
    X = torch.randn(5, 1, 4, 4)
    with torch.no_grad():
        hidden = net.flat(net.relu(net.conv(X)))
        hidden[:, 4:8] = 0
        expected = net.fc(hidden)
        assert torch.allclose(masked(X), expected, atol=1e-6)
        assert torch.allclose(small(X), expected, atol=1e-6)
        assert not torch.allclose(net(X), expected, atol=1e-2)
    assert small.conv.out_channels == 2
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_small_network_of_other_outputs_is_not_timed(quick, monkeypatch):
    def wrong(net):
        masked, small = quick[0].prune(net)
        with torch.no_grad():
            small.conv1.weight[0] *= 1.1
        return masked, small

    monkeypatch.setattr(networks, "CASES", (replace(quick[0], prune=wrong),))
    with pytest.raises(networks.DifferentOutputsError, match="LeNet-5, SSL: 3 and 12 filters"):
        next(networks.measure("cpu", 1))


def test_random_weights_neither_die_out_nor_overflow_in_deep_networks():
    torch.manual_seed(0)
    for make in (nets.vgg16_cifar, nets.resnet56, partial(nets.mobilenet, resolution=96)):
        net = networks.with_random_weights(make()).eval()
        with torch.no_grad():
            scores = net(torch.randn(2, *net.input_shape))
        assert 1e-3 < float((scores[0] - scores[1]).abs().max()) < 1e12


def test_what_is_realised_is_the_measured_speedup_over_the_counted_one(timed):
    assert timed.theory == 4
    assert timed.speedup(1).ratio == 2
    assert (timed.speedup(1).lower, timed.speedup(1).upper) == (3.5 / 2.5, 4.5 / 1.5)
    assert timed.realised(1) == 0.5
    assert timed.realised(64) == 1.25


def test_a_line_has_counts_and_for_each_batch_the_speedup_its_quartiles_and_its_share(timed):
    line = networks.in_a_line(timed).split()
    assert line[:5] == ["net", "plan", "31.0%", "25.0%", "4.00x"]
    assert line[5:8] == ["2.00x", "1.40-3.00", "50%"]
    assert line[8:] == ["5.00x", "5.00-5.00", "125%"]


def test_titles_stand_over_their_columns(timed):
    *_, above, title = networks.heading().splitlines()
    line = networks.in_a_line(timed)
    assert len(title) == len(line)
    for batch, words in ((1, "2.00x"), (64, "5.00x")):
        start = above.index(f"{batch} at a time")
        assert line.index(words) - 3 <= start <= line.index(words) + 25


def test_the_file_has_every_figure_and_replaces_the_old_one_whole(timed, tmp_path):
    path = tmp_path / "networks.json"
    path.write_text("what was there before")
    networks.store(path, [timed])
    stored = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert list(tmp_path.iterdir()) == [path]
    assert stored["threads"] == 2
    assert stored["measured_on"] == "CPU x"
    assert stored["versions"]["torch"] == torch.__version__
    (row,) = stored["networks"]
    assert (row["dense_parameters"], row["parameters"]) == (1000, 310)
    assert (row["dense_multiply_adds"], row["multiply_adds"], row["theory"]) == (8000, 2000, 4)
    alone, together = row["batches"]
    assert (alone["batch"], together["batch"]) == (1, 64)
    assert alone["dense_seconds"] == [3.5, 4.0, 4.5]
    assert alone["small_seconds"] == [1.5, 2.0, 2.5]
    assert (alone["speedup"], alone["realised"]) == (2, 0.5)


def test_counts_are_those_of_the_traced_network(quick):
    for case, timed in zip(quick, networks.measure("cpu", 1), strict=True):
        graph = trace(nets.lenet5(), torch.empty(1, 1, 28, 28))
        assert timed.parameters[0] == graph.parameters()
        assert timed.multiply_adds[0] == graph.multiply_adds()
        assert timed.multiply_adds[1] < timed.multiply_adds[0]
        assert list(timed.times) == [1, 2]
        for dense, small in timed.times.values():
            assert (dense.threads, small.threads) == (1, 1)
        assert (timed.network, timed.plan) == (case.network, case.plan)
    # 3 and 12 filters: by hand, with biases.
    first = next(networks.measure("cpu", 1))
    assert first.multiply_adds[1] == 576 * 25 * 3 + 64 * 25 * 3 * 12 + 192 * 500 + 5000
    assert first.parameters[1] == 3 * 26 + 12 * 76 + 193 * 500 + 5010


def test_both_networks_run_on_batches_of_the_sizes_said(quick, monkeypatch):
    sizes = {}

    def watched(net):
        masked, small = quick[0].prune(net)
        for name, model in (("dense", net), ("small", small)):
            model.register_forward_pre_hook(
                lambda _, x, n=name: sizes.setdefault(n, set()).add(len(x[0]))
            )
        return masked, small

    monkeypatch.setattr(networks, "CASES", (replace(quick[0], prune=watched),))
    monkeypatch.setattr(networks, "BATCHES", (2, 3))
    (timed,) = networks.measure("cpu", 1)
    assert list(timed.times) == [2, 3]
    of_the_counts_and_the_check = {1, networks.CHECKED}
    for seen in sizes.values():
        assert seen - of_the_counts_and_the_check == {2, 3}
    assert set(sizes) == {"dense", "small"}


def test_measuring_draws_nothing_from_torchs_generator(quick):
    state = torch.get_rng_state()
    list(networks.measure("cpu", 1))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("device", "threads"), [("tpu", 1), ("cpu", 0)])
def test_bad_devices_and_threads_are_refused(quick, device, threads):
    with pytest.raises(ValueError, match=r"(device|threads) must be"):
        list(networks.measure(device, threads))


def test_the_command_warns_prints_and_stores(quick, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sparsecourse.timing.busy", lambda: 0.8)
    path = tmp_path / "networks.json"
    assert main(["bench", "networks", "--threads", "1", "--json", str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("80% of this machine is in use by others")
    assert printed.count("LeNet-5") == 2
    assert ", 1 thread, torch " in printed.splitlines()[-1]
    stored = json.loads(path.read_text())
    assert [row["plan"] for row in stored["networks"]] == [case.plan for case in quick]
    assert stored["threads"] == 1
