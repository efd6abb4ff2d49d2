"""`framecue localize` as a user meets it: formats, what goes to which stream, exit codes, names with markup."""

import csv
import errno
import io
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from framecue.api import Predictor
from framecue.cli.main import app
from framecue.datasets.world import write_untrimmed
from framecue.video.writer import write_video

LABELS = "growing, circling"
runner = CliRunner()


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrimmed")
    write_untrimmed(folder, seed=5, classes=("growing", "circling"), num_videos={"val": 2}, workers=0)
    return folder


@pytest.fixture(scope="module")
def videos(world):
    return sorted(world.rglob("*.mp4"))


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    path = tmp_path_factory.mktemp("still") / "[bold]still[/bold].mp4"
    write_video(path, np.full((60, 96, 128, 3), 60, np.uint8), 12)
    return path


def localize(*arguments, labels=LABELS):
    asked = ["--labels", labels] if labels is not None else []
    return runner.invoke(app, ["localize", *map(str, arguments), *asked, "--backbone", "tiny"])


def test_table_says_where_and_how_sure(videos, still):
    result = localize(videos[0], still, "--min-score", 0.2)
    assert result.exit_code == 0, result.output
    assert f"{videos[0]} (0:00:" in result.stdout
    assert "0:00:" in result.stdout.splitlines()[1]
    assert any(line.endswith(("growing", "circling")) for line in result.stdout.splitlines())
    assert f"{still} (0:00:05.0): none of the named actions" in result.stdout


def test_json_stands_alone_on_standard_output(videos, still):
    result = localize(*videos, still, "--json", "--min-score", 0)
    answers = json.loads(result.stdout)
    assert [answer["video"] for answer in answers] == [str(path) for path in (*videos, still)]
    assert answers[0]["labels"] == ["growing", "circling"]
    assert len(answers[0]["segments"]) > 3
    assert localize(*videos, still, "--format", "json", "--min-score", 0).stdout == result.stdout


def test_other_formats(videos, tmp_path):
    lines = list(csv.DictReader(io.StringIO(localize(videos[0], "--format", "csv", "--min-score", 0).stdout)))
    assert {line["video"] for line in lines} == {videos[0].stem}
    official = tmp_path / "submission.json"
    result = localize(*videos, "--format", "activitynet", "--out", official, "--min-score", 0)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"wrote {official}" in result.stderr
    assert set(json.loads(official.read_text())["results"]) == {path.stem for path in videos}
    assert localize(videos[0], "--format", "vtt").stdout.startswith("WEBVTT")
    localize(*videos, "--format", "srt", "--out", tmp_path / "subtitles")
    assert sorted(path.name for path in (tmp_path / "subtitles").iterdir()) == [f"{path.stem}.srt" for path in videos]


def test_names_come_from_a_file_too(videos, tmp_path):
    (tmp_path / "names.csv").write_text('label\n"growing, slowly"\ncircling\n')
    result = localize(videos[0], "--labels-file", tmp_path / "names.csv", "--json", labels=None)
    assert json.loads(result.stdout)[0]["labels"] == ["growing, slowly", "circling"]
    assert json.loads(localize(videos[0], "--json", labels='"growing, slowly",circling').stdout) == json.loads(
        result.stdout
    )


def test_all_scores_go_into_the_scorer(world, videos, tmp_path):
    found = tmp_path / "found.json"
    localize(*videos, "--format", "activitynet", "--out", found, "--min-score", 0)
    arguments = ["--ground-truth", world / "ground_truth.json", "--predictions", found, "--tiou", "0.5", "--json"]
    result = runner.invoke(app, ["score", "detections", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    assert 0 < json.loads(result.stdout)["average_mean_ap"] <= 1


def test_a_broken_file_is_listed_and_the_rest_go_on(videos, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(videos[0].read_bytes()[:2000])
    result = localize(broken, videos[0], "--json")
    assert result.exit_code == 3
    assert [answer["video"] for answer in json.loads(result.stdout)] == [str(videos[0])]
    assert "1 skipped:" in result.stderr
    assert f"{broken}: cannot be read" in result.stderr


def test_names_with_markup_and_escapes_stay_names(still, tmp_path):
    label = "[red]growing[/red] <b>&"
    copy = tmp_path / "a\x1b[31m<i>.mp4"
    copy.write_bytes(still.read_bytes())
    proposals = tmp_path / "proposals.csv"
    proposals.write_text(f"video,start,end,score\n{still.stem},1,4,0.9\n")
    result = localize(still, copy, "--proposals", proposals, labels=label)
    assert result.exit_code == 0, result.output
    assert "  [red]growing[/red] <b>&\n" in result.stdout
    assert "a\\x1b[31m<i>.mp4" in result.stdout
    assert "\x1b" not in result.output
    vtt = localize(still, "--proposals", proposals, "--format", "vtt", labels=label).stdout
    assert "[red]growing[/red] &lt;b&gt;&amp;" in vtt


def test_somebody_elses_proposals(videos, tmp_path):
    proposals = tmp_path / "proposals.csv"
    rows = [f"{videos[0].stem},2,5,0.8", f"{videos[0].stem},900,901,0.7", "elsewhere,1,2,0.5"]
    proposals.write_text("\n".join(["video,start,end,score", *rows]) + "\n")
    result = localize(*videos, "--proposals", proposals, "--json")
    first, second = json.loads(result.stdout)
    assert {(s["start_seconds"], s["end_seconds"]) for s in first["segments"]} == {(2.0, 5.0)}
    assert second["segments"] == []
    assert f"proposals lack 1 of 2 videos: {videos[1].name}" in result.stderr
    assert f"{videos[0]}: 1 proposals left out, no part of them lies in its" in result.stderr
    assert "the first is 900 to 901 s" in result.stderr


def test_a_submission_says_whose_proposals_it_rests_on(videos, tmp_path):
    proposals = tmp_path / "proposals.csv"
    proposals.write_text(f"video,start,end,score\n{videos[0].stem},2,5,0.8\n")
    given = (videos[0], "--format", "activitynet")
    used = {"used": True, "details": f"proposals of {proposals}"}
    assert json.loads(localize(*given, "--proposals", proposals).stdout)["external_data"] == used
    localize(*given, "--proposals", proposals, "--out", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())["external_data"] == used
    assert json.loads(localize(*given).stdout)["external_data"] == {"used": False, "details": ""}


def test_proposals_with_scores_of_another_range_are_mapped_and_noted(videos, tmp_path):
    outcomes = []
    for name, scores in (("wide", (2, 4)), ("unit", (0.5, 1))):
        path = tmp_path / f"{name}.csv"
        rows = [f"{videos[0].stem},{start},{start + 3},{score}" for start, score in zip((2, 8), scores, strict=True)]
        path.write_text("\n".join(["video,start,end,score", *rows]) + "\n")
        outcomes.append(localize(videos[0], "--proposals", path, "--json"))
    wide, unit = outcomes
    assert wide.stdout == unit.stdout
    assert "wide.csv: scores reach from 2 to 4, and were mapped to 0 to 1 in a straight line." in wide.stderr
    assert "mapped" not in unit.stderr


def test_subtitles_of_several_files_go_to_a_folder_whatever_is_readable(videos, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    result = localize(videos[0], tmp_path / "bad.mp4", "--format", "srt", "--out", tmp_path / "subtitles")
    assert result.exit_code == 3
    assert [path.name for path in (tmp_path / "subtitles").iterdir()] == [f"{videos[0].stem}.srt"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Three short videos; the middle one has the longest name that files may have."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("aa", "片" * 83 + "xy", "ｚｚ"):  # 251 bytes and the ending
        write_video(folder / "new.mp4", np.full((12, 48, 64, 3), 60, np.uint8), 12)
        (folder / "new.mp4").rename(folder / f"{name}.mp4")
    return sorted(folder.iterdir())


def test_the_longest_names_have_their_subtitles_and_pictures(clips, tmp_path):
    result = localize(clips[0].parent, "--format", "vtt", "--out", tmp_path / "vtt", "--timeline", tmp_path / "svg")
    assert result.exit_code == 0, result.output
    for ending in ("vtt", "svg"):
        assert {path.stem for path in (tmp_path / ending).iterdir()} == {path.stem for path in clips}


def test_an_output_that_cannot_be_written_costs_one_line(clips, tmp_path):
    out, pictures = tmp_path / "out", tmp_path / "pictures"
    (out / "aa.json").mkdir(parents=True)
    (out / "aa.srt").mkdir()
    (pictures / "ｚｚ.svg").mkdir(parents=True)
    longer = tmp_path / ("n" * 252 + ".ts")  # no room for ".srt"
    longer.write_bytes(clips[0].read_bytes())
    result = localize(*clips, longer, "--format", "srt", "--out", out, "--timeline", pictures)
    assert result.exit_code == 3
    assert "4 skipped:" in result.stderr
    assert f"  {out / 'aa.srt'}: cannot be written: a folder is in its place" in result.stderr
    assert f"  {pictures / 'ｚｚ.svg'}: cannot be written: a folder is in its place" in result.stderr
    assert result.stderr.count("cannot be written: its name is longer") == 2
    assert {path.stem for path in out.iterdir() if path.is_file()} == {path.stem for path in clips[1:]}
    assert {path.stem for path in pictures.iterdir() if path.is_file()} == {path.stem for path in clips[:2]}


def test_each_video_has_its_file_before_the_next_is_read(clips, tmp_path, monkeypatch):
    out, there = tmp_path / "out", []

    def read_then_stop(self, path, *arguments, **options):
        there.append(len(list(out.glob("*.vtt"))))
        if len(there) == 3:
            raise KeyboardInterrupt
        return one(self, path, *arguments, **options)

    one = Predictor.localize
    monkeypatch.setattr(Predictor, "localize", read_then_stop)
    assert localize(*clips, "--format", "vtt", "--out", out).exit_code == 130
    assert there == [0, 1, 2]
    there.clear()
    assert localize(*clips).stdout.count("none of the named actions") == 2
    there.clear()
    whole = tmp_path / "all.json"
    whole.write_text("of an earlier run")
    result = localize(*clips, "--format", "json", "--out", whole)
    assert result.exit_code == 130
    assert whole.read_text() == "of an earlier run"
    assert len(json.loads((tmp_path / "all.part.json").read_text())) == 2
    assert "it holds 2 of 3 videos" in result.stderr


def test_one_file_for_all_is_refused_early_or_printed_late(clips, tmp_path, monkeypatch):
    early = localize(*clips, "--format", "json", "--out", tmp_path / ("n" * 256))
    assert early.exit_code == 1
    assert "File name too long" in early.stderr

    def full(path, text):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr("framecue.cli.localize_outputs.write_text", full)
    late = localize(*clips, "--format", "json", "--out", tmp_path / "out.json")
    assert late.exit_code == 3
    assert "out.json: cannot be written: the disk is full" in late.stderr
    assert len(json.loads(late.stdout)) == 3


def test_fractions_of_a_folder_become_seconds(videos, tmp_path):
    folder = tmp_path / "bsn"
    folder.mkdir()
    (folder / f"{videos[0].stem}.csv").write_text("xmin,xmax,score\n0.25,0.5,0.6\n")
    (answer,) = json.loads(localize(videos[0], "--proposals", folder, "--json").stdout)
    duration = answer["duration_seconds"]
    assert answer["segments"][0]["start_seconds"] == pytest.approx(duration / 4, abs=1e-3)
    assert answer["segments"][0]["end_seconds"] == pytest.approx(duration / 2, abs=1e-3)


def test_timelines(world, videos, tmp_path):
    twin = tmp_path / "elsewhere" / videos[0].name
    twin.parent.mkdir()
    twin.write_bytes(videos[0].read_bytes())
    pictures = tmp_path / "pictures"
    result = localize(videos[0], twin, "--timeline", pictures, "--ground-truth", world / "ground_truth.json")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in pictures.iterdir()) == [f"{twin.stem}#2.svg", f"{twin.stem}.svg"]
    assert "<svg" in (pictures / f"{twin.stem}.svg").read_text()[:1000]


def test_ids_of_the_annotations_are_written(videos, tmp_path):
    deep = tmp_path / "day one" / "clip.mp4"
    deep.parent.mkdir()
    deep.write_bytes(videos[0].read_bytes())
    truth = {"database": {"archive/day one/clip.mp4": {"duration": 20.0, "subset": "testing", "annotations": []}}}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    given = ("--format", "activitynet", "--ground-truth", tmp_path / "truth.json", "--min-score", 0)
    result = localize(deep, *given)
    assert result.exit_code == 0, result.output
    assert list(json.loads(result.stdout)["results"]) == ["archive/day one/clip.mp4"]


@pytest.mark.parametrize(
    ("arguments", "labels", "message"),
    [
        ((), None, "Nothing to choose from; give --labels"),
        (("--out", "x.txt"), LABELS, "A table is for reading, not for files; give --format beside --out"),
        (("--format", "vtt", "TWO"), LABELS, "vtt is one file for each video, and there are 2; give --out FOLDER"),
        (("--min-score", "nan"), LABELS, "min_score must be a finite number, found nan"),
        (("--json", "--format", "csv"), LABELS, "--json and --format csv ask for two forms; give one of them"),
        (("--json", "--out", "HERE"), LABELS, "json is one file for all videos, and this is a folder"),
        (("--format", "srt", "--out", "ODD", "TWO"), LABELS, "2 videos need a folder, not this file"),
        (("--timeline", "ODD"), LABELS, "odd.csv must be a folder, found a file; name another"),
        (("--proposals", "ODD", "TWIN"), LABELS, "means two of the videos; do one at a time"),
    ],
)
def test_refusals(videos, tmp_path, arguments, labels, message):
    odd, twin = tmp_path / "odd.csv", tmp_path / videos[0].name
    odd.write_text(f"video,start,end,score\n{videos[0].stem},1,4,7\n")
    twin.write_bytes(videos[0].read_bytes())
    known = {"ODD": odd, "TWIN": twin, "TWO": videos[1], "HERE": tmp_path}
    result = localize(videos[0], *(known.get(argument, argument) for argument in arguments), labels=labels)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert "Traceback" not in result.output
