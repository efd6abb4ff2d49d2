"""The whole product on the built-in world: render, extract, train, evaluate, classify, localize, search, report.

Every stage keeps what is there: the same call after an interruption goes on where it stopped.
"""

import json
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from framecue.api import load
from framecue.backbone import Backbone, load_backbone
from framecue.config import RunConfig
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES, render_clip, write_world
from framecue.errors import ConfigError
from framecue.features.extract import ExtractionProgress
from framecue.files import write_text
from framecue.models.adapter import load_adapter, read_card
from framecue.models.video_text import num_trainable
from framecue.report.demo_localization import LocalizationDemo, LocalizationPlan, run_localization
from framecue.report.demo_retrieval import RetrievalDemo, run_retrieval
from framecue.report.page import PageContent, Strip, render_page
from framecue.report.page_localization import localization_headline
from framecue.report.page_retrieval import retrieval_headline
from framecue.report.strips import TOP_K, film_frames, pick_strips
from framecue.report.summary import METHODS, SPREAD, Names, accuracy_table, collect, headline, per_class_table
from framecue.tasks.evaluation import rejection_rule
from framecue.tasks.recognition_data import RecognitionData, prepare
from framecue.training.log import read_log
from framecue.training.recognition import RunProgress, RunResult, train_recognition
from framecue.training.threads import single_thread
from framecue.types import Classification, Skipped
from framecue.video.writer import write_video

TRAINED = ("A3", "A5")
RESULTS, PAGE, TIMINGS = "results.json", "report.html", "timings.json"
TEMPLATES = ("{}", "a shape {}", "something {}", "a video of a shape {}", "a video of something {}")
NEW_FILE_SEED = 77_000  # of the files that are rendered after training
FPS = 12.0

Progress = Callable[[str, int, int, str], None]
"""Called with the stage, how much of it is done and in all, and a short note."""


@dataclass(frozen=True)
class DemoPlan:
    """How much is rendered and trained; the default takes about ten minutes on two cores.

    Attributes:
        seen, held_out: class names of the world.
        videos_per_class: by split.
        iterations: training steps by method.
        backbone: as `load_backbone` takes it.
        localization: of the untrimmed videos; None leaves them out.
        retrieval: whether videos are searched by sentences; needs the untrimmed ones.
        retrieval_iterations: training steps of it; None = those of the world's own table.
    """

    seen: tuple[str, ...] = SEEN_CLASSES
    held_out: tuple[str, ...] = NOVEL_CLASSES
    videos_per_class: Mapping[str, int] = field(default_factory=lambda: {"train": 100, "val": 10, "test": 20})
    iterations: Mapping[str, int] = field(default_factory=lambda: {"A3": 600, "A5": 1000})
    batch_size: int = 64
    lr: Mapping[str, float] = field(default_factory=lambda: {"A3": 1e-2, "A5": 1e-3})
    backbone: str = "tiny"
    localization: LocalizationPlan | None = field(default_factory=LocalizationPlan)
    retrieval: bool = True
    retrieval_iterations: int | None = None


@dataclass(frozen=True)
class DemoResult:
    """Outcome of a demo.

    Attributes:
        results: the content of results.json.
        headline: what was found, in a sentence or two.
        new_files: what was said of the files rendered after training, with their true class names.
        results_path, page_path: the files written.
        skipped: videos that could not be read.
    """

    results: dict[str, Any]
    headline: str
    new_files: Sequence[tuple[str, Classification]]
    results_path: Path
    page_path: Path
    skipped: Sequence[Skipped]


@single_thread()
def run_demo(
    out: str | Path,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    plan: DemoPlan | None = None,
    restart: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> DemoResult:
    """Run all stages in the folder `out`, which holds videos, features, runs, results.json and report.html afterwards.

    results.json is the same, byte for byte, when the call is repeated; how long it took is in timings.json.

    Args:
        restart: train anew; videos and features are kept.
        command: the command line, for the record.

    Raises:
        FramecueError: as the parts do, such as a folder that holds a demo of another version.
    """
    out, plan, progress = Path(out), plan or DemoPlan(), progress or (lambda stage, done, total, note: None)
    clock = _Clock()
    _render(out, plan, progress)
    clock.lap("render")
    backbone = load_backbone(plan.backbone)
    configs = {(method, seed): run_config(out, plan, method, seed) for seed in seeds for method in TRAINED}
    data = _extract(configs["A3", seeds[0]], backbone, progress)
    clock.lap("extract")
    runs = {}
    for (method, seed), config in configs.items():
        runs[method, seed] = _train(config, backbone, f"train {method}, seed {seed}", restart, progress)
        clock.lap(f"train {method}-seed{seed}")
    by_method = {method: [runs[method, seed] for seed in seeds] for method in TRAINED}
    results = _results(by_method, configs, data, plan, seeds, command)
    progress("report", 0, 1, "")
    adapter = by_method["A5"][0].adapter
    model = load_adapter(adapter, backbone).eval()
    answers = _classify_new(out, adapter, plan)
    results |= {
        "adapter": {"trained_numbers": num_trainable(model)},
        "new_files": [_as_plain(truth, answer, out) for truth, answer in answers],
    }
    found_in_time = _find_in_time(out, plan, backbone, seeds, restart, progress, clock)
    if found_in_time is not None:
        results["localization"] = found_in_time.results
    searched = _search(out, plan, backbone, seeds, restart, progress, clock)
    if searched is not None:
        results["retrieval"] = searched.results
    mirrored, samples = pick_strips(data, model, TEMPLATES, rule=rejection_rule(read_card(adapter)))
    new_strips = [_new_strip(truth, answer, plan) for truth, answer in answers]
    logs = {method: [read_log(run.adapter.parent) for run in by_method[method]] for method in TRAINED}
    timelines = found_in_time.timelines if found_in_time else ()
    found_moments = searched.found if searched else ()
    content = PageContent(results, logs, mirrored, samples, new_strips, timelines, found_moments)
    write_text(out / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    write_text(out / PAGE, render_page(content))
    clock.lap("report")
    write_text(out / TIMINGS, json.dumps(clock.record(), indent=2) + "\n")
    progress("report", 1, 1, "")
    sentences = [*headline(results["accuracy"], results["order_blind_ceiling"])]
    skipped = list(data.skipped)
    if found_in_time is not None:
        sentences.append(localization_headline(found_in_time.results))
        skipped += found_in_time.skipped
    if searched is not None:
        sentences.append(retrieval_headline(searched.results))
    found = " ".join(sentence for sentence in sentences if sentence)
    return DemoResult(results, found, answers, out / RESULTS, out / PAGE, skipped)


def _find_in_time(
    out: Path,
    plan: DemoPlan,
    backbone: Backbone,
    seeds: Sequence[int],
    restart: bool,
    progress: Progress,
    clock: "_Clock",
) -> LocalizationDemo | None:
    """The half of untrimmed videos, where the plan has it."""
    if plan.localization is None:
        return None
    return run_localization(
        out,
        plan.localization,
        backbone,
        backbone_id=plan.backbone,
        templates=TEMPLATES,
        seeds=seeds,
        restart=restart,
        progress=progress,
        lap=clock.lap,
    )


def _search(
    out: Path,
    plan: DemoPlan,
    backbone: Backbone,
    seeds: Sequence[int],
    restart: bool,
    progress: Progress,
    clock: "_Clock",
) -> RetrievalDemo | None:
    """The part of sentences, where the plan has it."""
    if not plan.retrieval or plan.localization is None:
        return None
    return run_retrieval(
        out,
        backbone,
        backbone_id=plan.backbone,
        seen=plan.seen,
        held_out=plan.held_out,
        seeds=seeds,
        iterations=plan.retrieval_iterations,
        restart=restart,
        progress=progress,
        lap=clock.lap,
    )


def run_config(out: Path, plan: DemoPlan, method: str, seed: int) -> RunConfig:
    """Config of one of the demo's runs; the baselines are measured beside A3."""
    iterations = plan.iterations[method]
    return RunConfig.model_validate(
        {
            "seed": seed,
            "out": out / "runs" / f"{method}-seed{seed}",
            "data": {"source": out / "videos", "classes": plan.seen + plan.held_out, "held_out": plan.held_out},
            "backbone": {"id": plan.backbone},
            "features": {"store": out / "features.lance", "sampling": "uniform:16"},
            "model": {"preset": method},
            "train": {
                "iterations": iterations,
                "batch_size": plan.batch_size,
                "lr": plan.lr[method],
                "restart_iterations": iterations,
                "strides": (1,),
                "validate_every": max(1, iterations // 12),
                "save_every": max(1, iterations // 6),
                "log_every": max(1, iterations // 60),
            },
            "evaluate": {
                "views": 1,
                "baselines": ("B-I", "B-II") if method == "A3" else (),
                "templates": TEMPLATES,
            },
        }
    )


def _render(out: Path, plan: DemoPlan, progress: Progress) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"out: {out} cannot be a folder ({error.strerror}); choose another one.") from error
    write_world(
        out / "videos",
        classes=plan.seen + plan.held_out,
        videos_per_class=plan.videos_per_class,
        workers=0,  # a pool of processes takes longer to start than it saves
        on_progress=lambda done, total: progress("render videos", done, total, ""),
    )


def _extract(config: RunConfig, backbone: Backbone, progress: Progress) -> RecognitionData:
    def show(state: ExtractionProgress) -> None:
        rate = state.num_frames / max(state.elapsed_seconds, 1e-9)
        progress("extract features", state.videos_done, state.num_videos, f"{rate:.0f} frames/s")

    return prepare(config, backbone, progress=show)


def _train(config: RunConfig, backbone: Backbone, stage: str, restart: bool, progress: Progress) -> RunResult:
    latest: dict[str, float] = {}

    def show(done: int, total: int, numbers: Mapping[str, float]) -> None:
        latest.update(numbers)
        val = f", val {latest['val_top1']:.0%}" if "val_top1" in latest else ""
        progress(stage, done, total, f"loss {latest['loss']:.2f}{val}")

    return train_recognition(config, restart=restart, backbone=backbone, progress=RunProgress(step=show))


def _results(
    runs: Mapping[str, Sequence[RunResult]],
    configs: Mapping[tuple[str, int], RunConfig],
    data: RecognitionData,
    plan: DemoPlan,
    seeds: Sequence[int],
    command: str,
) -> dict[str, Any]:
    names = Names(data.test.class_names, data.novel.class_names)
    first = runs["A5"][0].results
    matrices = collect({method: [run.results for run in runs[method]] for method in runs})
    return {
        "what": "framecue demo: action recognition and localization on the built-in world",
        "command": command,
        "protocol": {
            **first["protocol"],
            "groups": {group: names.group(group) for group in ("seen", "order_pairs", "other_seen", "held_out")},
            "num_test_videos": len(data.test),
            "num_held_out_videos": len(data.novel),
            "frames": "16 of each video, evenly spread",
        },
        "seeds": list(seeds),
        "spread": SPREAD,
        "order_blind_ceiling": names.ceilings(),
        "accuracy": accuracy_table(matrices, names),
        "per_class": per_class_table(matrices, names),
        "confusion": {method: np.sum(matrices[method]["seen"], axis=0).tolist() for method in METHODS},
        "selected": {method: [run.results["selected"] for run in runs[method]] for method in runs},
        "backbone": first["backbone"],
        "config": {
            method: configs[method, seeds[0]].model_dump(mode="json", exclude={"seed", "out"}) for method in TRAINED
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in ("framecue", "torch", "transformers", "av", "numpy")},
    }


def _classify_new(out: Path, adapter: Path, plan: DemoPlan) -> list[tuple[str, Classification]]:
    """Two files outside of every part: one of a class that was trained on, one of a held-out name given as a label."""
    predictor = load(adapter)
    answers = []
    for truth, labels in ((plan.seen[0], None), *((name, plan.held_out) for name in plan.held_out[:1])):
        clip = render_clip(truth, np.random.default_rng([NEW_FILE_SEED, *truth.encode()]))
        path = out / "new" / f"{truth.replace(' ', '_')}.mp4"
        write_video(path, clip.frames, FPS)
        answers.append((truth, predictor.classify(path, labels, top_k=TOP_K)))
    return answers


def _as_plain(truth: str, answer: Classification, out: Path) -> dict[str, Any]:
    return {
        "path": answer.path.relative_to(out).as_posix(),
        "truth": truth,
        "labels": list(answer.labels),
        "scores": [round(score, 6) for score in answer.scores],
        "none_of_these": answer.none_of_these,
        "calibration": answer.calibration,
    }


def _new_strip(truth: str, answer: Classification, plan: DemoPlan) -> Strip:
    note = "a held-out name, asked with labels=[...]" if truth in plan.held_out else "one of the adapter's own classes"
    guesses = list(zip(answer.labels, answer.scores, strict=True))
    return Strip(truth, film_frames(answer.path), {"A5": guesses}, note, ("A5",) if answer.none_of_these else ())


class _Clock:
    """Seconds of each stage."""

    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._seconds: dict[str, float] = {}

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self._seconds[stage], self._last = round(now - self._last, 2), now

    def record(self) -> dict[str, Any]:
        total = round(time.perf_counter() - self._started, 2)
        return {"seconds": self._seconds, "total_seconds": total, "peak_memory_mib": peak_memory_mib()}


def peak_memory_mib() -> float | None:
    """Highest resident memory of this process so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
