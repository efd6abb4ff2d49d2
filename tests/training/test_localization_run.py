"""Whole localization runs on a very small rendered world: resumed, measured again, used on files, fed from outside."""

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
from framecue.datasets.world.untrimmed import write_untrimmed
from framecue.errors import CheckpointError, DatasetError
from framecue.models.adapter import load_whole_adapter, read_card
from framecue.models.builders import build_localization
from framecue.tasks.localization_data import prepare_localization
from framecue.tasks.localization_evaluation import LEAST_SCORE, Outside, detect, trained_localizer
from framecue.training.evaluate import evaluate_adapter
from framecue.training.localization import train_localization
from framecue.training.recognition import RunProgress

CLASSES = ("growing", "moving left", "moving right")
ROWS = {
    "A",
    "own proposals, true names",
    "true segments, A",
    "own proposals, B-I",
    "true segments, B-I",
    "training-free, B-I",
    "own proposals, B-II",
    "true segments, B-II",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    counts = {"train": 6, "val": 3, "test": 3}
    write_untrimmed(folder, seed=3, classes=CLASSES, num_videos=counts, workers=0)
    return folder


@pytest.fixture(scope="module")
def make_config(world, tmp_path_factory):
    """A config of the world with changes, `train={...}` for a section; all runs share a store."""
    store = tmp_path_factory.mktemp("store") / "features.lance"

    def make(out, *, seed=0, **sections) -> RunConfig:
        values = {
            "data": {"source": str(world)},
            "backbone": {"id": "tiny", "device": "cpu"},
            "features": {"sampling": "fps:4", "dtype": "float32", "store": str(store)},
            "model": {"n_prefix": 2, "n_suffix": 2, "temporal_layers": 1, "num_frames": 8},
            "train": {"iterations": 9, "batch_size": 6, "lr": 0.002, "validate_every": 3, "save_every": 2},
            "localization": {
                "val_subset": "validation",
                "test_subset": "testing",
                "window": 64,
                "width": 16,
                "levels": 4,
                "windows_per_step": 3,
                "max_proposals": 30,
                "max_segments": 40,
                "dropout": 0.3,
            },
            "evaluate": {"templates": ["{}"]},
        }
        for name, changes in sections.items():
            values[name] = {**values.get(name, {}), **changes}
        return RunConfig.model_validate({"task": "localization", "out": str(out), "seed": seed, **values})

    return make


@pytest.fixture(scope="module")
def trained(make_config, tiny_backbone, tmp_path_factory):
    """Config and outcome of a finished run, with the bytes of the backbone before it."""
    before = {name: tensor.clone() for name, tensor in tiny_backbone.model.state_dict().items()}
    config = make_config(tmp_path_factory.mktemp("run"))
    return config, train_localization(config, backbone=tiny_backbone), before


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "adapter" / "adapter.safetensors")


def same_tensors(first: Path, second: Path) -> bool:
    one, other = tensors(first), tensors(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def figures(results, part):
    """Average mAP of each row."""
    return {name.replace(results["method"], "A"): row["average_map"] for name, row in results[part].items()}


def test_what_a_run_leaves(trained):
    config, result, _ = trained
    stored = json.loads((config.out / "results.json").read_text())
    assert stored == result.results
    assert figures(stored, "test").keys() == ROWS
    assert all(0 <= value <= 1 for value in figures(stored, "test").values())
    # True segments are all found: what they lose, names lose. A perfect namer loses nothing that ours does not.
    assert figures(stored, "test")["true segments, A"] > figures(stored, "test")["A"]
    assert figures(stored, "test")["own proposals, true names"] >= figures(stored, "test")["A"]
    assert stored["protocol"]["setting"] == "closed-set"
    assert stored["protocol"]["external_scores"] == "none"
    assert stored["protocol"]["proposals"] == "own"
    assert stored["notes"] == []
    assert stored["test"][stored["method"]]["num_videos"] == 3
    card = read_card(result.adapter)
    assert (card.task, card.class_names) == ("localization", CLASSES)
    assert card.fusion_weight == stored["fusion_weight"] == stored["fusion"]["weight"]
    assert card.min_score == (stored["reporting"] or {}).get("min_score")


def test_the_backbone_is_not_touched_and_not_stored(trained, tiny_backbone):
    config, _, before = trained
    after = tiny_backbone.model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    fresh = build_localization(config.model, config.localization, tiny_backbone, seed=0).state_dict()
    saved = tensors(config.out)
    assert saved.keys() == fresh.keys()
    still = {name for name in saved if torch.equal(saved[name], fresh[name])}
    # A bias before a softmax over time, of keys, changes nothing and so does not move; all else does.
    assert {name for name in still if "in_proj_bias" not in name} == set()


def test_evaluate_twice_gives_the_same_bytes_as_the_run(trained, tiny_backbone):
    config, result, _ = trained
    first, second = (evaluate_adapter(result.adapter).results for _ in range(2))
    assert json.dumps(first) == json.dumps(second) == json.dumps(result.results)
    assert list(first) == list(json.loads((config.out / "results.json").read_text()))


def test_interrupted_and_resumed_equals_uninterrupted(trained, make_config, tiny_backbone, tmp_path):
    """Bit for bit, whatever else draws from torch's generator between; dropout is on."""
    config, result, _ = trained

    def interrupt(done, steps, numbers):
        torch.rand(3)
        if done == 4:
            os.kill(os.getpid(), signal.SIGINT)

    again = make_config(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train_localization(again, backbone=tiny_backbone, progress=RunProgress(step=interrupt))
    assert not (again.out / "adapter").exists()
    torch.manual_seed(99)
    steps = []
    resumed = train_localization(
        again, backbone=tiny_backbone, progress=RunProgress(step=lambda done, *_: steps.append(done))
    )
    assert steps == [5, 6, 7, 8, 9]
    assert same_tensors(again.out, config.out)
    assert json.dumps(resumed.results) == json.dumps(result.results)


def test_another_seed_is_another_run(trained, make_config, tiny_backbone, tmp_path):
    train_localization(make_config(tmp_path, seed=1), backbone=tiny_backbone)
    assert not same_tensors(tmp_path, trained[0].out)


def test_only_what_decides_the_weights_asks_for_another_folder(trained, make_config, tiny_backbone, tmp_path):
    config, _, _ = trained
    shutil.copytree(config.out, tmp_path / "run")
    steps = []
    measured = train_localization(
        make_config(tmp_path / "run", localization={"test_subset": None, "fusion_weights": [0.5]}),
        backbone=tiny_backbone,
        progress=RunProgress(step=lambda done, *_: steps.append(done)),
    )
    assert steps == []
    assert same_tensors(tmp_path / "run", config.out)
    assert measured.results["protocol"]["part"] == "val"
    assert measured.results["protocol"]["part_chose_the_weights"] is True
    for change in ({"first_range": 3.0}, {"jitter": 0.3}, {"nms_sigma": 0.4}):
        with pytest.raises(CheckpointError, match="holds a run of another config or other data"):
            train_localization(make_config(tmp_path / "run", localization=change), backbone=tiny_backbone)


def test_a_file_gives_what_evaluation_found_in_its_stored_features(trained, tiny_backbone):
    """Features are stored as float32 here. A file is encoded in other batches than the store was filled in."""
    config, result, _ = trained
    data = prepare_localization(config, tiny_backbone)
    card = read_card(result.adapter)
    model = load_whole_adapter(result.adapter, tiny_backbone, card)
    parts = trained_localizer(
        model,
        config.localization,
        card.class_names,
        num_frames=config.model.num_frames,
        sampling=config.features.sampling,
        fusion_weight=card.fusion_weight,
    )
    found = detect(data.test, Outside().localizers(parts), config.localization)
    predictor = framecue.load(result.adapter, backbone=tiny_backbone)
    for video in data.test.videos:
        answer = predictor.localize(video.path, min_score=LEAST_SCORE, max_segments=config.localization.max_segments)
        assert answer.duration_seconds == pytest.approx(video.duration_seconds)
        expected = found[video.video_id]
        assert len(expected) == 40
        assert [segment.label for segment in answer.segments] == [segment.label for segment in expected]
        for one, other in zip(answer.segments, expected, strict=True):
            assert (one.start_seconds, one.end_seconds) == pytest.approx(
                (other.start_seconds, other.end_seconds), abs=1e-5
            )
            assert one.score == pytest.approx(other.score, abs=1e-6)


def test_a_loaded_adapter_shows_what_is_sure_enough(trained, world, tiny_backbone):
    result = trained[1]
    predictor = framecue.load(result.adapter, backbone=tiny_backbone)
    video = sorted((world / "test").iterdir())[0]
    some, every = predictor.localize(video), predictor.localize(video, min_score=0)
    least = read_card(result.adapter).min_score or 0.0
    assert len(some.segments) < len(every.segments)
    assert all(segment.score > least for segment in some.segments)
    assert predictor.class_names == CLASSES
    others = predictor.localize(video, ["growing", "a cat"], min_score=0)
    assert {segment.label for segment in others.segments} <= {"growing", "a cat"}


def write_proposals(world, path, *, scores=(1.0, 0.4)):
    """The true segments of all videos and a wrong one each, in ActivityNet's form."""
    truth = json.loads((world / "ground_truth.json").read_text())["database"]
    results = {
        name: [
            *({"segment": part["segment"], "score": scores[0]} for part in video["annotations"]),
            {"segment": [0.0, 0.3], "score": scores[1]},
        ]
        for name, video in truth.items()
    }
    path.write_text(json.dumps({"version": "1", "results": results, "external_data": {}}))
    return results


def test_a_run_without_videos_to_measure_on_says_so(make_config, tiny_backbone, tmp_path, capsys):
    config = make_config(tmp_path, data={"val_fraction": 0}, localization={"val_subset": None, "test_subset": None})
    notes = []
    result = train_localization(config, backbone=tiny_backbone, progress=RunProgress(note=notes.append))
    assert not any("on val" in line for line in notes)
    print_results(result.results)
    printed = capsys.readouterr().out
    assert "Nothing was measured on trained names: neither a test nor a validation video shows one." in printed
    assert "flatter" not in printed


def test_proposals_of_others(world, make_config, tiny_backbone, tmp_path):
    given = write_proposals(world, tmp_path / "proposals.json", scores=(30.0, 12.0))
    config = make_config(
        tmp_path / "run",
        localization={"proposals": str(tmp_path / "proposals.json"), "nms_sigma": 0.5, "max_segments": 200},
    )
    result = train_localization(config, backbone=tiny_backbone)
    results = result.results
    assert results["protocol"]["proposals"] == str(tmp_path / "proposals.json")
    assert any("scores reach from 12 to 30, and were mapped to 0 to 1" in line for line in results["notes"])
    assert not any(name.startswith("proposals") for name in tensors(config.out))
    test_names = [name for name in given if "_test_" in name]
    measured = results["test"][results["method"]]
    assert measured["num_found"] <= len(CLASSES) * sum(len(given[name]) for name in test_names)
    assert list(measured["average_recall_at"].values())[-1] == pytest.approx(1)
    perfect = figures(results, "test")["own proposals, true names"]
    assert perfect == pytest.approx(1)
    assert json.dumps(evaluate_adapter(result.adapter).results) == json.dumps(results)
    answer = framecue.load(result.adapter, backbone=tiny_backbone).localize(
        sorted((world / "test").iterdir())[0], min_score=0
    )
    assert answer.segments, "a file without proposals is looked through by cues"


def test_proposals_file_that_is_not_there_or_lacks_videos(world, make_config, tiny_backbone, tmp_path):
    config = make_config(tmp_path / "run", localization={"proposals": str(tmp_path / "no.json")})
    with pytest.raises(DatasetError, match=r"no\.json"):
        train_localization(config, backbone=tiny_backbone)
    (tmp_path / "few.json").write_text(json.dumps({"results": {"unknown": [{"segment": [0, 1], "score": 0.5}]}}))
    config = make_config(tmp_path / "few", localization={"proposals": str(tmp_path / "few.json")})
    results = train_localization(config, backbone=tiny_backbone).results
    assert any("few.json: no proposals for 12 of 12 videos (" in line for line in results["notes"])
    assert results["test"][results["method"]]["num_found"] == 0
    assert results["reporting"] is None


def test_scores_of_others_are_fused_and_train_nothing(trained, world, make_config, tiny_backbone, tmp_path):
    """Somebody who knows which one class each video is to show: the rest gets nothing."""
    config, _, _ = trained
    names = list(json.loads((world / "ground_truth.json").read_text())["database"])
    path = tmp_path / "scores.json"
    path.write_text(json.dumps({"class": list(CLASSES), "results": {name: [1.0, 0.0, 0.0] for name in names[:-1]}}))
    fused = make_config(tmp_path / "run", localization={"external_scores": str(path)})
    results = train_localization(fused, backbone=tiny_backbone).results
    assert same_tensors(fused.out, config.out)
    assert results["protocol"]["external_scores"] == str(path)
    assert f"{path}: no class scores for 1 of 12 videos ({names[-1]})." in results["notes"]
    row = results["test"][results["method"]]["per_class"]
    plain = json.loads((config.out / "results.json").read_text())["test"][results["method"]]["per_class"]
    assert row["growing"] > 0
    assert row["moving left"] < plain["moving left"]
    path.write_text(json.dumps({"class": list(CLASSES), "results": {name: [-1.0, 0.2, 0.1] for name in names}}))
    with pytest.raises(DatasetError, match=r"scores\.json: class scores must not be negative .* found -1"):
        train_localization(make_config(tmp_path / "bad", localization=fused.localization.model_dump(mode="json")))
    path.write_text(json.dumps({"class": ["growing"], "results": {name: [1.0] for name in names}}))
    with pytest.raises(DatasetError, match="no class 'moving left'"):
        train_localization(make_config(tmp_path / "bad", localization=fused.localization.model_dump(mode="json")))


@pytest.mark.parametrize("part", ["proposals", "classifier"])
def test_one_stage_alone(part, world, make_config, tiny_backbone, tmp_path):
    """What is not trained is not there, or as it was; the adapter works all the same."""
    config = make_config(tmp_path, localization={"train_parts": [part]})
    result = train_localization(config, backbone=tiny_backbone)
    fresh = build_localization(config.model, config.localization, tiny_backbone, seed=0).state_dict()
    saved = tensors(tmp_path)
    moved = {name.split(".")[0] for name in saved if not torch.equal(saved[name], fresh[name])}
    assert moved == {part}
    if part == "proposals":
        rows = figures(result.results, "test")
        assert result.results["method"] == "B-I"
        assert rows["A"] == rows["own proposals, A"]
    assert json.dumps(evaluate_adapter(result.adapter).results) == json.dumps(result.results)
    predictor = framecue.load(result.adapter, backbone=tiny_backbone)
    assert predictor.localize(sorted((world / "test").iterdir())[0], min_score=0).segments


def with_held_out(world, folder, change):
    """The same videos with segments of two more names in their background; `change` may alter their entries."""
    truth = json.loads((world / "ground_truth.json").read_text())
    for number, video in enumerate(truth["database"].values()):
        label = ("flying", "diving")[number % 2]
        video["annotations"].append({"segment": [0.0, 0.6], "label": label})
        if video["subset"] == "validation":
            video["annotations"].pop()
        change(video)
    path = folder / "truth.json"
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(truth))
    return {"annotations": str(path), "held_out": ["flying", "diving"]}


def swap_labels(video):
    """Other labels of held-out segments wherever they are, and everything else in test videos."""
    other = {"flying": "diving", "diving": "flying", "growing": "moving left", "moving left": "growing"}
    for part in video["annotations"]:
        if part["label"] in ("flying", "diving") or video["subset"] == "testing":
            part["label"] = other.get(part["label"], part["label"])
        if video["subset"] == "testing":
            part["segment"] = [part["segment"][0] + 0.2, part["segment"][1] + 0.4]


def move_segments(video):
    swap_labels(video)
    for part in video["annotations"]:
        if part["label"] in ("flying", "diving"):
            part["segment"] = [0.3, 1.7]


@pytest.mark.parametrize(
    ("parts", "change"), [(["proposals", "classifier"], swap_labels), (["classifier"], move_segments)]
)
def test_held_out_names_and_test_videos_choose_nothing(parts, change, world, make_config, tiny_backbone, tmp_path):
    """Where held-out segments lie says what the proposals' loss passes over, and no more; their names say nothing."""
    chosen = []
    for name, changed in (("before", lambda video: None), ("after", change)):
        out = tmp_path / name
        config = make_config(out / "run", data=with_held_out(world, out, changed), localization={"train_parts": parts})
        results = train_localization(config, backbone=tiny_backbone).results
        assert results["protocol"]["classes_seen_in_training"] == list(CLASSES)
        assert results["protocol"]["held_out_classes"] == ["diving", "flying"]
        assert results["protocol"]["setting"] == "open-set"
        assert results["novel"][results["method"]]["num_segments"] == 3
        assert "Segments of other names in training videos, neither action nor background: 6." in results["notes"]
        card = read_card(out / "run" / "adapter")
        kept = ("selected", "blend", "fusion", "reporting", "rejection", "fusion_weight")
        chosen.append([card.min_score, card.fusion_weight, card.rejection, *(results[key] for key in kept)])
        chosen[-1].append(results["test"])
    assert same_tensors(tmp_path / "before" / "run", tmp_path / "after" / "run")
    assert chosen[0][:-1] == chosen[1][:-1]
    assert chosen[0][-1] != chosen[1][-1]


def test_data_that_changed_since_is_refused(trained, world, make_config, tiny_backbone, tmp_path):
    data = {"annotations": with_held_out(world, tmp_path / "data", lambda video: None)["annotations"]}
    shutil.copytree(trained[1].adapter, tmp_path / "adapter")
    card = json.loads((tmp_path / "adapter" / "adapter.json").read_text())
    card["config"]["data"] |= data
    (tmp_path / "adapter" / "adapter.json").write_text(json.dumps(card))
    with pytest.raises(DatasetError, match=r"none of the 3 videos that were held out .* Annotated in another way"):
        evaluate_adapter(tmp_path / "adapter")


def test_configs_of_the_wrong_task_are_one_clear_line(world, tmp_path):
    def refusal(task, text):
        path = tmp_path / "run.yaml"
        path.write_text(f"{text}\nout: {tmp_path / 'out'}\nbackbone: {{id: tiny, device: cpu}}\n")
        done = CliRunner().invoke(app, ["train", task, "--config", str(path)])
        assert done.exit_code in (1, 2), done.output
        assert isinstance(done.exception, SystemExit), done.exception
        return done.stderr.strip().splitlines()[-1]

    source = f"data: {{source: {world}}}"
    assert "say `framecue train localization`" in refusal("recognition", f"task: localization\n{source}")
    assert "say `framecue train recognition`" in refusal("localization", f"task: recognition\n{source}")
    line = refusal("recognition", f"{source}\nlocalization: {{window: 64}}")
    assert "has keys of localization, which recognition does not read; say `framecue train localization`" in line
    (tmp_path / "clips").mkdir()
    line = refusal("localization", f"data: {{source: {tmp_path / 'clips'}}}")
    assert "ground_truth.json must be the ground truth of localization, found nothing there" in line
    assert "localization.windw" in refusal("localization", f"{source}\nlocalization: {{windw: 64}}")


def test_an_adapter_of_names_by_templates_needs_them(make_config, tiny_backbone, tmp_path):
    config = make_config(tmp_path, localization={"train_parts": ["proposals"]}, train={"iterations": 1})
    folder = train_localization(config, backbone=tiny_backbone).adapter
    card = json.loads((folder / "adapter.json").read_text())
    assert card["templates"] == ["{}"]
    card["templates"] = []
    (folder / "adapter.json").write_text(json.dumps(card))
    with pytest.raises(framecue.errors.AdapterError, match=r"must name templates .* no classifier was trained"):
        framecue.load(folder, backbone=tiny_backbone)
