"""Each number that an erratum states is counted here: from the table, by hand, or on our networks."""

import re

import pytest
import torch

from sparsecourse import costs, papers
from sparsecourse.nets import NETS
from tests.papers.counting import (
    bottleneck_network,
    conv,
    mobilenet_counts,
    rows_of,
    total,
    vgg16,
)


def counted(name):
    with torch.device("meta"):
        net = NETS[name]()
    return costs.count(net, net.input_shape)


def millions(value, digits=2):
    return f"{value / 1e6:.{digits}f}M"


def billions(value, digits=2):
    return f"{value / 1e9:.{digits}f}G"


def vgg16_flop():
    return ["30.9B", billions(sum(multiply_adds for *_, multiply_adds in vgg16()))]


def vgg16_activations():
    printed = rows_of("han2015_vgg16_layers")
    layers = [layer for layer in counted("vgg16").layers if layer.weights]
    for weight in ("activation_bytes", "multiply_adds"):
        weights = [getattr(layer, weight) for layer in layers]
        percent = [float(printed[layer.name]["activation_percent"]) for layer in layers]
        mean = sum(w * p for w, p in zip(weights, percent, strict=True)) / sum(weights)
        yield f"{mean:.0f} %"


def resnet56_parameters():
    totals = counted("resnet56").totals
    biases = 10  # of the classifier
    projections = sum(a * b + 2 * b for a, b in ((16, 32), (32, 64)))  # with batch norm
    return [
        f"{totals.weights + biases:,}",
        f"{totals.parameters:,}",
        f"{totals.parameters + projections:,}",
    ]


def resnet110_parameters():
    totals = counted("resnet110").totals
    return [millions(totals.weights), millions(totals.parameters)]


def resnet34():
    net = counted("resnet34")
    plain = [layer for layer in net.layers if "shortcut" not in layer.name]
    return [
        billions(sum(layer.multiply_adds for layer in plain), 3),
        millions(sum(layer.weights for layer in plain)),
        billions(net.totals.multiply_adds, 3),
        millions(net.totals.parameters),
    ]


def lenet5_convolutions():
    (_, conv1), (_, conv2) = conv(5, 1, 20, 24), conv(5, 20, 50, 8)
    cells = rows_of("ssl_lenet_shapes")["5"]
    left = conv1 * float(cells["conv1_flop_percent"]) + conv2 * float(cells["conv2_flop_percent"])
    return [f"{left / (conv1 + conv2):.1f} %"]


def alexnet_with_groups():
    grouped = counted("alexnet_grouped")
    rows = [layer for layer in grouped.layers if layer.kind == "Conv2d"]
    inputs = [layer.weights // layer.output_shape[0] for layer in rows]
    assert inputs[3] == inputs[4]
    return [
        millions(grouped.totals.parameters),
        millions(grouped.totals.multiply_adds, 0),
        f"conv2 has {inputs[1]}",
        f"conv5 {inputs[4]}",
        millions(counted("alexnet").totals.parameters),
    ]


def mobilenet_last_stride():
    row = rows_of("mobilenet_architecture")["Conv dw #8"]
    return [f"Printed {row['stride']}", "1."]


def mobilenet_first_layer():
    rows = rows_of("mobilenet_layer_types")
    printed = sum(float(cells["mult_adds_percent"]) for cells in rows.values())
    counts = mobilenet_counts()
    share = 100 * counts["Conv 3x3"][1] / total(counts)[1]
    right = printed - float(rows["Conv 3x3"]["mult_adds_percent"]) + share
    return [f"{printed:.2f}", f"{share:.2f}", f"{right:.0f}"]


def mobilenet_with_batch_norm():
    totals = counted("mobilenet").totals
    return [f"{100 * (1024 * 1000 + 1000) / totals.parameters:.2f} %"]


def conv_mobilenet():
    _, multiply_adds = total(mobilenet_counts())
    assert [round(multiply_adds / 1e6), round((multiply_adds - 1024 * 1000) / 1e6)] == [569, 568]
    return ["569", f"{total(mobilenet_counts(full=True))[1] / 1e6:.0f}"]


def googlenet():
    totals = counted("googlenet").totals
    return [millions(totals.weights), millions(totals.multiply_adds, 0)]


def vgg16_convolutions():
    *convolutions, _, _, _ = (multiply_adds for *_, multiply_adds in vgg16())
    every = sum(multiply_adds for *_, multiply_adds in vgg16())
    return [f"{sum(convolutions) / 1e6:.0f}", f"{every / 1e6:.0f}"]


def resnet50_parameters():
    totals = counted("resnet50").totals
    return [millions(totals.weights), millions(totals.parameters)]


def resnet50_strides():
    rows = rows_of("resnext_stages")
    stages = [rows[f"conv{i}"]["resnet50"] for i in (2, 3, 4, 5)]
    return [billions(bottleneck_network(stages, stride_in)[1]) for stride_in in ("3x3", "1x1")]


def shufflenet(groups, scale, stem):
    """Millions of multiply-adds of ShuffleNet v1, Table 1 of its paper."""
    width = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}[groups]
    counts = [conv(3, 3, stem, 112)]
    channels, size = stem, 56
    for stage, units in enumerate((4, 8, 4)):
        outputs = int(width * scale) * 2**stage
        for unit in range(units):
            before, first = size, unit == 0
            size = size // 2 if first else size
            # The first unit of a stage puts its shortcut beside its result.
            new = outputs - channels if first else outputs
            middle = outputs // 4
            # The first 1x1 convolution of all sees too few channels for groups.
            counts += [
                conv(1, channels, middle, before, 1 if first and stage == 0 else groups),
                conv(3, middle, middle, size, middle),
                conv(1, middle, new, size, groups),
            ]
            channels = outputs
    counts.append(conv(1, channels, 1000, 1))
    return sum(multiply_adds for _, multiply_adds in counts) / 1e6


GROUPS = (1, 2, 3, 4, 8)


def shufflenet_1x():
    *some, last = (f"{shufflenet(groups, 1, 24):.0f}" for groups in GROUPS)
    return [f"{', '.join(some)} and {last}"]


def shufflenet_half():
    halved = [shufflenet(groups, 0.5, 12) for groups in GROUPS]
    kept = [shufflenet(groups, 0.5, 24) for groups in GROUPS]
    assert round(sum(halved) / len(halved)) == 38
    return [f"{min(halved):.0f} to {max(halved):.0f}", f"{min(kept):.0f} to {max(kept):.0f}"]


def shufflenet_quarter():
    quarter = [shufflenet(groups, 0.25, 6) for groups in GROUPS]
    kept = [shufflenet(groups, 0.25, 24) for groups in GROUPS]
    return [f"{min(quarter):.0f} to {max(quarter):.0f}", f"{min(kept):.0f} to {max(kept):.0f}"]


def thousands(text):
    return 1000 * float(text.removesuffix("k"))


def bytes_of(row):
    cells = rows_of("sensitivity_lenet300")[row]
    return [cells["parameters"], f"{4 * thousands(cells['parameters']) / 1000:.1f} kB"]


def rate_of(row):
    cells = rows_of("sensitivity_lenet300")[row]
    rate = (784 * 300 + 300 * 100 + 100 * 10) / thousands(cells["parameters"])
    return ["266.2k", cells["parameters"], f"{rate:.1f}"]


def shares(name, row, sizes):
    cells = rows_of(name)[row]
    return sum(float(cells[column]) / 100 * weights for column, weights in sizes.items())


LENET300 = {"fc1_percent": 784 * 300, "fc2_percent": 300 * 100, "fc3_percent": 100 * 10}
LENET5 = {"conv1_percent": 500, "conv2_percent": 25e3, "fc1_percent": 400e3, "fc2_percent": 5e3}
WEIGHTS = [weights for weights, _, _ in vgg16()]
VGG16 = {"conv_percent": sum(WEIGHTS[:13]), "fc_percent": sum(WEIGHTS[13:])}


def lenet300_shares(row):
    cells = rows_of("sensitivity_lenet300")[row]
    left = shares("sensitivity_lenet300", row, LENET300)
    assert round(266200 / left) == float(cells["compression"])
    _, parameters, rate = rate_of(row)
    return [f"{left / 1000:.2f}k", f"{cells['compression']}x", parameters, f"{rate}x"]


def lenet5_shares(row):
    cells = rows_of("sensitivity_lenet5")[row]
    left = f"{shares('sensitivity_lenet5', row, LENET5) / 1000:.1f}k"
    return [left, f"{cells['memory_kb']} kB", f"{cells['compression']}x", cells["parameters"]]


def vgg16_shares(row):
    return [millions(shares("sensitivity_vgg16_imagenet", row, VGG16), 1)]


# Of each erratum, the table, the row and the first column, and what counts its numbers.
EVIDENCE = {
    ("han2015_vgg16_layers", "", "flop"): vgg16_flop,
    ("han2015_vgg16_layers", "total", "activation_percent"): vgg16_activations,
    ("li2017_filter_pruning", "ResNet-56", "parameters"): resnet56_parameters,
    ("li2017_filter_pruning", "ResNet-110", "parameters"): resnet110_parameters,
    ("li2017_filter_pruning", "ResNet-34", "flop"): resnet34,
    ("ssl_lenet_shapes", "5", "conv2_flop_percent"): lenet5_convolutions,
    ("ssl_alexnet_imagenet", "", ""): alexnet_with_groups,
    ("mobilenet_architecture", "Conv dw #8", "stride"): mobilenet_last_stride,
    ("mobilenet_layer_types", "Conv 3x3", "mult_adds_percent"): mobilenet_first_layer,
    ("mobilenet_layer_types", "", "parameters_percent"): mobilenet_with_batch_norm,
    ("mobilenet_comparisons", "Conv MobileNet", "million_mult_adds"): conv_mobilenet,
    ("mobilenet_comparisons", "GoogleNet", "million_mult_adds"): googlenet,
    ("mobilenet_comparisons", "VGG 16", "million_mult_adds"): vgg16_convolutions,
    ("resnext_stages", "parameters", "resnet50"): resnet50_parameters,
    ("resnext_stages", "flops", "resnet50"): resnet50_strides,
    ("shufflenet_groups", "ShuffleNet 1x", "mflops"): shufflenet_1x,
    ("shufflenet_groups", "ShuffleNet 0.5x", "mflops"): shufflenet_half,
    ("shufflenet_groups", "ShuffleNet 0.25x", "mflops"): shufflenet_quarter,
    ("sensitivity_lenet300", "Sensitivity (unspecific)", "memory_kb"): bytes_of,
    ("sensitivity_lenet300", "Louizos et al.", "compression"): rate_of,
    ("sensitivity_lenet300", "SWS", "compression"): rate_of,
    ("sensitivity_lenet300", "Sparse VD", "compression"): rate_of,
    ("sensitivity_lenet300", "Sensitivity (unspecific) #2", "parameters"): lenet300_shares,
    ("sensitivity_lenet300", "Sensitivity (specific) #2", "parameters"): lenet300_shares,
    ("sensitivity_lenet5", "Sensitivity (specific)", "parameters"): lenet5_shares,
    ("sensitivity_lenet5", "Louizos et al.", "parameters"): lenet5_shares,
    ("sensitivity_vgg16_imagenet", "Han et al.", "parameters"): vgg16_shares,
    ("sensitivity_vgg16_imagenet", "Sensitivity (unspecific)", "parameters"): vgg16_shares,
    ("sensitivity_vgg16_imagenet", "Sensitivity (specific)", "parameters"): vgg16_shares,
}
ERRATA = {
    (name, "".join(erratum.row[-1:]), "".join(erratum.columns[:1])): erratum
    for name in papers.tables()
    for erratum in papers.table(name).errata
}


def test_every_erratum_has_its_evidence():
    assert EVIDENCE.keys() == ERRATA.keys()
    assert len(ERRATA) == sum(len(papers.table(name).errata) for name in papers.tables())


@pytest.mark.parametrize("key", EVIDENCE, ids=" ".join)
def test_an_erratum_states_what_is_counted(key):
    count = EVIDENCE[key]
    row = (key[1],) if count.__code__.co_argcount else ()
    for number in count(*row):
        assert re.search(rf"(?<![\d.,]){re.escape(number)}(?!\d|\.\d)", ERRATA[key].text), number
