"""The demo's third part: videos found by sentences, and an index of moments that the page can search."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from framecue.api import Collection, open_index
from framecue.backbone import Backbone
from framecue.config import RunConfig
from framecue.datasets.localization import read_ground_truth
from framecue.datasets.world import UNTRIMMED_SEEN_CLASSES, order_pairs, write_caption_list
from framecue.errors import MakerMismatchError
from framecue.metrics.recognition import mean_and_spread
from framecue.models.adapter import load_adapter
from framecue.models.video_text import VideoTextModel
from framecue.tasks.localization_source import GROUND_TRUTH
from framecue.tasks.retrieval import CaptionedSet, embed_captions, embed_videos
from framecue.tasks.retrieval_data import prepare_retrieval
from framecue.tasks.retrieval_evaluation import FROZEN
from framecue.training.retrieval_tables import (
    CAPTIONS,
    WORLD_PROMPTS_ALONE,
    RetrievalTableOptions,
    retrieval_config,
    run_retrieval_table,
)
from framecue.types import Moment, SearchResult
from framecue.video.thumbnail import thumbnail_jpeg

PROMPTS, TIMED = "A3", "robust"
"""The rows of the demo: prompts alone, and with the temporal module, trained so that unseen motions are kept."""
INDEX, FROZEN_INDEX = "index", "index-frozen"
WINDOW_SECONDS, HOP_SECONDS = 2.0, 1.0
"""The world's actions take about two seconds."""
TOP_K = 5
QUERIES = ("two shapes colliding", "a red circle moving right", "a green star appearing", "a plate of food on a table")
PICTURES = 4

Progress = Callable[[str, int, int, str], None]


@dataclass(frozen=True, eq=False)
class FoundMoments:
    """A query and its moments, for the page.

    Attributes:
        result: the answer.
        strips: of each moment, JPEG pictures from its start to its end.
    """

    result: SearchResult
    strips: Sequence[Sequence[bytes]]


@dataclass(frozen=True, eq=False)
class RetrievalDemo:
    """Outcome of this part: what results.json says of it, and example queries."""

    results: dict[str, Any]
    found: Sequence[FoundMoments]


def run_retrieval(
    out: Path,
    backbone: Backbone,
    *,
    backbone_id: str,
    seen: Sequence[str],
    held_out: Sequence[str],
    seeds: Sequence[int],
    iterations: int | None,
    restart: bool,
    progress: Progress,
    lap: Callable[[str], None],
) -> RetrievalDemo:
    """Train with each seed beside frozen CLIP, then index untrimmed test videos and search them.

    Args:
        iterations: training steps; None = the world's own.
        lap: called with the name of each stage that is done.
    """
    write_caption_list(out / CAPTIONS, out / "videos", seen=seen, held_out=held_out)
    config, options = _settings(out, backbone_id, seeds, iterations)
    table = run_retrieval_table(
        config,
        options=options,
        restart=restart,
        progress=lambda phase, done, total, note: progress(_stage(phase), done, total, note),
        backbone=backbone,
    )
    lap("train retrieval")
    adapters = {(trial["method"], trial["seed"]): config.out / trial["adapter"] for trial in table["trials"]}
    test = prepare_retrieval(config, backbone).test
    twins = {
        method: _spread(
            [twins_told_apart(load_adapter(adapters[method, seed], backbone), test, config, seen) for seed in seeds]
        )
        for method in (PROMPTS, TIMED)
    }
    lap("measure retrieval")
    collections = {
        FROZEN: _index(out / FROZEN_INDEX, out, backbone, None, progress),
        f"{TIMED}, seed {seeds[0]}": _index(out / INDEX, out, backbone, adapters[TIMED, seeds[0]], progress),
    }
    lap("index")
    about_index, found = _search(collections, out, [name for name in UNTRIMMED_SEEN_CLASSES if name in seen])
    lap("search")
    results = {
        "table": table,
        "twins_told_apart": twins,
        "index": about_index,
        "queries": [_query_json(answer.result, out) for answer in found],
    }
    return RetrievalDemo(results, found)


def _settings(
    out: Path, backbone_id: str, seeds: Sequence[int], iterations: int | None
) -> tuple[RunConfig, RetrievalTableOptions]:
    """The world's own, on the videos and features that the demo has already."""
    steps = [] if iterations is None else [f"train.{key}={iterations}" for key in ("iterations", "restart_iterations")]
    changes = [
        f"data.source={json.dumps(str(out / CAPTIONS))}",
        f"features.store={json.dumps(str(out / 'features.lance'))}",
        f"backbone.id={json.dumps(backbone_id)}",
        *steps,
    ]
    alone = WORLD_PROMPTS_ALONE if iterations is None else {"lr": WORLD_PROMPTS_ALONE["lr"]}
    options = RetrievalTableOptions(seeds=tuple(seeds), rows=(PROMPTS, TIMED), prompts_alone=alone)
    return retrieval_config("world", None, out / "retrieval", changes), options


def _search(
    collections: Mapping[str, Collection], out: Path, names: Sequence[str]
) -> tuple[dict[str, Any], list[FoundMoments]]:
    """How many moments each index finds rightly, and what the last one, which the page will show, says to examples."""
    right = {
        method: moments_right(collection, out / "untrimmed" / GROUND_TRUTH, names)
        for method, collection in collections.items()
    }
    shown = [*collections.values()][-1]
    held = shown.status().index
    about = {
        "folder": shown.folder.name,
        "num_videos": held.num_videos,
        "num_moments": held.num_moments,
        "window_seconds": WINDOW_SECONDS,
        "hop_seconds": HOP_SECONDS,
        "moments_right": right,
        "num_judged": TOP_K * len(names),
    }
    return about, [_found(shown.search(query, top_k=TOP_K)) for query in QUERIES]


def _stage(phase: str) -> str:
    return f"train retrieval, {phase}" if "seed" in phase else "features of captioned videos"


def twins_told_apart(model: VideoTextModel, test: CaptionedSet, config: RunConfig, seen: Sequence[str]) -> float:
    """Share of captions nearer to their own video than to the same frames run backwards; half of it is chance.

    The test videos of an order pair are each other's reversal, so all that tells them apart is time.
    """
    own, twin = _twins([record.path for record in test.features.records], seen)
    videos = embed_videos(model, test.features, config)
    texts = embed_captions(model, [test.captions[row][0] for row in own])
    apart = (texts * videos[own]).sum(axis=1) - (texts * videos[twin]).sum(axis=1)
    return float(np.mean((apart > 0) + 0.5 * (apart == 0)))


def _twins(paths: Sequence[Path], seen: Sequence[str]) -> tuple[list[int], list[int]]:
    """Rows of videos of order pairs, and the row of each one's reversal."""
    row = {(path.parent.name, path.stem.rsplit("_", 1)[1]): index for index, path in enumerate(paths)}
    reverse = {name: other for pair in order_pairs(seen) for name, other in (pair, pair[::-1])}
    found = [
        (index, row[reverse[name], number])
        for (name, number), index in row.items()
        if name in reverse and (reverse[name], number) in row
    ]
    return [own for own, _ in found], [twin for _, twin in found]


def moments_right(collection: Collection, truth_path: Path, names: Sequence[str]) -> float:
    """Of the first five moments found for "a shape NAME" the share that shows that action, mean over the names."""
    truth = {video.video_id: video.segments for video in read_ground_truth(truth_path).videos}
    shares = []
    for name in names:
        subject = "two shapes" if name in ("colliding", "separating") else "a shape"
        answer = collection.search(f"{subject} {name}", top_k=TOP_K)
        right = [
            any(
                segment.label == name
                and min(segment.end_seconds, moment.end_seconds) - max(segment.start_seconds, moment.start_seconds)
                >= 0.5 * min(segment.end_seconds - segment.start_seconds, moment.end_seconds - moment.start_seconds)
                for segment in truth.get(moment.video.path.stem, ())
            )
            for moment in answer.moments
        ]
        shares.append(sum(right) / max(len(right), 1))
    return float(np.mean(shares))


def _index(folder: Path, out: Path, backbone: Backbone, adapter: Path | None, progress: Progress) -> Collection:
    """The demo's index, made anew where it is of another training."""
    settings: dict[str, Any] = {"create": True, "window_seconds": WINDOW_SECONDS, "hop_seconds": HOP_SECONDS}
    try:
        collection = open_index(folder, adapter=adapter, backbone=backbone, **settings)
    except MakerMismatchError:
        shutil.rmtree(folder)  # an index of the demo's own, of an earlier training
        collection = open_index(folder, adapter=adapter, backbone=backbone, **settings)
    stage = "index moments" if adapter is not None else "index moments, frozen CLIP"
    progress(stage, 0, 1, "")
    collection.add([out / "untrimmed" / "test"])
    progress(stage, 1, 1, "")
    return collection


def _found(result: SearchResult) -> FoundMoments:
    return FoundMoments(result, [_pictures(moment) for moment in result.moments[:3]])


def _pictures(moment: Moment) -> list[bytes]:
    times = np.linspace(moment.start_seconds, moment.end_seconds, PICTURES + 1)[:-1]
    return [thumbnail_jpeg(moment.video.path, float(seconds), width=128) for seconds in times]


def _spread(values: Sequence[float]) -> dict[str, Any]:
    return {**asdict(mean_and_spread(values)), "values": list(values)}


def _query_json(result: SearchResult, out: Path) -> dict[str, Any]:
    return {
        "query": result.query,
        "verdict": result.verdict,
        "min_score": round(result.min_score, 4),
        "absent_below": round(result.absent_below, 4),
        "moments": [
            {
                "path": moment.video.path.relative_to(out.absolute()).as_posix(),
                "start_seconds": round(moment.start_seconds, 3),
                "end_seconds": round(moment.end_seconds, 3),
                "score": round(moment.score, 4),
            }
            for moment in result.moments
        ],
    }
