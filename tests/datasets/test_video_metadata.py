"""Columns about videos: their types, and whose they are."""

import os
from pathlib import Path

import pytest

from framecue.datasets.video_metadata import match_metadata, read_metadata
from framecue.errors import DatasetError


def read(tmp_path, text, name="about.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_metadata(path)


def test_a_column_has_one_type(tmp_path):
    found = read(
        tmp_path,
        "file,camera,rating,indoors,place,code\na.mp4,3,4.5,true,hall,007\nb.mp4,4,5,False,3,12\nc.mp4,,,,,\n",
    )
    assert found == {
        "a.mp4": {"camera": 3, "rating": 4.5, "indoors": True, "place": "hall", "code": "007"},
        "b.mp4": {"camera": 4, "rating": 5.0, "indoors": False, "place": "3", "code": "12"},
        "c.mp4": {},
    }
    assert [type(value) for value in found["b.mp4"].values()] == [int, float, bool, str, str]


@pytest.mark.parametrize("cell", ["nan", "inf", "1e999", "1_000", "٣", "99999999999999999999999", "--3", "0x10"])
def test_what_only_looks_like_a_number_is_text_or_a_finite_one(tmp_path, cell):
    value = read(tmp_path, f"path,x\na.mp4,{cell}\n")["a.mp4"]["x"]
    assert value == cell or (isinstance(value, float) and abs(value) < 1e30)


def test_semicolons_tabs_and_jsonl(tmp_path):
    assert read(tmp_path, "video;place\na;'hall', left\n") == {"a": {"place": "'hall', left"}}
    assert read(tmp_path, '{"video": "a", "x": 1, "y": null, "Z": true}\n\n', "about.jsonl") == {
        "a": {"x": 1, "Z": True}
    }


@pytest.mark.parametrize("separator", [";", "\t"])
def test_decimal_commas_are_numbers_where_another_sign_separates(tmp_path, separator):
    rows = [
        ("file", "rating", "size", "place", "rooms"),
        ("a", "10,5", "1.234,5", "3,5", "1,2"),
        ("b", "4", "-0,5", "hall", ""),
        ("c", "1.234", "", "yard, 1,5", "3"),
    ]
    text = "".join(separator.join(row) + "\r\n" for row in rows)
    assert read(tmp_path, text) == {
        "a": {"rating": 10.5, "size": 1234.5, "place": "3,5", "rooms": 1.2},
        "b": {"rating": 4.0, "size": -0.5, "place": "hall"},
        "c": {"rating": 1234.0, "place": "yard, 1,5", "rooms": 3.0},
    }
    assert read(tmp_path, "file;x\na;0.123\nb;1.234\n")["b"] == {"x": 1.234}  # nothing says that the point groups
    assert read(tmp_path, "sep=;\nfile;x\na;0,123\n") == {"a": {"x": 0.123}}
    assert read(tmp_path, 'file,x\na,"10,5"\n') == {"a": {"x": "10,5"}}


def test_names_are_matched_in_any_form_of_their_letters():
    stray = Path(os.fsdecode(b"/v/caf\xe9.mp4"))
    files = [Path("/v/cafe\u0301.mp4"), stray]
    matched, unmatched = match_metadata({"café.mp4": {"n": 1}, "caf\\xe9.mp4": {"n": 2}, "d\\a.mp4": {}}, files)
    assert matched == {files[0]: {"n": 1}, stray: {"n": 2}}
    assert [item.reason for item in unmatched] == ["no such video; the path uses backslashes, write d/a.mp4"]


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (
            "place,camera\nhall,3\n",
            "m.csv",
            r"m.csv:1: a column must name the video, found place, camera. Name it 'path'",
        ),
        ("file,x\na.mp4,1\na.mp4,2\n", "m.csv", r"m.csv:3: a second line about 'a.mp4'. Remove one."),
        ("file,x\n,1\n", "m.csv", r"m.csv:2: the video must be named by a path, found ''. Fill it in."),
        ("file,x,X\na,1,2\n", "m.csv", r"m.csv:1: two columns have the same name"),
        ("file,x\n", "m.csv", r"m.csv holds no lines about videos"),
        ("", "m.csv", r"m.csv holds no lines about videos"),
        ("[1]\n", "m.jsonl", r"m.jsonl:1: every line must be a JSON object, found \[1\]"),
        ('{"file": "a", "x": [1]}\n', "m.jsonl", r"m.jsonl:1: column 'x' must be text, a number, or true or false"),
        ('{"file": "a", "x": NaN}\n', "m.jsonl", r"m.jsonl:1: column 'x' must be text, a number, or true or false"),
        ('{"file": 3}\n', "m.jsonl", r"m.jsonl:1: the video must be named by a path, found 3"),
        ("{", "m.jsonl", r"m.jsonl:1: not valid JSON"),
        ("[" * 100_000, "m.jsonl", r"m.jsonl:1: not valid JSON"),
    ],
)
def test_what_cannot_be_understood_is_one_line(tmp_path, text, name, message):
    with pytest.raises(DatasetError, match=message) as error:
        read(tmp_path, text, name)
    assert "\n" not in str(error.value)


def test_videos_are_named_by_path_end_of_path_name_or_stem():
    files = [Path("/v/one/a.mp4"), Path("/v/two/a.mp4"), Path("/v/two/b.final.mp4"), Path("/v/c.mp4")]
    metadata = {"/v/one/a.mp4": {"n": 1}, "two/a.mp4": {"n": 2}, "b.final": {"n": 3}, "c.mp4": {"n": 4}}
    matched, unmatched = match_metadata(metadata, files)
    assert {path: columns["n"] for path, columns in matched.items()} == dict(zip(files, [1, 2, 3, 4], strict=True))
    assert unmatched == []


def test_keys_that_name_no_file_or_several_are_listed():
    files = [Path("/v/one/a.mp4"), Path("/v/two/a.mp4"), Path("/v/b.mp4")]
    matched, unmatched = match_metadata({"a": {}, "x.mp4": {}, "b": {"n": 1}, "b.mp4": {"n": 2}, "/v/b": {}}, files)
    assert [(str(item.path), item.reason) for item in unmatched] == [
        ("/v/b", "no such video"),
        ("a", "2 videos have this name; write the path"),
        ("x.mp4", "no such video"),
        ("b", "another line is about /v/b.mp4; write one"),
    ]
    assert matched == {Path("/v/b.mp4"): {"n": 2}}


def test_which_line_counts_does_not_depend_on_their_order():
    one, other = match_metadata({"b.mp4": {"n": 2}, "b": {"n": 1}}, [Path("/v/b.mp4")])
    assert one == {Path("/v/b.mp4"): {"n": 2}}
    assert [str(item.path) for item in other] == ["b"]


def test_a_column_without_a_name_is_refused(tmp_path):
    path = tmp_path / "metadata.csv"
    path.write_text("path,,camera\na.mp4,yard,3\n")
    with pytest.raises(DatasetError, match="every column must have a name, found 'path', '', 'camera'"):
        read_metadata(path)
