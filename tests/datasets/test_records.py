import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from framecue.config import DataConfig
from framecue.datasets.naming import class_key, class_name, class_name_from_camel_case, part_name
from framecue.datasets.records import load_data, load_records, once_each, require_trainable
from framecue.errors import DatasetError
from framecue.types import Record
from framecue.video.files import find_videos


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return root


def summary(records: list[Record], root: Path) -> list[tuple[str, str | None, str | None]]:
    return [(record.path.relative_to(root).as_posix(), record.label, record.split) for record in records]


def refusal(*args, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        load_records(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def manifest(root: Path, text: str | bytes, name: str = "m.csv") -> Path:
    make(root, "a.mp4", "b.mp4", "sub/c.mp4")
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return root / name


# --- folders


def test_folder_per_class(tmp_path):
    make(tmp_path, "brush_hair/b.mp4", "brush_hair/a.AVI", "Jump/deep/er/x.webm", "Jump/notes.txt", "readme.md")
    records, skipped = load_records(tmp_path)
    assert summary(records, tmp_path) == [
        ("Jump/deep/er/x.webm", "Jump", None),
        ("brush_hair/a.AVI", "brush hair", None),
        ("brush_hair/b.mp4", "brush hair", None),
    ]
    assert skipped == []


def test_folder_with_parts_in_any_spelling(tmp_path):
    make(tmp_path, "Train/run/a.mp4", "validation/run/b.mp4", "test/run/c.mp4", "test/sit/d.mp4")
    records, _ = load_records(tmp_path)
    assert sorted(summary(records, tmp_path)) == [
        ("Train/run/a.mp4", "run", "train"),
        ("test/run/c.mp4", "run", "test"),
        ("test/sit/d.mp4", "sit", "test"),
        ("validation/run/b.mp4", "run", "val"),
    ]


def test_train_may_be_a_class(tmp_path):
    make(tmp_path, "train/a.mp4", "car/b.mp4")
    records, _ = load_records(tmp_path)
    assert {(record.label, record.split) for record in records} == {("train", None), ("car", None)}


def test_hidden_files_and_folders_are_passed_over(tmp_path):
    make(tmp_path, "run/a.mp4", "run/._a.mp4", "run/.cache/b.mp4", ".trash/c.mp4")
    assert [record.path.name for record in load_records(tmp_path)[0]] == ["a.mp4"]


@pytest.mark.parametrize(
    "ending",
    [
        "mp4",
        "mov",
        "mkv",
        "avi",
        "webm",
        "mpg",
        "mpeg",
        "m4v",
        "wmv",
        "flv",
        "3gp",
        "ts",
        "gif",
        "ogv",
        "mts",
        "m2ts",
        "vob",
        "asf",
        "MP4",
    ],
)
def test_endings(tmp_path, ending):
    assert len(find_videos(make(tmp_path, f"a.{ending}", "a.jpg", "a.swp", "mp4"))) == 1


def test_links_are_followed_and_loops_end(tmp_path):
    make(tmp_path, "real/a.mp4")
    (tmp_path / "data" / "run").mkdir(parents=True)
    (tmp_path / "data" / "run" / "linked.mp4").symlink_to(tmp_path / "real" / "a.mp4")
    (tmp_path / "data" / "sit").symlink_to(make(tmp_path / "elsewhere", "b.mp4"))
    (tmp_path / "data" / "run" / "loop").symlink_to(tmp_path / "data" / "run")
    records, _ = load_records(tmp_path / "data")
    assert [(record.path.name, record.label) for record in records] == [("linked.mp4", "run"), ("b.mp4", "sit")]


def test_class_folder_without_videos_is_listed(tmp_path):
    make(tmp_path, "run/a.mp4", "sit/a.xyz")
    _, skipped = load_records(tmp_path)
    assert [(item.path.name, item.reason) for item in skipped] == [("sit", "no videos in this class folder")]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([], "No videos found in {root}; looked for a folder per class with files ending in 3g2 3gp"),
        (["run/a.txt"], "No videos found in {root}"),
        (["a.mp4", "run/b.mp4"], "{root} holds videos outside class folders (a.mp4). Put each into a folder"),
        (["train/run/a.mp4", "train/b.mp4"], "{root}/train holds videos outside class folders (b.mp4)"),
        (["train/run/a.mp4", "sit/b.mp4"], "{root} mixes train with class folders (sit)"),
        (["train/a.mp4", "test/b.mp4"], "{root} holds test, train without class folders in them"),
        (
            ["Brush_Hair/a.mp4", "brush hair/b.mp4"],
            "class 'brush hair' and 'Brush_Hair' ({root}/Brush_Hair) differ only",
        ),
        (["train/run/a.mp4", "test/Run/b.mp4"], "class 'Run' and 'run'|class 'run' and 'Run'"),
    ],
)
def test_folder_refused(tmp_path, files, said):
    message = refusal(make(tmp_path, *files))
    assert any(option.format(root=tmp_path) in message for option in said.split("|"))


def test_source_that_is_not_there(tmp_path):
    assert refusal(tmp_path / "gone").startswith(f"{tmp_path}/gone does not exist")


def test_source_of_unknown_kind(tmp_path):
    make(tmp_path, "list.txt")
    assert "is neither a folder nor a .csv, .tsv or .jsonl file" in refusal(tmp_path / "list.txt")
    assert "is a folder, which format 'csv' does not read" in refusal(tmp_path, format="csv")
    assert "is a file, which format 'folder' does not read" in refusal(tmp_path / "list.txt", format="folder")


# --- manifests


def test_csv(tmp_path):
    path = manifest(
        tmp_path, "path,label,start,end,split,note\na.mp4,brush_hair,1.5,3,train,x\n\nsub/c.mp4,'run',,,Testing,\n"
    )
    records, _ = load_records(path)
    assert records == [
        Record(tmp_path / "a.mp4", "brush hair", "train", 1.5, 3.0, f"{path}:2"),
        Record(tmp_path / "sub/c.mp4", "'run'", "test", None, None, f"{path}:4"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "file_name,label,start_seconds,end_seconds\na.mp4,run,0,2\n",
        "video;Class;time_start;time_end\na.mp4;run;0;2\n",
        "filename\tcategory\tstart_time\tend_time\r\na.mp4\trun\t0\t2\r\n",
        '"label","path","start","end"\n"run","a.mp4","0","2.0"\n',
        "\ufeffpath,label,start,end\na.mp4, run ,0,2",
        "path,label,start,end,,\na.mp4,run,0,2,,\n",
    ],
)
def test_csv_dialects(tmp_path, text):
    record = load_records(manifest(tmp_path, text))[0][0]
    assert (record.path.name, record.label, record.start_seconds, record.end_seconds) == ("a.mp4", "run", 0.0, 2.0)


def test_absolute_paths_and_quoted_newlines_keep_line_numbers(tmp_path):
    path = manifest(tmp_path, f'path,label,note\n{tmp_path}/a.mp4,run,"two\nlines"\nb.mp4,,\n')
    assert f"{path}:4: the label is empty" in refusal(path)


def test_metadata_file_of_a_folder_is_found(tmp_path):
    manifest(tmp_path, "file_name,label\na.mp4,run\nb.mp4,sit\n", "metadata.csv")
    assert [record.label for record in load_records(tmp_path)[0]] == ["run", "sit"]


def test_jsonl(tmp_path):
    lines = [
        {"path": "a.mp4", "label": "run", "start": 0.5, "end": 2},
        {"file_name": "b.mp4", "label": "sit", "start": None},
    ]
    path = manifest(tmp_path, "\n".join(map(json.dumps, lines)) + "\n\n", "m.jsonl")
    assert load_records(path)[0] == [
        Record(tmp_path / "a.mp4", "run", None, 0.5, 2.0, f"{path}:1"),
        Record(tmp_path / "b.mp4", "sit", None, None, None, f"{path}:2"),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":  holds no videos"),
        ("path,label\n", ":  holds no videos"),
        ("a.mp4,run\nb.mp4,sit\n", ":1: the header needs a column for the path, found a.mp4, run. Name it 'path'"),
        ("path,lab\na.mp4,run\n", ":1: the header needs a column for the label, found path, lab"),
        ("path,label,spilt\na.mp4,run,train\n", ":1: unknown column 'spilt'; did you mean 'split'?"),
        ("path,label,label\na.mp4,run,run\n", ":1: two columns have the same name"),
        ("path,label\na.mp4,run\nb.mp4,sit,3\n", ":3: 3 columns where the header has 2"),
        ("path,label\na.mp4,run\nb.mp4\n", ":3: 1 columns where the header has 2"),
        ("path,label\na.mp4,\n", ":2: the label is empty"),
        ("path,label\na.mp4,_\n", ":2: the label is empty"),
        ("path,label\n,run\n", ":2: the path is empty"),
        ('path,label\na.mp4,"run"x\n', ":2: not valid CSV"),
        ('path,label\na.mp4,"run\n', ":2: not valid CSV"),
        ("path,label,split\na.mp4,run,dev2\n", ":2: unknown split 'dev2'. Write train, val or test"),
        ("path,label,split\na.mp4,run,train\nb.mp4,run,\n", ":3: no split given where other entries have one"),
        ("path,label,start,end\na.mp4,run,3,3\n", ":2: start must be before end, found 3 and 3 s"),
        ("path,label,start,end\na.mp4,run,,0\n", ":2: start must be before end, found 0 and 0 s"),
        ("path,label,start\na.mp4,run,0:30\n", ":2: start must be a number of seconds from 0 up, found '0:30'"),
        ("path,label,start\na.mp4,run,-1\n", ":2: start must be a number of seconds from 0 up, found '-1'"),
        ("path,label,end\na.mp4,run,inf\n", ":2: end must be a number of seconds from 0 up, found 'inf'"),
        ("path,label\na.mp4,run\nb.mp4,Run\n", ":3: class 'Run' and 'run' (*:2) differ only in case"),
        (
            "path,label\na.mp4,run\nsub/../a.mp4,sit\n",
            ":3: */sub/../a.mp4, the same video as */a.mp4, is labelled 'sit' here and 'run' there (*:2). Recognition "
            "takes one label for each video: choose one, or train localization, which takes both as overlapping "
            "segments.",
        ),
        (
            "path,label,split\na.mp4,run,train\nb.mp4,run,train\na.mp4,run,test\n",
            ":4: */a.mp4 is in test and in train (*:2)",
        ),
        (
            "path,label,split,start,end\na.mp4,run,train,0,5\na.mp4,run,test,4,9\n",
            ":3: */a.mp4 is in test and in train (*:2)",
        ),
        (
            "path,label\na.mp4,run\ngone.mp4,sit\n",
            "1 of the 2 videos listed are missing: */gone.mp4 (*:3). Fix the paths",
        ),
        ("path,label\nx.mp4,run\ny.mp4,sit\n", "None of the 2 videos listed is there: */x.mp4 (*:2), */y.mp4 (*:3)"),
        (
            "path,label\na.mp4,run\nd\\b.mp4,sit\n",
            "are missing: */d\\b.mp4 (*:3); the path uses backslashes, write */d/b.mp4. Fix the paths",
        ),
        (
            "path;label;start;end\na.mp4;run;0,5;1,5\nb.mp4;run;2,5;1\n",
            ":3: start must be before end, found 2.5 and 1 s",
        ),
        ("path,label\na.mp4,run\nsub,sit\n", "1 of the 2 videos listed are missing: */sub (*:3)"),
        ("path,label\nb.mp4,run\na.mp4,caf\xe9\n".encode("latin-1"), ":3: byte 0xe9 is not UTF-8, perhaps Latin-1"),
        (
            "path,label\na.mp4,run\n".encode("utf-16-le"),
            ":1: a zero byte, which no text holds, perhaps UTF-16 without",
        ),
        ("path,label\na.mp4,run\n".encode("utf-16")[:-1], ":2: byte 0x0a is not UTF-16. Save the file as UTF-8"),
    ],
)
def test_bad_csv(tmp_path, text, said):
    path = manifest(tmp_path, text)
    said = said.replace("*:", f"{path}:").replace("*/", f"{tmp_path}/")
    said = said.replace(":  holds", f"{path} holds") if said.startswith(":  ") else said
    message = refusal(path)
    assert (f"{path}{said}" if said.startswith(":") else said) in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"path": "a.mp4", "label": "run"}\n{"path": }\n', ":2: not valid JSON"),
        ("[1]\n", ":1: every line must be a JSON object, found [1]"),
        ('{"path": "a.mp4"}\n', ":1: the label is empty"),
        ('{"path": "a.mp4", "label": 3.5}\n', ":1: the label must be text, found 3.5. Put it in quotes"),
        ('{"path": ["a.mp4"], "label": "run"}\n', ":1: the path must be text"),
        ('{"path": "a.mp4", "label": "run", "start": true}\n', ":1: start must be a number of seconds"),
        ('{"path": "a.mp4", "label": "run", "end": NaN}\n', ":1: end must be a number of seconds"),
        ('{"path": "a.mp4", "label": "run", "split": "all"}\n', ":1: unknown split 'all'"),
    ],
)
def test_bad_jsonl(tmp_path, text, said):
    path = manifest(tmp_path, text, "m.jsonl")
    assert f"{path}{said}" in refusal(path)


def test_parts_of_one_video_may_lie_in_two_splits_when_apart(tmp_path):
    path = manifest(tmp_path, "path,label,split,start,end\na.mp4,run,train,0,5\na.mp4,sit,test,5,9\n")
    assert len(load_records(path)[0]) == 2


def test_a_link_does_not_hide_a_leak(tmp_path):
    make(tmp_path, "train/run/a.mp4")
    (tmp_path / "test" / "run").mkdir(parents=True)
    (tmp_path / "test" / "run" / "other.mp4").symlink_to(tmp_path / "train" / "run" / "a.mp4")
    train, test = tmp_path / "train" / "run" / "a.mp4", tmp_path / "test" / "run" / "other.mp4"
    assert f"{train}, the same video as {test}, is in train and in test ({test.parent})." in refusal(tmp_path)


def test_what_is_listed_twice_counts_once(tmp_path):
    (tmp_path / "sub").mkdir()
    path = manifest(tmp_path, "path,label\na.mp4,run\nb.mp4,sit\nsub/../a.mp4,run\na.mp4,run\n")
    records, skipped = load_records(path)
    assert [record.path.name for record in records] == ["a.mp4", "b.mp4"]
    said = f"the same video as {tmp_path}/a.mp4 ({path}:2), which counts once"
    assert [(item.path, item.reason) for item in skipped] == [
        (tmp_path / "sub" / ".." / "a.mp4", said),
        (tmp_path / "a.mp4", said),
    ]


def test_copies_are_told_by_their_content_in_one_part_and_across():
    """By content hash, as after extraction; parts of one file under two names are brought under one."""
    file_of = {Path("a.mp4"): "A", Path("copy.mp4"): "A", Path("b.mp4"): "B"}
    first, copy = Record(Path("a.mp4"), "run", "train"), Record(Path("copy.mp4"), "run", "train", origin="m:2")
    other = Record(Path("b.mp4"), "run", "test")
    assert once_each([first, copy, other], file_of)[0] == [first, other]
    apart = replace(copy, start_seconds=5.0, label="sit")
    assert once_each([replace(first, end_seconds=5.0), apart], file_of)[0][1] == replace(apart, path=first.path)
    for changed, said in (
        ({"split": "test"}, "m:2: copy.mp4, the same video as a.mp4, is in test and in train"),
        ({"label": "sit"}, "m:2: copy.mp4, the same video as a.mp4, is labelled 'sit' here and 'run' there"),
    ):
        with pytest.raises(DatasetError, match=said):
            once_each([first, replace(copy, **changed)], file_of)


def test_missing_videos_can_be_skipped(tmp_path):
    path = manifest(tmp_path, "path,label\na.mp4,run\ngone.mp4,sit\n")
    records, skipped = load_records(path, missing="skip")
    assert [record.path.name for record in records] == ["a.mp4"]
    assert [(item.path.name, item.reason) for item in skipped] == [("gone.mp4", f"file not found ({path}:3)")]


def test_long_lists_of_missing_videos_are_shortened(tmp_path):
    path = manifest(tmp_path, "path,label\na.mp4,run\n" + "".join(f"{i}.mp4,run\n" for i in range(50)))
    message = refusal(path)
    assert "50 of the 51 videos listed are missing" in message
    assert "and 47 more" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_manifest_without_rights(tmp_path):
    path = manifest(tmp_path, "path,label\na.mp4,run\n")
    path.chmod(0)
    assert "cannot be read: Permission denied" in refusal(path)


# --- what is done with records


def test_one_class_cannot_be_trained(tmp_path):
    records, _ = load_records(make(tmp_path, "run/a.mp4", "run/b.mp4"))
    with pytest.raises(DatasetError, match=r"Training needs at least two classes, found 'run' alone \(.*/run\)"):
        require_trainable(records)
    with pytest.raises(DatasetError, match="No videos to train on"):
        require_trainable([])
    require_trainable(load_records(make(tmp_path, "sit/a.mp4"))[0])


def test_data_config_limits_classes(tmp_path):
    make(tmp_path, "brush_hair/a.mp4", "run/b.mp4", "sit/c.mp4")
    records, _ = load_data(DataConfig(source=tmp_path, classes=("Brush_Hair", "sit")))
    assert [record.label for record in records] == ["brush hair", "sit"]
    with pytest.raises(DatasetError, match=r"data\.classes: no class 'sitt' in the data; did you mean 'sit'\?"):
        load_data(DataConfig(source=tmp_path, classes=("sitt",)))
    with pytest.raises(DatasetError, match=r"no class 'zzz' in the data; The classes are brush hair, run, sit\."):
        load_data(DataConfig(source=tmp_path, classes=("zzz",)))


def test_names():
    assert class_name(" brush__hair ") == "brush hair"
    assert class_key("Brush_hair") == class_key("brush-Hair") == class_key("brushhair")
    assert class_name_from_camel_case("ApplyEyeMakeup") == "apply eye makeup"
    assert class_name_from_camel_case("YoYo") == "yo yo"
    assert [part_name(text) for text in ("TRAIN", "valid", "dev", "testing", "trains")] == [
        "train",
        "val",
        "val",
        "test",
        None,
    ]


def test_entries_that_no_file_can_have(tmp_path):
    """A null character, half of a character pair, a name too long for any file system: missing, named by line."""
    for name in ("a\0b.mp4", "\ud800.mp4", "y" * 300 + ".mp4"):
        lines = [{"path": "a.mp4", "label": "x"}, {"path": name, "label": "y"}]
        path = manifest(tmp_path, "\n".join(map(json.dumps, lines)), "m.jsonl")
        assert "m.jsonl:2" in refusal(path)


@pytest.mark.parametrize("value", ["1" * 5000, "1" + "0" * 400, "[" * 100_000])
def test_absurd_json_is_refused_by_its_line(tmp_path, value):
    line = json.dumps({"path": "a.mp4", "label": "x"})
    path = manifest(tmp_path, line + '\n{"path": "b.mp4", "label": "y", "start": ' + value + "}\n", "m.jsonl")
    assert "m.jsonl:2" in refusal(path)


def test_class_names_that_are_no_text(tmp_path):
    try:
        make(tmp_path, "grow\udcffing/a.mp4", "b/b.mp4")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert "holds bytes that are no UTF-8. Rename the class." in refusal(tmp_path)
