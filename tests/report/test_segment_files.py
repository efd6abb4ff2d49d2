"""What is written of found segments is read back: by other rooms' readers, by the csv module, and by strict parsers."""

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest

from framecue.datasets.localization import read_detections
from framecue.errors import UsageError
from framecue.report.segment_files import (
    WORD_JOINER,
    to_activitynet,
    to_csv,
    to_json,
    to_srt,
    to_webvtt,
    video_ids,
    write_segments,
)
from framecue.types import Localization, ScoredSegment

AWKWARD = ("a, b", 'say "hi"', "<i>up</i> & down", "=1+1", "{\\an8}top", "x --> y", "two\nlines", "日本語 café", "&lt;")
HOUR = 3600.0


def answer(name: str, *segments: tuple[float, float, str | None, float]) -> Localization:
    found = tuple(ScoredSegment(*segment) for segment in segments)
    return Localization(Path(name), 7200.0, sorted({s.label for s in found if s.label}), found)


def awkward() -> Localization:
    return answer(
        "videos/one.mp4", *((float(i), i + 2.5, label, (90 - 5 * i) / 100) for i, label in enumerate(AWKWARD))
    )


Cue = tuple[int, int, str]


def milliseconds(hours: str, minutes: str, seconds: str, thousandths: str) -> int:
    return ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(thousandths)


def parse_webvtt(text: str) -> list[Cue]:
    """As the standard's grammar for files of cues without identifiers and settings has it; anything else fails."""
    time = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
    assert "\0" not in text
    header, *blocks = re.split(r"\n{2,}", text.rstrip("\n"))
    assert header == "WEBVTT"
    cues = []
    for block in blocks:
        timing, *payload = block.split("\n")
        match = re.fullmatch(f"{time} --> {time}", timing)
        assert match, block
        assert len(payload) == 1
        assert payload[0]
        assert not re.search(r"-->|[<>]|&(?!(?:amp|lt|gt);)", payload[0])
        start, end = milliseconds(*match.groups()[:4]), milliseconds(*match.groups()[4:])
        assert start < end
        cues.append((start, end, html.unescape(payload[0])))
    assert [cue[0] for cue in cues] == sorted(cue[0] for cue in cues)  # the standard's order
    return cues


def parse_srt(text: str) -> list[Cue]:
    time = r"(\d{2,}):([0-5]\d):([0-5]\d),(\d{3})"
    cues = []
    for number, block in enumerate(re.split(r"\n{2,}", text.rstrip("\n")) if text else [], start=1):
        counter, timing, payload = block.split("\n")
        assert counter == str(number)
        match = re.fullmatch(f"{time} --> {time}", timing)
        assert match, block
        assert not re.search(r"</?[a-zA-Z]|\{\\|-->", payload)  # what players would obey
        cues.append((milliseconds(*match.groups()[:4]), milliseconds(*match.groups()[4:]), payload))
    return cues


PARSERS = {"vtt": (to_webvtt, parse_webvtt), "srt": (to_srt, parse_srt)}


def test_json_says_all_of_an_answer() -> None:
    one, empty = awkward(), answer("videos/two.mp4")
    first, second = json.loads(to_json([one, empty]))
    assert first["video"] == "videos/one.mp4"
    assert first["duration_seconds"] == 7200
    assert first["labels"] == list(one.labels)
    assert [ScoredSegment(**segment) for segment in first["segments"]] == list(one.segments)
    assert second["segments"] == []


@pytest.mark.parametrize("format", ["csv", "activitynet"])
def test_our_own_scorer_reads_the_same_segments(tmp_path: Path, format: str) -> None:
    labels = [label for label in AWKWARD if "\n" not in label]
    one = answer("one.mp4", *((i / 3, i + 2 / 3, label, 0.1 + i / 7) for i, label in enumerate(labels)))
    write_segments([one, answer("two.mp4", (0, 1, "growing", 0.5))], format, tmp_path / f"out.{format}")
    read = read_detections(tmp_path / f"out.{format}")
    assert set(read.results) == {"one", "two"}
    for told, found in zip(read.results["one"], one.segments, strict=True):
        assert told.label == found.label
        assert told.score == pytest.approx(found.score, rel=1e-8)
        assert told.start_seconds == pytest.approx(found.start_seconds, abs=1e-6)
        assert told.end_seconds == pytest.approx(found.end_seconds, abs=1e-6)
    assert read.notes == ()


def test_csv_is_one_table_whatever_the_names_hold() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv([awkward()]))))
    assert list(rows[0]) == ["video", "start", "end", "label", "score"]
    assert [row["label"] for row in rows] == list(AWKWARD)
    assert [float(row["start"]) for row in rows] == list(range(len(AWKWARD)))
    assert to_csv([answer("one.mp4")]) == "video,start,end,label,score\n"


def test_submission_has_the_official_form() -> None:
    content = json.loads(to_activitynet([awkward(), answer("two.mp4")]))
    assert set(content) == {"version", "results", "external_data"}
    assert content["version"] == "VERSION 1.3"
    assert content["external_data"] == {"used": False, "details": ""}
    assert content["results"]["two"] == []
    assert content["results"]["one"][0] == {"label": "a, b", "score": 0.9, "segment": [0.0, 2.5]}
    assert json.loads(to_activitynet([], external_data="UNet scores"))["external_data"] == {
        "used": True,
        "details": "UNet scores",
    }


def test_proposals_have_no_label() -> None:
    proposals = [answer("one.mp4", (1, 2, None, 0.5))]
    assert json.loads(to_activitynet(proposals))["results"]["one"] == [{"score": 0.5, "segment": [1.0, 2.0]}]
    assert to_csv(proposals).splitlines()[1] == "one,1.0,2.0,,0.5"
    assert parse_webvtt(to_webvtt(proposals[0])) == [(1000, 2000, "action (50 %)")]


@pytest.mark.parametrize("format", ["vtt", "srt"])
def test_cues_stand_by_time_overlap_and_pass_a_hundred_hours(format: str) -> None:
    write, parse = PARSERS[format]
    found = answer(
        "one.mp4",
        (100 * HOUR, 100 * HOUR + 59.9994, "late", 0.9),
        (3.25, 8, "over", 0.2),
        (0, 4.0005, "early", 0.1),
        (3.25, 8, "alike, better", 0.7),
        (5.0001, 5.0002, "short", 0.3),
        (HOUR - 0.0004, HOUR + 1, "round", 0.5),
    )
    assert parse(write(found)) == [
        (0, 4000, "early (10 %)"),
        (3250, 8000, "alike, better (70 %)"),
        (3250, 8000, "over (20 %)"),
        (5000, 5001, "short (30 %)"),
        (3_600_000, 3_601_000, "round (50 %)"),
        (360_000_000, 360_059_999, "late (90 %)"),
    ]


@pytest.mark.parametrize("format", ["vtt", "srt"])
def test_subtitles_show_labels_as_they_are(format: str) -> None:
    write, parse = PARSERS[format]
    texts = [text.replace(WORD_JOINER, "").rpartition(" (")[0] for *_, text in parse(write(awkward()))]
    assert texts == [label.replace("\n", " ") for label in AWKWARD]


@pytest.mark.parametrize("format", ["vtt", "srt"])
def test_no_segment_is_no_cue(format: str) -> None:
    write, parse = PARSERS[format]
    assert parse(write(answer("one.mp4"))) == []


def test_segments_that_touch_share_no_millisecond() -> None:
    first, second = parse_webvtt(to_webvtt(answer("a.mp4", (0, 1.23456, "x", 1), (1.23456, 2, "y", 1))))
    assert first[1] == second[0]


@pytest.mark.parametrize(
    ("paths", "ids"),
    [
        (["a/clip.mp4", "a/other.mp4"], ["clip", "other"]),
        (["a/clip.mp4", "a/clip.avi"], ["clip.mp4", "clip.avi"]),
        (["a/clip.mp4", "b/clip.mp4", "b/c.mp4"], ["a/clip.mp4", "b/clip.mp4", "c"]),
        (["/x/clip.mp4", "/y/x/clip.mp4"], ["/x/clip.mp4", "y/x/clip.mp4"]),
        (["clip.mp4", "clip.mp4"], ["clip.mp4", "clip.mp4#2"]),
        (["clip.mp4.mkv", "a/clip.mp4", "b/clip.mp4"], ["clip.mp4.mkv", "a/clip.mp4", "b/clip.mp4"]),
    ],
)
def test_no_video_takes_anothers_name(paths: list[str], ids: list[str]) -> None:
    answers = [answer(path, (0, 1, "x", 0.5)) for path in paths]
    assert video_ids([found.path for found in answers]) == ids
    assert list(json.loads(to_activitynet(answers))["results"]) == ids


def test_several_videos_have_a_file_each(tmp_path: Path) -> None:
    answers = [answer("a/clip.mp4", (0, 1, "x", 1)), answer("b/clip.mp4", (1, 2, "y", 1)), answer("c.mp4")]
    written = write_segments(answers, "vtt", tmp_path / "new" / "folder")
    assert [path.name for path in written] == ["a_clip.mp4.vtt", "b_clip.mp4.vtt", "c.vtt"]
    assert [len(parse_webvtt(path.read_text(encoding="utf-8"))) for path in written] == [1, 1, 0]
    assert sorted(written) == sorted((tmp_path / "new" / "folder").iterdir())


def test_one_video_is_a_file_or_in_a_folder(tmp_path: Path) -> None:
    assert write_segments([answer("a/c.mp4")], "srt", tmp_path / "mine.srt") == [tmp_path / "mine.srt"]
    assert write_segments([answer("a/c.mp4")], "srt", tmp_path) == [tmp_path / "c.srt"]


@pytest.mark.parametrize("format", ["json", "csv", "activitynet", "vtt", "srt"])
def test_names_of_stray_bytes_can_be_written(tmp_path: Path, format: str) -> None:
    stray = answer("od\udcffd.mp4", (0, 1, "x\udcfe", 0.5))
    (written,) = write_segments([stray], format, tmp_path / "out")
    assert "udcfe" in written.read_bytes().decode("utf-8")


def test_wrong_places_and_formats_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"csv is one file for all videos, and this is a folder; name a file in it"):
        write_segments([answer("a.mp4")], "csv", tmp_path)
    with pytest.raises(UsageError, match=r"file: vtt is one file for each video, and 2 videos need a folder"):
        write_segments([answer("a.mp4"), answer("b.mp4")], "vtt", tmp_path / "file")
    with pytest.raises(UsageError, match=r"'xml': segments are written as json, csv, activitynet, vtt, srt"):
        write_segments([answer("a.mp4")], "xml", tmp_path / "out")  # type: ignore[arg-type]
