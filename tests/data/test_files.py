from __future__ import annotations

import gzip
import hashlib
import lzma
import pickle

import pytest

from sparsecourse.data import DamagedDataError, DataNotFoundError
from sparsecourse.data.files import check_digest, unpack

CONTENT = bytes(range(256)) * 40


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize("name", ["plain", "named.gz", "named.xz"])
def test_content_is_unpacked_whatever_the_name_says(tmp_path, pack, name):
    path = tmp_path / name
    path.write_bytes(pack(CONTENT))
    assert unpack(path) == CONTENT


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_truncated_file_is_named(tmp_path, pack):
    path = tmp_path / "file"
    path.write_bytes(pack(CONTENT)[:-9])
    with pytest.raises(DamagedDataError, match="file is damaged: it cannot be decoded") as caught:
        unpack(path)
    assert caught.value.paths == [path]


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_flipped_bit_is_noticed_wherever_it_is(tmp_path, pack):
    path = tmp_path / "file"
    whole = pack(CONTENT)
    for position in range(12, len(whole)):  # after the headers, where a time stamp may be
        packed = bytearray(whole)
        packed[position] ^= 1
        path.write_bytes(packed)
        with pytest.raises(DamagedDataError):
            unpack(path)


def test_missing_file_is_not_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        unpack(tmp_path / "nowhere")


def test_digest_is_compared(tmp_path):
    path = tmp_path / "file"
    check_digest([path], CONTENT, hashlib.sha256(CONTENT).hexdigest())
    with pytest.raises(DamagedDataError, match=f"{path} is damaged: .*Put a sound copy"):
        check_digest([path], CONTENT[1:], hashlib.sha256(CONTENT).hexdigest())


def test_errors_are_what_callers_catch_and_survive_a_process_pool(tmp_path):
    assert issubclass(DataNotFoundError, FileNotFoundError)
    error = DamagedDataError([tmp_path / "a", tmp_path / "b"], "why")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert str(error).startswith(f"One of {tmp_path / 'a'}, {tmp_path / 'b'} is damaged: why.")
