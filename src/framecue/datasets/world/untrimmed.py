"""Untrimmed videos of the built-in world: several actions on one stage, background between them, and where they are.

Background is what is no action: an empty stage, or a shape that only stands there. That shape is often the actor of the
action before or after, waiting in its last or first pose, so that no single frame tells action from background.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from framecue.datasets.world.canvas import Picture, Sprite, draw_sprite, random_backdrop, random_color, to_uint8
from framecue.datasets.world.motions import (
    NOVEL_CLASSES,
    SEEN_CLASSES,
    Course,
    moment_times,
    random_cast,
    random_course,
)
from framecue.datasets.world.videos import (
    CRF,
    FPS,
    HEIGHT_PX,
    SHARE_DISTRACTOR,
    SPLITS,
    WIDTH_PX,
    claim,
    each_written,
    still_distractor,
)
from framecue.errors import DatasetError
from framecue.files import write_text
from framecue.types import Segment
from framecue.video.writer import write_video

UNTRIMMED_SEEN_CLASSES: tuple[str, ...] = tuple(name for name in SEEN_CLASSES if name != "standing still")
"""`SEEN_CLASSES` without "standing still", which is background here."""

SUBSETS = {"train": "training", "val": "validation", "test": "testing", "novel": "testing"}
VIDEO_SECONDS = (18.0, 36.0)
ACTION_SECONDS = (1.5, 5.0)
BACKGROUND_SECONDS = (0.8, 4.0)
NUM_ACTIONS = (3, 6)
SHARE_EMPTY = 0.6
"""Of the stretches of background, so many show an empty stage; on the others a shape stands still."""

GROUND_TRUTH_FILE = "ground_truth.json"
LIVE_ACTIONS = frozenset({*UNTRIMMED_SEEN_CLASSES, *NOVEL_CLASSES})

Frames = npt.NDArray[np.uint8]
FrameSegment = tuple[int, int, str]
Entry = tuple[str, dict[str, object], bool]


@dataclass(frozen=True)
class Script:
    """What happens when in one video: background, action, background, ..., background; lengths in frames.

    Attributes:
        labels: the actions, in order.
        lengths: of the 2 * len(labels) + 1 stretches.
    """

    labels: tuple[str, ...]
    lengths: tuple[int, ...]

    @property
    def num_frames(self) -> int:
        """Frames of the video."""
        return sum(self.lengths)

    def segments(self) -> list[FrameSegment]:
        """(first frame, frame after the last, label) of each action."""
        edges = np.cumsum([0, *self.lengths]).tolist()
        return [(edges[2 * i + 1], edges[2 * i + 2], label) for i, label in enumerate(self.labels)]


def draw_labels(
    classes: Sequence[str], num_videos: int, rng: np.random.Generator, *, num_actions: tuple[int, int] = NUM_ACTIONS
) -> list[tuple[str, ...]]:
    """The actions of each video, from one shuffled bag: every class is drawn equally often, but for one time at most.

    So the two directions of an order pair come equally often, too.
    """
    counts = rng.integers(num_actions[0], num_actions[1] + 1, num_videos)
    bag: list[str] = []
    while len(bag) < counts.sum():
        bag += [classes[index] for index in rng.permutation(len(classes))]
    ends = np.cumsum(counts).tolist()
    return [tuple(bag[end - count : end]) for end, count in zip(ends, counts.tolist(), strict=True)]


def draw_script(labels: Sequence[str], rng: np.random.Generator) -> Script:
    """Lengths for the actions and the background around them, drawn until the video is neither too short nor too long.

    Few actions stretch, many shrink: a video of 3 to 6 of them holds `VIDEO_SECONDS`. One of none is background alone.
    """
    shortest, longest = (round(bound * FPS) for bound in VIDEO_SECONDS)
    if not labels:
        return Script((), (int(rng.integers(shortest, longest + 1)),))
    while True:
        lengths = []
        for stretch in range(2 * len(labels) + 1):
            low, high = ACTION_SECONDS if stretch % 2 else BACKGROUND_SECONDS
            lengths.append(int(rng.integers(np.ceil(low * FPS), np.floor(high * FPS) + 1)))
        if shortest <= sum(lengths) <= longest:
            return Script(tuple(labels), tuple(lengths))


def render_untrimmed(labels: Sequence[str], rng: np.random.Generator) -> tuple[Frames, list[FrameSegment]]:
    """Render one video of these 3 to 6 actions, in this order.

    Returns:
        uint8 RGB [T, H, W, 3] at `FPS`, and (first frame, frame after the last, label) of each action.
    """
    script = draw_script(labels, rng)
    return np.stack(list(render_script(script, rng))), script.segments()


def render_script(script: Script, rng: np.random.Generator) -> Iterator[Frames]:
    """The frames of a script one by one, uint8 RGB [H, W, 3]."""
    scenery = random_backdrop(rng, WIDTH_PX, HEIGHT_PX).picture.copy()
    casts = [random_cast(rng, label) for label in script.labels]
    courses = [random_course(label, cast, rng) for label, cast in zip(script.labels, casts, strict=True)]
    if rng.random() < SHARE_DISTRACTOR:
        model = casts[0] if casts else random_cast(rng, "standing still")
        draw_sprite(scenery, still_distractor(model.actor, random_color(rng)[1], rng))
    for stretch, length in enumerate(script.lengths):
        if stretch % 2:
            yield from (_picture(scenery, courses[stretch // 2](t)) for t in moment_times(length))
        else:
            yield from [_picture(scenery, _bystanders(courses, stretch // 2, rng))] * length


def _bystanders(courses: Sequence[Course], before: int, rng: np.random.Generator) -> list[Sprite]:
    """Who stands on the stage before the action of that number: nobody, its actor, the last one's, or somebody else."""
    waiting = [courses[before](0.0)] if before < len(courses) else []
    resting = [courses[before - 1](1.0)] if before else []
    stranger = random_course("standing still", random_cast(rng, "standing still"), rng)(0.0)
    choices = [*waiting, *resting, stranger]
    return [] if rng.random() < SHARE_EMPTY else choices[int(rng.integers(len(choices)))]


def _picture(scenery: Picture, sprites: Sequence[Sprite]) -> Frames:
    picture = scenery.copy()
    for sprite in sprites:
        draw_sprite(picture, sprite)
    return to_uint8(picture)


def to_seconds(segments: Sequence[FrameSegment]) -> list[Segment]:
    """From the time of the first frame until the last frame's is over, to the microsecond."""
    return [Segment(round(start / FPS, 6), round(end / FPS, 6), label) for start, end, label in segments]


def write_untrimmed(
    out_dir: Path | str,
    *,
    seed: int = 0,
    classes: Sequence[str] = UNTRIMMED_SEEN_CLASSES,
    held_out: Sequence[str] = (),
    num_videos: Mapping[str, int] = {"train": 120, "val": 30, "test": 60},
    num_idle: Mapping[str, int] = {},
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write `out_dir/<split>/untrimmed_<split>_0000.mp4` ... and `out_dir/ground_truth.json`; files that exist stay.

    The ground truth has the form of ActivityNet's, with the file's path below `out_dir` as "url" and the subsets
    "training", "validation" and "testing".

    Args:
        seed: all videos follow from it, whatever the number of workers.
        classes: what may happen: names from `UNTRIMMED_SEEN_CLASSES` and `NOVEL_CLASSES`, each equally often in every
            split.
        held_out: what happens in the videos of "novel", which belong to the subset "testing" too.
        num_videos: by split name out of "train", "val", "test", "novel".
        num_idle: videos beside these in which nothing happens, by split name.
        workers: processes; default one per core, 0 = in this process.
        on_progress: called with the number of videos done and in all, after each.

    Returns:
        Number of video files written now.

    Raises:
        DatasetError: a name is none of an action of the world, a split is unknown, or the folder holds a world of
            another recipe.
    """
    out_dir = Path(out_dir)
    _check(classes, held_out, num_videos, num_idle)
    recipe = {"seed": seed, "classes": list(classes), "held_out": list(held_out), "num_videos": dict(num_videos)}
    if num_idle:
        recipe["num_idle"] = dict(num_idle)
    claim(out_dir, {"untrimmed": True, **recipe})
    jobs = []
    for split in SUBSETS:
        pool = held_out if split == "novel" else classes
        shown = draw_labels(pool, num_videos.get(split, 0), _rng(seed, split))
        idle: list[tuple[str, ...]] = [()] * num_idle.get(split, 0)
        jobs += [(out_dir, split, index, seed, labels) for index, labels in enumerate([*shown, *idle])]
    entries: list[Entry] = []
    for entry in each_written(_write_one, jobs, workers):
        entries.append(entry)
        if on_progress is not None:
            on_progress(len(entries), len(jobs))
    content = {
        "version": "framecue built-in world, untrimmed",
        "taxonomy": _taxonomy([*classes, *held_out]),
        "database": {video_id: about for video_id, about, _ in entries},
    }
    write_text(out_dir / GROUND_TRUTH_FILE, json.dumps(content, indent=1) + "\n")
    return sum(written for *_, written in entries)


def write_long_untrimmed(
    path: Path | str, *, minutes: float, classes: Sequence[str] = UNTRIMMED_SEEN_CLASSES, seed: int = 0
) -> list[Segment]:
    """Write one long file: video after video, each on its own stage, and an empty stage where none fits any more.

    One frame is held at a time, however long the file.

    Returns:
        The actions in it, in order.

    Raises:
        DatasetError: a name is none of an action of the world.
        VideoError: the file cannot be written, or is to hold no frame.
    """
    _check_classes(classes)
    num_frames = round(minutes * 60 * FPS)
    rng = np.random.default_rng([seed, len(SPLITS)])
    segments: list[Segment] = []

    def frames() -> Iterator[Frames]:
        left = num_frames
        most = int(num_frames // (VIDEO_SECONDS[0] * FPS))
        for labels in draw_labels(classes, most, rng):
            script = draw_script(labels, rng)
            if script.num_frames > left:
                break
            start = num_frames - left
            segments.extend(
                to_seconds([(start + first, start + end, label) for first, end, label in script.segments()])
            )
            yield from render_script(script, rng)
            left -= script.num_frames
        yield from [to_uint8(random_backdrop(rng, WIDTH_PX, HEIGHT_PX).picture)] * left

    write_video(path, frames(), FPS, crf=CRF)
    return segments


def _write_one(out_dir: Path, split: str, index: int, seed: int, labels: Sequence[str]) -> Entry:
    rng = _rng(seed, split, index + 1)
    path = out_dir / split / f"untrimmed_{split}_{index:04d}.mp4"
    script = draw_script(labels, rng)
    written = not path.exists()
    if written:
        write_video(path, render_script(script, rng), FPS, crf=CRF)
    found = to_seconds(script.segments())
    about: dict[str, object] = {
        "duration": round(script.num_frames / FPS, 6),
        "subset": SUBSETS[split],
        "resolution": f"{WIDTH_PX}x{HEIGHT_PX}",
        "url": path.relative_to(out_dir).as_posix(),
        "annotations": [{"segment": [part.start_seconds, part.end_seconds], "label": part.label} for part in found],
    }
    return path.stem, about, written


def _rng(seed: int, split: str, number: int = 0) -> np.random.Generator:
    return np.random.default_rng([seed, list(SUBSETS).index(split), number, *b"untrimmed"])


def _check(
    classes: Sequence[str], held_out: Sequence[str], num_videos: Mapping[str, int], num_idle: Mapping[str, int]
) -> None:
    _check_classes(classes)
    if num_videos.get("novel"):
        _check_classes(held_out)
    for split in (*num_videos, *num_idle):
        if split not in SUBSETS:
            raise DatasetError(
                f"{split!r}: the splits of an untrimmed world are {', '.join(SUBSETS)}; use one of them."
            )


def _check_classes(classes: Sequence[str]) -> None:
    if not classes:
        raise DatasetError("classes: an untrimmed video needs at least one action to show; got no name.")
    for name in classes:
        if name not in LIVE_ACTIONS:
            raise DatasetError(
                f"{name!r}: an untrimmed video is made of the world's actions, and this is none of them "
                f"('standing still' is background); choose from UNTRIMMED_SEEN_CLASSES and NOVEL_CLASSES."
            )


def _taxonomy(classes: Sequence[str]) -> list[dict[str, object]]:
    """The flat tree of ActivityNet's form: a root, and the classes below it."""
    root: dict[str, object] = {"nodeName": "Root", "nodeId": 0, "parentName": None, "parentId": None}
    leaves = [
        {"nodeName": name, "nodeId": index, "parentName": "Root", "parentId": 0}
        for index, name in enumerate(classes, start=1)
    ]
    return [root, *leaves]
