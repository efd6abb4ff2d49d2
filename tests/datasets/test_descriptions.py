"""Class descriptions: both file formats, what is passed over, and every refusal with its place."""

import json

import pytest

from framecue.datasets.descriptions import read_descriptions
from framecue.errors import DatasetError

KNOWN = ("jumping", "climb stairs", "run")


@pytest.fixture
def read(tmp_path):
    def read(content, name="texts.txt"):
        data = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(data)
        return read_descriptions(tmp_path / name, KNOWN)

    return read


@pytest.fixture
def refused(read, tmp_path):
    """The one line of a refusal, without the folder."""

    def refused(content, name="texts.txt"):
        with pytest.raises(DatasetError) as caught:
            read(content, name)
        message = str(caught.value)
        assert "\n" not in message
        return message.replace(f"{tmp_path}/", "")

    return refused


def test_lines(read):
    """A name as often as it has descriptions, in file order; only the first colon separates."""
    text = "# by hand\n\njumping: a person leaps\nrun: legs: fast\n  # more\njumping:both feet leave the ground  \n"
    assert read(text) == {"jumping": ("a person leaps", "both feet leave the ground"), "run": ("legs: fast",)}


def test_json(read):
    values = {"jumping": ["a person leaps", "both feet: up"], "run": " legs go fast "}
    expected = {"jumping": ("a person leaps", "both feet: up"), "run": ("legs go fast",)}
    assert read(json.dumps(values), "texts.json") == expected
    assert read(json.dumps(values), "TEXTS.JSON") == expected


@pytest.mark.parametrize("name", ["texts.txt", "texts.json"])
def test_files_of_other_systems(read, name):
    """A byte order mark and CRLF belong neither to the first name nor to a description."""
    text = "jumping: ein Mensch h\u00fcpft\nrun: fast\n"
    if name.endswith("json"):
        text = '{"jumping": "ein Mensch h\u00fcpft",\n"run": ["fast"]}\n'
    data = b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()
    assert read(data, name) == {"jumping": ("ein Mensch h\u00fcpft",), "run": ("fast",)}


def test_a_name_is_found_in_any_spelling_and_returned_in_the_datas(read):
    text = "Climb_Stairs: feet go up step by step\nclimb-stairs: a staircase\n"
    assert read(text) == {"climb stairs": ("feet go up step by step", "a staircase")}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("run: fast\njumpng: up\n", "texts.txt:2: no class 'jumpng' in the data; did you mean 'jumping'?"),
        ("run: fast\nqqqq: up\n", "texts.txt:2: no class 'qqqq' in the data; The classes are climb stairs, jumping, "),
        ("run: fast\n\nno colon here\n", "texts.txt:3: a line must be 'name: description', found 'no colon here'"),
        ("run:\n", "texts.txt:1: class 'run' has an empty or unreadable description; write a sentence"),
        (": text\n", "texts.txt:1: no class '' in the data"),
        ("", "texts.txt: no class descriptions in it; write lines 'name: text'"),
        ("# nothing\n\n", "texts.txt: no class descriptions in it"),
        ("run: fast\nrun: h\u00fcpft\n".encode("latin-1"), "texts.txt:2: byte 0xfc is not UTF-8"),
    ],
)
def test_refused_lines(refused, content, expected):
    assert expected in refused(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ('{"jumpng": ["up"]}', "texts.json: 'jumpng': no class 'jumpng' in the data; did you mean 'jumping'?"),
        ('{"run": ["fast"],\n"jumping" ["up"]}', "texts.json:2: not valid JSON"),
        ('["run"]', "texts.json: must be an object {name: [text, ...]}, found list"),
        ('{"run": ["fast", 3]}', "texts.json: 'run': descriptions must be texts, found 3; write a list of sentences"),
        ('{"run": null}', "'run': descriptions must be texts, found None"),
        ('{"run": ["fast", " "]}', "'run': class 'run' has an empty or unreadable description"),
        ('{"run": "\\ud800"}', "'run': class 'run' has an empty or unreadable description"),
        ('{"Run": "a", "run": "b"}', "'run' and 'Run' differ only in case, spaces or punctuation; keep one of them"),
        ('{"run": "a", "run": "b"}', "texts.json: 'run' is there twice; join its descriptions in one list"),
        ("{}", "texts.json: no class descriptions in it"),
        ('{"run": []}', "texts.json: no class descriptions in it"),
        ("", "texts.json:1: not valid JSON"),
    ],
)
def test_refused_json(refused, content, expected):
    assert expected in refused(content, "texts.json")


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DatasetError, match=r"absent\.txt cannot be read: No such file"):
        read_descriptions(tmp_path / "absent.txt", KNOWN)
