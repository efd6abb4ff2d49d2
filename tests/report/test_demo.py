"""The demo end to end, small: files, structure, resume, and that a repeated call gives the same bytes."""

import json

import pytest

from framecue.api import open_index
from framecue.errors import CheckpointError, ConfigError, DatasetError
from framecue.report.demo import DemoPlan, run_demo
from framecue.report.demo_localization import LocalizationPlan
from framecue.report.summary import GROUPS, METHODS

PLAN = DemoPlan(
    seen=("moving right", "moving left", "blinking"),
    held_out=("swinging", "zigzagging"),
    videos_per_class={"train": 3, "val": 2, "test": 2},
    iterations={"A3": 6, "A5": 6},
    batch_size=6,
    localization=LocalizationPlan(
        seen=("moving right", "blinking"),
        held_out=("swinging", "zigzagging"),
        num_videos={"train": 3, "val": 2, "test": 2, "novel": 1},
        num_idle={"train": 1, "test": 1},
        iterations=8,
        batch_size=6,
        sampling="fps:4",
    ),
    retrieval_iterations=5,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="module")
def first(folder):
    stages = []
    result = run_demo(
        folder, seeds=(0, 1), plan=PLAN, command="framecue demo", progress=lambda *state: stages.append(state)
    )
    return result, stages


@pytest.mark.slow
def test_demo_leaves_results_and_a_page(folder, first):
    result, stages = first
    results = json.loads((folder / "results.json").read_text())
    assert results == json.loads(json.dumps(result.results))
    assert list(results["accuracy"]) == list(METHODS)
    for method, groups in results["accuracy"].items():
        assert list(groups) == list(GROUPS)
        for group, numbers in groups.items():
            if (method, group) == ("B-II", "held_out"):
                assert numbers is None
            else:
                assert len(numbers["values"]) == 2
                assert 0 <= numbers["mean"] <= 1
    for method in ("B-I", "A3"):
        assert (
            max(results["accuracy"][method]["order_pairs"]["values"]) <= results["order_blind_ceiling"]["order_pairs"]
        )
    assert results["accuracy"]["B-I"]["seen"]["std"] == 0
    assert results["protocol"]["num_test_videos"] == 6
    assert results["protocol"]["num_held_out_videos"] == 4
    assert [entry["truth"] for entry in results["new_files"]] == ["moving right", "swinging"]
    assert set(results["new_files"][1]["labels"]) == {"swinging", "zigzagging"}
    assert all((folder / entry["path"]).is_file() for entry in results["new_files"])
    assert "seconds" not in json.dumps(results["accuracy"])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 6  # of which two are timelines
    localization = results["localization"]
    assert localization["protocol"]["external_scores"] == "none"
    assert set(localization["protocol"]["held_out_classes"]) == {"swinging", "zigzagging"}
    assert len(localization["parts"]["test"]["true segments, A5 robust"]["average"]["values"]) == 2
    assert localization["parts"]["novel"]["own proposals, B-I"]["0.5"]["mean"] >= 0
    assert "http://" not in page.replace("http://www.w3.org/", "")
    last = {stage: (done, total) for stage, done, total, _ in stages}
    assert all(done == total for done, total in last.values())
    assert list(last) == [
        "render videos",
        "extract features",
        *(f"train {method}, seed {seed}" for seed in (0, 1) for method in ("A3", "A5")),
        "report",
        "render untrimmed videos",
        "extract untrimmed features",
        "train localization, seed 0",
        "train localization, seed 1",
        "timelines",
        "features of captioned videos",
        *(f"train retrieval, {method}, seed {seed}" for method in ("A3", "robust") for seed in (0, 1)),
        "index moments, frozen CLIP",
        "index moments",
    ]
    _check_retrieval(folder, results["retrieval"], page)


def _check_retrieval(folder, retrieval, page):
    rows = {row["method"]: row["measures"] for row in retrieval["table"]["rows"]}
    assert list(rows) == ["frozen CLIP", "A3", "robust"]
    assert len(rows["robust"]["t2v/R1"]["values"]) == 2
    assert {"order and direction/v2t/R1", "motions never trained on/t2v/R1"} <= set(rows["robust"])
    # Without a sense of time a video and its reversal are one: the captions are told apart no better than by guessing.
    assert retrieval["twins_told_apart"]["A3"]["values"] == [0.5, 0.5]
    assert retrieval["index"]["num_videos"] == 3
    assert set(retrieval["index"]["moments_right"]) == {"frozen CLIP", "robust, seed 0"}
    assert retrieval["queries"][0]["query"] in page.replace("&quot;", chr(34))
    found = open_index(folder / "index").search("a shape growing", top_k=3)
    assert len(found.moments) == 3
    assert all(moment.video.path.is_file() for moment in found.moments)
    assert "framecue serve --demo" in page


@pytest.mark.slow
def test_repeated_call_reuses_all_and_gives_the_same_bytes(folder, first):
    kept = ["results.json", "report.html", "runs/A5-seed1/results.json", "runs/A3-seed0/log.jsonl"]
    before = {name: (folder / name).read_bytes() for name in kept}
    videos = {path: path.stat().st_mtime_ns for path in (folder / "videos").rglob("*.mp4")}
    stages = []
    run_demo(folder, seeds=(0, 1), plan=PLAN, command="framecue demo", progress=lambda stage, *_: stages.append(stage))
    assert {name: (folder / name).read_bytes() for name in kept} == before
    assert {path: path.stat().st_mtime_ns for path in (folder / "videos").rglob("*.mp4")} == videos
    assert not [stage for stage in stages if stage.startswith("train")]


@pytest.mark.slow
def test_folder_of_another_plan_is_refused(folder, first):
    more_steps = DemoPlan(**{**PLAN.__dict__, "iterations": {"A3": 7, "A5": 7}})
    with pytest.raises(CheckpointError, match="--restart"):
        run_demo(folder, seeds=(0,), plan=more_steps)
    more_videos = DemoPlan(**{**PLAN.__dict__, "videos_per_class": {"train": 4, "val": 2, "test": 2}})
    with pytest.raises(DatasetError, match=r"world\.json"):
        run_demo(folder, seeds=(0,), plan=more_videos)


def test_out_that_is_a_file_is_refused(tmp_path):
    path = tmp_path / "file"
    path.touch()
    with pytest.raises(ConfigError, match="cannot be a folder"):
        run_demo(path)
