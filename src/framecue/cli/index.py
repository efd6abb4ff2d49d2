"""framecue index (add | remove | refresh | status) [SOURCE...] --index DIR"""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framecue.cli.common import (
    Exclude,
    Include,
    Retry,
    Stream,
    Strict,
    clock,
    decoding_asked,
    exit_for_skipped,
    folder_rules,
    note,
    note_files,
    notes_json,
    print_json,
    printable,
    progress_bars,
    skipped_json,
)

if TYPE_CHECKING:
    from framecue.api.collection import CollectionStatus
    from framecue.api.index_run import IndexSummary
    from framecue.api.index_writer import OnProgress
    from framecue.api.progress import BuildProgress

app = typer.Typer(
    no_args_is_help=True,
    help="Make a folder of videos searchable, and keep it so.",
    epilog="Then: framecue search 'a red circle' --index DIR, or framecue serve --index DIR for a page.",
)

IndexFolder = Annotated[Path, typer.Option("--index", metavar="DIR", help="Folder of the index.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; auto takes a GPU if any.")]


@app.callback()
def _group() -> None:
    """Make a folder of videos searchable, and keep it so."""


@app.command()
def add(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Video files, and folders of them.")],
    index: Annotated[Path, typer.Option("--index", metavar="DIR", help="Folder of the index; made if there is none.")],
    adapter: Annotated[
        str | None, typer.Option(metavar="DIR", help="Trained adapter of a new index; a copy is kept in it.")
    ] = None,
    backbone: Annotated[
        str | None,
        typer.Option(
            help="Of a new index: hub id, folder, file or 'tiny'. "
            "[default: the adapter's, else openai/clip-vit-base-patch16]"
        ),
    ] = None,
    metadata: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV or JSONL: one column names the video (path, file, video), the others can be searched by.",
        ),
    ] = None,
    window: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Length of a moment in a new index. [default: 4]")
    ] = None,
    hop: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="From one moment to the next in a new index. [default: 2]")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Frame features of `framecue extract`: what is in it is not decoded again."),
    ] = None,
    exclude: Exclude = None,
    include: Include = None,
    stream: Stream = None,
    strict: Strict = False,
    retry: Retry = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Index videos; folders are looked through at any depth, and again at each refresh.

    The same command goes on after an interruption: unchanged files are passed over, moved ones are known by their
    content, changed ones are read again. An index remembers its adapter, backbone and windows; they need not be said
    twice. Files that cannot be read are listed with reasons, and the exit code is then 3.

    Hidden files, and folders that systems make for themselves (@eaDir, #recycle, $RECYCLE.BIN, ...), are passed over.
    What --exclude and --include say is kept with the sources and used by each refresh; said again, it replaces that.
    Links are followed, and a file is taken once; a page plays only what lies in the folders that were added.
    """
    from framecue.api.collection import open_index
    from framecue.api.index_folder import has_collection
    from framecue.datasets.video_metadata import read_metadata
    from framecue.features.sources import expand_sources
    from framecue.video.files import DEFAULT

    rules = folder_rules(exclude, include) if exclude or include else None
    if not has_collection(index):
        expand_sources(sources, rules or DEFAULT)  # a mistyped path makes no index
    columns = read_metadata(metadata) if metadata else {}
    collection = open_index(
        index,
        adapter=adapter,
        backbone=backbone,
        device=device,
        create=True,
        window_seconds=window,
        hop_seconds=hop,
        store=store,
    )
    decoding = decoding_asked(stream, strict, retry)
    with _progress() as on_progress:
        summary = collection.add(sources, metadata=columns, rules=rules, on_progress=on_progress, decoding=decoding)
    _give(summary, index, json=json)


@app.command()
def remove(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files and folders that were added.")],
    index: IndexFolder,
    json: Json = False,
) -> None:
    """Take videos out of the index; their files are not touched.

    Nothing of them is left in any version or file of the index, but for their paths where they lie in a folder that was
    added: they stay out when a folder around them is refreshed, until they are added again.
    """
    from framecue.api.collection import open_index

    count = open_index(index).remove(sources)
    if json:
        print_json({"index": str(index), "removed": count})
    else:
        typer.echo(f"{count} removed; index: {printable(index)}")


@app.command()
def refresh(
    index: IndexFolder, strict: Strict = False, retry: Retry = False, device: Device = "auto", json: Json = False
) -> None:
    """Bring the index up to date with the disk: new, changed and moved files, and drop deleted ones.

    What was added is looked through again. A folder that is gone as a whole, or empty, may be a disk that is not
    mounted: what is indexed of it is kept, and listed (exit code 3).
    """
    from framecue.api.collection import open_index

    collection = open_index(index, device=device)
    with _progress() as on_progress:
        summary = collection.refresh(on_progress=on_progress, decoding=decoding_asked(None, strict, retry))
    _give(summary, index, json=json)


@app.command()
def status(index: IndexFolder, json: Json = False) -> None:
    """Say what is in the index, what made it, and what is being added to it now."""
    from framecue.api.collection import open_index

    found = open_index(index).status()
    if json:
        print_json(_status_json(found))
        return
    for name, value in _status_lines(found):
        typer.echo(f"{name + ':':12} {printable(value)}")


@contextmanager
def _progress() -> "Iterator[OnProgress]":
    """Videos done, and how much faster than they play."""
    with progress_bars() as bars:

        def show(state: "BuildProgress") -> None:
            bars.phase("videos", state.videos_done, state.num_videos, f"{state.rate:.1f} x real time")

        yield show


def _give(summary: "IndexSummary", index: Path, *, json: bool) -> None:
    left_out = [*summary.skipped, *summary.unreachable, *summary.unmatched_metadata]
    rate = summary.total_seconds / max(summary.elapsed_seconds, 1e-9)
    if json:
        print_json(
            {
                "index": str(index),
                **{
                    name: getattr(summary, name)
                    for name in ("added", "from_store", "unchanged", "copies", "moved", "annotated", "removed")
                },
                "skipped": skipped_json(summary.skipped),
                "notes": notes_json(summary.noted),
                "unreachable": skipped_json(summary.unreachable),
                "unmatched_metadata": skipped_json(summary.unmatched_metadata),
                "num_moments": summary.num_moments,
                "total_seconds": round(summary.total_seconds, 3),
                "elapsed_seconds": round(summary.elapsed_seconds, 3),
            }
        )
    else:
        changed = f" ({summary.annotated} with other metadata)" if summary.annotated else ""
        stored = f", {summary.from_store} of them from the store" if summary.from_store else ""
        typer.echo(
            f"{summary.added} videos added ({clock(summary.total_seconds)} of video, {summary.num_moments} moments, "
            f"{rate:.1f} x real time{stored}), {summary.unchanged} unchanged{changed}, {summary.moved} moved, "
            f"{summary.removed} removed, {summary.copies} further copies, "
            f"{len(summary.skipped)} skipped; index: {printable(index)}"
        )
        if summary.unmatched_metadata:
            note(f"{len(summary.unmatched_metadata)} lines of metadata are about no video, or about several")
        if summary.added and not left_out:
            note(f"next: framecue search 'a sentence' --index {shlex.quote(str(index))}")
    note_files(summary.noted)
    exit_for_skipped(left_out)


def _status_json(found: "CollectionStatus") -> dict[str, Any]:
    held, building = found.index, found.building
    return {
        "index": str(held.path),
        "num_videos": held.num_videos,
        "num_moments": held.num_moments,
        "total_seconds": round(held.total_seconds, 3),
        "size_bytes": held.size_bytes,
        "version": held.version,
        "neighbours": held.neighbours,
        "recall_at_10": held.recall_at_10,
        "backbone": found.backbone,
        "adapter": found.adapter or None,
        "window_seconds": found.window_seconds,
        "hop_seconds": found.hop_seconds,
        "roots": [str(root) for root in found.roots],
        "excluded": [str(path) for path in found.excluded],
        "rules": {
            str(root): {"exclude": list(rules.exclude), "include": list(rules.include)}
            for root, rules in found.rules.items()
        },
        "metadata_columns": dict(held.metadata_columns),
        "building": None
        if building is None
        else {
            "videos_done": building.videos_done,
            "num_videos": building.num_videos,
            "current": building.current,
            "started": building.started.isoformat(),
            "elapsed_seconds": round(building.elapsed_seconds, 1),
            "rate": round(building.rate, 2),
            "seconds_left": None if building.seconds_left is None else round(building.seconds_left, 1),
        },
    }


def _status_lines(found: "CollectionStatus") -> Iterator[tuple[str, str]]:
    from framecue.video.files import DEFAULT

    held, building = found.index, found.building
    yield "index", str(held.path)
    yield "videos", f"{held.num_videos} ({clock(held.total_seconds)})"
    yield "moments", f"{held.num_moments}, of {found.window_seconds:g} s at every {found.hop_seconds:g} s"
    yield "on disk", f"{held.size_bytes / 2**20:.1f} MiB"
    recall = "" if held.recall_at_10 is None else f", recall@10 {held.recall_at_10:.3f} of exact search"
    yield "search", f"{held.neighbours}{recall}"
    yield "backbone", found.backbone
    yield "adapter", found.adapter or "none"
    if held.metadata_columns:
        yield "metadata", ", ".join(f"{name} ({kind})" for name, kind in held.metadata_columns.items())
    for root in found.roots:
        rules = found.rules.get(root, DEFAULT)
        said = [f" --exclude {text!r}" for text in rules.exclude] + [f" --include {text!r}" for text in rules.include]
        yield "root", f"{root}{'' if root.exists() else ' (not there now)'}{''.join(said)}"
    for path in found.excluded:
        yield "left out", str(path)
    if building is not None:
        left = "" if building.seconds_left is None else f", {clock(building.seconds_left)} left"
        yield (
            "building",
            f"{building.videos_done} of {building.num_videos} videos, {building.rate:.1f} x real time{left}; "
            f"now {building.current or 'between files'}",
        )
