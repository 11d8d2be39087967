"""Files that anybody may have made: links, pipes, bombs and broken zips neither hurt nor hang."""

import os
import socket
import stat
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest

from sparsecourse.grading.answers import Ungradable
from sparsecourse.grading.submissions import SubmissionsError, find
from sparsecourse.grading.untrusted import MAX_BYTES, content, entries

TOPIC = "04_ridge_and_lasso"
GIGABYTE = 2**30


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "class"
    path.mkdir()
    (path / "alice.ipynb").write_text("hello")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.ipynb").write_text("secret")
    return path


def problems(path):
    return {found.student: found.problem for found in find(path, TOPIC)}


def refusal(path, name):
    """What `content` says where `find` has not looked before, or something has changed since."""
    with pytest.raises(Ungradable) as caught:
        content(path, name)
    return str(caught.value)


def zipped(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def test_a_link_to_a_notebook_outside_is_refused(folder):
    (folder / "eve.ipynb").symlink_to("../outside/x.ipynb")
    assert problems(folder) == {"alice": None, "eve": "a link, which is not followed: eve.ipynb"}
    assert refusal(folder, "eve.ipynb") == "a link, which is not followed: eve.ipynb"


def test_a_folder_that_is_a_link_is_refused(folder):
    (folder / "eve").symlink_to("../outside")
    (folder / "bob").mkdir()
    (folder / "bob" / TOPIC).symlink_to("../../outside")
    assert problems(folder) == {
        "alice": None,
        "bob": f"no notebook {TOPIC}.ipynb, but a link, which is not followed: bob/{TOPIC}",
        "eve": "no notebook, but a link, which is not followed: eve",
    }
    assert len(find(folder, TOPIC, r"(?P<student>\w+)\.ipynb")) == 3
    assert refusal(folder, "eve/x.ipynb") == "not readable (Not a directory): eve/x.ipynb"


def test_the_given_folder_itself_may_be_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder)
    (found,) = find(tmp_path / "link", TOPIC)
    assert found.read() == b"hello"


def test_pipes_sockets_and_devices_are_refused_without_waiting(folder):
    os.mkfifo(folder / "eve.ipynb")
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(os.path.relpath(folder / "bob.ipynb"))
    assert problems(folder) == {
        "alice": None,
        "bob": "not an ordinary file: bob.ipynb",
        "eve": "not an ordinary file: eve.ipynb",
    }
    assert refusal(folder, "eve.ipynb") == "not an ordinary file: eve.ipynb"
    assert refusal(Path("/dev"), "zero") == "not an ordinary file: zero"


def test_200_megabytes_are_refused(folder):
    with (folder / "eve.ipynb").open("wb") as file:
        file.truncate(200_000_000)
    said = "too large, 200 MB of at most 20 MB: eve.ipynb"
    assert problems(folder) == {"alice": None, "eve": said}
    assert refusal(folder, "eve.ipynb") == said


def test_the_limit_is_20_megabytes_and_holds_for_a_file_that_grows(folder, monkeypatch):
    notebook = folder / "alice.ipynb"
    os.truncate(notebook, MAX_BYTES)
    assert len(content(folder, "alice.ipynb")) == MAX_BYTES
    before = notebook.stat()
    os.truncate(notebook, MAX_BYTES + 1)
    assert refusal(folder, "alice.ipynb") == "too large, 21 MB of at most 20 MB: alice.ipynb"
    monkeypatch.setattr(os, "fstat", lambda opened: before)
    assert refusal(folder, "alice.ipynb") == "too large: alice.ipynb"


def test_a_folder_that_cannot_be_looked_into_is_a_row(folder, monkeypatch):
    (folder / "bob").mkdir()
    scandir = os.scandir

    def closed(path):
        if path == folder / "bob":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    said = "no notebook, but not readable (Permission denied): bob"
    assert problems(folder) == {"alice": None, "bob": said}


def test_folders_in_folders_end_somewhere(folder):
    deep = folder / "eve" / "/".join("x" * 50)
    deep.mkdir(parents=True)
    (deep / "x.ipynb").write_text("")
    assert problems(folder) == {"alice": None}


def test_files_left_open_are_none(folder):
    (folder / "a" / "b").mkdir(parents=True)
    (folder / "a" / "b" / "c.ipynb").write_text("")
    before = os.listdir("/proc/self/fd")
    content(folder, "a/b/c.ipynb")
    refusal(folder, "nothing/here")
    assert len(os.listdir("/proc/self/fd")) == len(before)


def bomb(path, declared):
    """A zip of 10 MB whose one file unpacks to 10 GB of zeros and declares another size."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    megabyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("eve.ipynb")
        archive.writestr(info, megabyte * (10 * 2**10) + b"\x03\0")
        info.compress_type, info.file_size = zipfile.ZIP_DEFLATED, declared
        archive.writestr("alice.ipynb", "hello")
    return path


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (10 * GIGABYTE, "too large, 10738 MB of at most 20 MB: eve.ipynb"),
        (MAX_BYTES, "damaged: eve.ipynb"),
        (1000, "damaged: eve.ipynb"),
    ],
)
def test_a_zip_bomb_is_refused_in_little_memory_whatever_size_it_declares(tmp_path, declared, said):
    path = bomb(tmp_path / "class.zip", declared)
    tracemalloc.start()
    try:
        alice, eve = find(path, TOPIC)
        with pytest.raises(Ungradable) as caught:
            eve.read()
        assert alice.read() == b"hello"
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert str(caught.value) == said
    assert peak < 4 * MAX_BYTES


def test_other_ways_of_packing_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("eve.ipynb", "x")
    assert problems(tmp_path / "class.zip") == {"eve": "packed in an unusual way: eve.ipynb"}


def test_links_and_encrypted_files_in_a_zip_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w") as archive:
        link = zipfile.ZipInfo("eve.ipynb")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        locked = zipfile.ZipInfo("bob.ipynb")
        archive.writestr(locked, "x")
        locked.flag_bits |= 1
    assert problems(tmp_path / "class.zip") == {
        "bob": "encrypted: bob.ipynb",
        "eve": "a link, which is not followed: eve.ipynb",
    }
    assert refusal(tmp_path / "class.zip", "bob.ipynb") == "encrypted: bob.ipynb"


def test_names_that_lead_out_of_a_zip_are_only_names(tmp_path):
    files = {"../../eve.ipynb": "1", "/etc/bob/x.ipynb": "2", "a\\b.ipynb": "3", "alice.ipynb": "4"}
    found = {each.student: each for each in find(zipped(tmp_path / "class.zip", files), TOPIC)}
    assert found["eve"].read() == b"1"
    assert found["etc"].read() == b"2"
    assert found["alice"].read() == b"4"
    assert len(found) == 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["class.zip"]


def test_a_zip_that_holds_a_name_twice_holds_two_notebooks(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("alice.ipynb", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("alice.ipynb", "2")
    assert problems(tmp_path / "c.zip") == {"alice": "two notebooks: alice.ipynb and alice.ipynb"}


def test_a_zip_that_holds_a_name_without_a_student_twice_has_one_row_for_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("=x.ipynb", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("=x.ipynb", "2")
    assert len(find(tmp_path / "c.zip", TOPIC)) == 1


def test_a_broken_zip_is_refused_in_a_sentence(tmp_path):
    whole = zipped(tmp_path / "class.zip", {"alice.ipynb": "x" * 1000}).read_bytes()
    for broken in (b"", whole[:-30], whole[: len(whole) // 2], b"no zip at all"):
        path = tmp_path / f"{len(broken)}.zip"
        path.write_bytes(broken)
        with pytest.raises(SubmissionsError, match="is no zip that can be read"):
            entries(path)


def test_a_zip_with_any_byte_wrong_raises_nothing_else(tmp_path):
    files = {"alice.ipynb": "hello", "bob/x.ipynb": "there"}
    whole = zipped(tmp_path / "class.zip", files).read_bytes()
    for at in range(len(whole)):
        for value in (0, 1, 255):
            path = tmp_path / f"{at}-{value}.zip"
            path.write_bytes(whole[:at] + bytes([value]) + whole[at + 1 :])
            try:
                for found in find(path, TOPIC):
                    found.read()
            except (SubmissionsError, Ungradable):
                pass


def test_a_large_zip_is_listed_once_and_a_changed_one_again(tmp_path, monkeypatch):
    files = {f"{student}/{TOPIC}/{TOPIC}.ipynb": "" for student in "abcd"}
    zipped(tmp_path / "class.zip", files)
    opened = []
    zip_file = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path) or zip_file(path))
    for found in find(tmp_path / "class.zip", TOPIC):
        found.read()
    assert len(opened) == 1
    os.utime(tmp_path / "class.zip", (0, 0))
    find(tmp_path / "class.zip", TOPIC)
    assert len(opened) == 2


def test_a_zip_that_is_gone_is_not_a_fault_of_the_student(tmp_path):
    (found,) = find(zipped(tmp_path / "class.zip", {"alice.ipynb": "x"}), TOPIC)
    (tmp_path / "class.zip").unlink()
    with pytest.raises(SubmissionsError, match="No such file"):
        found.read()


def test_finding_hundreds_of_submissions_holds_none_of_their_content(folder):
    text = "x" * 200_000
    for number in range(300):
        (folder / f"s{number}.ipynb").write_text(text)
    tracemalloc.start()
    try:
        found = find(folder, TOPIC)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(found) == 301
    assert peak < 2_000_000
