"""The bookkeeping of an index against files: each case told by path, stamp and content alone."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from framecue.tasks.indexing import KnownCopy, Plan, Stamp
from framecue.types import IndexedVideo

A, B, C = Path("/videos/a.mp4"), Path("/videos/b.mp4"), Path("/videos/c.mp4")
OLD, NEW = Stamp(100, 1), Stamp(100, 2)


def indexed(video_id, path, stamp=OLD):
    date = datetime(2024, 1, 1, tzinfo=UTC)
    return IndexedVideo(video_id, path, stamp.size_bytes, stamp.mtime_ns, 5.0, date, {"camera": 3})


def test_unchanged_files_are_not_read():
    plan = Plan([indexed("x", A)], {A: OLD, B: OLD})
    assert plan.unchanged == ["x"]
    assert plan.pending == [B]
    assert plan.settle(B, "y") == "new"
    assert (plan.moved, plan.copies, plan.replaced(), plan.gone()) == ({}, {}, [], [])


def test_a_touched_file_keeps_its_vectors_and_gets_its_new_time():
    plan = Plan([indexed("x", A)], {A: NEW})
    assert plan.settle(A, "x") == "touched"
    assert plan.moved["x"] == indexed("x", A, NEW)
    assert plan.num_moved == 0
    assert plan.replaced() == []


def test_a_moved_file_is_known_by_its_content():
    plan = Plan([indexed("x", A)], {B: NEW})
    assert plan.settle(B, "x") == "moved"
    assert plan.moved["x"] == indexed("x", B, NEW)
    assert (plan.num_moved, plan.gone()) == (1, [])


def test_a_copy_is_no_move():
    plan = Plan([indexed("x", A)], {A: OLD, B: NEW})
    assert plan.settle(B, "x") == "copy"
    assert plan.copies == {B: KnownCopy(NEW, "x")}
    assert plan.moved == {}


def test_known_copies_are_not_read_again():
    copies = {B: KnownCopy(OLD, "x"), C: KnownCopy(OLD, "x")}
    plan = Plan([indexed("x", A)], {A: OLD, B: OLD, C: NEW}, copies)
    assert plan.pending == [C]
    assert plan.copies == {B: copies[B]}


def test_a_copy_takes_the_place_of_the_deleted_original():
    plan = Plan([indexed("x", A)], {B: OLD}, {B: KnownCopy(OLD, "x")})
    assert plan.pending == []
    assert plan.moved["x"].path == B
    assert (plan.copies, plan.gone()) == ({}, [])


def test_a_known_copy_of_what_is_no_longer_indexed_is_read():
    assert Plan([], {B: OLD}, {B: KnownCopy(OLD, "x")}).pending == [B]


def test_two_new_files_of_one_content_are_one_video():
    plan = Plan([], {A: OLD, B: OLD})
    assert [plan.settle(A, "x"), plan.settle(B, "x")] == ["new", "copy"]
    assert plan.give_up("x") == [B]
    assert plan.copies == {}
    assert plan.settle(C, "x", OLD) == "new"


def test_a_changed_file_replaces_what_it_was():
    plan = Plan([indexed("x", A)], {A: NEW})
    assert plan.replaced() == []  # not known yet
    assert plan.settle(A, "y") == "new"
    assert plan.replaced() == ["x"]
    before = plan.video_before(A)
    assert before is not None
    assert before.metadata == {"camera": 3}
    assert plan.video_before(B) is None


def test_exchanged_files_are_two_moves():
    plan = Plan([indexed("x", A), indexed("y", B)], {A: NEW, B: NEW})
    assert [plan.settle(A, "y"), plan.settle(B, "x")] == ["moved", "moved"]
    assert {video_id: video.path for video_id, video in plan.moved.items()} == {"y": A, "x": B}
    assert (plan.replaced(), plan.gone()) == ([], [])


def test_a_file_moved_onto_another_replaces_it():
    plan = Plan([indexed("x", A), indexed("y", B)], {B: NEW})
    assert plan.settle(B, "x") == "moved"
    assert plan.replaced() == ["y"]
    assert plan.gone() == []


def test_files_that_are_indexed_are_read_first():
    plan = Plan([indexed("x", C)], {A: NEW, B: NEW, C: NEW})
    assert plan.pending == [C, A, B]


def test_deleted_files_are_gone_unless_they_may_be_elsewhere():
    videos = [indexed("x", A), indexed("y", B)]
    assert Plan(videos, {}).gone() == ["x", "y"]
    assert Plan(videos, {}, is_elsewhere=lambda video: video.path == A).gone() == ["y"]


def test_a_file_that_is_elsewhere_makes_a_copy_not_a_move():
    plan = Plan([indexed("x", A)], {B: NEW}, is_elsewhere=lambda video: True)
    assert plan.settle(B, "x") == "copy"
    plan = Plan([indexed("x", A)], {B: NEW}, is_elsewhere=lambda video: False)
    assert plan.settle(B, "x") == "moved"


def test_what_was_left_by_a_killed_run_is_put_right():
    """The new content of a changed file was added, and the old one not dropped yet."""
    plan = Plan([indexed("x", A), indexed("y", A, NEW)], {A: NEW})
    assert plan.unchanged == ["y"]
    assert plan.pending == []
    assert plan.replaced() == ["x"]


def test_the_stamp_of_reading_counts():
    plan = Plan([indexed("x", A)], {B: OLD})
    plan.settle(B, "x", NEW)
    assert plan.moved["x"].mtime_ns == NEW.mtime_ns


@pytest.mark.parametrize("count", [0, 1, 50])
def test_every_file_is_accounted_for(count):
    files = {Path(f"/videos/{i}.mp4"): OLD for i in range(count)}
    videos = [indexed(f"id{i}", Path(f"/videos/{i}.mp4"), OLD if i % 2 else NEW) for i in range(0, count, 3)]
    plan = Plan(videos, files)
    verdicts = [plan.settle(path, f"id{path.stem}") for path in plan.pending]
    assert len(plan.unchanged) + len(verdicts) == count
    assert verdicts.count("touched") == sum(1 for i in range(0, count, 3) if i % 2 == 0)
