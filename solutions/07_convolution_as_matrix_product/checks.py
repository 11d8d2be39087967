"""What the functions of exercise 07 must do, and mistakes that must be noticed."""

import numpy as np

from sparsecourse.grading.checks import Check
from sparsecourse.reference import convolution, low_rank


def ints(array):
    return tuple(int(number) for number in array)


def padded(X, padding, **how):
    """An image with (top, bottom, left, right) more rows and columns, of zeros unless said."""
    top, bottom, left, right = padding
    return np.pad(X, [(0, 0), (top, bottom), (left, right)], **how)


def both_sides(padding):
    """What is added to height and width."""
    return padding.reshape(2, 2).sum(axis=1)


def reach_of(kernel, dilation):
    return dilation * (kernel - 1) + 1


def output_size(size, kernel, stride, padding, dilation):
    """The places counted one by one: where the kernel starts, and still ends inside."""
    lasts = size + both_sides(padding) - reach_of(kernel, dilation)
    return tuple(len(range(0, last + 1, step)) for last, step in zip(lasts, stride, strict=True))


def by_formula(room, stride, rounding=np.floor, plus=1):
    """Places where `room` pixels are left to the kernel; none if it is negative."""
    return ints(np.maximum(rounding(room / stride) + plus, 0))


def padding_forgotten(size, kernel, stride, padding, dilation):
    return output_size(size, kernel, stride, 0 * padding, dilation)


def padding_on_one_side(size, kernel, stride, padding, dilation):
    return by_formula(size + padding[::2] - reach_of(kernel, dilation), stride)


def first_padding_on_both_sides(size, kernel, stride, padding, dilation):
    """2 p, as where both sides get the same."""
    return by_formula(size + 2 * padding[::2] - reach_of(kernel, dilation), stride)


def sides_of_the_padding_mixed(size, kernel, stride, padding, dilation):
    """Read as (top, left, bottom, right)."""
    return output_size(size, kernel, stride, padding[[0, 2, 1, 3]], dilation)


def dilation_ignored(size, kernel, stride, padding, dilation):
    return output_size(size, kernel, stride, padding, 0 * dilation + 1)


def dilation_times_kernel(size, kernel, stride, padding, dilation):
    return by_formula(size + both_sides(padding) - dilation * kernel, stride)


def dilation_as_pixels_between(size, kernel, stride, padding, dilation):
    """d pixels left out, instead of d - 1."""
    return output_size(size, kernel, stride, padding, dilation + 1)


def rounded_up(size, kernel, stride, padding, dilation):
    """Part of a step at the end taken for one more place."""
    room = size + both_sides(padding) - reach_of(kernel, dilation)
    return by_formula(room, stride, rounding=np.ceil)


def one_place_too_few(size, kernel, stride, padding, dilation):
    return by_formula(size + both_sides(padding) - reach_of(kernel, dilation), stride, plus=0)


def stride_ignored(size, kernel, stride, padding, dilation):
    return output_size(size, kernel, 0 * stride + 1, padding, dilation)


def stride_before_padding(size, kernel, stride, padding, dilation):
    """The image is thinned out, then padded."""
    return output_size(-(-size // stride), kernel, 0 * stride + 1, padding, dilation)


def width_first(size, kernel, stride, padding, dilation):
    return output_size(size, kernel, stride, padding, dilation)[::-1]


def negative_numbers_of_places(size, kernel, stride, padding, dilation):
    return ints((size + both_sides(padding) - reach_of(kernel, dilation)) // stride + 1)


def negative_numbers_across(size, kernel, stride, padding, dilation):
    """The one direction is looked after, the other is forgotten."""
    down, across = negative_numbers_of_places(size, kernel, stride, padding, dilation)
    return max(down, 0), across


def one_place_where_there_is_none(size, kernel, stride, padding, dilation):
    return ints(np.maximum(output_size(size, kernel, stride, padding, dilation), 1))


def patches_at(X, kernel, stride, read, places=None):
    """`read` of the patch at each place as a column; places row by row."""
    (k_h, k_w), (s_h, s_w) = kernel, stride
    _, height, width = X.shape
    places = places or [
        (i, j) for i in range(0, height - k_h + 1, s_h) for j in range(0, width - k_w + 1, s_w)
    ]
    return np.stack([read(X[:, i : i + k_h, j : j + k_w]) for i, j in places], axis=1)


def im2col(X, kernel, stride):
    return convolution.im2col(X[None], ints(kernel), ints(stride))[0]


def channels_read_last(X, kernel, stride):
    """Pixel by pixel, all channels of each: the order of channels-last memory."""
    return patches_at(X, kernel, stride, lambda patch: patch.transpose(1, 2, 0).ravel())


def patches_read_column_by_column(X, kernel, stride):
    return patches_at(X, kernel, stride, lambda patch: patch.transpose(0, 2, 1).ravel())


def patches_flipped(X, kernel, stride):
    """The convolution of mathematics."""
    return patches_at(X, kernel, stride, lambda patch: patch[:, ::-1, ::-1].ravel())


def patches_as_rows(X, kernel, stride):
    return im2col(X, kernel, stride).T


def patches_as_rows_reshaped(X, kernel, stride):
    """The right shape by reshape, where a transpose is needed."""
    columns = im2col(X, kernel, stride)
    return columns.T.reshape(columns.shape)


def places_read_column_by_column(X, kernel, stride):
    down, across = convolution.output_size(X.shape[1:], ints(kernel), ints(stride))
    columns = im2col(X, kernel, stride).reshape(-1, down, across)
    return columns.transpose(0, 2, 1).reshape(len(columns), -1)


def step_of_one(X, kernel, stride):
    return im2col(X, kernel, 0 * stride + 1)


def strides_exchanged(X, kernel, stride):
    return im2col(X, kernel, stride[::-1])


def one_stride_for_both(X, kernel, stride):
    return im2col(X, kernel, stride[[0, 0]])


def patches_side_by_side(X, kernel, stride):
    """As pooling does."""
    return im2col(X, kernel, kernel)


def kernel_height_and_width_exchanged(X, kernel, stride):
    return im2col(X, kernel[::-1], stride)


def thinned_out_first(X, kernel, stride):
    """The pixels are left out, instead of the places."""
    s_h, s_w = stride
    return im2col(X[:, ::s_h, ::s_w], np.minimum(kernel, X[0, ::s_h, ::s_w].shape), [1, 1])


def last_place_left_out(X, kernel, stride):
    """A range that ends one too early: where the last patch ends with the image, it is lost."""
    (k_h, k_w), (s_h, s_w) = kernel, stride
    _, height, width = X.shape
    rows, columns = range(0, height - k_h, s_h), range(0, width - k_w, s_w)
    places = [(i, j) for i in rows for j in columns]
    if not places:
        return np.zeros((X.shape[0] * k_h * k_w, 0))
    return patches_at(X, kernel, stride, np.ravel, places)


def first_channel_only(X, kernel, stride):
    return im2col(X[:1], kernel, stride)


def conv2d(X, W, stride, padding, groups):
    return convolution.conv2d(padded(X, padding)[None], W, stride=ints(stride), groups=groups)[0]


def image_not_padded(X, W, stride, padding, groups):
    return conv2d(X, W, stride, 0 * padding, groups)


def sides_exchanged(X, W, stride, padding, groups):
    """(bottom, top, right, left)."""
    return conv2d(X, W, stride, padding[[1, 0, 3, 2]], groups)


def width_padded_first(X, W, stride, padding, groups):
    """(left, right, top, bottom), the order of torch.nn.functional.pad."""
    return conv2d(X, W, stride, padding[[2, 3, 0, 1]], groups)


def padded_with_the_border(X, W, stride, padding, groups):
    return conv2d(padded(X, padding, mode="edge"), W, stride, 0 * padding, groups)


def stride_applied_before_padding(X, W, stride, padding, groups):
    s_h, s_w = stride
    return conv2d(X[:, ::s_h, ::s_w], W, 0 * stride + 1, padding, groups)


def always_step_of_one(X, W, stride, padding, groups):
    return conv2d(X, W, 0 * stride + 1, padding, groups)


def kernel_flipped(X, W, stride, padding, groups):
    return conv2d(X, W[:, :, ::-1, ::-1], stride, padding, groups)


def all_filters_on_the_first_group(X, W, stride, padding, groups):
    return conv2d(X[: W.shape[1]], W, stride, padding, 1)


def all_filters_on_all_channels(X, W, stride, padding, groups):
    """Groups ignored: a filter is repeated until it meets every channel."""
    return conv2d(X, np.tile(W, (1, groups, 1, 1)), stride, padding, 1)


def filters_dealt_out(X, W, stride, padding, groups):
    """Filter f in group f % groups, and channels in blocks."""
    per_group = X.shape[0] // groups
    results = [
        conv2d(X[g * per_group : (g + 1) * per_group], w[None], stride, padding, 1)[0]
        for f, w in enumerate(W)
        for g in [f % groups]
    ]
    return np.stack(results)


def channels_dealt_out(X, W, stride, padding, groups):
    """Channel c in group c % groups, and filters in blocks."""
    order = np.concatenate([np.arange(g, len(X), groups) for g in range(groups)])
    return conv2d(X[order], W, stride, padding, groups)


def groups_added_up(X, W, stride, padding, groups):
    """The results of all groups in one sum, where they stand one after the other."""
    Y = conv2d(X, W, stride, padding, groups)
    return Y.reshape(groups, -1, *Y.shape[1:]).sum(axis=0)


def filters_last(X, W, stride, padding, groups):
    return conv2d(X, W, stride, padding, groups).transpose(1, 2, 0)


def reshaped_from_filters_last(X, W, stride, padding, groups):
    """Patches as rows give (places, filters); a reshape does not turn them round."""
    Y = conv2d(X, W, stride, padding, groups)
    return Y.transpose(1, 2, 0).reshape(Y.shape)


def filters_read_channels_last(X, W, stride, padding, groups):
    """Rows of the one order times columns of the other."""
    return conv2d(X, W.transpose(0, 2, 3, 1).reshape(W.shape), stride, padding, groups)


def layer_costs(channels, size, filters, kernel, stride, padding, groups, bias):
    """Counted on the arrays themselves: the entries of W, the places of the output."""
    W = np.zeros((filters, channels // groups, *kernel))
    down, across = output_size(size, kernel, stride, padding, 0 * kernel + 1)
    return W.size + bias * len(W), W.size * down * across


def costs_of(weights, n_bias, places):
    return int(weights + n_bias), int(weights * places)


def counted(channels, size, filters, kernel, stride, padding, groups, bias):
    """Weights, biases and places."""
    weights, _ = layer_costs(channels, size, filters, kernel, stride, padding, groups, 0)
    places = np.prod(output_size(size, kernel, stride, padding, 0 * kernel + 1))
    return weights, bias * filters, places


def groups_ignored(channels, size, filters, kernel, stride, padding, groups, bias):
    return layer_costs(channels, size, filters, kernel, stride, padding, 1, bias)


def divided_by_the_groups_twice(*, groups, **case):
    weights, n_bias, places = counted(**case, groups=groups)
    return costs_of(weights // groups, n_bias, places)


def bias_always(channels, size, filters, kernel, stride, padding, groups, bias):
    return layer_costs(channels, size, filters, kernel, stride, padding, groups, 1)


def bias_never(channels, size, filters, kernel, stride, padding, groups, bias):
    return layer_costs(channels, size, filters, kernel, stride, padding, groups, 0)


def one_bias_for_all(*, bias, **case):
    weights, _, places = counted(**case, bias=bias)
    return costs_of(weights, bias, places)


def bias_for_each_channel(*, bias, **case):
    weights, _, places = counted(**case, bias=bias)
    return costs_of(weights, bias * case["channels"], places)


def bias_for_each_place(*, bias, **case):
    weights, n_bias, places = counted(**case, bias=bias)
    return costs_of(weights, n_bias * places, places)


def additions_of_the_bias_counted(**case):
    weights, n_bias, places = counted(**case)
    return int(weights + n_bias), int((weights + n_bias) * places)


def two_for_each_multiply_add(**case):
    parameters, multiply_adds = layer_costs(**case)
    return parameters, 2 * multiply_adds


def places_of_the_input(**case):
    weights, n_bias, _ = counted(**case)
    return costs_of(weights, n_bias, np.prod(case["size"]))


def places_without_padding(**case):
    return layer_costs(**case | {"padding": 0 * case["padding"]})


def places_without_stride(**case):
    return layer_costs(**case | {"stride": 0 * case["stride"] + 1})


def places_rounded_up(**case):
    weights, n_bias, _ = counted(**case)
    room = case["size"] + both_sides(case["padding"]) - case["kernel"]
    places = np.prod(by_formula(room, case["stride"], rounding=np.ceil))
    return costs_of(weights, n_bias, places)


def square_kernel(**case):
    """k_h squared."""
    weights, n_bias, places = counted(**case)
    k_h, k_w = case["kernel"]
    return costs_of(weights // k_w * k_h, n_bias, places)


def costs_exchanged(**case):
    return layer_costs(**case)[::-1]


def approximate(W, rank):
    rows = W.reshape(len(W), -1)
    A, B = low_rank.approximate(rows, rank)
    K = A @ B
    return K.reshape(W.shape), float(np.sum((rows - K) ** 2))


def error_of(W, K):
    """A kernel with its squared error."""
    return K, float(np.sum((W - K) ** 2))


def cut(M, kept):
    """A matrix of the singular values at `kept` alone, of the most to the least."""
    U, s, Vt = np.linalg.svd(M, full_matrices=False)
    return (U[:, kept] * s[kept]) @ Vt[kept]


def rank_one_too_small(W, rank):
    K = cut(W.reshape(len(W), -1), slice(0, rank - 1))
    return error_of(W, K.reshape(W.shape))


def rank_one_too_large(W, rank):
    K = cut(W.reshape(len(W), -1), slice(0, rank + 1))
    return error_of(W, K.reshape(W.shape))


def least_singular_values_kept(W, rank):
    K = cut(W.reshape(len(W), -1), slice(-rank, None))
    return error_of(W, K.reshape(W.shape))


def singular_values_left_out(W, rank):
    """U times V^T, without what stands between them."""
    U, _, Vt = np.linalg.svd(W.reshape(len(W), -1), full_matrices=False)
    return error_of(W, (U[:, :rank] @ Vt[:rank]).reshape(W.shape))


def singular_values_in_both_factors(W, rank):
    U, s, Vt = np.linalg.svd(W.reshape(len(W), -1), full_matrices=False)
    return error_of(W, ((U[:, :rank] * s[:rank] ** 2) @ Vt[:rank]).reshape(W.shape))


def each_channel_of_each_filter_alone(W, rank):
    """np.linalg.svd(W) of four dimensions: many small matrices."""
    U, s, Vt = np.linalg.svd(W, full_matrices=False)
    return error_of(W, (U[..., :rank] * s[..., None, :rank]) @ Vt[..., :rank, :])


def filters_not_rows(W, rank):
    """reshape(-1, filters) mixes the filters."""
    K = cut(W.reshape(-1, len(W)), slice(0, rank))
    return error_of(W, K.reshape(W.shape))


def channels_as_rows(W, rank):
    turned = W.transpose(1, 0, 2, 3)
    K = cut(turned.reshape(len(turned), -1), slice(0, rank))
    return error_of(W, K.reshape(turned.shape).transpose(1, 0, 2, 3))


def mean_filter_taken_off(W, rank):
    """Principal components: the mean takes a rank of its own."""
    rows = W.reshape(len(W), -1)
    mean = rows.mean(axis=0)
    return error_of(W, (cut(rows - mean, slice(0, rank)) + mean).reshape(W.shape))


def root_of_the_error(W, rank):
    K, error = approximate(W, rank)
    return K, float(np.sqrt(error))


def sum_of_singular_values(W, rank):
    """Of those cut off, but not squared."""
    s = np.linalg.svd(W.reshape(len(W), -1), compute_uv=False)
    return approximate(W, rank)[0], float(s[rank:].sum())


def energy_that_is_kept(W, rank):
    K, _ = approximate(W, rank)
    return K, float(np.sum(K**2))


def first_value_cut_off_only(W, rank):
    """The error in the spectral norm, squared."""
    s = np.linalg.svd(W.reshape(len(W), -1), compute_uv=False)
    return approximate(W, rank)[0], float(s[rank] ** 2) if rank < len(s) else 0.0


def regress(W, b, X, rank):
    mean = X.mean(axis=1)
    A, B = low_rank.regress(W, (X - mean[:, None]).T, rank)
    thin = A @ B
    return with_error(W, b, X, thin, b + (W - thin) @ mean)


def with_error(W, b, X, thin, bias):
    """A thin layer with the squared error of its outputs."""
    return thin, bias, float(np.sum((W @ X + b[:, None] - thin @ X - bias[:, None]) ** 2))


def best_bias(W, b, X, thin):
    return b + (W - thin) @ X.mean(axis=1)


def centred(X):
    return X - X.mean(axis=1, keepdims=True)


def onto_leading(Y, W, rank):
    """W projected on the leading left singular vectors of Y."""
    U = np.linalg.svd(Y, full_matrices=False)[0][:, :rank]
    return U @ (U.T @ W)


def weights_approximated(W, b, X, rank):
    """The singular values of W, whatever X is; the bias is adjusted to X."""
    thin = cut(W, slice(0, rank))
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def not_centred(W, b, X, rank):
    """Directions of W X, and the bias stays."""
    return with_error(W, b, X, onto_leading(W @ X, W, rank), b)


def bias_in_the_outputs(W, b, X, rank):
    """Directions of W X + b, the bias adjusted afterwards."""
    thin = onto_leading(W @ X + b[:, None], W, rank)
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def bias_not_adjusted(W, b, X, rank):
    return with_error(W, b, X, regress(W, b, X, rank)[0], b)


def bias_projected_too(W, b, X, rank):
    """P (W X + b): the directions left out lose their mean."""
    U = np.linalg.svd(W @ centred(X), full_matrices=False)[0][:, :rank]
    P = U @ U.T
    return with_error(W, b, X, P @ W, P @ b)


def mean_added_with_the_wrong_sign(W, b, X, rank):
    thin, bias, _ = regress(W, b, X, rank)
    return with_error(W, b, X, thin, 2 * b - bias)


def centred_over_the_wrong_axis(W, b, X, rank):
    """The mean of each sample, instead of the mean of each input."""
    thin = onto_leading(W @ (X - X.mean(axis=0)), W, rank)
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def inputs_projected(W, b, X, rank):
    """Principal components of the inputs, which do not ask what W does with them."""
    Q = np.linalg.svd(centred(X), full_matrices=False)[0][:, :rank]
    thin = W @ Q @ Q.T
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def regressed_on_rank(W, b, X, rank):
    thin = onto_leading(W @ centred(X), W, rank)
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def a_rank_too_small(W, b, X, rank):
    return regressed_on_rank(W, b, X, rank - 1)


def a_rank_too_large(W, b, X, rank):
    return regressed_on_rank(W, b, X, rank + 1)


def last_singular_vectors(W, b, X, rank):
    """np.linalg.eigh sorts upwards."""
    U = np.linalg.svd(W @ centred(X), full_matrices=False)[0][:, -rank:]
    thin = U @ (U.T @ W)
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def rows_taken_for_columns(W, b, X, rank):
    U = np.linalg.svd(W @ centred(X), full_matrices=False)[0].T[:, :rank]
    thin = U @ (U.T @ W)
    return with_error(W, b, X, thin, best_bias(W, b, X, thin))


def error_of_the_weights(W, b, X, rank):
    """||W - W'||, where the outputs are asked for."""
    thin, bias, _ = regress(W, b, X, rank)
    return thin, bias, float(np.sum((W - thin) ** 2))


def mean_error(W, b, X, rank):
    thin, bias, error = regress(W, b, X, rank)
    return thin, bias, error / X.shape[1]


def root_of_the_output_error(W, b, X, rank):
    thin, bias, error = regress(W, b, X, rank)
    return thin, bias, float(np.sqrt(error))


def samples_centred_in_place(W, b, X, rank):
    """Afterwards their mean is zero, and the bias stays."""
    X -= X.mean(axis=1, keepdims=True)
    return regress(W, b, X, rank)


def cheaper(dense, for_one, ties=False):
    """Ranks tried one by one, until the factored layer is no cheaper."""
    rank = 0
    while (rank + 1) * for_one < dense or (ties and (rank + 1) * for_one == dense):
        rank += 1
    return rank


def sizes_of(filters, channels, kernel):
    """Multiply-adds a place: the dense layer, and both splits for each rank."""
    k_h, k_w = ints(kernel)
    dense = filters * channels * k_h * k_w
    return dense, channels * k_h * k_w + filters, channels * k_h + filters * k_w


def largest_ranks(filters, channels, kernel):
    dense, *splits = sizes_of(filters, channels, kernel)
    return tuple(cheaper(dense, for_one) for for_one in splits)


def as_dear_taken_for_cheaper(filters, channels, kernel):
    dense, *splits = sizes_of(filters, channels, kernel)
    return tuple(cheaper(dense, for_one, ties=True) for for_one in splits)


def always_one_less(filters, channels, kernel):
    """floor(...) - 1, which is right for ties alone."""
    return tuple(rank - 1 for rank in as_dear_taken_for_cheaper(filters, channels, kernel))


def first_rank_that_is_no_cheaper(filters, channels, kernel):
    return tuple(rank + 1 for rank in largest_ranks(filters, channels, kernel))


def rounded_to_nearest(filters, channels, kernel):
    dense, *splits = sizes_of(filters, channels, kernel)
    return tuple(round(dense / for_one) for for_one in splits)


def second_layer_forgotten(filters, channels, kernel):
    dense, first, second = sizes_of(filters, channels, kernel)
    return cheaper(dense, first - filters), cheaper(dense, second - filters * int(kernel[1]))


def smaller_side(filters, channels, kernel):
    """The largest rank that there is, whatever it costs."""
    k_h, k_w = ints(kernel)
    return min(filters, channels * k_h * k_w), min(channels * k_h, filters * k_w)


def kernel_left_out(filters, channels, kernel):
    """As if all kernels were 1 x 1."""
    return largest_ranks(filters, channels, np.array([1, 1]))


def whole_kernel_in_the_second_layer(filters, channels, kernel):
    """A second layer of k x k, where 1 x 1 is enough."""
    dense, _, second = sizes_of(filters, channels, kernel)
    k_h, k_w = ints(kernel)
    return cheaper(dense, (channels + filters) * k_h * k_w), cheaper(dense, second)


def width_before_height(filters, channels, kernel):
    """First 1 x k_w, then k_h x 1."""
    return largest_ranks(filters, channels, kernel[::-1])


def filters_and_channels_exchanged(filters, channels, kernel):
    return largest_ranks(channels, filters, kernel)


def at_least_one(filters, channels, kernel):
    return tuple(max(rank, 1) for rank in largest_ranks(filters, channels, kernel))


def splits_exchanged(filters, channels, kernel):
    return largest_ranks(filters, channels, kernel)[::-1]


def draw_setting(rng, kind=None):
    """Sides that all differ; a step that does not come out even; now and then no place at all."""
    stride = rng.permutation([2, 3])
    kernel = rng.permutation([2, 3]) + rng.integers(0, 2)
    dilation = rng.permutation([2, 3])
    top, bottom, left, right = rng.choice([0, 1, 2, 3], size=4, replace=False)
    padding = np.array([top, bottom, left, right])
    places = rng.permutation([2, 4]) + rng.integers(0, 2)
    rest = rng.integers(1, stride)  # pixels behind the last place
    size = (places - 1) * stride + reach_of(kernel, dilation) + rest - both_sides(padding)
    size = np.maximum(size, 1)
    kind = kind or str(rng.choice(["fits", "not down", "not across"]))
    if kind != "fits":  # by far: the formula gives a negative number
        way = ["not down", "not across"].index(kind)
        size[way] = 1
        padding[2 * way : 2 * way + 2] = rng.permutation([0, 1])
        kernel[way] = 6
    return {
        "size": size,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "dilation": dilation,
    }


def at_the_edge(missing):
    """As large as the padded image one way, or larger by `missing` pixels."""

    def made(rng):
        case = draw_setting(rng, "fits")
        reach = reach_of(case["kernel"], case["dilation"])
        case["padding"] = np.array([1, 0, 0, 1])
        case["size"][1] = reach[1] - 1 - missing
        return case

    return made


def plain_setting(rng):
    """No padding, no dilation, steps of one."""
    one = np.ones(2, dtype=np.int64)
    return {
        "size": rng.integers(5, 200, size=2),
        "kernel": rng.integers(1, 4, size=2),
        "stride": one,
        "padding": np.zeros(4, dtype=np.int64),
        "dilation": one.copy(),
    }


def whole_numbers(rng, shape):
    """Images and kernels that can be read: small whole numbers, none of them zero."""
    return rng.choice([-3.0, -2.0, -1.0, 1.0, 2.0, 3.0], size=shape)


def draw_image(rng, shape=None, kernel=None, stride=None):
    """Two channels, no square; steps that differ, and in half of the cases end with the image."""
    if shape is None:
        kernel = rng.permutation([2, int(rng.choice([1, 3]))])
        stride = rng.permutation([1, 2])
        room = rng.integers(1, 3, size=2) * stride + rng.integers(0, 2) * (stride - 1)
        shape = (2, *(kernel + room))
    return {"X": whole_numbers(rng, shape), "kernel": np.array(kernel), "stride": np.array(stride)}


def draw_convolution(rng, groups=None, shape=None):
    """Four channels, in two groups or one; sides of the padding that differ."""
    groups = groups or int(rng.choice([1, 2, 2]))
    kernel = rng.permutation([2, int(rng.choice([1, 3]))])
    stride = rng.permutation([1, 2])
    padding = np.array([*rng.permutation([0, 1]), *rng.permutation([1, 2])])
    filters, channels, *size = shape or (4, 4, *rng.permutation([3, 2]))
    return {
        "X": whole_numbers(rng, (channels, *size)),
        "W": whole_numbers(rng, (filters, channels // groups, *kernel)),
        "stride": stride,
        "padding": padding if rng.random() < 0.5 else padding[[2, 3, 0, 1]],
        "groups": groups,
    }


def no_padding(rng):
    return draw_convolution(rng, shape=(4, 2, 7, 5)) | {"padding": np.zeros(4, dtype=np.int64)}


def kernel_of_the_whole_image(rng):
    """A fully connected layer."""
    return {
        "X": rng.normal(size=(3, 4, 5)),
        "W": rng.normal(size=(7, 3, 4, 5)),
        "stride": np.array([2, 3]),
        "padding": np.zeros(4, dtype=np.int64),
        "groups": 1,
    }


def draw_layer(rng, **about):
    """A layer of groups or of one, with a bias or without; as many channels as filters never."""
    groups = int(rng.choice([1, 2, 4]))
    a, b = rng.choice(np.arange(2, 7), size=2, replace=False)
    stride = rng.permutation([2, 3])
    kernel = rng.choice(np.arange(2, 6), size=2, replace=False)
    padding = rng.choice([0, 1, 2], size=4)
    padding[[0, 2]] += 1
    places = rng.integers(3, 12, size=2)
    size = (places - 1) * stride + kernel + rng.integers(1, stride) - both_sides(padding)
    return {
        "channels": int(groups * a),
        "size": np.maximum(size, 1),
        "filters": int(groups * b),
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
        "groups": groups,
        "bias": int(rng.integers(0, 2)),
    } | about


def fully_connected(rng, size=None):
    """A kernel as large as the image, which has one place."""
    size = rng.integers(2, 9, size=2) if size is None else np.array(size)
    return draw_layer(
        rng, size=size, kernel=size.copy(), padding=np.zeros(4, dtype=np.int64), groups=1
    )


def depthwise(rng):
    n = int(rng.integers(3, 40))
    return draw_layer(rng, channels=n, filters=n, groups=n)


def large_layer(rng):
    """More multiply-adds than 32 bits can count."""
    return draw_layer(rng, channels=2048, filters=4096, size=np.array([300, 500]), groups=1)


def with_singular_values(rng, rows, columns):
    """A matrix whose singular values fall by factors away from 1: each cut has one best answer."""
    n = min(rows, columns)
    U = np.linalg.qr(rng.normal(size=(rows, n)))[0]
    V = np.linalg.qr(rng.normal(size=(columns, n)))[0]
    s = np.cumprod(rng.uniform(0.4, 0.75, size=n))
    return (U * 5 * s) @ V.T


def draw_kernel(rng, shape=None, rank=None):
    """Three or four filters of two channels; something is always cut off."""
    if shape is None:
        shape = (int(rng.integers(3, 5)), 2, *rng.permutation([2, int(rng.integers(1, 3))]))
    filters, channels, *kernel = shape
    W = with_singular_values(rng, filters, channels * np.prod(kernel))
    rank = rank or int(rng.integers(1, min(W.shape)))
    return {"W": W.reshape(shape), "rank": rank}


def kernel_of_low_rank(rng):
    """Of rank 2: a higher one loses nothing."""
    case = draw_kernel(rng, shape=(6, 3, 3, 3), rank=4)
    return case | {"W": cut(case["W"].reshape(6, 27), slice(0, 2)).reshape(6, 3, 3, 3)}


def draw_samples(rng, filters=None, inputs=None, n_samples=None, rank=None):
    """Inputs that are alike and far from zero; no two singular values of the outputs are near."""
    filters = filters or int(rng.integers(3, 5))
    inputs = inputs or 4
    n = n_samples or int(rng.integers(inputs + 4, inputs + 7))
    # As many samples as it takes to tell W' from every other matrix, whatever is drawn.
    spread = np.linalg.qr(centred(rng.normal(size=(inputs, n))).T)[0].T * np.sqrt(n)
    mixing = np.linalg.qr(rng.normal(size=(inputs, inputs)))[0] * np.geomspace(3, 0.3, inputs)
    X = mixing @ spread
    W = with_singular_values(rng, filters, inputs) @ np.linalg.inv(mixing)
    return {
        "W": W,
        "b": rng.normal(size=filters) + 1,
        "X": X + rng.uniform(1, 3, size=(inputs, 1)) * rng.choice([-1, 1], size=(inputs, 1)),
        "rank": rank or int(rng.integers(1, min(filters, inputs))),
    }


def inputs_in_other_units(rng):
    case = draw_samples(rng, filters=6, inputs=5, n_samples=40)
    return case | {"X": 1e3 * case["X"], "W": case["W"] / 10, "b": 1e2 * case["b"]}


def draw_sizes(rng, kind=None):
    """Ranks at which a split costs exactly as much, and layers that no split makes cheaper."""
    kind = kind or str(rng.choice(["any", "any", "channel tie", "spatial tie", "none"]))
    k_h, k_w = (int(k) for k in rng.choice([1, 2, 3, 5], size=2, replace=False))
    channels, filters = (int(n) for n in rng.integers(2, 40, size=2))
    if kind == "channel tie":  # as many filters as inputs
        channels *= 2
        filters = channels * k_h * k_w
    if kind == "spatial tie":  # as many inputs of the first layer as outputs of the second
        channels = 2 * k_w * int(rng.integers(1, 6))
        filters = channels // k_w * k_h
    if kind == "none":
        filters = 1
    return {"filters": filters, "channels": channels, "kernel": np.array([k_h, k_w])}


CHECKS = [
    Check(
        output_size,
        points=2,
        draw=draw_setting,
        hint="each direction alone: how many pixels has the padded image there (two sides, which "
        "may differ), and over how many does the kernel reach, holes included? The first place "
        "takes no step; part of a step is none; where it does not fit there are 0 places.",
        wrong={
            "padding forgotten": padding_forgotten,
            "padding on one side": padding_on_one_side,
            "2 p, though the sides differ": first_padding_on_both_sides,
            "padding read as (top, left, bottom, right)": sides_of_the_padding_mixed,
            "dilation ignored": dilation_ignored,
            "dilation times kernel": dilation_times_kernel,
            "d pixels left out, not d - 1": dilation_as_pixels_between,
            "rounded up": rounded_up,
            "the first place not counted": one_place_too_few,
            "stride ignored": stride_ignored,
            "stride before padding": stride_before_padding,
            "height and width swapped": width_first,
            "negative numbers of places": negative_numbers_of_places,
            "negative numbers across": negative_numbers_across,
            "one place where there is none": one_place_where_there_is_none,
        },
        edges=(
            at_the_edge(missing=-1),
            at_the_edge(missing=0),
            at_the_edge(missing=3),
            plain_setting,
            lambda rng: draw_setting(rng, "not down"),
            lambda rng: draw_setting(rng, "not across"),
        ),
    ),
    Check(
        im2col,
        points=2,
        draw=draw_image,
        hint="take W.reshape(filters, -1)[0] for a small W that counts 0, 1, 2, ...: in that order "
        "a column holds its patch. Places go row by row, and each direction has its own step.",
        wrong={
            "channels last": channels_read_last,
            "patches read column by column": patches_read_column_by_column,
            "kernel flipped": patches_flipped,
            "patches as rows": patches_as_rows,
            "reshape instead of transpose": patches_as_rows_reshaped,
            "places column by column": places_read_column_by_column,
            "stride ignored": step_of_one,
            "strides swapped": strides_exchanged,
            "one stride for both directions": one_stride_for_both,
            "patches side by side": patches_side_by_side,
            "kernel's height and width swapped": kernel_height_and_width_exchanged,
            "pixels left out instead of places": thinned_out_first,
            "last place left out": last_place_left_out,
            "first channel only": first_channel_only,
        },
        edges=(
            lambda rng: draw_image(rng, (3, 5, 4), (5, 4), (1, 1)),
            lambda rng: draw_image(rng, (5, 4, 6), (1, 1), (1, 1)),
            lambda rng: draw_image(rng, (3, 6, 9), (2, 3), (2, 3)),
            lambda rng: draw_image(rng, (1, 7, 8), (2, 3), (4, 3)),
            lambda rng: draw_image(rng, (4, 20, 15), (3, 5), (1, 2)),
        ),
    ),
    Check(
        conv2d,
        points=2,
        draw=draw_convolution,
        hint="pad first (height and width only, with zeros), then make columns. Which rows of the "
        "columns belong to group g, and which filters? The product has a row for each filter.",
        wrong={
            "padding forgotten": image_not_padded,
            "top and bottom, left and right swapped": sides_exchanged,
            "padding of the width first": width_padded_first,
            "padded with the border": padded_with_the_border,
            "stride applied before padding": stride_applied_before_padding,
            "stride ignored": always_step_of_one,
            "kernel flipped": kernel_flipped,
            "all filters on the first group": all_filters_on_the_first_group,
            "all filters on all channels": all_filters_on_all_channels,
            "filters dealt out to the groups": filters_dealt_out,
            "channels dealt out to the groups": channels_dealt_out,
            "groups added up": groups_added_up,
            "filters last": filters_last,
            "reshaped from filters last": reshaped_from_filters_last,
            "filters read channels last": filters_read_channels_last,
        },
        edges=(
            no_padding,
            kernel_of_the_whole_image,
            lambda rng: draw_convolution(rng, groups=1, shape=(1, 1, 5, 6)),
            lambda rng: draw_convolution(rng, groups=6, shape=(6, 6, 5, 4)),
            lambda rng: draw_convolution(rng, groups=3, shape=(12, 6, 9, 11)),
        ),
    ),
    Check(
        layer_costs,
        points=2,
        draw=draw_layer,
        hint="how many channels does one filter see, and so how many weights has it? Each weight "
        "is used once at each place of the output, and that is one multiply-add. Biases: one a "
        "filter, as parameters, and only if there are any.",
        wrong={
            "groups ignored": groups_ignored,
            "divided by the groups twice": divided_by_the_groups_twice,
            "bias counted always": bias_always,
            "bias not counted": bias_never,
            "one bias for all filters": one_bias_for_all,
            "a bias for each channel": bias_for_each_channel,
            "a bias for each place": bias_for_each_place,
            "additions of the bias counted": additions_of_the_bias_counted,
            "two for each multiply-add": two_for_each_multiply_add,
            "places of the input": places_of_the_input,
            "padding forgotten": places_without_padding,
            "stride forgotten": places_without_stride,
            "places rounded up": places_rounded_up,
            "kernel taken as square": square_kernel,
            "multiply-adds first": costs_exchanged,
        },
        edges=(
            fully_connected,
            lambda rng: fully_connected(rng, size=(1, 1)),
            depthwise,
            large_layer,
        ),
    ),
    Check(
        approximate,
        points=2,
        draw=draw_kernel,
        hint="the matrix has a filter in each row, W.reshape(filters, -1); of its singular values "
        "the `rank` largest stay, each used once. The error is a sum of squares.",
        wrong={
            "rank one too small": rank_one_too_small,
            "rank one too large": rank_one_too_large,
            "least singular values kept": least_singular_values_kept,
            "singular values left out": singular_values_left_out,
            "singular values in both factors": singular_values_in_both_factors,
            "svd of four dimensions": each_channel_of_each_filter_alone,
            "reshape(-1, filters)": filters_not_rows,
            "channels as rows": channels_as_rows,
            "mean filter taken off": mean_filter_taken_off,
            "root of the error": root_of_the_error,
            "sum of singular values, not squared": sum_of_singular_values,
            "energy that is kept": energy_that_is_kept,
            "first value cut off only": first_value_cut_off_only,
        },
        edges=(
            kernel_of_low_rank,
            lambda rng: {"W": np.zeros((3, 2, 2, 2)), "rank": 2},
            lambda rng: draw_kernel(rng, shape=(4, 2, 3, 3), rank=4),
            lambda rng: draw_kernel(rng, shape=(12, 2, 2, 1), rank=3),
            lambda rng: draw_kernel(rng, shape=(1, 3, 3, 3), rank=1),
            lambda rng: draw_kernel(rng, shape=(16, 8, 3, 3), rank=5),
        ),
    ),
    Check(
        regress,
        points=3,
        draw=draw_samples,
        hint="the best b' makes the mean output right, so first take the mean of each input off X. "
        "Whose leading left singular vectors are the directions: those of W, of X or of the "
        "outputs? And what is W projected on them? The error adds up all outputs.",
        wrong={
            "svd of W instead of the outputs": weights_approximated,
            "not centred": not_centred,
            "bias in the outputs": bias_in_the_outputs,
            "bias not adjusted": bias_not_adjusted,
            "bias projected too": bias_projected_too,
            "mean with the wrong sign": mean_added_with_the_wrong_sign,
            "mean of each sample": centred_over_the_wrong_axis,
            "inputs projected": inputs_projected,
            "rank one too small": a_rank_too_small,
            "rank one too large": a_rank_too_large,
            "last singular vectors": last_singular_vectors,
            "rows of U taken for columns": rows_taken_for_columns,
            "error of the weights": error_of_the_weights,
            "mean error": mean_error,
            "root of the error": root_of_the_output_error,
            "X centred in place, its mean taken afterwards": samples_centred_in_place,
        },
        edges=(
            inputs_in_other_units,
            lambda rng: draw_samples(rng, filters=4, inputs=4, rank=4),
            lambda rng: draw_samples(rng, filters=7, inputs=3, rank=2),
            lambda rng: draw_samples(rng, filters=2, inputs=6, rank=1),
            lambda rng: draw_samples(rng, filters=8, inputs=8, n_samples=100, rank=3),
        ),
    ),
    Check(
        largest_ranks,
        points=2,
        draw=draw_sizes,
        hint="write down what one rank costs at a place, in both layers together. As many "
        "multiply-adds as before is not fewer: try a case that divides without remainder, and one "
        "where rank 1 is too dear.",
        wrong={
            "as dear taken for cheaper": as_dear_taken_for_cheaper,
            "always one less": always_one_less,
            "first rank that is no cheaper": first_rank_that_is_no_cheaper,
            "rounded to the nearest": rounded_to_nearest,
            "second layer forgotten": second_layer_forgotten,
            "the largest rank there is": smaller_side,
            "kernel left out": kernel_left_out,
            "whole kernel in the second layer": whole_kernel_in_the_second_layer,
            "width before height": width_before_height,
            "filters and channels swapped": filters_and_channels_exchanged,
            "at least 1": at_least_one,
            "splits swapped": splits_exchanged,
        },
        edges=(
            lambda rng: draw_sizes(rng, "channel tie"),
            lambda rng: draw_sizes(rng, "spatial tie"),
            lambda rng: draw_sizes(rng, "none"),
            lambda rng: {"filters": 64, "channels": 64, "kernel": np.array([1, 1])},
            lambda rng: {"filters": 1, "channels": 1, "kernel": np.array([1, 1])},
            lambda rng: {"filters": 4096, "channels": 512, "kernel": np.array([7, 7])},
        ),
    ),
]
