"""Video-level class scores of other people's classifiers, which field results often rest on; here off by default.

Whoever fuses them says so in the `external_data` of what is written: the strict protocol has none.
"""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from framecue.datasets.localization.notes import Tally
from framecue.datasets.localization.raw import number_of, read_json, usable_id
from framecue.datasets.localization.thumos import THUMOS14_CLASSES
from framecue.datasets.naming import class_key, find_class
from framecue.errors import DatasetError
from framecue.files import name_form

_LARGEST = float(np.finfo(np.float32).max)
_UCF101_CLASSES = 101
_THUMOS14_COLUMNS = (6, 8, 11, 20, 21, 22, 23, 25, 30, 32, 35, 39, 44, 50, 67, 78, 84, 91, 92, 96)
"""Of UCF101's classes by the alphabet from 0, those of `THUMOS14_CLASSES`."""


@dataclass(frozen=True, eq=False)
class ExternalScores:
    """How strongly each class is seen in each whole video.

    Attributes:
        labels: the N classes.
        scores: float32 [N] by video id; the higher, the surer, not always probabilities.
        source: where they were read, for `external_data`.
        notes: a line for each kind of entry that was left out.
    """

    labels: tuple[str, ...]
    scores: dict[str, npt.NDArray[np.float32]]
    source: str
    notes: tuple[str, ...]


def read_external_scores(path: str | Path, class_names: Sequence[str] | None = None) -> ExternalScores:
    """Scores of any of three known forms.

    JSON `{"results": {id: [score of each class]}, "class": [names]}` (CUHK's for ActivityNet). JSON `{id: {"class",
    "score"}}` with the best class alone (STALE's); the others get 0. NumPy [videos, 101] (UntrimmedNet's for THUMOS14):
    row i is `video_test_{i + 1:07d}`, its columns are UCF101's classes, of which those of THUMOS14 are read.

    Args:
        class_names: the classes to give, in this order, in any spelling; None = those of the file.

    Raises:
        DatasetError: the file cannot be read or is of none of these forms, or lacks one of `class_names`.
    """
    path = Path(path)
    tally, labels = Tally(path), tuple[str, ...](THUMOS14_CLASSES)
    if path.suffix.lower() == ".npy":
        rows = _read_untrimmed_net(path)
    else:
        content = read_json(path, tally)
        if isinstance(content, dict) and isinstance(content.get("results"), dict):
            labels, rows = _read_cuhk(content, path, tally)
        elif isinstance(content, dict) and all(isinstance(e, dict) and "class" in e for e in content.values()):
            labels, rows = _read_best(content, path, tally, class_names)
        else:
            raise DatasetError(
                f"{path} holds no class scores of a known form. Give CUHK's JSON (results, class), STALE's (class, "
                "score), or UntrimmedNet's .npy."
            )
    if class_names is not None:
        columns = [labels.index(find_class(name, labels, asked_by=str(path))) for name in class_names]
        rows = {video: row[columns] for video, row in rows.items()}
        labels = tuple(class_names)
    return ExternalScores(labels, rows, str(path), tally.lines())


def _read_untrimmed_net(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        table = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path} cannot be read as .npy: {str(error).splitlines()[0]}") from None
    if table.ndim != 2 or table.shape[1] != _UCF101_CLASSES or not np.issubdtype(table.dtype, np.floating):
        raise DatasetError(
            f"{path}: UntrimmedNet's scores are floats [videos, {_UCF101_CLASSES}], found {table.dtype} "
            f"{list(table.shape)}. Give uNet_test.npy."
        )
    if not np.isfinite(table).all():
        raise DatasetError(f"{path}: {int((~np.isfinite(table)).sum())} scores are no finite numbers. Write it again.")
    columns = table[:, _THUMOS14_COLUMNS].astype(np.float32)
    return {f"video_test_{i:07d}": row for i, row in enumerate(columns, start=1)}


def _read_cuhk(
    content: dict[str, Any], path: Path, tally: Tally
) -> tuple[tuple[str, ...], dict[str, npt.NDArray[np.float32]]]:
    labels = content.get("class")
    if not isinstance(labels, list) or not labels or not all(isinstance(name, str) for name in labels):
        raise DatasetError(f"{path}: 'class' must list the names of the scores' classes. Restore the file.")
    found = {}
    for key, row in content["results"].items():
        origin = f"{path}, video {key!r}"
        numbers = [number_of(value) for value in row] if isinstance(row, list) else []
        if len(numbers) != len(labels) or not (np.abs(numbers) <= _LARGEST).all():
            tally.fault("score", origin, f"{len(numbers)} scores for {len(labels)} classes, or one that is no number")
        elif (video_id := usable_id(key, origin, tally)) is not None:
            found[video_id] = np.array(numbers, dtype=np.float32)
    return tuple(labels), found


def _read_best(
    content: dict[str, Any], path: Path, tally: Tally, class_names: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, npt.NDArray[np.float32]]]:
    written = {name_form(str(entry["class"])): str(entry["class"]) for entry in reversed(content.values())}
    names = class_names or sorted(written.values())
    places = {class_key(name): place for place, name in enumerate(names)}
    found = {}
    for key, entry in content.items():
        origin = f"{path}, video {key!r}"
        score, place = number_of(entry.get("score")), places.get(class_key(str(entry["class"])))
        if not abs(score) <= _LARGEST:
            tally.fault("score", origin, reprlib.repr(entry.get("score")))
        elif place is None:
            tally.add("other label", f"{key}, {entry['class']}")
        elif (video_id := usable_id(key, origin, tally)) is not None:
            found[video_id] = np.zeros(len(names), dtype=np.float32)
            found[video_id][place] = score
    return tuple(names), found
