"""Rows, cells and files that people's tools write: labels that are numbers, empty cells, pictures, encodings."""

import json
from pathlib import Path

import pytest

from framecue.config import DataConfig
from framecue.datasets.check import check_data
from framecue.datasets.class_lists import read_class_list
from framecue.datasets.descriptions import read_descriptions
from framecue.datasets.localization import read_detections, read_ground_truth
from framecue.datasets.naming import name_notes
from framecue.datasets.records import load_data, load_records
from framecue.datasets.retrieval import read_captions
from framecue.errors import DatasetError
from framecue.tasks.score_files import score_detections


def videos(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


# --- labels


def test_labels_that_are_numbers_work_and_can_be_named(tmp_path):
    videos(tmp_path, "a.mp4", "b.mp4", "c.mp4")
    rows = [{"path": "a.mp4", "label": 0}, {"path": "b.mp4", "label": "1"}, {"path": "c.mp4", "label": 1.0}]
    source = lines(tmp_path / "m.jsonl", *rows)
    assert [record.label for record in load_records(source)[0]] == ["0", "1", "1"]
    report = check_data(DataConfig(source=source), quick=True)
    (note,) = report.by_kind()["name"]
    assert note.startswith("2 of 2 class names are numbers (0, 1), which tell the backbone little. Write words")
    assert report.num_to_fix == 0
    (tmp_path / "names.txt").write_text("0 waving\n1 jumping\n")
    records, _ = load_data(DataConfig(source=source, labels=tmp_path / "names.txt"))
    assert [record.label for record in records] == ["waving", "jumping", "jumping"]
    (tmp_path / "names.txt").write_text("0 waving\n")
    with pytest.raises(DatasetError, match=r"m.jsonl:2: class number 1 is not in .*names.txt. Add it"):
        load_data(DataConfig(source=source, labels=tmp_path / "names.txt"))


def test_numbered_class_folders_can_be_named(tmp_path):
    videos(tmp_path / "v", "0/a.mp4", "1/b.mp4")
    (tmp_path / "names.txt").write_text("waving\njumping\n")
    records, _ = load_records(tmp_path / "v", labels=tmp_path / "names.txt")
    assert [record.label for record in records] == ["waving", "jumping"]


def test_lists_and_ground_truth_of_numbers(tmp_path):
    (tmp_path / "names.json").write_text("[0, 1, 2]")
    assert read_class_list(tmp_path / "names.json").names == ("0", "1", "2")
    database = {
        "a": {"duration": 9, "annotations": [{"segment": [0, 1], "label": 3}, {"segment": [1, 2], "label": "3"}]}
    }
    (tmp_path / "t.json").write_text(json.dumps({"database": database}))
    assert read_ground_truth(tmp_path / "t.json").labels == ("3",)
    (tmp_path / "p.json").write_text(json.dumps({"results": {"a": [{"segment": [0, 1], "label": 3, "score": 1}]}}))
    assert read_detections(tmp_path / "p.json").labels == ("3",)


def test_names_that_stand_for_nothing_are_remarked_upon():
    assert name_notes(["run", "sit 2", "2 hands"]) == []
    (note,) = name_notes(["nan", "None", "run"])
    assert note.startswith("'nan', 'None' may stand for an empty cell, and is a class here.")


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (float("nan"), "the label is empty. Fill it in, or remove the line."),
        (None, "the label is empty."),
        ([], "the label is empty."),
        (True, "the label must be text, found True."),
        (["run", "sit"], "found the labels 'run', 'sit'. Recognition takes one label for each video: choose one, or"),
    ],
)
def test_labels_that_are_none_or_several(tmp_path, label, said):
    videos(tmp_path, "a.mp4")
    source = lines(tmp_path / "m.jsonl", {"path": "a.mp4", "label": label})
    with pytest.raises(DatasetError) as caught:
        load_records(source)
    assert str(caught.value).startswith(f"{source}:1: {said}")


def test_two_spellings_of_a_label_have_one_rule(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("video,start,end,label,subset\na,0,1,Jump,train\nb,0,1,jump,val\n")
    with pytest.raises(DatasetError) as caught:
        read_ground_truth(path, subset="train", one_spelling=True)
    assert str(caught.value) == (
        f"{path}:3: class 'jump' and 'Jump' ({path}:2) differ only in case, spaces or punctuation. "
        "Write both the same way."
    )
    assert read_ground_truth(path).labels == ("Jump", "jump")  # as the official evaluator


@pytest.mark.parametrize(
    ("columns", "unread"),
    [
        ("path,label,start_frame,end_frame", "start_frame"),
        ("path,label,start,stop_time", "stop_time"),
        ("path,label,first frame,last frame", "first frame"),
        ("path,label,startTime,endTime", "starttime"),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_times_in_columns_that_are_not_read_are_refused(tmp_path, columns, unread, ending):
    videos(tmp_path, "a.mp4")
    path = tmp_path / f"m.{ending}"
    path.write_text(f"{columns}\na.mp4,run,0,9\n")
    if ending == "jsonl":
        lines(path, dict(zip(columns.split(","), ("a.mp4", "run", 0, 9), strict=True)))
    with pytest.raises(DatasetError, match=f"m.{ending}:1: column '{unread}' is not read; times are seconds, in a"):
        load_records(path)
    path.write_text(path.read_text().replace("label", "caption"))
    with pytest.raises(DatasetError, match=f"column '{unread}' is not read"):
        read_captions(path)


def test_columns_that_only_begin_like_times_are_passed_over(tmp_path):
    videos(tmp_path, "a.mp4")
    (tmp_path / "m.csv").write_text("path,label,start_date,end_user,endoscope,num_frames\na.mp4,run,x,y,z,9\n")
    assert len(load_records(tmp_path / "m.csv")[0]) == 1


def test_names_of_numbers_where_there_are_none(tmp_path):
    videos(tmp_path, "run/a.mp4", "sit/b.mp4")
    (tmp_path / "names.txt").write_text("waving\njumping\n")
    with pytest.raises(DatasetError, match=r"data\.labels names the classes of numbers, and no label of"):
        load_records(tmp_path, labels=tmp_path / "names.txt")


def test_localization_takes_several_labels_as_overlapping_segments(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("video,start,end,label\na,0,2,run\na,1,3,jump\na,0,2,wave\n")
    (video,) = read_ground_truth(path, one_spelling=True, clip=True).videos
    assert [(s.start_seconds, s.end_seconds, s.label) for s in video.segments] == [
        (0, 2, "run"),
        (1, 3, "jump"),
        (0, 2, "wave"),
    ]
    found = [{"segment": [s.start_seconds, s.end_seconds], "label": s.label, "score": 1} for s in video.segments]
    (tmp_path / "p.json").write_text(json.dumps({"results": {"a": found}}))
    assert score_detections(path, tmp_path / "p.json")["average_mean_ap"] == 1


def test_two_spellings_that_look_alike_are_shown(tmp_path):
    videos(tmp_path, "a.mp4", "b.mp4")
    (tmp_path / "m.csv").write_text("path,label\na.mp4,run\nb.mp4,run\u200b\n", encoding="utf-8")
    with pytest.raises(DatasetError, match=r"m.csv:3: class 'run\\u200b' and 'run' \("):
        load_records(tmp_path / "m.csv")


# --- pictures


def test_pictures_are_listed_as_passed_over(tmp_path):
    videos(
        tmp_path, "run/a.mp4", "run/a.jpg", "run/deep/b.JPG", "sit/c.gif", "sit/c.webp", "sit/notes.txt", "still/d.png"
    )
    records, skipped = load_records(tmp_path)
    assert [record.path.name for record in records] == ["a.mp4", "c.gif"]
    assert [(item.path.name, item.reason, item.passed_over) for item in skipped] == [
        ("still", "no videos in this class folder", False),
        ("*.jpg", "2 pictures are passed over; only videos are read", True),
        ("*.png", "1 picture is passed over; only videos are read", True),
        ("*.webp", "1 picture is passed over; only videos are read", True),
    ]
    report = check_data(DataConfig(source=tmp_path), quick=True)
    assert len(report.by_kind()["picture"]) == 3
    assert report.num_to_fix == 0


def test_folders_of_frames_are_told_what_to_do(tmp_path):
    videos(tmp_path, "run/v1/00001.jpg", "run/v1/00002.jpg", "sit/v2/00001.jpg")
    with pytest.raises(DatasetError, match=r"but 3 pictures \(first: run/v1/00001.jpg\), which are not read. Make a"):
        load_records(tmp_path)


# --- empty captions


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "c.json",
            '[{"video": "a", "caption": null}, {"video": "a", "caption": "x"}, {"video": "b", "caption": [null]}]',
        ),
        ("c.json", '{"a": [null, "x"], "b": null}'),
        (
            "c.jsonl",
            '{"video": "a", "caption": NaN}\n{"video": "a", "caption": "x"}\n{"video": "b", "caption": null}\n',
        ),
        ("c.csv", "video,caption\na,\na,x\nb, \n"),
    ],
)
def test_captions_that_say_nothing_are_empty_ones(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    captions = read_captions(tmp_path / name)
    assert [(video.video_id, video.captions) for video in captions.videos] == [("a", ("x",))]
    assert f"{tmp_path / name}: 2 captions are empty: left out (first: " in captions.notes[0]
    assert captions.notes[1] == f"{tmp_path / name}: 1 video has no caption: left out (b)."


def test_captions_that_may_stand_for_nothing_are_told(tmp_path):
    captions = read_captions(
        lines(tmp_path / "c.jsonl", {"video": "a", "caption": "nan"}, {"video": "b", "caption": "x"})
    )
    assert captions.notes == (
        f"{tmp_path / 'c.jsonl'}: 1 caption may stand for an empty cell: kept, and better left out (line 1, 'nan').",
    )


def test_a_caption_that_is_not_there_at_all_is_refused(tmp_path):
    with pytest.raises(DatasetError, match="the caption is missing, found the keys video, captoin"):
        read_captions(lines(tmp_path / "c.jsonl", {"video": "a", "captoin": "x"}))


# --- encodings

READERS = {
    "m.csv": (load_records, "path,label\na.mp4,{}\n"),
    "m.jsonl": (load_records, '{{"path": "a.mp4", "label": "{}"}}\n'),
    "t.csv": (read_ground_truth, "video,start,end,label\na,0,1,{}\n"),
    "t.json": (read_ground_truth, '{{"database": {{"a": {{"annotations": [{{"segment": [0, 1], "label": "{}"}}]}}}}}}'),
    "Run_val.txt": (read_ground_truth, "video_validation_1 0 1\n{} 0 1\n"),
    "p.json": (read_detections, '{{"results": {{"{}": []}}}}'),
    "c.json": (read_captions, '[{{"video": "a", "caption": "{}"}}]'),
    "c.csv": (read_captions, "video,caption\na,{}\n"),
    "names.txt": (read_class_list, "run\n{}\n"),
    "d.txt": (lambda path: read_descriptions(path, ["run"]), "run: {}\n"),
    "l.txt": (lambda path: load_records(path.parent, annotations=path), "a.mp4 0\n{}.mp4 1\n"),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize(("encoding", "word"), [("utf-16-le", "läuft"), ("latin-1", "läuft"), ("shift-jis", "走る")])
def test_a_third_encoding_is_refused_by_line_and_byte(tmp_path, name, encoding, word):
    read, text = READERS[name]
    path = videos(tmp_path, "a.mp4") / name
    (tmp_path / "labels.csv").write_text("id,name\n0,run\n1,sit\n")
    path.write_bytes(text.format(word).encode(encoding))
    with pytest.raises(DatasetError) as caught:
        read(path)
    number = text.partition("{}")[0].count("\n") + 1
    assert str(caught.value).startswith(f"{path}:{number}: byte 0x")
    assert str(caught.value).endswith(". Save the file as UTF-8.")
