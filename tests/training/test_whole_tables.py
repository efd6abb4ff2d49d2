"""Every protocol end to end on a small built-in world, and tables that resume to the same bytes."""

import json
from pathlib import Path

import pytest

from framecue.config import RunConfig, build_config
from framecue.datasets.world import write_world
from framecue.errors import UsageError
from framecue.metrics.recognition import harmonic_mean
from framecue.training import table_trials
from framecue.training.table_data import TableData
from framecue.training.table_rows import ROBUST, ROWS, TABLES, TableOptions, build_protocols, row_config
from framecue.training.tables import dataset_config, run_table

pytestmark = pytest.mark.recipe

CLASSES = ("growing", "shrinking", "moving left", "moving right", "circling", "blinking")
SEEN, UNSEEN = CLASSES[:4], CLASSES[4:]
FAST = {"iterations": 3, "batch_size": 6, "lr": 1e-3, "validate_every": 2, "save_every": 2, "log_every": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    counts = {"train": 4, "val": 1, "test": 2}
    write_world(folder / "world", seed=5, classes=CLASSES, videos_per_class=counts, workers=0)
    others = (*UNSEEN, "moving up", "moving down")
    write_world(folder / "other", seed=6, classes=others, videos_per_class={"test": 2, "train": 1}, workers=0)
    (folder / "seen.txt").write_text("\n".join(SEEN))
    (folder / "unseen.csv").write_text("id,name\n" + "\n".join(f"{i},{name}" for i, name in enumerate(UNSEEN)))
    return folder


def config_of(place: Path, out: Path, source: str = "world", **train: object) -> RunConfig:
    values = {
        "data": {"source": str(place / source)},
        "features": {"store": str(place / "features.lance"), "sampling": "uniform:16"},
        "backbone": {"id": "tiny", "device": "cpu"},
        "train": FAST | train,
        "evaluate": {"views": 1, "templates": ["{}", "a shape {}"]},
        "out": str(out),
    }
    return build_config(values, name="test")


def options_of(place: Path, table: str, **changes: object) -> TableOptions:
    given = {
        "seeds": (0,) if table.startswith("few-shot") else (0, 1),
        "rows": ("B-I", "A3", "A5", ROBUST),
        "shots": {"few-shot": (1, 2), "base-to-novel": (2,)}.get(table, ()),
        "draws": 2,
        "episodes": 3,
    }
    if table in ("zero-shot", "base-to-novel"):
        given |= {"train_classes": place / "seen.txt", "test_classes": place / "unseen.csv"}
    if table == "cross-dataset":
        given["other"] = config_of(place, place, "other")
    return TableOptions(**(given | changes))


PARTS = {
    "closed-set": {"test"},
    "few-shot-5-way": {"test"},
    "few-shot": {"test"},
    "zero-shot": {"test"},
    "base-to-novel": {"base", "novel"},
    "cross-dataset": {"full", "half"},
}


@pytest.mark.parametrize("table", TABLES)
def test_every_protocol_runs_from_files_to_figures(place, tmp_path, table):
    result = run_table(table, config_of(place, tmp_path), options=options_of(place, table))
    protocols = {protocol["name"]: protocol for protocol in result["protocols"]}
    assert len(protocols) == (2 if table == "few-shot" else 1)
    assert [row["method"] for row in result["rows"]].count("A5") == len(protocols)
    trials = {"few-shot-5-way": 3}.get(table, 2)
    for row in result["rows"]:
        named = {name.split("/")[0] for name in row["measures"]} - {"harmonic_mean"}
        assert named == PARTS[table]
        for name, measure in row["measures"].items():
            assert measure["n"] == trials == len(measure["values"])
            assert all(0 <= value <= 1 for value in measure["values"])
            assert measure["mean"] == pytest.approx(sum(measure["values"]) / trials)
            if name != "harmonic_mean":  # no share of any videos
                low, high = measure["ci95_items"]
                assert 0 <= low <= measure["mean"] <= high <= 1
        assert (row["config"] is None) == (row["method"] == "B-I")
        seen = row["classes_seen_in_training"]
        assert seen is None if row["method"] == "B-I" else set(seen) <= set(CLASSES)
    if table in ("zero-shot", "base-to-novel"):
        assert set(result["rows"][-1]["classes_seen_in_training"]) == set(SEEN)
    assert all(protocol["source_hash"] and protocol["description"] for protocol in protocols.values())
    assert result["setting"]["external_scores"] == "none"
    assert {"views", "suffix layout"} <= {item["what"] for item in result["setting"]["departures"]}
    assert json.loads((tmp_path / "table.json").read_text()) == result
    assert not list(tmp_path.rglob("train_state.pt"))  # finished trials leave their figures alone


def test_base_to_novel_has_the_harmonic_mean_of_each_trial(place, tmp_path):
    result = run_table(
        "base-to-novel", config_of(place, tmp_path), options=options_of(place, "base-to-novel", rows=("B-II", "B-I"))
    )
    frozen, probe = (row["measures"] for row in result["rows"])
    assert set(probe) == {"base/top1"}  # a probe knows no other names
    values = zip(frozen["base/top1"]["values"], frozen["novel/top1"]["values"], strict=True)
    assert frozen["harmonic_mean"]["values"] == [harmonic_mean(*pair) for pair in values]


def test_an_interrupted_table_goes_on_and_equals_an_uninterrupted_one(place, tmp_path):
    options = options_of(place, "closed-set", rows=("B-I", "A5", ROBUST))
    whole = tmp_path / "whole"
    run_table("closed-set", config_of(place, whole), options=options)
    broken, calls = tmp_path / "broken", []

    def stop_in_the_second_training(phase: str, done: int, total: int, note: str) -> None:
        calls.append(phase)
        if phase.startswith("A5") and done == 1 and note.startswith("step 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_table("closed-set", config_of(place, broken), options=options, progress=stop_in_the_second_training)
    assert not (broken / "table.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in broken.rglob("*.json")}
    assert any("A5" in str(path) for path in kept)
    run_table("closed-set", config_of(place, broken), options=options)
    assert (broken / "table.json").read_bytes() == (whole / "table.json").read_bytes()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path.exists())


def test_a_finished_table_is_not_trained_again_and_gives_the_same_bytes(place, tmp_path, monkeypatch):
    options = options_of(place, "few-shot-5-way", rows=("A5",))
    run_table("few-shot-5-way", config_of(place, tmp_path), options=options)
    first = (tmp_path / "table.json").read_bytes()
    monkeypatch.setattr(table_trials, "train_many", None)  # calling it would raise
    run_table("few-shot-5-way", config_of(place, tmp_path), options=options)
    assert (tmp_path / "table.json").read_bytes() == first


def test_a_table_may_be_made_row_by_row(place, tmp_path):
    both = options_of(place, "closed-set", rows=("B-I", "A3"))
    run_table("closed-set", config_of(place, tmp_path / "whole"), options=both)
    config = config_of(place, tmp_path / "parts")
    run_table("closed-set", config, options=options_of(place, "closed-set", rows=("A3",)))
    run_table("closed-set", config, options=options_of(place, "closed-set", rows=("B-I",)))
    assert (tmp_path / "parts/table.json").read_bytes() == (tmp_path / "whole/table.json").read_bytes()
    other = run_table("closed-set", config, options=options_of(place, "closed-set", rows=("B-I",), seeds=(0,)))
    assert [row["method"] for row in other["rows"]] == ["B-I"]  # A3's second trial belongs to another table


def test_another_config_makes_its_trials_anew(place, tmp_path):
    options = options_of(place, "closed-set", rows=("A3",), seeds=(0,))
    few = run_table("closed-set", config_of(place, tmp_path), options=options)
    more = run_table("closed-set", config_of(place, tmp_path, iterations=1), options=options)
    assert few["rows"][0]["trials"][0]["selected"] != more["rows"][0]["trials"][0]["selected"]


def test_a_damaged_trial_file_is_run_anew(place, tmp_path):
    options = options_of(place, "closed-set", rows=("B-I",), seeds=(0,))
    run_table("closed-set", config_of(place, tmp_path), options=options)
    first = (tmp_path / "table.json").read_bytes()
    for path in tmp_path.rglob("trials/**/*.json"):
        path.write_text("{ not json")
    run_table("closed-set", config_of(place, tmp_path), options=options)
    assert (tmp_path / "table.json").read_bytes() == first


def test_trials_without_validation_are_trained_together_and_the_same_as_alone(place, tmp_path, monkeypatch):
    options = options_of(place, "few-shot-5-way", rows=("A5",))
    together = run_table("few-shot-5-way", config_of(place, tmp_path / "a"), options=options)
    monkeypatch.setattr(table_trials, "GROUP", 1)
    alone = run_table("few-shot-5-way", config_of(place, tmp_path / "b"), options=options)
    assert together["rows"][0]["measures"] == alone["rows"][0]["measures"]


def test_rows_differ_in_model_and_preset_alone(place, tmp_path):
    config = config_of(place, tmp_path)
    made = {
        method: row_config(config, method, seed=4, out=tmp_path / "x", dataset="any") for method in ROWS["closed-set"]
    }
    assert [method for method, row in made.items() if row is None] == ["B-I single", "B-I", "B-II"]
    assert made["A5"].train == config.train
    assert (made["A7"].model.temporal_layers, made["A0"].model.n_prefix) == (4, 2)
    assert made["temporal only"].model.handcrafted_weight == 1
    robust = made[ROBUST]
    assert robust.preset == ROBUST
    assert robust.train.distill_text > 0
    assert robust.blend.temporal_weights
    assert robust.train.iterations == config.train.iterations
    assert {row.seed for row in made.values() if row is not None} == {4}


@pytest.mark.parametrize(
    ("table", "changes", "message"),
    [
        ("closed-set", {"rows": ("A9",)}, "has no row 'A9'"),
        ("nothing", {}, "There is no table 'nothing'"),
        ("zero-shot", {"train_classes": None}, "needs both class lists"),
        ("cross-dataset", {"other": None}, "--other-config"),
        ("base-to-novel", {"shots": (1, 2)}, "takes one number of shots"),
        ("few-shot", {"seeds": (0, 1)}, "draws its trials from one seed, found 0, 1"),
    ],
)
def test_what_a_table_lacks_is_said_in_a_line(place, tmp_path, table, changes, message):
    with pytest.raises(UsageError, match=message):
        run_table(table, config_of(place, tmp_path), options=options_of(place, table, **changes))


def test_data_sets_by_name(tmp_path):
    assert dataset_config("kinetics400", tmp_path, tmp_path / "out").data.format == "kinetics"
    assert dataset_config("world", None, tmp_path, ["train.iterations=7"]).train.iterations == 7
    with pytest.raises(UsageError, match="There is no data set 'imagenet'"):
        dataset_config("imagenet", tmp_path, tmp_path)
    with pytest.raises(UsageError, match="needs --data DIR"):
        dataset_config("hmdb51", None, tmp_path)


def test_published_episodes_are_used_as_they_are(shared_data):
    annotations = shared_data / "annotations" / "hmdb51"
    if not annotations.exists():
        pytest.skip("no HMDB-51 annotations")
    from framecue.datasets.official import read_hmdb51

    records = read_hmdb51(Path("videos"), annotations, split=1)
    folder = shared_data / "annotations" / "efficient_prompt" / "5-Shot-C-Way setting" / "HMDB-51"
    config = build_config({"data": {"source": "videos"}, "out": "out"}, name="test")
    data = TableData({1: records})
    (protocol,) = build_protocols("few-shot", data, config, TableOptions(splits=folder), dataset="hmdb51")
    assert len(protocol.trials) == 10
    assert {len(trial.train) for trial in protocol.trials} == {255}
    assert {len(trial.tests["test"]) for trial in protocol.trials} == {1530}
    assert str(folder) in protocol.source
