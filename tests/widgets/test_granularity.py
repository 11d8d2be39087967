"""Granularities of sparsity, against NumPy, SciPy and bytes that are really written."""

import math

import numpy as np
import pytest
import scipy.sparse
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from sparsecourse import widgets
from sparsecourse.functional.pruning import encode
from sparsecourse.widgets.granularity import CHOICES, look_at, own_format, trained_weights

SPARSITIES = [0, 0.3, 0.5, 0.76, 0.9, 0.98]
OWN = {
    "4x4 blocks": "BSR 4x4",
    "16x16 blocks": "BSR 16x16",
    "regular blocks": "offsets",
    "2:4": "2:4",
    "rows and columns": "smaller dense",
}


@pytest.fixture(scope="module", name="W")
def matrix():
    return trained_weights().numpy()


@pytest.fixture(scope="module")
def explorer():
    return widgets.granularity()


def written(W, pattern):
    """Arrays of the widths that the formats promise, and the bits of narrower numbers."""
    rows = scipy.sparse.csr_matrix(W)
    values, distances = encode(torch.from_numpy(W), 5)
    bits = (distances.numpy()[:, None] - 1) >> np.arange(5) & 1
    flags = np.packbits(W != 0)
    sizes = {
        "CSR": [rows.data, rows.indices.astype(np.int16), rows.indptr.astype(np.int32)],
        "relative index": [values.numpy(), np.packbits(bits.astype(bool))],
        "bitmask": [rows.data, flags],
    }
    match pattern:
        case "4x4 blocks" | "16x16 blocks":
            side = {"4x4 blocks": 4, "16x16 blocks": 16}[pattern]
            blocks = scipy.sparse.bsr_matrix(W, blocksize=(side, side))
            index = blocks.indices.astype(np.int16), blocks.indptr.astype(np.int32)
            sizes[OWN[pattern]] = [blocks.data, *index]
        case "2:4":
            which = np.nonzero(W)[1] % 4
            sizes["2:4"] = [rows.data, np.packbits((which[:, None] >> np.arange(2) & 1) == 1)]
        case "rows and columns":
            i, j = np.flatnonzero(W.any(axis=1)), np.flatnonzero(W.any(axis=0))
            sizes["smaller dense"] = [W[np.ix_(i, j)], i.astype(np.int16), j.astype(np.int16)]
    return {name: sum(part.nbytes for part in parts) for name, parts in sizes.items()}


@pytest.mark.parametrize("sparsity", SPARSITIES)
@pytest.mark.parametrize("pattern", CHOICES)
def test_bytes_are_those_of_arrays_that_are_written(W, pattern, sparsity):
    state = look_at(pattern, sparsity)
    stored = dict(state.stored_bytes)
    assert list(stored) == [
        "CSR",
        "relative index",
        "bitmask",
        *[OWN[k] for k in [pattern] if k in OWN],
    ]
    if pattern == "regular blocks":
        del stored["offsets"]
    assert stored == written(W * state.mask, pattern)
    assert state.dense_bytes == W.nbytes == 32768
    assert state.value_bytes == (W * state.mask)[state.mask].nbytes
    for name, size in state.stored_bytes.items():
        assert state.value_bytes + state.kept * state.index_bits(name) / 8 == pytest.approx(size)


@pytest.mark.parametrize(
    ("sparsity", "size", "bits"),
    [(0, 1, 0), (0.5, 2, 1), (0.66, 3, 2), (0.9, 10, 4), (0.98, 50, 6)],
)
def test_an_offset_in_a_regular_block_takes_the_bits_that_its_size_needs(sparsity, size, bits):
    state = look_at("regular blocks", sparsity)
    n_blocks = math.ceil(128 / size)
    in_blocks = np.add.reduceat(state.mask, range(0, 128, size), axis=1, dtype=int)
    assert in_blocks.shape == (64, n_blocks)
    assert (in_blocks == 1).all()
    assert state.stored_bytes["offsets"] == 64 * n_blocks * 4 + 64 * n_blocks * bits / 8


@pytest.mark.parametrize("sparsity", SPARSITIES)
def test_sizes_of_what_stays_are_relative_to_the_largest_as_many(W, sparsity):
    sizes = np.sort(np.abs(W), axis=None)[::-1].astype(float)
    for pattern in CHOICES:
        state = look_at(pattern, sparsity)
        relative = np.abs(W[state.mask]).mean(dtype=float) / sizes[: state.mask.sum()].mean()
        for other in CHOICES:
            assert look_at(other, sparsity).kept_sizes[pattern] == pytest.approx(relative)


def test_coarser_patterns_lose_more_and_need_less_index():
    state = look_at("scattered", 0.9)
    order = ["scattered", "4x4 blocks", "16x16 blocks"]
    kept = [state.kept_sizes[pattern] for pattern in order]
    assert kept == sorted(kept, reverse=True)
    assert kept[0] == pytest.approx(1)
    states = [look_at(pattern, 0.9) for pattern in order]
    index = [min(map(state.index_bits, state.stored_bytes)) for state in states]
    assert index == sorted(index, reverse=True)
    assert index[0] > 4 * index[1] > 8 * index[2]


def test_the_mask_is_the_pattern_at_the_sparsity_nearest_to_that_asked_for(W):
    largest = np.sort(np.abs(W), axis=None)[-819]
    np.testing.assert_array_equal(look_at("scattered", 0.9).mask, np.abs(W) >= largest)
    for pattern, kept in {"4x4 blocks": 51 * 16, "16x16 blocks": 3 * 256, "2:4": 4096}.items():
        assert look_at(pattern, 0.9).kept == kept
    assert look_at("rows and columns", 0.9).kept == round(64 * 0.1**0.5) * round(128 * 0.1**0.5)


def test_formats_by_hand():
    W = torch.zeros(4, 8)
    W[:, 4:] = 1.0
    assert own_format(W, "4x4 blocks", 0.5) == {"BSR 4x4": 16 * 4 + 1 * 2 + 2 * 4}
    assert own_format(W, "rows and columns", 0.5) == {"smaller dense": 16 * 4 + (4 + 4) * 2}
    assert own_format(W, "2:4", 0.5) == {"2:4": 16 * 4 + 4}
    assert own_format(W, "regular blocks", 0.5) == {"offsets": 16 * 4 + 2}
    assert own_format(W, "regular blocks", 1) == {"offsets": 4 * 4 + 2}
    assert own_format(torch.zeros(3, 5), "regular blocks", 0.75) == {"offsets": 6 * 4 + 2}
    assert own_format(torch.zeros(3, 5), "2:4", 0.5) == {"2:4": 12 * 4 + 3}
    assert own_format(W, "scattered", 0.5) == {}


def test_the_weights_are_trained_and_the_same_each_time(W):
    again = trained_weights.__wrapped__().numpy()
    np.testing.assert_array_equal(again, W)
    assert W.shape == (64, 128)
    # As they were at the start, no weight was larger than 1 / sqrt(128).
    assert np.abs(W).max() > 2 / math.sqrt(128)
    assert np.count_nonzero(W) == W.size


def test_the_picture_shows_the_state(explorer):
    explorer.controls["pattern"].value = "4x4 blocks"
    explorer.controls["sparsity"].value = 0.76
    state = explorer.state
    mask, mean, stored = explorer.figure.axes
    image = mask.images[0].get_array()
    np.testing.assert_array_equal(image[..., 0] < 0.5, state.mask)
    assert [bar.get_width() for bar in mean.patches] == list(state.kept_sizes.values())
    named = [text.get_text().removesuffix(" (half stay)") for text in mean.get_yticklabels()]
    assert named == list(CHOICES)
    bold = [text.get_text() for text in mean.texts if text.get_weight() == "bold"]
    assert bold == [f"{state.kept_sizes['4x4 blocks']:.2f}"]
    whole, weights = stored.containers
    assert [1e3 * bar.get_width() for bar in whole] == pytest.approx(
        list(state.stored_bytes.values())
    )
    assert [1e3 * bar.get_width() for bar in weights] == pytest.approx([state.value_bytes] * 4)
    assert [text.get_text() for text in stored.get_yticklabels()] == list(state.stored_bytes)
    assert stored.get_lines()[0].get_xdata()[0] == pytest.approx(32.768)
    bold = [text.get_text() for text in stored.texts if text.get_weight() == "bold"]
    assert bold == [f"{state.stored_bytes['BSR 4x4']:,}", f"{state.index_bits('BSR 4x4'):.2f}"]
    assert weights[0].get_facecolor()[:3] == pytest.approx(tuple(image[state.mask][0]))


@pytest.mark.parametrize("pattern", CHOICES)
@pytest.mark.parametrize("sparsity", [0, 0.98])
def test_nothing_covers_a_number(explorer, pattern, sparsity):
    explorer.controls["pattern"].value = pattern
    explorer.controls["sparsity"].value = sparsity
    renderer = FigureCanvasAgg(explorer.figure).get_renderer()
    stored = explorer.figure.axes[2]
    parts = [stored.get_legend(), *stored.containers[0]]
    for axes in explorer.figure.axes:
        parts += [part for part in axes.get_children() if isinstance(part, Text)]
        if axes.axison:
            parts += [axes.xaxis.label, *axes.get_xticklabels(), *axes.get_yticklabels()]
    boxes = [
        part.get_window_extent(renderer)
        for part in parts
        if not isinstance(part, Text) or part.get_text()
    ]
    width, height = 100 * explorer.figure.get_size_inches()
    assert len(boxes) > 30
    for i, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        assert not any(box.overlaps(other) for other in boxes[:i])


def test_the_sentence_says_what_is_smallest_and_what_was_lost(explorer):
    explorer.controls["pattern"].value = "16x16 blocks"
    explorer.controls["sparsity"].value = 0.9
    state = explorer.state
    assert "16x16 blocks. 768 of 8,192 trained weights stay, sparsity 0.906; " in explorer.alt
    assert f"size is {state.kept_sizes['16x16 blocks']:.2f} of that of the 768" in explorer.alt
    # Three blocks in one to three rows of blocks: 3 column numbers, 5 row starts.
    assert "Smallest: BSR 16x16, 3,098 bytes, 10.6 times smaller than dense" in explorer.alt
    assert f"with {8 * 26 / 768:.2f} bits of index a weight." in explorer.alt


def test_the_sentence_says_that_2_of_4_has_one_sparsity_and_ties_with_a_bitmask(explorer):
    explorer.controls["pattern"].value = "2:4"
    explorer.controls["sparsity"].value = 0.3
    before = explorer.alt
    assert "4,096 of 8,192 trained weights stay, sparsity 0.500, whatever the slider" in before
    assert "Smallest: bitmask and 2:4, 17,408 bytes, 1.9 times" in before
    explorer.controls["sparsity"].value = 0.9
    assert explorer.alt == before
    explorer.controls["pattern"].value = "scattered"
    assert "slider" not in explorer.alt


def test_the_sentence_says_when_nothing_is_saved(explorer):
    for pattern in CHOICES:
        explorer.controls["pattern"].value = pattern
        explorer.controls["sparsity"].value = 0
        assert ("No format is smaller than dense, 32,768" in explorer.alt) == (pattern != "2:4")


@pytest.mark.parametrize(
    ("pattern", "sparsity", "message"),
    [
        ("none", 0.5, "pattern must be one of .*'scattered'.* got 'none'"),
        ("scattered", -0.1, "sparsity must be between 0 and 0.98, got -0.1"),
        ("16x16 blocks", 0.99, "sparsity must be between 0 and 0.98, got 0.99"),
        ("scattered", float("nan"), "sparsity must be between 0 and 0.98, got nan"),
    ],
)
def test_what_is_no_pattern_or_sparsity_is_refused(pattern, sparsity, message):
    with pytest.raises(ValueError, match=message):
        look_at(pattern, sparsity)
