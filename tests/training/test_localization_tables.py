"""Closed-set and open-set tables of localization on a very small untrimmed world, resumed to the same bytes."""

import json
from pathlib import Path

import pytest

from framecue.config import RunConfig, build_config, load_config
from framecue.datasets.world import write_untrimmed
from framecue.errors import DatasetError, UsageError
from framecue.report.table_markdown import markdown
from framecue.report.tables import with_paper
from framecue.tasks.localization_evaluation import NO_PROBE
from framecue.training import localization_tables
from framecue.training.localization_tables import STRICT, run_localization_table
from framecue.training.localization_trials import (
    CLOSED_SET,
    LOCALIZATION_DATASETS,
    OPEN_SET,
    LocalizationTableOptions,
    localization_config,
    plan_trials,
)

pytestmark = pytest.mark.recipe

ROOT = Path(__file__).parents[2]
LISTS = Path("annotations", "efficient_prompt", "Open-set Action Localisation")
NAMES = ("growing", "shrinking", "moving left", "moving right")
METHODS = [
    "A5",
    "own proposals, true names",
    "true segments, A5",
    "own proposals, B-I",
    "true segments, B-I",
    "training-free, B-I",
    "own proposals, B-II",
    "true segments, B-II",
]
CLOSED, OPEN = LocalizationTableOptions(seeds=(0, 1)), LocalizationTableOptions(seeds=(0, 1), train_fraction=0.5)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("localization-tables")
    counts = {"train": 8, "val": 2, "test": 4}
    write_untrimmed(folder / "videos", seed=3, classes=NAMES, num_videos=counts, workers=0)
    return folder


def config_of(place: Path, out: Path, **localization: object) -> RunConfig:
    values = {
        "task": "localization",
        "data": {"source": str(place / "videos")},
        "features": {"store": str(place / "features.lance"), "sampling": "fps:2"},
        "backbone": {"id": "tiny", "device": "cpu"},
        "train": {"iterations": 4, "batch_size": 4, "validate_every": 2, "save_every": 1, "log_every": 1},
        "localization": {
            "val_subset": "validation",
            "test_subset": "testing",
            "window": 64,
            "width": 16,
            "levels": 4,
            "windows_per_step": 2,
            "fusion_weights": [0.5],
            "tious": [0.3, 0.5],
            **localization,
        },
        "evaluate": {"templates": ["{}"]},
        "out": str(out),
    }
    return build_config(values, name="test")


@pytest.fixture(scope="module")
def whole(place):
    """Both tables, made without an interruption."""
    options = {CLOSED_SET: CLOSED, OPEN_SET: OPEN}
    return {
        table: run_localization_table(table, config_of(place, place / "whole" / table), options=given)
        for table, given in options.items()
    }


@pytest.mark.parametrize("table", [CLOSED_SET, OPEN_SET])
def test_a_whole_table_has_every_method_with_its_spread_and_its_protocol(place, whole, table):
    result = whole[table]
    assert [row["method"] for row in result["rows"]] == METHODS
    part = "test" if table == CLOSED_SET else "novel"
    for row in result["rows"]:
        answers = part == "test" or not row["method"].endswith("B-II")  # a probe knows no held-out names
        assert ({f"{part}/map@0.3", f"{part}/map@0.5", f"{part}/average_map"} <= set(row["measures"])) == answers
        assert ("seen/average_map" in row["measures"]) == (table == OPEN_SET)
        for measure in row["measures"].values():
            assert len(measure["values"]) == measure["n"] == 2
            assert all(0 <= value <= 1 for value in measure["values"])
            assert measure["mean"] == pytest.approx(sum(measure["values"]) / 2)
    (protocol,) = result["protocols"]
    assert (protocol["num_trials"], protocol["seeds"]) == (2, [0, 1])
    assert protocol["name"] == ("closed-set" if table == CLOSED_SET else "open-set 50/50")
    assert result["setting"]["scores"] == STRICT
    assert json.loads((place / "whole" / table / "table.json").read_text()) == result
    measured = {row["method"]: row["measures"].get(f"{part}/average_map") for row in result["rows"]}
    oracle = {method: numbers["mean"] for method, numbers in measured.items() if numbers}
    assert oracle["true segments, A5"] > oracle["A5"]
    assert (NO_PROBE in result["notes"]) == (table == OPEN_SET)


def test_held_out_names_of_each_split_are_never_trained_on(place, whole):
    trials = whole[OPEN_SET]["trials"]
    assert [trial["name"] for trial in trials] == ["seed 0", "seed 1"]
    assert all(len(trial["held_out_classes"]) == 2 for trial in trials)
    runs = sorted((place / "whole" / OPEN_SET / "trials" / OPEN_SET).iterdir())
    assert len(runs) == 2  # one run folder for each split
    for trial, run in zip(trials, runs, strict=True):
        card = json.loads((run / "adapter" / "adapter.json").read_text())
        assert set(card["class_names"]) == set(NAMES) - set(trial["held_out_classes"])
    _, planned = plan_trials(OPEN_SET, config_of(place, place / "plan"), OPEN)
    for trial in planned:
        held_out = set(trial.parts.novel_names)
        taught = {segment.label for video in (*trial.parts.train, *trial.parts.val) for segment in video.segments}
        assert not taught & held_out
        assert {segment.label for video in trial.parts.novel for segment in video.segments} <= held_out
        ignored = {segment.label for segments in trial.parts.ignored for segment in segments}
        assert ignored <= held_out  # no background either, though they are there to be seen


@pytest.mark.parametrize(("table", "options"), [(CLOSED_SET, CLOSED), (OPEN_SET, OPEN)])
def test_an_interrupted_table_goes_on_and_equals_an_uninterrupted_one(place, whole, tmp_path, table, options):
    def stop_in_the_second_trial(phase: str, done: int, total: int, note: str) -> None:
        if phase == "A5, seed 1" and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_localization_table(table, config_of(place, tmp_path), options=options, progress=stop_in_the_second_trial)
    assert not (tmp_path / "table.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")}
    assert len(kept) == 1
    run_localization_table(table, config_of(place, tmp_path), options=options)
    assert (tmp_path / "table.json").read_bytes() == (place / "whole" / table / "table.json").read_bytes()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    log = next(tmp_path.rglob("seed_1-*/log.jsonl")).read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in log] == [1, 2, 3, 4]  # went on, not anew


def test_a_finished_table_is_not_trained_again_and_a_damaged_trial_is(place, whole, monkeypatch):
    out = place / "whole" / CLOSED_SET
    first = (out / "table.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(localization_tables, "train_localization", None)  # calling it would raise
        run_localization_table(CLOSED_SET, config_of(place, out), options=CLOSED)
        assert (out / "table.json").read_bytes() == first
    next(out.rglob("seed_0-*/results.json")).write_text("{ not json")
    run_localization_table(CLOSED_SET, config_of(place, out), options=CLOSED)
    assert (out / "table.json").read_bytes() == first


def test_external_scores_mark_their_row_and_leave_the_strict_runs_alone(place, tmp_path):
    one = LocalizationTableOptions(seeds=(0,))
    strict = run_localization_table(CLOSED_SET, config_of(place, tmp_path), options=one)
    videos = json.loads((place / "videos" / "ground_truth.json").read_text())["database"]
    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"results": {name: [1, 0, 0, 0] for name in videos}, "class": NAMES}))
    result = run_localization_table(CLOSED_SET, config_of(place, tmp_path, external_scores=str(scores)), options=one)
    rows = {row["method"]: row["scores"] for row in result["rows"]}
    assert rows.pop("A5 + external scores") == "external"
    assert "A5" not in rows
    assert set(rows.values()) == {"strict"}
    assert result["setting"]["scores"] == f"external: {scores}"
    assert f"mAP (external: {scores}) in %" in markdown(with_paper(result, "thumos14", ["framecue"]))
    again = run_localization_table(CLOSED_SET, config_of(place, tmp_path), options=one)
    assert again == strict
    assert len(list(tmp_path.rglob("results.json"))) == 2


def test_the_table_reads_as_one(whole):
    command = ["framecue", "reproduce", OPEN_SET, "--out", "runs"]
    text = markdown(with_paper(whole[OPEN_SET], None, command))
    head = next(line for line in text.splitlines() if line.startswith("| method"))
    assert head == "| method | novel @0.3 | novel @0.5 | novel average mAP | seen average mAP |"
    assert f"mAP ({STRICT}) in %; ± is the 95 % interval of the mean over 2 trials (Student)" in text
    assert "No published figure is known" in text
    assert text.count("framecue reproduce") == 1  # one run measures all rows
    assert "the highest novel average mAP" in text
    assert "true segments, A5 has the highest" not in text


@pytest.mark.parametrize(
    ("folder", "name", "counts"), [("75%; test25%", "75/25", (15, 5)), ("50%; test50%", "50/50", (10, 10))]
)
def test_the_authors_lists_of_thumos14_are_ten_trials(shared_data, tmp_path, folder, name, counts):
    annotations = shared_data / "annotations" / "thumos14" / "official_txt"
    lists = shared_data / LISTS / f"train{folder}" / "THUMOS14"
    if not (annotations.exists() and lists.exists()):
        pytest.skip("no THUMOS14 annotations or no lists of the authors here")
    ids = {line.split()[0] for path in annotations.rglob("*_*.txt") for line in path.read_text().splitlines() if line}
    for video in ids:
        (tmp_path / f"{video}.mp4").touch()  # planning opens no video
    config = localization_config("thumos14", tmp_path, annotations, tmp_path / "out")
    protocol, trials = plan_trials(OPEN_SET, config, LocalizationTableOptions(splits=lists))
    assert protocol.name == f"open-set {name}"
    assert protocol.source == str(lists)
    assert [trial.name for trial in trials] == [f"split {number}" for number in range(10)]
    for number, trial in enumerate(trials):
        assert (len(trial.parts.class_names), len(trial.parts.novel_names)) == counts
        assert set((lists / f"test/split_{number}.list").read_text().split()) == set(trial.parts.novel_names)
        taught = {segment.label for video in (*trial.parts.train, *trial.parts.val) for segment in video.segments}
        assert not taught & set(trial.parts.novel_names)


def test_the_named_data_sets_are_the_shipped_configs(tmp_path):
    for dataset in LOCALIZATION_DATASETS[1:]:
        shipped = load_config(ROOT / "configs" / f"{dataset}_a5.yaml").model_dump(exclude={"out", "data"})
        named = localization_config(dataset, tmp_path, tmp_path / "truth.json", tmp_path).model_dump(
            exclude={"out", "data"}
        )
        for section in (shipped, named):
            section["model"].pop("preset")
        assert named == shipped
    activitynet = localization_config("activitynet", tmp_path, None, tmp_path)
    assert activitynet.features.sampling == f"uniform:{activitynet.localization.window}"
    assert activitynet.data.source == tmp_path / "videos"
    assert activitynet.data.annotations == tmp_path / "annotations"


@pytest.mark.parametrize(
    ("table", "options", "changes", "error", "message"),
    [
        ("closed-set", {}, {}, UsageError, "no table 'closed-set' of localization"),
        (CLOSED_SET, {"splits": Path("lists")}, {}, UsageError, "leave --splits away"),
        (OPEN_SET, {"splits": Path("lists"), "seeds": (1,)}, {}, UsageError, "--splits and --seeds both say"),
        (CLOSED_SET, {}, {"test_subset": None}, UsageError, "localization.test_subset"),
        (OPEN_SET, {"train_fraction": 1.5}, {}, UsageError, "train_fraction must be between 0 and 1"),
        (OPEN_SET, {"splits": Path("lists")}, {}, DatasetError, "lists"),
    ],
)
def test_what_a_table_lacks_is_said_in_a_line(place, tmp_path, table, options, changes, error, message):
    with pytest.raises(error, match=message) as caught:
        run_localization_table(
            table, config_of(place, tmp_path, **changes), options=LocalizationTableOptions(**options)
        )
    assert "\n" not in str(caught.value)


def test_a_split_with_nothing_to_measure_is_refused_before_anything_is_trained(place, tmp_path):
    (tmp_path / "lists/train").mkdir(parents=True)
    (tmp_path / "lists/test").mkdir()
    (tmp_path / "lists/train/split_0.list").write_text("growing\nshrinking\n")
    (tmp_path / "lists/test/split_0.list").write_text("moving left\n")
    truth = json.loads((place / "videos" / "ground_truth.json").read_text())
    for about in truth["database"].values():
        if about["subset"] == "testing":
            about["annotations"] = [a for a in about["annotations"] if a["label"] != "moving left"]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    config = config_of(place, tmp_path)
    config = config.model_copy(update={"data": config.data.model_copy(update={"annotations": tmp_path / "truth.json"})})
    with pytest.raises(
        DatasetError, match=r"lists, split 0: No video of the test subset has a segment of the test classes"
    ):
        run_localization_table(OPEN_SET, config, options=LocalizationTableOptions(splits=tmp_path / "lists"))
    assert not (tmp_path / "trials").exists()


def test_data_sets_by_name(tmp_path):
    assert localization_config("world", None, None, tmp_path, ["train.iterations=7"]).train.iterations == 7
    with pytest.raises(UsageError, match="There is no data set 'charades'; known are world, thumos14, activitynet"):
        localization_config("charades", tmp_path, None, tmp_path)
    with pytest.raises(UsageError, match="thumos14 needs --data DIR"):
        localization_config("thumos14", None, None, tmp_path)


def test_the_world_of_the_tables_has_one_name_a_video(tmp_path, monkeypatch):
    monkeypatch.setattr(localization_tables, "WORLD_VIDEOS", {"train": 1, "test": 1})
    monkeypatch.setattr(localization_tables, "UNTRIMMED_SEEN_CLASSES", NAMES[:2])
    monkeypatch.setattr(localization_tables, "NOVEL_CLASSES", NAMES[2:])
    options = LocalizationTableOptions(seeds=(0,), train_fraction=0.5)
    small = ["localization.width=16", "localization.levels=3", "train.iterations=2", "train.batch_size=4"]
    overrides = [*small, "localization.val_subset=null", "data.val_fraction=0", "features.sampling=fps:2"]
    config = localization_config("world", None, None, tmp_path, overrides)
    result = run_localization_table(OPEN_SET, config, options=options, dataset="world")
    assert result["dataset"] == "world"
    truth = json.loads((tmp_path / "videos" / "ground_truth.json").read_text())["database"]
    assert len(truth) == 8
    assert all(len({part["label"] for part in about["annotations"]}) == 1 for about in truth.values())
    assert (result["trials"][0]["num_train_videos"], result["skipped"]) == (2, [])
