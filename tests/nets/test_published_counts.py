"""Our networks have the sizes that their papers print, in total and layer by layer."""

import re
from functools import cache

import pytest
import torch
from torch import nn

from sparsecourse import costs, papers
from sparsecourse.nets import NETS, mobilenet

UNITS = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9}

# Parameters and multiply-adds, in as many digits as the source prints.
PUBLISHED = {
    "lenet_300_100": ("266.6k", "266.2k"),  # by hand: 784 x 300 + 300 x 100 + 100 x 10
    "lenet5": ("431k", "2.293M"),  # Han et al. 2015; by hand
    "mlp_500_300": ("545.8k", "545.0k"),  # by hand
    "convnet": ("145.6k", "12.35M"),  # by hand
    "vgg16_cifar": ("15.0M", "313M"),  # Li et al. 2017
    "resnet20": ("0.27M", "40.6M"),  # He et al. 2016, table 6; by the formula below
    "resnet32": ("0.46M", "68.9M"),
    "resnet44": ("0.66M", "97.2M"),
    "resnet56": ("0.85M", "125M"),  # He et al.; Li et al.
    "resnet110": ("1.7M", "253M"),
    "alexnet": ("61.1M", "0.71G"),  # torchvision's table of models, as those that follow
    "alexnet_grouped": ("60.97M", "724M"),  # Caffe's bvlc_alexnet
    "vgg16": ("138.36M", "15.47G"),
    "vgg19": ("143.7M", "19.63G"),
    "googlenet": ("7.0M", "1.58G"),  # Szegedy et al.: "7M"; see the test of its table
    "resnet18": ("11.7M", "1.81G"),
    "resnet34": ("21.8M", "3.66G"),
    "resnet50": ("25.56M", "4.09G"),
    "resnet101": ("44.5M", "7.80G"),
    "resnet152": ("60.2M", "11.51G"),
    "mobilenet": ("4.2M", "569M"),  # Howard et al. 2017, table 8
}


def rounds_to(value, printed):
    """Whether a value, rounded to the digits of ``"15.47G"``, is this number."""
    number, unit = printed[:-1], printed[-1]
    digits = len(number.partition(".")[2])
    return f"{value / UNITS[unit]:.{digits}f}" == number


def rounds_to_digits(value, printed, digits=2):
    """Whether a value, rounded to so many significant digits, is a printed 1.8e6."""
    return float(f"{value:.{digits - 1}e}") == pytest.approx(float(printed), rel=1e-9)


@cache
def counted(name, **arguments):
    with torch.device("meta"):
        net = NETS[name](**arguments)
    return costs.count(net, net.input_shape)


def layers_with_products(name):
    return [layer for layer in counted(name).layers if layer.multiply_adds]


@pytest.mark.parametrize("name", NETS)
def test_totals_are_the_published_ones(name):
    parameters, multiply_adds = PUBLISHED[name]
    totals = counted(name).totals
    assert rounds_to(totals.parameters, parameters), totals
    assert rounds_to(totals.multiply_adds, multiply_adds), totals


@pytest.mark.parametrize("name", NETS)
def test_the_docstring_states_what_is_counted(name):
    text = " ".join(NETS[name].__doc__.split())
    parameters = re.search(r"([\d,]+) parameters", text).group(1)
    multiply_adds = re.search(r"([\d.,]+[kMG]?) multiply-adds", text).group(1)
    totals = counted(name).totals
    assert f"{totals.parameters:,}" == parameters
    if multiply_adds[-1].isdigit():
        assert f"{totals.multiply_adds:,}" == multiply_adds
    else:
        assert rounds_to(totals.multiply_adds, multiply_adds)


def test_resnet56_has_exactly_the_parameters_of_option_a():
    assert counted("resnet56").totals.parameters == 853_018  # 855,770 with option B


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_multiply_adds_of_cifar_resnets_follow_from_their_depth(depth):
    # 6 n convolutions of 16 x 16 x 9 weights at 32 x 32 or as much elsewhere, of which two have
    # half the input channels; the first convolution; the classifier.
    n = (depth - 2) // 6
    full = 16 * 16 * 9 * 32 * 32
    expected = (6 * n - 1) * full + 3 * 16 * 9 * 32 * 32 + 64 * 10
    assert counted(f"resnet{depth}").totals.multiply_adds == expected


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        # Radosavovic et al., CVPR 2020, count the outputs of convolutions.
        ("resnet50", 11.1),
        ("resnet101", 16.2),
        ("resnet152", 22.6),
    ],
)
def test_activations_are_the_published_ones(name, millions):
    assert round(counted(name).totals.activation_bytes / 4 / 1e6, 1) == millions


def test_vgg16_for_cifar_is_the_table_of_li_et_al_row_by_row():
    rows = papers.table("li2017_vgg16_layers").frame
    layers = layers_with_products("vgg16_cifar")
    *printed, total = rows.to_dict("records")
    assert len(layers) == len(printed) == 15
    for layer, row in zip(layers, printed, strict=True):
        size = f"{layer.output_shape[1]}x{layer.output_shape[2]}" if layer.name[0] == "c" else "1"
        assert (size, layer.output_shape[0]) == (row["output_size"], row["maps"]), row
        assert rounds_to_digits(layer.multiply_adds, row["flop"]), row
        assert rounds_to_digits(layer.weights, row["parameters"]), row
    totals = counted("vgg16_cifar").totals
    assert rounds_to_digits(totals.multiply_adds, total["flop"])
    assert rounds_to_digits(totals.parameters, total["parameters"])


@pytest.mark.parametrize(
    ("model", "name"),
    [("VGG-16", "vgg16_cifar"), ("ResNet-56", "resnet56"), ("ResNet-110", "resnet110")],
)
def test_li_et_al_count_weights_without_batch_normalisation(model, name):
    rows = papers.table("li2017_filter_pruning").frame.set_index("model")
    totals = counted(name).totals
    assert rounds_to_digits(totals.multiply_adds, rows.loc[model, "flop"], digits=3)
    digits = 3 if model == "ResNet-110" else 2
    assert rounds_to_digits(totals.weights, rows.loc[model, "parameters"], digits)


def test_li_et_al_count_resnet34_without_its_projections():
    row = papers.table("li2017_filter_pruning").frame.set_index("model").loc["ResNet-34"]
    layers = [layer for layer in counted("resnet34").layers if "shortcut" not in layer.name]
    assert rounds_to_digits(sum(layer.multiply_adds for layer in layers), row["flop"], 3)
    assert rounds_to_digits(sum(layer.weights for layer in layers), row["parameters"], 3)


def test_vgg16_is_the_table_of_han_et_al_row_by_row():
    rows = papers.table("han2015_vgg16_layers").frame.set_index("layer")
    frame = counted("vgg16").to_frame()
    assert len(rows) == 17
    for name, row in rows.iterrows():
        assert rounds_to(frame.loc[name, "parameters"], row["weights"]), row
        # They count a multiply-add as two operations.
        assert rounds_to(2 * frame.loc[name, "multiply_adds"], row["flop"]), row


@pytest.mark.parametrize(
    ("network", "name", "digits"),
    [
        ("LeNet-300-100", "lenet_300_100", 3),
        ("LeNet-5", "lenet5", 3),
        ("AlexNet", "alexnet_grouped", 2),
        ("VGG-16", "vgg16", 3),
    ],
)
def test_han_et_al_start_from_networks_of_our_size(network, name, digits):
    rows = papers.table("han2015_networks").frame.set_index(["network", "variant"])
    printed = rows.loc[(network, "reference"), "parameters"]
    assert rounds_to_digits(counted(name).totals.parameters, printed, digits)


def test_mobilenet_is_its_table_row_by_row():
    rows = papers.table("mobilenet_architecture").frame.to_dict("records")
    separable = next(row for row in rows if row["type"].startswith("5x"))
    dw, one = separable["filter_shape"].split(" + ")
    five = [
        {**separable, "type": "Conv dw", "filter_shape": dw},
        {**separable, "type": "Conv", "filter_shape": one},
    ] * 5
    at = rows.index(separable)
    printed = [row for row in rows[:at] + five + rows[at + 1 :] if row["type"][:4] == "Conv"]
    # "2" is misprinted: this layer's input and its successor's are both 7 x 7.
    assert printed[-2]["stride"] == 2
    printed[-2] = {**printed[-2], "stride": 1}

    with torch.device("meta"):
        net = mobilenet()
    ran = [layer for layer in costs.count(net, net.input_shape).layers if layer.multiply_adds]
    *ran, classifier = ran
    sizes = [net.input_shape] + [layer.output_shape for layer in ran]
    assert len(ran) == len(printed) == 27
    for layer, (channels, height, width), row in zip(ran, sizes, printed, strict=False):
        conv = net.get_submodule(layer.name)
        k = conv.kernel_size[0]
        shape = f"{k}x{k}x{conv.in_channels}x{conv.out_channels}"
        if conv.groups == conv.in_channels:
            shape = f"{k}x{k}x{conv.in_channels} dw"
        assert row["filter_shape"] == shape, row
        assert row["input_size"] == f"{height}x{width}x{channels}", row
        assert conv.stride == (int(row["stride"]),) * 2, row
    assert (classifier.name, classifier.weights) == ("fc", 1024 * 1000)


def kind_of(layer):
    if layer.kind == "Linear":
        return "Fully Connected"
    if layer.name.endswith("depthwise"):
        return "Conv DW 3x3"
    return "Conv 1x1" if layer.name.endswith("pointwise") else "Conv 3x3"


def test_mobilenet_spends_where_its_table_says():
    rows = papers.table("mobilenet_layer_types").frame.set_index("type")
    layers = layers_with_products("mobilenet")
    multiply_adds, weights = dict.fromkeys(rows.index, 0), dict.fromkeys(rows.index, 0)
    for layer in layers:
        multiply_adds[kind_of(layer)] += layer.multiply_adds
        weights[kind_of(layer)] += layer.weights
    for kind, row in rows.iterrows():
        share = 100 * multiply_adds[kind] / sum(multiply_adds.values())
        # The printed 1.19 % is not what the first layer costs, nor do the rows add up with it.
        expected = 1.91 if kind == "Conv 3x3" else row["mult_adds_percent"]
        assert share == pytest.approx(expected, abs=0.005), kind
        share = 100 * weights[kind] / sum(weights.values())
        assert share == pytest.approx(row["parameters_percent"], abs=0.005), kind


@pytest.mark.parametrize(
    ("arguments", "multiply_adds", "parameters"),
    [
        # Howard et al. 2017, tables 6 and 7.
        ({"alpha": 0.75}, "325M", "2.6M"),
        ({"alpha": 0.5}, "149M", "1.3M"),
        ({"alpha": 0.25}, "41M", "0.5M"),
        ({"resolution": 192}, "418M", "4.2M"),
        ({"resolution": 160}, "291M", "4.2M"),  # printed 290
        ({"resolution": 128}, "186M", "4.2M"),
    ],
)
def test_thinner_and_smaller_mobilenets_are_the_published_ones(
    arguments, multiply_adds, parameters
):
    totals = counted("mobilenet", **arguments).totals
    assert rounds_to(totals.multiply_adds, multiply_adds), totals
    assert rounds_to(totals.parameters, parameters), totals


def test_mobilenet_compares_to_popular_models_as_printed():
    rows = papers.table("mobilenet_comparisons").frame.set_index("model")
    millions = rows[["million_mult_adds", "million_parameters"]].to_dict("index")

    def ours(name, **arguments):
        totals = counted(name, **arguments).totals
        return totals.multiply_adds / 1e6, totals.parameters / 1e6

    for model, arguments in [("1.0 MobileNet-224", {}), ("0.75 MobileNet", {"alpha": 0.75})]:
        multiply_adds, parameters = ours("mobilenet", **arguments)
        assert round(multiply_adds) == millions[model]["million_mult_adds"]
        assert round(parameters, 1) == millions[model]["million_parameters"]
    # VGG-16 is printed without its fully connected layers, in three digits.
    convolutions = [layer for layer in counted("vgg16").layers if layer.kind == "Conv2d"]
    printed = millions["VGG 16"]
    assert rounds_to_digits(
        sum(c.multiply_adds for c in convolutions) / 1e6, printed["million_mult_adds"], 3
    )
    assert round(ours("vgg16")[1]) == printed["million_parameters"]
    multiply_adds, parameters = ours("googlenet")
    assert multiply_adds == pytest.approx(millions["GoogleNet"]["million_mult_adds"], rel=0.025)
    assert parameters == pytest.approx(millions["GoogleNet"]["million_parameters"], rel=0.03)


def test_modifications_of_a_mobilenet_layer_are_as_printed():
    rows = papers.table("mobilenet_modifications").frame.set_index("modification")

    def block(**arguments):  # 14 x 14 maps, 512 in and out
        return [
            layer
            for layer in counted("mobilenet", **arguments).layers
            if layer.name.startswith("block7.")
        ]

    with torch.device("meta"):
        full = nn.Conv2d(512, 512, 3, padding=1, bias=False)
    cumulative = {
        "Convolution": costs.count(full, (512, 14, 14)).layers,
        "Depthwise Separable Conv": block(),
        "alpha = 0.75": block(alpha=0.75),
        "rho = 0.714": block(alpha=0.75, resolution=160),
    }
    assert set(cumulative) == set(rows.index)
    for modification, layers in cumulative.items():
        printed = rows.loc[modification]
        multiply_adds = sum(layer.multiply_adds for layer in layers) / 1e6
        assert multiply_adds == pytest.approx(printed["million_mult_adds"], rel=0.002)
        weights = sum(layer.weights for layer in layers) / 1e6
        assert weights == pytest.approx(printed["million_parameters"], abs=0.005)


# Szegedy et al. 2015, table 1, millions of multiply-adds. The row of inception5a is printed 54,
# with 1072k weights; a module of its widths has 1018 x 1024.
INCEPTION = {
    "conv2": 360,
    "inception3a": 128,
    "inception3b": 304,
    "inception4a": 73,
    "inception4b": 88,
    "inception4c": 100,
    "inception4d": 119,
    "inception4e": 170,
    "inception5a": 51,
    "inception5b": 71,
    "fc": 1,
}


def test_googlenet_is_its_table_row_by_row():
    rows = dict.fromkeys(INCEPTION, 0)
    for layer in layers_with_products("googlenet"):
        if layer.name != "conv1":  # printed 34, which is not a 7 x 7 convolution: 118
            row = layer.name.split(".")[0].removesuffix("_reduce")
            rows[row] += layer.multiply_adds
    for row, millions in INCEPTION.items():
        assert rows[row] / 1e6 == pytest.approx(millions, abs=0.65), row


def test_filters_of_grouped_alexnet_see_half_of_the_maps():
    with torch.device("meta"):
        net = NETS["alexnet_grouped"]()
    inputs = [net.get_submodule(f"conv{i}").weight[0].numel() for i in range(1, 6)]
    assert inputs == [363, 1200, 2304, 1728, 1728]
    sizes = counted("alexnet_grouped").to_frame()["output_shape"]
    assert [sizes[f"conv{i}"][1] for i in range(1, 6)] == [55, 27, 13, 13, 13]


def test_networks_of_structured_sparsity_learning_have_its_filters():
    with torch.device("meta"):
        lenet, mlp, convnet = (NETS[name]() for name in ("lenet5", "mlp_500_300", "convnet"))
    filters = papers.table("ssl_lenet_filters").frame.iloc[0]
    shapes = papers.table("ssl_lenet_shapes").frame.iloc[0]
    for conv in ("conv1", "conv2"):
        weight = lenet.get_submodule(conv).weight
        assert weight.shape[:2] == (filters[f"{conv}_filters"], filters[f"{conv}_channels"])
        assert weight[0].numel() == shapes[f"{conv}_filter_size"]

    neurons = papers.table("ssl_mlp_neurons").frame.loc[0, "neurons_per_layer"]
    widths = [784] + [mlp.get_submodule(f"fc{i}").out_features for i in (1, 2, 3)]
    assert neurons == "-".join(str(width) for width in widths)

    # Row sparsity is a number of filters out of those there are.
    table = papers.table("ssl_convnet_cifar10").frame["row_sparsity_percent_conv1_2_3"]
    for row in table:
        for i, percent in enumerate(row.split("/"), start=1):
            n_filters = convnet.get_submodule(f"conv{i}").out_channels
            removed = float(percent) / 100 * n_filters
            assert abs(removed - round(removed)) <= 0.05 / 100 * n_filters + 1e-9
