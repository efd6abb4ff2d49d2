"""Where a run departs from the authors' program, why, and the override that removes each departure.

Their program is github.com/ju-chen/Efficient-Prompt at commit 1f69a18: feat/visfeat.py extracts features, src/ trains
and evaluates recognition on them. Nothing was released for localization and retrieval, so that only what these share
with recognition can be compared: features, prompts, temporal module, similarity.

A choice that their program has a flag for (prompt vectors, layers, heads, learning rate, batch size, steps, number of
views) is no departure. docs/results.md lists what no switch removes.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from framecue.config.sections import RunConfig


class Departure(NamedTuple):
    """One difference from the authors' program.

    Attributes:
        what: a few words.
        ours, theirs: what is done here, and there.
        why: the reason for ours.
        switch: the override that does it their way.
    """

    what: str
    ours: str
    theirs: str
    why: str
    switch: str


_CHOSEN = "this run's config says so"
_CONSTANTS: dict[str, Any] = {
    "model.temperature": 0.07,
    "model.temporal_gate": False,
    "model.temporal_weight": 1.0,
    "model.handcrafted_weight": 0.0,
    "train.weight_decay": 0.01,
    "train.min_lr_ratio": 0.01,
    "train.strides": (1, 2, 3, 3, 3, 4),
    "train.balance": "none",
    "train.init_from": None,
    "train.distill_text": 0.0,
    "train.distill_video": 0.0,
    "train.distill_logits": 0.0,
    "train.ema_decay": 0.0,
    "blend.temporal_weights": (),
    "blend.handcrafted_weights": (),
    "blend.trained_weights": (),
}
"""Keys with the value that is fixed in their program, or means that a thing it has not is off."""


def departures(
    config: RunConfig,
    *,
    on_gpu: bool = False,
    num_train: int | None = None,
    num_val: int | None = None,
    own_val: bool = False,
) -> list[Departure]:
    """What departs from the authors' program in a run; empty where it does as they do.

    Args:
        on_gpu: decides the precisions that the config leaves open.
        num_train, num_val: training and validation videos; None = not known yet, and then as the config says.
        own_val: whether the source has a validation part of its own.
    """
    found = [*_features(config, on_gpu), *_prompts(config)]
    if config.task == "recognition":
        found += [*_frames(config), *_parts(config, num_train, num_val, own_val)]
    sections = ("model", "train", "blend") if config.task == "recognition" else ("model",)
    return found + [item for item in _constants(config) if item.what.split(".")[0] in sections]


def departures_note(config: RunConfig, found: Sequence[Departure]) -> str:
    """One line for people: how many, which, and the overrides that remove them all."""
    scope = "" if config.task == "recognition" else f", which has no {config.task}, in what it shares with recognition"
    if not found:
        return f"preset={config.preset} as in the authors' program{scope}"
    points = "1 point" if len(found) == 1 else f"{len(found)} points"
    return (
        f"preset={config.preset} departs from the authors' program{scope} in {points}: "
        f"{', '.join(item.what for item in found)}. Why stands in results.json (protocol.departures); to do as they "
        f"do, in another out: {' '.join(item.switch for item in found)}"
    )


def departures_json(found: Sequence[Departure]) -> list[dict[str, str]]:
    """For a results file."""
    return [item._asdict() for item in found]


def _features(config: RunConfig, on_gpu: bool) -> Iterator[Departure]:
    default = "bf16" if on_gpu else "fp32"
    if (text := config.train.precision or default) != "fp32":
        yield Departure(
            "text precision",
            text,
            "fp32",
            "a training step takes about half the time",
            "train.precision=fp32",
        )
    if (config.backbone.precision or default) == "bf16":
        yield Departure(
            "image precision",
            "bf16",
            "fp16",
            "bf16 cannot overflow, and runs on every device; fp32 holds whatever fp16 does",
            f"backbone.precision={'fp16' if on_gpu else 'fp32'}",
        )
    if config.backbone.channels != "bgr":
        yield Departure(
            "order of colors",
            "RGB",
            "BGR, as OpenCV hands frames over; whether their released features were made so is not known",
            "every CLIP was trained on RGB",
            "backbone.channels=bgr",
        )
    if config.features.dtype != "float32":
        yield Departure(
            "stored features",
            config.features.dtype,
            "files of float64, so that no digit is lost",
            "half the disk; float16 keeps as many digits as the fp16 image tower that made theirs",
            "features.dtype=float32",
        )


def _prompts(config: RunConfig) -> Iterator[Departure]:
    if config.model.n_suffix and config.model.suffix_layout != "absolute":
        yield Departure(
            "suffix layout",
            "the same suffix vectors for every name, as the paper says",
            "rows of a table by token position, so that names of different lengths get different vectors",
            "the paper describes vectors shared by all names; theirs can hardly be meant",
            "model.suffix_layout=absolute",
        )


def _frames(config: RunConfig) -> Iterator[Departure]:
    if config.features.sampling != "all":
        yield Departure(
            "frames per second",
            config.features.sampling,
            "every frame of the file",
            "fewer frames to decode, encode and store; strides count in frames that are kept",
            "features.sampling=all",
        )
    if config.train.windows != "authors":
        yield Departure(
            "training windows",
            "a stride is kept exactly, every start is drawn, and a grid of just the window's length is used",
            "a rounded grid; the last start is never drawn; a grid of at most the window's length is given up for "
            "stride 1",
            "a window then means the same in every video, and the last frames are trained on",
            "train.windows=authors",
        )
    if not config.evaluate.random_views:
        yield Departure(
            "views",
            f"{config.evaluate.views} windows evenly spread over the video",
            "windows drawn as in training, anew at each evaluation",
            "the same adapter gives the same numbers",
            "evaluate.random_views=true",
        )


def _parts(config: RunConfig, num_train: int | None, num_val: int | None, own_val: bool) -> Iterator[Departure]:
    train, wanted = config.train, config.data.val_fraction
    reason = "an accuracy on the part that chose the weights would be too high"
    theirs = "trains on all training videos, prints the test accuracy of each epoch, and leaves the choice to people"
    if own_val and num_val and train.validate_every < train.iterations:
        yield Departure(
            "choice of weights",
            f"the best of {train.iterations // train.validate_every} validations on the source's own part",
            theirs,
            reason,
            f"train.validate_every={train.iterations}",
        )
    elif not own_val and (wanted if num_val is None else num_val):
        count = f"{wanted:g} of each class's" if num_val is None else f"{num_val}"
        yield Departure(
            "validation part",
            f"{count} training videos are kept out of training, and choose the weights",
            theirs,
            reason,
            "data.val_fraction=0",
        )
    if num_train is not None and num_train < train.batch_size:
        yield Departure(
            "small training set",
            f"all {num_train} videos at each step",
            f"no step at all with fewer than --batchsize {train.batch_size} videos: it waits for ever",
            "few-shot training needs it",
            f"train.batch_size={num_train}",
        )


def _constants(config: RunConfig) -> Iterator[Departure]:
    for key, theirs in _CONSTANTS.items():
        section, name = key.split(".")
        ours = getattr(getattr(config, section), name)
        if key == "model.temperature" and not config.model.normalize:
            continue  # without normalization there is none, here as there
        same = sorted(ours) == sorted(theirs) if isinstance(theirs, tuple) else ours == theirs
        if not same:
            yield Departure(key, _plain(ours), _plain(theirs), _CHOSEN, f"{key}={_plain(theirs)}")


def _plain(value: Any) -> str:  # Any: the value of a key
    return str(value) if isinstance(value, str | Path) else json.dumps(value, separators=(",", ":"))
