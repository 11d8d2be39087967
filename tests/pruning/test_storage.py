"""What is packed is all that is needed, and its length is the length that is claimed."""

import math
import struct

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sparsecourse.functional import pruning
from sparsecourse.pruning import masks, storage


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 10)
    )


def pruned(keep):
    model = network()
    masks.apply(model, masks.magnitude(model, keep))
    return model


HEADERS = {"0.weight": 2 + 4 * 5, "4.weight": 2 + 4 * 3, "0.bias": 2 + 4 * 2}


@settings(deadline=None, max_examples=30)
@given(st.floats(0, 1), st.integers(1, 20))
def test_a_fresh_network_gets_back_every_bit(keep, index_bits):
    model, fresh = pruned(keep), network()
    model(torch.randn(5, 1, 6, 6))  # moves the running statistics
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.fill_(7.0)
    fresh.load_state_dict(storage.unpack(storage.pack(model, index_bits)))
    masks.remove(model)
    expected = model.state_dict()
    assert fresh.state_dict().keys() == expected.keys()
    for name, value in fresh.state_dict().items():
        assert value.dtype == expected[name].dtype
        assert torch.equal(value, expected[name])


@pytest.mark.parametrize("index_bits", [1, 3, 5, 8, 11, 32])
def test_a_record_holds_values_indices_fillers_and_a_header(index_bits):
    model = pruned(0.05)
    records = storage.pack(model, index_bits)
    for name in ("0.weight", "4.weight"):
        weight = model.get_submodule(name[0]).weight.detach()
        n_entries = len(pruning.encode(weight, index_bits)[0])
        expected = HEADERS[name] + 4 * n_entries + math.ceil(n_entries * index_bits / 8)
        assert len(records[name]) == expected
        assert expected == HEADERS[name] + pruning.relative_index_bytes(weight, index_bits)
    assert len(records["0.bias"]) == HEADERS["0.bias"] + 4 * 4
    assert storage.stored_bytes(model, index_bits) == len(b"".join(records.values()))


def test_few_bits_need_fillers_and_many_bits_waste_them():
    model = pruned(0.03)
    sizes = [storage.stored_bytes(model, bits) for bits in range(1, 33)]
    best = sizes.index(min(sizes))
    assert 0 < best < 15
    assert sizes[0] > sizes[best] < sizes[-1]


def test_sparse_storage_of_a_dense_network_takes_more_than_dense_storage():
    model = network()
    assert storage.stored_bytes(model, 5) > storage.stored_bytes(model, {})
    dense = sum(4 * p.numel() for p in model.parameters()) + 4 * 8 + 8  # running statistics
    headers = 22 + 14 + 6 * 10 + 6
    assert storage.stored_bytes(model, {}) == dense + headers


def test_layers_can_have_different_bits_and_others_stay_dense():
    model = pruned(0.1)
    records = storage.pack(model, {"4": 6})
    assert records["0.weight"] == storage.pack(model, {})["0.weight"]
    assert records["4.weight"] == storage.pack(model, 6)["4.weight"]
    assert len(records["0.weight"]) == HEADERS["0.weight"] + 4 * 36


def test_packing_leaves_the_model_as_it_was():
    model = pruned(0.2)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    storage.pack(model, 5)
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert masks.sparsity(model).loc["total", "zeros"] == 676 - round(0.2 * 676)


def test_a_record_is_laid_out_as_documented():
    model = nn.Linear(6, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0, 1.5, 0, 0, 0, -2.0]]))
    (record,) = storage.pack(model, 2).values()
    # Distances 2 and 4, less 1: 01 and 11, the first in the lowest bits.
    assert record == struct.pack("<BB3I2fB", 2, 2, 1, 6, 2, 1.5, -2.0, 0b1101)


def test_a_layer_that_is_used_twice_is_stored_once():
    layer = nn.Linear(3, 3)
    assert list(storage.pack(nn.Sequential(layer, layer), 5)) == ["0.weight", "0.bias"]


def test_a_network_in_another_memory_layout_takes_the_same_bytes():
    model = pruned(0.2)
    assert storage.pack(model.to(memory_format=torch.channels_last), 5) == storage.pack(
        pruned(0.2), 5
    )


@pytest.mark.parametrize("change", [lambda r: r[:-1], lambda r: r + b"\0", lambda r: r[:1]])
@pytest.mark.parametrize("name", ["4.weight", "4.bias", "1.num_batches_tracked"])
def test_a_damaged_record_is_refused_by_name(change, name):
    records = storage.pack(pruned(0.1), 5)
    with pytest.raises(ValueError, match=f"{name}: a record of"):
        storage.unpack({name: change(records[name])})


def test_distances_that_lead_out_of_the_tensor_are_refused():
    record = struct.pack("<BB2I2fB", 2, 1, 3, 2, 1.0, 1.0, 0b1111)
    with pytest.raises(ValueError, match="w: distances lead to entry 8"):
        storage.unpack({"w": record})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: storage.pack(m, 0), "index_bits must be between 1 and 32, got 0"),
        (lambda m: storage.pack(m, 33), "index_bits must be between 1 and 32, got 33"),
        (lambda m: storage.pack(m, {"9": 5}), r"index_bits names \['9'\]"),
        (lambda m: storage.pack(m.double(), 5), "0.weight must be of float32"),
        (lambda m: storage.pack(nn.ReLU(), 5), "no convolution and no linear layer"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(network())


def test_weights_that_are_not_finite_are_named():
    model = network()
    with torch.no_grad():
        model[4].weight[0, 0] = torch.inf
    with pytest.raises(ValueError, match=r"4.weight must be finite"):
        storage.pack(model, 5)
