"""What `preset=robust` costs on trained names and brings on novel ones, on fresh worlds.

    python benchmarks/robust_worlds.py --out runs/robust-worlds --worlds 1-10 --seeds 0 --rules
    python benchmarks/robust_worlds.py --out runs/robust-worlds --worlds 101-105 --seeds 0

A world is the built-in one of another seed: 17 names to train on, 8 novel ones. Its frames go straight to the built-in
backbone and no file of video is written. Of every run both sides of its blend are kept, so that whichever mix a rule
takes by base validation alone, its accuracy on base and novel test videos is there at once, and rules are compared
without training again. What is there is kept: the same call goes on where it stopped.
"""

import argparse
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from framecue.backbone import Backbone, load_backbone
from framecue.config import RUN_PRESETS, BlendConfig, RunConfig
from framecue.datasets.feature_set import FeatureSet, view_batch
from framecue.datasets.world import NOVEL_CLASSES, SEEN_CLASSES, render_clip
from framecue.datasets.world.motions import FORWARD_OF
from framecue.datasets.world.videos import FPS, NUM_FRAMES, clip_rng
from framecue.models.handcrafted import Handcrafted
from framecue.models.video_text import VideoTextModel
from framecue.pictures.picture import Picture
from framecue.report.demo import TEMPLATES
from framecue.tasks.blend import Blend, most_frozen, video_sides
from framecue.tasks.recognition_data import RecognitionData
from framecue.training.recognition import RunProgress, fit
from framecue.training.threads import single_thread
from framecue.types import FrameFeatures, Record
from framecue.video.sampling import uniform_indices

Arrays = Mapping[str, npt.NDArray[np.generic]]

WINDOW = 8  # frames of each video; half of the demo's, as are the training videos
VIDEOS = {"train": 50, "val": 10, "test": 20}
PARTS = {"train": SEEN_CLASSES, "val": SEEN_CLASSES, "test": SEEN_CLASSES, "novel": NOVEL_CLASSES}
PRESETS = ("paper", "robust")
PAPER, FROZEN = Blend(1.0, 1.0, 0.0), Blend(1.0, 0.0, 1.0)

WIDE, TEXTS = (1.0, 0.8, 0.65, 0.5, 0.35), (0.0, 0.5, 1.0)
ALWAYS = ((1.0, 0.0), (0.8, 0.5), (0.65, 0.5), (0.6, 0.5), (0.5, 0.5), (0.5, 1.0), (0.35, 0.5))


def _rule(temporal: Sequence[float], handcrafted: Sequence[float], standard_errors: float = 1.0) -> BlendConfig:
    return BlendConfig(
        temporal_weights=tuple(temporal), handcrafted_weights=tuple(handcrafted), standard_errors=standard_errors
    )


BEFORE, AFTER = _rule(WIDE, TEXTS), BlendConfig(**RUN_PRESETS["robust"]["blend"])
RULES = {
    "before: 1 to 0.35, text 0, 0.5, 1": BEFORE,
    "before, within half a standard error": _rule(WIDE, TEXTS, 0.5),
    "before, the best alone": _rule(WIDE, TEXTS, 0.0),
    "1 to 0.5, text 0, 0.5, 1": _rule(WIDE[:4], TEXTS),
    "1 to 0.5, text 0.5": _rule(WIDE[:4], (0.5,)),
    "1 to 0.5, text 0.5, within two": _rule(WIDE[:4], (0.5,), 2.0),
    "1 to 0.5, text 0.5, 1, within two": _rule(WIDE[:4], (0.5, 1.0), 2.0),
    "after: 1 to 0.6, text 0.5": AFTER,
    "1 to 0.65, text 0, 0.5, 1": _rule(WIDE[:3], TEXTS),
    "1 to 0.65, text 0.5": _rule(WIDE[:3], (0.5,)),
    **{f"always {temporal:g}, text {text:g}": _rule((temporal,), (text,)) for temporal, text in ALWAYS},
}


def run_config(folder: Path, preset: str, seed: int, iterations: int) -> RunConfig:
    """A5 with the demo's learning rate; half of its batch, frames and training videos, for time."""
    return RunConfig.model_validate(
        {
            "seed": seed,
            "preset": preset,
            "out": folder / f"{preset}-seed{seed}",
            "data": {"source": folder},
            "backbone": {"id": "tiny"},
            "features": {"sampling": f"uniform:{WINDOW}"},
            "model": {"preset": "A5", "num_frames": WINDOW},
            "train": {
                "iterations": iterations,
                "batch_size": 32,
                "lr": 1e-3,
                "restart_iterations": iterations,
                "strides": (1,),
                "validate_every": max(1, iterations // 12),
                "save_every": iterations,
            },
            "evaluate": {"views": 1, "templates": TEMPLATES},
        }
    )


def world_features(path: Path, seed: int, backbone: Backbone) -> Arrays:
    """Frame features [videos, T, D] of each part, the videos of a class one after another."""
    if path.exists():
        return dict(np.load(path))
    arrays = {}
    for part, names in PARTS.items():
        split = _split(part)
        rows: list[npt.NDArray[np.float32]] = []
        for name, index in itertools.product(names, range(VIDEOS[split])):
            if split != "train" and name in FORWARD_OF:  # the forward one's video, run backwards (world/videos.py)
                rows.append(rows[names.index(FORWARD_OF[name]) * VIDEOS[split] + index][::-1])
            else:
                clip = render_clip(name, clip_rng(seed, split, name, index))
                rows.append(_embed(clip.frames[uniform_indices(NUM_FRAMES, WINDOW)], backbone))
        arrays[part] = np.stack(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **arrays)
    return arrays


@torch.no_grad()
def _embed(frames: Sequence[npt.NDArray[np.uint8]], backbone: Backbone) -> npt.NDArray[np.float32]:
    crop = backbone.preprocessing.resize_crop
    pictures = torch.from_numpy(np.stack([crop(Picture(pixels)) for pixels in frames]))
    return backbone.encode_frames(pictures.permute(0, 3, 1, 2).contiguous()).numpy()


def world_data(arrays: Arrays) -> RecognitionData:
    """The parts as a run takes them."""
    return RecognitionData(**{part: _feature_set(part, arrays[part]) for part in PARTS}, skipped=[])


def _feature_set(part: str, features: npt.NDArray[np.float32]) -> FeatureSet:
    names, times = PARTS[part], np.arange(WINDOW) * NUM_FRAMES / WINDOW / FPS
    stored = {f"{part}{row}": FrameFeatures(video, times, NUM_FRAMES / FPS) for row, video in enumerate(features)}
    records = [Record(Path(key), names[row // VIDEOS[_split(part)]]) for row, key in enumerate(stored)]
    return FeatureSet(records, list(stored), tuple(sorted(names)), lambda keys: [stored[key] for key in keys])


def _split(part: str) -> str:
    return "test" if part == "novel" else part


@torch.no_grad()
def blend_sides(model: VideoTextModel, data: RecognitionData, handcrafted: Handcrafted) -> Arrays:
    """What a blend mixes, by part: video and text embeddings, trained and frozen."""
    model.handcrafted = handcrafted
    arrays = {}
    for part in ("val", "test", "novel"):
        videos: FeatureSet = getattr(data, part)
        slots = model.slots(videos.class_names)
        modeled, frozen = video_sides(model, [view_batch(videos, range(len(videos)), window=WINDOW, num_views=1)])
        sides = {"modeled": modeled, "frozen": frozen, "learned": model.embed_learned_text(slots)}
        sides |= {"handcrafted": slots.handcrafted, "targets": torch.from_numpy(videos.targets)}
        arrays |= {f"{part}_{name}": tensor.numpy() for name, tensor in sides.items()}
    return arrays


def accuracy(sides: Arrays, part: str, blend: Blend) -> float:
    """Top-1 of a mix, as `VideoTextModel` mixes and compares."""
    of = {name: torch.from_numpy(sides[f"{part}_{name}"]) for name in ("modeled", "frozen", "learned", "handcrafted")}
    text = torch.lerp(F.normalize(of["learned"], dim=-1), of["handcrafted"], blend.handcrafted)
    video = torch.lerp(of["frozen"], of["modeled"], blend.temporal)
    guesses = (F.normalize(video, dim=-1) @ F.normalize(text, dim=-1).T).argmax(dim=-1)
    return float((guesses.numpy() == sides[f"{part}_targets"]).mean())


def choose(sides: Arrays, rule: BlendConfig) -> Blend:
    """What a rule takes, by validation alone."""
    candidates = [Blend(1.0, *mix) for mix in itertools.product(rule.temporal_weights, rule.handcrafted_weights)]
    values = {candidate: accuracy(sides, "val", candidate) for candidate in candidates}
    return most_frozen(values, num_videos=len(sides["val_targets"]), standard_errors=rule.standard_errors)


def train_world(options: argparse.Namespace, world: int, backbone: Backbone) -> dict[str, list[Arrays]]:
    """Sides of every run of a world, by preset; trained where they are not there yet."""
    folder = options.out / f"world{world}"
    handcrafted = Handcrafted(backbone, TEMPLATES)
    data = None
    for preset, seed in itertools.product(PRESETS, options.seeds):
        path = _sides_path(folder, preset, seed)
        if not path.exists():
            data = data or world_data(world_features(folder / "features.npz", world, backbone))
            config = run_config(folder, preset, seed, options.iterations)
            np.savez(
                path, **blend_sides(fit(config, data, handcrafted, progress=RunProgress()).model, data, handcrafted)
            )
            print(f"trained: world {world}, {preset}, seed {seed}", flush=True)
    return {preset: [dict(np.load(_sides_path(folder, preset, seed))) for seed in options.seeds] for preset in PRESETS}


def _sides_path(folder: Path, preset: str, seed: int) -> Path:
    return folder / f"{preset}-seed{seed}.npz"


Worlds = Mapping[int, Mapping[str, Sequence[Arrays]]]


def measured(world: Mapping[str, Sequence[Arrays]], part: str, rule: BlendConfig) -> npt.NDArray[np.float64]:
    """Top-1 in % of each seed's `robust` run, blended as the rule says."""
    return np.array([100 * accuracy(sides, part, choose(sides, rule)) for sides in world["robust"]])


def fixed(world: Mapping[str, Sequence[Arrays]], preset: str, part: str, blend: Blend) -> npt.NDArray[np.float64]:
    """Top-1 in % of each seed's run of a preset at one mix."""
    return np.array([100 * accuracy(sides, part, blend) for sides in world[preset]])


def print_worlds(worlds: Worlds) -> None:
    """Top-1 in % on base and on novel test videos, mean and standard deviation over seeds."""
    print("| world | | paper | robust, before | robust, after | frozen CLIP |\n| --- | --- | --- | --- | --- | --- |")
    for number, world in worlds.items():
        for part, title in (("test", "seen"), ("novel", "novel")):
            columns = (
                fixed(world, "paper", part, PAPER),
                *(measured(world, part, rule) for rule in (BEFORE, AFTER)),
                fixed(world, "robust", part, FROZEN),
            )
            print(f"| {number} | {title} | " + " | ".join(map(_spread, columns)) + " |")


def print_rules(worlds: Worlds, rules: Mapping[str, BlendConfig]) -> None:
    """What each rule costs against `paper` on seen names and brings over frozen CLIP on novel ones, in points."""
    print("| rule | seen, mean | seen, worst world | novel, mean | novel, worst world |")
    print("| --- | --- | --- | --- | --- |")
    for title, rule in rules.items():
        seen, novel = np.array(
            [
                [
                    measured(world, "test", rule).mean() - fixed(world, "paper", "test", PAPER).mean(),
                    measured(world, "novel", rule).mean() - fixed(world, "robust", "novel", FROZEN).mean(),
                ]
                for world in worlds.values()
            ]
        ).T
        print(f"| {title} | {seen.mean():+.1f} | {seen.min():+.1f} | {novel.mean():+.1f} | {novel.min():+.1f} |")


def _spread(values: npt.NDArray[np.float64]) -> str:
    return f"{values.mean():.1f}" + (f" ± {values.std(ddof=1):.1f}" if len(values) > 1 and np.ptp(values) else "")


def numbers(text: str) -> list[int]:
    """ "1-3,7" -> 1, 2, 3, 7."""
    ends = [part.split("-") for part in text.split(",")]
    return [value for end in ends for value in range(int(end[0]), int(end[-1]) + 1)]


@single_thread()
def main() -> None:
    """Train what is not there yet, then print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for features and runs")
    parser.add_argument("--worlds", type=numbers, default="101-105", help="seeds of the worlds, such as 1-3,7")
    parser.add_argument("--seeds", type=numbers, default="0", help="of training, in each world")
    parser.add_argument("--iterations", type=int, default=600)
    parser.add_argument("--rules", action="store_true", help="compare all rules that were tried, not two")
    options = parser.parse_args()
    backbone = load_backbone("tiny", device="cpu")
    worlds = {world: train_world(options, world, backbone) for world in options.worlds}
    print_worlds(worlds)
    print_rules(worlds, RULES if options.rules else {"before": BEFORE, "after": AFTER})


if __name__ == "__main__":
    main()
