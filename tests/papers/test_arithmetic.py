"""The tables hold together: each figure that follows from others does, or is among the errata.

A printed figure stands for all numbers that round to it. A relation holds if such numbers fulfil
it. What fails must be listed as an erratum, and an erratum must fail.
"""

import math
import re
from itertools import pairwise

import pytest

from sparsecourse import papers
from tests.papers.counting import (
    Range,
    bottleneck_network,
    conv,
    mobilenet_counts,
    mobilenet_layers,
    rows_of,
    total,
    vgg16,
)

# Of each table, the cells (row, column) that contradict others.


def energy_per_operation(rows):
    unit = float(rows["32 bit int ADD"]["energy_pj"])
    for row, cells in rows.items():
        if not math.isclose(float(cells["energy_pj"]) / unit, float(cells["relative_cost"])):
            yield row, "relative_cost"


def rates(rows, size):
    for (network, variant), cells in rows.items():
        rate = Range.of(rows[network, "reference"][size]) / Range.of(cells[size])
        if not rate.meets(Range.of(cells["compression_rate"])):
            yield (network, variant), "compression_rate"


def han2015_networks(rows):
    return rates(rows, "parameters")


def deep_compression_networks(rows):
    return rates(rows, "size")


def han2015_vgg16_layers(rows):
    *layers, total = rows.items()
    counted = [(weights + biases, multiply_adds) for weights, biases, multiply_adds in vgg16()]
    counted.append(tuple(map(sum, zip(*counted, strict=True))))
    for (row, cells), (parameters, multiply_adds) in zip(rows.items(), counted, strict=True):
        if not Range.of(cells["weights"]).meets(parameters):
            yield row, "weights"
        if not Range.of(cells["flop"]).meets(2 * multiply_adds):
            yield row, "flop"
    before = Range(100, 100)
    for row, cells in layers:
        left = Range.of(cells["weights_percent"]) * before * 0.01
        if not left.meets(Range.of(cells["flop_percent"])):
            yield row, "flop_percent"
        before = Range.of(cells["activation_percent"])
    for column, index in (("weights_percent", 0), ("flop_percent", 1)):
        share = Range(0, 0)
        for (_, cells), count in zip(layers, counted, strict=False):
            share += Range.of(cells[column]) * (count[index] / counted[-1][index])
        if not share.meets(Range.of(total[1][column])):
            yield total[0], column


def li2017_vgg16_layers(rows):
    *layers, (total, sums) = rows.items()
    inputs, inputs_left = 3, 3
    weights_sum = multiply_adds_sum = left_sum = 0
    for row, cells in layers:
        maps, maps_left = int(cells["maps"]), int(cells["maps_pruned"])
        size = int(cells["output_size"].partition("x")[0])
        kernel = 3 if row.startswith("Conv") else 1
        weights, multiply_adds = conv(kernel, inputs, maps, size)
        _, left = conv(kernel, inputs_left, maps_left, size)
        if not Range.of(cells["parameters"]).meets(weights):
            yield row, "parameters"
        if not Range.of(cells["flop"]).meets(multiply_adds):
            yield row, "flop"
        if not Range.of(cells["flop_pruned_percent"]).meets(100 * (1 - left / multiply_adds)):
            yield row, "flop_pruned_percent"
        inputs, inputs_left = maps, maps_left
        weights_sum, multiply_adds_sum = weights_sum + weights, multiply_adds_sum + multiply_adds
        left_sum += left
    if not Range.of(sums["parameters"]).meets(weights_sum):
        yield total, "parameters"
    if not Range.of(sums["flop"]).meets(multiply_adds_sum):
        yield total, "flop"
    if not Range.of(sums["flop_pruned_percent"]).meets(100 * (1 - left_sum / multiply_adds_sum)):
        yield total, "flop_pruned_percent"


def li2017_filter_pruning(rows):
    for row, cells in rows.items():
        dense = rows[row.partition("-pruned")[0]]
        for column in ("flop", "parameters"):
            saved = cells[f"{column}_pruned_percent"]
            if saved and not (Range.of(cells[column]) / Range.of(dense[column])).saved().meets(
                Range.of(saved)
            ):
                yield row, f"{column}_pruned_percent"


def ssl_lenet_filters(rows):
    for row, cells in rows.items():
        filters1, filters2 = int(cells["conv1_filters"]), int(cells["conv2_filters"])
        channels2 = int(cells["conv2_channels"])
        if not Range.of(cells["conv1_flop_percent"]).meets(100 * filters1 / 20):
            yield row, "conv1_flop_percent"
        if not Range.of(cells["conv2_flop_percent"]).meets(100 * filters2 * channels2 / 1000):
            yield row, "conv2_flop_percent"


def ssl_lenet_shapes(rows):
    for row, cells in rows.items():
        size1, size2 = int(cells["conv1_filter_size"]), int(cells["conv2_filter_size"])
        share = size1 / 25 * int(cells["conv2_channels"]) / 20
        if not Range.of(cells["conv1_flop_percent"]).meets(100 * share):
            yield row, "conv1_flop_percent"
        if not Range.of(cells["conv2_flop_percent"]).meets(100 * size2 / 500):
            yield row, "conv2_flop_percent"


def ssl_mlp_neurons(rows):
    dense = [784, 500, 300, 10]
    for row, cells in rows.items():
        left = list(map(int, cells["neurons_per_layer"].split("-")))
        shares = cells["flop_percent_per_layer"].split("-")
        for now, then, share in zip(pairwise(left), pairwise(dense), shares, strict=True):
            if not Range.of(share).meets(100 * math.prod(now) / math.prod(then)):
                yield row, "flop_percent_per_layer"


def ttq_cifar10(rows):
    for row, cells in rows.items():
        gain = float(cells["full_resolution_error_percent"]) - float(cells["ternary_error_percent"])
        if not math.isclose(gain, float(cells["improvement"]), abs_tol=1e-9):
            yield row, "improvement"


def mobilenet_architecture(rows):
    layers = list(mobilenet_layers(rows))
    for (row, _, stride, _, _, outputs, size), after in pairwise(layers):
        next_row, kind, _, _, inputs, _, next_size = after
        if outputs != inputs:
            yield next_row, "filter_shape"
        if kind != "FC" and size // stride != next_size:  # pooling stands before the classifier
            yield row, "stride"
    for row, cells in rows.items():
        height, width, channels = cells["input_size"].split("x")
        kernels = re.match(r"\dx\dx(\d+)", cells["filter_shape"])
        if height != width or (kernels and kernels[1] != channels):
            yield row, "input_size"


def mobilenet_layer_types(rows):
    counts = mobilenet_counts()
    for index, column in enumerate(("parameters_percent", "mult_adds_percent")):
        for row, cells in rows.items():
            share = 100 * counts[row][index] / total(counts)[index]
            if not Range.of(cells[column]).meets(share):
                yield row, column


def mobilenet_modifications(rows):
    def block(channels, size):
        return map(
            sum,
            zip(
                conv(3, channels, channels, size, channels),
                conv(1, channels, channels, size),
                strict=True,
            ),
        )

    counts = [conv(3, 512, 512, 14), block(512, 14), block(384, 14), block(384, 10)]
    for (row, cells), (weights, multiply_adds) in zip(rows.items(), counts, strict=True):
        if not Range.of(cells["million_parameters"]).meets(weights / 1e6):
            yield row, "million_parameters"
        if not Range.of(cells["million_mult_adds"]).meets(multiply_adds / 1e6):
            yield row, "million_mult_adds"


def mobilenet_comparisons(rows):
    full = total(mobilenet_counts(full=True))
    counts = {
        "MobileNet": total(mobilenet_counts()),
        "1.0 MobileNet-224": total(mobilenet_counts()),
        "0.75 MobileNet": total(mobilenet_counts(alpha=0.75)),
        "Shallow MobileNet": total(mobilenet_counts(shallow=True)),
        "Conv MobileNet": (full[0], full[1] - 1024 * 1000),  # see its erratum
    }
    for (group, model), cells in rows.items():
        if model in counts:
            weights, multiply_adds = counts[model]
            if not Range.of(cells["million_parameters"]).meets(weights / 1e6):
                yield (group, model), "million_parameters"
            if not Range.of(cells["million_mult_adds"]).meets(multiply_adds / 1e6):
                yield (group, model), "million_mult_adds"


def resnext_stages(rows):
    for network in ("resnet50", "resnext50_32x4d"):
        stages = [rows[f"conv{i}"][network] for i in (2, 3, 4, 5)]
        weights, multiply_adds = bottleneck_network(stages)
        if not Range.of(rows["parameters"][network]).meets(weights):
            yield "parameters", network
        if not Range.of(rows["flops"][network]).meets(multiply_adds):
            yield "flops", network


def sensitivity(rows, layers, dense, memory):
    """`layers`: column -> weights of the dense layers; `dense`: what compression refers to."""
    for row, cells in rows.items():
        parameters = Range.of(cells["parameters"])
        if all(cells[column] for column in layers):
            left = Range(0, 0)
            for column, weights in layers.items():
                left += Range.of(cells[column]) * (0.01 * weights)
            if not left.meets(parameters):
                yield row, "parameters"
        if not (parameters * 4).meets(Range.of(cells[memory] + memory[-2:].upper())):
            yield row, memory
        if not (dense / parameters).meets(Range.of(cells["compression"])):
            yield row, "compression"


def sensitivity_lenet300(rows):
    layers = {"fc1_percent": 784 * 300, "fc2_percent": 300 * 100, "fc3_percent": 100 * 10}
    return sensitivity(rows, layers, Range.of("266.2k"), "memory_kb")


def sensitivity_lenet5(rows):
    layers = {
        "conv1_percent": 20 * 25,
        "conv2_percent": 50 * 20 * 25,
        "fc1_percent": 800 * 500,
        "fc2_percent": 500 * 10,
    }
    return sensitivity(rows, layers, Range.of("430.5k"), "memory_kb")


def sensitivity_vgg16_imagenet(rows):
    weights = [weights for weights, _, _ in vgg16()]
    layers = {"conv_percent": sum(weights[:13]), "fc_percent": sum(weights[13:])}
    return sensitivity(rows, layers, Range.of("138M"), "memory_mb")


CHECKS = {
    check.__name__: check
    for check in (
        energy_per_operation,
        han2015_networks,
        han2015_vgg16_layers,
        deep_compression_networks,
        li2017_filter_pruning,
        li2017_vgg16_layers,
        ssl_lenet_filters,
        ssl_lenet_shapes,
        ssl_mlp_neurons,
        ttq_cifar10,
        mobilenet_architecture,
        mobilenet_layer_types,
        mobilenet_modifications,
        mobilenet_comparisons,
        resnext_stages,
        sensitivity_lenet300,
        sensitivity_lenet5,
        sensitivity_vgg16_imagenet,
    )
}
# Their figures do not follow from one another.
MEASURED_ONLY = {
    "binaryconnect_errors",
    "darb_retained_weights",
    "l0_mnist",
    "shufflenet_groups",
    "snip_grasp",
    "ssl_alexnet_imagenet",
    "ssl_convnet_cifar10",
    "ssl_resnet_depth_cifar10",
    "ttq_imagenet",
}


def test_every_table_is_checked_or_has_nothing_to_check():
    assert CHECKS.keys() | MEASURED_ONLY == set(papers.tables())
    assert not CHECKS.keys() & MEASURED_ONLY


@pytest.mark.parametrize("name", papers.tables())
def test_what_does_not_add_up_is_what_the_errata_say(name):
    found = set(CHECKS[name](rows_of(name))) if name in CHECKS else set()
    listed = {
        (erratum.row[0] if len(erratum.row) == 1 else erratum.row, column)
        for erratum in papers.table(name).errata
        if erratum.what == "does not add up"
        for column in erratum.columns
    }
    assert found == listed


# Columns of which every printed number is tied to others.
TIED = {
    "energy_per_operation": ["relative_cost"],
    "han2015_networks": ["compression_rate"],
    "han2015_vgg16_layers": ["weights", "flop", "weights_percent", "flop_percent"],
    "deep_compression_networks": ["compression_rate"],
    "li2017_filter_pruning": ["flop_pruned_percent", "parameters_pruned_percent"],
    "li2017_vgg16_layers": ["flop", "parameters", "maps", "maps_pruned", "flop_pruned_percent"],
    "ssl_lenet_filters": [
        "conv1_filters",
        "conv2_filters",
        "conv2_channels",
        "conv1_flop_percent",
        "conv2_flop_percent",
    ],
    "ssl_lenet_shapes": [
        "conv1_filter_size",
        "conv2_filter_size",
        "conv2_channels",
        "conv1_flop_percent",
        "conv2_flop_percent",
    ],
    "ssl_mlp_neurons": ["neurons_per_layer", "flop_percent_per_layer"],
    "ttq_cifar10": ["full_resolution_error_percent", "ternary_error_percent", "improvement"],
    "mobilenet_layer_types": ["mult_adds_percent", "parameters_percent"],
    "mobilenet_modifications": ["million_mult_adds", "million_parameters"],
    "sensitivity_lenet300": ["parameters", "memory_kb", "compression"],
    "sensitivity_lenet5": ["parameters", "memory_kb", "compression"],
    "sensitivity_vgg16_imagenet": ["parameters", "memory_mb", "compression"],
}


@pytest.mark.parametrize("name", TIED)
def test_a_figure_that_is_changed_is_found(name):
    found = set(CHECKS[name](rows_of(name)))
    for row, cells in rows_of(name).items():
        for column in TIED[name]:
            if not cells[column]:
                continue
            rows = rows_of(name)
            # 12 becomes 121, 0.77 1.77, 784-500 becomes 7841-500.
            changed = re.sub(
                r"^(-?)(\d+)", lambda m: f"{m[1]}{m[2]}1" if m[2] != "0" else "1", cells[column]
            )
            rows[row][column] = changed
            ours = any(
                column in erratum.columns and erratum.row == (row,)
                for erratum in papers.table(name).errata
            )
            assert ours or set(CHECKS[name](rows)) != found, (row, column, changed)


# What connects tables, or a table and the text around it.


def test_vgg16_of_li_et_al_saves_by_its_layers_what_its_totals_say():
    rows = rows_of("li2017_vgg16_layers")
    *layers, _ = rows.values()
    weights = left = 0
    inputs, inputs_left = 3, 3
    for cells in layers:
        maps, maps_left = int(cells["maps"]), int(cells["maps_pruned"])
        kernel = 3 if "x" in cells["output_size"] else 1
        weights += conv(kernel, inputs, maps, 1)[0]
        left += conv(kernel, inputs_left, maps_left, 1)[0]
        inputs, inputs_left = maps, maps_left
    pruned = rows_of("li2017_filter_pruning")["VGG-16-pruned-A"]
    assert pruned["parameters_pruned_percent"] == f"{100 * (1 - left / weights):.1f}" == "64.0"
    assert pruned["flop_pruned_percent"] == "34.2"
    assert Range.of(pruned["parameters"]).meets(left)


def test_ssl_saves_whole_filters():
    for cells in rows_of("ssl_convnet_cifar10").values():
        shares = cells["row_sparsity_percent_conv1_2_3"].split("/")
        for share, filters in zip(shares, (32, 32, 64), strict=True):
            zero = Range.of(share) * (filters / 100)
            assert zero.meets(round((zero.low + zero.high) / 2))
    cells = rows_of("ssl_alexnet_imagenet")["2", "SSL", "row_sparsity_percent"]
    for conv_, filters in zip(range(1, 6), (96, 256, 384, 384, 256), strict=True):
        zero = Range.of(cells[f"conv{conv_}"]) * (filters / 100)
        assert zero.meets(round((zero.low + zero.high) / 2))


@pytest.mark.parametrize(("statistic", "mean"), [("cpu_speedup", "5.1"), ("gpu_speedup", "3.1")])
def test_ssl_speeds_alexnet_up_as_its_abstract_says(statistic, mean):
    cells = rows_of("ssl_alexnet_imagenet")["2", "SSL", statistic]
    assert f"{sum(float(cells[f'conv{i}']) for i in range(1, 6)) / 5:.1f}" == mean


def test_l0_table_leaves_no_more_neurons_than_there_were():
    for (network, _), cells in rows_of("l0_mnist").items():
        dense = list(map(int, network.rpartition(" ")[2].split("-")))
        left = list(map(int, cells["pruned_architecture"].split("-")))
        assert all(now <= then for now, then in zip(left, dense, strict=True))
        if len(left) == 4:  # each filter of conv2 gives 4x4 inputs of the first linear layer
            assert left[2] <= 16 * left[1]


def test_papers_quote_one_another_rightly():
    lenet = rows_of("ssl_lenet_filters")["3"]
    quoted = rows_of("l0_mnist")["LeNet-5-Caffe 20-50-800-500", "GL (group lasso)"]
    assert quoted["pruned_architecture"].startswith(
        f"{lenet['conv1_filters']}-{lenet['conv2_filters']}-"
    )
    assert quoted["error_percent"] == lenet["error_percent"]

    han = rows_of("han2015_networks")
    for name, network, left in (
        ("sensitivity_lenet300", "LeNet-300-100", "22K"),
        ("sensitivity_lenet5", "LeNet-5", "36K"),
        ("sensitivity_vgg16_imagenet", "VGG-16", "10.3M"),
    ):
        quoted, original = rows_of(name)["Han et al."], han[network, "pruned"]
        error = Range.of(quoted["top1_error_percent"])
        assert error.meets(Range.of(original["top1_error_percent"]))
        assert Range.of(quoted["parameters"]).meets(Range.of(left))
        assert Range.of(left).meets(float(original["parameters"]))

    alexnet = rows_of("ttq_imagenet")
    for metric in ("top1_error_percent", "top5_error_percent"):
        error = Range.of(alexnet["AlexNet", metric]["full_precision"])
        assert error.meets(float(han["AlexNet", "reference"][metric]))


def test_snip_and_grasp_lose_accuracy_as_more_is_pruned():
    rows = rows_of("snip_grasp")
    for (network, method), cells in rows.items():
        for data in ("cifar10", "cifar100"):
            dense = float(rows[network, "baseline (dense)"][f"{data}_90"])
            if method != "baseline (dense)":
                kept = [float(cells[f"{data}_{share}"]) for share in (90, 95, 98)]
                assert [dense, *kept] == sorted([dense, *kept], reverse=True)
