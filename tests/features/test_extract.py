"""Extraction: overlap and packing, what is skipped, kills, interruptions, and files that cannot be read."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import ColorBackbone, resized
from framecue.errors import DatasetError, MakerMismatchError, StoreError, UsageError
from framecue.features import decoding
from framecue.features import extract as extract_module
from framecue.features.extract import ExtractionProgress, extract, make_maker
from framecue.features.sources import expand_sources
from framecue.features.store import FeatureStore
from framecue.types import ExtractionSummary, FrameBatch
from framecue.video import reader
from framecue.video.reader import Reading, read_video
from framecue.video.sampling import parse_sampling
from framecue.video.writer import write_video

FPS = 8


def make_video(path: Path, seed: int, *, num_frames: int = 12) -> Path:
    """A few flat colors, one per frame."""
    colors = np.random.default_rng(seed).integers(0, 256, (num_frames, 1, 1, 3), dtype=np.uint8)
    write_video(path, np.broadcast_to(colors, (num_frames, 32, 48, 3)).copy(), FPS)
    return path


@pytest.fixture
def videos(tmp_path: Path) -> list[Path]:
    (tmp_path / "videos").mkdir()
    return [make_video(tmp_path / "videos" / f"{seed}.mp4", seed, num_frames=5 + seed) for seed in range(6)]


def run(paths: list[Path], store: Path, **options: object) -> ExtractionSummary:
    backbone = options.pop("backbone", None) or ColorBackbone()
    return extract(paths, backbone=backbone, store=store, **options)  # type: ignore[arg-type]


def expected_features(path: Path, sampling: str = "fps:8") -> np.ndarray:
    backbone = ColorBackbone()
    frames = torch.from_numpy(read_video(path, parse_sampling(sampling)).frames)
    return backbone.encode_frames(resized(backbone.preprocessing.resize_crop, frames)).numpy().astype(np.float16)


def assert_same_store(one: Path, two: Path, paths: list[Path]) -> None:
    left, right = (FeatureStore.read_only(path).for_paths(paths) for path in (one, two))
    assert list(left) == list(right) == paths
    for path in paths:
        np.testing.assert_array_equal(left[path].frame_features, right[path].frame_features)
        np.testing.assert_array_equal(left[path].pts_seconds, right[path].pts_seconds)


@pytest.mark.parametrize(("batch_frames", "workers"), [(64, 2), (7, 3), (1, 1)])
def test_every_frame_gets_its_own_features(videos: list[Path], tmp_path: Path, batch_frames: int, workers: int) -> None:
    summary = run(videos, tmp_path / "store", batch_frames=batch_frames, decode_workers=workers)
    assert (summary.extracted, summary.already_stored, list(summary.skipped)) == (6, 0, [])
    assert summary.num_frames == sum(range(5, 11))
    found = FeatureStore.read_only(tmp_path / "store").for_paths(videos)
    for path in videos:
        np.testing.assert_array_equal(found[path].frame_features, expected_features(path).astype(np.float32))
        np.testing.assert_allclose(found[path].pts_seconds, np.arange(len(found[path])) / FPS)
        assert found[path].duration_seconds == pytest.approx(len(found[path]) / FPS)


def test_batches_are_filled_from_several_videos(videos: list[Path], tmp_path: Path) -> None:
    backbone = ColorBackbone()
    run(videos, tmp_path / "store", backbone=backbone, batch_frames=10)
    assert backbone.batch_sizes == [10, 10, 10, 10, 5]


def test_decoding_runs_ahead_of_encoding_but_not_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "long.mp4", 0, num_frames=900)
    decoded, lead = 0, []

    class Watched(ColorBackbone):
        def encode_frames(self, frames: torch.Tensor) -> torch.Tensor:
            time.sleep(0.02)
            lead.append(decoded - sum(self.batch_sizes))
            return super().encode_frames(frames)

    class Counted(Reading):
        def __iter__(self) -> Iterator[FrameBatch]:
            nonlocal decoded
            for batch in super().__iter__():
                decoded += len(batch)
                yield batch

    monkeypatch.setattr(reader, "Reading", Counted)
    backbone = Watched()
    run([path], tmp_path / "store", backbone=backbone, batch_frames=32, decode_workers=1)
    assert 32 < max(lead) <= 32 + (4 + 2 * 32 // 16 + 2) * 16


def test_a_rerun_reads_nothing_again(videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(videos[:4], tmp_path / "store")
    opened: list[Path] = []
    plain = decoding.hash_file
    monkeypatch.setattr(decoding, "hash_file", lambda path, **options: (opened.append(path), plain(path, **options))[1])
    summary = run(videos, tmp_path / "store")
    assert (summary.extracted, summary.already_stored) == (2, 4)
    assert sorted(opened) == videos[4:]


def test_the_same_content_is_stored_once_whatever_its_names(videos: list[Path], tmp_path: Path) -> None:
    copies = [tmp_path / f"copy-{number}.mp4" for number in range(3)]
    for copy in copies:
        shutil.copyfile(videos[0], copy)
    together = [copies[0], videos[0], copies[1], videos[0]]
    summary = run(together, tmp_path / "store", decode_workers=3)
    assert (summary.extracted, summary.already_stored) == (1, 2)
    summary = run([copies[2]], tmp_path / "store")
    assert (summary.extracted, summary.already_stored) == (0, 1)
    store = FeatureStore.read_only(tmp_path / "store")
    assert store.info().num_videos == 1
    assert set(store.resolve([videos[0], *copies])) == {videos[0], *copies}


def test_unreadable_files_are_listed_and_the_rest_go_on(videos: list[Path], tmp_path: Path) -> None:
    text, cut, empty = (tmp_path / name for name in ("text.mp4", "cut.mp4", "empty.mp4"))
    text.write_text("no video")
    cut.write_bytes(videos[0].read_bytes()[:300])
    empty.touch()
    twin = tmp_path / "text twin.mp4"
    twin.write_text("no video")
    gone = tmp_path / "gone.mp4"
    summary = run([text, videos[0], cut, empty, gone, videos[1], twin], tmp_path / "store", decode_workers=3)
    assert summary.extracted == 2
    reasons = {skipped.path: skipped.reason for skipped in summary.skipped}
    assert set(reasons) == {text, cut, empty, gone, twin}
    assert "the file is empty" in reasons[empty]
    assert "No such file" in reasons[gone]
    for path, reason in reasons.items():
        assert str(path) not in reason
        assert "\n" not in reason


def test_damage_after_some_frames_leaves_nothing_of_the_video(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "whole.mkv", 1, num_frames=200)
    data = bytearray(whole.read_bytes())
    reference = run([whole], tmp_path / "reference")
    assert reference.extracted == 1
    cut = tmp_path / "cut.mkv"
    third = len(data) // 3
    data[third : third + 400] = os.urandom(400)
    cut.write_bytes(data)
    summary = run([cut, whole], tmp_path / "store", batch_frames=4)
    stored = FeatureStore.read_only(tmp_path / "store")
    if summary.skipped:  # FFmpeg may conceal what was hit
        assert cut not in stored.resolve([cut])
    assert_same_store(tmp_path / "store", tmp_path / "reference", [whole])


def test_a_file_that_changes_while_it_is_read_is_left_out(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = decoding.read_frames

    def touch_and_read(path: Path, *args: object, **options: object) -> object:
        os.utime(path, ns=(1, 1))
        return plain(path, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(decoding, "read_frames", touch_and_read)
    summary = run(videos[:1], tmp_path / "store")
    assert [skipped.reason for skipped in summary.skipped] == [
        "the file changed while it was read; run again when it is complete"
    ]


def test_features_too_large_for_the_storage_type_are_not_stored(videos: list[Path], tmp_path: Path) -> None:
    class Loud(ColorBackbone):
        def encode_frames(self, frames: torch.Tensor) -> torch.Tensor:
            return 1e6 + super().encode_frames(frames)

    summary = run(videos[:1], tmp_path / "store", backbone=Loud())
    assert "not all finite numbers in float16; try float32" in summary.skipped[0].reason
    assert run(videos[:1], tmp_path / "store32", backbone=Loud(), dtype="float32").extracted == 1


def test_mixing_makers_is_refused_before_any_work(videos: list[Path], tmp_path: Path) -> None:
    run(videos[:1], tmp_path / "store")
    backbone = ColorBackbone(weights_hash="0" * 64)
    for options in ({"backbone": backbone}, {"sampling": "fps:4"}, {"dtype": "float32"}):
        with pytest.raises(MakerMismatchError, match="holds features of another maker"):
            run(videos, tmp_path / "store", **options)
    store = FeatureStore.read_only(tmp_path / "store")
    with pytest.raises(MakerMismatchError, match="holds features of another maker"):
        extract(videos, backbone=backbone, store=store)
    assert backbone.batch_sizes == []
    assert FeatureStore.read_only(tmp_path / "store").info().num_videos == 1


def test_the_maker_holds_all_that_decides() -> None:
    maker = make_maker(ColorBackbone(image_size=32), "fps:8.0", "float32")
    assert (maker.sampling, maker.dtype, maker.precision) == ("fps:8", "float32", "fp32")
    assert make_maker(ColorBackbone(image_size=16)).difference(maker) == ["preprocessing", "dtype"]
    with pytest.raises(UsageError, match="Sampling 'every frame' is not known"):
        make_maker(ColorBackbone(), "every frame")


def test_progress_counts_to_the_end(videos: list[Path], tmp_path: Path) -> None:
    seen: list[ExtractionProgress] = []
    run(videos, tmp_path / "store", on_progress=seen.append, batch_frames=4)
    done = [state.videos_done for state in seen]
    assert done == sorted(done)
    assert (seen[-1].videos_done, seen[-1].num_videos, seen[-1].num_frames) == (6, 6, 45)


def test_stop_ends_early_and_keeps_what_is_finished(videos: list[Path], tmp_path: Path) -> None:
    stop = threading.Event()
    summary = run(
        videos,
        tmp_path / "store",
        batch_frames=5,
        decode_workers=1,
        stop=stop,
        on_progress=lambda state: stop.set() if state.videos_done >= 2 else None,
    )
    assert 2 <= summary.extracted < 6
    assert FeatureStore.read_only(tmp_path / "store").info().num_videos == summary.extracted
    assert run(videos, tmp_path / "store").already_stored == summary.extracted


def test_a_crash_of_the_encoder_keeps_what_is_finished_and_ends_the_threads(videos: list[Path], tmp_path: Path) -> None:
    class Failing(ColorBackbone):
        def encode_frames(self, frames: torch.Tensor) -> torch.Tensor:
            if len(self.batch_sizes) == 4:
                raise RuntimeError("out of memory")
            return super().encode_frames(frames)

    num_threads = torch.get_num_threads()
    with pytest.raises(RuntimeError, match="out of memory"):
        run(videos, tmp_path / "store", backbone=Failing(), batch_frames=5, decode_workers=2)
    assert 1 <= FeatureStore.read_only(tmp_path / "store").info().num_videos < 6
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("framecue-decoder")]
    assert torch.get_num_threads() == num_threads


def test_a_full_disk_ends_the_run_with_one_line(
    videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract_module, "_COMMIT_VIDEOS", 1)
    plain, commits = FeatureStore.append, []

    def append(store: FeatureStore, rows: list[object]) -> None:
        if len(commits) == 2:
            raise StoreError("Feature store s cannot be written: the disk is full; what was committed is kept.")
        commits.append(len(rows))
        plain(store, rows)  # type: ignore[arg-type]

    monkeypatch.setattr(FeatureStore, "append", append)
    with pytest.raises(StoreError, match="the disk is full"):
        run(videos, tmp_path / "store", batch_frames=4)
    assert FeatureStore.read_only(tmp_path / "store").info().num_videos == sum(commits)


SLOW_RUN = """
import sys, time
from pathlib import Path
sys.path[:0] = [{tests!r}]
from fakes import ColorBackbone, resized
from framecue.features import extract as module

class Slow(ColorBackbone):
    def encode_frames(self, frames):
        time.sleep(0.15)
        return super().encode_frames(frames)

module._COMMIT_VIDEOS = 2
paths = sorted(Path({videos!r}).iterdir())
module.extract(paths, backbone=Slow(), store={store!r}, batch_frames=8, decode_workers=2)
"""


def start_slow_run(videos: list[Path], store: Path) -> subprocess.Popen[str]:
    """A run in another process, returned once its first commit is there."""
    tests = str(Path(__file__).parents[1])
    script = SLOW_RUN.format(tests=tests, videos=str(videos[0].parent), store=str(store))
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(store.glob("data/*.lance")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_killed_and_resumed_equals_uninterrupted(videos: list[Path], tmp_path: Path) -> None:
    process = start_slow_run(videos, tmp_path / "store")
    time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    kept = FeatureStore.read_only(tmp_path / "store").info().num_videos
    assert kept < 6
    summary = run(videos, tmp_path / "store")
    assert (summary.extracted, summary.already_stored) == (6 - kept, kept)
    run(videos, tmp_path / "uninterrupted")
    assert_same_store(tmp_path / "store", tmp_path / "uninterrupted", videos)
    infos = [FeatureStore.read_only(tmp_path / name).info() for name in ("store", "uninterrupted")]
    assert infos[0].num_videos == infos[1].num_videos == 6
    assert infos[0].num_frames == infos[1].num_frames


def test_ctrl_c_commits_what_is_finished_and_goes_on_its_way(videos: list[Path], tmp_path: Path) -> None:
    process = start_slow_run(videos, tmp_path / "store")
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 5
    assert errors.strip().endswith("KeyboardInterrupt")
    kept = FeatureStore.read_only(tmp_path / "store").info().num_videos
    assert 2 <= kept < 6
    assert run(videos, tmp_path / "store").already_stored == kept


def test_paths_of_all_kinds_are_read(videos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["-dash.mp4", "ü 日本.mp4", "it's 100%.mp4", os.fsdecode(b"latin-\xe9.mp4"), "no ending", "a:b.mp4"]
    for video, name in zip(videos, names, strict=True):
        shutil.copyfile(video, name)
    Path("link.mp4").symlink_to("-dash.mp4")
    paths = [Path(name) for name in [*names, "link.mp4"]]
    summary = run(paths, Path("store"))
    assert (summary.extracted, summary.already_stored, list(summary.skipped)) == (6, 1, [])
    assert list(FeatureStore.read_only("store").for_paths(paths)) == paths


def test_sources_are_files_and_folders(videos: list[Path], tmp_path: Path) -> None:
    deep = tmp_path / "videos" / "deep" / "more.MKV"
    deep.parent.mkdir()
    deep.touch()
    (tmp_path / "videos" / "notes.txt").touch()
    odd = tmp_path / "odd.dat"
    odd.touch()
    (tmp_path / "videos" / "loop").symlink_to(tmp_path / "videos")
    assert expand_sources([odd, tmp_path / "videos", str(videos[2])]) == [odd, *videos, deep]


def test_wrong_sources_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link.mp4").symlink_to("nowhere.mp4")
    with pytest.raises(DatasetError, match=r"Folder .*empty holds no file with a video ending .* check the path"):
        expand_sources([tmp_path / "empty"])
    with pytest.raises(DatasetError, match=r"Source .*absent is not there; check the path"):
        expand_sources([tmp_path / "absent"])
    with pytest.raises(DatasetError, match=r"Source d\\a.mp4 is not there; the path uses backslashes, write d/a.mp4;"):
        expand_sources(["d\\a.mp4"])
    with pytest.raises(DatasetError, match=r"Source .*link.mp4 is a link to a file that is not there"):
        expand_sources([tmp_path / "link.mp4"])


def test_real_videos_are_read_or_refused_with_a_reason(shared_data: Path, tmp_path: Path) -> None:
    paths = expand_sources([shared_data / "videos" / "odd"])
    summary = run(paths, tmp_path / "store")
    assert summary.extracted + summary.already_stored + len(summary.skipped) == len(paths)
    assert summary.extracted > 50
    assert all(
        skipped.reason.startswith(("cannot be read as video: ", "the file cannot")) for skipped in summary.skipped
    )
    assert len(FeatureStore.read_only(tmp_path / "store").resolve(paths)) == len(paths) - len(summary.skipped)


def test_a_pipe_among_the_videos_is_listed_and_not_waited_for(videos: list[Path], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "videos" / "pipe.mp4")
    summary = run([*videos, tmp_path / "videos" / "pipe.mp4"], tmp_path / "store")
    assert [(item.path.name, item.reason) for item in summary.skipped] == [
        ("pipe.mp4", "the file cannot be read: it is not a regular file")
    ]


def test_a_source_with_a_name_too_long() -> None:
    with pytest.raises(DatasetError, match="cannot be a path"):
        expand_sources(["x" * 300])
