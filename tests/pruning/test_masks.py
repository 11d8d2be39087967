"""Masks hold in every forward and through training, are saved, and choose what they say."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import fx, nn
from torch.nn.utils import parametrizations, prune

from sparsecourse.pruning import masks

SIZES = {"0": 4 * 9, "4": 10 * 64, "7": 3 * 10}  # weights of each layer of `network`


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 16, 10),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(10, 3),
    )


def batch():
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(16, 1, 6, 6, generator=generator)
    return images, torch.randint(3, (16,), generator=generator)


def train(model, optimizer, steps=5):
    images, classes = batch()
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), classes).backward()
        optimizer.step()
        yield


def random_masks(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(layer.weight.shape, generator=generator) < 0.3
        for name, layer in masks.weight_layers(network()).items()
    }


def snapshot(model):
    """All that a model is: tensors with their bits, gradients, modes, settings of dropout."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    grads = {name: p.grad for name, p in model.named_parameters()}
    modules = [
        (name, type(m), m.training, getattr(m, "p", None)) for name, m in model.named_modules()
    ]
    return state, grads, modules


def assert_unchanged(model, before):
    state, grads, modules = snapshot(model)
    assert modules == before[2]
    assert state.keys() == before[0].keys()
    assert all(torch.equal(state[name], before[0][name]) for name in state)
    assert all(grads[name] is before[1][name] for name in grads)


def test_weights_are_those_of_convolutions_and_linear_layers():
    layers = masks.weight_layers(network())
    assert {name: layer.weight.numel() for name, layer in layers.items()} == SIZES
    odd = nn.ModuleList([nn.Conv1d(2, 2, 1), nn.ConvTranspose2d(2, 2, 1), nn.Embedding(3, 2)])
    assert list(masks.weight_layers(odd)) == ["0", "1"]


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000))
def test_masks_set_exactly_the_weights_they_name_to_zero(seed):
    model, chosen = network(), random_masks(seed)
    dense = {name: layer.weight.clone() for name, layer in masks.weight_layers(model).items()}
    biases = [p.clone() for name, p in model.named_parameters() if "bias" in name]
    masks.apply(model, chosen)
    for name, layer in masks.weight_layers(model).items():
        assert torch.equal(layer.weight, torch.where(chosen[name], dense[name], 0))
        assert not torch.signbit(layer.weight[~chosen[name]]).any()
        assert torch.equal(masks.masks_of(model)[name], chosen[name])
    for before, after in zip(
        biases, [p for name, p in model.named_parameters() if "bias" in name], strict=True
    ):
        assert torch.equal(before, after)


@pytest.mark.parametrize(
    "optimizer",
    [
        lambda parameters: torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.1, fused=True),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    ],
    ids=["AdamW", "fused AdamW", "SGD with momentum"],
)
def test_pruned_weights_stay_zero_whatever_the_optimizer_remembers(optimizer):
    model, chosen = network(), random_masks()
    optimizer = optimizer(model.parameters())
    for _ in train(model, optimizer, steps=3):  # dense, so that there is momentum
        pass
    masks.apply(model, chosen)
    seen = []
    for name, layer in masks.weight_layers(model).items():
        layer.register_forward_hook(
            lambda layer, inputs, output, name=name: seen.append((name, inputs[0], output))
        )
    layers = masks.weight_layers(model)
    before = {name: layer.weight.detach().clone() for name, layer in layers.items()}
    for _ in train(model, optimizer):
        for name, layer in layers.items():
            assert (layer.weight[~chosen[name]] == 0).all()
            assert not torch.signbit(layer.weight[~chosen[name]]).any()
    images, _ = batch()
    seen.clear()
    model(images)
    for name, inputs, output in seen:
        plain = copy.deepcopy(network().get_submodule(name))
        with torch.no_grad():
            plain.weight.copy_(layers[name].weight * chosen[name])
            plain.bias.copy_(layers[name].bias)
        torch.testing.assert_close(output, plain(inputs))
    for name, layer in layers.items():
        assert (layer.weight != before[name])[chosen[name]].any(), "what is left is trained"
    assert masks.sparsity(model).loc["total", "zeros"] == sum(
        int((~mask).sum()) for mask in chosen.values()
    )


def test_values_behind_zeros_are_forgotten():
    model = network()
    masks.apply(model, random_masks())
    for name, mask in random_masks().items():
        saved = model.state_dict()[f"{name}.parametrizations.weight.original"]
        assert torch.equal(saved != 0, mask)


def test_not_even_infinity_leaks_through_a_mask():
    model = nn.Linear(2, 1, bias=False)
    masks.apply(model, {"": torch.tensor([[False, True]])})
    with torch.no_grad():
        model.parametrizations.weight.original.copy_(torch.tensor([[torch.inf, 1.0]]))
    model(torch.ones(1, 2)).sum().backward()
    assert model.weight.tolist() == [[0.0, 1.0]]
    assert model.parametrizations.weight.original.grad.tolist() == [[0.0, 1.0]]


def test_masks_are_saved_and_loaded_into_a_fresh_model(tmp_path):
    model = network()
    masks.apply(model, {name: mask for name, mask in random_masks().items() if name != "7"})
    torch.save(model.state_dict(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    fresh = network()
    masks.load_state_dict(fresh, state)
    assert all(torch.equal(value, state[name]) for name, value in fresh.state_dict().items())
    assert fresh.state_dict().keys() == state.keys()
    images, _ = batch()
    assert torch.equal(fresh.eval()(images), model.eval()(images))
    for _ in train(fresh.train(), torch.optim.AdamW(fresh.parameters(), lr=0.1)):
        pass
    assert masks.sparsity(fresh)["zeros"].equals(masks.sparsity(model)["zeros"])


def test_masks_of_a_saved_model_replace_those_of_the_model_it_is_loaded_into():
    model, other = network(), network()
    masks.apply(model, random_masks(0))
    masks.apply(other, random_masks(1))
    masks.load_state_dict(other, model.state_dict())
    for name, mask in masks.masks_of(other).items():
        assert torch.equal(mask, random_masks(0)[name])


def test_a_model_that_is_one_layer_is_saved_and_loaded():
    model, fresh = nn.Linear(3, 2), nn.Linear(3, 2)
    masks.apply(model, masks.magnitude(model, 0.5))
    masks.load_state_dict(fresh, model.state_dict())
    assert torch.equal(fresh.weight, model.weight)


def test_what_is_pruned_stays_pruned():
    model = network()
    masks.apply(model, masks.magnitude(model, 0.3))
    before = snapshot(model)
    ones = {name: torch.ones_like(mask) for name, mask in masks.masks_of(model).items()}
    with pytest.raises(ValueError, match=r"keeps \d+ weights that are pruned already"):
        masks.apply(model, ones)
    assert_unchanged(model, before)
    with pytest.raises(
        ValueError, match=r"keep = 0.5 of 0, 4, 7 are 353 weights, but only 212 are"
    ):
        masks.magnitude(model, 0.5)
    masks.masks_of(model)["4"].fill_(True)
    assert not masks.masks_of(model)["4"].all(), "what is returned is a copy"
    masks.apply(model, {"4": masks.masks_of(model)["4"] & random_masks()["4"]})
    assert masks.sparsity(model).loc["4", "sparsity"] > 0.8


def test_nothing_is_applied_if_one_mask_is_wrong():
    model = network()
    before = snapshot(model)
    with pytest.raises(ValueError, match="7: a mask must be bool of"):
        masks.apply(model, {**random_masks(), "7": torch.ones(3, 10)})
    assert_unchanged(model, before)


def test_masks_that_are_taken_off_leave_zeros_that_can_move():
    model = network()
    kept = [id(p) for p in model.parameters()]
    masks.apply(model, random_masks())
    with torch.no_grad():
        model[7].parametrizations.weight.original.add_(1.0)  # as momentum may do
    masks.remove(model)
    assert {id(p) for p in model.parameters()} == set(kept), "an optimizer goes on"
    assert model.state_dict().keys() == network().state_dict().keys()
    assert [type(m) for m in model.modules()] == [type(m) for m in network().modules()]
    for name, layer in masks.weight_layers(model).items():
        assert torch.equal(layer.weight == 0, ~random_masks()[name])
    for _ in train(model, torch.optim.AdamW(model.parameters(), lr=0.1)):
        pass
    assert masks.sparsity(model).loc["total", "sparsity"] < 0.1
    masks.remove(model)  # nothing left to do


def test_masks_of_a_copy_are_its_own():
    model = network()
    masks.apply(model, random_masks())
    before = snapshot(model)
    twin, plain = copy.deepcopy(model), copy.deepcopy(model)
    masks.apply(twin, {name: torch.zeros_like(mask) for name, mask in random_masks().items()})
    masks.remove(plain)
    assert_unchanged(model, before)
    images, _ = batch()
    assert torch.equal(plain.eval()(images), model.eval()(images))
    assert masks.sparsity(twin).loc["total", "sparsity"] == 1


def test_a_masked_network_can_be_traced():
    model = network().eval()
    masks.apply(model, random_masks())
    images, _ = batch()
    traced = fx.symbolic_trace(model)
    assert torch.equal(traced(images), model(images))
    assert {node.target for node in traced.graph.nodes} >= set(SIZES)


def test_the_memory_layout_of_weights_is_kept():
    model = network().to(memory_format=torch.channels_last)
    model[0] = nn.Conv2d(4, 4, 3).to(memory_format=torch.channels_last)
    masks.apply(model, masks.magnitude(model, 0.5))
    assert model[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("choose", [masks.magnitude, masks.threshold])
def test_the_memory_layout_of_weights_does_not_matter(choose):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 4, 3))
    other = copy.deepcopy(model).to(memory_format=torch.channels_last)
    for share in (0.7, 0.3):
        for net in (model, other):
            masks.apply(net, choose(net, share))
        for name, mask in masks.masks_of(model).items():
            assert torch.equal(mask, masks.masks_of(other)[name])


@settings(deadline=None, max_examples=25)
@given(st.floats(0, 1), st.booleans())
def test_magnitude_keeps_the_exact_number_of_the_largest(keep, with_ties):
    model = network()
    if with_ties:
        with torch.no_grad():
            for layer in masks.weight_layers(model).values():
                layer.weight.copy_((10 * layer.weight).round())
    sizes = torch.cat([m.weight.abs().flatten() for m in masks.weight_layers(model).values()])
    chosen = masks.magnitude(model, keep)
    mask = torch.cat([mask.flatten() for mask in chosen.values()])
    assert mask.sum() == round(keep * sum(SIZES.values()))
    assert (sizes[mask].min() if mask.any() else 9) >= (sizes[~mask].max() if not mask.all() else 0)
    alone = masks.magnitude(model, keep, scope="layer")
    assert [int(mask.sum()) for mask in alone.values()] == [round(keep * n) for n in SIZES.values()]


def test_weights_that_happen_to_be_zero_are_kept_before_pruned_ones():
    model = nn.Linear(6, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[9.0, 8, 7, 6, 0, 0]]))
    masks.apply(model, {"": torch.tensor([[False, False, True, True, True, True]])})
    assert masks.magnitude(model, 0.5)[""].tolist() == [[False, False, True, True, True, False]]


def test_magnitude_takes_a_share_for_each_layer():
    chosen = masks.magnitude(network(), {"4": 0.1, "7": 0.5}, scope="layer")
    assert {name: int(mask.sum()) for name, mask in chosen.items()} == {"4": 64, "7": 15}


def test_nothing_is_left_of_a_model_pruned_to_nothing():
    model = network()
    masks.apply(model, masks.magnitude(model, 0.0))
    masks.apply(model, masks.magnitude(model, 0.0))
    masks.apply(model, masks.threshold(model, 1.0))
    assert masks.sparsity(model)["sparsity"].tolist() == [1, 1, 1, 1]


def test_thresholds_take_the_deviation_of_each_layer():
    model = network()
    deviation = {name: m.weight.std(correction=0) for name, m in masks.weight_layers(model).items()}
    for name, layer in masks.weight_layers(model).items():
        assert torch.equal(
            masks.threshold(model, 0.7)[name], layer.weight.abs() > 0.7 * deviation[name]
        )
    assert list(masks.threshold(model, {"7": 0.7})) == ["7"]


def test_thresholds_of_later_rounds_take_the_deviation_of_what_is_left():
    model = nn.Linear(8, 1)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.1, -0.1, 0.1, -0.1, 1.0, -1.0, 2.0, -2.0]]))
    masks.apply(model, masks.threshold(model, 0.5))
    assert model.weight.count_nonzero() == 4
    # Of the four left it is sqrt(2.5) = 1.58; with the zeros it would be 1.12.
    assert masks.threshold(model, 0.63)[""].sum() == 4
    assert masks.threshold(model, 0.64)[""].sum() == 2


def test_sparsity_counts_the_zeros_that_layers_use():
    model = network()
    masks.apply(model, {"4": random_masks()["4"]})
    with torch.no_grad():
        model[7].weight[0] = 0  # zeros need no mask
        model.get_submodule("4").parametrizations.weight.original.fill_(1.0)  # behind the mask
    counts = masks.sparsity(model)
    zeros = int((~random_masks()["4"]).sum())
    assert counts["weights"].to_dict() == {**SIZES, "total": 706}
    assert counts["zeros"].to_dict() == {"0": 0, "4": zeros, "7": 10, "total": zeros + 10}
    assert counts.loc["7", "sparsity"] == pytest.approx(1 / 3)


def careless(model):
    """An evaluation that leaves nothing of the model as it was."""
    images, classes = batch()
    model.train()
    loss = nn.functional.cross_entropy(model(images), classes)
    loss.backward()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    model[6].p = 0.9
    return loss.item()


@pytest.mark.parametrize("masked", [False, True])
def test_a_sensitivity_scan_leaves_the_model_as_it_was(masked):
    model = network().eval()
    if masked:
        masks.apply(model, masks.magnitude(model, 0.5, scope="layer"))
    before = snapshot(model)
    masks.sensitivity(model, careless, [0.5, 0.1])
    assert_unchanged(model, before)
    with pytest.raises(ZeroDivisionError):
        masks.sensitivity(model, lambda m: careless(m) / 0, [0.5])
    assert_unchanged(model, before)


def test_a_sensitivity_scan_prunes_one_layer_at_a_time():
    def zeros(model):
        return tuple(masks.sparsity(model)["zeros"].iloc[:-1])

    scan = masks.sensitivity(network(), zeros, [0.0, 1.0, 0.5], layers=["4", "7"])
    assert scan.index.tolist() == [0.0, 1.0, 0.5]
    assert scan["4"].tolist() == [(0, 640, 0), (0, 0, 0), (0, 320, 0)]
    assert scan["7"].tolist() == [(0, 0, 30), (0, 0, 0), (0, 0, 15)]
    assert list(masks.sensitivity(network(), zeros, [0.5])) == list(SIZES)


def tied():
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 5))
    model[1].weight = model[0].weight
    return model


def test_weights_of_two_modules_are_refused_by_name():
    for masked in (False, True):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        if masked:
            masks.apply(model, masks.magnitude(model, 0.5))
            model[1].parametrizations.weight.original = model[0].parametrizations.weight.original
        else:
            model[1].weight = model[0].weight
        with pytest.raises(ValueError, match=r"0.*weight.* and 1.*weight.* are one tensor"):
            masks.magnitude(model, 0.5)
    with pytest.raises(ValueError, match=r"0.weight and 1.weight are one tensor"):
        masks.sparsity(tied())


def test_a_layer_that_is_used_twice_is_masked_once():
    layer = nn.Linear(3, 3)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    masks.apply(model, masks.magnitude(model, 4 / 9))
    assert masks.sparsity(model)["zeros"].to_dict() == {"0": 5, "total": 5}


def pruned_by_torch():
    model = nn.Sequential(nn.Linear(4, 4))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    return model


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: masks.apply(m, {"fc": torch.ones(1)}), r"masks names \['fc'\], the layers are"),
        (
            lambda m: masks.apply(m, {"7": torch.ones(3, 9).bool()}),
            r"bool of \(3, 10\), got .*\(3, 9\)",
        ),
        (lambda m: masks.apply(m, {"7": [[True]]}), "got <class 'list'>"),
        (lambda m: masks.magnitude(m, 1.5), "keep must be between 0 and 1, got 1.5"),
        (lambda m: masks.magnitude(m, {"7": 0.5}), 'scope must be "layer" where keep is a mapping'),
        (lambda m: masks.magnitude(m, 0.5, scope="net"), "scope must be .* got 'net'"),
        (lambda m: masks.magnitude(m, {"8": 0.5}, scope="layer"), r"keep names \['8'\]"),
        (lambda m: masks.threshold(m, -1), "c must be a number >= 0, got -1"),
        (lambda m: masks.threshold(m, {"8": 1.0}), r"c names \['8'\]"),
        (lambda m: masks.sensitivity(m, careless, [0.5], ["8"]), r"keep names \['8'\]"),
        (lambda m: masks.magnitude(nn.ReLU(), 0.5), "ReLU has no convolution and no linear layer"),
        (lambda m: masks.magnitude(pruned_by_torch(), 0.5), "0.weight is computed from other"),
        (
            lambda m: masks.magnitude(parametrizations.weight_norm(nn.Linear(2, 2)), 0.5),
            "weight is parametrized by _WeightNorm",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(network())


def test_weights_that_are_not_finite_are_named():
    model = network()
    with torch.no_grad():
        model[4].weight[1, 2] = torch.nan
    for choose in (masks.magnitude, masks.threshold):
        with pytest.raises(ValueError, match=r"4.weight must be finite, got nan at index \(1, 2\)"):
            choose(model, 0.5)
