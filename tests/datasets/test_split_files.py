from pathlib import Path

import pytest

from framecue.datasets.class_lists import find_classes, read_class_list, split_names
from framecue.datasets.protocols import base_to_novel, closed_set, cross_dataset, episodes, few_shot, zero_shot
from framecue.datasets.split_files import (
    base_to_novel_from_lists,
    episodes_from_lists,
    few_shot_from_lists,
    read_split_lists,
    write_split_lists,
)
from framecue.datasets.video_lists import VideoIndex, read_video_list
from framecue.errors import DatasetError, UsageError
from framecue.types import Record

CLASSES = ("brush_hair", "kick_ball", "run", "wave")


def data(root: str = "d", count: int = 8) -> list[Record]:
    return [
        Record(Path(root, folder, f"#{i}_a&b_{folder[0]} (x)~.avi"), folder.replace("_", " "), part, origin=f"m:{i}")
        for folder in CLASSES
        for i in range(count)
        for part in ("train" if i < count - 3 else "test",)
    ]


def lines(group: str, *numbers: int) -> str:
    return "".join(f"{group}/#{i}_a&b_{group[0]} (x)~\n" for i in numbers)


def folder(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def refusal(call) -> str:
    with pytest.raises(DatasetError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


EPISODE = {
    "train/split_0.list": lines("kick ball", 0, 1) + lines("run", 2, 3),
    "test/split_0.list": lines("kick ball", 2, 3, 4, 5, 6, 7) + lines("run", 0, 1, 4, 5, 6, 7),
}


def test_episodes_from_lists(tmp_path):
    protocol = episodes_from_lists(data(), folder(tmp_path, EPISODE))
    (trial,) = protocol.trials
    assert (protocol.name, protocol.source) == ("few-shot-2-way-2-shot", str(tmp_path))
    assert (trial.name, trial.seed, trial.class_names, trial.val) == ("episode 0", 0, ("kick ball", "run"), [])
    assert [record.path.name[:2] for record in trial.train] == ["#0", "#1", "#2", "#3"]
    assert len(trial.tests["test"]) == 12
    (tmp_path / "test" / "split_0.list").unlink()
    (tmp_path / "test").rmdir()
    alone = episodes_from_lists(data(), tmp_path)
    assert set(alone.trials[0].tests["test"]) == set(trial.tests["test"])
    assert alone.source_hash != protocol.source_hash


def test_hash_is_of_content_not_of_place_order_or_spelling(tmp_path):
    first = episodes_from_lists(data(), folder(tmp_path / "a", EPISODE))
    crlf = {
        name: "\r\n".join(reversed(text.splitlines())).replace("kick ball", "Kick_Ball")
        for name, text in EPISODE.items()
    }
    assert episodes_from_lists(data(), folder(tmp_path / "b", crlf)).source_hash == first.source_hash
    more = {**EPISODE, "test/split_0.list": lines("kick ball", 2) + lines("run", 4)}
    assert episodes_from_lists(data(), folder(tmp_path / "c", more)).source_hash != first.source_hash


def test_few_shot_from_lists(tmp_path):
    train = "".join(lines(group, 1, 2) for group in CLASSES)
    lists = folder(tmp_path, {f"train/split_{i}.list": train for i in (0, 2, 10)})
    protocol = few_shot_from_lists(data(), lists)
    assert protocol.name == "few-shot-all-way-2-shot"
    assert [trial.name for trial in protocol.trials] == ["draw 0", "draw 2", "draw 10"]
    assert {record.split for record in protocol.trials[0].tests["test"]} == {"test"}
    assert len(protocol.trials[0].tests["test"]) == 12


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"train/split_0.list": "run\n"}, "train/split_0.list:1: a line must be 'class/video', found 'run'"),
        ({"train/split_0.list": "\n/x\n"}, "train/split_0.list:2: a line must be 'class/video', found '/x'"),
        ({"train/split_0.list": "\n"}, "train/split_0.list lists no videos"),
        ({"train/split_0.list": lines("run", 1, 1)}, "split_0.list:2: 'run/#1_a&b_r (x)~' is listed twice ("),
        (
            {"train/split_0.list": lines("run", 1) + lines("Run", 2)},
            "split_0.list:2: class 'Run' and 'run'",
        ),
        (
            {"train/split_0.list": lines("run", 1, 2) + lines("wave", 1)},
            "train/split_0.list: class 'wave' has 1 videos where 2 are needed of each.",
        ),
        (
            {"train/split_0.list": lines("kick ball", 0, 1) + "run/absent\nrun/gone\n"},
            "train/split_0.list:3: no video 'run/absent' in the data; 2 of the 4 videos listed there are missing. "
            "Get them, or go on without them with data.missing=skip.",
        ),
        (
            {"train/split_0.list": lines("kick ball", 0, 1) + "run/#5_a&b_w (x)~\nrun/#1_a&b_r (x)~\n"},
            "train/split_0.list:3: 'run/#5_a&b_w (x)~' is in the data as 'wave' (d/wave/#5",
        ),
        (
            {"test/split_0.list": lines("run", 4, 2)},
            "test/split_0.list:2: 'run/#2_a&b_r (x)~' is also a training video (",
        ),
        ({"test/split_0.list": lines("wave", 4)}, "test/split_0.list:1: class 'wave' is not among the 2 classes asked"),
        (
            {"train/split_3.list": lines("run", 1)},
            "train/split_3.list has no list of that number in test (2 training and 1 test lists)",
        ),
        ({"test/split_1.list": lines("run", 1)}, "test/split_1.list has no list of that number in train"),
        ({"train/fold1.list": lines("run", 1)}, "train/fold1.list: lists must be called split_0.list"),
        (
            {
                "train/split_1.list": lines("run", 1, 2),
                "test/split_1.list": lines("run", 3),
            },
            "train/split_1.list: 1 classes where the list before it has 2.",
        ),
    ],
)
def test_lists_refused(tmp_path, changed, said):
    lists = folder(tmp_path, {**EPISODE, **changed})
    assert said in refusal(lambda: episodes_from_lists(data(), lists))


def test_nearest_class_is_named(tmp_path):
    lists = folder(tmp_path, {**EPISODE, "train/split_0.list": "runing/x\nrunning/y\n"})
    assert "no video 'runing/x' in the data (its class nearest to that is 'run')" in refusal(
        lambda: episodes_from_lists(data(), lists)
    )


def test_folder_of_several_sets_is_refused(tmp_path):
    folder(tmp_path / "HMDB-51", EPISODE)
    said = refusal(lambda: episodes_from_lists(data(), tmp_path))
    assert said.endswith("holds no train/split_0.list; found the folders HMDB-51. Point to the folder of one data set.")
    assert "found no folders there" in refusal(lambda: few_shot_from_lists(data(), tmp_path / "nowhere"))


def test_training_videos_of_the_test_part_are_refused(tmp_path):
    lists = folder(tmp_path, {"train/split_0.list": "".join(lines(group, 0, 7) for group in CLASSES)})
    said = refusal(lambda: few_shot_from_lists(data(), lists))
    assert "split_0.list:2: 'brush_hair/#7_a&b_b (x)~' is in the test part of the data, like 4 of the 8" in said


def test_missing_videos_are_skipped_and_told(tmp_path):
    lists = folder(tmp_path, EPISODE)
    present = [record for record in data() if not record.path.name.startswith(("#0", "#5"))]
    protocol = episodes_from_lists(present, lists, missing="skip")
    assert [len(part) for part in (protocol.trials[0].train, protocol.trials[0].tests["test"])] == [3, 9]
    assert [str(skipped.path) for skipped in protocol.skipped] == [
        "kick ball/#0_a&b_k (x)~",
        "kick ball/#5_a&b_k (x)~",
        "run/#0_a&b_r (x)~",
        "run/#5_a&b_r (x)~",
    ]
    assert protocol.skipped[0].reason == f"not in the data ({lists}/train/split_0.list:1)"


def test_trials_without_a_class_are_left_out(tmp_path):
    other = {
        name.replace("0", "1"): text.replace("kick ball/", "wave/").replace("_k", "_w")
        for name, text in EPISODE.items()
    }
    lists = folder(tmp_path, {**EPISODE, **other})
    without_wave = [record for record in data() if record.label != "wave"]
    protocol = episodes_from_lists(without_wave, lists, missing="skip")
    assert [trial.name for trial in protocol.trials] == ["episode 0"]
    reasons = {skipped.path.name: skipped.reason for skipped in protocol.skipped}
    assert reasons["split_1.list"] == "left out: none of the videos of 1 classes is in the data, as of 'wave'"
    nothing = [record for record in data() if record.label == "brush hair"]
    assert "no trial can be run with the data" in refusal(lambda: episodes_from_lists(nothing, lists, missing="skip"))


def found(folder: Path, text: str, *paths: str, label: str | None = None, **times: float) -> str | None:
    records = [Record(Path(path), label or Path(path).parent.name, None, **times) for path in paths]
    (folder / "split_0.list").write_text(f"{text}\n", encoding="utf-8")
    record = VideoIndex(records).find(read_video_list(folder / "split_0.list")[0])
    return record and record.path.as_posix()


@pytest.mark.parametrize(
    ("text", "paths", "expected"),
    [
        ("kick ball/x", ["d/kick_ball/x.avi"], "d/kick_ball/x.avi"),
        ("KickBall/x.avi", ["d/kick_ball/x.mp4", "d/kick/y.mp4"], "d/kick_ball/x.mp4"),
        ("run/x.1.avi", ["d/run/x.1.mkv"], "d/run/x.1.mkv"),
        ("run/x.1", ["d/run/x.1.mkv"], "d/run/x.1.mkv"),
        ("run/x", ["d/sprint/x.mp4", "d/jump/y.mp4"], "d/sprint/x.mp4"),
        ("run/x", ["d/sprint/x.mp4", "d/jump/x.mp4"], None),
        ("train/run/x", ["d/train/run/x.mp4", "d/test/run/x.mp4"], "d/train/run/x.mp4"),
        ("videos/run/x", ["d/run/x.mp4", "d/jump/x.mp4"], "d/run/x.mp4"),
        ("run/a_000048_000058", ["d/run/a.mp4"], "d/run/a.mp4"),
        ("run/a", ["d/run/a_000048_000058.mp4"], "d/run/a_000048_000058.mp4"),
        ("run/a_000048_000058", ["d/run/a_000001_000011.mp4"], None),
        ("run/a_000048_000058", ["d/run/a_000048_000058.mp4", "d/run/a.mp4"], "d/run/a_000048_000058.mp4"),
        ("run/e\u0301te", ["d/run/\u00e9te.mp4"], "d/run/\u00e9te.mp4"),
        ("run/y", ["d/run/x.mp4"], None),
    ],
)
def test_a_line_finds_its_video(tmp_path, text, paths, expected):
    assert found(tmp_path, text, *paths) == expected


def test_a_line_finds_a_part_of_a_file(tmp_path):
    assert found(tmp_path, "run/a_000048_000058", "d/v/a.mp4", label="run", start_seconds=48.0, end_seconds=58.0)
    assert not found(tmp_path, "run/a_000048_000058", "d/v/a.mp4", label="run", start_seconds=0.0, end_seconds=58.0)


def test_a_line_that_may_be_two_videos(tmp_path):
    records = [Record(Path(f"d/{part}/run/x.mp4"), "run", part) for part in ("train", "test")]
    lists = folder(tmp_path, {"train/split_0.list": "run/x\n", "test/split_0.list": "run/x\n"})
    said = refusal(lambda: episodes_from_lists(records, lists))
    assert (
        "train/split_0.list:1: 'run/x' may be any of 2 videos of the data (d/test/run/x.mp4, d/train/run/x.mp4)" in said
    )


def test_two_lines_that_are_one_video(tmp_path):
    lists = folder(tmp_path, {"train/split_0.list": "run/a\nrun/a_000001_000002\n"})
    said = refusal(lambda: few_shot_from_lists([Record(Path("d/run/a.mp4"), "run"), *data()], lists))
    assert "split_0.list:2: 'run/a_000001_000002' is the same video as in" in said


def test_classes_that_do_not_match_one_to_one(tmp_path):
    records = [Record(Path(f"d/{label}/{label}{i}.mp4"), label) for label in ("run", "fall") for i in range(3)]
    lists = folder(tmp_path, {"train/split_0.list": "moving/run0\nmoving/fall1\n"})
    assert "split_0.list:2: 'moving/fall1' is of class 'fall' in the data, but classes of list and data do" in refusal(
        lambda: episodes_from_lists(records, lists)
    )


@pytest.mark.parametrize(
    ("name", "text", "names", "numbers"),
    [
        ("a.list", "run\n\nsit up \n", ("run", "sit up"), (0, 1)),
        ("label_map.txt", "round-off, on, off\nrun\n", ("round-off, on, off", "run"), (0, 1)),
        ("labels.csv", 'id,name\r\n3,run\r\n1,"a, b"\r\n', ("run", "a, b"), (3, 1)),
        ("classInd.txt", "1 ApplyEyeMakeup\n2 ApplyLipstick\n", ("ApplyEyeMakeup", "ApplyLipstick"), (1, 2)),
        ("names.csv", "action\nArm wrestling\nBMX\n", ("Arm wrestling", "BMX"), (0, 1)),
        ("bom.txt", "\ufeffrun\nsit\n", ("run", "sit"), (0, 1)),
        ("odd.txt", "action\n100 meters\n", ("action", "100 meters"), (0, 1)),
        ("quoted.txt", '"from left, slowly"\nrun\n"say ""hi"""\n', ("from left, slowly", "run", 'say "hi"'), (0, 1, 2)),
        ("one_line.txt", 'run, "a, b", sit\n', ("run", "a, b", "sit"), (0, 1, 2)),
        ("brackets.txt", "[Something] falling\nrun\n", ("[Something] falling", "run"), (0, 1)),
        ("excel.csv", "\ufeffsep=;\r\nid;name\r\n1;a, b\r\n2;run\r\n", ("a, b", "run"), (1, 2)),
        ("more.csv", "youtube,class name\nx,run\ny,sit\n", ("run", "sit"), (0, 1)),
        ("bare.csv", '"a, b"\nrun\n', ("a, b", "run"), (0, 1)),
        ("numbered.csv", 'run,7\n"a, b",3\n', ("run", "a, b"), (7, 3)),
        ("tabs.tsv", "0\trun\n1\ta, b\n", ("run", "a, b"), (0, 1)),
        ("row.csv", "run,sit,fall\n", ("run", "sit", "fall"), (0, 1, 2)),
        ("list.json", '["a, b",\n"run"]', ("a, b", "run"), (0, 1)),
        ("objects.json", '[{"id": 4, "name": "run"}, {"id": "2", "label": "sit"}]', ("run", "sit"), (4, 2)),
        ("by_id.json", '{"1": "sit", "0": "a, b"}', ("a, b", "sit"), (0, 1)),
        (
            "something.json",
            '{"Holding [something]": "1", "Dropping": "0"}',
            ("Dropping", "Holding [something]"),
            (0, 1),
        ),
        ("kinetics.json", '{"\\"riding a bike\\"": 1, "abseiling": 0}', ("abseiling", "riding a bike"), (0, 1)),
        ("config.json", '{"dim": 3, "id2label": {"1": "sit", "0": "run"}}', ("run", "sit"), (0, 1)),
        ("json.txt", '["run", "sit"]', ("run", "sit"), (0, 1)),
        ("digits.json", "[0, 1]", ("0", "1"), (0, 1)),
    ],
)
def test_class_lists(tmp_path, name, text, names, numbers):
    path = tmp_path / name
    path.write_bytes(text.encode())
    listed = read_class_list(path)
    assert (listed.names, listed.numbers) == (names, numbers)
    assert listed.origins[0].startswith(f"{path}:")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.list", "\n", "a.list names no classes. Write one name a line."),
        ("a.csv", "id,name\n", "a.csv names no classes"),
        ("a.list", "run\nsit\nrun\n", "a.list:3: class 'run' is listed twice ("),
        ("a.list", "sit_up\nSit up\n", "a.list:2: class 'Sit up' and 'sit_up'"),
        ("a.csv", "id,name\n1,run\n1,sit\n", "a.csv:3: number 1 is listed twice ("),
        ("a.csv", "id,name\nx,run\n", "a.csv:2: a line must be 'id,name', found 'x,run'"),
        ("a.csv", "id,name\n1\n", "a.csv:2: a line must be 'id,name', found '1'"),
        ("a.csv", "id,name\n1,a,b\n", "a.csv:2: a line must be 'id,name', found '1,a,b'"),
        ("a.csv", 'id,name\n1,"a"b\n', "a.csv:2: not valid CSV"),
        ("a.csv", "run\nfrom left, slowly\n", "a.csv:2: several columns, and no header that says which one"),
        ("a.csv", "foo,bar\nrun,x\n", "a.csv:1: several columns, and no header that says which one"),
        ("a.csv", "name\nfrom left, slowly\n", "a.csv:2: a line must be 'name', found 'from left,slowly'"),
        ("a.json", '{"run": "x"}', "an object must give the name of each id, or the id of each name"),
        ("a.json", '["run",\n[3]]', "a.json:2: the name of a class must be text, found '[3]'"),
        ("a.json", '["run"', "a.json:1: not valid JSON"),
        ("a.json", "[]", "a.json names no classes"),
        ("a.txt", '"run, sit\n', "quotes around a name must end at its end"),
    ],
)
def test_class_lists_refused(tmp_path, name, text, said):
    path = tmp_path / name
    path.write_text(text)
    assert said in refusal(lambda: read_class_list(path))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_class_lists_in_the_encodings_that_a_mark_tells(tmp_path, encoding):
    path = tmp_path / "a.txt"
    path.write_bytes("fällt\n走る\n".encode(encoding))
    assert read_class_list(path).names == ("fällt", "走る")


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("cp1252", "a.txt:2: byte 0xe4 is not UTF-8, perhaps Latin-1, Windows-1252, Shift-JIS or GBK. Save the"),
        ("utf-16-be", "a.txt:2: byte 0xe4 is not UTF-8, perhaps UTF-16 without a mark at its beginning. Save the"),
    ],
)
def test_other_encodings_are_refused(tmp_path, encoding, said):
    path = tmp_path / "a.txt"
    path.write_bytes("run\nfällt\n".encode(encoding))
    assert said in refusal(lambda: read_class_list(path))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("waving, walking a dog", ["waving", "walking a dog"]),
        ('"Pushing something from left, slowly",waving', ["Pushing something from left, slowly", "waving"]),
        (' "a, b" , "c" ,, d,', ["a, b", "c", "d"]),
        ('a 6" pipe, "say ""hi"", twice"', ['a 6" pipe', 'say "hi", twice']),
        ("run\nsit\r\nfall\n", ["run", "sit", "fall"]),
        ("", []),
        (" , ", []),
        ("red circle; blue square", ["red circle; blue square"]),
    ],
)
def test_typed_names(text, names):
    assert split_names(text) == names


@pytest.mark.parametrize("text", ['"run, sit', '"run" now, sit', 'sit, "'])
def test_typed_names_whose_quotes_do_not_end(text):
    assert "quotes around a name must end at its end, before a comma" in refusal(lambda: split_names(text))


def test_class_lists_that_do_not_fit_the_data(tmp_path):
    folder(tmp_path, {"seen.list": "run\nwaving\n", "some.list": "run\nWave\n", "other.list": "kick ball\nwave\n"})
    seen, some, other = (read_class_list(tmp_path / f"{name}.list") for name in ("seen", "some", "other"))
    said = refusal(lambda: zero_shot(data(), train_classes=seen, test_classes=other))
    assert said == f"{tmp_path}/seen.list:2: no class 'waving' in the data; did you mean 'wave'?"
    said = refusal(lambda: zero_shot(data(), train_classes=some, test_classes=other))
    assert said == (
        f"{tmp_path}/other.list:2: class 'wave' is in the train and test class lists both "
        f"('wave', {tmp_path}/some.list:2). Remove it from one."
    )
    assert find_classes(some, ["run", "wave"], asked_by="x") == {"run": some.origins[0], "wave": some.origins[1]}


def test_lists_written_on_windows_get_a_hint(tmp_path):
    lists = folder(tmp_path, {"train/split_0.list": "run\\run0\n", "test/split_0.list": "run/run1\n"})
    said = refusal(lambda: episodes_from_lists(data(), lists))
    assert r"found 'run\run0'; the path uses backslashes, write run/run0. Restore the file" in said


NUMBERED = {
    "base.csv": "id,name\n0,run\n1,kick ball\n",
    "novel.csv": "id,name\n0,wave\n",
    "fs1.txt": "#0_a&b_r (x)~.avi 0\n#1_a&b_k (x)~.avi 1\n",
    "base_val.txt": "#6_a&b_r (x)~.avi 0\nsome/where/#6_a&b_k (x)~.avi 1\n",
    "novel_val.txt": "#5_a&b_w (x)~.avi 0\n",
}


def numbered(root: Path, **changed: str):
    folder(root, {**NUMBERED, **changed})
    return base_to_novel_from_lists(
        data(),
        train=[root / "fs1.txt"],
        base_test=root / "base_val.txt",
        novel_test=root / "novel_val.txt",
        base_labels=root / "base.csv",
        novel_labels=root / "novel.csv",
    )


def test_base_to_novel_from_lists(tmp_path):
    protocol = numbered(tmp_path)
    (trial,) = protocol.trials
    assert (protocol.name, trial.class_names, trial.test_names["novel"]) == (
        "base-to-novel",
        ("kick ball", "run"),
        ("wave",),
    )
    assert [len(part) for part in (trial.train, trial.val, trial.tests["base"], trial.tests["novel"])] == [2, 2, 2, 1]
    assert {record.split for record in trial.val} == {"train"}
    assert "(classes and videos as listed)" in protocol.description


def test_numbers_that_contradict_the_data_yield_and_are_told(tmp_path):
    protocol = numbered(tmp_path, **{"base.csv": "id,name\n1,run\n0,kick ball\n"})
    assert {record.label for record in protocol.trials[0].train} == {"run", "kick ball"}
    assert (
        "except that by the data what the lists call 'kick ball' is 'run', 'run' is 'kick ball')"
        in protocol.description
    )


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"fs1.txt": "#0_a&b_r (x)~.avi 7\n"}, "fs1.txt:1: class number 7 is not among the 2 of "),
        ({"fs1.txt": "#0_a&b_r (x)~.avi\n"}, "fs1.txt:1: a line must be 'path number'"),
        ({"novel.csv": "id,name\n0,Run\n"}, "novel.csv:2: class 'run' is in the base and novel lists both ('run', "),
        ({"novel.csv": "id,name\n0,waves\n"}, "novel.csv:2: no class 'waves' in the data; did you mean 'wave'?"),
        (
            {"fs1.txt": "#0_a&b_r (x)~.avi 0\n#7_a&b_k (x)~.avi 1\n"},
            "fs1.txt:2: '#7_a&b_k (x)~.avi' is in the test part",
        ),
        ({"base_val.txt": "#0_a&b_r (x)~.avi 0\n"}, "base_val.txt:1: '#0_a&b_r (x)~.avi' is also a training video"),
    ],
)
def test_numbered_lists_refused(tmp_path, changed, said):
    assert said in refusal(lambda: numbered(tmp_path, **changed))


def test_base_to_novel_needs_a_list(tmp_path):
    with pytest.raises(UsageError, match="train must name at least one list"):
        base_to_novel_from_lists(data(), train=[], base_test="a", novel_test="b", base_labels="c", novel_labels="d")


OTHER = [Record(Path(f"o/{label}/{i}.mp4"), label, "test") for label in ("run", "a/b", "c", "d", "e") for i in range(3)]
TWINS = [
    Record(Path(f"w/{part}/{label}/{i}.mp4"), label, part)
    for part in ("train", "val", "test")
    for label in ("run", "sit")
    for i in range(4)
]
DRAWN = {
    "closed-set": (lambda: closed_set(data(), val_fraction=0.3, seeds=(0, 5)), data, None),
    "episodes": (lambda: episodes(data(), ways=2, shots=2, count=12), data, None),
    "few-shot": (lambda: few_shot(data(), shots=2, draws=3), data, None),
    "zero-shot": (lambda: zero_shot(data(), train_classes=["run", "wave"], test_classes=["brush hair"]), data, None),
    "base-to-novel": (lambda: base_to_novel(data(), shots=2), data, None),
    "cross-dataset": (lambda: cross_dataset(data(), OTHER, halves=2), data, OTHER),
    "equal file names in parts": (lambda: few_shot(TWINS, shots=2, draws=2), lambda: TWINS, None),
}


@pytest.mark.parametrize("name", DRAWN)
def test_written_lists_read_back_to_the_same_protocol(tmp_path, name):
    draw, records, test_records = DRAWN[name]
    protocol = draw()
    write_split_lists(protocol, tmp_path)
    write_split_lists(protocol, tmp_path)
    again = read_split_lists(records(), tmp_path, test_records=test_records)
    assert again == protocol
    assert again.lists == protocol.lists


def test_written_lists_are_the_authors_form(tmp_path):
    protocol = episodes(data(), ways=2, shots=2, count=3)
    write_split_lists(protocol, tmp_path)
    published = episodes_from_lists(data("/elsewhere"), tmp_path)
    assert published.source_hash == protocol.source_hash
    assert [trial.class_names for trial in published.trials] == [trial.class_names for trial in protocol.trials]
    assert (tmp_path / "train" / "split_0.list").read_text().count("/#") == 4
    names = [video.stem for video in read_video_list(tmp_path / "train" / "split_0.list")]
    assert names == [record.path.stem for record in protocol.trials[0].train]


def test_candidates_without_videos_survive(tmp_path):
    records = [record for record in data() if record.label != "wave" or record.split == "train"]
    protocol = closed_set(records)
    write_split_lists(protocol, tmp_path)
    assert (tmp_path / "classes" / "test" / "split_0.list").read_text() == "brush hair\nkick ball\nrun\nwave\n"
    assert read_split_lists(records, tmp_path) == protocol


def test_changed_or_foreign_lists_are_refused(tmp_path):
    protocol = few_shot(data(), shots=2, draws=1)
    write_split_lists(protocol, tmp_path)
    other = few_shot(data(), shots=2, draws=1, seed=1)
    said = refusal(lambda: write_split_lists(other, tmp_path))
    assert said == f"{tmp_path} holds other lists (train/split_0.list). Choose an empty folder."
    path = tmp_path / "train" / "split_0.list"
    path.write_text(path.read_text().replace("#0", "#1"))
    assert "the lists are not those that protocol.json was written with" in refusal(
        lambda: read_split_lists(data(), tmp_path)
    )
    (tmp_path / "protocol.json").write_text("[]")
    assert "protocol.json does not describe a protocol" in refusal(lambda: read_split_lists(data(), tmp_path))
    (tmp_path / "protocol.json").unlink()
    assert "protocol.json cannot be read" in refusal(lambda: read_split_lists(data(), tmp_path))


def test_videos_that_lists_cannot_tell_apart(tmp_path):
    records = [Record(Path(f"d/{i}/x.mp4"), label, part) for i, (label, part) in enumerate([("run", "train")] * 2)]
    records.append(Record(Path("d/9/y.mp4"), "run", "test"))
    said = refusal(lambda: write_split_lists(closed_set(records, val_fraction=0), tmp_path))
    assert "The 2 videos of train in seed 0 cannot be told apart in lists: some share class and file name" in said
