"""framecue's own forms of captions, and what is done with captions that are odd, damaged or hostile."""

import json
from pathlib import Path

import pytest

from framecue.datasets.retrieval import CaptionSet, read_captions
from framecue.datasets.retrieval.caption_set import MAX_CAPTION_CHARS, MAX_ID_CHARS
from framecue.datasets.world import write_world
from framecue.errors import DatasetError, UsageError


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def refusal(path: Path, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        read_captions(path, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 600 + len(str(path))
    return str(caught.value)


def captions(read: CaptionSet) -> dict[str, tuple[str, ...]]:
    return {video.video_id: video.captions for video in read.videos}


A_LINE = '{"video": "a.mp4", "captions": ["a dog runs", "a dog is running"]}'
A_B = {"a.mp4": ("a dog runs", "a dog is running"), "b.mp4": ("a cat sleeps",)}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("c.json", [{"video": "a.mp4", "caption": list(A_B["a.mp4"])}, {"video": "b.mp4", "caption": "a cat sleeps"}]),
        ("c.json", {"a.mp4": list(A_B["a.mp4"]), "b.mp4": "a cat sleeps"}),
        ("c.json", {"a.mp4": {"captions": list(A_B["a.mp4"])}, "b.mp4": {"caption": "a cat sleeps"}}),
        ("c.json", [{"videoID": "a.mp4", "enCap": [*A_B["a.mp4"]]}, {"video": "b.mp4", "text": "a cat sleeps"}]),
        ("c.jsonl", f'{A_LINE}\n\n{{"path": "b.mp4", "caption": "a cat sleeps"}}\n'),
        ("c.csv", 'video,caption\na.mp4,a dog runs\nb.mp4,"a cat sleeps"\na.mp4,a dog is running\n'),
        ("c.csv", "File;Sentence\na.mp4;a dog runs\nb.mp4;a cat sleeps\na.mp4;a dog is running\n"),
        ("c.tsv", "\ufefffile\tcaption\tx\na.mp4\ta dog runs\t1\nb.mp4\ta cat sleeps\t1\na.mp4\ta dog is running\t1\n"),
    ],
)  # fmt: skip
def test_every_simple_form_is_recognized(tmp_path, name, content):
    read = read_captions(write(tmp_path / name, content))
    assert captions(read) == A_B
    assert read.notes == ()
    assert {video.split for video in read.videos} == {None}
    assert read.videos[0].origin.startswith(f"{tmp_path / name}:")


def test_parts_times_groups_and_files_of_an_entry(tmp_path):
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"")
    rows = (
        "video,caption,split,start,end,group\nclips/a.mp4,up,validation,0,2.5,direction\n"
        "clips/a.mp4,down,validation,2.5,5,direction\nb.mp4,left,Train,,,\n"
    )
    first, second, third = read_captions(write(tmp_path / "c.csv", rows)).videos
    assert (first.split, first.start_seconds, first.end_seconds, first.captions) == ("val", 0.0, 2.5, ("up",))
    assert (second.split, second.start_seconds, second.end_seconds, second.captions) == ("val", 2.5, 5.0, ("down",))
    assert first.group == second.group == "direction"
    assert first.path == tmp_path / "clips" / "a.mp4"
    assert (third.split, third.start_seconds, third.end_seconds, third.path, third.group) == ("train", *[None] * 4)


def test_the_built_in_world_is_read_with_its_parts_and_files(tmp_path):
    write_world(tmp_path, classes=["moving up", "moving down"], videos_per_class={"train": 1, "test": 1}, workers=0)
    for read in (read_captions(tmp_path / "captions.jsonl"), read_captions(tmp_path)):
        assert [video.split for video in read.videos] == ["train", "train", "test", "test"]
        assert all(video.path is not None and video.path.is_file() for video in read.videos)
        assert {video.group for video in read.videos} == {"moving up", "moving down"}
        assert len(read.notes) == 1
        assert "4 entries' parts are told by folders' names" in read.notes[0]
    assert len(read_captions(tmp_path, split="test").videos) == 2


def test_real_captions_are_read_and_their_files_found(shared_data):
    source = shared_data / "videos" / "captions.tsv"
    read = read_captions(source, videos=shared_data / "videos")
    assert len(read.videos) == 12
    assert sum(len(video.captions) for video in read.videos) == 120
    assert all(video.path is not None and video.path.is_file() for video in read.videos)
    assert {video.path for video in read.videos} == {shared_data / video.video_id for video in read.videos}, (
        "Fall/13.mp4 is there for several subjects: the folders tell which"
    )
    assert len(read.notes) == 1
    assert "11 captions are given twice for one video: all kept" in read.notes[0]


def test_a_folder_with_a_file_for_each_part(tmp_path):
    for part in ("train", "val", "test"):
        write(tmp_path / f"my_{part}.json", [{"video": f"{part}.mp4", "caption": part}])
    read = read_captions(tmp_path)
    assert {video.video_id: video.split for video in read.videos} == {f"{p}.mp4": p for p in ("train", "val", "test")}
    assert "3 files' parts are told by their names (first: my_test.json: test)" in read.notes[0]
    assert [video.video_id for video in read.part("val")] == ["val.mp4"]


def test_captions_are_tidied_counted_and_never_silently_dropped(tmp_path):
    odd = [
        "  up \n and\tdown ",
        "",
        " \u2028\x07 ",
        "tom &amp; <b>jerry</b>",
        "3 < 5",
        "up and down",
        "up and down",
        "\u202egnp",
    ]
    read = read_captions(write(tmp_path / "c.json", [{"video": " a ", "caption": odd}, {"video": "b", "caption": []}]))
    kept = ("up and down", "tom &amp; <b>jerry</b>", "3 < 5", "up and down", "up and down", "gnp")
    assert captions(read) == {"a": kept}
    told = "\n".join(read.notes)
    assert "2 captions are empty: left out" in told
    assert "1 video has no caption: left out (b)" in told
    assert "2 captions held stray white space or control characters: tidied (first: line 1, " in told
    assert "1 caption holds what looks like markup" in told
    assert "2 captions are given twice" in told
    assert len(read.notes) == 5


def test_a_key_given_twice_is_told(tmp_path):
    read = read_captions(write(tmp_path / "c.json", '{"a": "up",\n "a": "down"}'))
    assert captions(read) == {"a": ("up", "down")}
    assert "1 key is given twice: the captions are joined (line 2, a)" in read.notes[0]


HOSTILE = [
    ({"video": 7, "caption": "x"}, "the video must be named by a text, found 7"),
    ({"video": "  ", "caption": "x"}, "the video must be named"),
    ({"caption": "x"}, "the video is missing, found the keys caption"),
    ({"video": "v"}, "the caption is missing, found the keys video"),
    ({}, "found the keys none"),
    ("v", "an entry must be an object with 'video' and 'caption', found 'v'"),
    (None, "an entry must be an object"),
    ({"video": "v", "caption": 3}, "a caption must be a text, found 3"),
    ({"video": "v", "caption": ["x", 3]}, "a caption must be a text, found 3"),
    ({"video": "v", "caption": ["x", ["y"]]}, "a caption must be a text, found ['y']"),
    ({"video": "v", "caption": {"en": "x"}}, "a caption must be a text"),
    ({"video": "v", "caption": "\ud800"}, "half a sign"),
    ({"video": "v\ud800", "caption": "x"}, "must be one line of UTF-8"),
    ({"video": "v\nw", "caption": "x"}, "must be one line of UTF-8"),
    ({"video": "v\0", "caption": "x"}, "must be one line of UTF-8"),
    ({"video": "v" * (MAX_ID_CHARS + 1), "caption": "x"}, "of at most 1000 signs"),
    ({"video": "v", "caption": "x" * (MAX_CAPTION_CHARS + 1)}, "a caption has at most 10,000 signs, found 10,001"),
    ({"video": "v", "caption": "x", "start": float("nan")}, "start must be a number of seconds from 0 up, found nan"),
    ({"video": "v", "caption": "x", "end": float("inf")}, "end must be a number of seconds from 0 up, found inf"),
    ({"video": "v", "caption": "x", "start": -1}, "start must be a number of seconds from 0 up, found -1"),
    ({"video": "v", "caption": "x", "start": [1]}, "start must be a number of seconds"),
    ({"video": "v", "caption": "x", "start": True}, "start must be a number of seconds"),
    ({"video": "v", "caption": "x", "start": 5, "end": 5}, "start must be before end, found 5 and 5 s"),
    ({"video": "v", "caption": "x", "split": "fold3"}, "unknown split 'fold3'. Write train, val or test"),
    ({"video": "good", "caption": "x", "split": "test"}, "video 'good' is in test here and in no part at"),
]


@pytest.mark.parametrize(("entry", "message"), HOSTILE)
@pytest.mark.parametrize("name", ["c.json", "c.jsonl"])
def test_hostile_entries_are_refused_with_their_line_or_left_out_and_counted(tmp_path, entry, message, name):
    lines = [json.dumps({"video": "good", "caption": "fine"}), json.dumps(entry)]
    text = "\n".join(lines) if name == "c.jsonl" else "[" + ",\n".join(lines) + "]"
    if name == "c.jsonl" and not isinstance(entry, dict):
        message = "every line must be a JSON object"
    path = write(tmp_path / name, text)
    told = refusal(path)
    assert told.startswith(f"{path}:2: ")
    assert message in told
    read = read_captions(path, invalid="drop")
    assert captions(read) == {"good": ("fine",)}
    assert any("1 entry cannot be understood: left out (line 2: " in note and message in note for note in read.notes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", "", "not a JSON list or object"),
        ("c.json", "[]", "holds no captions"),
        ("c.json", "{}", "holds no captions"),
        ("c.json", '"text"', "not a JSON list or object"),
        ("c.json", '[{"video": "a", "caption": "b"}', "c.json:1: not valid JSON: a ',' is missing"),
        ("c.json", "[" * 100_000, "a nesting of absurd size"),
        ("c.json", '[{"video": "a", "caption": "b", "start": ' + "9" * 5000 + "}]", "a number or a nesting of absurd"),
        ("c.jsonl", "", "holds no captions"),
        ("c.jsonl", '{"video": "a", "caption": "b"}\n{', "c.jsonl:2: not valid JSON"),
        ("c.csv", "", "holds no captions"),
        ("c.csv", "video,caption\n", "holds no captions"),
        ("c.csv", "name,caption\na,b\n", "c.csv:1: the header needs a column for the video, found name, caption"),
        ("c.csv", "video,title\na,b\n", "c.csv:1: the header needs a column for the caption, found video, title"),
        ("c.csv", "video_id\nvideo1\n", "a list of ids is read as a folder"),
        ("c.csv", "video,caption,Caption\na,b,c\n", "c.csv:1: two columns have the same name"),
        ("c.csv", "video,caption\na,b,c\n", "c.csv:2: 3 columns where the header has 2"),
        ("c.csv", 'video,caption\na,"b\n', "not valid CSV"),
        ("c.csv", "video,caption,start\na,b,soon\n", "c.csv:2: start must be a number of seconds from 0 up"),
        ("c.csv", "video,caption\na," + "b" * 200_000, "not valid CSV: field larger than field limit"),
        ("c.txt", "a b", "holds no captions of a known form"),
        ("c.mp4", "", "holds no captions of a known form"),
        ("raw-captions.pkl", "", "a pickle can run any code, so it is not read"),
    ],
)  # fmt: skip
def test_damaged_files_are_refused_in_one_line(tmp_path, name, content, message):
    assert message in refusal(write(tmp_path / name, content))


def test_what_is_no_utf8_is_refused_with_its_line(tmp_path):
    path = tmp_path / "c.csv"
    path.write_bytes("video,caption\na,fine\nb,ein schöner Tag\n".encode("latin-1"))
    assert refusal(path).startswith(f"{path}:3: byte 0xf6 is not UTF-8, perhaps Latin-1")


def test_a_pickle_is_never_opened(tmp_path):
    path = tmp_path / "raw-captions.pkl"
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "ran").encode() + b"'\ntR.")
    assert "json.dump" in refusal(path)
    assert not (tmp_path / "ran").exists()


def test_ids_that_leave_the_folder_find_no_file(tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"")
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.mp4").write_bytes(b"")
    ids = ["../secret.mp4", str(tmp_path / "secret.mp4"), "..", "sub/../../secret", "x/sub/a"]
    read = read_captions(write(tmp_path / "c.json", [{"video": name, "caption": "x"} for name in ids]), videos=folder)
    assert {video.video_id: video.path for video in read.videos} == {"x/sub/a": folder / "sub" / "a.mp4"}
    assert any("4 videos have no file: left out (first: secret.mp4)" in note for note in read.notes)


def test_missing_files_can_be_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    path = write(tmp_path / "c.json", {"a": "x", "b": "y", "c": "z"})
    told = refusal(path, videos=tmp_path, missing="error")
    assert f"2 of 3 videos have no file below {tmp_path} (b, c)" in told
    assert [video.video_id for video in read_captions(path, videos=tmp_path).videos] == ["a"]


def test_a_part_that_is_asked_for(tmp_path):
    path = write(tmp_path / "c.csv", "video,caption,split\na,x,train\nb,y,train\nc,z,test\n")
    read = read_captions(path, split="training")
    assert [video.video_id for video in read.videos] == ["a", "b"]
    assert "1 video is of another part: left out (c)" in read.notes[0]
    assert "no video is in 'val', found test, train" in refusal(path, split="val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "xml"}, "format must be auto, json, "),
        ({"split": "fold1"}, "split must be train, val or test, found 'fold1'"),
        ({"protocol": "8k"}, "protocol must be 9k, 7k, full, found '8k'"),
        ({"invalid": "keep"}, "invalid must be refuse, drop, found 'keep'"),
        ({"missing": "drop"}, "missing must be skip, error, found 'drop'"),
    ],
)
def test_unknown_choices_are_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        read_captions(write(tmp_path / "c.json", {"a": "x"}), **options)


def test_folders_that_hold_nothing_or_too_much_are_refused(tmp_path):
    assert "found none" in refusal(tmp_path)
    assert "does not exist" in refusal(tmp_path / "gone")
    write(tmp_path / "train.json", {"a": "x"})
    write(tmp_path / "test.csv", "video,caption\nb,y\n")
    assert "found files of csv, json. Name the file" in refusal(tmp_path)
    assert "is no folder" in refusal(tmp_path / "train.json", videos=tmp_path / "test.csv")
    assert "none of its 1 videos is below" in refusal(tmp_path / "train.json", videos=tmp_path)
