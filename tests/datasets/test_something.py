import json
from pathlib import Path

import pytest

from framecue.datasets.json_items import read_json_items
from framecue.datasets.records import load_records
from framecue.errors import DatasetError

ANNOTATIONS = Path(__file__).parents[2] / ".." / "shared" / "data" / "annotations"
TRAIN = [
    {"id": "78687", "label": "holding potato", "template": "Holding [something]", "placeholders": ["potato"]},
    {"id": "1", "label": "putting cup on table", "template": "Putting [something] on [something]", "placeholders": []},
]
VALIDATION = [{"id": "2", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}]
TEST = [{"id": "3"}, {"id": "4"}, {"id": "5"}]
LABELS = {"Holding something": "0", "Putting something on something": "1"}


def release(folder: Path, prefix: str = "something-something-v2-", **changed) -> Path:
    folder.mkdir(parents=True)
    files = {"train": TRAIN, "validation": VALIDATION, "test": TEST, "labels": LABELS, **changed}
    for name, items in files.items():
        text = items if isinstance(items, str) else json.dumps(items)
        (folder / f"{prefix}{name}.json").write_text(text)
    return folder


def videos(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names or ("78687.webm", "1.webm", "2.webm"):
        (folder / name).write_bytes(b"")
    return folder


def refusal(*args, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        load_records(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(("folder", "prefix"), [(".", "something-something-v2-"), ("labels", "")])
def test_both_releases(tmp_path, folder, prefix):
    release(tmp_path / "a" / folder, prefix)
    records, skipped = load_records(videos(tmp_path / "v"), annotations=tmp_path / "a")
    assert [(record.path.name, record.label, record.split) for record in records] == [
        ("78687.webm", "Holding something", "train"),
        ("1.webm", "Putting something on something", "train"),
        ("2.webm", "Holding something", "val"),
    ]
    assert [item.reason for item in skipped] == [
        "3 videos of the test part have no label; that part cannot be measured"
    ]


def test_one_file_and_another_ending(tmp_path):
    path = release(tmp_path / "a") / "something-something-v2-validation.json"
    records, _ = load_records(videos(tmp_path / "v", "2.mp4"), annotations=path)
    assert [(record.path.name, record.split) for record in records] == [("2.mp4", "val")]


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ([*TRAIN, {"id": "9"}], ":1: video 9 has no template"),
        ([*TRAIN, {"id": "", "template": "Holding [something]"}], ":1: an entry must have an id"),
        ([{"id": "9", "template": 3}], ":1: the template must be text, found 3"),
        ([3, {"id": "1"}], ":1: an entry must have an id"),
        (
            '[{"id": "1", "template": "Holding [something]"},\n{"id": "2", "template": "Dropping [something]"}]',
            ":2: class 'Dropping something' is not in ",
        ),
        ('[{"id": "1", "template": "Holding [something]"},\n\n{"id": 2 "template"}]', ":3: not valid JSON"),
        ([{"id": "1", "template": "Holding [something]"}, {"id": "2", "template": "holding something"}], "differ only"),
    ],
)
def test_bad_entries(tmp_path, train, said):
    folder = release(tmp_path / "a", train=train)
    message = refusal(videos(tmp_path / "v"), annotations=folder)
    assert message.startswith(f"{folder}/something-something-v2-train.json:")
    assert said in message


def test_a_test_part_alone_cannot_be_used(tmp_path):
    path = release(tmp_path / "a") / "something-something-v2-test.json"
    assert "none of the 3 videos has a label" in refusal(videos(tmp_path / "v"), annotations=path)


def test_missing_video_names_its_line(tmp_path):
    folder = release(tmp_path / "a")
    message = refusal(videos(tmp_path / "v", "1.webm", "2.webm"), annotations=folder)
    assert f"{tmp_path}/v/78687.webm ({folder}/something-something-v2-train.json:1)" in message


@pytest.mark.parametrize("value", [[], {}, [1, "a", None], {"a": [1], "b": {"c": "\n"}}, [[1, 2], {"x": 0.5}]])
@pytest.mark.parametrize("indent", [None, 1])
def test_json_items_are_those_of_the_standard_reader(tmp_path, value, indent):
    path = tmp_path / "x.json"
    path.write_text(f" \n{json.dumps(value, indent=indent)}\n")
    items = list(read_json_items(path))
    found = {key: item for _, key, item in items} if isinstance(value, dict) else [item for *_, item in items]
    assert found == value
    text = path.read_text().splitlines()
    for origin, key, _ in items:
        assert key is None or f'"{key}"' in text[int(origin.rpartition(":")[2]) - 1]


@pytest.mark.parametrize("text", ["", "3", '"a"', "[1] 2", "[1 2]", '{"a" 1}', "[1,]", "[1", "{1: 2}"])
def test_what_is_no_json_list_or_object(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=r"x\.json.*Restore the official file"):
        list(read_json_items(path))


@pytest.mark.skipif(not ANNOTATIONS.is_dir(), reason=f"no {ANNOTATIONS}: the real files are not on this machine")
def test_the_real_names_come_back_from_templates(tmp_path):
    names = (ANNOTATIONS / "class_lists" / "sthv2__label_map.txt").read_text().splitlines()
    train = [{"id": str(i), "template": name.replace("something", "[something]")} for i, name in enumerate(names)]
    folder = release(tmp_path / "a", train=train, labels={name: str(i) for i, name in enumerate(names)}, validation=[])
    there = videos(tmp_path / "v", *(f"{i}.webm" for i in range(len(names))))
    records, _ = load_records(there, annotations=folder / "something-something-v2-train.json")
    assert [record.label for record in records] == names
    assert len(names) == 174
