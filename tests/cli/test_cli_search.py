"""`framecue search` as a user meets it: what matches and what is only nearest, streams, exit codes, files."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from framecue.api.collection import open_index
from framecue.cli.main import app
from framecue.cli.search_exports import safe_name
from framecue.datasets.world import render_clip
from framecue.tasks.matching import OTHER_THINGS
from framecue.types import IndexedVideo, Moment
from framecue.video.reader import probe
from framecue.video.writer import write_video

runner = CliRunner()
FPS = 12


@pytest.fixture(scope="module")
def clips():
    """Three rendered clips of 2 s, by file name; every name is a trap of its own."""
    names = ("[bold]left[/bold].mp4", "odd⁄..⁄name; rm -rf.mp4", "ünïcödé\n.mp4")
    labels = ("moving left", "growing", "turning clockwise")
    return {
        name: render_clip(label, np.random.default_rng([8, turn]))
        for turn, (name, label) in enumerate(zip(names, labels, strict=True))
    }


@pytest.fixture(scope="module")
def index(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    for name, clip in clips.items():
        write_video(folder / "videos" / name, np.concatenate([clip.frames] * 4), FPS)
    ratings = {folder / "videos" / name: {"rating": number} for number, name in enumerate(clips)}
    collection = open_index(folder / "index", backbone="tiny", device="cpu", create=True)
    collection.add([folder / "videos"], metadata=ratings)
    return folder / "index"


def search(index, *arguments):
    return runner.invoke(app, ["search", *map(str, arguments), "--index", str(index), "--device", "cpu"])


def first(clips):
    return next(iter(clips.items()))


def test_table_says_when_how_sure_and_where(index, clips):
    name, clip = first(clips)
    result = search(index, clip.caption)
    assert result.exit_code == 0, result.output
    line = result.stdout.splitlines()[0]
    assert line.startswith("  1  0:00:00.0 - 0:00:08.0")
    assert line.endswith(f"/videos/{name}")
    assert " % " in line
    assert "8.0 s" in line
    assert "No matches, but the nearest of what is left:" in result.stdout
    assert len(result.stdout.splitlines()) == 4, "a line break in a name makes no line"


def test_nothing_matches_is_said_and_the_nearest_are_listed(index):
    result = search(index, "waves [bold]\nbreaking", "--top-k", 2)
    lines = result.stdout.splitlines()
    assert lines[0] == r'No sure match for "waves [bold]\nbreaking"; the nearest are:'
    collection = open_index(index, device="cpu")
    farthest = min(OTHER_THINGS, key=lambda text: collection.search(text, top_k=1).moments[0].score)
    assert search(index, farthest).stdout.startswith(f'Nothing here matches "{farthest}"; the nearest are:')
    assert json.loads(search(index, farthest, "--json").stdout)["verdict"] == "nothing"
    assert [line[:3] for line in lines[1:]] == ["  1", "  2"]
    assert search(index, "waves breaking", "--min-score", 0).stdout.startswith("  1 ")


def test_json_stands_alone_and_tells_everything(index, clips):
    name, clip = first(clips)
    result = search(index, clip.caption, "--json", "--top-k", 2)
    answer = json.loads(result.stdout)
    assert result.stderr == ""
    assert (answer["query"], answer["nothing_matches"]) == (clip.caption, False)
    assert 0 < answer["min_score"] <= 0.5
    assert (answer["num_videos"], answer["exact"], answer["skipped"]) == (3, True, [])
    moment, other = answer["moments"]
    assert (moment["rank"], moment["is_match"], moment["is_missing"]) == (1, True, False)
    assert moment["path"].endswith(name)
    assert (moment["start_seconds"], moment["end_seconds"], moment["duration_seconds"]) == (0, 8, 8)
    assert moment["metadata"] == {"rating": 0}
    assert moment["score"] > other["score"]
    assert len(moment["video_id"]) == 64
    assert moment["clip"] is moment["thumbnail"] is None
    assert search(index, clip.caption, "--json", "--top-k", 2).stdout == result.stdout


def test_python_says_the_same(index, clips):
    _, clip = first(clips)
    result = open_index(index, device="cpu").search(clip.caption, top_k=3)
    answer = json.loads(search(index, clip.caption, "--json", "--top-k", 3).stdout)
    assert [m["score"] for m in answer["moments"]] == [m.score for m in result.moments]
    assert [m["path"] for m in answer["moments"]] == [str(m.video.path) for m in result.moments]


def test_by_image_and_by_video(index, clips, tmp_path):
    name, clip = first(clips)
    Image.fromarray(clip.frames[12]).save(tmp_path / "picture.png")
    answer = json.loads(search(index, "--image", tmp_path / "picture.png", "--json").stdout)
    assert answer["query"] == "image picture.png"
    assert answer["moments"][0]["path"].endswith(name)
    assert answer["moments"][0]["is_match"]
    write_video(tmp_path / "example.mp4", clip.frames, FPS)
    example = ["--video", tmp_path / "example.mp4", "--start", 0.5, "--end", 1.5]
    answer = json.loads(search(index, *example, "--json").stdout)
    assert answer["query"] == "example.mp4 at 0.5-1.5 s"
    assert answer["moments"][0]["path"].endswith(name)
    indexed = answer["moments"][0]["video_id"]
    answer = json.loads(search(index, "--video", indexed, "--json").stdout)
    assert indexed not in [moment["video_id"] for moment in answer["moments"]]


def test_filters(index, clips):
    def found(*arguments):
        return [
            m["metadata"]["rating"]
            for m in json.loads(search(index, "a shape", "--json", *arguments).stdout)["moments"]
        ]

    assert sorted(found()) == [0, 1, 2]
    assert sorted(found("--where", "rating>=1")) == [1, 2]
    assert found("--where", "rating>=1", "--where", "rating!=2") == [1]
    assert sorted(found("--path", "*odd*")) == [1]
    assert found("--before", "2001-01-01") == []
    assert sorted(found("--after", "2001-01-01T12:00", "--min-duration", 8, "--max-duration", 8.5)) == [0, 1, 2]
    nothing = search(index, "a shape", "--min-duration", 100).stdout
    assert nothing == 'Nothing here matches "a shape": no video passes the filters.\n'


def test_nothing_is_cut_from_a_file_that_changed_since_it_was_indexed(clips, tmp_path):
    video = tmp_path / "videos" / "a.mp4"
    write_video(video, first(clips)[1].frames, FPS)
    open_index(tmp_path / "index", backbone="tiny", device="cpu", create=True).add([video])
    write_video(video, first(clips)[1].frames[:12], FPS)
    result = search(tmp_path / "index", "a shape", "--clips", tmp_path / "cut", "--thumbnails", tmp_path / "cut")
    assert result.exit_code == 3
    assert f"{video}: the file changed since it was indexed; run: framecue index refresh" in result.stderr
    assert not (tmp_path / "cut").exists()


def test_clips_and_thumbnails_have_safe_names(index, clips, tmp_path):
    cut, pictures = tmp_path / "cut", tmp_path / "pictures"
    result = search(index, "a shape", "--clips", cut, "--thumbnails", pictures, "--json")
    assert result.exit_code == 0, result.output
    for moment in json.loads(result.stdout)["moments"]:
        assert probe(moment["clip"]).duration_seconds == pytest.approx(8, abs=0.01)
        assert Image.open(moment["thumbnail"]).size == (128, 96)
    names = sorted(path.name for path in cut.iterdir())
    assert [name[:2] for name in names] == ["01", "02", "03"]
    assert all(letter.isalnum() or letter in "_.-" for name in names for letter in name), names
    assert any("_ünïcödé_0.0" in name for name in names)
    assert any("odd_.._name_rm_-rf_0.0-8.0s.mp4" in name for name in names)
    told = search(index, "a shape", "--clips", cut, "--top-k", 1)
    assert f"wrote {cut}/01_" in told.stderr


def test_a_vanished_video_is_listed_and_the_rest_are_written(index, clips, tmp_path):
    name, _ = first(clips)
    copy = tmp_path / "copy"
    shutil.copytree(index.parent / "videos", copy / "videos")
    open_index(copy / "index", backbone="tiny", device="cpu", create=True).add([copy / "videos"])
    (copy / "videos" / name).unlink()
    result = search(copy / "index", "a shape", "--clips", tmp_path / "cut", "--thumbnails", tmp_path / "pictures")
    assert result.exit_code == 3
    assert "1 skipped:" in result.stderr
    assert "there is no such file" in result.stderr
    assert f"{name}  (the file has gone)" in result.stdout
    assert len(list((tmp_path / "cut").iterdir())) == len(list((tmp_path / "pictures").iterdir())) == 2
    answer = json.loads(search(copy / "index", "a shape", "--clips", tmp_path / "cut", "--json").stdout)
    (gone,) = [moment for moment in answer["moments"] if moment["is_missing"]]
    assert gone["clip"] is None
    assert [item["path"] for item in answer["skipped"]] == [gone["path"]]


def test_a_file_that_cannot_be_written_costs_one_line(index, tmp_path):
    cut, pictures = tmp_path / "cut", tmp_path / "pictures"
    moments = json.loads(search(index, "a shape", "--clips", cut, "--thumbnails", pictures, "--json").stdout)["moments"]
    for key in ("clip", "thumbnail"):
        Path(moments[0][key]).unlink()
        Path(moments[0][key]).mkdir()
    result = search(index, "a shape", "--clips", cut, "--thumbnails", pictures)
    assert result.exit_code == 3
    assert "2 skipped:" in result.stderr
    assert f"{moments[0]['thumbnail']}: cannot be written: a folder is in its place" in result.stderr
    assert result.stderr.count("wrote ") == 4


def test_an_empty_index_says_how_to_fill_it(tmp_path):
    open_index(tmp_path / "index", backbone="tiny", device="cpu", create=True)
    result = search(tmp_path / "index", "a shape")
    assert result.exit_code == 0
    assert "the index holds no videos; framecue index add" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "found none of them"),
        ([""], "must be a sentence"),
        (["  \n "], "must be a sentence"),
        (["a " * 200], "shorten it"),
        (["a" * 1_000_000], "shorten it"),
        (["a shape", "--image", "cat.png"], "found TEXT and --image"),
        (["--image", "cat.png", "--video", "cat.mp4"], "found --image and --video"),
        (["a shape", "--start", 1], "--start and --end are of an example --video"),
        (["a shape", "--top-k", 0], "top_k must be at least 1"),
        (["a shape", "--min-score", 2], "min_score"),
        (["a shape", "--after", "yesterday"], "--after must be a date"),
        (["a shape", "--where", "rating"], "no condition"),
        (["a shape", "--clips", __file__], "must be a folder"),
    ],
)
def test_wrong_usage_is_one_line(index, arguments, words):
    result = search(index, *arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert len(result.stderr.splitlines()) == 1
    assert len(result.stderr) < 400
    assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a shape", "--where", "camera=3"], "no video has a metadata column 'camera'"),
        (["--image", "nowhere.png"], "cannot be read as an image"),
        (["--video", "nowhere.mp4"], "nowhere.mp4"),
    ],
)
def test_what_is_not_there_is_one_line(index, arguments, words):
    result = search(index, *arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert len(result.stderr.splitlines()) == 1
    assert words.lower() in result.stderr.lower()


def test_a_folder_without_an_index_is_named(tmp_path):
    result = search(tmp_path, "a shape")
    assert result.exit_code == 1
    assert f"{tmp_path}" in result.stderr


@pytest.mark.parametrize(
    "stem", ["x" * 250, "\U0001f600" * 60, "\u0436" * 120, "...", "\udcff", "a/b".replace("/", "\\")]
)
def test_any_file_name_gives_one_that_can_be_written(stem, tmp_path):
    video = IndexedVideo("0" * 64, Path(f"/videos/{stem}.mp4"), 1, 1, 9.0, datetime(2024, 1, 1, tzinfo=UTC))
    name = safe_name(123, Moment(video, 36000.25, 40000.5, 0.5, 0.5))
    (tmp_path / f".{name}.mp4.abcdefgh.tmp").write_bytes(b"")
    assert name.startswith("123_")
    assert name.endswith("_36000.2-40000.5s")
    assert all(letter.isalnum() or letter in "_.-" for letter in name)
