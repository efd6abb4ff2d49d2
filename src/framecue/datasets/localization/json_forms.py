"""Ground truth as JSON: ActivityNet's official form, those derived from it, and the BMN form without `database`."""

from pathlib import Path
from typing import Any

from framecue.datasets.localization.notes import Tally
from framecue.datasets.localization.raw import RawVideo, json_segments, read_json, usable_id, video_key
from framecue.datasets.localization.tables import read_video_info
from framecue.datasets.naming import shorten
from framecue.errors import DatasetError


def read_json_videos(path: Path, tally: Tally, video_info: Path | None = None) -> list[RawVideo]:
    """Videos of a JSON file.

    Read are `{"database": {id: {"subset", "duration", "annotations": [{"segment": [start, end], "label"}]}}}` (official
    ActivityNet; ActionFormer and OpenTAD with further keys; AFSD, whose times are texts), and the same without
    `database`, with `duration_second` for the duration and no subset (BMN); the subsets of the latter are those of
    `video_info`, which is looked for beside the file as `video_info_new.csv`.

    Raises:
        DatasetError: the file is of none of these forms.
    """
    content = read_json(path, tally)
    database = _database(content, path)
    info_path = video_info or path.with_name("video_info_new.csv")
    has_subsets = any(isinstance(entry, dict) and isinstance(entry.get("subset"), str) for entry in database.values())
    info = read_video_info(info_path) if video_info or (not has_subsets and info_path.is_file()) else {}
    videos: dict[str, RawVideo] = {}
    for key, entry in database.items():
        origin = f"{path}, video {key!r}"
        annotations = entry.get("annotations") if isinstance(entry, dict) else None
        if not isinstance(annotations, list):
            tally.fault("entry", origin, "no list of annotations")
            continue
        video_id = usable_id(key, origin, tally)
        if video_id is None:
            continue
        if video_id in videos:
            tally.fault("twice", origin, f"'{video_id}' in two spellings")
        subset = entry.get("subset")
        if not isinstance(subset, str) and (known := info.get(video_key(video_id))) is not None:
            subset = known.subset
            tally.add("subset", video_id)
        duration = entry.get("duration", entry.get("duration_second"))
        segments = json_segments(annotations, origin, tally)
        videos[video_id] = RawVideo(video_id, duration, subset if isinstance(subset, str) else None, segments, origin)
    return list(videos.values())


def _database(content: Any, path: Path) -> dict[str, Any]:
    if isinstance(content, dict):
        database = content.get("database")
        if isinstance(database, dict):
            return database
        if isinstance(content.get("results"), dict):
            raise DatasetError(f"{path} holds predictions ('results'), not ground truth. Give the annotation file.")
        if content and any(isinstance(entry, dict) and "annotations" in entry for entry in content.values()):
            return content
    keys = (
        f"the keys {shorten([repr(key) for key in content])}" if isinstance(content, dict) else type(content).__name__
    )
    raise DatasetError(
        f"{path} is no ground truth of a known form: it must hold 'database', or videos with 'annotations', found "
        f"{keys}. Give ActivityNet's JSON, or a CSV with video,start,end,label."
    )
