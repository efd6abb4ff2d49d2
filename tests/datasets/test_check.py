"""`check_data` against real little files: every kind of problem is found, and none is found where there is none."""

import json
from pathlib import Path

import numpy as np
import pytest

from framecue.config import DataConfig
from framecue.datasets.check import check_data
from framecue.datasets.files_check import find_copies
from framecue.datasets.findings import KINDS, DataReport
from framecue.errors import DatasetError
from framecue.video.writer import write_video

VIDEOS = Path(__file__).parents[2] / ".." / "shared" / "data" / "videos"


def clip(path: Path, seed: int | None = None, num_frames: int = 8) -> Path:
    """A second of video at 8 frames a second, different for each seed (by default, for each path)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(abs(hash(str(path))) if seed is None else seed)
    color = draw.integers(0, 256, (1, 1, 1, 3), dtype=np.uint8)
    write_video(path, np.broadcast_to(color, (num_frames, 32, 32, 3)).copy(), 8)
    return path


def save(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def check(source: Path, *, quick: bool = True, **options) -> DataReport:
    report = check_data(DataConfig(source=source, **options), quick=quick)
    assert not any("\n" in problem.text for problem in report.problems)
    order = [list(KINDS).index(problem.kind) for problem in report.problems]
    assert order == sorted(order)
    return report


def texts(report: DataReport, kind: str) -> list[str]:
    return report.by_kind().get(kind, [])


def files(root: Path, *names: str) -> Path:
    for name in names:
        save(root / name, b"")
    return root


def many(folder: str, number: int = 5) -> list[str]:
    return [f"{folder}/{i}.mp4" for i in range(number)]


def test_a_clean_source(tmp_path):
    for part in ("train", "test"):
        for name in many(f"{part}/run") + many(f"{part}/sit_down"):
            clip(tmp_path / name)
    report = check(tmp_path, quick=False)
    assert report.problems == []
    assert report.usable == report.listed == {part: {"run": 5, "sit down": 5} for part in ("train", "test")}


def test_quick_opens_nothing(tmp_path):
    report = check(files(tmp_path, *many("run"), *many("sit")))
    assert report.problems == []
    assert report.quick


def test_all_faults_of_a_manifest_are_gathered(tmp_path):
    files(tmp_path, "a.mp4", "b.mp4", "c.mp4", "d.mp4", "Up_per.MP4")
    path = save(
        tmp_path / "m.csv",
        "\ufeffpath,label,split,start,end\r\n"
        "a.mp4,run,train,,\r\n"
        "a.mp4,run,test,,\r\n"
        "b.mp4,Run,train,,\r\n"
        "c.mp4,RUN,train,,\r\n"
        "d.mp4,Run,train,,\r\n"
        "gone.mp4,run,train,,\r\n"
        "b.mp4,run,train\r\n"
        "b.mp4,run,holdout,,\r\n"
        "b.mp4,,train,,\r\n"
        "b.mp4,run,train,5,2\r\n"
        'b.mp4,"run"x,train,5,2\r\n'
        "b.mp4,run,train,,\r\n"
        "upper.mp4,sit,test,,\r\n"
        "d\\a.mp4,sit,test,,\r\n",
    )
    report = check(path)
    assert [text.removeprefix(f"{path}:").partition(":")[0] for text in texts(report, "line")] == [
        *("8", "9", "10", "11", "12")
    ]
    assert texts(report, "missing") == [
        f"{path}:7: {tmp_path}/gone.mp4 is not there.",
        f"{path}:14: {tmp_path}/upper.mp4 is not there, but {tmp_path}/Up_per.MP4 is; use one spelling.",
        f"{path}:15: {tmp_path}/d\\a.mp4 is not there; the path uses backslashes, write {tmp_path}/d/a.mp4.",
    ]
    assert [text.split(": ")[0] for text in texts(report, "leak")] == [f"{path}:3"]
    assert [text.split(": ")[0] for text in texts(report, "spelling")] == [f"{path}:4", f"{path}:5"]  # once each
    assert [text.split(": ")[0] for text in texts(report, "twice")] == [f"{path}:13"]
    assert texts(report, "gone") == ["class 'sit': none of its 2 listed videos can be used."]
    assert report.listed["train"] == {"run": 6}
    assert report.usable == {"train": {"run": 5}, "test": {"run": 1}}


def test_nothing_but_malformed_lines_is_a_report_and_no_error(tmp_path):
    report = check(save(tmp_path / "m.csv", "path,label\na.mp4\nb.mp4\n"))
    assert len(texts(report, "line")) == 3
    assert report.listed == {}


def test_jsonl_lines(tmp_path):
    lines = [json.dumps({"path": name, "label": "run"}) for name in ("a.mp4", "b.mp4")]
    path = save(files(tmp_path, "a.mp4", "b.mp4") / "m.jsonl", "\n".join([lines[0], "{", "[]", lines[1]]))
    report = check(path)
    assert len(texts(report, "line")) == 2
    assert report.usable == {"all": {"run": 2}}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"path,label\na.mp4,caf\xe9\n", "m.csv:2: byte 0xe9 is not UTF-8"),
        (b"path,lab\na.mp4,run\n", "m.csv:1: the header needs a column for the label"),
        (b"path,label\n", "m.csv holds no videos"),
    ],
)
def test_sources_that_cannot_be_read_at_all(tmp_path, content, said):
    with pytest.raises(DatasetError, match=said):
        check(save(tmp_path / "m.csv", content))


def test_broken_empty_and_wrongly_timed_videos(tmp_path):
    clip(tmp_path / "good.mp4")
    save(tmp_path / "bad.mp4", "no video")
    save(tmp_path / "empty.mp4", "")
    lines = ["bad.mp4,,", "empty.mp4,,", "good.mp4,0,1.2", "good.mp4,0,9", "good.mp4,7,", "good.mp4,0.5,"]
    path = save(tmp_path / "m.csv", "path,start,end,label\n" + "".join(f"{line},run\n" for line in lines))
    report = check(path, quick=False)
    (broken,), (empty,) = texts(report, "unreadable"), texts(report, "empty")
    assert broken.startswith(f"{path}:2: {tmp_path}/bad.mp4: FFmpeg says 'invalid data found")
    assert empty == f"{path}:3: {tmp_path}/empty.mp4: the file is empty; fetch it again or leave it out."
    assert texts(report, "times") == [
        f"{path}:5: 0 to 9 s, but the video lasts 1 s; if these are frame numbers, divide by the frame rate of 8: "
        f"0 to 1.125 s ({tmp_path}/good.mp4).",
        f"{path}:6: 7 to its end, but the video lasts 1 s; if these are frame numbers, divide by the frame rate of 8: "
        f"0.875 s ({tmp_path}/good.mp4).",
    ]
    assert report.usable == {"all": {"run": 4}}
    assert check(path).num_to_fix == 0  # nothing of this is seen without opening files


def test_a_broken_video_is_told_once_however_often_it_is_listed(tmp_path):
    save(tmp_path / "bad.mp4", "no video")
    path = save(tmp_path / "m.csv", "path,start,end,label\nbad.mp4,0,1,run\nbad.mp4,1,2,run\n")
    assert len(texts(check(path, quick=False), "unreadable")) == 1


def test_copies_are_seen_through_their_names(tmp_path):
    for name in ("train/run/a.mp4", "train/run/copy.mp4", "train/sit/c.mp4", "test/run/d.mp4"):
        clip(tmp_path / name, seed=1)
    clip(tmp_path / "test/sit/other.mp4", seed=2)
    report = check(tmp_path, quick=False)
    assert texts(report, "leak") == [
        f"{tmp_path}/test/run/d.mp4 is a copy of {tmp_path}/train/run/a.mp4, which is in train; this is in test."
    ] or texts(report, "leak")[0].startswith(f"{tmp_path}/train/run/a.mp4 is a copy of {tmp_path}/test/run/d.mp4")
    assert len(texts(report, "leak") + texts(report, "twice") + texts(report, "copy")) == 3


def test_copies_need_equal_bytes(tmp_path):
    for name, content in {"a": b"1", "b": b"2", "c": b"1", "d": b"11"}.items():
        save(tmp_path / name, content)
    sizes = {str(path): path.stat().st_size for path in sorted(tmp_path.iterdir())}
    assert list(find_copies(sizes)) == [[str(tmp_path / "a"), str(tmp_path / "c")]]


def test_clips_of_one_recording_in_two_parts_are_noted(tmp_path):
    names = ["v_Punch_g01_c01.avi", "v_Punch_g01_c02.avi", "v_Punch_g02_c01.avi", "abcdefghijk_000001_000011.mp4"]
    names.append("abcdefghijk_000011_000021.mp4")
    parts = ["train", "test", "test", "train", "test"]
    lines = [f"{name},punch,{part}\n" for name, part in zip(names, parts, strict=True)]
    path = save(files(tmp_path, *names) / "m.csv", "path,label,split\n" + "".join(lines))
    report = check(path)
    assert [text.split(" ")[0] for text in texts(report, "source")] == [f"{path}:3:", f"{path}:6:"]
    assert report.num_to_fix == 0


def test_classes_that_parts_lack(tmp_path):
    names = [*many("train/run"), "train/sit/a.mp4", *many("test/run"), "test/fly/a.mp4", "test/new_one/b.mp4"]
    report = check(files(tmp_path, *names), held_out=("New one",))
    assert texts(report, "untrained") == [
        "class 'fly': videos in test, none in train. Add some, or name it in data.held_out as novel."
    ]
    assert texts(report, "absent") == ["class 'sit': no usable video in test."]
    assert texts(report, "few") == ["class 'sit': 1 to train on."]
    assert report.num_to_fix == 1


def test_a_source_without_a_train_part_is_no_fault(tmp_path):
    assert check(files(tmp_path, *many("test/run"), *many("test/sit"))).problems == []


def test_folders_empty_spelled_twice_and_loose(tmp_path):
    files(tmp_path, *many("brush_hair"), *many("Brush hair"), "nothing/readme.txt", "loose.mp4")
    report = check(tmp_path)
    assert [text for text in texts(report, "line") if "outside class folders (loose.mp4)" in text]
    assert len(texts(report, "spelling")) == 1
    assert texts(report, "folder") == [f"{tmp_path}/nothing: no videos in this class folder"]
    assert sum(report.usable["all"].values()) == 10


def test_classes_of_the_config(tmp_path):
    files(tmp_path, *many("run"), *many("sit"), "fly/a.mp4")
    report = check(tmp_path, classes=("Run", "sit", "sleep"))
    assert report.listed == {"all": {"run": 5, "sit": 5}}
    assert texts(report, "class")[0].startswith("data.classes: no class 'sleep' in the data")


UCF = {
    "classInd.txt": "1 RunFast\n2 SitUp\n",
    "trainlist01.txt": "RunFast/a.avi 1\nRunFast/b.avi 2\nFly/c.avi\nd.avi 1\nSitUp/e.avi 2\n",
    "testlist01.txt": "SitUp/e.avi\nrun_fast/f.avi\n",
}
HMDB = {"run_test_split1.txt": "a.avi 1\nb.avi\nc.avi 5\nd.avi 2\n"}


def test_all_faults_of_official_lists(tmp_path):
    for name, text in UCF.items():
        save(tmp_path / "ucf" / name, text)
    for name, text in HMDB.items():
        save(tmp_path / "hmdb" / name, text)
    videos = files(tmp_path / "v", "RunFast/a.avi", "SitUp/e.avi", "run/a.avi", "Run/D.mp4")
    report = check(videos, annotations=tmp_path / "ucf")
    assert [text.split(": ")[0].rpartition("/")[2] for text in texts(report, "class")] == [
        *("trainlist01.txt:2", "trainlist01.txt:3", "testlist01.txt:2")
    ]
    assert "trainlist01.txt:4: a video must be written Class/name.avi" in texts(report, "line")[0]
    assert "testlist01.txt:1" in texts(report, "leak")[0]
    report = check(videos, annotations=tmp_path / "hmdb")
    assert [text.split(": ")[0].rpartition(":")[2] for text in texts(report, "line")] == ["2", "3"]
    assert len(texts(report, "missing")) == 1


def test_all_faults_of_kinetics_something_and_lists(tmp_path):
    videos = files(tmp_path / "v", "a_000000_000010.mp4", "1.webm")
    kinetics = save(
        tmp_path / "k.csv", "label,youtube_id,time_start,time_end\nrun,a,0,10\nrun,b,0\nrun,,0,1\nrun,c,0,9\n"
    )
    report = check(videos, annotations=kinetics)
    assert (len(texts(report, "line")), len(texts(report, "missing"))) == (2, 1)
    save(
        tmp_path / "s" / "train.json", '[{"id": "1", "template": "X"},\n{"id": "2"},\n{"id": "1", "template": "Y"},\n{'
    )
    save(tmp_path / "s" / "labels.json", '{"X": "0"}')
    save(tmp_path / "s" / "test.json", '[{"id": "7"}]')
    report = check(videos, annotations=tmp_path / "s")
    assert (len(texts(report, "line")), len(texts(report, "class")), len(texts(report, "labels"))) == (2, 1, 1)
    assert texts(report, "unlabelled") == [f"{tmp_path}/s: 1 videos of the test part have no label and are left out."]
    listed = save(tmp_path / "l" / "train.txt", "1.webm 0\n2.webm\n1.webm 0 1\n1.webm 5\n3.webm 0\n")
    save(tmp_path / "l" / "labels.txt", "run\n")
    report = check(videos, annotations=listed)
    assert (len(texts(report, "line")), len(texts(report, "class")), len(texts(report, "missing"))) == (2, 1, 1)


@pytest.mark.skipif(not VIDEOS.is_dir(), reason=f"no {VIDEOS}: the real videos are not on this machine")
def test_odd_and_broken_files():
    report = check(VIDEOS / "odd", quick=False)
    assert len(texts(report, "unreadable")) == 18
    assert any("corrupt" in text or "invalid data" in text for text in texts(report, "unreadable"))
    assert sum(report.usable["all"].values()) == sum(report.listed["all"].values()) - 18


@pytest.mark.skipif(not VIDEOS.is_dir(), reason=f"no {VIDEOS}: the real videos are not on this machine")
def test_real_clips_against_the_official_lists():
    report = check(VIDEOS / "ucf101", quick=False, annotations=VIDEOS.parent / "annotations" / "ucf101")
    assert {part: sum(classes.values()) for part, classes in report.listed.items()} == {"train": 9537, "test": 3783}
    usable = {part: sum(classes.values()) for part, classes in report.usable.items()}
    assert sum(usable.values()) + len(texts(report, "missing")) == 13320
    assert not texts(report, "leak") + texts(report, "source") + texts(report, "unreadable")
