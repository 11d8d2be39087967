"""Structured sparsity learning on CIFAR-10, tried on patterns: what is counted, removed, compared."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.optim import SGD

from sparsecourse import costs, nets, papers, timing
from sparsecourse.experiments import cifar, wen2016, wen2016_cifar
from sparsecourse.experiments.han2015 import new
from sparsecourse.experiments.wen2016 import compacted
from sparsecourse.pruning import dead_groups, masks, ssl
from sparsecourse.pruning.shapes import GatheredColumns
from sparsecourse.training import error, fit
from tests.experiments.few_images import few_images

FEW = few_images()
CPU = torch.device("cpu")
STAGE_WIDTHS = {"stage1": (16, 32), "stage2": (32, 16), "stage3": (64, 8)}  # filters, image size


@pytest.fixture(autouse=True)
def _patterns(monkeypatch):
    monkeypatch.setattr(cifar.data, "load", lambda name: FEW)


def test_images_are_standardised_by_the_training_images_that_are_used():
    loaded = cifar.load(train=20, test=8)
    X = loaded.train.X
    assert X.shape == (20, 3, 32, 32)
    for colour in range(3):
        pixels = FEW.train.X[:20, colour].astype(np.float64).ravel()
        mean = pixels.sum() / len(pixels)
        deviation = (((pixels - mean) ** 2).sum() / len(pixels)) ** 0.5
        for part, n in {"train": 20, "validation": 16, "test": 8}.items():
            given, standardised = getattr(FEW, part), getattr(loaded, part)
            expected = (given.X[:n, colour] - mean) / deviation
            np.testing.assert_allclose(standardised.X[:, colour], expected, atol=1e-4)
            assert standardised.y.tolist() == given.y[:n].tolist()
    assert len(cifar.load().train.y) == 64
    with pytest.raises(ValueError, match="train must be 1 to 64 images, got 65"):
        cifar.load(train=65)


def test_each_image_is_a_crop_of_its_own_mirrored_or_not():
    X = torch.rand(40, 3, 8, 6)
    padded = np.pad(X.numpy(), ((0, 0), (0, 0), (4, 4), (4, 4)))
    drawn = []
    for n, image in enumerate(cifar.crop_and_flip(X).numpy()):
        found = [
            (down, right, mirrored)
            for down in range(9)
            for right in range(9)
            for mirrored in (False, True)
            for crop in [padded[n, :, down : down + 8, right : right + 6]]
            if np.array_equal(image, crop[:, :, ::-1] if mirrored else crop)
        ]
        assert len(found) == 1
        drawn += found
    down, right, mirrored = zip(*drawn, strict=True)
    assert len(set(down)) > 5
    assert len(set(right)) > 5
    assert 5 < sum(mirrored) < 35


def test_the_limits_are_the_papers_rows_and_columns():
    left = {
        (row, kind): tuple(
            limit[kind]
            for limit in wen2016_cifar.published_limits(nets.convnet(), row, kind).values()
        )
        for row in ("2", "3")
        for kind in ("filters", "shapes")
    }
    # Of 32, 32 and 64 rows and 75, 800 and 800 columns, counted by hand.
    assert left == {
        ("2", "filters"): (16, 23, 63),
        ("3", "filters"): (22, 32, 63),
        ("2", "shapes"): (75, 326, 519),
        ("3", "shapes"): (75, 458, 722),
    }


def test_the_compacted_convnet_is_the_masked_one_and_costs_what_is_left():
    model = new(nets.convnet, seed=0)
    left = masks.masks_of(model)
    left["conv1"][[0, 4, 9]] = False
    left["conv2"][5:12] = False
    left["conv2"][:, 20, 1:4] = False
    left["conv3"][63] = False
    left["conv3"][:, 30, 2, 2] = False
    masks.apply(model, dead_groups.connect(left, wen2016_cifar.FOLLOWING))
    small = compacted(model)
    gathered = wen2016_cifar._without_dead_columns(small)
    X = torch.rand(4, 3, 32, 32)
    for smaller in (small, gathered):
        torch.testing.assert_close(smaller(X), model(X), atol=1e-5, rtol=1e-5)
    assert isinstance(gathered.conv1, torch.nn.Conv2d), "it has no dead column"
    assert isinstance(gathered.conv2.columns, GatheredColumns)
    found = {layer.name: layer.multiply_adds for layer in costs.count(gathered, (3, 32, 32)).layers}
    assert found["conv1"] == 29 * 75 * 32 * 32
    assert found["conv2.product"] == 25 * (29 * 25 - 15) * 16 * 16
    assert found["conv3.product"] == 63 * (25 * 25 - 1) * 8 * 8
    assert found["fc1"] == 63 * 16 * 64
    # The table's columns have what died with a neighbour, as the paper's have.
    sparsities = wen2016_cifar._sparsities(nets.convnet(), dead_groups.counts(model))
    assert sparsities["conv1_row_sparsity_percent"] == pytest.approx(100 * 3 / 32)
    assert sparsities["conv2_column_sparsity_percent"] == pytest.approx(100 * (75 + 15) / 800)
    assert sparsities["conv3_column_sparsity_percent"] == pytest.approx(100 * (175 + 1) / 800)
    assert sparsities["conv2_flop_percent"] == pytest.approx(100 * 25 * 710 / (32 * 800))


def resnet(seed=0):
    """ResNet-20 whose normalisations differ from their initial values."""
    model = new(nets.resnet20, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
                module.running_mean.uniform_(-0.1, 0.1)
    return model


def silence(model, names):
    for name in names:
        torch.nn.init.zeros_(model.get_submodule(name).norm2.weight)
        torch.nn.init.zeros_(model.get_submodule(name).norm2.bias)


def test_a_network_without_its_dead_branches_computes_the_same_with_less():
    model = resnet()
    names = list(wen2016_cifar.branches(model))
    assert names == [f"stage{stage}.{at}" for stage in (1, 2, 3) for at in range(3)]
    gone = ["stage1.2", "stage2.0", "stage3.0", "stage3.1"]  # where the size changes, too
    silence(model, gone)
    assert wen2016_cifar.dead_branches(model) == gone
    small = wen2016_cifar.without_branches(model, gone)
    X = torch.rand(4, 3, 32, 32)
    for mode in (True, False):  # with the statistics of a batch, too
        expected = copy.deepcopy(model).train(mode)(X)
        torch.testing.assert_close(copy.deepcopy(small).train(mode)(X), expected)
    assert len(wen2016_cifar.branches(model)) == 9, "it stays as it is"
    saved = 0
    for name in gone:
        width, size = STAGE_WIDTHS[name[:6]]
        halves = 1 if name[-1] == "0" else 2  # of half as many channels, the first convolution
        saved += 9 * size**2 * width * (width * halves // 2 + width)
    assert wen2016_cifar._multiply_adds(model) - wen2016_cifar._multiply_adds(small) == saved


class Moved:
    """What the hook is given after a step, without one."""

    number, steps = 50, 100

    def __init__(self, model, learning_rate):
        self.model = model
        self.optimizer = SGD(model.parameters(), lr=learning_rate)


def test_a_step_shrinks_every_branch_by_the_price_of_its_size():
    model = resnet()
    before = copy.deepcopy(model)
    hook = wen2016_cifar.BranchPrice(model, price=0.4, until=2, schedule=ssl.warm_up(1.0))
    hook.after_step(Moved(model, learning_rate=0.1))
    for name, (width, _) in ((n, STAGE_WIDTHS[n[:6]]) for n in wen2016_cifar.branches(model)):
        was, now = (
            np.concatenate([norm.weight.detach().numpy(), norm.bias.detach().numpy()])
            for norm in (net.get_submodule(name).norm2 for net in (before, model))
        )
        shrunk_by = 0.1 * 0.5 * 0.4 * (2 * width) ** 0.5  # half of the steps are done
        length = np.sqrt((was**2).sum())
        np.testing.assert_allclose(now, was * (1 - shrunk_by / length), rtol=1e-4)
    changed = {
        name
        for name, value in model.state_dict().items()
        if not torch.equal(value, before.state_dict()[name])
    }
    assert {name.rsplit(".", 2)[1] for name in changed} == {"norm2"}


@pytest.mark.parametrize("until", [1, 6, 8])
def test_no_price_leaves_fewer_branches_than_asked_for(until):
    model = resnet()
    lengths = {
        name: sum(p.detach().square().mean().item() for p in block.norm2.parameters())
        for name, block in wen2016_cifar.branches(model).items()
    }
    hook = wen2016_cifar.BranchPrice(model, price=1e6, until=until)
    hook.after_step(Moved(model, learning_rate=0.1))
    dead = wen2016_cifar.dead_branches(model)
    assert set(dead) == set(sorted(lengths, key=lengths.get)[: 9 - until])
    # The loss pulls at all of them; the dead stay dead, and the others have no price any more.
    before = {name: p.detach().clone().add_(1) for name, p in model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    hook.after_step(Moved(model, learning_rate=0.1))
    assert wen2016_cifar.dead_branches(model) == dead
    living = [name for name in before if name.rsplit(".", 2)[0] not in dead]
    for name in living:
        torch.testing.assert_close(model.get_parameter(name), before[name])
    with pytest.raises(ValueError, match="until must be at least 1, got 0"):
        wen2016_cifar.BranchPrice(model, price=1.0, until=0)
    with pytest.raises(ValueError, match="must have residual blocks, Sequential has none"):
        wen2016_cifar.BranchPrice(nets.convnet(), price=1.0, until=1)


TINY = {
    wen2016_cifar.CONVNET: {"dense_epochs": 1, "learning_epochs": 3, "tuning_epochs": 1},
    wen2016_cifar.DEPTH: {
        "plain_depths": (20,),
        "batch_size": 32,
        "dense_epochs": 1,
        "learning_epochs": 1,
        "tuning_epochs": 1,
        "price": 1e6,
    },
}


def run_on_patterns(monkeypatch, work, settings):
    """The whole run; the networks that were tested, by row."""
    tested = []

    def watched(model, X, y, **where):
        assert len(y) == len(FEW.test.y)
        assert y is cifar.data.load("cifar10").test.y
        tested.append(copy.deepcopy(model))
        return error(model, X, y, **where)

    monkeypatch.setattr(wen2016_cifar, "error", watched)
    rows = work(replace(settings, **TINY[settings]), 0, CPU)
    assert len(tested) == len(rows), "test data are read once a row"
    assert all(0 <= found["error_percent"] <= 100 for found in rows.values())
    return rows, dict(zip(rows, tested, strict=True))


def test_convnet_ends_with_no_more_rows_and_columns_than_the_papers(monkeypatch):
    monkeypatch.setattr(wen2016_cifar, "PRICE", 1e4)
    quick = partial(timing.measure_in_turn, at_most=0.01)
    monkeypatch.setattr(wen2016.timing, "measure_in_turn", quick)
    monkeypatch.setattr(wen2016, "fit", lambda *a, batch_size=8, **s: fit(*a, batch_size=8, **s))
    rows, tested = run_on_patterns(monkeypatch, wen2016_cifar._convnet, wen2016_cifar.CONVNET)
    table = papers.table("ssl_convnet_cifar10").frame.set_index("convnet")
    assert set(rows) == {*table.index, "1, trained further"}
    assert set(rows["1 (baseline)"]) == set(rows["1, trained further"]) == {"error_percent"}
    for row in ("2", "3"):
        weights = [
            layer.weight.detach() for layer in tested[row].children() if hasattr(layer, "weight")
        ]
        for at, (layer, whole) in enumerate({"conv1": 75, "conv2": 800, "conv3": 800}.items()):
            found = rows[row]
            filters, columns = weights[at].shape[0], int((weights[at] != 0).any(0).sum())
            n = (32, 32, 64)[at]
            assert found[f"{layer}_row_sparsity_percent"] == pytest.approx(100 - 100 * filters / n)
            assert found[f"{layer}_column_sparsity_percent"] == pytest.approx(
                100 - 100 * columns / whole
            )
            for kind in ("row", "column"):
                published = table.loc[row, f"{kind}_sparsity_percent_conv1_2_3"].split("/")[at]
                assert found[f"{layer}_{kind}_sparsity_percent"] >= float(published) - 0.1
            assert found[f"{layer}_speedup"] > 0
            assert found[f"{layer}_speedup_gathered"] > 0
    assert not (tested["1, trained further"].conv2.weight == 0).any()


def test_depth_ends_with_the_layers_that_the_rows_name(monkeypatch):
    rows, tested = run_on_patterns(monkeypatch, wen2016_cifar._depth, wen2016_cifar.DEPTH)
    assert list(rows) == [
        "ResNet, 20",
        "ResNet trained further, 20",
        "SSL-ResNet, 18",
        "SSL-ResNet, 14",
    ]
    published = papers.table("ssl_resnet_depth_cifar10").rows
    assert {tuple(row.split(", ")) for row in rows if "further" not in row} <= set(published)
    for row, model in tested.items():
        layers = [m for m in model.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.Linear))]
        assert len(layers) == int(row.split(", ")[1])
        if row != "ResNet, 20":
            stages = sum(rows[row][f"stage{stage}_branches"] for stage in (1, 2, 3))
            assert 2 * stages + 2 == len(layers)
            whole = costs.count(nets.resnet20(), (3, 32, 32)).totals.multiply_adds
            left = costs.count(model, (3, 32, 32)).totals.multiply_adds
            assert rows[row]["multiply_adds_percent"] == pytest.approx(100 * left / whole)


def test_the_control_is_trained_as_long_without_a_price(monkeypatch):
    """With all branches allowed, learning depth is the same training, weight for weight."""
    settings = replace(wen2016_cifar.DEPTH, **TINY[wen2016_cifar.DEPTH])
    train = cifar.load(32).train
    dense = new(nets.resnet20, seed=0)
    further = wen2016_cifar.learn_depth(dense, train, settings, until=9)
    monkeypatch.setattr(wen2016_cifar.BranchPrice, "after_step", lambda self, step: None)
    without = wen2016_cifar.learn_depth(dense, train, settings, until=9)
    for name, value in further.state_dict().items():
        torch.testing.assert_close(value, without.state_dict()[name], atol=1e-5, rtol=1e-4)
    assert not torch.equal(further.conv1.weight, dense.conv1.weight)


@pytest.mark.parametrize("experiment", wen2016_cifar.EXPERIMENTS, ids=lambda e: e.name)
def test_short_runs_are_named_so_and_say_what_they_are_made_of(experiment):
    settings = experiment.run.args[0]
    images = settings.train_images or 45_000
    assert f"{images:,} training" in experiment.differs
    assert f"{settings.dense_epochs} epochs" in experiment.differs
    assert experiment.name.endswith("_short") == (images < 45_000)
    assert ("far above the paper's" in experiment.differs) == (images < 45_000)
    assert papers.table(experiment.table)
