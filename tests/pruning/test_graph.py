"""Which channels go together, what must stay, and what is refused."""

import pytest
import torch
from torch import nn

from sparsecourse.nets import lenet5, resnet20
from sparsecourse.pruning import masks
from sparsecourse.pruning.graph import trace
from tests.pruning.odd_nets import (
    FOLLOWED,
    REFUSED,
    ConvolutionalGate,
    EncoderDecoder,
    Grouped,
    MixingNorms,
    PaddedShortcut,
    Preactivation,
    SqueezeAndExcitation,
)


def traced(kind):
    return trace(kind(), tuple(torch.zeros(shape) for shape in FOLLOWED[kind]))


def together(graph, layer, i):
    """The filters that go with one, as (layer, number)."""
    group = graph.layers[layer].groups[i]
    return {
        (name, j)
        for name, other in graph.layers.items()
        for j in (other.groups == group).nonzero().flatten().tolist()
    }


@pytest.mark.parametrize(("kind", "message"), REFUSED.items())
def test_what_cannot_be_followed_is_refused_by_name_and_reason(kind, message):
    with pytest.raises(ValueError, match=message):
        trace(kind(), torch.zeros(2, 3, 8, 8))


def test_masked_layers_are_refused():
    net = lenet5()
    masks.apply(net, masks.magnitude(net, 0.5))
    with pytest.raises(ValueError, match="conv1 is masked or parametrized"):
        trace(net, torch.zeros(1, 1, 28, 28))


def test_an_example_without_batch_is_refused():
    with pytest.raises(ValueError, match=r"example_input must be tensors with a batch.*\(5,\)"):
        trace(lenet5(), torch.zeros(5))
    with pytest.raises(ValueError, match="got list"):
        trace(lenet5(), [1.0])


def test_an_example_that_does_not_fit_names_the_layer():
    with pytest.raises(ValueError, match=r"fc1 \(Linear\) cannot be followed: it does not run"):
        trace(lenet5(), torch.zeros(1, 1, 32, 32))


def test_tracing_leaves_the_model_alone():
    net = resnet20().train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    graph = trace(net, torch.zeros(2, 3, 32, 32))
    assert net.training
    assert all(torch.equal(before[name], t) for name, t in net.state_dict().items())
    assert graph.layers["conv1"].module is net.conv1


def test_a_feature_of_a_flattened_picture_goes_with_its_filter():
    graph = trace(lenet5(), torch.zeros(1, 1, 28, 28))
    expected = graph.layers["conv2"].groups.repeat_interleave(16)
    assert torch.equal(graph.layers["fc1"].inputs, expected)
    assert [layer.places for layer in graph.layers.values()] == [24 * 24, 8 * 8, 1, 1]
    assert graph.layers["fc2"].norm is None


def test_padded_shortcut_joins_only_the_channels_that_it_carries():
    graph = traced(PaddedShortcut)
    assert together(graph, "stem.0", 0) == {("stem.0", 0), ("a", 2)}
    assert together(graph, "a", 0) == {("a", 0)}
    assert together(graph, "a", 17) == {("a", 17)}
    assert [(s.layers, len(s.groups)) for s in graph.streams] == [
        (("stem.0", "a"), 12),
        (("a",), 6),
    ]


def test_option_a_streams_of_resnet20():
    graph = trace(resnet20(), torch.zeros(1, 3, 32, 32))
    streams = {s.layers: len(s.groups) for s in graph.streams}
    first = tuple(f"stage1.{i}.conv2" for i in range(3))
    second = tuple(f"stage2.{i}.conv2" for i in range(3))
    third = tuple(f"stage3.{i}.conv2" for i in range(3))
    assert streams[("conv1", *first, *second, *third)] == 16
    assert streams[(*second, *third)] == 16
    assert streams[third] == 32
    assert len(streams) == 3 + 9
    assert graph.layers["stage2.1.conv1"].norm == "stage2.1.norm1"


def test_grouped_convolutions_keep_their_groups_equal():
    graph = traced(Grouped)
    # a has 3 groups of 8 filters, and b reads them in 4 groups of 6.
    assert together(graph, "a.0", 0) == {("a.0", i) for i in range(0, 24, 2)}
    assert together(graph, "b.0", 1) == {("b.0", i) for i in (1, 5, 9, 13)}


def test_a_gate_goes_with_what_it_multiplies():
    graph = traced(SqueezeAndExcitation)
    assert together(graph, "up", 3) == {("up", 3), ("a.0", 3), ("stem.0", 3)}
    assert together(graph, "down", 3) == {("down", 3)}


def test_a_gate_of_one_channel_stays_and_the_channels_remain_free():
    graph = traced(ConvolutionalGate)
    assert (
        graph.fixed[int(graph.layers["place"].groups[0])]
        == "mul in the model gives it to all channels"
    )


def test_skipped_channels_of_a_decoder_are_free():
    graph = traced(EncoderDecoder)
    assert together(graph, "up1", 0) == {("up1", 0), ("up1", 4)}
    assert together(graph, "down.0", 5) == {("down.0", 5)}
    assert together(graph, "deep.0", 1) == {("deep.0", 1), ("deep.0", 7)}


def test_mixed_channels_must_stay_and_the_reason_is_known():
    graph = traced(MixingNorms)
    reasons = {
        name: graph.fixed.get(int(layer.groups[0]), "free") for name, layer in graph.layers.items()
    }
    assert reasons == {
        "stem.0": "free",
        "a": "group_norm (GroupNorm) mixes it with other channels",
        "b": "free",
        "c": "response (LocalResponseNorm) mixes it with other channels",
        "head": "it is an output of the network",
    }


def test_only_a_norm_that_reads_the_output_as_it_is_belongs_to_a_layer():
    graph = traced(Preactivation)
    assert {name: layer.norm for name, layer in graph.layers.items() if layer.norm} == {
        "stem.0": "stem.1"
    }


def test_filters_of_transposed_convolutions_are_rows():
    graph = traced(EncoderDecoder)
    layer = graph.layers["up1"]  # 12 -> 8 in 2 groups: weight (12, 4, 2, 2)
    assert layer.filters.shape == (8, 6 * 4)
    expected = torch.stack(
        [layer.module.weight[6 * (f // 4) : 6 * (f // 4) + 6, f % 4].flatten() for f in range(8)]
    )
    assert torch.equal(layer.filters, expected)


def test_unknown_costs_are_refused():
    graph = trace(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="by must be one of"):
        graph.cost("bytes", torch.zeros(graph.n_groups, dtype=torch.bool))


def test_a_border_of_zeros_leaves_two_channels_apart():
    class Bordered(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 1), nn.Conv2d(2, 4, 3)

        def forward(self, x):
            return self.b(nn.functional.pad(self.a(x), (1, 1, 1, 1)))

    graph = trace(Bordered(), torch.zeros(1, 3, 8, 8))
    assert together(graph, "a", 0) == {("a", 0)}
    assert graph.layers["b"].inputs.tolist() == graph.layers["a"].groups.tolist()
