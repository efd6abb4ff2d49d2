"""Parts of what can be read, and each file once: the same rules in all three tasks, on real files."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from fakes import ColorBackbone
from framecue.config import RunConfig
from framecue.errors import DatasetError
from framecue.tasks.localization_data import prepare_localization
from framecue.tasks.recognition_data import prepare
from framecue.tasks.retrieval_data import prepare_retrieval
from framecue.video.writer import write_video

TASKS = ("recognition", "localization", "retrieval")
PREPARE = {"recognition": prepare, "localization": prepare_localization, "retrieval": prepare_retrieval}
LABELS = ("left", "right")


class Source:
    """Videos of two labels in a folder, listed as a task wants them: `rows` of (name in the list, label, part)."""

    def __init__(self, folder: Path, task: str) -> None:
        self.folder, self.task = folder, task
        self.rows: list[tuple[str, str, str | None]] = []

    def video(self, name: str, label: str = "left", part: str | None = None) -> Path:
        path = self.folder / name
        rng = np.random.default_rng(len(self.rows))
        write_video(path, rng.integers(0, 255, (4, 32, 32, 3), dtype=np.uint8), 4)
        self.rows.append((name, label, part))
        return path

    def broken(self, name: str, label: str, part: str | None = None) -> None:
        (self.folder / name).write_bytes(b"no video" * 99)
        self.rows.append((name, label, part))

    def listed(self) -> dict[str, str]:
        """The data section of a config."""
        if self.task == "localization":
            subsets = {"train": "training", "val": "val", "test": "testing", None: "training"}
            database = {
                name: {"subset": subsets[part], "annotations": [{"segment": [0.0, 0.5], "label": label}]}
                for name, label, part in self.rows
            }
            (self.folder / "ground_truth.json").write_text(json.dumps({"database": database}))
            return {"source": str(self.folder)}
        path = self.folder / "list.jsonl"
        key, video = ("label", "path") if self.task == "recognition" else ("caption", "video")
        rows = [
            {video: name, key: label, **({"split": part} if part else {})}
            for name, label, part in self.rows
            if self.task != "localization"
        ]
        path.write_text("\n".join(map(json.dumps, rows)))
        return {"source": str(path)}

    def prepare(self, **data):
        values = {"task": self.task, "out": str(self.folder / "run"), "data": {**self.listed(), **data}}
        if self.task == "localization":
            has_test = any(part == "test" for _, _, part in self.rows)
            values["localization"] = {"test_subset": "testing" if has_test else None}
        if self.task == "retrieval":
            values["retrieval"] = {"truncate": False}
        return PREPARE[self.task](RunConfig.model_validate(values), ColorBackbone())


@pytest.fixture(params=TASKS)
def source(request, tmp_path):
    return Source(tmp_path, request.param)


def hashes(part) -> set[str]:
    return set(part.features.hashes if hasattr(part, "captions") else part.hashes)


def test_parts_are_drawn_from_what_can_be_read(source):
    """As many broken files as good ones take no place in any part, and the parts' sizes are said."""
    for number in range(10):
        source.video(f"v{number}.mp4", LABELS[number % 2])
        source.broken(f"broken{number}.mp4", LABELS[number % 2])
    data = source.prepare(val_fraction=0.2)
    assert len(data.skipped) == 10
    sizes = (len(data.train), len(data.val), len(data.test))
    assert sizes == ((6, 2, 2) if source.task == "retrieval" else (8, 2, 0))
    assert not hashes(data.train) & hashes(data.val) | hashes(data.val) & hashes(data.test)
    assert "10 videos were parted by seed 0 into train" in data.parting[0]
    assert "The val part holds 2 videos, too few to choose weights by" in data.parting[1]


def copies(folder: Path, original: Path) -> dict[str, str]:
    """Names in a list under which one file is found again."""
    shutil.copy(original, folder / "copy.mp4")
    os.link(original, folder / "hard.mp4")
    (folder / "soft.mp4").symlink_to(original)
    return {"copy": "copy.mp4", "hard link": "hard.mp4", "link": "soft.mp4"}


KINDS = ("copy", "hard link", "link", "spelling", "absolute", "ending")


def add_twin(source: Source, kind: str, label: str, part: str | None) -> None:
    original = source.folder / "v0.mp4"
    names = {"spelling": "./v0.mp4", "absolute": str(original), "ending": "v0"} | copies(source.folder, original)
    source.rows.append((names[kind], label, part))


def skip_where_no_such_name(source: Source, kind: str) -> None:
    if kind == "ending" and source.task == "recognition":
        pytest.skip("a manifest of recognition names files whole")
    if kind == "ending" and source.task == "retrieval":
        pytest.skip("a caption file without a folder of videos names files whole")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_in_two_parts_is_refused_whatever_it_is_called(source, kind):
    skip_where_no_such_name(source, kind)
    for number in range(6):
        source.video(f"v{number}.mp4", LABELS[number % 2], "train")
    source.video("t.mp4", "left", "test")
    add_twin(source, kind, "left", "test")
    with pytest.raises(DatasetError) as caught:
        source.prepare()
    assert "the same video as" in str(caught.value) or "v0.mp4 is in test and in train" in str(caught.value)
    assert "Keep each video in one part, or results will be too good." in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_listed_twice_counts_once(source, kind):
    skip_where_no_such_name(source, kind)
    for number in range(6):
        source.video(f"v{number}.mp4", LABELS[number % 2])
    add_twin(source, kind, "left", None)
    data = source.prepare(val_fraction=0.2)
    assert sum(map(len, (data.train, data.val, data.test))) == 6
    if source.task == "recognition":
        assert "the same video as" in data.skipped[0].reason
    else:
        assert any("under two names, which count once: 1" in line for line in data.notes)


def test_a_copy_under_another_label(source):
    """Refused where a video has one label; overlapping segments in localization; another caption in retrieval."""
    for number in range(6):
        source.video(f"v{number}.mp4", LABELS[number % 2])
    add_twin(source, "copy", "right", None)
    if source.task == "recognition":
        with pytest.raises(DatasetError, match=r"copy\.mp4, the same video as .*v0\.mp4, is labelled 'right' here"):
            source.prepare()
        return
    data = source.prepare(val_fraction=0)
    if source.task == "localization":
        assert [segment.label for segment in data.train.videos[0].segments] == ["left", "right"]
    else:
        assert ("left", "right") in data.train.captions + data.test.captions
