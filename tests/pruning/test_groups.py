"""Groups of weights: which weights they hold, that they are views, and what dies with them."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from sparsecourse import nets
from sparsecourse.functional import weight_groups
from sparsecourse.pruning import dead_groups, masks
from sparsecourse.reference import weight_groups as reference

KINDS = list(reference.KINDS)
MEMBERS = {  # indices of one group of W, written out: (index of the group, its weights)
    "filters": ((2,), np.s_[2]),
    "channels": ((1,), np.s_[:, 1]),
    "shapes": ((1, 0, 2), np.s_[:, 1, 0, 2]),
    "kernels": ((2, 1), np.s_[2, 1]),
    "depth": ((), np.s_[:]),
}


def weight(shape=(4, 3, 2, 3)):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("library", [reference, weight_groups])
def test_writing_into_a_group_writes_into_its_weights_alone(library, kind):
    group, members = MEMBERS[kind]
    W = weight() if library is reference else torch.tensor(weight())
    expected = weight()
    expected[members] = 7
    library.group_view(W, kind)[group] = 7
    np.testing.assert_array_equal(W, expected)


def test_a_view_of_a_tensor_in_any_memory_format_is_no_copy():
    W = torch.tensor(weight()).contiguous(memory_format=torch.channels_last)
    for kind in KINDS:
        assert weight_groups.group_view(W, kind).data_ptr() == W.data_ptr()


def test_norms_of_a_small_weight_by_hand():
    # Two filters on one channel, kernels 1 x 2.
    W = np.array([[[[3.0, 0]]], [[[4, 5]]]])
    np.testing.assert_allclose(reference.group_norms(W, "filters"), [3, np.sqrt(41)])
    np.testing.assert_allclose(reference.group_norms(W, "channels"), [np.sqrt(50)])
    np.testing.assert_allclose(reference.group_norms(W, "shapes"), [[[5, 5]]])
    np.testing.assert_allclose(reference.group_norms(W, "kernels"), [[3], [np.sqrt(41)]])
    np.testing.assert_allclose(reference.group_norms(W, "depth"), np.sqrt(50))
    assert reference.group_penalty(W, "shapes") == 10


def test_filters_are_rows_and_shapes_are_columns_of_the_matrix():
    W = weight()
    matrix = W.reshape(len(W), -1)
    norms = reference.group_norms
    np.testing.assert_allclose(norms(W, "filters"), np.linalg.norm(matrix, axis=1))
    np.testing.assert_allclose(norms(W, "shapes").ravel(), np.linalg.norm(matrix, axis=0))
    np.testing.assert_allclose(
        norms(W, "channels"), np.linalg.norm(norms(W, "shapes"), axis=(1, 2))
    )
    np.testing.assert_allclose(norms(W, "filters"), np.linalg.norm(norms(W, "kernels"), axis=1))


def test_in_a_linear_layer_shapes_are_inputs_and_kernels_are_weights():
    W = weight((4, 3))
    np.testing.assert_allclose(reference.group_norms(W, "filters"), np.linalg.norm(W, axis=1))
    for kind in ("channels", "shapes"):
        np.testing.assert_allclose(reference.group_norms(W, kind), np.linalg.norm(W, axis=0))
    np.testing.assert_allclose(reference.group_norms(W, "kernels"), np.abs(W))


@pytest.mark.parametrize("kind", KINDS)
def test_the_subgradient_is_the_gradient_that_torch_finds(kind):
    W = torch.tensor(weight(), requires_grad=True)
    weight_groups.group_penalty(W, kind).backward()
    np.testing.assert_allclose(reference.group_subgradient(W.detach().numpy(), kind), W.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_the_subgradient_of_a_zero_group_is_zero(kind):
    assert not reference.group_subgradient(np.zeros((2, 3, 2, 2)), kind).any()
    assert not weight_groups.group_subgradient(torch.zeros(2, 3, 2, 2), kind).any()


@pytest.mark.parametrize("kind", ["filters", "channels", "shapes", "depth"])
def test_the_proximal_step_is_the_minimum_that_a_general_solver_finds(kind):
    W, lam = weight((3, 2, 1, 2)), 1.2

    def objective(v):
        V = v.reshape(W.shape)
        return 0.5 * np.sum((V - W) ** 2) + lam * reference.group_penalty(V, kind)

    V = reference.proximal_step(W, kind, lam)
    found = minimize(objective, W.ravel(), method="Powell", options={"xtol": 1e-9, "ftol": 1e-12})
    assert objective(V.ravel()) <= found.fun + 1e-9
    np.testing.assert_allclose(V.ravel(), found.x, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_short_groups_become_exactly_zero_and_long_ones_shorter_by_lam(kind):
    W = weight()
    before = reference.group_norms(W, kind)
    lam = float(np.median(before))
    after = reference.group_norms(reference.proximal_step(W, kind, lam), kind)
    np.testing.assert_allclose(after, np.maximum(before - lam, 0), atol=1e-12)
    assert (after[before <= lam] == 0).all()


@pytest.mark.parametrize("library", [reference, weight_groups])
def test_bad_groups_are_refused(library):
    W = weight() if library is reference else torch.tensor(weight())
    with pytest.raises(ValueError, match=r"kind must be one of filters, .* got 'rows'"):
        library.group_norms(W, "rows")
    with pytest.raises(ValueError, match=r"W must be 2-D or 4-D, got shape \(4, 3, 2\)"):
        library.group_norms(W[..., 0], "filters")
    with pytest.raises(ValueError, match="W must be finite"):
        library.group_view(W * np.nan, "filters")


@pytest.fixture
def lenet():
    torch.manual_seed(0)
    return nets.lenet5()


def test_collected_is_what_is_exactly_zero_or_short_against_the_longest(lenet):
    with torch.no_grad():
        lenet.conv1.weight[3] = 0
        lenet.conv1.weight[5] *= 1e-4
    kinds = {"conv1": ["filters"]}
    dead = [~mask.flatten(1).any(1) for mask in dead_groups.collect(lenet, kinds).values()]
    assert dead[0].nonzero().flatten().tolist() == [3]
    mask = dead_groups.collect(lenet, kinds, relative=1e-3)["conv1"]
    assert (~mask.flatten(1).any(1)).nonzero().flatten().tolist() == [3, 5]
    assert mask[[0, 1, 2, 4]].all()


def test_a_weight_stays_only_if_all_its_groups_live(lenet):
    with torch.no_grad():
        lenet.conv2.weight[7] = 0
        lenet.conv2.weight[:, 2] = 0
        lenet.conv2.weight[:, 4, 1, 3] = 0
    kinds = {"conv2": ["filters", "channels", "shapes"]}
    mask = dead_groups.collect(lenet, kinds)["conv2"]
    assert torch.equal(mask, lenet.conv2.weight != 0)
    assert torch.equal(
        dead_groups.collect(lenet, {"conv2": ["kernels"]})["conv2"],
        (lenet.conv2.weight != 0).flatten(2).any(2)[..., None, None].expand_as(mask),
    )


def test_the_dead_stay_dead_under_a_mask_that_was_there_before(lenet):
    masks.apply(lenet, masks.magnitude(lenet, 0.5))
    before = masks.masks_of(lenet)["conv1"]
    mask = dead_groups.collect(lenet, {"conv1": ["filters"]})["conv1"]
    assert torch.equal(mask, before)


def test_weights_that_are_not_finite_do_not_count_as_dead(lenet):
    with torch.no_grad():
        lenet.conv1.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="W must be finite"):
        dead_groups.collect(lenet, {"conv1": ["filters"]})
    with pytest.raises(ValueError, match="W must be finite"):
        dead_groups.counts(lenet)


def test_what_has_no_input_or_no_reader_dies_on_both_sides(lenet):
    left = masks.masks_of(lenet)
    left["conv1"][1] = False  # no weights
    left["conv2"][:, 2] = False  # no readers
    left["conv2"][9] = False
    left["fc1"][:, 7 * 16 : 8 * 16] = False  # nobody reads filter 7
    found = dead_groups.connect(left, {"conv1": "conv2", "conv2": "fc1"})
    rows = {
        name: set((~mask.flatten(1).any(1)).nonzero().flatten().tolist())
        for name, mask in found.items()
    }
    assert rows == {"conv1": {1, 2}, "conv2": {7, 9}, "fc1": set(), "fc2": set()}
    assert not found["conv2"][:, [1, 2]].any()
    assert not found["fc1"].unflatten(1, (50, 16))[:, [7, 9]].any()
    living = found["fc1"].unflatten(1, (50, 16)).any(0).any(1)
    assert int(living.sum()) == 48
    assert left["conv1"][2].all(), "what was given stays"


def test_a_reader_that_needs_one_weight_of_a_map_keeps_its_filter(lenet):
    left = masks.masks_of(lenet)
    left["fc1"][:, :16] = False
    left["fc1"][17, 5] = True
    found = dead_groups.connect(left, {"conv2": "fc1"})
    assert found["conv2"][0].all()


def test_death_goes_on_through_the_layers_both_ways():
    ones = {f"fc{i}": torch.ones(2, 2, dtype=torch.bool) for i in range(3)}
    # Neuron 0 of fc1 has only input 0, which is neuron 0 of fc0, which has no weights.
    ones["fc0"][0] = False
    ones["fc1"][0, 1] = False
    found = dead_groups.connect(ones, {"fc0": "fc1", "fc1": "fc2"})
    assert found["fc1"].tolist() == [[False, False], [False, True]]
    assert found["fc2"].tolist() == [[False, True], [False, True]]
    # Against the flow: what only a neuron without readers reads.
    ones = {f"fc{i}": torch.ones(2, 2, dtype=torch.bool) for i in range(3)}
    ones["fc2"][:, 0] = False
    ones["fc1"][1, 0] = False
    found = dead_groups.connect(ones, {"fc0": "fc1", "fc1": "fc2"})
    assert found["fc0"].tolist() == [[False, False], [True, True]]


def test_layers_that_do_not_fit_are_refused(lenet):
    left = masks.masks_of(lenet)
    with pytest.raises(ValueError, match=r"conv2 has 20 inputs, which .* the 500 outputs of fc1"):
        dead_groups.connect(left, {"fc1": "conv2"})
    with pytest.raises(ValueError, match=r"fc2 has 500 inputs, which .* the 7 outputs of conv1"):
        dead_groups.connect({**left, "conv1": left["conv1"][:7]}, {"conv1": "fc2"})


def test_counts_are_those_of_the_papers_tables(lenet):
    left = masks.masks_of(lenet)
    left["conv1"][5:] = False
    left["conv2"][19:] = False
    left["conv2"][:, 4:] = False
    masks.apply(lenet, left)
    found = dead_groups.counts(lenet)
    assert found.loc["conv1", ["filters", "channels", "shapes"]].tolist() == [5, 1, 25]
    assert found.loc["conv2", ["filters", "channels", "shapes"]].tolist() == [19, 4, 100]
    # LeNet 2 of table 1: 25 % and 7.6 % of the multiply-adds.
    assert found["multiply_adds"].tolist() == [0.25, 0.076, 1, 1]


def test_counts_of_neurons_are_those_of_the_papers_perceptron():
    perceptron = nets.mlp_500_300()
    with torch.no_grad():
        perceptron.fc1.weight[:, 434:] = 0
        for layer, neurons in ((perceptron.fc1, 174), (perceptron.fc2, 78)):
            layer.weight[neurons:] = 0
    left = dead_groups.connect(
        dead_groups.collect(
            perceptron, {name: ["filters", "channels"] for name in ("fc1", "fc2", "fc3")}
        ),
        {"fc1": "fc2", "fc2": "fc3"},
    )
    masks.apply(perceptron, left)
    found = dead_groups.counts(perceptron)
    assert found["channels"].tolist() == [434, 174, 78]
    np.testing.assert_allclose(100 * found["multiply_adds"], [19.26, 9.05, 26.00], atol=0.01)


def test_a_layer_of_another_name_is_refused(lenet):
    with pytest.raises(ValueError, match=r"kinds names \['conv3'\], the layers are"):
        dead_groups.collect(lenet, {"conv3": ["filters"]})
    with pytest.raises(ValueError, match="relative must be between 0 and 1"):
        dead_groups.collect(lenet, {"conv1": ["filters"]}, relative=2)
    with pytest.raises(ValueError, match="following names 'conv3', masks are of"):
        dead_groups.connect(masks.masks_of(lenet), {"conv3": "fc1"})
