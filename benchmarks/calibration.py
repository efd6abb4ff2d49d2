"""How well probabilities and the promise of "none of these" hold after a fit on few validation videos.

    python benchmarks/calibration.py --out DIR [--draws 20] [--sizes 10 20 40 80] [--train-videos 60] [--steps 600]

Trains A5 once on the built-in world, stores the logits of 850 videos to draw validation parts from and of 340 test
videos, and then fits on random draws, which takes seconds. Printed for each size: the temperatures found, the expected
calibration error on the test videos (15 bins, in points; without any temperature in the first line), its greatest value
over the draws, and the share of test videos that the fitted threshold keeps, of which 95 % is promised. Fewer videos
than the least number are not fitted: T = 1, nothing is promised.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from framecue.tasks.calibration import measure_calibration
from framecue.tasks.rejection import RejectionRule, calibrate, rejection_score

WINDOW, SAMPLING, TEST_VIDEOS = 16, "uniform:16", 20
Fitter = Callable[[npt.NDArray[np.float64], npt.NDArray[np.int64]], RejectionRule | None]


class Logits(NamedTuple):
    """[B, V, N] and [B] of the videos to draw from, and of the test videos."""

    pool: npt.NDArray[np.float64]
    pool_targets: npt.NDArray[np.int64]
    test: npt.NDArray[np.float64]
    test_targets: npt.NDArray[np.int64]


class Draw(NamedTuple):
    temperature: float
    error: float
    kept: float | None


def draws(logits: Logits, size: int, count: int, fit: Fitter) -> list[Draw]:
    """What fits on `count` random validation parts of `size` videos give on the test videos."""
    found = []
    for number in range(count):
        rows = np.random.default_rng([number, size]).permutation(len(logits.pool_targets))[:size]
        rule = fit(logits.pool[rows], logits.pool_targets[rows])
        temperature = 1.0 if rule is None else rule.temperature
        error = measure_calibration(logits.test, logits.test_targets, temperature)["ece"]
        kept = None
        if rule is not None:
            scores = rejection_score(rule.score, logits.test, temperature)
            kept = float(np.mean(scores >= rule.threshold))
        found.append(Draw(temperature, error, kept))
    return found


def print_table(logits: Logits, sizes: list[int], count: int, fit: Fitter) -> None:
    """A Markdown table of the draws, mean ± standard deviation."""
    own = 100 * measure_calibration(logits.test, logits.test_targets, 1.0)["ece"]
    accuracy = float(np.mean(logits.test.mean(axis=1).argmax(axis=1) == logits.test_targets))
    print(f"test top-1 {100 * accuracy:.1f} %, calibration error without a temperature {own:.1f}\n")
    print("| videos | temperature | calibration error | greatest | kept, % |\n| --- | --- | --- | --- | --- |")
    for size in sizes:
        found = draws(logits, size, count, fit)
        temperatures = [draw.temperature for draw in found]
        errors = [100 * draw.error for draw in found]
        kept = [100 * draw.kept for draw in found if draw.kept is not None]
        promise = f"{np.mean(kept):.1f} ± {np.std(kept, ddof=1):.1f}" if kept else "nothing promised"
        print(
            f"| {size} | {min(temperatures):.2f} to {max(temperatures):.2f} | {np.mean(errors):.1f} ± "
            f"{np.std(errors, ddof=1):.1f} | {max(errors):.1f} | {promise} |",
            flush=True,
        )


def collect(out: Path, train_videos: int, steps: int) -> Logits:
    """Logits of a model trained in the folder `out`; those of an earlier call with the same numbers are read again."""
    path = out / f"logits-{train_videos}-{steps}.npz"
    if not path.exists():
        pool, pool_targets, test, test_targets = _train(out, train_videos, steps)
        np.savez(path, pool=pool, pool_targets=pool_targets, test=test, test_targets=test_targets)
    stored = np.load(path)
    return Logits(*(stored[name] for name in Logits._fields))


def _train(out: Path, train_videos: int, steps: int) -> Logits:
    from framecue.backbone import load_backbone
    from framecue.config import RunConfig
    from framecue.datasets.feature_set import FeatureCache, FeatureSet
    from framecue.datasets.records import load_records
    from framecue.datasets.world import SEEN_CLASSES, write_world
    from framecue.features.extract import extract, make_maker
    from framecue.features.store import FeatureStore
    from framecue.models.builders import build_model
    from framecue.tasks.recognition import RecognitionTask, predict_logits
    from framecue.training.loop import train
    from framecue.types import Record

    names = tuple(sorted(SEEN_CLASSES))
    counts = {"train": 100, "val": 10, "test": TEST_VIDEOS}
    write_world(out / "videos", classes=names, videos_per_class=counts, workers=0)
    records, _ = load_records(out / "videos")
    backbone = load_backbone("tiny", device="cpu")
    store = FeatureStore.open(out / "features.lance", make_maker(backbone, SAMPLING))
    extract([record.path for record in records], backbone=backbone, store=store, sampling=SAMPLING)
    hashes = store.resolve([record.path for record in records])
    fetch = FeatureCache(store.get_many)

    def part(split: str, start: int = 0, end: int | None = None) -> list[Record]:
        mine = sorted((record for record in records if record.split == split), key=lambda record: str(record.path))
        return [record for name in names for record in [one for one in mine if one.label == name][start:end]]

    def feature_set(kept: list[Record]) -> FeatureSet:
        return FeatureSet(kept, [hashes[record.path] for record in kept], names, fetch)

    config = RunConfig.model_validate(
        {
            "out": out / f"run-{train_videos}-{steps}",
            "data": {"source": out / "videos"},
            "backbone": {"id": "tiny"},
            "features": {"sampling": SAMPLING},
            "model": {"preset": "A5"},
            "train": {"iterations": steps, "batch_size": 64, "lr": 1e-3, "restart_iterations": steps, "strides": (1,)},
            "evaluate": {"views": 1},
        }
    )
    model = build_model(config.model, backbone, seed=0)
    task = RecognitionTask(
        model,
        feature_set(part("train", end=train_videos)),
        None,
        train=config.train,
        evaluate=config.evaluate,
        window=WINDOW,
        seed=0,
    )
    config.out.mkdir(parents=True, exist_ok=True)
    train(task, config.train, config.out, fingerprint=f"{train_videos} {steps}")
    pool, test = feature_set(part("train", train_videos) + part("val")), feature_set(part("test"))
    logits = [
        predict_logits(model.eval(), data, names, window=WINDOW, num_views=1).astype(np.float64)
        for data in (pool, test)
    ]
    return Logits(logits[0], pool.targets, logits[1], test.targets)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for videos, features and logits")
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 20, 40, 80])
    parser.add_argument("--train-videos", type=int, default=60, help="of each class; few make a model that is too sure")
    parser.add_argument("--steps", type=int, default=600)
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    logits = collect(asked.out, asked.train_videos, asked.steps)
    print_table(logits, asked.sizes, asked.draws, lambda values, targets: calibrate(values, targets)[0])


if __name__ == "__main__":
    main()
