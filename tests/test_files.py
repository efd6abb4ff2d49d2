"""Writing of files: the whole new one or the old one, under any name that the folder takes."""

import errno
import os
import unicodedata
from pathlib import Path

import pytest

from framecue.files import (
    atomic_path,
    backslash_hint,
    check_writable,
    name_form,
    why_not_written,
    write_bytes,
    write_text,
)


def refusal(write):
    with pytest.raises(OSError) as caught:  # noqa: PT011
        write()
    return caught.value


@pytest.mark.parametrize("length", [1, 250, 255])
def test_any_name_that_the_folder_takes_is_written(tmp_path, length):
    path = tmp_path / ("n" * length)
    write_text(path, "first")
    write_text(path, "second")
    assert path.read_text() == "second"
    assert os.listdir(tmp_path) == [path.name]


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    cases = {
        tmp_path / ("n" * 256): "its name is longer than",
        tmp_path / "folder": "a folder is in its place",
        tmp_path / "file" / "below": "check that path and its rights",
    }
    for path, words in cases.items():
        for write in (lambda path=path: write_bytes(path, b"x"), lambda path=path: check_writable(path)):
            error = refusal(write)
            assert error.filename == str(path)
            assert words in why_not_written(error)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_text(path, "old")

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("framecue.files.os.fsync", full)
    error = refusal(lambda: write_text(path, "new"))
    assert "the disk is full" in why_not_written(error)
    assert error.filename == str(path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_about_another_file_keeps_its_name(tmp_path):
    def write():
        with atomic_path(tmp_path / "out"):
            (tmp_path / "not there").read_bytes()

    assert refusal(write).filename == str(tmp_path / "not there")


def test_asking_whether_a_file_can_be_written_writes_nothing(tmp_path):
    check_writable(tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_one_name_has_one_form():
    composed = "/v/Café ｚ 한글.mp4"
    assert name_form(Path(unicodedata.normalize("NFD", composed))) == name_form(composed) == composed
    stray = os.fsdecode(b"/v/caf\xe9.mp4")
    assert name_form(stray) == name_form("/v/caf\\xe9.mp4")
    assert name_form(stray) != name_form("/v/caf\xe9.mp4")
    assert name_form("\ud800") == "\ud800"


def test_backslashes_get_their_hint():
    assert backslash_hint(Path("d\\e\\a.mp4")) == "; the path uses backslashes, write d/e/a.mp4"
    assert "a path of Windows" in backslash_hint("C:\\videos\\a.mp4")
    assert backslash_hint("d/a.mp4") == ""
