"""What the functions of exercise 08 must do, and mistakes that must be noticed."""

from math import ceil

import numpy as np

from sparsecourse import papers
from sparsecourse.grading.checks import Check
from sparsecourse.reference.least_squares import solve_minimum_norm
from sparsecourse.reference.pruning import dropout_ratio, encode, threshold_mask

INDEX_BITS = range(1, 9)


def cut_and_drop(w, dropout, stays):
    """The layer cut to a mask, and the paper's ratio for what stays of it."""
    return w * stays, float(dropout_ratio(dropout, w.size, np.count_nonzero(w * stays)))


def cut_at(w, c, dropout, spread):
    """Cut where `spread` of the weights that are left says so; nothing where none is left."""
    left = w[w != 0]
    return cut_and_drop(w, dropout, np.abs(w) > c * (spread(left) if left.size else 0))


def prune_round(w, c, dropout):
    stays = w != 0
    if stays.any():
        stays[stays] = threshold_mask(w[stays], c)
    return cut_and_drop(w, dropout, stays)


def zeros_counted(w, c, dropout):
    return cut_at(w, c, dropout, lambda left: w.std())


def variance_instead_of_deviation(w, c, dropout):
    return cut_at(w, c, dropout, np.var)


def divided_by_n_minus_1(w, c, dropout):
    return cut_at(w, c, dropout, lambda left: left.std(ddof=1))


def mean_not_subtracted(w, c, dropout):
    return cut_at(w, c, dropout, lambda left: np.sqrt(np.mean(left**2)))


def absolute_value_forgotten(w, c, dropout):
    return cut_at(np.maximum(w, 0), c, dropout, lambda _: w[w != 0].std())


def kept_on_the_border(w, c, dropout):
    return cut_at(w, c, dropout, lambda left: np.nextafter(left.std(), 0))


def dropout_without_root(w, c, dropout):
    cut, _ = prune_round(w, c, dropout)
    return cut, dropout * np.count_nonzero(cut) / w.size


def dropout_from_what_is_pruned(w, c, dropout):
    cut, _ = prune_round(w, c, dropout)
    return cut, float(dropout * np.sqrt(np.mean(cut == 0)))


def dropout_against_the_round_before(w, c, dropout):
    cut, _ = prune_round(w, c, dropout)
    return cut, float(dropout * np.sqrt(np.count_nonzero(cut) / max(np.count_nonzero(w), 1)))


def dropout_not_adjusted(w, c, dropout):
    return prune_round(w, c, dropout)[0], dropout


def keep_places(first, second, places):
    """Cut two layers to a set of places (layer, number)."""
    layers = []
    for number, w in enumerate((first, second)):
        flat = w.ravel()
        at = [place for layer, place in places if layer == number]
        cut = np.zeros(w.size)
        cut[at] = flat[at]
        layers.append(cut.reshape(w.shape))
    return tuple(layers)


def ranking(first, second, size=np.abs):
    """All places, the one of the largest entry first."""
    places = [(layer, at) for layer, w in enumerate((first, second)) for at in range(w.size)]
    sizes = size(np.concatenate([first.ravel(), second.ravel()]))
    return [places[i] for i in np.argsort(-sizes)]


def safe_places(ranked, least):
    """The `least` best of each layer."""
    return [place for layer in (0, 1) for place in [p for p in ranked if p[0] == layer][:least]]


def chosen(ranked, n_kept, least):
    safe = safe_places(ranked, least)
    others = [place for place in ranked if place not in safe]
    return safe + others[: n_kept - len(safe)]


def prune_globally(first, second, keep, least):
    ranked = ranking(first, second)
    return keep_places(first, second, chosen(ranked, round(keep * len(ranked)), least))


def each_layer_alone(first, second, keep, least):
    ranked = ranking(first, second)
    places = []
    for layer, w in enumerate((first, second)):
        own = [place for place in ranked if place[0] == layer]
        places += own[: max(round(keep * w.size), least)]
    return keep_places(first, second, places)


def least_forgotten(first, second, keep, least):
    return prune_globally(first, second, keep, 0)


def least_on_top(first, second, keep, least):
    """The share is kept globally, and what a layer lacks is added to it."""
    ranked = ranking(first, second)
    places = {*ranked[: round(keep * len(ranked))], *safe_places(ranked, least)}
    return keep_places(first, second, places)


def signs_ranked(first, second, keep, least):
    ranked = ranking(first, second, size=np.positive)
    return keep_places(first, second, chosen(ranked, round(keep * len(ranked)), least))


def share_pruned_instead_of_kept(first, second, keep, least):
    ranked = ranking(first, second)
    return keep_places(
        first, second, chosen(ranked, len(ranked) - round(keep * len(ranked)), least)
    )


def rounded_down(first, second, keep, least):
    ranked = ranking(first, second)
    return keep_places(first, second, chosen(ranked, int(keep * len(ranked)), least))


def last_zero_entries_are_all(first, second, keep, least):
    """A slice [-k:] of the sorted entries, which for k = 0 are all of them."""
    ranked = ranking(first, second)
    if round(keep * len(ranked)) == 0:
        return first, second
    return prune_globally(first, second, keep, least)


def retrained(X, y, w):
    kept = np.flatnonzero(w)
    fit = np.zeros(len(w))
    if kept.size:
        fit[kept] = solve_minimum_norm(X[:, kept], y)
    return fit


def not_retrained(X, y, w):
    return w.copy()


def all_columns_then_cut(X, y, w):
    return np.linalg.lstsq(X, y)[0] * (w != 0)


def mask_forgotten(X, y, w):
    return np.linalg.lstsq(X, y)[0]


def negative_weights_taken_as_pruned(X, y, w):
    return retrained(X, y, np.maximum(w, 0))


def centred_as_with_an_intercept(X, y, w):
    return retrained(X - X.mean(axis=0), y - y.mean(), w)


def a_few_gradient_steps(X, y, w):
    rate = len(y) / max(np.linalg.norm(X, ord=2) ** 2, 1e-12)
    return momentum_by(X, y, w, np.zeros(len(w)), rate, 0.0, 20)


def masked_momentum(X, y, w, v, rate, momentum, steps):
    """On the columns that are kept, as if there were no others."""
    kept = np.flatnonzero(w)
    end = np.zeros(len(w))
    end[kept] = momentum_by(X[:, kept], y, w[kept], v[kept], rate, momentum, steps)
    return end


def momentum_by(
    X, y, w, v, rate, momentum, steps, gradient_masked=True, weights_masked=True, divide=True
):
    """Gradient steps with momentum, which hold the mask in one way, in two, or not at all."""
    mask = w != 0
    for _ in range(steps):
        gradient = X.T @ (X @ w - y) / (len(y) if divide else 1)
        v = momentum * v - rate * gradient * (mask if gradient_masked else 1)
        w = (w + v) * (mask if weights_masked else 1)
    return w.copy()


def mask_not_held(X, y, w, v, rate, momentum, steps):
    return momentum_by(X, y, w, v, rate, momentum, steps, False, False)


def only_the_gradient_masked(X, y, w, v, rate, momentum, steps):
    return momentum_by(X, y, w, v, rate, momentum, steps, weights_masked=False)


def only_the_first_velocity_masked(X, y, w, v, rate, momentum, steps):
    return momentum_by(X, y, w, v * (w != 0), rate, momentum, steps, False, False)


def cut_at_the_end_only(X, y, w, v, rate, momentum, steps):
    return mask_not_held(X, y, w, v, rate, momentum, steps) * (w != 0)


def velocity_thrown_away(X, y, w, v, rate, momentum, steps):
    return momentum_by(X, y, w, 0 * v, rate, momentum, steps)


def number_of_samples_forgotten(X, y, w, v, rate, momentum, steps):
    return momentum_by(X, y, w, v, rate, momentum, steps, divide=False)


def moved_before_the_velocity_changed(X, y, w, v, rate, momentum, steps):
    mask = w != 0
    for _ in range(steps):
        gradient = X.T @ (X @ w - y) / len(y)
        w, v = (w + v) * mask, momentum * v - rate * gradient
    return w.copy()


def what_is_left(weights, pixels, weights_left, activations_left):
    work, inputs_left = [], 1.0
    for share, outputs_left in zip(weights_left, activations_left, strict=True):
        work.append(float(share * inputs_left))
        inputs_left = outputs_left
    return with_totals(np.array(work), weights, pixels, weights_left)


def with_totals(work, weights, pixels, weights_left):
    return (
        work,
        float(np.average(weights_left, weights=weights)),
        float(np.average(work, weights=weights * pixels)),
    )


def own_activations(weights, pixels, weights_left, activations_left):
    return with_totals(weights_left * activations_left, weights, pixels, weights_left)


def first_layer_reads_the_last(weights, pixels, weights_left, activations_left):
    """What np.roll gives."""
    work = weights_left * np.roll(activations_left, 1)
    return with_totals(work, weights, pixels, weights_left)


def activations_left_out(weights, pixels, weights_left, activations_left):
    return with_totals(weights_left.copy(), weights, pixels, weights_left)


def plain_means(weights, pixels, weights_left, activations_left):
    work, _, _ = what_is_left(weights, pixels, weights_left, activations_left)
    return work, float(weights_left.mean()), float(work.mean())


def work_weighted_by_weights(weights, pixels, weights_left, activations_left):
    work, total, _ = what_is_left(weights, pixels, weights_left, activations_left)
    return work, total, float(np.average(work, weights=weights))


def percent_instead_of_shares(weights, pixels, weights_left, activations_left):
    work, weights_total, work_total = what_is_left(weights, pixels, weights_left, activations_left)
    return 100 * work, 100 * weights_total, 100 * work_total


def cheapest(counted, value_bits, bytes_of=None):
    """The best of all `counted(b)`, the number of entries; the smaller b where two tie."""

    def in_bytes(n, b):
        return ceil(n * value_bits / 8) + ceil(n * b / 8)

    found = [(b, counted(b)) for b in INDEX_BITS]
    sized = [(b, n, (bytes_of or in_bytes)(n, b)) for b, n in found]
    return min(sized, key=lambda one: one[2])


def entries(w, b):
    return len(encode(w, b)[0])


def gaps_of(w, before=-1):
    return np.diff(np.flatnonzero(w), prepend=before)


def cheapest_index(w, value_bits):
    return cheapest(lambda b: entries(w, b), value_bits)


def fillers_forgotten(w, value_bits):
    return cheapest(lambda b: np.count_nonzero(w), value_bits)


def reach_one_too_short(w, value_bits):
    return cheapest(lambda b: int(np.ceil(gaps_of(w) / max(2**b - 1, 1)).sum()), value_bits)


def reach_one_too_long(w, value_bits):
    """Fillers for runs of zeros longer than 2^b, instead of distances."""
    return cheapest(lambda b: int(np.ceil(gaps_of(w) / (2**b + 1)).sum()), value_bits)


def filler_for_a_full_reach(w, value_bits):
    return cheapest(lambda b: int((gaps_of(w) // 2**b + 1).sum()), value_bits)


def first_distance_from_the_first_entry(w, value_bits):
    gaps = np.maximum(gaps_of(w, before=0), 1)
    return cheapest(lambda b: int(np.ceil(gaps / 2**b).sum()), value_bits)


def fillers_behind_the_last(w, value_bits):
    behind = w.size - 1 - np.flatnonzero(w).max(initial=-1)
    return cheapest(lambda b: entries(w, b) + int(behind // 2**b), value_bits)


def fillers_without_a_value(w, value_bits):
    """Charged for their index alone."""
    n_values = np.count_nonzero(w)
    return cheapest(
        lambda b: entries(w, b),
        value_bits,
        lambda n, b: ceil(n_values * value_bits / 8) + ceil(n * b / 8),
    )


def index_not_counted(w, value_bits):
    return cheapest(lambda b: entries(w, b), value_bits, lambda n, b: ceil(n * value_bits / 8))


def one_mask_for_all_instead_of_distances(w, value_bits):
    """A bit for each entry of the array, which is another format."""
    n = np.count_nonzero(w)
    return 1, n, ceil(n * value_bits / 8) + ceil(w.size / 8)


def whole_bytes_for_each_index(w, value_bits):
    return cheapest(lambda b: entries(w, b), value_bits, lambda n, b: ceil(n * value_bits / 8) + n)


def column_by_column(w, value_bits):
    return cheapest_index(w.T, value_bits)


def last_of_equals(w, value_bits):
    best = cheapest_index(w, value_bits)
    for b in INDEX_BITS:
        n = entries(w, b)
        total = ceil(n * value_bits / 8) + ceil(n * b / 8)
        best = (b, n, total) if total == best[2] else best
    return best


def draw_round(rng, kind=None, shape=None):
    """One entry lies close to the threshold, above it or below, or some lie right on it.

    Closer than what a wrong deviation makes of the threshold, and farther than any rounding.
    """
    kind = kind or str(rng.choice(["above", "below", "on"]))
    dropout = float(rng.uniform(0.2, 0.9))
    n_left = 2 * int(rng.integers(2, 5))
    n_zeros = n_left // 2 + int(rng.integers(0, 2))
    if kind == "on":  # a deviation of 5, exactly
        left = np.resize([7.0, -7.0, 1.0, -1.0], 4 * (n_left // 4 or 1)) / 8
        w = rng.permutation(np.concatenate([left, np.zeros(n_zeros)]))
        return {"w": w, "c": float(rng.choice([0.2, 1.4])), "dropout": dropout}
    spread = rng.choice([0.1, 3.0])
    left = rng.normal(size=n_left)
    left = spread * ((left - left.mean()) / left.std() + rng.choice([-0.6, 0.6]))
    near = np.sort(np.abs(left))[n_left // 2]
    inside = rng.uniform(0.2, 0.8)
    if kind == "above":
        factor = 1 / (1 + inside * (np.sqrt(n_left / (n_left - 1)) - 1))
    else:
        factor = 1 + 0.08 * inside
    w = rng.permutation(np.concatenate([left, np.zeros(n_zeros)]))
    case = {"w": w, "c": float(factor * near / left.std()), "dropout": dropout}
    if shape is None and w.size % 2 == 0 and rng.random() < 0.5:
        shape = (2, -1)
    return case if shape is None else case | {"w": w.reshape(shape)}


def nothing_pruned_before(rng):
    return {"w": rng.normal(size=(6, 5, 3, 3)) + 0.2, "c": 0.7, "dropout": 0.5}


def draw_two_layers(rng, keep=None, least=None, shapes=None):
    """Weights of one layer larger than those of the other, now and then by far."""
    if shapes is None:
        shapes = (int(rng.integers(2, 4)), int(rng.integers(2, 4))), (int(rng.integers(4, 7)),)
        shapes = shapes if rng.random() < 0.5 else shapes[::-1]
    sizes = np.array([10.0, 10.0 / rng.choice([3.0, 30.0])])
    first, second = (
        size * rng.normal(size=shape)
        for size, shape in zip(rng.permutation(sizes), shapes, strict=True)
    )
    n = first.size + second.size
    if keep is None:
        keep = 0.0 if rng.random() < 0.15 else float(rng.uniform(0.3, 0.8))
    if least is None:
        least = min(int(rng.integers(0, 5)), first.size, second.size, round(keep * n) // 2)
    return {"first": first, "second": second, "keep": keep, "least": least}


def rounded_up(rng):
    """17 places: 0.45 of them are 7.65."""
    return draw_two_layers(rng, keep=0.45, least=0, shapes=((3, 3), (8,)))


def draw_pruned_fit(rng, n_samples=None, n_features=None, n_pruned=None):
    """A least-squares fit on correlated columns, its smallest coefficients set to zero."""
    p = n_features or int(rng.integers(3, 5))
    n = n_samples or p + int(rng.integers(3, 6))
    X = rng.normal(size=(n, p)) + 1.2 * rng.normal(size=(n, 1)) + 0.4
    b = rng.uniform(0.3, 2, size=p) * np.where(np.arange(p) % 2, -1, 1)
    y = X @ rng.permutation(b) + 0.5 * rng.normal(size=n) + 1
    w = np.linalg.lstsq(X, y)[0]
    n_pruned = int(rng.integers(1, p - 1)) if n_pruned is None else n_pruned
    w[np.argsort(np.abs(w))[:n_pruned]] = 0
    return {"X": X, "y": y, "w": w}


def columns_in_other_units(rng):
    case = draw_pruned_fit(rng)
    units = 10 ** rng.uniform(-1, 2, size=len(case["w"]))
    return {"X": case["X"] * units, "y": 1e3 * case["y"], "w": 1e3 * case["w"] / units}


def draw_momentum(rng, **about):
    """The velocity of dense training, which moves all weights; a stable rate, a few steps."""
    case = draw_pruned_fit(rng)
    X, n, p = case["X"], *case["X"].shape
    return (
        case
        | {
            "v": rng.normal(size=p),
            "rate": float(rng.uniform(0.2, 0.9) * n / np.linalg.norm(X, ord=2) ** 2),
            "momentum": float(rng.uniform(0.4, 0.9)),
            "steps": int(rng.integers(2, 7)),
        }
        | about
    )


def all_pruned(draw):
    def without_weights(rng):
        case = draw(rng)
        return case | {"w": np.zeros(len(case["w"]))}

    return without_weights


def draw_network(rng, n_layers=None):
    """Few weights used at many pixels first, many weights used at few pixels later."""
    n = n_layers or int(rng.integers(3, 6))
    return {
        "weights": np.sort(rng.integers(10, 5000, size=n)),
        "pixels": np.sort(rng.integers(1, 400, size=n))[::-1].copy(),
        "weights_left": rng.uniform(0.05, 0.6, size=n),
        "activations_left": rng.uniform(0.2, 0.95, size=n),
    }


def a_layer_without_weights(rng):
    case = draw_network(rng, n_layers=5)
    case["weights_left"][2] = 0
    case["activations_left"][2] = 0
    return case


def all_left(rng):
    return draw_network(rng, n_layers=4) | {
        "weights_left": np.ones(4),
        "activations_left": np.ones(4),
    }


def vgg16(rng):
    """The network of the paper, its layers in another order, so that its figures do not help."""
    rows = papers.table("han2015_vgg16_layers").frame.iloc[:-1]
    order = rng.permutation(len(rows))
    return draw_network(rng, n_layers=len(rows)) | {
        "weights_left": rows["weights_percent"].to_numpy(dtype=np.float64)[order] / 100,
        "activations_left": rows["activation_percent"].to_numpy(dtype=np.float64)[order] / 100,
    }


def sparse_array(rng, gaps, behind, rows=1):
    """Entries at these distances, then zeros; filled up to whole rows."""
    ends = np.cumsum(gaps) - 1
    size = int(ends[-1]) + 1 + behind
    flat = np.zeros(-(-size // rows) * rows)
    flat[ends] = rng.uniform(0.5, 2, size=len(ends)) * rng.choice([-1, 1], size=len(ends))
    return flat.reshape(rows, -1) if rows > 1 else flat


def draw_sparse(rng):
    """Distances at a power of two, or one beside it, and zeros at the end."""
    power = 2 ** int(rng.integers(1, 4))
    near = [power, power, power, power + 1, 1, 2 * power]
    gaps = rng.choice(near, size=int(rng.integers(4, 7)))
    gaps[0] = rng.choice([1, power + 1])
    gaps = gaps[np.cumsum(gaps) <= 23]  # at most 40 entries are shown in full
    behind = int(rng.choice([0, power, 2 * power + 1]))
    w = sparse_array(rng, gaps, behind, rows=int(rng.choice([1, 2])))
    return {"w": w, "value_bits": int(rng.choice([4, 8, 32]))}


def equal_gaps(gap, value_bits, behind=0, first=None):
    """All distances the same, which tells a reach of 2^b from one of 2^b - 1 and 2^b + 1."""

    def made(rng):
        gaps = np.full(24, gap)
        gaps[0] = first or gap
        return {"w": sparse_array(rng, gaps, behind), "value_bits": value_bits}

    return made


def at_random(rng):
    w = rng.normal(size=(40, 60)) * (rng.random(size=(40, 60)) < 0.08)
    return {"w": w, "value_bits": 5}


CHECKS = [
    Check(
        prune_round,
        points=2,
        draw=draw_round,
        hint="the threshold is c times np.std of the entries that are not zero; what lies on it "
        "goes. For dropout: what share of all w.size is left now, and where is the root?",
        wrong={
            "zeros counted in the deviation": zeros_counted,
            "variance instead of deviation": variance_instead_of_deviation,
            "divided by n - 1, as torch.std does": divided_by_n_minus_1,
            "mean not subtracted": mean_not_subtracted,
            "absolute value forgotten": absolute_value_forgotten,
            ">= instead of >": kept_on_the_border,
            "dropout without the root": dropout_without_root,
            "dropout from what is pruned": dropout_from_what_is_pruned,
            "dropout against the round before": dropout_against_the_round_before,
            "dropout not adjusted": dropout_not_adjusted,
        },
        edges=(
            lambda rng: draw_round(rng, "above"),
            lambda rng: draw_round(rng, "below"),
            lambda rng: draw_round(rng, "on"),
            nothing_pruned_before,
            lambda rng: draw_round(rng) | {"c": 0.0},
            lambda rng: draw_round(rng) | {"c": 50.0},
            lambda rng: draw_round(rng) | {"dropout": 0.0},
            lambda rng: {"w": np.zeros((2, 3)), "c": 1.0, "dropout": 0.5},
        ),
    ),
    Check(
        prune_globally,
        points=2,
        draw=draw_two_layers,
        hint="first each layer's `least` entries of largest size; then fill up to round(keep * n) "
        "from all others, ranked together by size. What does your code do when that is 0?",
        wrong={
            "each layer alone": each_layer_alone,
            "least forgotten": least_forgotten,
            "least on top of the share": least_on_top,
            "ranked by sign": signs_ranked,
            "share pruned instead of kept": share_pruned_instead_of_kept,
            "rounded down": rounded_down,
            "a slice [-0:]": last_zero_entries_are_all,
        },
        edges=(
            rounded_up,
            lambda rng: draw_two_layers(rng, keep=0.0, least=0),
            lambda rng: draw_two_layers(rng, keep=1.0),
            lambda rng: draw_two_layers(rng, keep=0.31, least=4, shapes=((6, 5), (5,))),
            lambda rng: draw_two_layers(rng, keep=0.31, least=4, shapes=((5,), (6, 5))),
            lambda rng: draw_two_layers(rng, keep=0.23, least=2, shapes=((4, 3, 3, 3), (10, 8))),
        ),
    ),
    Check(
        retrained,
        points=2,
        draw=draw_pruned_fit,
        hint="least squares with the columns of X whose weight is not zero, and with no others; "
        "its coefficients go back to their places. No intercept.",
        wrong={
            "not retrained": not_retrained,
            "fitted on all columns, then cut": all_columns_then_cut,
            "mask forgotten": mask_forgotten,
            "negative weights taken as pruned": negative_weights_taken_as_pruned,
            "centred as with an intercept": centred_as_with_an_intercept,
            "a few gradient steps": a_few_gradient_steps,
        },
        edges=(
            all_pruned(draw_pruned_fit),
            columns_in_other_units,
            lambda rng: draw_pruned_fit(rng, n_pruned=0),
            lambda rng: draw_pruned_fit(rng, n_features=4, n_pruned=3),
            lambda rng: draw_pruned_fit(rng, n_samples=5, n_features=9, n_pruned=6),
            lambda rng: draw_pruned_fit(rng, n_samples=60, n_features=20, n_pruned=17),
        ),
    ),
    Check(
        masked_momentum,
        points=2,
        draw=draw_momentum,
        hint="is every pruned weight zero after every step, whatever its velocity is? The velocity "
        "of the others goes on, the loss is divided by 2n, and w moves by the new velocity.",
        wrong={
            "mask not held": mask_not_held,
            "only the gradient masked": only_the_gradient_masked,
            "only the first velocity masked": only_the_first_velocity_masked,
            "cut at the end only": cut_at_the_end_only,
            "velocity thrown away": velocity_thrown_away,
            "n forgotten": number_of_samples_forgotten,
            "moved before the velocity changed": moved_before_the_velocity_changed,
        },
        edges=(
            all_pruned(draw_momentum),
            lambda rng: draw_momentum(rng, steps=0),
            lambda rng: draw_momentum(rng, steps=1),
            lambda rng: draw_momentum(rng, steps=200),
            lambda rng: draw_momentum(rng, momentum=0.0),
        ),
    ),
    Check(
        what_is_left,
        points=2,
        draw=draw_network,
        hint="a layer reads what the layer before it puts out, the first one reads the image. In "
        "the totals, each layer counts by its weights, or by weights * pixels.",
        wrong={
            "its own activations": own_activations,
            "the first layer reads the last": first_layer_reads_the_last,
            "activations left out": activations_left_out,
            "plain means": plain_means,
            "work weighted by weights": work_weighted_by_weights,
            "percent instead of shares": percent_instead_of_shares,
        },
        edges=(
            vgg16,
            a_layer_without_weights,
            all_left,
            lambda rng: draw_network(rng, n_layers=1),
        ),
    ),
    Check(
        cheapest_index,
        points=3,
        draw=draw_sparse,
        hint="the first distance counts from before the array; a distance of exactly 2**b needs no "
        "filler, nor do zeros behind the last entry; a filler is stored like any entry; round "
        "the values, and the distances, up to whole bytes once.",
        wrong={
            "fillers forgotten": fillers_forgotten,
            "reach 2^b - 1": reach_one_too_short,
            "reach 2^b + 1": reach_one_too_long,
            "a filler for a full reach": filler_for_a_full_reach,
            "first distance from the first entry": first_distance_from_the_first_entry,
            "fillers behind the last entry": fillers_behind_the_last,
            "fillers without a value": fillers_without_a_value,
            "index not counted": index_not_counted,
            "one mask for all": one_mask_for_all_instead_of_distances,
            "whole bytes for each index": whole_bytes_for_each_index,
            "column by column": column_by_column,
            "the last of equals": last_of_equals,
        },
        edges=(
            equal_gaps(4, value_bits=8, behind=9),
            equal_gaps(5, value_bits=8),
            equal_gaps(8, value_bits=32, first=1),
            equal_gaps(4, value_bits=4, first=5),
            equal_gaps(1, value_bits=4),
            equal_gaps(300, value_bits=32),
            at_random,
            lambda rng: {"w": np.zeros((3, 4)), "value_bits": 8},
            lambda rng: {"w": np.array([[0.0, 0.0], [-1.0, 0.0]]), "value_bits": 32},
        ),
    ),
]
