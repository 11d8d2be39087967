from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import lzma
import sys
import tarfile

import numpy as np
import pytest

from sparsecourse.data import DamagedDataError, load
from sparsecourse.data.catalogue import CATALOGUE, CIFAR_BATCHES
from tests.data.fabricated import Terminal, write


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARSECOURSE_DATA", str(tmp_path / "here"))
    return tmp_path / "here"


def records(seed, n):
    random = np.random.RandomState(seed)
    return np.column_stack([random.randint(0, 10, n), random.randint(0, 256, (n, 3072))]).astype(
        np.uint8
    )


def set_digest(values):
    digests = sorted(hashlib.sha256(record.tobytes()).digest() for record in values)
    return hashlib.sha256(b"".join(digests)).hexdigest()


@pytest.fixture
def small_cifar(monkeypatch):
    """A set of 40 training and 6 test records under the name of CIFAR-10."""
    training, test = records(1, 40), records(2, 6)
    entry = dataclasses.replace(
        CATALOGUE["cifar10"],
        sizes=(30, 10, 6),
        sha256={"training": set_digest(training), "test": set_digest(test)},
    )
    monkeypatch.setitem(CATALOGUE, "cifar10", entry)
    return training, test


def batches(training, test):
    parts = [*np.split(training, 5), test]
    return {name: part.tobytes() for name, part in zip(CIFAR_BATCHES, parts, strict=True)}


def archive(contents):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in {**contents, "batches.meta.txt": b"airplane\n"}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return file.getvalue()


def test_idx_images_and_labels_are_decoded(small_mnist, here):
    write(here, {f"{name}.gz": gzip.compress(content) for name, content in small_mnist.items()})
    mnist = load("mnist")
    assert (mnist.name, mnist.source) == ("mnist", "SPARSECOURSE_DATA")
    assert mnist.train.X.shape == (25, 1, 28, 28)
    images = np.frombuffer(small_mnist["t10k-images-idx3-ubyte"][16:], np.uint8)
    np.testing.assert_array_equal(
        mnist.test.X, images.reshape(10, 1, 28, 28).astype(np.float32) / 255
    )
    assert mnist.test.y.dtype == np.int64
    assert mnist.test.y.tolist() == list(small_mnist["t10k-labels-idx1-ubyte"][8:])
    training = np.concatenate([mnist.train.y, mnist.validation.y])
    assert sorted(training) == sorted(small_mnist["train-labels-idx1-ubyte"][8:])


@pytest.mark.parametrize("damage", ["bit", "short", "header", "garbage", "empty"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_damaged_idx_file_is_named_and_not_replaced_by_digits(small_mnist, here, pack, damage):
    name = "train-images-idx3-ubyte"
    content = bytearray(small_mnist[name])
    if damage == "bit":
        content[500] ^= 1
    elif damage == "short":
        del content[-100:]
    elif damage == "header":
        content[7] += 1
    else:
        content = b"<html>" * 50 if damage == "garbage" else b""
    write(here, {**small_mnist, name: pack(content)})
    with pytest.raises(DamagedDataError, match="Put a sound copy") as caught:
        load("mnist", offline="digits")
    assert caught.value.paths == [here / name]
    assert (here / name).exists()  # only files of the cache are ours to delete


def test_cifar_is_the_same_whatever_its_packing_and_order(small_cifar, here):
    training, test = small_cifar
    shuffled = batches(training[::-1], np.roll(test, 3, axis=0))
    packings = [
        batches(training, test),
        {f"{name}.xz": lzma.compress(content) for name, content in shuffled.items()},
        {"cifar-10-binary.tar.gz": archive(shuffled)},
    ]
    loaded = []
    for packing in packings:
        write(here, packing)
        loaded.append(load("cifar10").all)
        for name in packing:
            (here / name).unlink()
    for other in loaded[1:]:
        np.testing.assert_array_equal(other.X, loaded[0].X)
        np.testing.assert_array_equal(other.y, loaded[0].y)
    # and it is the published records: label first, then red, green, blue planes
    found = {
        (int(y), (x * 255).round().astype(np.uint8).tobytes())
        for x, y in zip(loaded[0].X, loaded[0].y, strict=True)
    }
    assert found == {(int(r[0]), r[1:].tobytes()) for r in np.concatenate(small_cifar)}


def test_cifar_test_records_stay_the_test_part(small_cifar, here):
    write(here, batches(*small_cifar))
    assert sorted(load("cifar10").test.y) == sorted(small_cifar[1][:, 0])


def test_short_or_broken_cifar_batch_is_named(small_cifar, here):
    contents = batches(*small_cifar)
    write(here, {**contents, "data_batch_3.bin": contents["data_batch_3.bin"][:-3073]})
    with pytest.raises(DamagedDataError, match=r"data_batch_3\.bin is damaged.*expected 24584"):
        load("cifar10")
    (here / "data_batch_3.bin").unlink()
    packed = lzma.compress(contents["data_batch_3.bin"])
    write(here, {"data_batch_3.bin.xz": packed[:-20]})
    with pytest.raises(DamagedDataError, match=r"data_batch_3\.bin\.xz is damaged.*decoded"):
        load("cifar10")


@pytest.mark.parametrize("name", ["data_batch_2.bin", "test_batch.bin"])
def test_changed_cifar_pixel_is_noticed(small_cifar, here, name):
    contents = batches(*small_cifar)
    changed = bytearray(contents[name])
    changed[5000] ^= 1
    write(here, {**contents, name: bytes(changed)})
    with pytest.raises(DamagedDataError) as caught:
        load("cifar10")
    assert here / name in caught.value.paths


def test_cifar_record_that_replaces_another_is_noticed(small_cifar, here):
    training, test = small_cifar
    doubled = training.copy()
    doubled[0] = doubled[1]
    write(here, batches(doubled, test))
    with pytest.raises(DamagedDataError):
        load("cifar10")


def test_archive_without_a_batch_or_cut_off_is_damaged(small_cifar, here):
    contents = batches(*small_cifar)
    whole = archive(contents)
    del contents["data_batch_4.bin"]
    for content in (archive(contents), whole[:-50], gzip.compress(gzip.decompress(whole)[:50000])):
        write(here, {"cifar-10-binary.tar.gz": content})
        with pytest.raises(DamagedDataError, match=r"cifar-10-binary\.tar\.gz is damaged"):
            load("cifar10")


def test_bar_is_for_terminals_alone(small_cifar, here, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    write(here, batches(*small_cifar))
    load("cifar10")
    assert "cifar10:   0%" in terminal.getvalue()
    terminal.truncate(0)
    monkeypatch.setattr("sparsecourse.data.images.IN_NOTEBOOK", True)
    load("cifar10")
    assert terminal.getvalue() == ""


def test_cifar_is_downloaded_as_the_archive(small_cifar, home, cache, monkeypatch):
    entry = dataclasses.replace(CATALOGUE["cifar10"], homes=(f"{home.root}/kriz/",))
    monkeypatch.setitem(CATALOGUE, "cifar10", entry)
    training, test = small_cifar
    other, whole = archive(batches(training, 255 - test)), archive(batches(training, test))
    home.answers["/kriz/cifar-10-binary.tar.gz"] = [other, whole]
    assert load("cifar10").source == "download"
    assert (cache / "cifar10" / "cifar-10-binary.tar.gz").read_bytes() == whole
    assert load("cifar10").source == "cache"
    assert home.asked == ["/kriz/cifar-10-binary.tar.gz"] * 2


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_published_idx_sets_load(real, name):
    real(name)
    loaded = load(name, shape=(1, 28, 28))
    assert [len(part.y) for part in (loaded.train, loaded.validation, loaded.test)] == [
        55000,
        5000,
        10000,
    ]
    assert loaded.train.X.shape[1:] == (1, 28, 28)
    assert loaded.train.X.max() == 1
    if name == "mnist":
        assert loaded.test.y[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    else:
        assert np.bincount(loaded.all.y).tolist() == [7000] * 10


def test_published_cifar10_loads(real):
    real("cifar10")
    cifar = load("cifar10")
    assert cifar.train.X.shape == (45000, 3, 32, 32)
    assert cifar.train.X.dtype == np.float32
    training = np.concatenate([cifar.train.y, cifar.validation.y])
    assert np.bincount(training).tolist() == [5000] * 10
    assert np.bincount(cifar.test.y).tolist() == [1000] * 10
    # The sky is blue: planes are in the order red, green, blue.
    red, _, blue = cifar.test.X[cifar.test.y == cifar.classes.index("airplane")].mean((0, 2, 3))
    assert blue > red + 0.03
