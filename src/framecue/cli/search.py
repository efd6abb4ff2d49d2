"""framecue search "a sentence" --index DIR"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framecue.cli.common import clock, exit_for_skipped, note, print_json, printable, skipped_json
from framecue.report.percents import score_percent

if TYPE_CHECKING:
    from framecue.cli.search_exports import Exports
    from framecue.search import Filter
    from framecue.types import Moment, SearchResult

BAR_WIDTH = 20
LOCAL = "2024-01-31 is the local day; 2024-01-31T18:30+09:00 names a zone."


def search(
    text: Annotated[str | None, typer.Argument(metavar="TEXT", help="What is to be seen, a sentence.")] = None,
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="Folder of the index.")] = ...,  # type: ignore[assignment]
    image: Annotated[Path | None, typer.Option(metavar="FILE", help="Search by an image instead.")] = None,
    video: Annotated[
        str | None, typer.Option(metavar="FILE|ID", help="Search by an example video, or one that is indexed.")
    ] = None,
    start: Annotated[float | None, typer.Option(metavar="SECONDS", help="Where the example begins.")] = None,
    end: Annotated[float | None, typer.Option(metavar="SECONDS", help="Where the example ends.")] = None,
    top_k: Annotated[int, typer.Option(help="Moments to give, at most.")] = 10,
    path: Annotated[
        str | None, typer.Option(metavar="GLOB", help="Only videos of this folder, file or pattern.")
    ] = None,
    after: Annotated[str | None, typer.Option(metavar="DATE", help=f"Recorded then or later. {LOCAL}")] = None,
    before: Annotated[str | None, typer.Option(metavar="DATE", help=f"Recorded earlier. {LOCAL}")] = None,
    min_duration: Annotated[float | None, typer.Option(metavar="SECONDS", help="Videos at least this long.")] = None,
    max_duration: Annotated[float | None, typer.Option(metavar="SECONDS", help="Videos at most this long.")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="CONDITION", help="On metadata: camera=3, 'rating>=4'; may be repeated.")
    ] = None,
    min_score: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            help="Least score of a match, 0 to 1. [default: 0.5, or what sentences about other things reach]",
        ),
    ] = None,
    clips: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Cut the moments out, as MP4 files without sound.")
    ] = None,
    thumbnails: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a picture of each moment.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON alone on standard output.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Find the moments of indexed videos that show what a sentence says, or what an image or a video shows.

    Where no moment is a sure match, or none is likely to be one, that is said, and the nearest ones are listed. Moments
    whose video has gone, or whose part cannot be written, are listed and the rest go on (exit code 3).
    """
    from framecue.api.collection import open_index
    from framecue.cli.search_exports import check_folder, export
    from framecue.errors import PromptTooLongError, UsageError

    given = [name for name, value in (("TEXT", text), ("--image", image), ("--video", video)) if value is not None]
    if len(given) != 1:
        raise UsageError(f"Search by one of TEXT, --image and --video, found {' and '.join(given) or 'none of them'}.")
    if video is None and (start is not None or end is not None):
        raise UsageError(f"--start and --end are of an example --video, found them beside {given[0]}.")
    chosen = _filter(path, after, before, min_duration, max_duration, where or [])
    for folder in (clips, thumbnails):
        check_folder(folder)
    collection = open_index(index, device=device)
    try:
        result = collection.search(
            text,
            image=image,
            video=video,
            start_seconds=start,
            end_seconds=end,
            top_k=top_k,
            where=chosen,
            min_score=min_score,
        )
    except PromptTooLongError as error:
        raise UsageError(str(error)) from error
    exports = export(result.moments, clips=clips, thumbnails=thumbnails)
    if json:
        print_json(_as_json(result, exports))
    else:
        _print_table(result, filtered=chosen is not None)
        for written in (*exports.clips, *exports.thumbnails):
            if written is not None:
                note(f"wrote {written}")
    exit_for_skipped(exports.skipped)


def _filter(
    path: str | None,
    after: str | None,
    before: str | None,
    min_duration: float | None,
    max_duration: float | None,
    where: list[str],
) -> "Filter | None":
    from framecue.errors import MomentIndexError, UsageError
    from framecue.search import Filter, parse_condition

    try:
        conditions = tuple(parse_condition(text) for text in where)
    except MomentIndexError as error:
        raise UsageError(str(error)) from error
    chosen = Filter(
        path=path,
        after=_date("--after", after),
        before=_date("--before", before),
        min_duration_seconds=min_duration,
        max_duration_seconds=max_duration,
        conditions=conditions,
    )
    return None if chosen == Filter() else chosen


def _date(option: str, text: str | None) -> datetime | None:
    from framecue.errors import UsageError

    try:
        return None if text is None else datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} must be a date such as 2024-01-31 or 2024-01-31T18:30, found {text!r:.60}."
        ) from None


def _print_table(result: "SearchResult", *, filtered: bool) -> None:
    """Paths come last and are never cut."""
    query = f'"{printable(result.query)}"'
    if not result.num_videos:
        typer.echo(
            f"Nothing here matches {query}: "
            + ("no video passes the filters." if filtered else "the index holds no videos; framecue index add VIDEOS.")
        )
        return
    if result.verdict == "nothing":
        typer.echo(f"Nothing here matches {query}; the nearest are:")
    if result.verdict == "unsure":
        typer.echo(f"No sure match for {query}; the nearest are:")
    matches = sum(map(result.is_match, result.moments))
    for rank, moment in enumerate(result.moments, start=1):
        if 0 < matches == rank - 1:
            typer.echo("No matches, but the nearest of what is left:")
        typer.echo(_line(rank, moment))


def _line(rank: int, moment: "Moment") -> str:
    times = f"{clock(moment.start_seconds, tenths=True)} - {clock(moment.end_seconds, tenths=True)}"
    bar = "█" * round(BAR_WIDTH * moment.score)
    gone = "" if moment.video.path.exists() else "  (the file has gone)"
    length = moment.end_seconds - moment.start_seconds
    return (
        f"{rank:3}  {times}  {score_percent(moment.score):>5}  {bar:{BAR_WIDTH}}  {length:6.1f} s  "
        f"{printable(moment.video.path)}{gone}"
    )


def _as_json(result: "SearchResult", exports: "Exports") -> dict[str, Any]:
    rows = zip(result.moments, exports.clips, exports.thumbnails, strict=True)
    return {
        "query": result.query,
        "nothing_matches": result.nothing_matches,
        "verdict": result.verdict,
        "min_score": result.min_score,
        "num_videos": result.num_videos,
        "exact": result.exact,
        "moments": [
            {
                "rank": rank,
                "path": str(moment.video.path),
                "video_id": moment.video.video_id,
                "start_seconds": round(moment.start_seconds, 6),
                "end_seconds": round(moment.end_seconds, 6),
                "score": moment.score,
                "similarity": moment.similarity,
                "is_match": result.is_match(moment),
                "duration_seconds": moment.video.duration_seconds,
                "origin_seconds": moment.video.origin_seconds,
                "date": moment.video.date.isoformat(),
                "metadata": dict(moment.video.metadata),
                "is_missing": not moment.video.path.exists(),
                "clip": None if clip is None else str(clip),
                "thumbnail": None if thumbnail is None else str(thumbnail),
            }
            for rank, (moment, clip, thumbnail) in enumerate(rows, start=1)
        ],
        "skipped": skipped_json(exports.skipped),
    }
