"""`framecue score` as a user meets it: anyone's files, the official figures, and a line for all that is odd in them."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from framecue.cli.main import app


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)])


def scored(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def part(start: float, end: float, label: str | None = None, score: Any = None) -> dict[str, Any]:
    entry = {"segment": [start, end], "label": label, "score": score}
    return {key: value for key, value in entry.items() if value is not None}


class Files:
    """A ground truth of two videos and two classes, found in part; each file can be written anew."""

    def __init__(self, folder: Path) -> None:
        self.truth, self.found = folder / "gt.json", folder / "p.json"
        self.database = {
            "a": {"duration": 100.0, "subset": "validation", "annotations": [part(0, 10, "run"), part(20, 30, "sit")]},
            "b": {"duration": 50.0, "subset": "validation", "annotations": [part(5, 15, "run")]},
        }
        self.results: dict[str, Any] = {"a": [part(0, 10, "run", 0.9), part(40, 50, "run", 0.8)]}
        self.external_data: dict[str, Any] = {}

    def options(self, what: str = "predictions") -> list[str]:
        document = {"version": "VERSION 1.3", "taxonomy": [], "database": self.database}
        self.truth.write_text(json.dumps(document))
        document = {"version": "VERSION 1.3", "results": self.results, "external_data": self.external_data}
        self.found.write_text(json.dumps(document))
        return ["--ground-truth", str(self.truth), f"--{what}", str(self.found)]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_by_hand(files: Files) -> None:
    result = scored("detections", *files.options(), "--tiou", "0.5")
    assert result["mean_ap"] == [0.25]  # run 1/2, sit never predicted
    assert result["per_class"]["run"] == {"ap": [0.5], "average_ap": 0.5, "segments": 2, "predictions": 2}
    assert result["notes"] == [
        f"{files.found}: nothing for 1 of the annotated videos (b).",
        f"{files.found}: 1 of 2 classes never predicted, AP 0 (sit).",
    ]


@pytest.mark.parametrize("name", ["small", "clean"])
def test_official_answers(shared_data: Path, name: str) -> None:
    folder = shared_data / "golden" / "synthetic_detection"
    expected = json.loads((folder / f"{name}_expected.json").read_text())
    truth = ["--ground-truth", folder / f"{name}_ground_truth.json", "--subset", "validation"]
    for tiou in ("activitynet", "thumos14"):
        result = scored("detections", *truth, "--predictions", folder / f"{name}_predictions.json", "--tiou", tiou)
        assert result["average_mean_ap"] == pytest.approx(expected[tiou]["average_mAP"], abs=1e-9)
        for label, values in expected[tiou]["AP_per_class"].items():
            assert result["per_class"][label]["ap"] == pytest.approx(values, abs=1e-9)
    result = scored("proposals", *truth, "--proposals", folder / f"{name}_proposals.json")
    assert 100 * result["auc"] == pytest.approx(expected["proposals"]["AUC_percent"], abs=1e-9)
    assert result["average_recall"] == pytest.approx(expected["proposals"]["avg_recall"], abs=1e-9)


def test_official_answers_on_activitynet(shared_data: Path) -> None:
    folder = shared_data / "golden" / "tad_official_eval"
    expected = json.loads((folder / "anet_val400_official_result.json").read_text())
    truth = ["--ground-truth", folder / "anet_val400_gt.json"]
    result = scored("detections", *truth, "--predictions", folder / "anet_val400_pred.json")
    assert result["average_mean_ap"] == pytest.approx(expected["average_mAP"], abs=1e-9)
    proposals = ["--proposals", folder / "anet_val400_proposals.json", "--max-per-video", 40]
    result = scored("proposals", *truth, *proposals)
    assert 100 * result["auc"] == pytest.approx(expected["proposal"]["AUC"], abs=1e-9)
    shared = {"1", "5", "10"}
    assert {an: result["average_recall_at"][an] for an in shared} == {
        an: pytest.approx(expected["proposal"]["AR_at"][an], abs=1e-9) for an in shared
    }


def test_whole_validation_set_against_itself(shared_data: Path, tmp_path: Path) -> None:
    """The official sample holds all of ActivityNet 1.3's validation, three empty segments included."""
    path = shared_data / "golden" / "activitynet" / "sample_detection_prediction.json"
    results = json.loads(path.read_text())["results"]
    database = {
        video: {
            "duration": 1000.0,
            "subset": "validation",
            "annotations": [part(*one["segment"], one["label"]) for one in parts],
        }
        for video, parts in results.items()
    }
    truth = tmp_path / "gt.json"
    truth.write_text(json.dumps({"version": "1.3", "taxonomy": [], "database": database}))
    result = scored("detections", "--ground-truth", truth, "--predictions", path)
    assert result["mean_ap"] == [1.0] * 10
    assert result["ground_truth"]["videos"] == 4926
    assert any("3 segments end no later than they begin" in line and "kept" in line for line in result["notes"])
    assert any("21 segments are given twice" in line for line in result["notes"])


def test_unknown_videos_are_wrong_unless_skipped(files: Files) -> None:
    files.results = {"zzz": [part(0, 10, "run", 1.0)], **files.results}
    result = scored("detections", *files.options(), "--tiou", "0.5")
    assert result["per_class"]["run"]["ap"] == [0.25]
    line = f"{files.found}: 1 prediction for 1 video outside the ground truth (zzz): "
    assert line + "counted as wrong, as the official evaluator does." in result["notes"]
    result = scored("detections", *files.options(), "--tiou", "0.5", "--skip-unknown-videos")
    assert result["per_class"]["run"]["ap"] == [0.5]
    assert line + "left out." in result["notes"]


def test_unknown_labels_are_left_out_and_named(files: Files) -> None:
    files.results["b"] = [part(5, 15, "fly", 0.5), part(5, 15, "fly", 0.4), part(5, 15, "jump", 0.3)]
    result = scored("detections", *files.options(), "--tiou", "0.5")
    assert result["per_class"]["run"]["ap"] == [0.5]
    assert (
        f"{files.found}: 3 predictions for 2 labels that the ground truth has not (fly, jump): left out; the official "
        "evaluator stops at them."
    ) in result["notes"]
    assert scored("detections", *files.options(), "--tiou", "0.5", "--class-agnostic")["mean_ap"] == [
        pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    ]


def test_nan_scores_and_an_end_before_the_start_are_counted(files: Files) -> None:
    files.results["a"] += [part(0, 10, "run", float("nan")), part(30, 20, "sit", 0.5)]
    for table in (False, True):
        arguments = ["detections", *files.options(), "--tiou", "0.5"]
        output = run(*arguments).stdout if table else "\n".join(scored(*arguments)["notes"])
        assert "1 score is no finite number: left out" in output
        assert "1 segment ends no later than it begins: kept" in output
    dropped = scored("detections", *files.options(), "--invalid", "drop")
    assert any("1 segment ends no later than it begins: left out" in line for line in dropped["notes"])
    refused = run("detections", *files.options(), "--invalid", "refuse")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("framecue: error: ")
    assert refused.stderr.count("\n") == 1


def test_duplicates_are_counted_once_only_if_asked(files: Files) -> None:
    files.database["a"]["annotations"] *= 2
    result = scored("detections", *files.options(), "--tiou", "0.5")
    assert result["per_class"]["run"]["segments"] == 3
    result = scored("detections", *files.options(), "--tiou", "0.5", "--deduplicate")
    assert result["per_class"]["run"]["segments"] == 2
    assert any("2 segments are given twice: left out once" in line for line in result["notes"])


@pytest.mark.parametrize(
    ("options", "segments", "found"),
    [
        ([], 4, 3 / 4),  # all three predictions are right: the empty one takes the empty segment, the best that it has
        (["--deduplicate"], 2, 2 / 3),
        (["--convention", "opentad"], 2, 2 / 3),
        (["--convention", "actionformer"], 1, 1 / 2),
    ],
)
def test_conventions_where_evaluators_differ(files: Files, options: list[str], segments: int, found: float) -> None:
    """Of two equal scores the later counts first. Values by hand; the three programs give the same on these files."""
    annotations = [part(0, 10, "run"), part(0, 10.0005, "run"), part(5, 5, "run"), part(20, 20.0005, "run")]
    files.database = {"a": {"duration": 100.0, "subset": "validation", "annotations": annotations}}
    files.results = {"a": [part(0, 10, "run", 0.9), part(7, 7, "run", 0.9), part(20, 20.0005, "run", 0.8)]}
    result = scored("detections", *files.options(), *options)
    assert result["ground_truth"]["segments"] == segments
    assert result["mean_ap"] == pytest.approx([found] * 10)
    assert result["rules"]["convention"] == (options[1] if len(options) > 1 else "activitynet")


def test_what_a_convention_leaves_out_is_counted(files: Files) -> None:
    annotations = [part(0, 10, "run"), part(0, 10.0005, "run"), part(5, 5, "run"), part(20, 20.0005, "run")]
    files.database["a"]["annotations"] = annotations
    assert scored("detections", *files.options(), "--convention", "actionformer")["notes"][:3] == [
        f"{files.truth}: 1 segment ends no later than it begins: left out (video 'a', segment 3: 5 to 5 s).",
        f"{files.truth}: 1 segment is too short to count: left out (a, 20.0 to 20.0005 s).",
        f"{files.truth}: 1 segment is given twice: left out once (a, run, 0 to 10.0005 s).",
    ]


def test_proposals_as_opentad_counts_them(files: Files) -> None:
    """AR at AN: both videos give int(2 AN / 2) of their two proposals."""
    files.database["a"]["annotations"] = [part(0, 10, "run"), part(0, 10, "run"), part(4, 4, "run")]
    files.results = {video: [part(5, 15, None, 0.9), part(0, 10, None, 0.9)] for video in ("a", "b")}
    arguments = ["proposals", *files.options("proposals"), "--tiou", "0.9"]
    result = scored(*arguments, "--convention", "opentad")
    assert result["average_recall_at"] == {"1": 0.5, "5": 1.0, "10": 1.0, "50": 1.0, "100": 1.0}
    assert result["auc"] == pytest.approx((0.75 + 98) / 100)
    assert scored(*arguments)["average_recall_at"] == {"1": 0.5}  # of four segments one is empty
    refused = run(*arguments, "--convention", "actionformer")
    assert refused.exit_code == 2
    assert "'actionformer' is not one of 'activitynet', 'opentad'" in refused.stderr


def test_blocked_videos_count_on_neither_side(files: Files, tmp_path: Path) -> None:
    files.results["b"] = [part(30, 40, "run", 1.0)]
    blocked = tmp_path / "blocked.json"
    blocked.write_text('["b"]')
    result = scored("detections", *files.options(), "--tiou", "0.5", "--blocked", blocked)
    assert result["per_class"]["run"] == {"ap": [1.0], "average_ap": 1.0, "segments": 1, "predictions": 2}
    assert f"{files.found}: 1 prediction for 1 video that is blocked (b): left out." in result["notes"]
    assert result["rules"]["blocked"] == str(blocked)


def test_times_outside_the_videos_are_told_with_the_guess(files: Files) -> None:
    files.database["b"]["annotations"] = [part(5000, 15000, "run")]
    files.results["a"] += [part(150, 300, "run", 0.1), part(200, 210, "sit", 0.1)]
    notes = scored("detections", *files.options())["notes"]
    assert (
        f"{files.truth}: 1 of the 3 segments lie wholly outside their videos: kept (first: video 'b', segment 1: 5000 "
        "to 15000 s, but the video lasts 50 s; if these are milliseconds, divide by 1000: 5 to 15 s)."
    ) in notes
    assert (
        f"{files.found}: 2 of the 4 predictions lie wholly outside their videos: kept (first: video 'a': 150 to 300 s, "
        "but the video lasts 100 s; if these are milliseconds, divide by 1000: 0.15 to 0.3 s)."
    ) in notes


def test_outside_data_is_shown(files: Files) -> None:
    assert "external data: none declared by the file" in run("detections", *files.options()).stdout
    files.external_data = {"used": True, "details": "video scores of CUHK"}
    assert scored("detections", *files.options())["predictions"]["external_data"] == files.external_data
    for what, verb in (("predictions", "detections"), ("proposals", "proposals")):
        assert '"details": "video scores of CUHK"' in run(verb, *files.options(what)).stdout


def test_errors_are_told(files: Files) -> None:
    arguments = ["detections", *files.options(), "--errors", "--per-class"]
    found = scored(*arguments)["errors"]
    assert found["predictions"]["true positive"] == found["predictions"]["background"] == 1
    assert found["segments"]["found"] == 1
    assert found["segments"]["never proposed"] == 2
    assert [(row["from"], row["below"]) for row in found["by_seconds"]] == [(6.0, 12.0)]
    assert [(row["from"], row["below"]) for row in found["by_share_of_video"]] == [(0.1, 0.2), (0.2, 0.4)]
    assert found["gain_if_removed"]["background"] == pytest.approx(0)
    table = run(*arguments).stdout
    for words in ("never proposed", "double detection", "6 to 12", "ground truth by length in % of the video"):
        assert words in table
    assert max(map(len, table.split("external data")[0].splitlines())) <= 140


def test_proposals_in_a_folder_of_tables(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "bmn"
    folder.mkdir()
    (folder / "a.csv").write_text("xmin,xmax,score\n0.0,0.1,0.9\n0.2,0.3,0.8\n")
    (folder / "b.csv").write_text("xmin,xmax,score\n0.1,0.3,0.9\n0.8,0.9,0.1\n")
    arguments = ["--ground-truth", files.options()[1], "--proposals", folder, "--tiou", "0.5,0.9"]
    result = scored("proposals", *arguments)
    assert result["average_recall_at"] == {"1": pytest.approx(2 / 3)}
    assert result["recall_with_all"] == [1.0, 1.0]
    assert "AUC" in run("proposals", *arguments).stdout


@pytest.mark.parametrize(
    ("change", "options", "exit_code", "message"),
    [
        ({}, ["--tiou", "0.5,2"], 2, "--tiou must be activitynet, thumos14 or numbers in (0, 1]"),
        ({}, ["--tiou", "half"], 2, "found 'half'"),
        ({}, ["--thumos-test", "200"], 2, "--thumos-test must be 213, 212, 211 or 210, found '200'."),
        ({}, ["--subset", "testing"], 1, "no subset 'testing'; there are validation."),
        ({"two": True}, [], 2, "holds the subsets training (1 videos), validation (1 videos); say which to score"),
        ({"bare": True}, [], 1, "no prediction has a label. Score it as proposals, or with --class-agnostic."),
        ({"empty": True}, [], 1, "has no segment to be found in what was asked for. Check the subset."),
        ({"instants": True}, ["--convention", "opentad"], 1, "asked for: 3 segments end no later than they begin"),
    ],
)
def test_refused_in_one_line(files: Files, change: dict[str, bool], options: list[str], exit_code: int, message: str):
    if change.get("two"):
        files.database["b"]["subset"] = "training"
    if change.get("bare"):
        files.results = {"a": [part(0, 10, None, 0.9)]}
    for entry in files.database.values():
        if change.get("empty"):
            entry["annotations"] = []
        if change.get("instants"):
            entry["annotations"] = [part(5, 5, one["label"]) for one in entry["annotations"]]
    result = run("detections", *files.options(), *options)
    assert result.exit_code == exit_code
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_proposals_for_other_videos_only(files: Files) -> None:
    files.results = {"zzz": [part(0, 10, None, 0.9)]}
    result = run("proposals", *files.options("proposals"))
    assert result.exit_code == 1
    assert "cannot be scored: no proposals for the 2 annotated videos" in result.stderr
    assert result.stderr.count("\n") == 1


def test_ground_truth_given_as_predictions_is_refused(tmp_path):
    segments = [{"segment": [1.0, 2.0], "label": "jump"}]
    truth = {"database": {"a": {"duration": 9.0, "subset": "validation", "annotations": segments}}}
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(truth))
    result = CliRunner().invoke(app, ["score", "detections", "--ground-truth", str(path), "--predictions", str(path)])
    assert result.exit_code == 1
    assert "holds no prediction that can be used" in result.stderr
