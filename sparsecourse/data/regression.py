"""Decode the data sets of the regression lectures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparsecourse.data.catalogue import Entry
from sparsecourse.data.errors import DamagedDataError
from sparsecourse.data.files import blame, check_digest, unpack
from sparsecourse.data.samples import Samples


def read_diabetes() -> Samples:
    """Return scikit-learn's diabetes data in their raw units."""
    from sklearn.datasets import load_diabetes

    diabetes = load_diabetes(scaled=False)
    return Samples(X=diabetes.data, y=diabetes.target, feature_names=tuple(diabetes.feature_names))


def read_prostate(entry: Entry, paths: Sequence[Path]) -> Samples:
    """Read the table of the prostate data: comma-separated, or as ESL's home has it.

    There, it is tab-separated, and the rows are numbered in a first column without a title.
    """
    content = unpack(paths[0])
    with blame(paths):
        title, *rows = content.decode("utf-8-sig").splitlines()
        separator = "\t" if "\t" in title else ","
        columns = [column.strip() for column in title.split(separator)]
        if [column for column in columns if column] != [*entry.features, "lpsa", "train"]:
            raise DamagedDataError(paths, f"its title row is {title!r}")
        table = [row.split(separator)[columns.index("lcavol") :] for row in rows if row.strip()]
        values = np.array([row[:-1] for row in table], dtype=np.float64)
        is_test = np.array([row[-1].strip() == "F" for row in table])
    # To six digits: the two versions differ in the seventh digit of one number.
    numbers = "\n".join(
        ",".join([*(f"{value:.6g}" for value in row), "F" if test else "T"])
        for row, test in zip(values, is_test, strict=True)
    )
    check_digest(paths, numbers.encode(), entry.sha256["table"])
    return Samples(values[:, :-1], values[:, -1], is_test, entry.features)


def read_npz(entry: Entry, paths: Sequence[Path]) -> Samples:
    """Read arrays X (n, p) and y (n,), and where they have names, genes (p,)."""
    content = paths[0].read_bytes()
    n, p = sum(entry.sizes), entry.shape[0]
    with blame(paths), np.lib.npyio.NpzFile(io.BytesIO(content)) as arrays:
        if np.iscomplexobj(arrays["X"]) or np.iscomplexobj(arrays["y"]):
            raise DamagedDataError(paths, "its numbers are complex")
        X = np.ascontiguousarray(arrays["X"], dtype="<f8").reshape(n, p)
        y = np.ascontiguousarray(arrays["y"], dtype="<f8").reshape(n)
        numbered = [f"gene {i}" for i in range(1, p + 1)]
        names = arrays["genes"] if "genes" in arrays else np.array(numbered)
    if names.shape != (p,):
        raise DamagedDataError(paths, f"genes has shape {names.shape}, expected ({p},)")
    check_digest(paths, X.tobytes() + y.tobytes(), entry.sha256["X, y"])
    if entry.classes:
        y = 2 * y - 3  # 1 and 2 become -1 and +1
    return Samples(X, y, feature_names=tuple(map(str, names)))
