import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from framecue.datasets.records import load_records
from framecue.errors import DatasetError
from framecue.video.writer import write_video

ANNOTATIONS = Path(__file__).parents[2] / ".." / "shared" / "data" / "annotations"
HEADER = "label,youtube_id,time_start,time_end,split,is_cc\n"


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def save(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(*args, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        load_records(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "file",
    [
        "riding a bike/-0wR5jVB-WP_000417_000427.mp4",
        "riding_a_bike/-0wR5jVB-WP_000417_000427.mkv",
        "val/riding_a_bike/-0wR5jVB-WP_000417_000427.webm",
        "val/-0wR5jVB-WP_000417_000427.mp4",
        "-0wR5jVB-WP_000417_000427.mp4",
        "-0wR5jVB-WP_417_427.mp4",
        "-0wR5jVB-WP.mp4",
    ],
)
def test_where_a_clip_may_lie(tmp_path, file):
    videos = make(tmp_path / "v", file)
    source = save(tmp_path / "k.csv", HEADER + "riding a bike,-0wR5jVB-WP,417,427,val,0\n")
    (record,), _ = load_records(videos, annotations=source)
    assert (record.path, record.label, record.split) == (videos / file, "riding a bike", "val")
    assert (record.start_seconds, record.end_seconds, record.origin) == (None, None, f"{source}:2")


def test_the_clip_in_the_folder_of_its_class_is_taken(tmp_path):
    videos = make(tmp_path / "v", "sit/a_000001_000011.mp4", "run_fast/a_000001_000011.mp4")
    source = save(tmp_path / "k.csv", HEADER + "run fast,a,1,11,train,0\n")
    assert load_records(videos, annotations=source)[0][0].path.parent.name == "run_fast"


def write_clip(path: Path, num_seconds: int) -> None:
    write_video(path, np.zeros((num_seconds * 2, 16, 16, 3), dtype=np.uint8), 2)


@pytest.mark.parametrize(("num_seconds", "times"), [(4, (None, None)), (12, (6.0, 10.0))])
def test_a_file_named_by_its_id_is_the_whole_video_if_it_lasts_as_long(tmp_path, num_seconds, times):
    (tmp_path / "v").mkdir()
    write_clip(tmp_path / "v" / "abc.mp4", num_seconds)
    source = save(tmp_path / "k.csv", HEADER + "run,abc,6,10,train,0\n")
    (record,), _ = load_records(tmp_path / "v", annotations=source)
    assert (record.start_seconds, record.end_seconds) == times


def test_parts_of_a_folder_and_a_test_part_without_labels(tmp_path):
    videos = make(tmp_path / "v", "a_000000_000010.mp4", "b_000005_000015.mp4")
    annotations = tmp_path / "k"
    save(annotations / "train.csv", "label,youtube_id,time_start,time_end,split\nrun,a,0,10,train\n")
    save(annotations / "validate.csv", "\ufefflabel,youtube_id,time_start,time_end,split\r\nrun,b,5,15,validate\r\n")
    save(annotations / "test.csv", "youtube_id,time_start,time_end,split\nc,0,10,test\nd,0,10,test\n")
    save(annotations / "train.json", "{}")  # the archive holds both; the CSV counts
    records, skipped = load_records(videos, annotations=annotations)
    assert [(record.path.name, record.split) for record in records] == [
        ("a_000000_000010.mp4", "train"),
        ("b_000005_000015.mp4", "val"),
    ]
    assert [item.reason for item in skipped] == [
        "2 videos of the test part have no label; that part cannot be measured"
    ]


def test_the_list_alone_may_be_named(tmp_path):
    make(tmp_path, "a_000000_000010.mp4")
    source = save(tmp_path / "train.csv", "label,youtube_id,time_start,time_end\nrun,a,0,10\n")
    assert [(record.label, record.split) for record in load_records(source)[0]] == [("run", "train")]


def test_json(tmp_path):
    item = {"annotations": {"label": "run", "segment": [0.0, 10.0]}, "subset": "validate", "duration": 10.0}
    source = save(tmp_path / "all.json", json.dumps({"a": item}, indent=1))
    (record,), _ = load_records(make(tmp_path / "v", "a_000000_000010.mp4"), annotations=source)
    assert (record.label, record.split, record.origin) == ("run", "val", f"{source}:2")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HEADER + "run,a,0\n", ":2: 3 columns where the header has 6"),
        (HEADER + "run,,0,10,train,0\n", ":2: the youtube_id is empty"),
        (HEADER + ",a,0,10,train,0\n", ":2: the label is empty"),
        (HEADER + "run,a,x,10,train,0\n", ":2: time_start must be a number of seconds from 0 up, found 'x'"),
        (HEADER + "run,a,10,10,train,0\n", ":2: time_start must be before time_end, found 10 and 10 s"),
        (HEADER + "run,a,0,10,holdout,0\n", ":2: unknown split 'holdout'"),
        (HEADER + "run,a,0,10,train,0\nRun,b,0,10,train,0\n", ":3: class 'Run' and 'run' (*:2) differ only in case"),
        (
            HEADER + "run,a,0,10,train,0\nrun,a,0,10,test,0\n",
            ":3: {videos}/a_000000_000010.mp4 is in test and in train (*:2)",
        ),
        (HEADER.replace("time_end", "end"), ":1: the header needs youtube_id, time_start, time_end"),
        ((HEADER + "caf\xe9,a,0,10,train,0\n").encode("latin-1"), ":2: byte 0xe9 is not UTF-8"),
        (HEADER, " lists no videos"),
        (HEADER + "run,zzz,0,10,train,0\n", "None of the 1 videos listed is there: {videos}/run/zzz_000000_000010.mp4"),
    ],
)
def test_bad_csv(tmp_path, text, said):
    videos = make(tmp_path / "v", "a_000000_000010.mp4", "b_000000_000010.mp4")
    source = save(tmp_path / "k.csv", text)
    said = said.replace("*", str(source)).replace("{videos}", str(videos))
    message = refusal(videos, annotations=source)
    assert (f"{source}{said}" if said[0] in ": " else said) in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": {"annotations": 3, "subset": "train"}}', ":1: an item must be an id with annotations"),
        ('{\n"a": {"subset": "train"}}', ":2: the label must be text, found None"),
        ('{"a": {"annotations": {"label": "run"}}\n', ":2: not valid JSON: a ',' is missing"),
        ('{"a": {"annotations": {"label": "run"}},\n}', ":2: not valid JSON: a comma before the end"),
        ('{"annotations"\n 3}', ":2: not valid JSON: a ':' is missing"),
        ('{"annotations": [' + "[" * 50_000, ":1: not valid JSON: a number or a nesting of absurd size"),
    ],
)
def test_bad_json(tmp_path, text, said):
    source = save(tmp_path / "train.json", text)
    assert f"{source}{said}" in refusal(tmp_path, annotations=source)


def test_two_files_for_one_part(tmp_path):
    for name in ("train.csv", "my_train.csv"):
        save(tmp_path / "k" / name, HEADER + "run,a,0,10,train,0\n")
    assert "2 files for the train part (my_train.csv, train.csv). Name one" in refusal(
        tmp_path, annotations=tmp_path / "k"
    )


def test_a_file_of_another_kind(tmp_path):
    source = save(tmp_path / "x.csv", "a,b\n1,2\n")
    assert f"{source} holds no official files" in refusal(tmp_path, annotations=source)


@pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason=f"no {ANNOTATIONS}: the real files are not on this machine")
def test_the_official_validation_list():
    videos = ANNOTATIONS.parent / "videos" / "kinetics400"
    records, skipped = load_records(videos, annotations=ANNOTATIONS / "kinetics", missing="skip")
    assert len(records) + len(skipped) == 19906
    assert Counter(record.label for record in records) == {"using segway": 3}
    # 299 s to 309 s of the recording, but the file is the clip of 11 s
    assert {record.end_seconds for record in records} == {None}


@pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason=f"no {ANNOTATIONS}: the real files are not on this machine")
def test_sample_of_both_forms(tmp_path):
    videos = make(tmp_path, "1_000000_000002.mp4", "2_000005_000007.mp4", "4_000010_000015.mp4", "3_000000_000002.mp4")
    records, _ = load_records(videos, annotations=ANNOTATIONS / "kinetics_format_sample")
    assert Counter((record.label, record.split) for record in records) == {
        ("label 0", "test"): 2,
        ("label 1", "test"): 1,
        ("label 2", "train"): 1,
    }
