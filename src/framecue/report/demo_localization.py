"""The demo's second half: actions found in untrimmed videos of the built-in world, closed-set and by held-out names."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from framecue.api import Predictor, load
from framecue.backbone import Backbone
from framecue.config import RunConfig, RunPreset
from framecue.datasets.localization import read_ground_truth
from framecue.datasets.world import NOVEL_CLASSES, UNTRIMMED_SEEN_CLASSES, write_untrimmed
from framecue.features.extract import ExtractionProgress
from framecue.metrics.recognition import mean_and_spread
from framecue.report.timeline import timeline_svg
from framecue.tasks.localization_source import GROUND_TRUTH
from framecue.training.localization import train_localization
from framecue.training.recognition import RunProgress, RunResult
from framecue.types import Skipped
from framecue.video.reader import read_video
from framecue.video.sampling import parse_sampling

Progress = Callable[[str, int, int, str], None]

TIMELINE_FRAMES = 12
SHOWN_SCORE = 0.5  # of held-out names, for which validation has no say
PARTS = ("test", "novel")


@dataclass(frozen=True)
class LocalizationPlan:
    """How much is rendered and trained.

    Attributes:
        seen, held_out: class names of the world.
        num_videos, num_idle: by split; videos with actions, and without any.
        iterations: training steps, of both stages at once.
        sampling: which frames are looked at.
    """

    seen: tuple[str, ...] = UNTRIMMED_SEEN_CLASSES
    held_out: tuple[str, ...] = NOVEL_CLASSES
    num_videos: Mapping[str, int] = field(default_factory=lambda: {"train": 160, "val": 30, "test": 40, "novel": 24})
    num_idle: Mapping[str, int] = field(default_factory=lambda: {"train": 16, "val": 4, "test": 8})
    iterations: int = 600
    batch_size: int = 64
    sampling: str = "fps:8"


@dataclass(frozen=True, eq=False)
class LocalizationDemo:
    """Outcome of this half.

    Attributes:
        results: what results.json says of it.
        timelines: caption and picture (SVG) of some test videos.
        skipped: videos that could not be read.
    """

    results: dict[str, Any]
    timelines: Sequence[tuple[str, str]]
    skipped: Sequence[Skipped]


def run_localization(
    out: Path,
    plan: LocalizationPlan,
    backbone: Backbone,
    *,
    backbone_id: str,
    templates: Sequence[str],
    seeds: Sequence[int],
    restart: bool,
    progress: Progress,
    lap: Callable[[str], None],
) -> LocalizationDemo:
    """Render, train with each seed, measure, and localize two test videos as a user would.

    Args:
        lap: called with the name of each stage that is done.
    """
    write_untrimmed(
        out / "untrimmed",
        classes=plan.seen,
        held_out=plan.held_out,
        num_videos=plan.num_videos,
        num_idle=plan.num_idle,
        workers=0,  # a pool of processes takes longer to start than it saves
        on_progress=lambda done, total: progress("render untrimmed videos", done, total, ""),
    )
    lap("render untrimmed")
    runs = []
    for seed in seeds:
        config = run_config(out, plan, backbone_id, templates, seed)
        runs.append(_train(config, backbone, f"train localization, seed {seed}", restart, progress))
        lap(f"train localization-seed{seed}")
    first = runs[0].results
    results = {
        "protocol": first["protocol"],
        "method": first["method"],
        "seeds": list(seeds),
        "num_videos": dict(plan.num_videos),
        "num_idle": dict(plan.num_idle),
        "parts": {part: _spread([run.results[part] for run in runs]) for part in PARTS},
        "reported": [run.results["reported"] for run in runs],
        "selected": [run.results["selected"] for run in runs],
        "fusion": [run.results["fusion"]["weight"] for run in runs],
        "blend": [run.results["blend"].get("chosen") for run in runs],
        "errors": first["test"][first["method"]].get("errors"),
    }
    progress("timelines", 0, 1, "")
    timelines = _timelines(out, plan, load(runs[0].adapter, backbone=backbone))
    progress("timelines", 1, 1, "")
    lap("timelines")
    return LocalizationDemo(results, timelines, runs[0].skipped)


def run_config(
    out: Path,
    plan: LocalizationPlan,
    backbone_id: str,
    templates: Sequence[str],
    seed: int,
    *,
    preset: RunPreset = "robust",
) -> RunConfig:
    """Config of one run. Robust: what CLIP knew of names that are never annotated is kept."""
    return RunConfig.model_validate(
        {
            "task": "localization",
            "preset": preset,
            "seed": seed,
            "out": out / "runs" / f"localization-{preset}-seed{seed}",
            "data": {"source": out / "untrimmed", "held_out": plan.held_out},
            "backbone": {"id": backbone_id},
            "features": {"store": out / "untrimmed.lance", "sampling": plan.sampling},
            "model": {"preset": "A5"},
            "train": {
                "iterations": plan.iterations,
                "batch_size": plan.batch_size,
                "lr": 1e-3,
                "validate_every": max(1, plan.iterations // 4),
                "save_every": max(1, plan.iterations // 4),
                "log_every": max(1, plan.iterations // 60),
            },
            "localization": {
                "train_subset": "training",
                "val_subset": "validation",
                "test_subset": "testing",
                "width": 96,
                "levels": 5,
                "windows_per_step": 4,
                "max_proposals": 60,
                "max_segments": 100,
            },
            "evaluate": {"baselines": ("B-I",), "templates": tuple(templates)},
        }
    )


def _train(config: RunConfig, backbone: Backbone, stage: str, restart: bool, progress: Progress) -> RunResult:
    latest: dict[str, float] = {}

    def show(done: int, total: int, numbers: Mapping[str, float]) -> None:
        latest.update(numbers)
        val = f", val mAP {latest['val_average_map']:.0%}" if "val_average_map" in latest else ""
        progress(stage, done, total, f"loss {latest['loss']:.2f}{val}")

    def extraction(state: ExtractionProgress) -> None:
        rate = state.num_frames / max(state.elapsed_seconds, 1e-9)
        progress("extract untrimmed features", state.videos_done, state.num_videos, f"{rate:.0f} frames/s")

    callbacks = RunProgress(extraction=extraction, step=show)
    return train_localization(config, restart=restart, backbone=backbone, progress=callbacks)


def _spread(runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Method -> mean and spread over seeds of the mAP at each overlap and of their average."""
    table = {}
    for method, first in runs[0].items():
        columns = {tiou: [run[method]["map"][tiou] for run in runs] for tiou in first["map"]}
        columns["average"] = [run[method]["average_map"] for run in runs]
        table[method] = {
            name: {**asdict(mean_and_spread(values)), "values": values} for name, values in columns.items()
        }
    return table


def _timelines(out: Path, plan: LocalizationPlan, predictor: Predictor) -> list[tuple[str, str]]:
    """One test video asked for the trained names, and one asked for names that were never trained on."""
    pictures = []
    truth = {video.video_id: video for video in read_ground_truth(out / "untrimmed" / GROUND_TRUTH).videos}
    for split, labels, min_score, caption in (
        ("test", None, None, f"A test video, asked for the {len(plan.seen)} names it was trained on."),
        (
            "novel",
            plan.held_out,
            SHOWN_SCORE,
            "A video of actions that were never annotated, asked for by their names; the trained names compete, and "
            f"segments are shown from a score of {SHOWN_SCORE:g}.",
        ),
    ):
        path = out / "untrimmed" / split / f"untrimmed_{split}_0000.mp4"
        if not path.exists():
            continue
        answer = predictor.localize(path, labels, min_score=min_score, curves=True)
        frames = read_video(path, parse_sampling(f"uniform:{TIMELINE_FRAMES}"))
        pictures.append((caption, timeline_svg(answer, truth=truth[path.stem].segments, frames=frames)))
    return pictures
