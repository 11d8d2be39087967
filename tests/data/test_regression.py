from __future__ import annotations

import io

import numpy as np
import pytest
from sklearn.datasets import load_diabetes

from sparsecourse.data import DamagedDataError, load
from sparsecourse.data.catalogue import CATALOGUE
from tests.data.fabricated import write


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Call after `real`: the only data folder from then on."""

    def use(contents):
        folder = write(tmp_path / "here", contents)
        monkeypatch.setenv("SPARSECOURSE_DATA", str(folder))
        return folder

    return use


def sizes(dataset):
    return tuple(len(part.y) for part in (dataset.train, dataset.validation, dataset.test))


def as_eslpage(csv):
    """The same table as ESL's home has it: tabs, numbered rows, padded and rounded numbers."""
    title, *rows = csv.splitlines()
    places = [9, 6, 0, 8, 0, 8, 0, 0, 7]
    lines = ["\t" + title.replace(",", "\t")]
    for number, row in enumerate(rows, start=1):
        *values, flag = row.split(",")
        printed = [f"{float(v):{2 + d}.{d}f}" for v, d in zip(values, places, strict=True)]
        lines.append("\t".join([str(number), *printed, flag]))
    return "\n".join(lines) + "\n"


def test_diabetes_is_in_raw_units():
    diabetes = load("diabetes")
    assert sizes(diabetes) == (266, 88, 88)
    assert diabetes.source == "scikit-learn"
    assert diabetes.feature_names[:4] == ("age", "sex", "bmi", "bp")
    ages = diabetes.all.X[:, 0]
    assert (ages.min(), ages.max()) == (19, 79)
    assert (diabetes.all.y.min(), diabetes.all.y.max()) == (25, 346)
    np.testing.assert_array_equal(np.sort(diabetes.all.y), np.sort(load_diabetes().target))
    assert diabetes.classes == ()


def test_prostate_test_part_is_that_of_the_book(real):
    rows = [row.split(",") for row in real("prostate")[0].read_text().splitlines()[1:]]
    prostate = load("prostate")
    assert sizes(prostate) == (50, 17, 30)
    assert prostate.feature_names == CATALOGUE["prostate"].features
    np.testing.assert_array_equal(
        np.column_stack([prostate.test.X, prostate.test.y]),
        np.array([row[:9] for row in rows if row[9] == "F"], dtype=float),
    )
    # ESL, table 3.3: the mean of lpsa over the training data is the intercept 2.452
    training = np.concatenate([prostate.train.y, prostate.validation.y])
    assert training.mean() == pytest.approx(2.452, abs=5e-4)


def test_prostate_is_the_same_from_the_home_of_the_book(real, here):
    csv = real("prostate")[0].read_text()
    one = load("prostate").all
    here({"prostate.data": as_eslpage(csv).encode()})
    other = load("prostate").all
    np.testing.assert_allclose(other.X, one.X, atol=1e-6)
    np.testing.assert_allclose(other.y, one.y, atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (",T\n", ",F\n"),  # one man changes sides
        ("-0.579818495", "-0.579918495"),
        ("age,lbph", "lbph,age"),
        ("2.769459,50", "2.769459,fifty"),
        ("2.769459,50", "50"),
        ("lcavol", "lc\x00vol"),
    ],
)
def test_changed_prostate_table_is_damaged(real, here, old, new):
    csv = real("prostate")[0].read_text()
    assert old in csv
    folder = here({"prostate.csv": csv.replace(old, new, 1).encode()})
    with pytest.raises(DamagedDataError) as caught:
        load("prostate", offline="diabetes")
    assert caught.value.paths == [folder / "prostate.csv"]


def test_garbage_is_no_prostate_table(here):
    for content in (b"", b"\xff\xfe\x00", b"<html>\n</html>\n"):
        here({"prostate.csv": content})
        with pytest.raises(DamagedDataError, match=r"prostate\.csv is damaged"):
            load("prostate")


def test_riboflavin_has_a_name_for_each_gene(real):
    real("riboflavin")
    riboflavin = load("riboflavin")
    assert sizes(riboflavin) == (43, 14, 14)
    assert riboflavin.all.X.shape == (71, 4088)
    assert riboflavin.all.X.dtype == riboflavin.all.y.dtype == np.float64
    assert len(set(riboflavin.feature_names)) == 4088
    assert riboflavin.feature_names[0] == "AADK_at"


def test_leukemia_classes_become_signs_and_are_in_every_part(real):
    real("leukemia")
    leukemia = load("leukemia")
    assert sizes(leukemia) == (22, 8, 8)
    assert (leukemia.all.y == -1).sum() == 27  # ALL
    assert (leukemia.all.y == +1).sum() == 11  # AML
    for part in (leukemia.train, leukemia.validation, leukemia.test):
        assert set(part.y) == {-1.0, 1.0}
    assert leukemia.classes == ("ALL", "AML")
    assert len(leukemia.feature_names) == 3051


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("damage", ["value", "target", "missing", "shape", "names", "cut", "npy"])
def test_changed_npz_is_damaged(real, here, damage):
    with np.load(real("riboflavin")[0]) as file:
        arrays = dict(file)
    if damage == "value":
        arrays["X"][3, 5] = np.nextafter(arrays["X"][3, 5], 9)
    elif damage == "target":
        arrays["y"][-1] += 1e-9
    elif damage == "missing":
        del arrays["y"]
    elif damage == "shape":
        arrays["X"] = arrays["X"][:, :-1]
    elif damage == "names":
        arrays["genes"] = arrays["genes"][:-1]
    content = npz(**arrays)
    if damage == "cut":
        content = content[:-1000]
    elif damage == "npy":
        file = io.BytesIO()
        np.save(file, arrays["X"])
        content = file.getvalue()
    folder = here({"riboflavin.npz": content})
    with pytest.raises(DamagedDataError) as caught:
        load("riboflavin")
    assert caught.value.paths == [folder / "riboflavin.npz"]


def test_npz_may_be_packed_otherwise(real, here):
    with np.load(real("leukemia")[0]) as file:
        X, y = file["X"], file["y"]
    expected = load("leukemia").all
    here({"leukemia_golub_train.npz": npz(X=np.asfortranarray(X), y=y.astype(float))})
    found = load("leukemia").all
    np.testing.assert_array_equal(found.X, expected.X)
    np.testing.assert_array_equal(found.y, expected.y)
