"""Names in composed letters (as most systems write them) and in decomposed ones (as macOS does) are one everywhere."""

import json
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pytest

from framecue.config import DataConfig
from framecue.datasets.check import check_data
from framecue.datasets.class_lists import read_class_list
from framecue.datasets.descriptions import read_descriptions
from framecue.datasets.localization import (
    match_files,
    meet_ids,
    read_detections,
    read_external_scores,
    read_ground_truth,
)
from framecue.datasets.naming import class_key, find_class
from framecue.datasets.records import load_records
from framecue.datasets.retrieval import match_videos, read_captions
from framecue.datasets.splits import held_out_classes
from framecue.errors import DatasetError
from framecue.search.filters import Condition, metadata_test
from framecue.tasks.score_files import score_detections

COMPOSED, DECOMPOSED = normalize("NFC", "Übung"), normalize("NFD", "Übung")
FORMS = [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)]


def make(path: Path, content: object = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)).encode()
    path.write_bytes(content)
    return path


def test_keys_know_forms_and_what_is_not_seen():
    assert COMPOSED != DECOMPOSED
    assert class_key(COMPOSED) == class_key(DECOMPOSED) == class_key("ÜBUNG")
    assert class_key("jump\u200b") == class_key("\u200fjump") == class_key("Jump")
    assert class_key("ß") == class_key("SS")
    assert find_class(DECOMPOSED, [COMPOSED, "sit"], asked_by="data.classes") == COMPOSED


@pytest.mark.parametrize(("first", "second"), FORMS)
def test_class_folders_and_lists_of_classes(tmp_path, first, second):
    make(tmp_path / "train" / first / "a.mp4")
    make(tmp_path / "test" / second / "b.mp4")
    make(tmp_path / "train" / "sit" / "c.mp4")
    records, _ = load_records(tmp_path, classes=[COMPOSED])
    assert len(records) == 2
    assert len({record.label for record in records}) == 1
    assert {record.path.parent.name for record in records} == {first, second}
    assert held_out_classes(load_records(tmp_path)[0], [second])[1] == records
    with pytest.raises(DatasetError, match="is listed twice"):
        read_class_list(make(tmp_path / "names.txt", f"{first}\nsit\n{second}\n"))
    described = read_descriptions(make(tmp_path / "d.json", {first: "a", second: "b"}), [first])
    assert described == {first: ("a", "b")}


@pytest.mark.parametrize(("listed", "on_disk"), FORMS)
@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_manifests_find_the_files_and_know_the_classes(tmp_path, listed, on_disk, ending):
    make(tmp_path / on_disk / f"{on_disk} 1.mp4")
    make(tmp_path / "b.mp4")
    rows = [(f"{listed}/{listed} 1.mp4", listed), ("b.mp4", on_disk)]
    text = "path,label\n" + "".join(f"{path},{label}\n" for path, label in rows)
    if ending == "jsonl":
        text = "".join(json.dumps({"path": path, "label": label}) + "\n" for path, label in rows)
    records, _ = load_records(make(tmp_path / f"m.{ending}", text))
    assert [record.path for record in records] == [tmp_path / on_disk / f"{on_disk} 1.mp4", tmp_path / "b.mp4"]
    assert {record.label for record in records} == {listed}  # as it was written first
    report = check_data(DataConfig(source=tmp_path / f"m.{ending}"), quick=True)
    assert not [problem for problem in report.problems if problem.kind in ("missing", "spelling")]


def test_one_file_named_in_both_forms_is_listed_twice(tmp_path):
    make(tmp_path / f"{DECOMPOSED}.mp4")
    path = make(tmp_path / "m.csv", f"path,label\n{COMPOSED}.mp4,run\n{DECOMPOSED}.mp4,sit\n")
    with pytest.raises(DatasetError, match="is labelled 'sit' here and 'run' there"):
        load_records(path)


@pytest.mark.parametrize(("written", "on_disk"), FORMS)
def test_paths_of_a_config(tmp_path, written, on_disk):
    make(tmp_path / on_disk / "run" / "a.mp4")
    assert DataConfig(source=tmp_path / written / "run").source == tmp_path / on_disk / "run"
    config = DataConfig(source=tmp_path, classes=(written, "sit"), held_out=(on_disk,))
    assert config.held_out == (on_disk,)


@pytest.mark.parametrize(("listed", "on_disk"), FORMS)
def test_number_lists(tmp_path, listed, on_disk):
    make(tmp_path / "v" / on_disk / f"{on_disk}.mp4")
    make(tmp_path / "v" / "sit" / "a.mp4")
    path = make(tmp_path / "a" / "train.txt", f"{listed}/{listed}.mp4 0\nelsewhere/a.avi 1\n")
    make(tmp_path / "a" / "labels.txt", f"{listed}\nsit\n")
    records, _ = load_records(tmp_path / "v", annotations=path)
    assert {record.path for record in records} == set((tmp_path / "v").rglob("*.mp4"))


@pytest.mark.parametrize(("first", "second"), FORMS)
def test_localization_ids_and_labels(tmp_path, first, second):
    table = (
        f"video,start,end,label,subset\n{first},0,1,{first},train\n{second},2,3,{second},train\nb,0,1,{second},test\n"
    )
    truth = read_ground_truth(make(tmp_path / "t.csv", table), one_spelling=True)
    assert [video.video_id for video in truth.videos] == [first, "b"]
    assert truth.labels == (first,)
    assert read_ground_truth(tmp_path / "t.csv", subset="test").labels == (first,)
    assert len(read_ground_truth(tmp_path / "t.csv", videos=[second]).videos) == 1
    assert len(read_ground_truth(tmp_path / "t.csv", blocked=[second]).videos) == 1
    blocked = make(tmp_path / "blocked.txt", f"b {first}\n")
    assert read_ground_truth(tmp_path / "t.csv", blocked=blocked).num_segments == 2
    file = make(tmp_path / "v" / second / f"{second}.mp4")
    ((video,), _) = match_files(truth.videos[:1], tmp_path / "v")
    assert video.path == file
    assert meet_ids([f"x/{second}.mp4"], [first]) == {f"x/{second}.mp4": first}


@pytest.mark.parametrize(("first", "second"), FORMS)
def test_scored_files(tmp_path, first, second):
    truth = make(tmp_path / "t.csv", f"video,start,end,label\n{first},0,1,{first}\n{first},2,3,sit\n")
    found = {
        second: [{"segment": [0, 1], "label": second, "score": 1}, {"segment": [2, 3], "label": "sit", "score": 1}]
    }
    scored = score_detections(truth, make(tmp_path / "p.json", {"results": found}))
    assert scored["average_mean_ap"] == 1
    assert not any("ground truth has not" in note for note in scored["notes"])
    folder = tmp_path / "fractions"
    make(folder / f"{second}.csv", "xmin,xmax,score\n0,1,1\n")
    assert read_detections(folder, durations={first: 4.0}).num_segments == 1
    scores = make(tmp_path / "s.json", {"results": {second: [0.5, 1]}, "class": [second, "sit"]})
    outside = read_external_scores(scores, [first, "sit"])
    assert outside.labels == (first, "sit")
    np.testing.assert_array_equal(outside.scores[second], np.float32([0.5, 1]))


@pytest.mark.parametrize(("listed", "on_disk"), FORMS)
def test_captions(tmp_path, listed, on_disk):
    file = make(tmp_path / "v" / f"{on_disk}.mp4")
    entries = [{"video": f"v/{listed}.mp4", "caption": "x"}, {"video": f"v/{on_disk}.mp4", "caption": "y"}]
    captions = read_captions(make(tmp_path / "c.json", entries))
    ((video,), _) = match_videos(captions.videos, tmp_path)
    assert (video.video_id, video.captions) == (f"v/{listed}.mp4", ("x", "y"))
    assert video.path == captions.videos[0].path == file
    entries = [{"video": listed, "caption": "x"}]
    ((video,), _) = match_videos(read_captions(make(tmp_path / "c.json", entries)).videos, tmp_path)
    assert video.path == file


@pytest.mark.parametrize(("stored", "asked"), FORMS)
def test_conditions_on_metadata(stored, asked):
    assert metadata_test(Condition("place", "=", asked), "str")({"place": stored})
    assert not metadata_test(Condition("place", "!=", asked), "str")({"place": stored})
