"""`framecue score moments` as a user meets it: the authors' figures, three forms of ground truth, oddities told."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from framecue.cli.main import app
from framecue.errors import DatasetError, UsageError
from framecue.tasks.score_moments import score_moments


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", "moments", *map(str, arguments)])


def scored(truth: Path, found: Path, *arguments: object) -> dict[str, Any]:
    result = run("--ground-truth", truth, "--predictions", found, *arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


class Files:
    """Two sentences, the first found and the second not; each file can be written anew."""

    def __init__(self, folder: Path) -> None:
        self.truth, self.found = folder / "gt.jsonl", folder / "p.jsonl"
        self.queries: list[Any] = [
            {"qid": 1, "vid": "a", "query": "she waves", "duration": 60, "relevant_windows": [[0, 10], [20, 40]]},
            {"qid": 2, "vid": "b", "query": "he sits", "duration": 60, "relevant_windows": [[10, 50]]},
        ]
        self.predictions: list[Any] = [
            {"qid": 1, "vid": "a", "query": "she waves", "pred_relevant_windows": [[0, 10, 0.9], [22, 40, 0.4]]},
            {"qid": 2, "vid": "b", "query": "he sits", "pred_relevant_windows": [[0, 9, 0.5]]},
        ]

    def write(self) -> tuple[Path, Path]:
        self.truth.write_text("".join(json.dumps(item) + "\n" for item in self.queries))
        self.found.write_text("".join(json.dumps(item) + "\n" for item in self.predictions))
        return self.truth, self.found

    def refused(self) -> str:
        with pytest.raises(DatasetError) as caught:
            score_moments(*self.write())
        message = str(caught.value)
        assert "\n" not in message
        return message

    def notes(self) -> list[str]:
        return score_moments(*self.write())["notes"]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def rounded(figures: Any) -> Any:
    if isinstance(figures, dict):
        return {key: rounded(value) for key, value in figures.items()}
    return round(figures, 2)


def test_the_authors_figures(shared_data):
    """Every figure that the QVHighlights evaluator gives for its sample, moments and highlights."""
    folder = shared_data / "golden" / "qvhighlights"
    expected = json.loads((folder / "sample_val_preds_metrics_raw.json").read_text())
    result = scored(folder / "highlight_val_release.jsonl", folder / "sample_val_preds.jsonl")
    assert len(expected) == 8
    for part, figures in expected.items():
        found = result[part]
        for name, value in figures.items():
            assert rounded(found[name]) == value, (part, name)
    assert result["notes"] == []
    assert (result["long"]["queries"], result["short"]["segments"]) == (574, 1130)


def test_by_hand(files):
    result = scored(*files.write(), "--tiou", "0.5,0.95")
    assert result["full"]["MR-R1"] == {"0.5": 50.0, "0.95": 50.0}
    assert result["full"]["MR-mAP"] == {"0.5": 50.0, "0.95": 25.0, "average": 37.5}
    assert result["middle"]["MR-mAP"]["0.5"] == pytest.approx(50.0)  # the first guess is a wrong one there
    assert result["short"]["queries"] == 1
    assert result["brief"]["MR-full-R1@0.5"] == 50.0
    assert result["protocol"]["max_predictions"] == 10


def test_table(files):
    text = run("--ground-truth", files.write()[0], "--predictions", files.found).stdout
    assert ["full", "47.50", "50.00", "2", "3"] in [line.split() for line in text.splitlines()]
    assert "highlight detection" not in text
    assert "2 sentences, 3 segments." in text


def test_charades_sta_with_its_own_segments_as_predictions(shared_data, tmp_path):
    truth = shared_data / "annotations" / "charades_sta" / "charades_sta_test.txt"
    found = tmp_path / "p.jsonl"
    with found.open("w") as file:
        for line in truth.read_text().splitlines():
            place, sentence = line.split("##")
            video, start, end = place.split()
            item = {"vid": video, "query": f" {sentence} ", "pred_relevant_windows": [[float(start), float(end)]]}
            file.write(json.dumps(item) + "\n")
    result = scored(truth, found)
    assert result["ground_truth"]["queries"] == result["full"]["queries"] == 3720
    assert set(result["full"]["MR-R1"].values()) == set(result["full"]["MR-mAP"].values()) == {100.0}
    assert result["long"] is None or result["long"]["MR-mIoU"] == pytest.approx(100.0)
    assert result["notes"] == []


def test_activitynet_captions_shifted_by_a_quarter(shared_data, tmp_path):
    """Each segment moved by a quarter of its length overlaps itself by 0.75 of 1.25."""
    truth = shared_data / "annotations" / "activitynet_captions" / "val_1.json"
    items = []
    for video, entry in json.loads(truth.read_text()).items():
        for (start, end), sentence in zip(entry["timestamps"], entry["sentences"], strict=True):
            move = (end - start) / 4
            window = [start + move, end + move, 0.5]
            items.append({"vid": video, "query": sentence, "pred_relevant_windows": [window]})
    found = tmp_path / "p.json"
    found.write_text(json.dumps(items))
    result = scored(truth, found, "--tiou", "0.5,0.7")
    assert result["full"]["queries"] == 17505
    assert result["full"]["MR-mIoU"] == pytest.approx(60.0, abs=1e-6)
    assert result["full"]["MR-R1"] == {"0.5": 100.0, "0.7": 0.0}


def test_one_prediction_serves_a_sentence_that_is_given_twice(files):
    for query in files.queries:
        del query["qid"]
    files.queries = [files.queries[0], {**files.queries[0], "relevant_windows": [[50, 60]]}, files.queries[1]]
    result = score_moments(*files.write())
    assert result["full"]["MR-R1"]["0.5"] == pytest.approx(100 / 3)
    files.predictions.insert(1, {"vid": "a", "query": "she  waves", "pred_relevant_windows": [[50, 60, 1.0]]})
    result = score_moments(*files.write())
    assert result["full"]["MR-R1"]["0.5"] == pytest.approx(200 / 3)


def test_all_that_is_odd_is_told(files):
    files.queries += [
        {"qid": 3, "vid": "c", "query": "rain", "relevant_windows": []},
        {"qid": 4, "vid": "c", "query": "snow", "relevant_windows": [[5, 5]]},
        {"qid": 5, "vid": "c", "query": "hail", "relevant_windows": [[5, 9]]},
        {"qid": 6, "vid": "c", "query": "sun", "relevant_windows": [[5, 9]]},
    ]
    files.predictions += [
        {"qid": 4, "pred_relevant_windows": [[9, 5, 0.1], [5, 6, 0.2]] + [[1, 2, 0.0]] * 9},
        {"qid": 5, "pred_relevant_windows": []},
        {"qid": 6, "pred_relevant_windows": [[5, 9], [1, 2]]},
        {"qid": 77, "pred_relevant_windows": []},
    ]
    assert files.notes() == [
        f"{files.found}: sentences without a prediction, counted as missed: 1 of 6 (3).",
        f"{files.found}: predictions for sentences that the ground truth has not, left out: 1 (77).",
        f"{files.truth}: sentences without a segment, left out: 1.",
        f"{files.truth}: segments that end no later than they begin, never found: 1.",
        f"{files.found}: sentences with an empty list of predictions, counted as missed: 1.",
        f"{files.found}: predictions that end no later than they begin, never right: 1.",
        f"{files.found}: sentences with more than 10 predictions, of which the first count: 1.",
        f"{files.found}: sentences with predictions without scores, ranked in the order of the file: 1.",
        f"{files.found}: sentences with a surer prediction than their first, which R1 and mIoU judge: 1.",
    ]
    full = score_moments(*files.write())["full"]
    assert full["queries"] == 5
    assert full["MR-R1"]["0.5"] == pytest.approx(40.0)


def test_highlights_only_where_all_have_what_they_need(files):
    files.queries[0] |= {"relevant_clip_ids": [0, 1], "saliency_scores": [[4, 4, 4], [0, 0, 0]]}
    files.queries[1] |= {"relevant_clip_ids": [], "saliency_scores": []}
    files.predictions[0]["pred_saliency_scores"] = [0.5] + [0.1] * 29
    assert files.notes() == [
        f"{files.found}: 1 of 2 sentences have saliency scores and ratings: highlight detection is not scored."
    ]
    files.predictions[1]["pred_saliency_scores"] = [0.5]
    result = score_moments(*files.write())
    assert result["HL-min-VeryGood"] == {"HL-mAP": 50.0, "HL-Hit1": 50.0}
    assert "highlight detection" in run("--ground-truth", files.truth, "--predictions", files.found).stdout


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relevant_windows": [[0, "x"]]}, "gt.jsonl:1: relevant_windows must be finite numbers, found [0, 'x']."),
        ({"relevant_windows": [[0, 1e9]]}, "relevant_windows must be seconds, at most 1000000, found"),
        ({"relevant_windows": [0, 1]}, "relevant_windows must be a list of [start, end] or [start, end, score]."),
        ({"relevant_windows": None}, "relevant_windows must be a list of"),
        ({"relevant_windows": [[0, 10**400]]}, "relevant_windows must be finite numbers"),
        ({"vid": None}, "gt.jsonl:1: a sentence needs vid, and qid or query, found"),
        ({"qid": 2}, "gt.jsonl:2: qid 2 is given twice. Remove one."),
        ({"qid": [1]}, "gt.jsonl:1: qid must be a text or a whole number, found [1]."),
        ({"qid": None}, "some sentences have a qid and some have none. Give each one, or none."),
        ({"vid": "z"}, "p.jsonl:1: qid 1 is of video 'z' in the ground truth, found 'a'. Give the ground truth of the"),
        ({"saliency_scores": [], "relevant_clip_ids": [30]}, "relevant_clip_ids must be clips of 2 s within"),
        (
            {"saliency_scores": [[1, 2]], "relevant_clip_ids": [3]},
            "must be three ratings from 0 to 4 for each relevant",
        ),
        ({"saliency_scores": 7, "relevant_clip_ids": [3]}, "must be three ratings"),
        ({"saliency_scores": [[1, 2, 5]], "relevant_clip_ids": [3]}, "must be three ratings"),
        ({"saliency_scores": [[1, 2, 3]], "relevant_clip_ids": [3], "duration": "nan"}, "within the duration"),
    ],
)
def test_bad_ground_truth(files, change, message):
    files.queries[0] |= change
    assert message in files.refused()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pred_relevant_windows": [[0, 1, float("nan")]]}, "p.jsonl:1: pred_relevant_windows must be finite numbers"),
        ({"pred_relevant_windows": [[0, 1, 0.5], [2, 3]]}, "must have a score each, or none; found both."),
        ({"pred_relevant_windows": [[0]]}, "must be a list of [start, end] or [start, end, score]."),
        ({"pred_saliency_scores": []}, "pred_saliency_scores must be a list of finite numbers, one for each clip."),
        ({"pred_saliency_scores": [1, float("inf")]}, "pred_saliency_scores must be a list of finite numbers"),
        ({"qid": 2}, "p.jsonl:2: a prediction for the same sentence came before. Remove one."),
        ({"qid": None}, "the ground truth goes by qid, and this prediction has none. Add it."),
        ({"qid": None, "vid": None}, "a prediction needs qid, or vid and query, found"),
        ({"qid": True}, "qid must be a text or a whole number, found True."),
    ],
)
def test_bad_predictions(files, change, message):
    files.predictions[0] |= change
    assert message in files.refused()


def test_files_that_do_not_fit(files):
    files.predictions = [{"qid": 9, "pred_relevant_windows": []}]
    assert "no prediction is for a sentence of" in files.refused()
    files.queries = [{"qid": 9, "vid": "a", "query": "x", "relevant_windows": []}]
    assert "has no segment to be found. Give a part that has ground truth." in files.refused()
    del files.queries[0]["relevant_windows"]
    assert "no relevant_windows, so there is nothing to score against." in files.refused()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no sentence to look for."),
        (b"[]", "holds no sentence to look for."),
        (b"[7]", "gt.jsonl:1: must be a JSON object, found 7."),
        (b"AAA 1 2 a sentence", "gt.jsonl:1: must be 'vid start end##sentence', found 'AAA 1 2 a sentence'."),
        (b"AAA 1 inf##walks", "gt.jsonl:1: times must be finite numbers"),
        (
            b'{"v_1": {"timestamps": [[0, 1]], "sentences": []}}',
            "video 'v_1' must have as many timestamps as sentences.",
        ),
        (b'{"v_1": {"timestamps": [[0, 1]], "sentences": [3]}}', "a sentence of 'v_1' must be text, found 3."),
        (b'{\n"v_1": 5}', "gt.jsonl:2: video 'v_1' must have as many timestamps as sentences."),
        (b"{" * 5000, "not valid JSON"),
        (b"\xff##", "is not UTF-8"),
    ],
)
def test_bad_ground_truth_files(files, content, message):
    truth, found = files.write()
    truth.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        score_moments(truth, found)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_predictions_need_video_and_sentence_where_there_is_no_qid(files):
    for query in files.queries:
        del query["qid"]
    files.predictions = [{"qid": 1, "pred_relevant_windows": []}]
    assert "the ground truth has no qid; give the prediction vid and query." in files.refused()
    files.predictions = []
    assert "holds no predictions. Give a line of JSON for each sentence." in files.refused()


def test_values_outside_their_choices(files):
    with pytest.raises(UsageError, match="tiou_thresholds must be numbers in"):
        score_moments(*files.write(), tiou_thresholds=[])
    with pytest.raises(UsageError, match="max_predictions must be at least 1, found 0"):
        score_moments(*files.write(), max_predictions=0)
    result = run("--ground-truth", files.truth, "--predictions", files.found.with_name("gone"))
    assert (result.exit_code, len(result.stderr.strip().splitlines())) == (1, 1)
