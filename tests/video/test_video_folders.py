"""Which files of a folder are taken for videos: what is passed over, what is excluded, and where links lead."""

from pathlib import Path

import pytest

from framecue.errors import DatasetError, UsageError
from framecue.features.sources import expand_sources
from framecue.video.files import FolderRules, find_videos


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"bytes")


def found(folder, exclude=(), include=(), **how):
    rules = FolderRules(tuple(exclude), tuple(include))
    return [str(path.relative_to(folder)) for path in find_videos(folder, rules, **how)]


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir", "#recycle", "#snapshot", "@Recycle", "@Recently-Snapshot", "$RECYCLE.BIN", "$Recycle.Bin",
        "lost+found", "System Volume Information", ".Trash-1000", ".Trashes", ".hidden", "__MACOSX",
    ],
)  # fmt: skip
def test_folders_that_nobody_means_are_passed_over(tmp_path, name):
    touch(tmp_path / "a.mp4", tmp_path / "sub" / name / "deep" / "b.mp4", tmp_path / name / "a.mp4" / "PREVIEW.mp4")
    assert found(tmp_path) == ["a.mp4"]
    assert found(tmp_path, include=[name]) == sorted(["a.mp4", f"sub/{name}/deep/b.mp4", f"{name}/a.mp4/PREVIEW.mp4"])
    assert found(tmp_path, include=[f"sub/{name}"]) == ["a.mp4", f"sub/{name}/deep/b.mp4"]
    assert len(find_videos(tmp_path / name)) == 1, "a folder that is named is meant"


@pytest.mark.parametrize("name", ["recycle", "eaDir", "#1", "@home", "lost and found", "snapshot", "Trash", "tmp"])
def test_ordinary_folders_are_looked_into(tmp_path, name):
    touch(tmp_path / name / "a.mp4")
    assert found(tmp_path) == [f"{name}/a.mp4"]


@pytest.mark.parametrize(
    ("exclude", "left"),
    [
        (["*draft*"], ["a.mp4", "cam/b.mp4", "cam/old/c.mp4"]),
        (["old"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4"]),
        (["old/"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4"]),
        (["cam/old"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4"]),
        (["./cam/old"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4"]),
        (["**/old"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4"]),
        (["cam/*"], ["a.mp4"]),
        (["cam/*/c.mp4"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4"]),
        (["[ab].mp4"], ["cam/draft 1.mp4", "cam/old/c.mp4"]),
        (["a.mp4", "draft?1.*"], ["cam/b.mp4", "cam/old/c.mp4"]),
        (["A.mp4", "b"], ["a.mp4", "cam/b.mp4", "cam/draft 1.mp4", "cam/old/c.mp4"]),
    ],
)
def test_what_is_excluded(tmp_path, exclude, left):
    touch(*(tmp_path / name for name in ("a.mp4", "cam/b.mp4", "cam/draft 1.mp4", "cam/old/c.mp4")))
    assert found(tmp_path, exclude) == left


def test_an_absolute_pattern_and_one_of_other_letters(tmp_path):
    touch(tmp_path / "a" / "x.mp4", tmp_path / "b" / "cafe\u0301.mp4")
    assert found(tmp_path, [str(tmp_path / "a")]) == ["b/cafe\u0301.mp4"]
    assert found(tmp_path, ["caf\u00e9.*"]) == ["a/x.mp4"]


def test_include_takes_back_in_but_what_lies_in_an_excluded_folder(tmp_path):
    touch(*(tmp_path / name for name in ("a.mp4", "old/best/b.mp4", "old/c.mp4", ".d.mp4")))
    assert found(tmp_path, ["*.mp4"], ["a*"]) == ["a.mp4"]
    assert found(tmp_path, ["old"], ["best"]) == ["a.mp4"]
    assert found(tmp_path, ["old/*"], ["best"]) == ["a.mp4", "old/best/b.mp4"]
    assert found(tmp_path, (), [".d.mp4"]) == [".d.mp4", "a.mp4", "old/best/b.mp4", "old/c.mp4"]


@pytest.mark.parametrize("pattern", ["", " ", "/"])
def test_a_pattern_of_nothing_is_refused(pattern):
    with pytest.raises(UsageError, match="is empty"):
        FolderRules(exclude=(pattern,))


def test_links_are_followed_and_each_file_is_there_once(tmp_path):
    folder, outside = tmp_path / "in", tmp_path / "out"
    touch(folder / "z" / "own.mp4", outside / "b.mp4", tmp_path / "alone.mp4", tmp_path / "blob")
    (folder / "a link.mp4").symlink_to(folder / "z" / "own.mp4")
    (folder / "alone.mp4").symlink_to(tmp_path / "alone.mp4")
    (folder / "alone too.mp4").symlink_to(tmp_path / "alone.mp4")
    (folder / "of a blob.mp4").symlink_to(tmp_path / "blob")
    (folder / "a to z").symlink_to(folder / "z")
    (folder / "out").symlink_to(outside)
    (outside / "back").symlink_to(folder)
    (folder / "dead.mp4").symlink_to(folder / "nothing.mp4")
    assert found(folder) == ["alone too.mp4", "dead.mp4", "of a blob.mp4", "out/b.mp4", "z/own.mp4"]
    assert {"a link.mp4", "alone.mp4"} <= set(found(folder, each_link=True)), "for those who look names up"
    assert found(folder, ["own.mp4"]) == ["a link.mp4", "alone too.mp4", "dead.mp4", "of a blob.mp4", "out/b.mp4"]
    assert expand_sources([folder, outside]) == [
        *(folder / name for name in ("alone too.mp4", "dead.mp4", "of a blob.mp4", "z/own.mp4")),
        outside / "b.mp4",
    ]


def test_a_moment_index_in_a_folder_is_passed_over(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "index" / "cache" / "cut.mp4", tmp_path / "index" / "moments.lance" / "x")
    assert found(tmp_path) == ["a.mp4"]


def test_sources_that_overlap_are_taken_once_and_none_is_said_to_be_empty(tmp_path):
    touch(tmp_path / "a" / "x.mp4", tmp_path / "a" / "b" / "y.mp4")
    both = [tmp_path / "a" / "b" / "y.mp4", tmp_path / "a" / "x.mp4"]
    assert expand_sources([tmp_path / "a", tmp_path / "a" / "b"]) == both
    assert expand_sources([tmp_path / "a" / "b", tmp_path / "a"]) == both
    assert expand_sources([both[1], tmp_path / "a", tmp_path / "a" / "x.mp4"]) == both[::-1]


def test_what_is_named_outright_can_be_excluded_too(tmp_path):
    touch(tmp_path / "a.mp4", tmp_path / "draft.mp4", tmp_path / "drafts" / "c.mp4", tmp_path / ".b.mp4")
    rules = FolderRules(exclude=("draft*",))
    assert expand_sources(sorted(tmp_path.iterdir()), rules) == [tmp_path / ".b.mp4", tmp_path / "a.mp4"]
    with pytest.raises(DatasetError, match=r"All 2 sources are left out by --exclude 'draft\*'"):
        expand_sources([tmp_path / "draft.mp4", tmp_path / "drafts"], rules)


def test_a_folder_without_videos_says_why(tmp_path):
    touch(tmp_path / "a" / "x.mp4", tmp_path / "a" / "y.mp4", tmp_path / "b" / "#recycle" / "z.mp4")
    touch(tmp_path / "c" / "x.txt")
    rules = FolderRules(exclude=("*.mp4",))
    with pytest.raises(DatasetError, match=r"all 2 videos in it are left out by --exclude '\*.mp4'; exclude less"):
        expand_sources([tmp_path / "a"], rules)
    with pytest.raises(DatasetError, match=r"holds 1 videos, but all are hidden or .* \(as #recycle/z.mp4\)"):
        expand_sources([tmp_path / "b"], rules)
    with pytest.raises(DatasetError, match="holds no file with a video ending"):
        expand_sources([tmp_path / "c"], rules)


def test_relative_folders_and_the_one_here(tmp_path, monkeypatch):
    touch(tmp_path / "a" / "x.mp4", tmp_path / "a" / "old" / "y.mp4")
    monkeypatch.chdir(tmp_path / "a")
    rules = FolderRules(exclude=("old/y*",))
    assert find_videos(Path()) == [Path("old/y.mp4"), Path("x.mp4")]
    assert find_videos(Path(), rules) == [Path("x.mp4")]
    assert find_videos(Path("../a"), rules) == [Path("../a/x.mp4")]
