"""framecue extract: videos to stored frame features."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from framecue.cli.common import (
    DEFAULT_BACKBONE,
    Exclude,
    Include,
    Retry,
    Stream,
    Strict,
    decoding_asked,
    exit_for_skipped,
    folder_rules,
    notes_json,
    print_json,
    progress_bars,
    skipped_json,
)


def extract(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Video files, and folders of them.")],
    store: Annotated[Path, typer.Option(help="Folder of the feature store; made if it is not there.")],
    backbone: Annotated[
        str, typer.Option(help="Hub id, folder or file of a CLIP-family checkpoint; tiny is built in.")
    ] = DEFAULT_BACKBONE,
    sampling: Annotated[str, typer.Option(help="Frames to keep: all, fps:F or uniform:N.")] = "fps:8",
    precision: Annotated[
        Literal["fp32", "bf16", "fp16"] | None,
        typer.Option(help="Arithmetic of the image tower.", show_default="bf16 on a GPU, fp32 on a CPU"),
    ] = None,
    dtype: Annotated[Literal["float16", "float32"], typer.Option(help="How features are stored.")] = "float16",
    batch_frames: Annotated[int, typer.Option(min=1, help="Frames encoded at a time.")] = 64,
    decode_workers: Annotated[
        int | None, typer.Option(min=1, help="Decoding processes.", show_default="processors - 1, at most 16")
    ] = None,
    stream: Stream = None,
    strict: Strict = False,
    retry: Retry = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N; auto takes a GPU if any.")] = "auto",
    exclude: Exclude = None,
    include: Include = None,
    json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON on standard output.")] = False,
) -> None:
    """Store the frame features of videos.

    What is stored already is skipped, so that the same command goes on after an interruption. Files that cannot be
    read are listed with reasons, and the exit code is then 3.

    Folders are looked through at any depth. Hidden files, and folders that systems make for themselves (@eaDir,
    #recycle, $RECYCLE.BIN, ...), are passed over. Links are followed, and a file is taken once.
    """
    from framecue.features.sources import expand_sources
    from framecue.video.sampling import parse_sampling

    parse_sampling(sampling)
    paths = expand_sources(sources, folder_rules(exclude, include))

    from framecue.backbone import load_backbone
    from framecue.features.extract import extract as extract_features

    loaded = load_backbone(backbone, device=device, precision=precision)
    with progress_bars() as bars:
        summary = extract_features(
            paths,
            backbone=loaded,
            store=store,
            sampling=sampling,
            dtype=dtype,
            batch_frames=batch_frames,
            decode_workers=decode_workers,
            decoding=decoding_asked(stream, strict, retry),
            on_progress=bars.extraction,
        )
    rate = summary.num_frames / max(summary.elapsed_seconds, 1e-9)
    if json:
        print_json(
            {
                "store": str(store),
                "extracted": summary.extracted,
                "already_stored": summary.already_stored,
                "skipped": skipped_json(summary.skipped),
                "notes": notes_json(summary.noted),
                "num_frames": summary.num_frames,
                "elapsed_seconds": round(summary.elapsed_seconds, 3),
                "frames_per_second": round(rate, 1),
            }
        )
    else:
        typer.echo(
            f"{summary.extracted} videos extracted ({summary.num_frames} frames, {rate:.0f} frames/s), "
            f"{summary.already_stored} stored before, {len(summary.skipped)} skipped; store: {store}"
        )
    exit_for_skipped(summary.skipped)
