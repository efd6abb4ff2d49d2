from collections import Counter
from pathlib import Path

import pytest

from framecue.config import DataConfig
from framecue.datasets.naming import part_in_file_name
from framecue.datasets.records import load_data, load_records
from framecue.errors import DatasetError

ANNOTATIONS = Path(__file__).parents[2] / ".." / "shared" / "data" / "annotations"


def save(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def videos(root: Path, *names: str) -> Path:
    for name in names or ("run/a.mp4", "run/b c 2.mp4", "sit/d.mp4"):
        save(root / name, b"")
    return root


def refusal(*args, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        load_records(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "labels"),
    [
        ("labels.csv", "id,name\n0,Running\n1,sitting_down\n"),
        ("label_map.txt", "Running\nsitting_down\n"),
        ("classInd.txt", "0 Running\r\n1 sitting_down\r\n"),
    ],
)
def test_lists_with_every_kind_of_label_map(tmp_path, file, labels):
    source = save(tmp_path / "a" / "val.txt", "\ufeffrun/a.mp4 0\r\n\r\nrun/b c 2.mp4 0\r\nsit/d.mp4\t1\r\n")
    save(tmp_path / "a" / file, labels)
    there = videos(tmp_path / "v")
    records, _ = load_data(DataConfig(source=there, annotations=source))
    assert [(record.path.name, record.label, record.split, record.origin) for record in records] == [
        ("a.mp4", "Running", "val", f"{source}:1"),
        ("b c 2.mp4", "Running", "val", f"{source}:3"),
        ("d.mp4", "sitting down", "val", f"{source}:4"),
    ]


def test_labels_given_and_the_list_alone(tmp_path):
    labels = save(tmp_path / "names.txt", "ApplyEyeMakeup\nYoYo\n")
    source = save(videos(tmp_path / "v") / "list.txt", "run/a.mp4 1\n")
    (record,), _ = load_records(source, labels=labels)
    assert (record.path, record.label, record.split) == (source.parent / "run/a.mp4", "yo yo", None)


def test_videos_are_found_by_name_where_the_list_is_flat_or_of_another_ending(tmp_path):
    source = save(tmp_path / "a" / "train.txt", "a.avi 0\nsomewhere/d.avi 1\n")
    save(tmp_path / "a" / "labels.csv", "id,name\n0,run\n1,sit\n")
    records, _ = load_records(videos(tmp_path / "v"), annotations=source)
    assert [record.path.relative_to(tmp_path / "v").as_posix() for record in records] == ["run/a.mp4", "sit/d.mp4"]


def test_the_split_is_told_by_its_number(tmp_path):
    for split, line in ((1, "run/a.mp4 0"), (2, "sit/d.mp4 1")):
        save(tmp_path / "a" / f"ucf101_train_split_{split}_videos.txt", line)
    save(tmp_path / "a" / "label_map.txt", "run\nsit\n")
    there = videos(tmp_path / "v")
    assert [r.label for r in load_records(there, annotations=tmp_path / "a", split=2)[0]] == ["sit"]
    assert "2 files for the train part" in refusal(there, annotations=tmp_path / "a", split=3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("run/a.mp4 0\nrun/b.mp4 0 1\n", ":2: several numbers in one line, found 'run/b.mp4 0 1'"),
        ("run/a.mp4 0\nrun/b.mp4\n", ":2: a line must be 'path number', found 'run/b.mp4'"),
        ("run/a.mp4 0\nrun/b.mp4 zero\n", ":2: a line must be 'path number'"),
        ("run/a.mp4 0\nrun/b.mp4 -1\n", ":2: a line must be 'path number'"),
        ("run/a.mp4 0\nsit/d.mp4 7\n", ":2: class number 7 is not in "),
        ("run/a.mp4 0\nrun/a.mp4 1\n", ":2: {videos}/run/a.mp4 is labelled 'sit' here and 'run' there"),
        (b"run/a.mp4 0\nrun/caf\xe9.mp4 0\n", ":2: byte 0xe9 is not UTF-8"),
        ("run/a.mp4 0\nrun/gone.mp4 1\n", "1 of the 2 videos listed are missing: {videos}/run/gone.mp4 (*:2)"),
    ],
)
def test_bad_lists(tmp_path, text, said):
    source = save(tmp_path / "a" / "train.txt", text)
    save(tmp_path / "a" / "labels.csv", "id,name\n0,run\n1,sit\n")
    there = videos(tmp_path / "v")
    said = said.replace("{videos}", str(there)).replace("*", str(source))
    assert (f"{source}{said}" if said.startswith(":") else said) in refusal(there, annotations=source)


def test_labels_are_needed_and_must_be_one_file(tmp_path):
    source = save(tmp_path / "a" / "train.txt", "run/a.mp4 0\n")
    there = videos(tmp_path / "v")
    assert "needs a file of class names, and none is there. Name it as data.labels." in refusal(
        there, annotations=source
    )
    for name in ("labels.csv", "label_map.txt"):
        save(tmp_path / "a" / name, "run\n")
    assert "there are 2 beside it (label_map.txt, labels.csv)" in refusal(there, annotations=source)
    assert "gone.csv does not exist" in refusal(there, annotations=source, labels=tmp_path / "gone.csv")


def test_frame_lists_are_no_lists_of_videos(tmp_path):
    source = save(tmp_path / "a" / "train.txt", "some_dir 120 3\n")
    save(tmp_path / "a" / "labels.csv", "id,name\n3,run\n")
    assert "and no lists of frames" in refusal(videos(tmp_path / "v"), annotations=source)


def test_parts_in_file_names():
    names = ("kinetics-400_val", "trainlist01", "hmdb_splits__fs_base_s1_train", "validation", "labels", "train_val")
    assert [part_in_file_name(name) for name in names] == ["val", "train", "train", "val", None, None]


@pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason=f"no {ANNOTATIONS}: the real files are not on this machine")
@pytest.mark.parametrize(
    ("name", "labels", "listed", "classes", "there"),
    [
        ("ucf_splits__base_val", "ucf_101_base_labels", 2088, 51, {"baby crawling": 8, "apply eye makeup": 1}),
        ("ucf_splits__novel_val", "ucf_101_novel_labels", 1695, 50, {"push ups": 8}),
        ("hmdb_splits__base_val", "hmdb_51_base_labels", 780, 26, {"pour": 1, "wave": 1}),
    ],
)
def test_lists_of_vifi_clip(name, labels, listed, classes, there):
    data = ANNOTATIONS.parent / "videos" / name.partition("_")[0].replace("ucf", "ucf101").replace("hmdb", "hmdb51")
    files = {
        "annotations": ANNOTATIONS / "vificlip_splits" / f"{name}.txt",
        "labels": ANNOTATIONS / "vificlip_labels" / f"{labels}.csv",
    }
    records, skipped = load_records(data, **files, missing="skip")
    assert len(records) + len(skipped) == listed
    counts = Counter(record.label for record in records)
    assert {label: counts[label] for label in there} == there
    assert len(files["labels"].read_text().splitlines()) == classes + 1
