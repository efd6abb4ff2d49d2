"""A collection grows, follows its files, and answers; nothing is encoded twice and nothing is lost silently."""

import errno
import json
import os
import shutil
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import lance
import numpy as np
import pytest
from lance.file import LanceFileReader
from PIL import Image

from framecue.api import index_run
from framecue.api.collection import open_index
from framecue.api.progress import BuildProgress, Tracker, read_progress
from framecue.api.queries import cover
from framecue.config import ModelConfig
from framecue.errors import (
    DatasetError,
    MakerMismatchError,
    MomentIndexError,
    PromptTooLongError,
    UsageError,
    VideoError,
)
from framecue.features.extract import extract, make_maker
from framecue.features.store import FeatureStore
from framecue.models.adapter import make_card, save_adapter
from framecue.models.builders import build_model
from framecue.search import Filter, MomentIndex
from framecue.tasks.moments import MomentEncoder
from framecue.video.files import FolderRules
from framecue.video.writer import write_video

COLORS = {"red": (220, 30, 30), "blue": (20, 20, 220), "green": (20, 180, 20), "black": (0, 0, 0)}


def picture(color, size=48):
    image = np.full((size, size, 3), 235, np.uint8)
    image[size // 4 : -size // 4, size // 4 : -size // 4] = COLORS[color]
    return image


def write(path, *colors, seconds=3.0):
    write_video(path, [picture(color) for color in colors for _ in range(int(seconds * 4))], 4)
    return path


@pytest.fixture
def videos(tmp_path):
    folder = tmp_path / "videos"
    write(folder / "red.mp4", "red")
    write(folder / "blue.mp4", "blue")
    write(folder / "sub" / "red then blue.mp4", "red", "blue", seconds=5)
    return folder


@pytest.fixture
def collection(tmp_path, tiny_backbone):
    return open_index(tmp_path / "index", backbone=tiny_backbone, create=True)


@pytest.fixture
def encoded(monkeypatch):
    """Names of the files that are encoded, in order."""
    names = []
    real = MomentEncoder.video

    def counting(self, path, **options):
        names.append(path.name)
        return real(self, path, **options)

    monkeypatch.setattr(MomentEncoder, "video", counting)
    return names


def names_of(collection):
    return sorted(video.path.name for video in collection.index.videos())


def test_adding_indexes_every_moment(collection, videos):
    summary = collection.add([videos])
    assert (summary.added, summary.unchanged, summary.skipped, summary.was_stopped) == (3, 0, (), False)
    assert summary.num_moments == collection.index.status().num_moments == 1 + 1 + 4
    assert summary.total_seconds == collection.index.status().total_seconds == 16
    assert collection.roots == (videos,)
    assert [video.path for video in collection.index.videos()] == sorted(videos.rglob("*.mp4"))
    assert not (collection.folder / "progress.json").exists()


def test_unchanged_files_are_neither_read_nor_encoded(collection, videos, encoded, monkeypatch):
    collection.add([videos])
    assert sorted(encoded) == ["blue.mp4", "red then blue.mp4", "red.mp4"]
    monkeypatch.setattr(index_run, "hash_file", lambda *args, **options: pytest.fail("read again"))
    assert collection.add([videos]).unchanged == 3
    assert collection.refresh().unchanged == 3
    assert len(encoded) == 3


def test_touched_files_are_read_but_not_encoded_and_then_known(collection, videos, encoded, monkeypatch):
    collection.add([videos])
    os.utime(videos / "red.mp4", ns=(1, 1))
    summary = collection.refresh()
    assert (summary.unchanged, summary.moved, summary.removed, len(encoded)) == (3, 0, 0, 3)
    monkeypatch.setattr(index_run, "hash_file", lambda *args, **options: pytest.fail("read again"))
    assert collection.refresh().unchanged == 3


def test_moved_and_renamed_files_are_known_by_their_content(collection, videos, encoded, tmp_path):
    collection.add([videos])
    before = {video.video_id: video for video in collection.index.videos()}
    (videos / "red.mp4").rename(videos / "sub" / "crimson.mp4")
    summary = collection.refresh()
    assert (summary.moved, summary.added, summary.removed, summary.unchanged) == (1, 0, 0, 2)
    videos.rename(tmp_path / "archive")
    summary = collection.add([tmp_path / "archive"])
    assert (summary.moved, summary.added) == (3, 0)
    assert len(encoded) == 3
    after = {video.video_id: video for video in collection.index.videos()}
    assert after.keys() == before.keys()
    assert all((tmp_path / "archive") in video.path.parents for video in after.values())
    assert collection.refresh().unreachable == ()  # nothing of the old root is left behind


def test_a_changed_file_takes_the_place_of_what_it_was(collection, videos, encoded):
    collection.add([videos], metadata={"red.mp4": {"camera": 3}})
    write(videos / "red.mp4", "green")
    summary = collection.add([videos])
    assert (summary.added, summary.removed, summary.unchanged) == (1, 1, 2)
    assert names_of(collection) == ["blue.mp4", "red then blue.mp4", "red.mp4"]
    assert encoded[3:] == ["red.mp4"]
    changed = next(video for video in collection.index.videos() if video.path.name == "red.mp4")
    assert changed.metadata == {"camera": 3}


def test_deleted_files_are_dropped_by_refresh_alone(collection, videos):
    collection.add([videos])
    (videos / "red.mp4").unlink()
    assert collection.add([videos]).removed == 0
    assert collection.refresh().removed == 1
    assert names_of(collection) == ["blue.mp4", "red then blue.mp4"]


def test_copies_are_indexed_once_and_counted(collection, videos, encoded, monkeypatch):
    shutil.copy(videos / "red.mp4", videos / "sub" / "red copy.mp4")
    summary = collection.add([videos])
    assert (summary.added, summary.copies) == (3, 1)
    assert len(encoded) == 3
    with monkeypatch.context() as patched:
        patched.setattr(index_run, "hash_file", lambda *args, **options: pytest.fail("read again"))
        assert collection.refresh().copies == 1
    owner = next(
        video.path
        for video in collection.index.videos()
        if video.path.name.startswith("red") and " then" not in video.path.name
    )
    owner.unlink()
    summary = collection.refresh()
    assert (summary.moved, summary.removed, summary.copies, len(encoded)) == (1, 0, 0, 3)


def test_a_broken_file_is_a_line_and_the_rest_goes_on(collection, videos, tmp_path):
    (videos / "broken.mp4").write_text("no video")
    (videos / "broken copy.mp4").write_text("no video")
    (videos / "empty.avi").touch()
    (videos / "link.mp4").symlink_to(write(tmp_path / "outside.mp4", "green"))
    (videos / "dead.mp4").symlink_to(tmp_path / "nothing.mp4")
    summary = collection.add([videos])
    assert summary.added == 4
    told = {item.path.name: item.reason for item in summary.skipped}
    assert told.keys() == {"broken.mp4", "broken copy.mp4", "empty.avi", "dead.mp4"}
    assert told["broken.mp4"].startswith("cannot be read as video: ")
    assert told["dead.mp4"] == f"it is a link to {tmp_path / 'nothing.mp4'}, which is not there"
    assert summary.copies == 0
    assert len(collection.refresh().skipped) == 4  # told each time, never forgotten


def test_hostile_names_are_indexed_found_and_moved(collection, tmp_path):
    folder = tmp_path / "odd"
    names = ["two\nlines.mp4", 'quote\'s "here".mp4', "<b>bold.mp4", " spaces .mp4", os.fsdecode(b"bytes \xff.mp4")]
    for name, color in zip(names, ["red", "blue", "green", "black", "red"], strict=True):
        write(folder / name, color, seconds=1 + names.index(name))
    assert collection.add([folder]).added == 5
    again = open_index(collection.folder)
    assert {video.path.name for video in again.index.videos()} == set(names)
    assert all(video.path.is_file() for video in again.index.videos())
    assert collection.add([folder]).unchanged == 5
    odd = tmp_path / os.fsdecode(b"folder \xfe\n")
    folder.rename(odd)
    assert collection.add([odd]).moved == 5
    assert odd in open_index(collection.folder).roots
    assert collection.remove([odd]) == 5


def test_stored_features_are_not_made_again_and_give_the_same_moments(tmp_path, tiny_backbone, videos, encoded):
    some = [videos / "red.mp4", videos / "sub" / "red then blue.mp4"]
    extract(some, store=tmp_path / "store", backbone=tiny_backbone, sampling="fps:8")
    stored = open_index(tmp_path / "stored", backbone=tiny_backbone, create=True, store=tmp_path / "store")
    assert stored.index.binding.maker.sampling == "fps:8"
    summary = stored.add([videos])
    assert (summary.added, summary.from_store, encoded) == (3, 2, ["blue.mp4"])
    FeatureStore.open(tmp_path / "bare", make_maker(tiny_backbone, "fps:8"))
    decoded = open_index(tmp_path / "decoded", backbone=tiny_backbone, create=True, store=tmp_path / "bare")
    assert decoded.add([videos]).from_store == 0
    for video in decoded.index.videos():
        one, other = stored.index.vectors(video.video_id), decoded.index.vectors(video.video_id)
        assert one.spans == pytest.approx(other.spans)
        assert one.vectors == pytest.approx(other.vectors, abs=2e-3)
    again = open_index(tmp_path / "stored", backbone=tiny_backbone)
    assert again.model.encoder.sampling == "fps:8"
    assert again.refresh().unchanged == 3


@pytest.mark.parametrize(("sampling", "folder"), [("all", "new"), ("all", "index"), ("fps:2", "index")])
def test_a_store_of_other_features_is_refused(collection, tmp_path, tiny_backbone, sampling, folder):
    FeatureStore.open(tmp_path / "store", make_maker(tiny_backbone, sampling))
    with pytest.raises(MakerMismatchError, match=f"sampling {sampling} there, fps:4 here"):
        open_index(tmp_path / folder, backbone=tiny_backbone, create=True, store=tmp_path / "store")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["[ab]*.mp4", "\udcff?.mp4", "<b>.mp4"])
def test_an_indexed_file_of_any_name_is_not_decoded_for_a_search(collection, tmp_path, encoded, name):
    path = write(tmp_path / "videos" / name, "red")
    write(tmp_path / "videos" / "a.mp4", "blue")
    collection.add([tmp_path / "videos"])
    encoded.clear()
    [other] = collection.search(video=path).moments
    assert other.video.path.name == "a.mp4"
    assert encoded == []


def test_a_root_that_is_gone_or_empty_drops_nothing(collection, videos, tmp_path):
    other = write(tmp_path / "other" / "green.mp4", "green").parent
    collection.add([videos, other])
    videos.rename(tmp_path / "unmounted")
    (other / "green.mp4").rename(other / "emerald.mp4")
    for _ in range(2):
        summary = collection.refresh()
        assert len(names_of(collection)) == 4
        assert [item.path for item in summary.unreachable] == [videos]
        assert summary.removed == 0
    assert summary.unreachable[0].reason == (
        "it is not there, and its 3 indexed videos are kept, as a disk may not be mounted; drop them with: "
        f"framecue index remove {videos}"
    )
    videos.mkdir()  # a mount point without its disk
    summary = collection.refresh()
    assert "it holds no video any more" in summary.unreachable[0].reason
    assert len(names_of(collection)) == 4
    videos.rmdir()
    (tmp_path / "unmounted").rename(videos)
    assert collection.refresh().unchanged == 4
    videos.rename(tmp_path / "unmounted")
    assert collection.remove([videos]) == 3
    assert collection.refresh().unreachable == ()


def test_a_single_file_that_was_added_may_be_deleted(collection, videos):
    collection.add([videos / "red.mp4", videos / "blue.mp4"])
    (videos / "red.mp4").unlink()
    summary = collection.refresh()
    assert (summary.removed, summary.unreachable) == (1, ())
    assert collection.roots == (videos / "blue.mp4",)


def test_what_is_excluded_is_kept_with_the_root_and_dropped(collection, videos):
    write(videos / "#recycle" / "deleted.mp4", "green")
    write(videos / "sub" / "@eaDir" / "red.mp4" / "SYNOPHOTO_FILM_M.mp4", "green")
    collection.add([videos])
    assert names_of(collection) == ["blue.mp4", "red then blue.mp4", "red.mp4"]
    shutil.copy(videos / "red.mp4", videos / "sub" / "red again.mp4")
    assert collection.add([videos], rules=FolderRules(exclude=("sub", "blue*"))).removed == 2
    assert names_of(collection) == ["red.mp4"]
    write(videos / "sub" / "new.mp4", "green", seconds=4)
    write(videos / "blue 2.mp4", "blue", seconds=4)
    write(videos / "black.mp4", "black")
    summary = collection.refresh()
    assert (summary.added, summary.copies, names_of(collection)) == (1, 0, ["black.mp4", "red.mp4"])
    assert collection.add([videos]).unchanged == 2, "said nothing, they are as they were"
    assert open_index(collection.folder).status().rules == {videos: FolderRules(exclude=("sub", "blue*"))}
    collection.add([videos], rules=FolderRules(include=("#recycle",)))
    assert "deleted.mp4" in names_of(collection)
    assert "new.mp4" in names_of(collection)
    collection.remove([videos])
    assert collection.status().rules == {}


def test_an_exclude_of_everything_is_refused_and_changes_nothing(collection, videos):
    for source in ([videos], [videos / "red.mp4"]):
        with pytest.raises(DatasetError, match=r"left out by --exclude '\*'"):
            collection.add(source, rules=FolderRules(exclude=("*",)))
    assert collection.roots == ()
    collection.add([videos])
    with pytest.raises(DatasetError, match="all 3 videos in it are left out"):
        collection.add([videos], rules=FolderRules(exclude=("*.mp4",)))
    assert len(names_of(collection)) == 3
    assert collection.status().rules == {}


def test_a_root_that_became_a_file_drops_nothing(collection, videos, tmp_path):
    """Neither one that was a folder, nor, of a root that is a file, more than that."""
    collection.add([videos])
    videos.rename(tmp_path / "elsewhere")
    videos.write_text("not a folder any more")
    summary = collection.refresh()
    assert [item.reason for item in summary.unreachable] == [
        "it is a file now, and was a folder, and its 3 indexed videos are kept, as a disk may not be mounted; drop "
        f"them with: framecue index remove {videos}"
    ]
    assert (summary.removed, len(names_of(collection))) == (0, 3)
    assert collection.remove([videos]) == 3
    collection.add([tmp_path / "elsewhere" / "red.mp4"])
    assert collection.refresh().unchanged == 1
    assert collection.roots == (tmp_path / "elsewhere" / "red.mp4",)


def rows_on_disk(collection):
    """Paths in all data files of the table, those of rows that are marked as deleted too; read with Lance itself."""
    files = (collection.folder / "moments.lance" / "data").glob("*.lance")
    return {
        path for file in files for path in LanceFileReader(str(file)).read_all().to_table().column("path").to_pylist()
    }


def test_what_is_removed_is_on_disk_no_more(collection, videos):
    collection.add([videos], metadata={"red": {"place": "a secret place"}})
    os.utime(videos / "blue.mp4", ns=(1, 1))
    collection.refresh()
    shutil.copy(videos / "red.mp4", videos / "sub" / "copy of red.mp4")
    collection.refresh()
    (collection.folder / ".left.tmp").write_text("by a writer that was killed")
    (collection.folder / "progress.json").write_text(json.dumps({"current": str(videos / "red.mp4")}))
    going = next(video for video in collection.index.videos() if video.path.name == "red.mp4")
    assert str(going.path) in rows_on_disk(collection)
    assert collection.remove([videos / "red.mp4", videos / "sub" / "copy of red.mp4"]) == 1
    table = lance.dataset(str(collection.folder / "moments.lance"))
    assert len(table.versions()) == 1
    assert rows_on_disk(collection) == {None, *(str(video.path) for video in collection.index.videos())}
    raw = b"".join(file.read_bytes() for file in collection.folder.rglob("*") if file.is_file())
    assert going.video_id.encode() not in raw
    assert b"secret place" not in raw
    for file in ("copies.json", "progress.json", ".left.tmp", "purge.due"):
        assert not (collection.folder / file).exists() or b"red" not in (collection.folder / file).read_bytes(), file
    told = json.loads((collection.folder / "collection.json").read_text())
    assert str(videos / "red.mp4") in told["sources"]["excluded"], "which keeps it out"


def test_a_former_path_of_a_video_that_stays_as_a_copy_is_forgotten(collection, videos):
    shutil.copy(videos / "red.mp4", videos / "twin.mp4")
    collection.add([videos])
    owner = next(video.path for video in collection.index.videos() if video.path.name in ("red.mp4", "twin.mp4"))
    assert collection.remove([owner]) == 0
    assert len(collection.index.videos()) == 3
    assert str(owner) not in rows_on_disk(collection)


def test_a_removal_that_was_cut_short_is_finished_by_the_next_writer(collection, videos, monkeypatch):
    collection.add([videos])
    with monkeypatch.context() as full:
        full.setattr(MomentIndex, "purge", lambda index: (_ for _ in ()).throw(MomentIndexError("the disk is full")))
        with pytest.raises(MomentIndexError, match="disk is full"):
            collection.remove([videos / "red.mp4"])
    assert names_of(collection) == ["blue.mp4", "red then blue.mp4"]
    assert str(videos / "red.mp4") in rows_on_disk(collection)
    assert (collection.folder / "purge.due").exists()
    collection.refresh()
    assert str(videos / "red.mp4") not in rows_on_disk(collection)
    assert not (collection.folder / "purge.due").exists()


def test_rewrites_of_one_file_leave_an_index_as_small_as_a_fresh_one(collection, videos, tmp_path, tiny_backbone):
    collection.add([videos])
    for step in range(8):
        write(videos / "red.mp4", "red" if step % 2 else "blue", seconds=4 + step / 4)
        assert collection.refresh().removed == 1
    fresh = open_index(tmp_path / "fresh", backbone=tiny_backbone, create=True)
    fresh.add([videos])
    sizes = [
        sum(file.stat().st_size for file in one.folder.rglob("*") if file.is_file()) for one in (collection, fresh)
    ]
    assert sizes[0] <= 3 * sizes[1]
    assert len(lance.dataset(str(collection.folder / "moments.lance")).versions()) <= 8


def test_what_was_removed_stays_out_until_it_is_added_again(collection, videos):
    collection.add([videos])
    assert collection.remove([videos / "red.mp4"]) == 1
    assert collection.refresh().added == 0
    assert names_of(collection) == ["blue.mp4", "red then blue.mp4"]
    assert collection.status().excluded == (videos / "red.mp4",)
    assert collection.add([videos / "red.mp4"]).added == 1
    assert (collection.status().excluded, collection.roots) == ((), (videos,))
    assert collection.remove(videos) == 3
    assert collection.roots == ()
    with pytest.raises(MomentIndexError, match=r"Nothing of .*videos is in moment index .*index; check the path"):
        collection.remove([videos])


def test_names_are_removed_and_filtered_in_any_form_of_their_letters(collection, videos):
    decomposed, stray = videos / "cafe\u0301" / "a.mp4", videos / os.fsdecode(b"caf\xe9.mp4")
    for path, color in ((decomposed, "green"), (stray, "black")):
        write(path, color)
    collection.add([videos])
    names = {decomposed: ("café", "cafe\u0301/a.mp4", "café/?.mp4"), stray: (stray.name, "caf\\xe9.mp4")}
    for path, asked in names.items():
        for text in asked:
            assert [video.path for video in collection.index.videos(Filter(path=text))] == [path], text
    assert collection.remove([videos / "café", videos / "caf\\xe9.mp4"]) == 2
    assert collection.status().excluded == (decomposed.parent, stray)
    assert collection.refresh().added == 0
    with pytest.raises(MomentIndexError, match=r"Nothing of .*/index; the path uses backslashes, write .*/sub/a.mp4;"):
        collection.remove([videos / "sub\\a.mp4"])


def test_removing_a_file_of_which_there_is_a_copy_keeps_the_video(collection, videos):
    shutil.copy(videos / "red.mp4", videos / "zz.mp4")
    collection.add([videos])
    owner = next(video.path for video in collection.index.videos() if video.path.name in ("red.mp4", "zz.mp4"))
    assert collection.remove([owner]) == 0
    assert len(names_of(collection)) == 3
    assert owner.name not in names_of(collection)
    assert (collection.refresh().unchanged, len(names_of(collection))) == (3, 3)


def test_missing_sources_change_nothing(collection, videos, tmp_path):
    with pytest.raises(DatasetError, match=r"Source .*absent is not there; check the path"):
        collection.add([videos, tmp_path / "absent"])
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DatasetError, match=r"Folder .*nothing holds no file with a video ending"):
        collection.add([tmp_path / "nothing"])
    with pytest.raises(UsageError, match="There are no sources"):
        collection.add([])
    assert (collection.roots, names_of(collection)) == ((), [])


def test_a_second_writer_is_refused_and_readers_are_not(collection, videos, tmp_path):
    collection.add([videos / "red.mp4"])
    other = open_index(collection.folder)
    with collection.index.writing():
        with pytest.raises(MomentIndexError, match=r"is being written by process \d+"):
            other.add([videos])
        assert len(other.index.videos()) == 1
    assert other.add([videos]).added == 2


def test_ctrl_c_keeps_what_is_finished(collection, videos, encoded, monkeypatch):
    monkeypatch.setattr(index_run, "_MAX_WORKERS", 1)

    def interrupt(state):
        if state.videos_done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collection.add([videos], on_progress=interrupt)
    kept = len(names_of(collection))
    assert kept == 2
    assert not (collection.folder / "progress.json").exists()
    summary = collection.add([videos])
    assert (summary.unchanged, summary.added) == (kept, 3 - kept)
    assert len(encoded) == 3


def test_stopping_early_gives_the_summary_and_drops_nothing(collection, videos, monkeypatch):
    monkeypatch.setattr(index_run, "_MAX_WORKERS", 1)
    collection.add([videos / "blue.mp4"])
    (videos / "blue.mp4").unlink()
    collection.add([videos])
    write(videos / "green.mp4", "green")
    write(videos / "black.mp4", "black")
    stop = threading.Event()
    summary = collection.refresh(on_progress=lambda state: stop.set(), stop=stop)
    assert summary.was_stopped
    assert summary.removed == 0
    summary = collection.refresh()
    assert not summary.was_stopped
    assert names_of(collection) == ["black.mp4", "green.mp4", "red then blue.mp4", "red.mp4"]


def test_a_file_that_changes_while_it_is_read_is_left_for_the_next_run(collection, videos, monkeypatch):
    real = MomentEncoder.video

    def growing(self, path, **options):
        found = real(self, path, **options)
        if path.name == "red.mp4":
            os.utime(path, ns=(7, 7))
        return found

    with monkeypatch.context() as patched:
        patched.setattr(MomentEncoder, "video", growing)
        summary = collection.add([videos])
    assert [(item.path.name, item.reason) for item in summary.skipped] == [
        ("red.mp4", "the file changed while it was read; run again when it is complete")
    ]
    assert collection.add([videos]).added == 1


def test_a_file_that_vanishes_between_listing_and_reading_is_a_line(collection, videos, monkeypatch):
    real = index_run.hash_file
    victim = videos / "red.mp4"

    def vanishing(path, **options):
        if path == victim:
            path.unlink()
        return real(path, **options)

    monkeypatch.setattr(index_run, "hash_file", vanishing)
    summary = collection.add([videos])
    assert [(item.path, item.reason) for item in summary.skipped] == [
        (victim, "the file cannot be read: it is not a regular file")
    ]
    assert summary.added == 2


def test_unforeseen_errors_are_raised_after_what_is_finished_is_kept(collection, videos, monkeypatch):
    monkeypatch.setattr(index_run, "_MAX_WORKERS", 1)
    real = MomentEncoder.video

    def failing(self, path, **options):
        if path.name == "red.mp4":
            raise RuntimeError("out of memory")
        return real(self, path, **options)

    monkeypatch.setattr(MomentEncoder, "video", failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        collection.add([videos])
    assert names_of(collection) == ["blue.mp4"]


def test_metadata_come_with_new_videos_and_to_old_ones(collection, videos):
    summary = collection.add([videos], metadata={"red": {"camera": 3, "place": "hall"}, "absent": {"camera": 1}})
    assert [(str(item.path), item.reason) for item in summary.unmatched_metadata] == [("absent", "no such video")]
    held = {video.path.name: video.metadata for video in collection.index.videos()}
    assert held["red.mp4"] == {"camera": 3, "place": "hall"}
    collection.add([videos], metadata={"red": {"camera": 4}, videos / "blue.mp4": {"camera": 5}})
    held = {video.path.name: video.metadata for video in collection.index.videos()}
    assert held["red.mp4"] == {"camera": 4, "place": "hall"}
    assert held["blue.mp4"] == {"camera": 5}
    (videos / "red.mp4").rename(videos / "crimson.mp4")
    collection.refresh()
    held = {video.path.name: video.metadata for video in collection.index.videos()}
    assert held["crimson.mp4"] == {"camera": 4, "place": "hall"}
    with pytest.raises(MomentIndexError, match="must hold text, a finite number, or true or false"):
        collection.add([videos], metadata={"red": {"camera": float("nan")}})


def test_dates_are_the_files_own(collection, videos):
    os.utime(videos / "red.mp4", (86400, 86400))
    collection.add([videos / "red.mp4"])
    assert collection.index.videos()[0].date == datetime(1970, 1, 2, tzinfo=UTC)


def test_searching_by_text_image_video_and_part(collection, videos, tmp_path):
    collection.add([videos])
    both = next(video for video in collection.index.videos() if " then " in video.path.name)
    Image.fromarray(picture("blue")).save(tmp_path / "blue.png")
    found = collection.search(image=tmp_path / "blue.png", top_k=2)
    assert {moment.video.path.name for moment in found.moments} == {"blue.mp4", "red then blue.mp4"}
    assert found.query == "image blue.png"
    assert (found.num_videos, found.exact) == (3, True)
    best = collection.search(video=videos / "sub" / "red then blue.mp4", start_seconds=6, end_seconds=10).moments[0]
    assert best.video.path.name == "blue.mp4"
    by_id = collection.search(video=both.video_id, start_seconds=0, end_seconds=3, top_k=1)
    assert by_id.query == "red then blue.mp4 at 0.0-3.0 s"
    assert by_id.moments[0].video.path.name == "red.mp4"
    assert both.video_id not in {m.video.video_id for m in collection.search(video=both.video_id).moments}
    outside = collection.search(video=write(tmp_path / "more blue.mp4", "blue", seconds=2), top_k=1)
    assert outside.moments[0].video.path.name in ("blue.mp4", "red then blue.mp4")
    text = collection.search("a red square", where=Filter(path="sub"), min_score=0.0)
    assert {moment.video.path.name for moment in text.moments} == {"red then blue.mp4"}
    assert text.min_score == 0.0
    assert all(0 <= moment.score <= 1 for moment in text.moments)
    singles = collection.search("a red square", merge=False, top_k=100)
    assert len(singles.moments) == 6


def test_a_stored_part_needs_no_file(collection, videos, encoded):
    collection.add([videos])
    both = next(video for video in collection.index.videos() if " then " in video.path.name)
    shutil.rmtree(videos)
    assert collection.search(video=both.video_id, start_seconds=2.9, end_seconds=3.0, top_k=1).moments
    assert len(encoded) == 3
    with pytest.raises(VideoError, match="there is no such file"):
        collection.search(video=both.path)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, UsageError, "A search is by one of text, image and video, found none of them"),
        ({"text": "a", "video": "b"}, UsageError, "found text and video"),
        ({"text": "a", "start_seconds": 1.0}, UsageError, "are of an example video, found them beside text"),
        ({"text": "  "}, UsageError, "A query must be a sentence in UTF-8 text"),
        ({"text": "red " * 5000}, PromptTooLongError, "has 20000 letters"),
        ({"text": "a", "top_k": 0}, UsageError, "top_k must be at least 1, found 0"),
        ({"video": "absent.mp4"}, VideoError, "absent.mp4: cannot be read as video: there is no such file"),
        ({"video": "ID", "start_seconds": 5, "end_seconds": 5}, UsageError, "A segment must begin at 0 or later"),
        ({"video": "ID", "start_seconds": 50}, UsageError, r"is 3.00 s long, found a segment from 50 s on"),
    ],
)
def test_questions_that_mean_nothing_are_one_line(collection, videos, options, error, message):
    collection.add([videos / "red.mp4"])
    if options.get("video") == "ID":
        options = {**options, "video": collection.index.videos()[0].video_id}
    with pytest.raises(error, match=message) as told:
        collection.search(**options)
    assert "\n" not in str(told.value)


def test_an_empty_index_answers_with_nothing(collection):
    found = collection.search("a red square")
    assert (found.moments, found.num_videos, found.nothing_matches) == ([], 0, True)


def test_curves_come_from_the_stored_moments(collection, videos, encoded):
    collection.add([videos])
    both = next(video for video in collection.index.videos() if " then " in video.path.name)
    curves = collection.curves(both.video_id, ["a red square", "a blue square"])
    assert curves.labels == ("a red square", "a blue square")
    assert curves.edges_seconds.tolist() == [0, 2, 4, 6, 8, 10]
    assert curves.scores.shape == (5, 2)
    assert np.all((curves.scores >= 0) & (curves.scores <= 1))
    assert np.ptp(curves.scores[:, 0]) > 0
    assert len(encoded) == 3
    with pytest.raises(MomentIndexError, match="has no video 'nothing'"):
        collection.curves("nothing", ["a"])
    with pytest.raises(UsageError, match="labels must be a list of at least one name, found 'red'"):
        collection.curves(both.video_id, "red")


def test_curves_are_those_of_the_best_moment_there_and_bounded():
    spans = np.array([[0, 4], [2, 6], [8, 12]], float)
    curves = cover(spans, np.array([[1.0], [0.5], [0.25]]), ["a"])
    assert curves.edges_seconds.tolist() == [0, 2, 4, 6, 8, 12]
    np.testing.assert_allclose(curves.scores[:, 0], [1, 1, 0.5, 0, 0.25])
    starts = np.arange(20_000) * 2.0
    scores = np.full((20_000, 2), 0.5)
    scores[9_999, 1] = 0.9
    long = cover(np.stack([starts, starts + 4], axis=1), scores, ["a", "b"])
    assert len(long.scores) <= 2048
    assert long.scores.max(axis=0).tolist() == [0.5, pytest.approx(0.9)]
    assert long.edges_seconds[[0, -1]].tolist() == [0, 40_002]


def test_an_index_remembers_what_it_was_made_with(tmp_path, tiny_backbone, videos):
    made = open_index(tmp_path / "i", backbone="tiny", create=True, window_seconds=2, hop_seconds=1)
    made.add([videos])
    again = open_index(tmp_path / "i")
    assert (again.status().window_seconds, again.status().hop_seconds) == (2, 1)
    assert again.predictor.backbone.name == "tiny"
    assert again.search("a red square").num_videos == 3
    assert open_index(tmp_path / "i", backbone=tiny_backbone, create=True).refresh().unchanged == 3
    with pytest.raises(MakerMismatchError, match=r"has windows of 2 s at every 1 s, found window 4 s"):
        open_index(tmp_path / "i", window_seconds=4)


@pytest.fixture
def adapter(tmp_path, tiny_backbone):
    config = ModelConfig(num_frames=8, n_prefix=4, n_suffix=4, temporal_layers=1)
    model = build_model(config, tiny_backbone, seed=0)
    card = make_card(tiny_backbone, config, ["red", "blue"], backbone_id="tiny", sampling="fps:8")
    save_adapter(tmp_path / "adapter", model, card)
    return tmp_path / "adapter"


def test_an_adapter_is_copied_into_the_index(tmp_path, videos, adapter):
    made = open_index(tmp_path / "i", adapter=adapter, create=True)
    made.add([videos])
    assert made.index.binding.maker.sampling == "fps:8"
    open_index(tmp_path / "j", backbone="tiny", create=True)
    with pytest.raises(MakerMismatchError, match=r"made with backbone tiny and no adapter, not with adapter"):
        open_index(tmp_path / "j", adapter=adapter)
    other = tmp_path / "other"
    shutil.move(adapter, other)
    again = open_index(tmp_path / "i", adapter=other)  # the same one under another name
    assert again.predictor.class_names == ("red", "blue")
    assert again.search("a red square", top_k=1).moments
    assert again.status().adapter == str(adapter)


def test_another_model_is_refused_with_both_names(tmp_path, videos, adapter, reference_backbone):
    made = open_index(tmp_path / "i", adapter=adapter, create=True)
    tensors = (adapter / "adapter.safetensors").read_bytes()
    (adapter / "adapter.safetensors").write_bytes(tensors[:-4] + b"\0\0\0\x3f")
    with pytest.raises(MakerMismatchError) as error:
        open_index(made.folder, adapter=adapter)
    assert str(error.value) == (
        f"Moment index {made.folder} was made with backbone tiny and adapter {adapter}, not with adapter {adapter}, "
        "and their vectors do not compare; leave --adapter out, or name another --index."
    )
    with pytest.raises(MakerMismatchError, match=r"not with backbone clip.*; leave --backbone out"):
        open_index(made.folder, backbone=reference_backbone)


def test_folders_that_hold_other_things_are_left_alone(tmp_path, videos):
    with pytest.raises(MomentIndexError, match=r"videos exists and is no moment index, found 'blue.mp4, red.mp4, sub'"):
        open_index(videos, backbone="tiny", create=True)
    (tmp_path / "file").touch()
    with pytest.raises(MomentIndexError, match=r"file is a file, not a moment index; name a folder"):
        open_index(tmp_path / "file", backbone="tiny", create=True)
    with pytest.raises(
        MomentIndexError, match=r"There is no moment index in .*absent; make one with: framecue index add"
    ):
        open_index(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


def test_a_creation_that_was_killed_can_be_repeated(tmp_path, collection, tiny_backbone, videos):
    (collection.folder / "collection.json").unlink()
    again = open_index(collection.folder, backbone=tiny_backbone, create=True)
    assert again.add([videos]).added == 3
    (collection.folder / "collection.json").unlink()
    with pytest.raises(MomentIndexError, match=r"has lost its collection.json"):
        open_index(collection.folder, backbone=tiny_backbone, create=True)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format_version": 2}', '{"format_version": 9}'])
def test_damaged_settings_are_one_line(collection, text):
    (collection.folder / "collection.json").write_text(text)
    with pytest.raises(MomentIndexError, match=r"collection.json is damaged|settings of format 9") as error:
        open_index(collection.folder)
    assert "\n" not in str(error.value)


def test_settings_that_may_not_be_read_are_not_called_damaged(collection, monkeypatch):
    def refused(*_: object, **__: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_text", refused)
    with pytest.raises(MomentIndexError, match=r"cannot be read: Permission denied; let this user read") as error:
        open_index(collection.folder)
    assert "delete" not in str(error.value)  # the index is sound


def test_lost_or_damaged_copies_cost_time_alone(collection, videos):
    shutil.copy(videos / "red.mp4", videos / "copy.mp4")
    collection.add([videos])
    for text in ("", "[1]", '{"a": 1}', '{"a": [1, 2]}'):
        (collection.folder / "copies.json").write_text(text)
        assert collection.refresh().copies == 1


def test_progress_is_told_here_and_to_other_processes(collection, videos):
    told, read = [], []

    def listen(state):
        told.append(state)
        read.append(open_index(collection.folder).status().building)

    collection.add([videos], on_progress=listen)
    assert [state.videos_done for state in told] == sorted(state.videos_done for state in told)
    assert (told[-1].videos_done, told[-1].num_videos) == (3, 3)
    assert told[-1].rate > 0
    assert told[-1].seconds_left == 0
    assert any(isinstance(state, BuildProgress) and state.num_videos == 3 for state in read)
    assert collection.status().building is None


def test_the_progress_of_a_dead_writer_is_ignored(tmp_path):
    tracker = Tracker(tmp_path, {Path("a"): 100, Path("b"): 300}, 2, None)
    tracker.reading(Path("a"))
    state = read_progress(tmp_path)
    assert state is not None
    assert (state.videos_done, state.num_videos, state.current, state.seconds_left) == (2, 4, "a", None)
    file = tmp_path / "progress.json"
    told = json.loads(file.read_text())
    for change in ({"pid": 2**22 + 1}, {"updated": 0}, {"host": "elsewhere", "updated": 1}, {"videos_done": "x"}):
        file.write_text(json.dumps({**told, **change}))
        assert read_progress(tmp_path) is None
    for text in ("", "[]", "{}", "null"):
        file.write_text(text)
        assert read_progress(tmp_path) is None
    tracker.close()
    assert read_progress(tmp_path) is None


def test_time_left_goes_by_bytes(tmp_path):
    tracker = Tracker(tmp_path, {Path("a"): 100, Path("b"): 300}, 0, None)
    tracker.finished(Path("a"), 10.0)
    tracker.reading(Path("b"), 1.0, 3.0)
    state = tracker.now()
    assert state.seconds_left == pytest.approx(state.elapsed_seconds, rel=0.01)  # half of the bytes
    assert state.rate == pytest.approx(11.0 / state.elapsed_seconds, rel=0.01)


def test_memory_does_not_grow_with_a_video(tmp_path, tiny_backbone):
    """Of a video four times as long, only the vectors and spans are more."""
    encoder = MomentEncoder(tiny_backbone)

    def peak(count):
        def chunks():
            for start in range(0, count, 64):
                yield np.ones((64, 128), np.float32), (start + np.arange(64)) / 4

        tracemalloc.start()
        found = encoder.stream(chunks(), count / 4)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most - 3 * (found.vectors.nbytes + found.spans.nbytes)

    assert peak(64 * 400) < peak(64 * 100) + 2**20


def test_real_files_are_indexed(collection, shared_data):
    videos = shared_data / "videos"
    sources = [
        videos / "caption_demo" / "Video-LLaMA_dog_barking.mp4",
        videos / "asl_gestures" / "bird.mkv",
        *sorted((videos / "hmdb51" / "wave").iterdir())[:2],
        *sorted((videos / "odd").iterdir())[:6],
    ]
    sources = [source for source in sources if source.is_file()]
    summary = collection.add(sources)
    assert summary.added + summary.copies + len(summary.skipped) == len(sources)
    assert summary.added >= 4
    for video in collection.index.videos():
        stored = collection.index.vectors(video.video_id)
        assert stored.spans[-1, 1] == pytest.approx(video.duration_seconds)
        assert np.all(stored.spans[:, 1] > stored.spans[:, 0])
    assert collection.add(sources).unchanged == summary.added
