"""Segments found in videos as files that other programs read: JSON, CSV, ActivityNet submissions, WebVTT and SRT.

Times are rounded to the microsecond, in subtitles to the millisecond; scores keep 9 digits, all that a float32 has.
"""

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from framecue.datasets.localization.submission import plain_score, plain_seconds, submission
from framecue.errors import UsageError
from framecue.files import write_text
from framecue.report.percents import score_percent
from framecue.types import Localization

SegmentFormat = Literal["json", "csv", "activitynet", "vtt", "srt"]

CSV_FIELDS = ("video", "start", "end", "label", "score")
NO_LABEL = "action"  # subtitles of proposals, which have no name
WORD_JOINER = "\N{WORD JOINER}"


Ids = Mapping[Path, str]
"""Names of videos in annotation files, by path; a video that is not there goes by its file's name."""


def to_json(answers: Sequence[Localization], ids: Ids | None = None) -> str:
    """A list with an object for each video: its path, duration, the labels asked for, and segments, best first."""
    videos = [
        {
            "video": str(answer.path),
            **({"video_id": ids[answer.path]} if ids and answer.path in ids else {}),
            "duration_seconds": plain_seconds(answer.duration_seconds),
            "labels": list(answer.labels),
            "notes": list(answer.notes),
            "segments": [
                {
                    "start_seconds": plain_seconds(found.start_seconds),
                    "end_seconds": plain_seconds(found.end_seconds),
                    "label": found.label,
                    "score": plain_score(found.score),
                }
                for found in answer.segments
            ],
        }
        for answer in answers
    ]
    return json.dumps(videos, indent=2, allow_nan=False) + "\n"


def to_csv(answers: Sequence[Localization], ids: Ids | None = None) -> str:
    """Lines `video,start,end,label,score` under a header; videos by the names of `video_ids`.

    Names stand as they are, also those that begin with "=", "+", "-" or "@": a sign put before them would make other
    names of them, and the file would no longer meet its ground truth. So import these columns as text where a
    spreadsheet program is to open files of names that are not your own.
    """
    stream = io.StringIO()
    lines = csv.writer(stream, lineterminator="\n")
    lines.writerow(CSV_FIELDS)
    for video_id, answer in zip(_ids_of(answers, ids), answers, strict=True):
        for found in answer.segments:
            times = plain_seconds(found.start_seconds), plain_seconds(found.end_seconds)
            lines.writerow([video_id, *times, _as_utf8(found.label or ""), plain_score(found.score)])
    return stream.getvalue()


def to_activitynet(answers: Sequence[Localization], ids: Ids | None = None, *, external_data: str | None = None) -> str:
    """A submission as the official evaluator reads it; a video in which nothing was found has an empty list.

    Args:
        external_data: what was used of data from outside, such as another program's video-level scores; None = nothing.
    """
    found = {video_id: answer.segments for video_id, answer in zip(_ids_of(answers, ids), answers, strict=True)}
    return submission(found, external_data=external_data)


def to_webvtt(answer: Localization) -> str:
    """Subtitles for browsers: a cue for each segment, by time; cues overlap where segments do.

    Labels are escaped as the standard asks. A cue takes a millisecond at least, for a shorter one is no cue.
    """
    cues = [
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{_escaped(text, _VTT_ESCAPES)}\n"
        for start, end, text in _cues(answer)
    ]
    return "\n".join(["WEBVTT\n", *cues])


def to_srt(answer: Localization) -> str:
    """Subtitles for players: numbered cues as in `to_webvtt`.

    SRT has no escapes, and players take "<i>" and "{\\an8}" for formatting; a word joiner, which nobody sees, breaks
    what looks like one.
    """
    cues = [
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{_escaped(text, _SRT_ESCAPES)}\n"
        for number, (start, end, text) in enumerate(_cues(answer), start=1)
    ]
    return "\n".join(cues)


_VTT_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_SRT_ESCAPES = {"<": "<" + WORD_JOINER, "{": "{" + WORD_JOINER, "-->": f"--{WORD_JOINER}>"}


def _cues(answer: Localization) -> list[tuple[int, int, str]]:
    """(start in milliseconds, end in milliseconds, text), by start, then end; the better of two alike first."""
    cues = []
    for found in answer.segments:
        start = max(0, round(1000 * found.start_seconds))
        end = max(start + 1, round(1000 * found.end_seconds))
        cues.append((start, end, -found.score, f"{found.label or NO_LABEL} ({score_percent(found.score)})"))
    return [(start, end, text) for start, end, _, text in sorted(cues)]


def _clock(milliseconds: int, point: str) -> str:
    """Hours, two digits or as many as it takes, minutes, seconds and thousandths."""
    seconds, thousandths = divmod(milliseconds, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{thousandths:03}"


def _escaped(text: str, escapes: Mapping[str, str]) -> str:
    return re.sub("|".join(map(re.escape, escapes)), lambda match: escapes[match[0]], one_line(text))


ONE_FILE: dict[str, Callable[[Sequence[Localization], Ids | None, str | None], str]] = {
    "json": lambda answers, ids, _: to_json(answers, ids),
    "csv": lambda answers, ids, _: to_csv(answers, ids),
    "activitynet": lambda answers, ids, used: to_activitynet(answers, ids, external_data=used),
}
"""Formats with one file for all videos: answers, ids and external data, which only a submission speaks of, to text."""
FILE_PER_VIDEO: dict[str, Callable[[Localization], str]] = {"vtt": to_webvtt, "srt": to_srt}
"""Formats with a file for each video, by the ending of its name."""


def write_segments(
    answers: Sequence[Localization],
    format: SegmentFormat,
    out: Path | str,
    *,
    ids: Ids | None = None,
    external_data: str | None = None,
) -> list[Path]:
    """Write the answers; files that exist are replaced.

    Args:
        out: the file; for "vtt" and "srt" of other than one video, or where it is a folder, the folder, in which each
            video's file is called as `subtitle_files` says.
        ids: names of the videos, where those of their files will not do; subtitles always go by those.
        external_data: as in `to_activitynet`, the only format that says it.

    Returns:
        The files written.

    Raises:
        UsageError: as `check_out`.
        OSError: a file cannot be written.
    """
    out = Path(out)
    check_out(format, out, num_videos=len(answers))
    if format in ONE_FILE:
        texts = {out: ONE_FILE[format](answers, ids, external_data)}
    else:
        files = subtitle_files([answer.path for answer in answers], format, out)
        texts = {file: FILE_PER_VIDEO[format](answer) for file, answer in zip(files, answers, strict=True)}
    for path, text in texts.items():
        write_text(path, text)
    return list(texts)


def subtitle_files(paths: Sequence[Path], ending: str, out: Path) -> list[Path]:
    """Where the subtitles of each video go: `out` itself for a single one, else a file in that folder.

    Each is called as `video_ids` says. All videos of a run are named at once, so that each file can be written as soon
    as its video is done, under a name that does not depend on which of the others could be read.
    """
    if len(paths) == 1 and not out.is_dir():
        return [out]
    return [out / f"{name}.{ending}" for name in _numbered([name.replace("/", "_") for name in video_ids(paths)])]


def check_out(format: SegmentFormat, out: Path, *, num_videos: int) -> None:
    """Whether `write_segments` can write there, to be asked before hours of work.

    Raises:
        UsageError: an unknown format, or a folder where a file is needed, or a file where a folder is.
    """
    if format not in ONE_FILE and format not in FILE_PER_VIDEO:
        raise UsageError(f"{format!r}: segments are written as {', '.join(get_args(SegmentFormat))}; choose one.")
    if format in ONE_FILE and out.is_dir():
        raise UsageError(f"{out}: {format} is one file for all videos, and this is a folder; name a file in it.")
    if format in FILE_PER_VIDEO and num_videos != 1 and out.exists() and not out.is_dir():
        raise UsageError(
            f"{out}: {format} is one file for each video, and {num_videos} videos need a folder, not this file."
        )


def video_ids(paths: Sequence[Path], ids: Ids | None = None) -> list[str]:
    """A name for each video: the one given, or the file's without its ending, with more of its path where shared.

    Files of one path, which nothing tells apart, are numbered: "clip", "clip#2".
    """
    given = [(ids or {}).get(path) for path in paths]
    depths = [0] * len(paths)
    while True:
        names = [
            name if name is not None else _id_of(path, depth)
            for name, path, depth in zip(given, paths, depths, strict=True)
        ]
        count = Counter(names)
        shared = [
            i
            for i, name in enumerate(names)
            if count[name] > 1 and given[i] is None and depths[i] < len(paths[i].parts)
        ]
        if not shared:
            return _numbered(names)
        for i in shared:
            depths[i] += 1


def _ids_of(answers: Sequence[Localization], ids: Ids | None) -> list[str]:
    return video_ids([answer.path for answer in answers], ids)


def _id_of(path: Path, depth: int) -> str:
    """The stem at depth 0, else the last `depth` parts of the path."""
    return _as_utf8("/".join(path.parts[-depth:]).replace("//", "/") if depth else path.stem)


def _numbered(names: Sequence[str]) -> list[str]:
    """The names, those that came before with "#2", "#3", ... behind them."""
    seen: set[str] = set()
    numbered = []
    for name in names:
        unique, number = name, 1
        while unique in seen:
            number += 1
            unique = f"{name}#{number}"
        seen.add(unique)
        numbered.append(unique)
    return numbered


def one_line(text: str) -> str:
    """Text that any file takes: line ends and other control signs, which end cues and break XML, become spaces."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]", " ", _as_utf8(text)).split())


def _as_utf8(text: str) -> str:
    """File names may hold bytes that are no text; they are written as "\\udcff"."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
