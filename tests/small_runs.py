"""Whole but tiny runs of every task on the same few clips, for tests of what an adapter remembers of them."""

import json
from pathlib import Path

import numpy as np

from framecue.config import RunConfig
from framecue.training.localization import train_localization
from framecue.training.recognition import train_recognition
from framecue.training.retrieval import train_retrieval
from framecue.video.writer import write_video

TRAIN = {"recognition": train_recognition, "localization": train_localization, "retrieval": train_retrieval}
LABELS = ("left", "right")
SUBSETS = ("training",) * 8 + ("validation",) * 4
"""Of each clip in a ground truth; further ones are of the last."""


def write_clips(folder: Path) -> list[Path]:
    """Sixteen clips of 2 s, a bright bar that walks left or right."""
    for number in range(16):
        frames = np.full((8, 32, 32, 3), 20 + 8 * number, np.uint8)
        for row, frame in enumerate(frames):
            at = 3 * row if number % 2 else 24 - 3 * row
            frame[:, at : at + 6] = 250 - 7 * number
        write_video(folder / f"{number}.mp4", frames, 4)
    return [folder / f"{number}.mp4" for number in range(16)]


def write_data(
    task: str, folder: Path, entries: dict[str, tuple[Path, str]], subset=SUBSETS, *, broken: bool = False
) -> str:
    """A data source of these videos, name -> (clip, label), without parts but for localization's; its path.

    Args:
        broken: two files of the same content among them that are no videos.
    """
    if broken:
        entries = entries | {f"broken_{label}": (folder / "99", label) for label in LABELS}
    for name, (clip, label) in entries.items():
        target = folder / label / f"{name}.mp4" if task == "recognition" else folder / f"{name}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(clip.read_bytes() if clip.exists() else b"")
    if task == "localization":
        database = {
            name: {
                "subset": subset[int(clip.stem)] if int(clip.stem) < len(subset) else subset[-1],
                "duration": 2.0,
                "annotations": [{"segment": [0.25 + 0.05 * int(clip.stem), 1.25], "label": label}],
            }
            for name, (clip, label) in entries.items()
        }
        (folder / "ground_truth.json").write_text(json.dumps({"database": database}))
    if task == "retrieval":
        lines = [
            {"video": f"{name}.mp4", "caption": f"bar {clip.stem} walks {label}"}
            for name, (clip, label) in entries.items()
        ]
        (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        return str(folder / "captions.jsonl")
    return str(folder)


def run_config(task: str, source: str, out: Path, **sections) -> RunConfig:
    values = {
        "data": {"source": source, "val_fraction": 0.25},
        "backbone": {"id": "tiny", "device": "cpu"},
        "features": {"sampling": "all", "dtype": "float32"},
        "model": {"n_prefix": 2, "n_suffix": 2, "temporal_layers": 1, "num_frames": 4},
        "train": {"iterations": 3, "batch_size": 4, "validate_every": 2, "save_every": 3},
        "localization": {"window": 8, "width": 8, "levels": 2, "windows_per_step": 2, "max_segments": 20},
        "evaluate": {"views": 1, "templates": ["{}"]},
    }
    if task != "localization":
        del values["localization"]
    values = {name: {**value, **sections.get(name, {})} for name, value in values.items()}
    return RunConfig.model_validate({"task": task, "out": str(out), **values})


def entries_of(clips: list[Path], numbers) -> dict[str, tuple[Path, str]]:
    """Name -> (clip, label) of these clips."""
    return {f"v{number}": (clips[number], LABELS[number % 2]) for number in numbers}
