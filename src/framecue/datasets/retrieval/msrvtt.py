"""MSR-VTT: 10,000 videos of 20 captions each, and the protocols by which the field trains and tests on them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from framecue.datasets.json_items import read_json_items
from framecue.datasets.manifests import csv_rows, read_text
from framecue.datasets.naming import shorten
from framecue.datasets.retrieval.caption_set import RawEntry
from framecue.datasets.retrieval.notes import CaptionNotes
from framecue.errors import DatasetError

MsrvttProtocol = Literal["9k", "7k", "full"]

DATA_FILES = ("MSRVTT_data.json", "msrvtt_data.json", "train_val_videodatainfo.json", "test_videodatainfo.json")
"""Official files of captions: the first two hold everything, the last two the halves of the challenge."""

TEST_1K_A = "MSRVTT_JSFUSION_test.csv"


class _List(NamedTuple):
    """A part of a protocol: the files that may list it, best first, and how many videos it must have."""

    files: tuple[str, ...]
    num_videos: int


_LISTS: dict[MsrvttProtocol, dict[str, _List]] = {
    "9k": {"train": _List(("MSRVTT_train.9k.csv",), 9000)},
    "7k": {"train": _List(("MSRVTT_train.7k.csv",), 7010)},
    "full": {
        "train": _List(("MSRVTT_train.full.csv", "train_list_full.txt"), 6513),
        "val": _List(("MSRVTT_val.full.csv", "val_list_full.txt"), 497),
        "test": _List(("MSRVTT_test.full.csv", "test_list_full.txt"), 2990),
    },
}


def read_msrvtt(
    folder: Path, notes: CaptionNotes, *, protocol: MsrvttProtocol = "9k", split: str | None = None
) -> Iterator[RawEntry]:
    """The parts of a protocol, from a folder of official files.

    `9k` trains on 9,000 videos, `7k` on 7,010 (train and validation of the full split, so 7k is part of 9k); both are
    tested on 1k-A, 1,000 videos of the full split's test with one caption each. Neither has a validation part: hold
    some of the training videos out, never 1k-A, as some published code does. `full` is 6,513 / 497 / 2,990 with all 20
    captions each. Training captions come from `DATA_FILES`, which the test of 9k and 7k does without.

    Args:
        split: read this part alone; the files of the others need not be there.

    Raises:
        DatasetError: a file is missing or damaged, a part has another number of videos than the protocol, two parts
            share a video, or a video has no captions.
    """
    if split not in (None, "train", "test") and split not in _LISTS[protocol]:
        raise DatasetError(
            f"{folder}: protocol {protocol} has no part '{split}'. Hold some training videos out, never the test."
        )
    lists = {part: _listed(folder, listed) for part, listed in _LISTS[protocol].items() if split in (None, part)}
    has_test = (folder / TEST_1K_A).is_file() or split != "train"
    test = list(_read_1k_a(folder / TEST_1K_A)) if protocol != "full" and has_test else []
    _check_apart(lists | ({"1k-A": {entry.video for entry in test}} if test else {}), folder)
    if lists:
        yield from _captions_of(folder, lists, notes)
    if split != "train":
        yield from test


def is_msrvtt(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (*DATA_FILES, TEST_1K_A)) or any(folder.glob("MSRVTT_*.csv"))


def read_msrvtt_data(path: Path, notes: CaptionNotes) -> Iterator[RawEntry]:
    """Every caption of one file, `{"videos": [{"video_id", "split"}], "sentences": [{"video_id", "caption"}]}`.

    The parts are the official ones that the videos name: train, validate, test.
    """
    items = {key: value for _, key, value in read_json_items(path)}
    videos, sentences = items.get("videos", []), items.get("sentences")
    if not isinstance(sentences, list) or not isinstance(videos, list):
        raise DatasetError(f"{path}: must hold the lists 'videos' and 'sentences'. Restore the official file.")
    splits = {video.get("video_id"): video.get("split") for video in videos if _has_id(video)}
    for number, sentence in enumerate(sentences, start=1):
        origin = f"{path}, sentence {number}"
        if not _has_id(sentence):
            notes.report(
                DatasetError(
                    f"{origin}: must have 'video_id' and 'caption', found {str(sentence)[:60]!r}. "
                    "Restore the official file."
                )
            )
            continue
        yield RawEntry(sentence["video_id"], sentence.get("caption"), origin, split=splits.get(sentence["video_id"]))


def _has_id(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("video_id"), str)


def _captions_of(folder: Path, lists: Mapping[str, set[str]], notes: CaptionNotes) -> Iterator[RawEntry]:
    files = [folder / name for name in DATA_FILES if (folder / name).is_file()]
    if not files:
        raise DatasetError(
            f"{folder}: {DATA_FILES[0]} (or {' and '.join(DATA_FILES[2:])}) is not there: it holds the captions of "
            f"{' and '.join(lists)}. Put it beside the lists."
        )
    files = files[:1] if files[0].name in DATA_FILES[:2] else files
    part_of = {video: part for part, videos in lists.items() for video in videos}
    captioned: set[str] = set()
    for path in files:
        for entry in read_msrvtt_data(path, notes):
            if entry.video in part_of:
                captioned.add(entry.video)
                yield entry._replace(split=part_of[entry.video])
    for part, videos in lists.items():
        without = sorted(videos - captioned)
        if without:
            raise DatasetError(
                f"{folder}: {len(without):,} of {len(videos):,} videos of {part} have no captions in "
                f"{' and '.join(path.name for path in files)} ({shorten(without, 3)}). Add the other official file."
            )


def _listed(folder: Path, listed: _List) -> set[str]:
    """The ids of a part: a CSV of the column video_id, or a list of one id a line."""
    path = next((folder / name for name in listed.files if (folder / name).is_file()), None)
    if path is None:
        raise DatasetError(f"{folder}: {listed.files[0]} is not there. Put it there, or ask for another protocol.")
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    ids = lines[1:] if lines and lines[0].lower() == "video_id" else lines
    if len(set(ids)) < len(ids):
        twice = next(video for video in ids if ids.count(video) > 1)
        raise DatasetError(f"{path}: '{twice[:60]}' is listed twice. Restore the official file.")
    _check_number(path, ids, listed.num_videos)
    return set(ids)


def _read_1k_a(path: Path) -> Iterator[RawEntry]:
    if not path.is_file():
        raise DatasetError(f"{path} is not there: it is the test 1k-A of the protocols 9k and 7k. Put it there.")
    rows = [(number, row) for number, row in csv_rows(path, _check_1k_a)]
    _check_number(path, {row["video_id"] for _, row in rows}, 1000)
    _check_number(path, rows, 1000)
    for number, row in rows:
        yield RawEntry(row["video_id"].strip(), row["sentence"], f"{path}:{number}", split="test")


def _check_1k_a(origin: str, header: list[str]) -> list[str]:
    if not {"video_id", "sentence"} <= set(header):
        raise DatasetError(
            f"{origin}: the header must be key,vid_key,video_id,sentence, found {', '.join(header)[:200]}. "
            "Restore the official file."
        )
    return header


def _check_number(path: Path, items: Any, number: int) -> None:
    if len(items) != number:
        raise DatasetError(
            f"{path}: must list {number:,} videos, found {len(items):,}. Restore the official file; results on other "
            "videos are not the protocol's. Your own lists are read as CSV."
        )


def _check_apart(parts: Mapping[str, set[Any]], folder: Path) -> None:
    names = list(parts)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            common = sorted(parts[first] & parts[second])
            if common:
                raise DatasetError(
                    f"{folder}: {first} and {second} share {len(common):,} of their videos ({shorten(common, 3)}). "
                    "Restore the official lists."
                )
