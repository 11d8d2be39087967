"""The data sets of the course: what each one holds, what its files are called, where they are.

Standard library only: ``doctor`` lists the data sets on a Python where nothing is installed yet.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sparsecourse.data.errors import DamagedDataError
from sparsecourse.data.files import unpack


@dataclass(frozen=True)
class Entry:
    """One data set.

    Attributes
    ----------
    name : str
    description : str
        What a sample and its target are, with units.
    kind : "images" or "regression"
        Decides which embedded data set may stand in for it.
    reader : "scikit-learn", "idx", "cifar", "prostate" or "npz"
        Format of the files; "scikit-learn" has none.
    shape : tuple of int
        Of one sample: (channels, height, width), or (features,).
    sizes : (int, int, int)
        Samples to train, to validate, to test.
    classes : tuple of str
        Name of each class, empty for a real-valued target.
    features : tuple of str
        Name of each predictor, where the files do not say it.
    packings : tuple of packings
        Ways the set may be packed. A packing is a tuple of files, a file a tuple of the names it
        may have, the usual one first.
    folders : tuple of str
        Sub-folders of a data folder in which the files may lie, as well as in the folder itself.
    sha256 : mapping of str to str
        Digest of each part of the *decoded* content, so that any packing of it is accepted.
    homes : tuple of str
        URLs of the public homes, tried in order.
    downloads : tuple of str
        Files that make up the set at each home.
    by_hand : str
        How to get a set that has no lasting home.
    """

    name: str
    description: str
    kind: Literal["images", "regression"]
    reader: Literal["scikit-learn", "idx", "cifar", "prostate", "npz"]
    shape: tuple[int, ...]
    sizes: tuple[int, int, int]
    classes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    packings: tuple[tuple[tuple[str, ...], ...], ...] = ()
    folders: tuple[str, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=dict)
    homes: tuple[str, ...] = ()
    downloads: tuple[str, ...] = ()
    by_hand: str = ""


_DIGITS = tuple("0123456789")
_IDX_PACKING = tuple(
    tuple(
        f"{part}{separator}{kind}-ubyte{suffix}"
        for suffix in (".gz", "")
        for separator in ("-", ".")
    )
    for part, kind in (
        ("train-images", "idx3"),
        ("train-labels", "idx1"),
        ("t10k-images", "idx3"),
        ("t10k-labels", "idx1"),
    )
)
_IDX_DOWNLOADS = tuple(names[0] for names in _IDX_PACKING)
CIFAR_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
_NUMPY_FILE = (
    "Then, in Python: import numpy; values = numpy.fromfile('values.f64'); "
    "numpy.savez_compressed('{file}', y=values[:{n}], X=values[{n}:].reshape({p}, {n}).T{names})"
)

CATALOGUE: dict[str, Entry] = {
    entry.name: entry
    for entry in (
        Entry(
            name="digits",
            description="handwritten digits, 8x8 grey values in [0, 1] (UCI, in scikit-learn)",
            kind="images",
            reader="scikit-learn",
            shape=(1, 8, 8),
            sizes=(1077, 360, 360),
            classes=_DIGITS,
        ),
        Entry(
            name="mnist",
            description="handwritten digits, 28x28 grey values in [0, 1] (LeCun et al. 1998)",
            kind="images",
            reader="idx",
            shape=(1, 28, 28),
            sizes=(55000, 5000, 10000),
            classes=_DIGITS,
            packings=(_IDX_PACKING,),
            folders=("mnist", "MNIST", "MNIST/raw"),
            sha256={
                "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            },
            homes=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            downloads=_IDX_DOWNLOADS,
        ),
        Entry(
            name="fashion_mnist",
            description="photographs of clothes, 28x28 grey values in [0, 1] (Xiao et al. 2017)",
            kind="images",
            reader="idx",
            shape=(1, 28, 28),
            sizes=(55000, 5000, 10000),
            classes=(
                "T-shirt/top",
                "Trouser",
                "Pullover",
                "Dress",
                "Coat",
                "Sandal",
                "Shirt",
                "Sneaker",
                "Bag",
                "Ankle boot",
            ),
            packings=(_IDX_PACKING,),
            folders=("fashion_mnist", "fashion-mnist", "FashionMNIST", "FashionMNIST/raw"),
            sha256={
                "train-images": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
                "train-labels": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
                "t10k-images": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
                "t10k-labels": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            },
            homes=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
            downloads=_IDX_DOWNLOADS,
        ),
        Entry(
            name="cifar10",
            description="photographs in ten classes, 3x32x32 in [0, 1] (Krizhevsky 2009)",
            kind="images",
            reader="cifar",
            shape=(3, 32, 32),
            sizes=(45000, 5000, 10000),
            classes=(
                "airplane",
                "automobile",
                "bird",
                "cat",
                "deer",
                "dog",
                "frog",
                "horse",
                "ship",
                "truck",
            ),
            packings=(
                tuple((name, f"{name}.xz") for name in CIFAR_BATCHES),
                (("cifar-10-binary.tar.gz",),),
            ),
            folders=(
                "cifar10/cifar-10-batches-bin",
                "cifar-10-batches-bin",
                "cifar10",
                "CIFAR10",
            ),
            # Of the sorted SHA-256 digests of the records: packings differ in the order of images.
            sha256={
                "training": "55a61f79a40ece2ceda9fb5f9f7078f6ea2fc4952489cef56682bcf92cfcc260",
                "test": "325704b01eb92e1e2a6215ae6a916bb7db7de054af0c496be1c7be2e0fcfbf5f",
            },
            homes=("https://www.cs.toronto.edu/~kriz/",),
            downloads=("cifar-10-binary.tar.gz",),
        ),
        Entry(
            name="diabetes",
            description=(
                "disease progression after one year (25 to 346) of 442 patients: age [years], "
                "sex, bmi [kg/m2], blood pressure [mmHg], six blood serum values "
                "(Efron et al. 2004, in scikit-learn, unscaled)"
            ),
            kind="regression",
            reader="scikit-learn",
            shape=(10,),
            sizes=(266, 88, 88),
        ),
        Entry(
            name="prostate",
            description=(
                "log prostate specific antigen [log ng/ml] of 97 men; lcavol [log cm3], "
                "lweight [log g], age [years], lbph [log cm2], svi [0/1], lcp [log cm], "
                "gleason, pgg45 [%] (Stamey et al. 1989, as in ESL)"
            ),
            kind="regression",
            reader="prostate",
            shape=(8,),
            sizes=(50, 17, 30),
            features=("lcavol", "lweight", "age", "lbph", "svi", "lcp", "gleason", "pgg45"),
            packings=((("prostate.csv", "prostate.data"),),),
            folders=("regression", "prostate"),
            sha256={"table": "3bbaed505953318dab0ad3d2baaba4732446c8f935a0cb3bbd032bcfb645b9f2"},
            homes=("https://hastie.su.domains/ElemStatLearn/datasets/",),
            downloads=("prostate.data",),
        ),
        Entry(
            name="riboflavin",
            description=(
                "log riboflavin production rate of 71 samples of Bacillus subtilis, and the log "
                "expression of 4088 genes (Buehlmann, Kalisch, Meier 2014)"
            ),
            kind="regression",
            reader="npz",
            shape=(4088,),
            sizes=(43, 14, 14),
            packings=((("riboflavin.npz",),),),
            folders=("regression", "riboflavin"),
            sha256={"X, y": "04213d82864c690e0aafaaf3f14380ba94dc2cac30f9d3ab378a2b8797ea46b1"},
            by_hand=(
                "It has no lasting public home, but the R package hdi holds it. It takes "
                "riboflavin.npz with the arrays X (71, 4088), y (71,) and genes (4088 names). "
                'In R: install.packages("hdi"); data(riboflavin, package="hdi"); '
                'writeBin(c(riboflavin$y, riboflavin$x), "values.f64"); '
                'writeLines(colnames(riboflavin$x), "genes.txt"). '
                + _NUMPY_FILE.format(
                    file="riboflavin.npz",
                    n=71,
                    p=4088,
                    names=", genes=numpy.loadtxt('genes.txt', dtype=str)",
                )
            ),
        ),
        Entry(
            name="leukemia",
            description=(
                "acute leukemia of 38 patients, ALL (-1) or AML (+1), and the standardised "
                "log10 expression of 3051 genes (Golub et al. 1999, training part)"
            ),
            kind="regression",
            reader="npz",
            shape=(3051,),
            sizes=(22, 8, 8),
            classes=("ALL", "AML"),
            packings=((("leukemia_golub_train.npz",),),),
            folders=("regression", "leukemia"),
            sha256={"X, y": "abf23f73dceeaca29172ddf6d108319e4a5b742b1e9e6d2d8cd18d17cee0e09c"},
            by_hand=(
                "It has no lasting public home, but the R package plsgenomics holds it. It takes "
                "leukemia_golub_train.npz with the arrays X (38, 3051) and y (38,), 1 for ALL and "
                '2 for AML. In R: install.packages("plsgenomics"); '
                'data(leukemia, package="plsgenomics"); '
                'writeBin(as.double(c(leukemia$Y, leukemia$X)), "values.f64"). '
                + _NUMPY_FILE.format(file="leukemia_golub_train.npz", n=38, p=3051, names="")
            ),
        ),
    )
}


def entry_of(name: str) -> Entry:
    """Return the catalogue's entry of a data set.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest one and lists them all.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    nearest = difflib.get_close_matches(str(name).lower(), CATALOGUE, n=1, cutoff=0.0)[0]
    raise ValueError(
        f"Unknown data set {name!r}: did you mean {nearest!r}? Known are {', '.join(CATALOGUE)}."
    )


def _absolute(folder: str) -> Path:
    try:
        return Path(folder).expanduser().absolute()
    except RuntimeError:  # no such user, or one without a home: some containers have that
        return Path(folder).absolute()


def cache_folder() -> Path:
    """Folder of downloaded data sets: SPARSECOURSE_CACHE, else ``pooch.os_cache("sparsecourse")``.

    The latter is spelled out, since pooch is not there yet on a bare Python.
    """
    if os.environ.get("SPARSECOURSE_CACHE"):
        return _absolute(os.environ["SPARSECOURSE_CACHE"])
    home = _absolute("~")
    if sys.platform == "win32":
        local = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        return local / "sparsecourse" / "sparsecourse" / "Cache"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "sparsecourse"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "sparsecourse"


def data_folders() -> list[Path]:
    """Folders named by SPARSECOURSE_DATA, in order; there may be none."""
    named = os.environ.get("SPARSECOURSE_DATA", "").split(os.pathsep)
    return [_absolute(folder) for folder in named if folder]


def find(name: str) -> list[Path] | None:
    """Find the files of a data set on this machine, by name, without verifying their content.

    Parameters
    ----------
    name : str
        A key of `CATALOGUE`.

    Returns
    -------
    paths : list of Path or None
        One path for each file of the packing that was found, from the first folder that has a
        whole set: those of SPARSECOURSE_DATA, then the cache. Empty for a set embedded in
        scikit-learn, None where the set is not here.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    entry = entry_of(name)
    if entry.reader == "scikit-learn":
        return [] if importlib.util.find_spec("sklearn") else None
    return next((paths for paths in _whole_sets(entry) if not _is_twin(entry, paths)), None)


def available() -> dict[str, str | None]:
    """Say where each data set is on this machine.

    Returns
    -------
    where : dict of str to (str or None)
        For every name in the catalogue "scikit-learn", or "SPARSECOURSE_DATA" or "cache" with the
        folder; None where the set is not here.
    """
    return {name: _where(name, find(name)) for name in CATALOGUE}


def remedy(name: str) -> str:
    """What to do, in one line, where a data set is not here."""
    entry = entry_of(name)
    if entry.reader == "scikit-learn":
        return "comes with scikit-learn: python3 -m sparsecourse setup"
    if not entry.homes:
        file = entry.packings[0][0][0]
        return f"no public home; put {file} into a folder of SPARSECOURSE_DATA"
    return f"python3 -m sparsecourse data fetch {name}"


def in_cache(name: str, path: Path) -> bool:
    """Whether a file of a data set is one of our cache, where it may be deleted."""
    return path.parent == cache_folder() / name


def _where(name: str, paths: list[Path] | None) -> str | None:
    if paths is None:
        return None
    if not paths:
        return "scikit-learn"
    place = "cache" if in_cache(name, paths[0]) else "SPARSECOURSE_DATA"
    return f"{place}: {paths[0].parent}"


def _whole_sets(entry: Entry) -> Iterator[list[Path]]:
    folders = [root / folder for root in data_folders() for folder in (*entry.folders, ".")] + [
        cache_folder() / entry.name
    ]
    for folder in folders:
        for packing in entry.packings:
            # os.path.isfile and not Path.is_file, which raises in a folder that cannot be read.
            paths = [
                next((folder / name for name in names if os.path.isfile(folder / name)), None)
                for names in packing
            ]
            if None not in paths:
                yield paths


def _is_twin(entry: Entry, paths: list[Path]) -> bool:
    """Whether the files are those of another set, whose files have the same names.

    MNIST and Fashion-MNIST do: given the folder of one, the other must not take it for a damaged
    copy of itself. The test labels (10 kB) tell them apart.
    """
    twins = [
        other
        for other in CATALOGUE.values()
        if other.packings == entry.packings and other.sha256 != entry.sha256
    ]
    if not twins:
        return False
    try:
        digest = hashlib.sha256(unpack(paths[-1])).hexdigest()
    except (DamagedDataError, OSError):
        return False
    return any(digest in twin.sha256.values() for twin in twins)
