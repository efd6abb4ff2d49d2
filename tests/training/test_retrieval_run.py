"""Whole retrieval runs on a very small rendered world: resumed, measured again, hostile captions, the table."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import framecue
from framecue.cli.main import app
from framecue.cli.results import print_results
from framecue.config import RunConfig
from framecue.datasets.world import write_caption_list, write_world
from framecue.errors import CheckpointError, DatasetError, PromptTooLongError
from framecue.models.adapter import load_whole_adapter, read_card
from framecue.tasks.retrieval import similarity
from framecue.tasks.retrieval_data import prepare_retrieval
from framecue.tasks.retrieval_evaluation import FROZEN, measure_retrieval
from framecue.training.evaluate import evaluate_adapter
from framecue.training.recognition import RunProgress
from framecue.training.retrieval import train_retrieval
from framecue.training.retrieval_tables import RetrievalTableOptions, row_config, run_retrieval_table

SEEN, UNSEEN = ("growing", "shrinking", "bouncing"), ("swinging",)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    counts = {"train": 3, "val": 2, "test": 2}
    write_world(folder / "videos", seed=3, classes=SEEN + UNSEEN, videos_per_class=counts, workers=0)
    assert write_caption_list(folder / "captions.jsonl", folder / "videos", seen=SEEN, held_out=UNSEEN) == 23
    return folder


@pytest.fixture(scope="module")
def make_config(world, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "features.lance"

    def make(out, *, seed=0, preset="paper", **sections) -> RunConfig:
        values = {
            "data": {"source": str(world / "captions.jsonl")},
            "backbone": {"id": "tiny", "device": "cpu"},
            "features": {"sampling": "uniform:8", "dtype": "float32", "store": str(store)},
            "model": {"n_prefix": 2, "n_suffix": 2, "temporal_layers": 1, "num_frames": 8},
            "train": {"iterations": 8, "batch_size": 4, "lr": 0.002, "validate_every": 3, "save_every": 2},
            "evaluate": {"views": 1},
        }
        for name, changes in sections.items():
            values[name] = {**values.get(name, {}), **changes}
        return RunConfig.model_validate(
            {"task": "retrieval", "preset": preset, "out": str(out), "seed": seed, **values}
        )

    return make


@pytest.fixture(scope="module")
def trained(make_config, tiny_backbone, tmp_path_factory):
    config = make_config(tmp_path_factory.mktemp("run") / "run")
    return config, train_retrieval(config, backbone=tiny_backbone)


def test_results_hold_both_directions_groups_and_the_frozen_row(trained):
    config, result = trained
    saved = json.loads((config.out / "results.json").read_text())
    assert saved == result.results
    assert set(saved["test"]) == {saved["method"], FROZEN}
    protocol = saved["protocol"]
    assert (protocol["num_train_videos"], protocol["num_val_videos"], protocol["num_videos"]) == (9, 6, 8)
    assert (protocol["num_captions"], protocol["ties"], protocol["query_set_normalization"]) == (
        8,
        "expected rank",
        "none",
    )
    for numbers in saved["test"].values():
        assert {"t2v/R1", "t2v/R5", "t2v/R10", "t2v/MdR", "t2v/MnR", "v2t/R1", "v2t/MnR"} <= set(numbers)
        groups = numbers["groups"]
        assert set(groups) == {"order and direction", "other motions", "motions never trained on"}
        assert sum(group["t2v/queries"] for group in groups.values()) == numbers["t2v/queries"] == 8
        total = sum(group["t2v/R1"] * group["t2v/queries"] for group in groups.values()) / 8
        assert numbers["t2v/R1"] == pytest.approx(total)
        low, high = numbers["ci95"]["t2v/R1"]
        assert low <= numbers["t2v/R1"] <= high
    assert saved["matching"] is None
    assert saved["calibration"]["note"] == "not calibrated: 6 validation videos, 20 needed"


def test_adapter_is_trained_tensors_and_a_card_that_rebuilds_the_rest(trained, tiny_backbone):
    config, result = trained
    card = read_card(result.adapter)
    assert (card.task, card.class_names, card.format_version) == ("retrieval", (), 5)
    assert card.matching == result.results["matching"]
    tensors = load_file(result.adapter / "adapter.safetensors")
    assert not any("backbone" in name for name in tensors)
    model = load_whole_adapter(result.adapter, tiny_backbone)
    data = prepare_retrieval(config, tiny_backbone)
    again = measure_retrieval(similarity(model, data.test, config), data.test)
    assert again == result.results["test"][result.results["method"]]


def test_measured_again_gives_the_same_numbers(trained):
    _, result = trained
    assert evaluate_adapter(result.adapter).results == result.results


def test_a_run_stopped_and_gone_on_with_equals_one_that_was_not(make_config, tiny_backbone, trained, tmp_path):
    config = make_config(tmp_path / "run")

    def stop(done, total, numbers):
        if done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train_retrieval(config, backbone=tiny_backbone, progress=RunProgress(step=stop))
    assert not (config.out / "adapter").exists()
    train_retrieval(config, backbone=tiny_backbone)
    ours = load_file(config.out / "adapter" / "adapter.safetensors")
    theirs = load_file(trained[1].adapter / "adapter.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_state_of_other_captions_is_refused(make_config, tiny_backbone, world, trained, tmp_path):
    config = make_config(tmp_path / "run")
    shutil.copytree(trained[0].out, config.out)
    changed = world / "changed.jsonl"
    changed.write_text((world / "captions.jsonl").read_text().replace(" on a ", " upon a "))
    other = config.model_copy(update={"data": config.data.model_copy(update={"source": changed})})
    with pytest.raises(CheckpointError, match="another config or other data"):
        train_retrieval(other, backbone=tiny_backbone)


def test_robust_preset_chooses_its_blend_on_validation(make_config, tiny_backbone, tmp_path):
    config = make_config(tmp_path / "run", preset="robust", train={"iterations": 2})
    result = train_retrieval(config, backbone=tiny_backbone)
    blend = result.results["blend"]
    assert blend["rule"].startswith("most frozen within 1 standard errors")
    assert len(blend["candidates"]) == 3
    frozen_most = min(c["temporal"] for c in blend["candidates"])
    assert frozen_most <= blend["chosen"]["temporal"] <= 1
    card = read_card(result.adapter)
    assert card.model.handcrafted_weight == blend["chosen"]["handcrafted"]
    assert card.templates == (("{}",) if card.model.handcrafted_weight else ())
    assert evaluate_adapter(result.adapter).results == result.results


def test_captions_too_long_are_cut_and_counted_or_refused(make_config, tiny_backbone, world, tmp_path):
    lines = [json.loads(line) for line in (world / "captions.jsonl").read_text().splitlines()]
    longest = tiny_backbone.text_tower.context_length
    lines[0]["caption"] = "a very long story " * longest
    path = world / "long.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    config = make_config(tmp_path / "run", data={"source": str(path)})
    data = prepare_retrieval(config, tiny_backbone)
    room = longest - 2 - 2 - 2
    assert any(
        note.startswith("1 of ") and note.endswith(f"were cut to {room} tokens, as many as fit.") for note in data.notes
    )
    refused = make_config(tmp_path / "refused", data={"source": str(path)}, retrieval={"truncate": False})
    with pytest.raises(PromptTooLongError, match="leave room for"):
        train_retrieval(refused, backbone=tiny_backbone)


def test_videos_that_cannot_be_read_are_left_out_and_listed(make_config, tiny_backbone, world, tmp_path):
    copy = tmp_path / "world"
    shutil.copytree(world, copy)
    broken = next((copy / "videos" / "train").rglob("*.mp4"))
    broken.write_bytes(b"no video")
    store = str(tmp_path / "store.lance")
    config = make_config(tmp_path / "run", data={"source": str(copy / "captions.jsonl")}, features={"store": store})
    data = prepare_retrieval(config, tiny_backbone)
    assert [item.path for item in data.skipped] == [broken]
    assert len(data.train) == 8


def test_own_data_without_parts_are_split_and_measured(make_config, tiny_backbone, world, tmp_path):
    entries = []
    for line in (world / "captions.jsonl").read_text().splitlines():
        entry = json.loads(line)
        moved = world / "flat" / Path(entry["video"]).parent.parent.name / Path(entry["video"]).name
        moved.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(world / entry["video"], world / "flat" / f"{moved.parent.name}_{moved.name}")
        entries.append({"video": f"flat/{moved.parent.name}_{moved.name}", "caption": entry["caption"]})
    path = world / "own.json"
    path.write_text(json.dumps(entries))
    first, second = (make_config(tmp_path / str(s), seed=s, data={"source": str(path)}) for s in (0, 1))
    data, other = prepare_retrieval(first, tiny_backbone), prepare_retrieval(second, tiny_backbone)
    assert len(data.train) + len(data.val) + len(data.test) == 23
    assert len(data.val)
    assert len(data.test)
    paths = [[record.path for record in part.test.features.records] for part in (data, other)]
    assert paths[0] == paths[1]  # whatever the seed, all are measured on the same videos
    assert {r.path for r in data.val.features.records} != {r.path for r in other.val.features.records}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('{"video": "gone.mp4", "caption": "a"}\n{"video": "gone2.mp4", "caption": "b"}\n', "every video must have a"),
        ('{"video": "a.mp4", "caption": "a", "split": "test"}\n', "at least 2 videos to train on, found 0 among 1"),
    ],
)
def test_captions_without_use_are_one_line(make_config, tiny_backbone, tmp_path, lines, said):
    path = tmp_path / "captions.jsonl"
    path.write_text(lines)
    changes = {"data": {"source": str(path), "val_fraction": 0}, "retrieval": {"test_fraction": 0}}
    with pytest.raises(DatasetError, match=said):
        prepare_retrieval(make_config(tmp_path / "run", **changes), tiny_backbone)


def test_table_has_frozen_and_trained_rows_with_spread_and_repeats_itself(make_config, tiny_backbone, tmp_path):
    config = make_config(tmp_path / "table", train={"iterations": 3})
    options = RetrievalTableOptions(seeds=(0, 1), rows=("A3", "A5"))
    made = run_retrieval_table(config, options=options, backbone=tiny_backbone)
    first = (config.out / "table.json").read_bytes()
    assert [row["method"] for row in made["rows"]] == [FROZEN, "A3", "A5"]
    frozen, prompts, timed = (row["measures"] for row in made["rows"])
    assert frozen["t2v/R1"]["std"] == 0
    assert timed["t2v/R1"]["n"] == 2
    assert timed["t2v/MdR"]["unit"] == "rank"
    assert timed["t2v/MdR"]["ci95_items"] is None
    for name in ("t2v/R1", "order and direction/v2t/R5"):
        low, high = frozen[name]["ci95_items"]
        assert 0 <= low <= frozen[name]["mean"] <= high <= 1
    assert "unit" not in timed["t2v/R1"]
    assert {"order and direction/t2v/R1", "other motions/v2t/R1"} <= set(prompts)
    assert made["rows"][1]["config"]["model"]["temporal_layers"] == 0
    run_retrieval_table(config, options=options, backbone=tiny_backbone)
    assert (config.out / "table.json").read_bytes() == first


def test_rows_keep_what_the_run_asks_for_and_change_their_variant_alone(make_config, tmp_path):
    config = make_config(tmp_path / "table", retrieval={"symmetric": True})
    row = row_config(config, "A4", 7)
    assert (row.seed, row.model.n_prefix, row.model.temporal_layers) == (7, 16, 1)
    assert row.model.num_frames == 8
    assert row.retrieval.symmetric
    assert row.train == config.train
    assert row_config(config, "robust", 0).blend.handcrafted_weights


def test_printed_tables_tell_both_directions(trained, capsys):
    print_results(trained[1].results)
    told = capsys.readouterr().out
    for words in ("text to video: test, 8 videos, 8 captions", "video to text", "frozen CLIP", "order and direction"):
        assert words in told


def test_verbs_train_and_evaluate(make_config, tmp_path):
    import yaml

    config = make_config(tmp_path / "run", train={"iterations": 2})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    runner = CliRunner()
    made = runner.invoke(app, ["train", "retrieval", "--config", str(path), "--json"])
    assert made.exit_code == 0, made.stderr
    assert json.loads(made.stdout)["protocol"]["task"] == "retrieval"
    again = runner.invoke(app, ["evaluate", str(tmp_path / "run" / "adapter"), "--json"])
    assert json.loads(again.stdout) == json.loads(made.stdout)
    wrong = runner.invoke(app, ["train", "recognition", "--config", str(path)])
    assert wrong.exit_code == 2
    assert "is of task retrieval" in wrong.stderr


def test_keys_of_another_task_are_refused(make_config, tmp_path):
    import yaml

    values = {"out": str(tmp_path / "run"), "data": {"source": "videos"}, "retrieval": {"symmetric": True}}
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values))
    result = CliRunner().invoke(app, ["train", "recognition", "--config", str(path)])
    assert result.exit_code == 2
    assert "has keys of retrieval, which recognition does not read" in result.stderr


def test_a_retrieval_adapter_classifies_by_any_labels_given(trained, tiny_backbone, world):
    predictor = framecue.load(trained[1].adapter, backbone=tiny_backbone)
    video = next((world / "videos" / "test").rglob("*.mp4"))
    answer = predictor.classify(video, ["a shape growing", "a shape shrinking"])
    assert sum(answer.scores) == pytest.approx(1, abs=1e-5)
    with pytest.raises(framecue.FramecueError, match="give labels"):
        predictor.classify(video)


def test_reproduce_prints_the_table_of_a_config(make_config, tmp_path):
    import yaml

    config = make_config(tmp_path / "run", train={"iterations": 2})
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True)))
    words = [
        "reproduce",
        "retrieval",
        "--config",
        str(path),
        "--seeds",
        "0",
        "--rows",
        "A3",
        "--out",
        str(tmp_path / "t"),
    ]
    made = CliRunner().invoke(app, [*words, "--format", "markdown"])
    assert made.exit_code == 0, made.stderr
    about = "| R@1 t2v / v2t, captions about | motions never trained on | order and direction | other motions |"
    assert about in made.stdout
    for words in ("| method | t2v R@1 | t2v R@5 |", "| frozen CLIP |", "| A3 |", "No published figure is known"):
        assert words in made.stdout
    page = (tmp_path / "t" / "table.html").read_text()
    assert "Text-video retrieval" in page
    assert {path.name for path in (tmp_path / "t").glob("table.*")} == {"table.json", "table.md", "table.html"}


def test_a_wrong_path_is_told_before_a_model_is_fetched(tmp_path):
    values = {"task": "retrieval", "out": str(tmp_path / "run"), "data": {"source": str(tmp_path / "gone.json")}}
    config = RunConfig.model_validate(values | {"backbone": {"id": str(tmp_path / "no_backbone")}})
    for run in (train_retrieval, run_retrieval_table):
        with pytest.raises(DatasetError, match=r"gone\.json"):
            run(config)
