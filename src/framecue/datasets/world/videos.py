"""Videos of the built-in world: rendered frames, and a folder of real MP4 files with labels and captions."""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from framecue.datasets.world.canvas import Sprite, draw_sprite, random_backdrop, random_color, to_uint8
from framecue.datasets.world.captions import describe, plain_caption, shorter_captions
from framecue.datasets.world.motions import FORWARD_OF, SEEN_CLASSES, moment_times, random_cast, random_course
from framecue.errors import DatasetError
from framecue.files import write_text
from framecue.video.writer import write_video
from framecue.workers import allow_cpu_seconds, map_ordered

WIDTH_PX, HEIGHT_PX = 128, 96
FPS = 12.0
NUM_FRAMES = 24
SPLITS = ("train", "val", "test")
CRF = 18
SHARE_DISTRACTOR = 0.15
_RENDERING_CPU_SECONDS = 3600.0

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class Clip:
    """One rendered video: uint8 RGB [T, H, W, 3], its class name, a sentence about it, and two that say less."""

    frames: npt.NDArray[np.uint8]
    label: str
    caption: str
    shorter_captions: tuple[str, ...]


def render_clip(label: str, rng: np.random.Generator, *, num_frames: int = NUM_FRAMES) -> Clip:
    """Render one video of the class. The second class of an order pair is the first's frames, in reverse order.

    So two generators in the same state give, for the two classes of an order pair, the same frames run both ways.
    """
    motion = FORWARD_OF.get(label, label)
    backdrop = random_backdrop(rng, WIDTH_PX, HEIGHT_PX)
    cast = random_cast(rng, motion)
    course = random_course(motion, cast, rng)
    scenery = backdrop.picture.copy()
    if rng.random() < SHARE_DISTRACTOR:
        draw_sprite(scenery, still_distractor(cast.actor, random_color(rng)[1], rng))
    frames = []
    for t in moment_times(num_frames):
        picture = scenery.copy()
        for sprite in course(t):
            draw_sprite(picture, sprite)
        frames.append(to_uint8(picture))
    color_names = (cast.color_name, cast.partner_color_name)[: len(course(0.5))]
    facts = describe(course(0.5), color_names, backdrop, label)
    ordered = np.stack(frames if motion == label else frames[::-1])
    return Clip(ordered, label, plain_caption(facts), shorter_captions(facts))


def still_distractor(actor: Sprite, color: tuple[int, int, int], rng: np.random.Generator) -> Sprite:
    """A small bystander in a corner, which never moves."""
    x, y = rng.choice([0.06, 0.94], 2)
    return replace(actor, x=float(x), y=float(y), radius=0.05, color=color, shape=str(rng.choice(["circle", "square"])))


def write_world(
    out_dir: Path | str,
    *,
    seed: int = 0,
    classes: Sequence[str] = SEEN_CLASSES,
    videos_per_class: Mapping[str, int],
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `out_dir/<split>/<class name>/<stem>.mp4` and `out_dir/captions.jsonl`; files that exist are kept.

    A training video has three captions, the whole sentence and two that say less, so that short queries are learned as
    well; in "val" and "test" each has the whole sentence alone, which fits hardly any other video.

    In "val" and "test" the two classes of an order pair hold the same videos, run both ways: whoever ignores the order
    of frames cannot get both right. Every file is coded intra-only, so that the two hold the very same pixels.

    Args:
        seed: the whole world follows from it, whatever the number of workers.
        classes: class names from `SEEN_CLASSES` and `NOVEL_CLASSES`.
        videos_per_class: number of videos of every class, by split name out of "train", "val", "test".
        workers: processes; default one per core, 0 = in this process.
        on_progress: called with the number of videos done and in all, after each.

    Returns:
        Number of files written now.

    Raises:
        DatasetError: the folder holds a world of another recipe.
    """
    out_dir = Path(out_dir)
    claim(out_dir, {"seed": seed, "classes": list(classes), "videos_per_class": dict(videos_per_class)})
    jobs = [
        (out_dir, split, label, index, seed)
        for split in SPLITS
        for label in classes
        for index in range(videos_per_class.get(split, 0))
    ]
    lines = []
    for entry in each_written(_write_clip, jobs, workers):
        lines.append(entry)
        if on_progress is not None:
            on_progress(len(lines), len(jobs))
    write_text(out_dir / "captions.jsonl", "".join(json.dumps(entry) + "\n" for entry, _ in lines))
    return sum(written for _, written in lines)


def clip_rng(seed: int, split: str, label: str, index: int) -> np.random.Generator:
    """The generator of one video: shared by the two classes of an order pair, except in "train"."""
    name = label if split == "train" else FORWARD_OF.get(label, label)
    return np.random.default_rng([seed, SPLITS.index(split), index, *name.encode()])


def _write_clip(out_dir: Path, split: str, label: str, index: int, seed: int) -> tuple[dict[str, Any], bool]:
    path = out_dir / split / label / f"{label.replace(' ', '_')}_{index:04d}.mp4"
    clip = render_clip(label, clip_rng(seed, split, label, index))
    written = not path.exists()
    if written:
        write_video(path, clip.frames, FPS, crf=CRF, intra_only=True)
    caption = [clip.caption, *clip.shorter_captions] if split == "train" else clip.caption
    return {"path": path.relative_to(out_dir).as_posix(), "label": label, "caption": caption}, written


def each_written(write: Callable[..., Entry], jobs: Sequence[tuple[Any, ...]], workers: int | None) -> Iterator[Entry]:
    """`write(*job)` of every job, in their order; by `workers` processes, 0 = in this one."""
    if workers == 0:
        yield from (write(*job) for job in jobs)
        return
    yield from map_ordered(_write_unhurried, [(write, job) for job in jobs], workers or os.cpu_count() or 1)


def _write_unhurried(write: Callable[..., Entry], job: tuple[Any, ...]) -> Entry:
    allow_cpu_seconds(_RENDERING_CPU_SECONDS)
    return write(*job)


def claim(out_dir: Path, recipe: dict[str, object]) -> None:
    """Write the recipe before the first video, so that videos of two recipes never share a folder unnoticed."""
    path, text = out_dir / "world.json", json.dumps(recipe, indent=2) + "\n"
    out_dir.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_text(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise DatasetError(
            f"{out_dir}: a world has one recipe, and world.json holds another; choose another folder or delete it."
        )
