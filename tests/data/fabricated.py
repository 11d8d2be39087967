"""Small data sets made up for the tests, on disk and over HTTP."""

from __future__ import annotations

import dataclasses
import hashlib
import io

import numpy as np

from sparsecourse.data.catalogue import CATALOGUE

SMALL_SIZES = (25, 5, 10)


class Terminal(io.StringIO):
    """What a test puts in the place of ``sys.stderr`` to read what a terminal would show."""

    def isatty(self):
        return True


def idx(values):
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">i4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def small_idx_set(seed):
    """Uncompressed IDX files of a small set: a dict of file name to content."""
    random = np.random.RandomState(seed)
    n_training, n_test = sum(SMALL_SIZES[:2]), SMALL_SIZES[2]
    return {
        "train-images-idx3-ubyte": idx(random.randint(0, 256, (n_training, 28, 28))),
        "train-labels-idx1-ubyte": idx(random.randint(0, 10, n_training)),
        "t10k-images-idx3-ubyte": idx(random.randint(0, 256, (n_test, 28, 28))),
        "t10k-labels-idx1-ubyte": idx(random.randint(0, 10, n_test)),
    }


def use_small(monkeypatch, name, contents, **changes):
    digests = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    entry = dataclasses.replace(
        CATALOGUE[name],
        sizes=SMALL_SIZES,
        sha256=dict(zip(CATALOGUE[name].sha256, digests, strict=True)),
        **{"homes": (), **changes},
    )
    monkeypatch.setitem(CATALOGUE, name, entry)
    return entry


def send(handler, content, claimed_length=None):
    """Send `content`; a longer `claimed_length` makes it a transfer that breaks off."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(claimed_length or len(content)))
    handler.end_headers()
    handler.wfile.write(content)


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder
