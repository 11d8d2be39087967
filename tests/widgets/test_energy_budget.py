"""The energy budget of lecture 01, against AlexNet counted by hand and the printed energies."""

import pytest

from sparsecourse import widgets
from sparsecourse.widgets.energy_budget import CHIP_MEGABYTES, NETWORKS, PARTS

PICO = 1e-12
FLOAT_MULTIPLY_ADD, DRAM, SRAM = (3.7 + 0.9) * PICO, 640 * PICO, 5 * PICO  # Han et al., figure 1

# AlexNet: weights of a layer (halved input channels: two groups), times its output pixels.
CONVOLUTIONS = [
    (96 * 3 * 11 * 11, 55 * 55),
    (256 * 48 * 5 * 5, 27 * 27),
    (384 * 256 * 3 * 3, 13 * 13),
    (384 * 192 * 3 * 3, 13 * 13),
    (256 * 192 * 3 * 3, 13 * 13),
]
LINEAR = [256 * 6 * 6 * 4096, 4096 * 4096, 4096 * 1000]
OUTPUTS = [96 * 55**2, 256 * 27**2, 384 * 13**2, 384 * 13**2, 256 * 13**2, 4096, 4096, 1000]
BIASES = 96 + 256 + 384 + 384 + 256 + 4096 + 4096 + 1000
PARAMETERS = sum(weights for weights, _ in CONVOLUTIONS) + sum(LINEAR) + BIASES
MULTIPLY_ADDS = sum(weights * pixels for weights, pixels in CONVOLUTIONS) + sum(LINEAR)


@pytest.mark.parametrize("kept", [1.0, 0.3, 0.02])
@pytest.mark.parametrize("megabytes", [0, 2, 32, 512])
def test_every_part_is_a_count_times_an_energy(kept, megabytes):
    budget = widgets.spend_energy("AlexNet", kept, megabytes)
    left = kept * PARAMETERS
    near = min(left, megabytes * 1e6 / 4)
    assert budget.weight_bytes == pytest.approx(4 * left)
    assert budget.on_chip_bytes == pytest.approx(4 * near)
    assert budget.dense_bytes == 4 * PARAMETERS
    expected = {
        "arithmetic": kept * MULTIPLY_ADDS * FLOAT_MULTIPLY_ADD,
        "weights from DRAM": (left - near) * DRAM,
        "weights from SRAM": near * SRAM,
        "activations": 2 * sum(OUTPUTS) * SRAM,
    }
    assert budget.joule == pytest.approx(expected)
    assert budget.total == pytest.approx(sum(expected.values()))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_whole_network_read_from_dram_is_what_others_are_compared_with(network):
    dense = widgets.spend_energy(network, 1.0, 0)
    assert dense.total == pytest.approx(dense.dense_joule)
    assert widgets.spend_energy(network, 0.1, 8).dense_joule == dense.dense_joule


@pytest.mark.parametrize("network", NETWORKS)
def test_more_room_on_the_chip_never_costs_energy_and_is_idle_once_all_fits(network):
    totals = [widgets.spend_energy(network, 0.5, size).total for size in CHIP_MEGABYTES]
    assert totals == sorted(totals, reverse=True)
    fits = widgets.spend_energy(network, 0.5, 1e4)
    assert fits.joule["weights from DRAM"] == 0
    assert fits.total == widgets.spend_energy(network, 0.5, 1e5).total


def test_the_picture_shows_the_bytes_and_energies_of_the_state():
    explorer = widgets.energy_budget()
    explorer.controls["network"].value = "VGG-16"
    explorer.controls["kept"].value = 0.1
    explorer.controls["chip_megabytes"].value = 32
    budget = explorer.state
    assert budget == widgets.spend_energy("VGG-16", 0.1, 32)
    above, below = explorer.figure.axes

    outline, near, far = [bar[0].get_width() for bar in above.containers]
    assert outline == pytest.approx(138_357_544 * 4e-6)
    assert near == pytest.approx(32)
    assert near + far == pytest.approx(0.1 * 138_357_544 * 4e-6)
    assert above.get_lines()[0].get_xdata()[0] == 32

    bars = {bar.get_label(): bar[0] for bar in below.containers}
    assert bars.pop("whole network, from DRAM").get_width() == pytest.approx(
        1e3 * budget.dense_joule
    )
    assert list(bars) == list(PARTS)
    end = 0.0
    for part, bar in bars.items():
        assert bar.get_width() == pytest.approx(1e3 * budget.joule[part])
        assert bar.get_x() == pytest.approx(end)
        end = bar.get_x() + bar.get_width()
    assert end == pytest.approx(1e3 * budget.total)


def test_the_sentence_says_where_the_weights_are():
    explorer = widgets.energy_budget()
    assert explorer.alt.startswith("AlexNet with 100% of its weights: 244 MB, none of them on the")
    explorer.controls["chip_megabytes"].value = 32
    assert "244 MB, 32 MB of them on the chip." in explorer.alt
    explorer.controls["kept"].value = 0.1
    assert "24.4 MB, all on the chip, which has room for 32 MB." in explorer.alt
    assert "weights from DRAM 0 mJ" in explorer.alt
    assert f"takes {1e3 * explorer.state.total:.3g} mJ" in explorer.alt


def test_a_room_beyond_the_picture_does_not_squeeze_the_bars():
    explorer = widgets.energy_budget()
    explorer.controls["network"].value = "MobileNet"
    explorer.controls["chip_megabytes"].value = 128
    assert explorer.figure.axes[0].get_xlim() == (0, pytest.approx(1.1 * 4.231976 * 4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("LeNet", 1.0, 0), "network must be one of .* got 'LeNet'"),
        (("AlexNet", 0.0, 0), r"kept must be in \(0, 1\], got 0.0"),
        (("AlexNet", 1.1, 0), r"kept must be in \(0, 1\], got 1.1"),
        (("AlexNet", 1.0, -1), "chip_megabytes must be >= 0, got -1"),
        (("AlexNet", 1.0, float("nan")), "chip_megabytes must be >= 0, got nan"),
    ],
)
def test_what_is_no_budget_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        widgets.spend_energy(*arguments)
