"""preset=robust and "none of these" through the real command line, on videos that are not of any trained class."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

import framecue
from framecue.cli.main import app
from framecue.datasets.world import write_world
from framecue.models.adapter import CARD, TENSORS
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.rejection import RejectionRule

pytestmark = pytest.mark.recipe

KNOWN = ("moving right", "moving left", "growing", "shrinking")
UNKNOWN = "colliding"  # two shapes: on validation the four motions tell each other apart, and on test this one
METHOD = "4+X+4, 2 temporal layers robust"
CONFIG = """
preset: robust
data: {source: SOURCE, held_out: [colliding]}
backbone: {id: tiny, device: cpu}
model: {preset: A5, n_prefix: 4, n_suffix: 4}
train: {iterations: 300, batch_size: 32, lr: 0.002, validate_every: 50, save_every: 1000}
evaluate: {views: 2}
out: OUT
"""
SHORT = ["model.preset=A3", "model.n_prefix=4", "train.iterations=20", "train.validate_every=10"]


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    counts = {"train": 24, "val": 8, "test": 6}
    write_world(folder, seed=3, classes=(*KNOWN, UNKNOWN), videos_per_class=counts, workers=0)
    return folder


@pytest.fixture(scope="module")
def config(world, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(CONFIG.replace("SOURCE", str(world)).replace("OUT", str(path.parent / "run")))
    return path


@pytest.fixture(scope="module")
def trained(config) -> Path:
    """Folder of a finished run."""
    done = run("train", "recognition", "--config", config)
    assert done.exit_code == 0, done.output
    return config.parent / "run"


@pytest.fixture
def train(trained, config, tmp_path):
    """Another run on the features that are there; gives its folder."""

    def train(name, *overrides):
        words = [f"out={tmp_path / name}", f"features.store={trained / 'features.lance'}", *overrides]
        done = run("train", "recognition", "--config", config, *words)
        assert done.exit_code == 0, done.output
        return tmp_path / name

    return train


def changed_rule(trained: Path, folder: Path, **changes: object) -> Path:
    """A copy of the adapter whose rule is another."""
    shutil.copytree(trained / "adapter", folder)
    card = json.loads((folder / CARD).read_text())
    card["rejection"] |= changes
    (folder / CARD).write_text(json.dumps(card))
    return folder


def videos_of(world: Path, *names: str) -> list[Path]:
    return [path for name in names for path in sorted((world / "test" / name).iterdir())]


def test_the_card_holds_the_rule_and_the_results_measure_it(trained):
    results = json.loads((trained / "results.json").read_text())
    card = json.loads((trained / "adapter" / CARD).read_text())
    rule = RejectionRule.from_json(card["rejection"])
    assert rule.is_usable
    assert (rule.num_names, rule.num_val) == (4, 32)
    measured = results["rejection"]
    assert measured["rule"] == card["rejection"]
    assert (measured["num_known"], measured["num_unknown"]) == (24, 6)
    assert measured["auroc"][rule.score] == measured["auroc_chosen"] > 0.9
    assert measured["kept_known"] >= 0.8
    assert measured["false_accept_rate"] < 0.5
    assert set(results["test"]) == {METHOD, "B-I", "B-II"}


def test_the_card_holds_the_chosen_blend(trained):
    results = json.loads((trained / "results.json").read_text())
    card = json.loads((trained / "adapter" / CARD).read_text())
    blend = results["blend"]
    assert len(blend["candidates"]) == 3
    best = max(row["val_top1"] for row in blend["candidates"])
    assert best - np.sqrt(best * (1 - best) / 32) - 1e-9 <= blend["val_top1"] <= best
    assert card["model"]["temporal_weight"] == blend["chosen"]["temporal"]
    assert card["model"]["handcrafted_weight"] == blend["chosen"]["handcrafted"]
    assert (card["templates"] != []) == (blend["chosen"]["handcrafted"] > 0)
    assert card["metrics"] == results


def test_another_class_is_none_of_these_and_most_known_videos_are_not(trained, world):
    adapter = ["--adapter", trained / "adapter"]
    unknown = run("classify", *videos_of(world, UNKNOWN), *adapter, "--json")
    assert unknown.exit_code == 0, unknown.output
    assert sum(answer["none_of_these"] for answer in json.loads(unknown.stdout)) >= 4
    known = json.loads(run("classify", *videos_of(world, *KNOWN), *adapter, "--json").stdout)
    assert sum(answer["none_of_these"] for answer in known) <= 4
    assert len(known) == 24


def test_it_is_printed_beside_the_file(trained, world):
    files = [*videos_of(world, UNKNOWN), *videos_of(world, "moving right")]
    words = ["classify", *files, "--adapter", trained / "adapter"]
    found = {answer["video"]: answer["none_of_these"] for answer in json.loads(run(*words, "--json").stdout)}
    printed = run(*words, "--top-k", 1)
    lines = printed.stdout.splitlines()
    assert lines[::2] == [f"{path}: none of these" if found[str(path)] else str(path) for path in files]
    assert len(set(found.values())) == 2
    for path, line in zip(files, lines[1::2], strict=True):  # never beside a percentage
        assert ("%" in line) is not found[str(path)]
    said = "percentages: calibrated on 32 validation videos, which also chose the weights\n"
    assert printed.stderr.endswith(said)
    assert printed.stderr.count("percentages:") == 1


def test_too_few_validation_videos_are_said_before_the_first_step_and_beside_every_percentage(train, world, config):
    """On 4 clips the temperature was 0.05, and a wrong answer had 100.0 %."""
    words = [f"out={config.parent / 'few'}", "data.val_fraction=0.04", "data.classes=[growing,shrinking]"]
    source = config.parent / "few-videos"
    for name in ("growing", "shrinking"):
        (source / name).mkdir(parents=True)
        for path in (world / "train" / name).iterdir():
            (source / name / path.name).symlink_to(path)
    done = run("train", "recognition", "--config", config, *words, f"data.source={source}", "data.held_out=[]", *SHORT)
    assert done.exit_code == 0, done.output
    results = json.loads((config.parent / "few" / "results.json").read_text())
    num_val = results["protocol"]["num_val_videos"]
    assert 0 < num_val < 20
    note = f"not calibrated: {num_val} validation videos, 20 needed"
    assert f"Scores will be {note}; nothing will be rejected." in done.stderr
    assert f"percentages: {note}." in done.stdout
    assert results["calibration"]["note"] == note
    assert "rejection" not in results
    adapter = config.parent / "few" / "adapter"
    assert run("classify", world / "test" / "growing", "--adapter", adapter).stderr.endswith(f"percentages: {note}\n")
    answers = json.loads(run("classify", world / "test" / "growing", "--adapter", adapter, "--json").stdout)
    assert {answer["calibration"] for answer in answers} == {note}


def test_other_labels_are_never_rejected(trained, world):
    videos = videos_of(world, UNKNOWN)
    for labels in ("a cat, a dog", "growing, shrinking", ", ".join([*KNOWN, UNKNOWN])):
        done = run("classify", *videos, "--adapter", trained / "adapter", "--labels", labels, "--json")
        assert not any(answer["none_of_these"] for answer in json.loads(done.stdout))
    same = run("classify", *videos, "--adapter", trained / "adapter", "--labels", ", ".join(KNOWN), "--json")
    assert any(answer["none_of_these"] for answer in json.loads(same.stdout))


def test_a_rule_that_could_not_tell_never_rejects(trained, world, tmp_path):
    adapter = changed_rule(trained, tmp_path / "adapter", val_auroc=0.69)
    done = run("classify", *videos_of(world, UNKNOWN), "--adapter", adapter, "--json")
    assert not any(answer["none_of_these"] for answer in json.loads(done.stdout))
    assert "none of these" not in run("classify", *videos_of(world, UNKNOWN), "--adapter", adapter).stdout


@pytest.mark.parametrize("command", ["classify", "evaluate"])
def test_a_damaged_rule_is_one_line(trained, world, tmp_path, command):
    adapter = changed_rule(trained, tmp_path / "adapter", temperature=0.05)
    words = ["classify", videos_of(world, UNKNOWN)[0], "--adapter"] if command == "classify" else ["evaluate"]
    done = run(*words, adapter)
    assert done.exit_code == 1
    assert isinstance(done.exception, SystemExit), done.exception
    line = done.stderr.strip().splitlines()[-1]
    assert line.startswith("framecue: error: The adapter's adapter.json is not valid at rejection: ")
    assert "temperature" in line


def test_evaluate_twice_gives_the_same_bytes(trained):
    first, second = (run("evaluate", trained / "adapter", "--json") for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == second.stdout
    assert json.loads(first.stdout) == json.loads((trained / "results.json").read_text())


def test_trained_twice_gives_the_same_results(train):
    one, other = (train(name, "train.iterations=40", "train.ema_decay=0.9") for name in ("one", "other"))
    assert (one / "results.json").read_bytes() == (other / "results.json").read_bytes()
    assert (one / "adapter" / TENSORS).read_bytes() == (other / "adapter" / TENSORS).read_bytes()


def test_without_held_out_classes_nothing_unknown_is_measured(train):
    out = train("seen", "data.held_out=[]", *SHORT)
    measured = json.loads((out / "results.json").read_text())["rejection"]
    assert (measured["auroc"], measured["auroc_chosen"], measured["num_unknown"]) == ({}, None, 0)
    assert measured["num_known"] == 30


def test_descriptions_travel_with_the_adapter(train, world, tmp_path):
    """Once the file is gone, the loaded adapter still embeds by it; where no frozen text is kept, none is saved."""
    path = tmp_path / "texts.json"
    texts = {"growing": ["a shape gets bigger", "its edges move outwards"], UNKNOWN: ["two shapes meet"]}
    path.write_text(json.dumps(texts))
    words = [f"data.descriptions={path}", "blend.handcrafted_weights=[]", "blend.temporal_weights=[]", *SHORT]
    mixed, learned = (train(f"w{weight}", f"model.handcrafted_weight={weight}", *words) for weight in (0.5, 0))
    plain = train("plain", "model.handcrafted_weight=0.5", *words[1:])
    path.unlink()
    card = json.loads((mixed / "adapter" / CARD).read_text())
    assert card["descriptions"] == texts
    names = [*KNOWN, UNKNOWN, "something new"]
    predictor = framecue.load(mixed / "adapter", device="cpu")
    model = predictor.model
    slots = model.slots(names)
    frozen = Handcrafted(predictor.backbone, card["templates"], texts)(names)
    with torch.no_grad():
        trained_text = torch.nn.functional.normalize(model.embed_learned_text(slots), dim=-1)
    expected = torch.nn.functional.normalize((trained_text + frozen) / 2, dim=-1)
    np.testing.assert_allclose(predictor.embed_text(names), expected.numpy(), atol=1e-6)
    assert np.array_equal(predictor.embed_text(names), framecue.load(mixed / "adapter", device="cpu").embed_text(names))
    assert not np.allclose(
        predictor.embed_text(["growing"]), framecue.load(plain / "adapter", device="cpu").embed_text(["growing"])
    )
    bare = json.loads((learned / "adapter" / CARD).read_text())
    assert (bare["templates"], bare["descriptions"]) == ([], {})
    assert framecue.load(learned / "adapter", device="cpu").classify(videos_of(world, UNKNOWN)[0]).labels
    assert load_file(mixed / "adapter" / TENSORS).keys() == load_file(learned / "adapter" / TENSORS).keys()


def test_bad_descriptions_are_one_line(trained, config, tmp_path):
    (tmp_path / "texts.txt").write_text("growing: bigger\ngrowng: bigger\n")
    words = [f"out={tmp_path / 'run'}", f"features.store={trained / 'features.lance'}"]
    done = run("train", "recognition", "--config", config, *words, f"data.descriptions={tmp_path / 'texts.txt'}")
    assert done.exit_code == 1
    line = done.stderr.strip().splitlines()[-1]
    assert f"{tmp_path / 'texts.txt'}:2: no class 'growng' in the data; did you mean 'growing'?" in line
