"""`load`: find a data set or download it, verify it, divide it, or take its embedded substitute."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np

from sparsecourse.data.catalogue import (
    CATALOGUE,
    Entry,
    cache_folder,
    data_folders,
    entry_of,
    find,
    in_cache,
)
from sparsecourse.data.digits import enlarge, enlarge_and_deform, read_digits
from sparsecourse.data.download import download
from sparsecourse.data.errors import DamagedDataError, DataNotFoundError
from sparsecourse.data.images import read_cifar, read_idx, read_idx_set
from sparsecourse.data.regression import read_diabetes, read_npz, read_prostate
from sparsecourse.data.samples import Dataset, Samples, divide

SUBSTITUTES = {"images": "digits", "regression": "diabetes"}
_EMBEDDED = {"digits": read_digits, "diabetes": read_diabetes}
_READERS = {
    "idx": read_idx_set,
    "cifar": read_cifar,
    "prostate": read_prostate,
    "npz": read_npz,
}
# A damaged file in the cache may be replaced by several processes at once; each of them can find
# it gone for a moment.
_ATTEMPTS = 5


def load(name: str, *, shape: tuple[int, ...] | None = None, offline: str | None = None) -> Dataset:
    """Load a data set, verified, in its training, validation and test part.

    The parts are the same on every machine: they are drawn by a fixed seed, unless published.

    ============= ============================== ====================== ==================
    name          X                              y                      train/valid./test
    ============= ============================== ====================== ==================
    digits        (n, 1, 8, 8), 0 to 1           0 to 9                 1077/360/360
    digits, shape (n, \\*shape), 0 to 1           0 to 9                 8616/360/360
    mnist         (n, 1, 28, 28), 0 to 1         0 to 9                 55000/5000/10000*
    fashion_mnist (n, 1, 28, 28), 0 to 1         0 to 9                 55000/5000/10000*
    cifar10       (n, 3, 32, 32), 0 to 1         0 to 9                 45000/5000/10000*
    diabetes      (n, 10), raw units             progression, 25 to 346 266/88/88
    prostate      (n, 8), raw units and logs     log PSA [log ng/ml]    50/17/30*
    riboflavin    (n, 4088), log expression      log production rate    43/14/14
    leukemia      (n, 3051), log10 expression,   -1.0 ALL, +1.0 AML     22/8/8
                  each sample standardised
    ============= ============================== ====================== ==================

    \\* the test part is the published one. Images are float32 with int64 classes, all else is
    float64. Units of every column: ``catalogue.CATALOGUE[name].description``. Colours are in the
    order red, green, blue. Images of CIFAR-10 are sorted by digest, since their packings differ in
    the order.

    A set is looked for in scikit-learn; in each folder of the environment variable
    SPARSECOURSE_DATA (separated by ``os.pathsep``) and its sub-folder for the set; in the cache
    (SPARSECOURSE_CACHE, else the usual one of the system); at its public homes, from where it is
    downloaded into the cache, unless SPARSECOURSE_OFFLINE=1.

    Parameters
    ----------
    name : str
        As in the table.
    shape : tuple of int, optional
        (channels, height, width) that "digits" are enlarged to, 1 or 3 channels, at least 8x8.
        Then, 7 randomly deformed copies of each training image join it; the other parts are only
        enlarged. Any other data set has one shape, which may be given.
    offline : "digits" or "diabetes", optional
        What to take where the set cannot be had: digits, in the shape of the set asked for, in the
        place of images; diabetes in the place of a regression set. A printed line says so.

    Returns
    -------
    dataset : Dataset

    Raises
    ------
    DataNotFoundError
        If the set is neither here nor downloaded and `offline` is not given.
    DamagedDataError
        If a file has other content than published. (In the cache, it is fetched anew instead.)
    ValueError
        If there is no such set, or `shape` or `offline` does not fit it.
    """
    entry = entry_of(name)
    shape = _checked_shape(entry, shape)
    substitute = SUBSTITUTES[entry.kind]
    if offline not in (None, substitute):
        raise ValueError(
            f"offline={offline!r} cannot stand in for {name}, a set of {entry.kind} data: "
            f"offline={substitute!r} can"
        )
    try:
        samples, source = _obtain(entry)
    except DataNotFoundError as error:
        if offline is None:
            raise DataNotFoundError(_remedies(entry, str(error))) from None
        resized = f", resized to {'x'.join(map(str, shape))}," if entry.kind == "images" else ""
        print(f"{name} was not found: using {offline}{resized} instead.")
        entry = CATALOGUE[offline]
        samples, source = _obtain(entry)
    train, validation, test = divide(samples, entry.sizes)
    if entry.name == "digits" and shape != entry.shape:
        train = enlarge_and_deform(train, shape)
        validation, test = enlarge(validation, shape), enlarge(test, shape)
    return Dataset(
        name=entry.name,
        source=source,
        train=train,
        validation=validation,
        test=test,
        feature_names=samples.feature_names,
        classes=entry.classes,
    )


def _checked_shape(entry: Entry, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        return entry.shape
    shape = tuple(np.ravel(shape).tolist())
    if shape == entry.shape:
        return entry.shape
    if entry.name != "digits":
        raise ValueError(
            f"shape={shape!r}: {entry.name} has samples of shape {entry.shape}; only digits can be "
            "had in another one"
        )
    whole = all(isinstance(length, int) for length in shape)
    if not (len(shape) == 3 and whole and shape[0] in (1, 3) and min(shape[1:]) >= 8):
        raise ValueError(
            f"shape={shape!r}: expected (channels, height, width), with 1 or 3 channels and a "
            "height and a width of at least 8"
        )
    return shape


def _obtain(entry: Entry) -> tuple[Samples, str]:
    if entry.name in _EMBEDDED:
        return _EMBEDDED[entry.name](), "scikit-learn"
    for _ in range(_ATTEMPTS):
        try:
            paths = find(entry.name)
            if paths is None:
                source, paths = "download", _download(entry)
            else:
                source = "cache" if in_cache(entry.name, paths[0]) else "SPARSECOURSE_DATA"
            return _READERS[entry.reader](entry, paths), source
        except DataNotFoundError:
            raise
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataNotFoundError(f"{error.filename} cannot be read ({error.strerror})") from None
        except DamagedDataError as error:
            if not all(in_cache(entry.name, path) for path in error.paths):
                raise
            for path in error.paths:
                path.unlink(missing_ok=True)
            names = ", ".join(path.name for path in error.paths)
            print(f"{entry.name}: deleted from the cache, because damaged: {names}.")
    raise DataNotFoundError(f"{cache_folder()}: other processes keep changing its files")


def _download(entry: Entry) -> list[Path]:
    if not entry.homes:
        raise DataNotFoundError("no public home to download it from")
    if os.environ.get("SPARSECOURSE_OFFLINE", "0") not in ("", "0"):
        raise DataNotFoundError("not downloaded, because SPARSECOURSE_OFFLINE is set")
    return download(entry, partial(_verify, entry))


def _verify(entry: Entry, name: str, path: Path) -> None:
    """Refuse a download whose content is not the published one, before it gets its name."""
    if entry.reader == "idx":
        read_idx(path, list(entry.sha256.values())[entry.downloads.index(name)])
    else:
        _READERS[entry.reader](entry, [path])


def _remedies(entry: Entry, problem: str) -> str:
    looked_in = [
        f"{folder}{'' if os.path.isdir(folder) else ' (no such folder)'}"
        for folder in data_folders()
    ]
    files = " or: ".join(", ".join(names[0] for names in packing) for packing in entry.packings)
    substitute = SUBSTITUTES[entry.kind]
    fetch = entry.by_hand or (
        f"Get online and call load({entry.name!r}) again, or run: "
        f"python3 -m sparsecourse data fetch {entry.name}"
    )
    return "\n".join(
        [
            f"{entry.name} was not found.",
            f"Folders of SPARSECOURSE_DATA: {', '.join(looked_in) or 'none, it is not set'}.",
            f"Cache: {cache_folder() / entry.name}.",
            f"What was tried last: {problem}",
            "What to do, one of:",
            f"1. Set SPARSECOURSE_DATA to a folder that holds {files}.",
            f"2. {fetch}",
            f"3. load({entry.name!r}, offline={substitute!r}) takes {substitute}, which "
            "scikit-learn brings along, in its place.",
        ]
    )
