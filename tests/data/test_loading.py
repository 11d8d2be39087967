from __future__ import annotations

import gzip
import os
import re

import numpy as np
import pytest

from sparsecourse.data import DataNotFoundError, load
from sparsecourse.data.catalogue import CATALOGUE
from tests.data.fabricated import write

MISSING_IMAGES = ("mnist", "fashion_mnist", "cifar10")
MISSING_TABLES = ("prostate", "riboflavin", "leukemia")


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_missing_images_are_replaced_by_digits_of_their_shape(name, capsys):
    found = load(name, offline="digits")
    assert (found.name, found.source) == ("digits", "scikit-learn")
    shape = CATALOGUE[name].shape
    assert found.train.X.shape == (8616, *shape)
    resized = "x".join(map(str, shape))
    assert capsys.readouterr().out == (
        f"{name} was not found: using digits, resized to {resized}, instead.\n"
    )


@pytest.mark.parametrize("name", MISSING_TABLES)
def test_missing_table_is_replaced_by_diabetes(name, capsys):
    found = load(name, offline="diabetes")
    assert found.name == "diabetes"
    assert found.classes == ()
    assert capsys.readouterr().out == f"{name} was not found: using diabetes instead.\n"


@pytest.mark.parametrize(
    ("name", "offline"),
    [("mnist", "diabetes"), ("prostate", "digits"), ("digits", "diabetes"), ("mnist", "mnist")],
)
def test_substitute_of_the_wrong_kind_is_refused(name, offline):
    with pytest.raises(ValueError, match=f"offline='{offline}' cannot stand in for {name}"):
        load(name, offline=offline)


def test_embedded_set_needs_no_substitute(capsys):
    assert load("diabetes", offline="diabetes").train.X.shape == (266, 10)
    assert capsys.readouterr().out == ""


def test_found_set_is_not_replaced(small_mnist, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SPARSECOURSE_DATA", str(write(tmp_path / "here", small_mnist)))
    found = load("mnist", offline="digits")
    assert found.name == "mnist"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("name", MISSING_IMAGES + MISSING_TABLES)
def test_missing_set_says_what_to_do(name, tmp_path, monkeypatch):
    folders = [str(tmp_path), str(tmp_path / "nowhere")]
    monkeypatch.setenv("SPARSECOURSE_DATA", os.pathsep.join(folders))
    with pytest.raises(DataNotFoundError) as caught:
        load(name)
    message = str(caught.value)
    entry = CATALOGUE[name]
    assert message.startswith(f"{name} was not found.")
    assert f"{tmp_path}, {tmp_path / 'nowhere'} (no such folder)." in message
    for packing in entry.packings:
        assert ", ".join(names[0] for names in packing) in message
    assert ("data fetch " + name in message) == bool(entry.homes)
    substitute = "digits" if entry.kind == "images" else "diabetes"
    assert f"3. load('{name}', offline='{substitute}')" in message
    if entry.homes:
        assert "SPARSECOURSE_OFFLINE is set" in message


@pytest.mark.parametrize("name", ["riboflavin", "leukemia"])
def test_recipe_for_a_set_without_a_home_makes_its_file(name, real, tmp_path, monkeypatch):
    # The Python half of the recipe, run on what its R half writes: y, then X column by column.
    with np.load(real(name)[0]) as arrays:
        values = np.concatenate([arrays["y"].astype(float), arrays["X"].ravel(order="F")])
        genes = arrays.get("genes", [])
    expected = load(name)
    monkeypatch.chdir(tmp_path)
    values.tofile("values.f64")
    (tmp_path / "genes.txt").write_text("\n".join(genes))
    exec(re.search(r"Then, in Python: (.*)", CATALOGUE[name].by_hand)[1])
    monkeypatch.setenv("SPARSECOURSE_DATA", str(tmp_path))
    made = load(name)
    np.testing.assert_array_equal(made.all.X, expected.all.X)
    assert made.feature_names == expected.feature_names


def test_only_digits_have_more_than_one_shape():
    with pytest.raises(ValueError, match=r"shape=\(1, 32, 32\): mnist has .*\(1, 28, 28\)"):
        load("mnist", shape=(1, 32, 32), offline="digits")
    assert load("diabetes", shape=(10,)).train.X.shape == (266, 10)


def test_unknown_name_is_refused():
    with pytest.raises(ValueError, match="'digit': did you mean 'digits'"):
        load("digit")


def test_set_in_the_cache_is_loaded_without_a_network(small_mnist, cache):
    write(cache / "mnist", {f"{k}.gz": gzip.compress(v) for k, v in small_mnist.items()})
    assert load("mnist").source == "cache"


def test_damaged_file_of_the_cache_is_deleted_with_a_line_and_the_rest_kept(
    small_mnist, cache, capsys
):
    name = "train-labels-idx1-ubyte"
    write(cache / "mnist", {**small_mnist, name: small_mnist[name][:-1]})
    assert load("mnist", offline="digits").name == "digits"
    assert capsys.readouterr().out.splitlines() == [
        f"mnist: deleted from the cache, because damaged: {name}.",
        "mnist was not found: using digits, resized to 1x28x28, instead.",
    ]
    assert sorted(path.name for path in (cache / "mnist").iterdir()) == sorted(
        set(small_mnist) - {name}
    )


def test_offline_switch_keeps_from_the_network(home, monkeypatch):
    monkeypatch.setenv("SPARSECOURSE_OFFLINE", "1")
    with pytest.raises(DataNotFoundError, match="SPARSECOURSE_OFFLINE is set"):
        load("mnist")
    assert load("mnist", offline="digits").name == "digits"
    assert home.asked == []
    monkeypatch.setenv("SPARSECOURSE_OFFLINE", "0")
    assert load("mnist").source == "download"


def test_a_file_that_may_not_be_read_is_named_with_the_remedies(monkeypatch, tmp_path):
    folder = tmp_path / "regression"
    folder.mkdir()
    (folder / "prostate.csv").write_text("")
    monkeypatch.setenv("SPARSECOURSE_DATA", str(tmp_path))

    def forbidden(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("sparsecourse.data.regression.unpack", forbidden)
    with pytest.raises(DataNotFoundError, match=r"prostate\.csv cannot be read \(Permission"):
        load("prostate")


def test_a_name_in_capitals_is_recognised_in_the_error():
    with pytest.raises(ValueError, match="did you mean 'mnist'"):
        load("MNIST")
