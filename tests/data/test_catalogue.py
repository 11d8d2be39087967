from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pooch
import pytest

import sparsecourse
from sparsecourse.data import catalogue
from sparsecourse.data.catalogue import CATALOGUE, available, cache_folder, entry_of, find
from tests.data.fabricated import small_idx_set, use_small, write

ROOT = str(Path(sparsecourse.__file__).parents[1])


def run_without_packages(program, **environment):
    """Run a program in a Python that has the standard library only, as `doctor` must."""
    return subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {ROOT!r}); {program}"],
        env={**os.environ, "PYTHONPATH": "", **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_catalogue_lists_the_sets_on_a_bare_python(small_mnist, tmp_path):
    write(tmp_path / "mnist", small_mnist)
    printed = run_without_packages(
        "from sparsecourse.data import available; print(available())",
        SPARSECOURSE_DATA=str(tmp_path),
    )
    where = eval(printed)
    assert list(where) == list(CATALOGUE)
    assert where["mnist"] == f"SPARSECOURSE_DATA: {tmp_path / 'mnist'}"
    assert where["digits"] is None  # there is no scikit-learn


def test_import_of_the_package_leaves_numpy_alone():
    program = (
        "import sys, sparsecourse.data; print([m for m in ('numpy', 'pooch') if m in sys.modules])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == "[]"


def test_cache_folder_is_that_of_pooch(monkeypatch):
    monkeypatch.delenv("SPARSECOURSE_CACHE")
    assert cache_folder() == Path(pooch.os_cache("sparsecourse"))
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path(pooch.os_cache("sparsecourse"))


def test_sizes_of_the_embedded_substitutes_are_in_the_catalogue():
    assert sum(CATALOGUE["digits"].sizes) == 1797
    assert sum(CATALOGUE["diabetes"].sizes) == 442


def test_unknown_name_gets_the_nearest_one_and_the_list():
    with pytest.raises(ValueError, match=r"'fashon_mnist'.*mean 'fashion_mnist'.*digits, mnist"):
        entry_of("fashon_mnist")


@pytest.mark.parametrize("folder", ["", "mnist", "MNIST/raw"])
@pytest.mark.parametrize("renamed", ["{}", "{}.gz"])
@pytest.mark.parametrize("separator", ["-", "."])
def test_layouts_and_names_are_tolerated(
    small_mnist, tmp_path, monkeypatch, folder, renamed, separator
):
    files = {
        renamed.format(name.replace("-idx", f"{separator}idx")): content
        for name, content in small_mnist.items()
    }
    write(tmp_path / "here" / folder, files)
    monkeypatch.setenv("SPARSECOURSE_DATA", str(tmp_path / "here"))
    assert find("mnist") == [tmp_path / "here" / folder / name for name in files]


def test_cifar10_is_found_as_batches_plain_or_packed_and_as_the_archive(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSECOURSE_DATA", str(tmp_path))
    assert find("cifar10") is None
    write(tmp_path, {"cifar-10-binary.tar.gz": b""})
    assert find("cifar10") == [tmp_path / "cifar-10-binary.tar.gz"]
    batches = [*(f"data_batch_{i}.bin.xz" for i in range(1, 6)), "test_batch.bin"]
    folder = write(tmp_path / "cifar10" / "cifar-10-batches-bin", dict.fromkeys(batches, b""))
    assert find("cifar10") == [folder / name for name in batches]


def test_first_folder_with_a_whole_set_wins_and_the_cache_comes_last(
    small_mnist, tmp_path, cache, monkeypatch
):
    part, second, third = (tmp_path / name for name in ("part", "second", "third"))
    write(part, dict(list(small_mnist.items())[:3]))
    in_cache = write(cache / "mnist", small_mnist)
    monkeypatch.setenv("SPARSECOURSE_DATA", os.pathsep.join(map(str, [part, second, third])))
    assert find("mnist")[0].parent == in_cache
    write(third, small_mnist)
    assert find("mnist")[0].parent == third
    write(second, small_mnist)
    assert find("mnist")[0].parent == second


def test_one_mnist_is_not_taken_for_the_other(small_mnist, tmp_path, monkeypatch):
    fashion = small_idx_set(seed=2)
    use_small(monkeypatch, "fashion_mnist", fashion)
    one = write(tmp_path / "one", {f"{k}.gz": gzip.compress(v) for k, v in small_mnist.items()})
    monkeypatch.setenv("SPARSECOURSE_DATA", str(one))
    assert find("fashion_mnist") is None
    other = write(tmp_path / "other", fashion)
    monkeypatch.setenv("SPARSECOURSE_DATA", os.pathsep.join([str(one), str(other)]))
    assert find("mnist")[0].parent == one
    assert find("fashion_mnist")[0].parent == other


def test_available_says_where_each_set_is(small_mnist, cache):
    write(cache / "mnist", small_mnist)
    where = available()
    assert where["mnist"] == f"cache: {cache / 'mnist'}"
    assert where["diabetes"] == "scikit-learn"
    assert where["cifar10"] is None


def test_every_set_with_files_has_digests_and_a_way_to_get_it():
    for entry in CATALOGUE.values():
        if entry.reader == "scikit-learn":
            continue
        assert all(len(digest) == 64 for digest in entry.sha256.values())
        assert bool(entry.homes) != bool(entry.by_hand)
        names = {name for packing in entry.packings for file in packing for name in file}
        assert set(entry.downloads) <= names


def test_catalogue_has_no_entry_for_an_unknown_name():
    with pytest.raises(ValueError, match="Unknown data set"):
        catalogue.find("imagenet")


def test_folders_may_be_relative_or_in_the_home(small_mnist, tmp_path, monkeypatch):
    folder = write(tmp_path / "here", small_mnist)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for named in ("here", "~/here"):
        monkeypatch.setenv("SPARSECOURSE_DATA", named)
        assert find("mnist")[0].parent == folder
