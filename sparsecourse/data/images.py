"""Decode image files: IDX (MNIST, Fashion-MNIST) and the binary version of CIFAR-10."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from sparsecourse.data.catalogue import CIFAR_BATCHES, Entry
from sparsecourse.data.errors import DamagedDataError
from sparsecourse.data.files import blame, check_digest, unpack
from sparsecourse.data.samples import Samples

IN_NOTEBOOK = any(base.__module__ == "tqdm.notebook" for base in tqdm.__mro__)
_CIFAR_RECORD = 1 + 3 * 32 * 32  # the label, then the red, green and blue plane


def read_idx(path: Path, sha256: str) -> np.ndarray:
    """Read one IDX file: two zero bytes, the type, the number of dimensions, the dimensions.

    Parameters
    ----------
    path : Path
        Plain or compressed.
    sha256 : str
        Digest of the uncompressed file.

    Returns
    -------
    values : ndarray of uint8

    Raises
    ------
    DamagedDataError
        If the content is not the published one.
    """
    content = unpack(path)
    check_digest([path], content, sha256)
    n_dimensions = content[3]
    dimensions = np.frombuffer(content, ">i4", n_dimensions, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * n_dimensions).reshape(dimensions)


def read_idx_set(entry: Entry, paths: Sequence[Path]) -> Samples:
    """Read the four IDX files of a set: training images and labels, test images and labels."""
    train_images, train_labels, test_images, test_labels = map(
        read_idx, paths, entry.sha256.values()
    )
    return Samples(
        X=np.concatenate([train_images, test_images])[:, np.newaxis],
        y=np.concatenate([train_labels, test_labels]).astype(np.int64),
        is_test=np.arange(len(train_labels) + len(test_labels)) >= len(train_labels),
    )


def read_cifar(entry: Entry, paths: Sequence[Path]) -> Samples:
    """Read CIFAR-10 from its six batches, or from the one archive that holds them.

    Packings differ in the order of the images. They are therefore verified as a set, and served
    in the order of the SHA-256 of their records, which is the same for everyone.
    """
    # xz takes over a second a file; lzma lets go of the interpreter lock, so threads do help.
    # The bar is for terminals alone (disable=None): a notebook would store it among its outputs.
    disable = IN_NOTEBOOK or None
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        unpacked = pool.map(unpack, paths)
        bar = tqdm(unpacked, entry.name, len(paths), unit="file", leave=False, disable=disable)
        contents = list(bar)
    if len(paths) == 1:
        with blame(paths):
            contents = _batches_in_archive(contents[0])
        paths = [paths[0]] * len(CIFAR_BATCHES)
    n_training, n_test = sum(entry.sizes[:2]), entry.sizes[2]
    for path, content, name in zip(paths, contents, CIFAR_BATCHES, strict=True):
        expected = _CIFAR_RECORD * (n_test if name == "test_batch.bin" else n_training // 5)
        if len(content) != expected:
            why = f"{name} decodes to {len(content)} bytes, expected {expected}"
            raise DamagedDataError([path], why)
    training = _sorted_records(paths[:-1], contents[:-1], entry.sha256["training"])
    test = _sorted_records(paths[-1:], contents[-1:], entry.sha256["test"])
    records = np.concatenate([training, test])
    return Samples(
        X=records[:, 1:].reshape(-1, 3, 32, 32),
        y=records[:, 0].astype(np.int64),
        is_test=np.arange(len(records)) >= n_training,
    )


def _batches_in_archive(content: bytes) -> list[bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}
        return [archive.extractfile(members[name]).read() for name in CIFAR_BATCHES]


def _sorted_records(paths: Sequence[Path], contents: list[bytes], sha256: str) -> np.ndarray:
    content = b"".join(contents)
    starts = range(0, len(content), _CIFAR_RECORD)
    digests = [hashlib.sha256(content[start : start + _CIFAR_RECORD]).digest() for start in starts]
    order = sorted(range(len(digests)), key=digests.__getitem__)
    check_digest(list(dict.fromkeys(paths)), b"".join(digests[i] for i in order), sha256)
    return np.frombuffer(content, np.uint8).reshape(-1, _CIFAR_RECORD)[order]
