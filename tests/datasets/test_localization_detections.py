import json
from pathlib import Path

import numpy as np
import pytest

from framecue.datasets.localization import (
    DetectionFile,
    read_detections,
    read_external_scores,
    read_ground_truth,
)
from framecue.errors import DatasetError, UsageError


def write(path: Path, content: object) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def found(start: object, end: object, score: object = 0.5, **label: object) -> dict[str, object]:
    return {"segment": [start, end], "score": score, **label}


def rows(file: DetectionFile) -> list[tuple[str, float, float, str | None, float]]:
    return [(v, s.start_seconds, s.end_seconds, s.label, s.score) for v, every in file.results.items() for s in every]


def refusal(path: Path, read=read_detections, **options) -> str:
    with pytest.raises(DatasetError) as caught:
        read(path, **options)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("synthetic_detection/clean_predictions.json", (60, 3600, 20)),
        ("synthetic_detection/small_predictions.json", (39, 1170, 11)),
        ("synthetic_detection/small_proposals.json", (39, 1170, 0)),
        ("tad_official_eval/anet_val400_pred.json", (379, 2484, 174)),
        ("tad_official_eval/anet_val400_proposals.json", (400, 16005, 0)),
        ("mmaction2_eval_localization/result.json", (2, 14, 2)),
    ],
)
def test_real_prediction_files_are_read_whole(shared_data, file, counts):
    file = read_detections(shared_data / "golden" / file)
    assert (len(file.results), file.num_segments, len(file.labels)) == counts
    assert file.notes == ()


def test_the_official_sample_meets_its_ground_truth(shared_data):
    sample = read_detections(shared_data / "golden" / "activitynet" / "sample_detection_prediction.json")
    assert sample.external_data["used"] is False
    assert sample.num_segments == 7651
    assert (
        "3 segments end no later than they begin: left out (first: video 'QhiKgeJV3k0', segment 1: " in sample.notes[0]
    )
    truth = read_ground_truth(
        shared_data / "annotations" / "activitynet" / "anet_anno_action.json", subset="validation"
    )
    assert {video.video_id for video in truth.videos} < set(sample.results)
    assert set(truth.labels) == set(sample.labels)
    for video in truth.videos[:500]:
        ours = sorted((s.start_seconds, s.end_seconds, s.label) for s in video.segments)
        theirs = sorted((s.start_seconds, s.end_seconds, s.label) for s in sample.results[video.video_id])
        assert [row[2] for row in ours] == [row[2] for row in theirs]
        assert np.allclose([row[:2] for row in ours], [row[:2] for row in theirs], atol=1e-3)


def test_a_file_of_video_labels_alone_holds_no_segments(shared_data):
    file = read_detections(shared_data / "golden" / "activitynet" / "sample_classification_prediction.json")
    assert file.num_segments == 0
    assert "4933 entries cannot be understood: left out" in file.notes[0]


ENTRIES = [found(0, 1.5, 0.9, label="run"), found("2", "3", "0.25", label="sit")]
EXPECTED = [("a", 0, 1.5, "run", 0.9), ("a", 2, 3, "sit", 0.25)]


@pytest.mark.parametrize(
    "content",
    [
        {"version": "VERSION 1.3", "results": {"a": ENTRIES}, "external_data": {"used": True}},
        {"results": {"a": ENTRIES}},
        {"a": ENTRIES},
        {"database": {"a": {"subset": "val", "annotations": ENTRIES}}},
        {
            "video-id": ["a", "a"],
            "t-start": [0, 2],
            "t-end": [1.5, 3],
            "label": ["run", "sit"],
            "score": [0.9, 0.25],
        },
    ],
)
def test_every_json_form_says_the_same(tmp_path, content):
    file = read_detections(write(tmp_path / "a.json", content))
    assert rows(file) == EXPECTED
    assert file.labels == ("run", "sit")
    assert file.notes == ()
    assert file.external_data == content.get("external_data", {})


@pytest.mark.parametrize(
    "text",
    [
        "video,start,end,label,score\na,0,1.5,run,0.9\na,2,3,sit,.25\n",
        "\ufeffvideo-id;t-start;t-end;label;score\na;0;1.5;run;0.9\na;2;3;sit;0.25\n",
        "score\tclass\tend_seconds\tstart_seconds\tvideo_name\n0.9\trun\t1.5\t0\ta\n.25\tsit\t3\t2\ta\n",
    ],
)
def test_every_table_says_the_same(tmp_path, text):
    file = read_detections(write(tmp_path / "a.csv", text))
    assert rows(file) == EXPECTED
    assert file.notes == ()


def test_json_lines_and_tables_without_labels_are_proposals(tmp_path):
    line = {"video": "a", "start": 0, "end": 1, "score": 1}
    for path in (write(tmp_path / "a.jsonl", line), write(tmp_path / "a.csv", "video,start,end,score\na,0,1,1\n")):
        assert rows(read_detections(path)) == [("a", 0, 1, None, 1)]


def test_classes_called_by_their_numbers_need_their_names(tmp_path):
    path = write(tmp_path / "a.json", {"results": {"a": [found(0, 1, label=1), found(0, 1, label=2)]}})
    assert read_detections(path).labels == ("1", "2")
    file = read_detections(path, class_names=["run", "sit"])
    assert rows(file) == [("a", 0, 1, "sit", 0.5), ("a", 0, 1, "2", 0.5)]


def test_a_folder_of_fractions_takes_the_durations(tmp_path):
    folder = tmp_path / "proposals"
    folder.mkdir()
    write(folder / "v_QOlSCBRmfWY.csv", "xmin,xmax,clr_score,score\n0.1,0.5,1,0.7\n0.5,,1,0.9\n0.5\n0.2,0.3,1,nan\n")
    write(folder / "b.csv", "xmin,xmax,score\n0,1,1\n")
    write(folder / "c.csv", "xmin,xmax,score\n")
    file = read_detections(folder, durations={"QOlSCBRmfWY": 20.0, "c": 5.0})
    assert rows(file) == [("QOlSCBRmfWY", 2, 10, None, 0.7)]
    assert file.results["c"] == []
    assert [note.removeprefix(f"{folder}: ").partition(" (")[0] for note in file.notes] == [
        "1 entry cannot be understood: left out",
        "1 segment has no finite times: left out",
        "1 score is no finite number: left out",
        "1 video has fractions for times and no known duration: left out",
        "1 video id has the prefix v_, which ActivityNet's own ids have not: read without it",
    ]
    assert file.notes[1].endswith(f"({folder / 'v_QOlSCBRmfWY.csv'}:3: 10.0 to nan).")
    assert "which need the videos' durations. Give the ground truth too." in refusal(folder)
    write(folder / "c.csv", "xmin,score\n")
    assert "c.csv:1: the header needs xmin, xmax and score, found xmin, score." in refusal(folder, durations={"c": 5.0})


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        (found(0, 1, float("nan")), "1 score is no finite number: left out (video 'a', segment 1: nan)"),
        (found(0, 1, None), "1 score is no finite number: left out (video 'a', segment 1: None)"),
        (found(0, 1, "high"), "1 score is no finite number: left out (video 'a', segment 1: 'high')"),
        (found("x", 1), "1 segment has no finite times: left out (video 'a', segment 1: 'x' to 1)"),
        (found(0, 1, label=["run"]), "1 label is not a text: left out (video 'a', segment 1: ['run'])"),
        ({"score": 1}, "1 entry cannot be understood: left out (video 'a', segment 1: {'score': 1})"),
    ],
)
def test_what_cannot_be_right_is_left_out_and_counted(tmp_path, bad, told):
    path = write(tmp_path / "a.json", {"results": {"a": [bad, found(2, 3, -1, label="run")]}})
    for invalid in ("drop", "keep"):
        file = read_detections(path, invalid=invalid)
        assert rows(file) == [("a", 2, 3, "run", -1)]
        assert file.notes == (f"{path}: {told}.",)
    assert refusal(path, invalid="refuse").startswith(f"{path}, video 'a', segment 1: ")


def test_segments_that_end_too_early_are_left_out_kept_or_refused(tmp_path):
    path = write(tmp_path / "a.csv", "video,start,end,score\na,3,2,1\na,2,2,1\na,1,2,1\n")
    file = read_detections(path)
    assert rows(file) == [("a", 1, 2, None, 1)]
    assert file.notes == (f"{path}: 2 segments end no later than they begin: left out (first: {path}:2: 3 to 2 s).",)
    assert read_detections(path, invalid="keep").num_segments == 3
    assert refusal(path, invalid="refuse").startswith(
        f"{path}:2: segment ends no later than it begins, found 3 to 2 s."
    )
    with pytest.raises(UsageError, match=r"^invalid must be drop, keep, refuse, found 'skip'\.$"):
        read_detections(path, invalid="skip")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.json", [1], "is no prediction file of a known form: it must hold 'results', found list."),
        ("a.json", {"mAP": 3}, "it must hold 'results', found the keys 'mAP'."),
        ("a.json", '{"results": ', ":1: not valid JSON"),
        ("a.json", {"video-id": ["a"], "t-start": [], "t-end": [], "score": []}, "columns have different lengths"),
        ("a.pkl", "", "is a pickle, which can run any program when it is read. Write it as JSON or CSV."),
        ("a.csv", "video,start,end,label\n", "a.csv:1: the header needs a column for the score"),
    ],
)
def test_a_file_of_no_known_form_is_refused_in_one_line(tmp_path, name, content, told):
    assert told in refusal(write(tmp_path / name, content))


def test_untrimmed_nets_scores_name_the_class_of_most_test_videos(shared_data):
    scores = read_external_scores(shared_data / "features" / "thumos14_untrimmednet" / "uNet_test.npy")
    truth = read_ground_truth(
        shared_data / "annotations" / "thumos14" / "official_txt" / "test", separate_diving=True, thumos_test=212
    )
    assert (len(scores.scores), len(scores.labels)) == (1574, 20)
    right = [
        scores.labels[int(scores.scores[video.video_id].argmax())] in {s.label for s in video.segments}
        for video in truth.videos
    ]
    assert np.mean(right) > 0.75  # rows or columns out of place by one would leave a twentieth


def test_stales_scores_name_the_class_of_most_validation_videos(shared_data):
    path = shared_data / "annotations" / "activitynet"
    truth = read_ground_truth(path / "anet_anno_action.json", subset="validation")
    scores = read_external_scores(path / "stale_best_score.json", truth.labels)
    assert scores.labels == truth.labels
    assert len(scores.scores) == 4926
    right = [
        scores.labels[int(scores.scores[video.video_id].argmax())] in {s.label for s in video.segments}
        for video in truth.videos
        if video.segments
    ]
    assert 0.8 < np.mean(right) < 0.9
    fewer = read_external_scores(path / "stale_best_score.json", truth.labels[:10])
    assert len(fewer.scores) < 400
    assert any("segments are of classes not asked for" in note for note in fewer.notes)


def test_cuhks_scores_are_read_in_the_order_asked_for(tmp_path):
    content = {
        "class": ["run", "Long jump"],
        "results": {"v_QOlSCBRmfWY": [0.1, 0.9], "b": [0.5], "c": [0, None], "d": [0, 1e99]},
    }
    path = write(tmp_path / "a.json", content)
    scores = read_external_scores(path, ["long-jump", "run"])
    assert scores.labels == ("long-jump", "run")
    assert list(scores.scores) == ["QOlSCBRmfWY"]
    assert scores.scores["QOlSCBRmfWY"].tolist() == pytest.approx([0.9, 0.1])
    assert scores.source == str(path)
    assert "3 scores are no finite numbers: left out (first: video 'b': 1 scores for 2 classes" in scores.notes[0]
    assert "no class 'jog' in the data" in refusal(path, read_external_scores, class_names=["jog"])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"results": {}, "class": "run"}, "'class' must list the names of the scores' classes."),
        ([1], "holds no class scores of a known form."),
        ({"a": [1]}, "holds no class scores of a known form."),
    ],
)
def test_scores_of_no_known_form_are_refused(tmp_path, content, told):
    assert told in refusal(write(tmp_path / "a.json", content), read_external_scores)


def test_arrays_that_are_not_untrimmed_nets_are_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((3, 7), dtype=np.float32))
    assert "floats [videos, 101], found float32 [3, 7]." in refusal(path, read_external_scores)
    np.save(path, np.full((3, 101), np.nan, dtype=np.float32))
    assert "303 scores are no finite numbers." in refusal(path, read_external_scores)
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    assert "cannot be read as .npy" in refusal(path, read_external_scores)
    path.write_bytes(b"")
    assert "cannot be read as .npy" in refusal(path, read_external_scores)
