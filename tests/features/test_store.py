"""The feature store: one maker, atomic commits, several processes, and plain words when something is wrong."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lance
import numpy as np
import pyarrow as pa
import pytest

from framecue.errors import MakerMismatchError, StoreError
from framecue.features.identity import FileStamp, hash_file, stamp_file
from framecue.features.store import FeatureStore, StoredVideo
from framecue.types import Maker

MAKER = Maker("openai/clip-vit-base-patch16", "a1" * 32, '{"image_size":224,"resize":"squash"}', "fps:8")


def make_video(seed: int, *, num_frames: int = 5, embed_dim: int = 4) -> StoredVideo:
    rng = np.random.default_rng(seed)
    return StoredVideo(
        content_hash=hashlib.sha256(str(seed).encode()).hexdigest(),
        stamp=FileStamp(f"/videos/{seed}.mp4", seed, seed),
        frame_features=rng.standard_normal((num_frames, embed_dim)).astype(np.float16),
        pts_seconds=np.arange(num_frames) / 8,
        duration_seconds=num_frames / 8,
    )


def store_file(store: FeatureStore, path: Path, seed: int) -> StoredVideo:
    """Stores features under the name and content of a real file."""
    video = replace(make_video(seed), content_hash=hash_file(path), stamp=stamp_file(path))
    store.append([video])
    return video


def one_line(error: pytest.ExceptionInfo[StoreError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_features_come_back_as_they_were_stored(tmp_path: Path) -> None:
    videos = [make_video(seed, num_frames=seed + 1) for seed in range(5)]
    store = FeatureStore.open(tmp_path / "store", MAKER)
    store.append(videos[:3])
    store.append(videos[3:])
    for reader in (store, FeatureStore.read_only(tmp_path / "store")):
        found = reader.get_many([video.content_hash for video in reversed(videos)])
        for video, features in zip(reversed(videos), found, strict=True):
            np.testing.assert_array_equal(features.frame_features, video.frame_features.astype(np.float32))
            np.testing.assert_array_equal(features.pts_seconds, video.pts_seconds)
            assert features.frame_features.dtype == np.float32
            assert features.duration_seconds == video.duration_seconds


def test_float32_features_keep_every_bit(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", replace(MAKER, dtype="float32"))
    features = np.array([[1 / 3, 1e30], [-0.0, 1e-30]], dtype=np.float32)
    video = replace(make_video(0, num_frames=2), frame_features=features)
    store.append([video])
    np.testing.assert_array_equal(store.get(video.content_hash).frame_features, features)


def test_a_store_remembers_its_maker_and_counts(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    assert store.info().num_videos == 0
    assert store.info().embed_dim == 0
    store.append([make_video(1), make_video(2)])
    info = FeatureStore.read_only(tmp_path / "store").info()
    assert (info.maker, info.num_videos, info.num_frames, info.embed_dim) == (MAKER, 2, 10, 4)
    assert info.size_bytes > 0


def test_an_empty_commit_changes_nothing(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    store.append([])
    assert store.info().num_videos == 0


def test_another_maker_is_refused_with_what_differs(tmp_path: Path) -> None:
    FeatureStore.open(tmp_path / "store", MAKER)
    other = replace(
        MAKER,
        backbone="tiny",
        weights_hash="b2" * 32,
        sampling="fps:4",
        preprocessing='{"image_size":64,"resize":"squash"}',
    )
    with pytest.raises(MakerMismatchError) as error:
        FeatureStore.open(tmp_path / "store", other)
    message = one_line(error)
    assert "weights_hash is a1a1a1a1a1a1... there, b2b2b2b2b2b2... here" in message
    assert "sampling is fps:8 there, fps:4 here" in message
    assert "image_size is 224 there, 64 here" in message
    assert "precision" not in message
    assert "resize" not in message
    assert "'openai/clip-vit-base-patch16' and 'tiny'" in message
    assert "name another store, or set these as they were when it was made" in message


def test_the_backbones_display_name_does_not_decide(tmp_path: Path) -> None:
    FeatureStore.open(tmp_path / "store", MAKER)
    FeatureStore.open(tmp_path / "store", replace(MAKER, backbone="/copies/clip"))


def test_a_missing_store_is_not_created_by_reading(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not there; make it with: framecue extract SOURCE --store"):
        FeatureStore.read_only(tmp_path / "store")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_what_is_no_store_is_never_touched(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        (path / "deep").mkdir(parents=True)
        (path / "deep" / "notes.txt").write_text("mine")
    else:
        path.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    for open_store in (lambda: FeatureStore.open(path, MAKER), lambda: FeatureStore.read_only(path)):
        with pytest.raises(StoreError, match="exists and is no feature store, nothing in it was touched"):
            open_store()
    assert sorted(tmp_path.rglob("*")) == before


def test_another_programs_lance_table_is_refused(tmp_path: Path) -> None:
    lance.write_dataset(pa.table({"x": [1]}), str(tmp_path / "table"))
    with pytest.raises(StoreError, match="is a Lance table, but not one of frame features"):
        FeatureStore.open(tmp_path / "table", MAKER)


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([("x", pa.int64())], metadata={b"framecue.features.format": b"9"})
    lance.write_dataset(schema.empty_table(), str(tmp_path / "store"), schema=schema)
    with pytest.raises(StoreError, match="has format 9, this framecue reads 2"):
        FeatureStore.read_only(tmp_path / "store")


def test_a_creation_that_was_killed_is_done_again(tmp_path: Path) -> None:
    for leftover in ("_transactions/0-abc.txn", "_versions/1.manifest#1"):
        path = tmp_path / "store" / leftover
        path.parent.mkdir(parents=True)
        path.write_text("half")
    FeatureStore.open(tmp_path / "store", MAKER).append([make_video(1)])
    assert FeatureStore.read_only(tmp_path / "store").info().num_videos == 1


@pytest.mark.parametrize("part", ["_versions", "data"])
@pytest.mark.parametrize("how", ["truncate", "scramble"])
def test_a_damaged_store_says_so_in_one_line(tmp_path: Path, part: str, how: str) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    store.append([make_video(seed) for seed in range(3)])
    for file in [file for file in (tmp_path / "store" / part).iterdir() if file.suffix in (".manifest", ".lance")]:
        file.write_bytes(b"" if how == "truncate" else os.urandom(file.stat().st_size))
    with pytest.raises(
        StoreError, match=r"cannot be (opened|read): .+; if it is damaged, delete it or name another"
    ) as e:
        FeatureStore.read_only(tmp_path / "store").get(make_video(1).content_hash)
    assert ".rs:" not in one_line(e)


def test_damage_that_makes_lance_panic_is_one_line_too(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    store.append([make_video(1)])
    newest = min((tmp_path / "store" / "_versions").glob("*.manifest"))  # their numbers count down
    newest.write_bytes(newest.read_bytes().replace(b"halffloat", b"halfboat?"))
    with pytest.raises(StoreError) as error:
        FeatureStore.read_only(tmp_path / "store")
    assert "Unsupported logical type" in one_line(error)


def test_what_is_not_stored_is_named(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    store.append([make_video(1)])
    with pytest.raises(
        StoreError, match=r"lacks 1 of the 2 videos asked for \(content 0{12}\.\.\.\); extract them first"
    ):
        store.get_many([make_video(1).content_hash, "0" * 64])


def test_files_are_found_by_stamp_without_reading_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = FeatureStore.open("store", MAKER)
    names = ["a.mp4", "ü 日本.mp4", "-dash.mp4", "it's.mp4", os.fsdecode(b"latin-\xe9.mp4")]
    stored = {}
    for seed, name in enumerate(names):
        Path(name).write_bytes(os.fsencode(name))
        stored[Path(name)] = store_file(store, Path(name), seed).content_hash
    reads: list[Path] = []
    monkeypatch.setattr("framecue.features.store.hash_file", lambda path: reads.append(path))
    assert store.lookup([Path(name) for name in names]) == stored
    assert store.resolve([tmp_path / name for name in names]) == {
        tmp_path / key: value for key, value in stored.items()
    }
    assert store.lookup([Path("absent.mp4")]) == {}
    assert reads == []


def test_a_changed_file_is_another_video(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    path = tmp_path / "a.mp4"
    path.write_text("one")
    store_file(store, path, 0)
    path.write_text("two")
    assert store.lookup([path]) == {}
    assert store.for_paths([path]) == {}


def test_a_copy_a_link_and_a_touched_file_resolve_by_content(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    path, copy, link = tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / "c.mp4"
    path.write_text("same")
    copy.write_text("same")
    link.symlink_to(path)
    video = store_file(store, path, 0)
    os.utime(path, ns=(1, 1))
    assert store.lookup([path, copy, link]) == {}
    found = store.for_paths([path, copy, link, tmp_path / "absent.mp4"])
    assert list(found) == [path, copy, link]
    for features in found.values():
        np.testing.assert_array_equal(features.frame_features, video.frame_features.astype(np.float32))


def test_a_file_that_is_gone_is_known_by_its_path(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    path = tmp_path / "a.mp4"
    path.write_text("one")
    video = store_file(store, path, 0)
    path.unlink()
    assert store.resolve([path]) == {path: video.content_hash}


def test_a_video_stored_twice_is_read_once(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    store.append([make_video(1), make_video(2)])
    store.append([make_video(1)])
    store.compact()
    assert store.info().num_videos == 2
    assert store.info().num_frames == 10
    assert len(store.get_many([make_video(1).content_hash])) == 1


def test_compaction_leaves_few_files_and_the_same_features(tmp_path: Path) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)
    earlier = FeatureStore.read_only(tmp_path / "store")
    for seed in range(20):
        store.append([make_video(seed)])
    held = FeatureStore.read_only(tmp_path / "store")
    store.compact()
    assert len([file for file in (tmp_path / "store").rglob("*") if file.is_file()]) < 8
    expected = make_video(7).frame_features.astype(np.float32)
    # Readers opened before, whose version is gone, go on with the latest one.
    for reader in (store, held, earlier):
        np.testing.assert_array_equal(reader.get(make_video(7).content_hash).frame_features, expected)


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = [{here!r}]
from test_store import MAKER, make_video
from framecue.features.store import FeatureStore
first = int(sys.argv[1])
store = FeatureStore.open({store!r}, MAKER)
for seed in range(first, first + 15):
    store.append([make_video(seed), make_video(1000 + seed % 15)])
    if seed % 5 == 4:
        store.compact()
"""


def test_two_processes_append_and_compact_without_losing_a_row(tmp_path: Path) -> None:
    script = WRITER.format(here=str(Path(__file__).parent), store=str(tmp_path / "store"))
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(first)], stderr=subprocess.PIPE, text=True)
        for first in (0, 100)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    store = FeatureStore.read_only(tmp_path / "store")
    seeds = [*range(15), *range(100, 115), *range(1000, 1015)]
    assert store.info().num_videos == len(seeds)
    for seed, features in zip(seeds, store.get_many([make_video(s).content_hash for s in seeds]), strict=True):
        np.testing.assert_array_equal(features.frame_features, make_video(seed).frame_features.astype(np.float32))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no mount command: {error}")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_keeps_what_was_committed(small_disk: Path) -> None:
    store = FeatureStore.open(small_disk / "store", MAKER)
    committed: list[str] = []

    def fill() -> None:
        for seed in range(100):
            video = make_video(seed, num_frames=400, embed_dim=512)
            store.append([video])
            committed.append(video.content_hash)

    with pytest.raises(StoreError) as error:
        fill()
    assert "cannot be written: the disk is full; what was committed is kept: free some space" in one_line(error)
    assert 1 <= len(committed) < 10
    survivor = FeatureStore.read_only(small_disk / "store")
    assert survivor.info().num_videos == len(committed)
    survivor.get_many(committed)


def test_a_full_disk_is_told_where_no_disk_can_be_mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = FeatureStore.open(tmp_path / "store", MAKER)

    def full(*args: object, **options: object) -> None:
        raise OSError("LanceError(IO): No space left on device (os error 28), /build/rust/lance/src/writer.rs:254:9")

    monkeypatch.setattr(lance, "write_dataset", full)
    with pytest.raises(StoreError, match="the disk is full; what was committed is kept"):
        store.append([make_video(1)])
