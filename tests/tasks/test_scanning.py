"""What belongs to an index, and which files of it are there."""

import os
from pathlib import Path

import pytest

from framecue.errors import DatasetError
from framecue.tasks.scanning import Sources, absolute, scan
from framecue.video.files import FolderRules


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"bytes")


def found(folder, *starts, sources=None):
    starts = starts or (folder,)
    result = scan(starts, sources or Sources(tuple(starts)))
    return sorted(str(path.relative_to(folder)) for path in result.files), result


def test_the_nearest_of_roots_and_exclusions_counts():
    a, ab, abc, abcd = (Path(text) for text in ("/a", "/a/b", "/a/b/c", "/a/b/c/d.mp4"))
    sources = Sources().with_added([a])
    assert sources.holds(abcd)
    sources = sources.with_removed([ab])
    assert sources == Sources((a,), (ab,))
    assert not sources.holds(abcd)
    sources = sources.with_added([abc])
    assert sources == Sources((a, abc), (ab,))
    assert sources.holds(abcd)
    assert not sources.holds(ab / "x.mp4")
    assert sources.with_added([ab]) == Sources((a, abc), ())
    assert sources.with_removed([a]) == Sources()


def test_what_is_covered_is_no_root_of_its_own_and_names_are_whole():
    sources = Sources().with_added([Path("/a"), Path("/a/b")])
    assert sources.roots == (Path("/a"),)
    assert Sources().with_added([Path("/a/b"), Path("/a")]).roots == (Path("/a"),)
    assert not sources.holds(Path("/ab/x.mp4"))


def test_videos_of_folders_and_files_as_they_are_named(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "sub" / "B.AVI", tmp_path / "notes.txt", tmp_path / ".hidden" / "c.mp4")
    assert found(tmp_path)[0] == ["a.mp4", "sub/B.AVI"]
    names, result = found(tmp_path, tmp_path / "notes.txt", tmp_path / ".hidden" / "c.mp4")
    assert names == [".hidden/c.mp4", "notes.txt"]
    assert result.files[tmp_path / "notes.txt"].size_bytes == 5


def test_exclusions_are_not_looked_into(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "sub" / "c.mp4", tmp_path / "sub" / "in" / "d.mp4")
    sources = Sources().with_added([tmp_path]).with_removed([tmp_path / "b.mp4", tmp_path / "sub"])
    assert found(tmp_path, tmp_path, sources=sources)[0] == ["a.mp4"]
    sources = sources.with_added([tmp_path / "sub" / "in"])
    assert found(tmp_path, *sources.roots, sources=sources)[0] == ["a.mp4", "sub/in/d.mp4"]


def test_links_are_followed_and_each_file_is_there_once(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    touch(inside / "a.mp4", outside / "b.mp4", outside / "more" / "c.mp4", tmp_path / "d.mp4")
    (inside / "to a.mp4").symlink_to(inside / "a.mp4")
    (inside / "0 also to a.mp4").symlink_to(inside / "a.mp4")
    (inside / "to b.mp4").symlink_to(outside / "b.mp4")
    (inside / "to d.mp4").symlink_to(tmp_path / "d.mp4")
    (inside / "to d too.mp4").symlink_to(inside / "to d.mp4")
    (inside / "folder").symlink_to(outside)
    (inside / "dead.mp4").symlink_to(tmp_path / "nothing")
    names, result = found(inside)
    assert names == ["a.mp4", "folder/b.mp4", "folder/more/c.mp4", "to d too.mp4"]
    told = {item.path.name: item.reason for item in result.skipped}
    assert told == {"dead.mp4": f"it is a link to {tmp_path / 'nothing'}, which is not there"}


def test_a_file_is_there_once_in_several_roots(tmp_path):
    touch(tmp_path / "a" / "x.mp4", tmp_path / "b" / "y.mp4")
    (tmp_path / "a" / "to y.mp4").symlink_to(tmp_path / "b" / "y.mp4")
    (tmp_path / "a" / "b").symlink_to(tmp_path / "b")
    assert found(tmp_path, tmp_path / "a", tmp_path / "b")[0] == ["a/x.mp4", "b/y.mp4"]


def test_what_is_no_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "device.mp4").symlink_to("/dev/zero")
    names, result = found(tmp_path)
    assert names == []
    assert {item.path.name: item.reason for item in result.skipped} == dict.fromkeys(
        ("pipe.mp4", "device.mp4"), "it is no regular file, but a pipe or a device"
    )


def test_rules_are_those_of_the_nearest_root():
    a, b = Path("/a"), Path("/a/b")
    rules = FolderRules(exclude=("draft*", "b/old"))
    sources = Sources().with_added([a], rules)
    assert sources.holds(a / "b" / "x.mp4")
    assert not sources.holds(a / "b" / "draft.mp4")
    assert not sources.holds(a / "drafts" / "x.mp4")
    assert not sources.holds(a / "b" / "old" / "x.mp4")
    assert not sources.holds(a / "#recycle" / "x.mp4")
    assert sources.with_added([a]) == sources, "they are kept until others are given"
    assert sources.with_added([a], FolderRules()) == Sources((a,))
    deeper = sources.with_added([b], FolderRules(include=("#recycle",)))
    assert deeper.roots == (a, b)
    assert deeper.holds(b / "draft.mp4")
    assert deeper.holds(b / "#recycle" / "x.mp4")
    assert not deeper.holds(a / "draft.mp4")
    assert deeper.with_added([a], FolderRules()) == Sources((a,))
    assert deeper.with_removed([b]).rules == {a: rules}
    excluded = sources.with_added([a / "drafts"])
    assert excluded.roots == (a, a / "drafts"), "a root of its own, which it can only be outside of the rules"
    assert excluded.holds(a / "drafts" / "x.mp4")
    around = Sources().with_added([b], rules).with_added([a])
    assert set(around.roots) == {a, b}
    assert not around.holds(b / "draft.mp4")
    assert around.holds(a / "draft.mp4")


def test_a_root_may_be_a_link_itself(tmp_path):
    touch(tmp_path / "disk" / "a.mp4")
    (tmp_path / "videos").symlink_to(tmp_path / "disk")
    (tmp_path / "one.mp4").symlink_to(tmp_path / "disk" / "a.mp4")
    assert found(tmp_path, tmp_path / "videos")[0] == ["videos/a.mp4"]
    assert found(tmp_path, tmp_path / "one.mp4")[0] == ["one.mp4"]


def test_links_that_lead_back_end(tmp_path):
    touch(tmp_path / "sub" / "a.mp4")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "side").symlink_to(tmp_path / "sub")
    assert found(tmp_path)[0] == ["sub/a.mp4"]


def test_the_videos_inside_an_index_are_none_of_its_own(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "index" / "cache" / "cut.mp4", tmp_path / "index" / "moments.lance" / "x")
    assert found(tmp_path)[0] == ["a.mp4"]


def test_hostile_names_pass(tmp_path):
    names = [
        "two\nlines.mp4",
        'quote\'s "here".mp4',
        "<b>bold.mp4",
        " spaces .mp4",
        os.fsdecode(b"bytes \xff\xfe.mp4"),
    ]
    touch(*(tmp_path / name for name in names))
    assert {path.name for path in scan([tmp_path], Sources((tmp_path,))).files} == set(names)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folders_that_may_not_be_read_are_listed(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "locked" / "b.mp4")
    (tmp_path / "locked").chmod(0)
    try:
        names, result = found(tmp_path)
    finally:
        (tmp_path / "locked").chmod(0o755)
    assert names == ["a.mp4"]
    assert result.unreadable == [tmp_path / "locked"]
    assert result.skipped[0].reason == "the folder cannot be read: Permission denied"


def test_a_file_that_vanishes_meanwhile_is_listed(tmp_path):
    names, result = found(tmp_path, tmp_path / "gone.mp4")
    assert names == []
    assert result.skipped[0].reason == "the file cannot be looked at: No such file or directory"
    assert result.unreadable == []


def test_sources_become_absolute_and_are_each_there_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute(["a", tmp_path / "a", "./b/../c"]) == [tmp_path / "a", tmp_path / "c"]


@pytest.mark.parametrize("source", ["", "a\0b"])
def test_texts_that_are_no_paths_are_one_line(source):
    with pytest.raises(DatasetError, match="cannot be a path; check it"):
        absolute([source])
