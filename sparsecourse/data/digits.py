"""The embedded images: scikit-learn's digits, also enlarged to stand in for a bigger data set."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import affine_transform

from sparsecourse.data.samples import SEED, Samples, Split

COPIES = 7


def read_digits() -> Samples:
    """Return the 1797 digits as float32 of shape (1797, 1, 8, 8), 0 to 1."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    return Samples(
        X=(digits.images / 16).astype(np.float32)[:, np.newaxis],
        y=digits.target.astype(np.int64),
    )


def enlarge(part: Split, shape: tuple[int, int, int]) -> Split:
    """Resize digits by cubic splines; a grey image fills all channels.

    Parameters
    ----------
    part : Split
        X of shape (n, 1, 8, 8).
    shape : (channels, height, width)

    Returns
    -------
    enlarged : Split
        X of shape (n, channels, height, width), in [0, 1].
    """
    n = len(part.X)
    return Split(_render(part.X, shape, np.tile(np.eye(2), (n, 1, 1)), np.zeros((n, 2))), part.y)


def enlarge_and_deform(part: Split, shape: tuple[int, int, int]) -> Split:
    """Resize digits, and add to the n images 7 n randomly deformed ones, by a fixed seed.

    Rotations up to 15 degrees, scales 0.85 to 1.05 and shears up to 0.15 of each axis, shifts up to
    half a pixel of the 8x8 image. Copies of image i are at i + n, i + 2n, ..., i + 7n.

    Parameters
    ----------
    part : Split
        X of shape (n, 1, 8, 8).
    shape : (channels, height, width)

    Returns
    -------
    enlarged : Split
        X of shape (8 n, channels, height, width), in [0, 1].
    """
    n = COPIES * len(part.X)
    random = np.random.RandomState(SEED)
    angle = np.deg2rad(random.uniform(-15, 15, n))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.zeros((2, 2, n))
    # The map is from the new image to the old one, hence the reciprocal.
    stretch[0, 0], stretch[1, 1] = 1 / random.uniform(0.85, 1.05, (2, n))
    stretch[0, 1] = random.uniform(-0.15, 0.15, n)
    matrices = np.einsum("ijn, jkn -> nik", rotation, stretch)
    shifts = random.uniform(-0.5, 0.5, (n, 2))
    deformed = _render(np.tile(part.X, (COPIES, 1, 1, 1)), shape, matrices, shifts)
    plain = enlarge(part, shape)
    return Split(np.concatenate([plain.X, deformed]), np.tile(part.y, COPIES + 1))


def _render(
    images: np.ndarray, shape: tuple[int, int, int], matrices: np.ndarray, shifts: np.ndarray
) -> np.ndarray:
    """Draw each image once more: pixel o shows the old image at M (o - centre) + old centre + s."""
    channels, *size = shape
    old_size = np.array(images.shape[2:])
    matrices = matrices * (old_size / size)
    offsets = (old_size - 1) / 2 + shifts - matrices @ ((np.array(size) - 1) / 2)
    rendered = np.empty((len(images), 1, *size), np.float32)
    for new, old, matrix, offset in zip(rendered, images, matrices, offsets, strict=True):
        # grid-constant: the page around the digit is blank, and strokes fade into it.
        affine_transform(old[0], matrix, offset, output=new[0], order=3, mode="grid-constant")
    # Cubic splines overshoot at sharp edges.
    np.clip(rendered, 0, 1, out=rendered)
    return np.repeat(rendered, channels, axis=1)
