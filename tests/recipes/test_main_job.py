"""The main job through the real command line: train, evaluate, classify, interrupt and resume, and every bad input."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner, Result

from framecue.cli.main import app
from framecue.config import load_config
from framecue.datasets.world import write_world
from framecue.training.log import read_log

pytestmark = pytest.mark.recipe

CLASSES = ("growing", "shrinking", "moving left", "moving right")
CONFIG = """
task: recognition
data: {source: SOURCE, held_out: [moving left]}
backbone: {id: tiny, device: cpu}
model: {preset: A5, n_prefix: 4, n_suffix: 4}
train: {iterations: 12, batch_size: 6, lr: 0.001, validate_every: 4, save_every: 3, log_every: 1}
evaluate: {views: 2}
out: OUT
"""


def framecue(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    counts = {"train": 6, "val": 2, "test": 2}
    write_world(folder, seed=3, classes=CLASSES, videos_per_class=counts, workers=0)
    return folder


@pytest.fixture(scope="module")
def config(world, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("config") / "run.yaml"
    path.write_text(CONFIG.replace("SOURCE", str(world)).replace("OUT", str(path.parent / "run")))
    return path


@pytest.fixture(scope="module")
def trained(config) -> Path:
    """Folder of a finished run."""
    done = framecue("train", "recognition", "--config", config)
    assert done.exit_code == 0, done.output
    return config.parent / "run"


def test_train_leaves_a_whole_run(trained):
    results = json.loads((trained / "results.json").read_text())
    assert set(results["test"]) == {"4+X+4, 2 temporal layers", "B-I", "B-II"}
    assert set(results["novel"]) == {"4+X+4, 2 temporal layers", "B-I"}
    assert results["protocol"]["held_out_classes"] == ["moving left"]
    assert results["protocol"]["classes_seen_in_training"] == ["growing", "moving right", "shrinking"]
    assert results["protocol"]["part"] == "test"
    assert results["test"]["B-I"]["num_videos"] == 6
    assert results["novel"]["B-I"]["num_videos"] == 2
    assert [line["iteration"] for line in read_log(trained)] == list(range(1, 13))
    resolved = load_config(trained / "config.yaml")
    card = json.loads((trained / "adapter" / "adapter.json").read_text())
    assert resolved.model_dump(mode="json") == card["config"]
    # What the device decided is written down, or another machine would measure something else.
    assert (resolved.backbone.precision, resolved.train.precision) == ("fp32", "fp32")


def test_the_paper_preset_says_where_it_departs_and_every_switch_removes_it(trained, config, world, tmp_path):
    departures = json.loads((trained / "results.json").read_text())["protocol"]["departures"]
    assert [item["what"] for item in departures] == [
        "order of colors",
        "stored features",
        "suffix layout",
        "frames per second",
        "training windows",
        "views",
        "choice of weights",
    ]
    switches = [item["switch"] for item in departures]
    done = framecue("train", "recognition", "--config", config, f"out={tmp_path / 'run'}", *switches)
    assert done.exit_code == 0, done.output
    assert "preset=paper as in the authors' program" in done.stderr
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["protocol"]["departures"] == []
    assert results["selected"]["iteration"] == 12
    again = framecue("evaluate", tmp_path / "run" / "adapter", "--json")
    assert json.loads(again.stdout) == results
    answer = framecue("classify", next((world / "test").rglob("*.mp4")), "--adapter", tmp_path / "run" / "adapter")
    assert answer.exit_code == 0, answer.output  # with the colors swapped as in training
    told = framecue("train", "recognition", "--config", config)
    assert f"in 7 points: {', '.join(item['what'] for item in departures)}." in told.stderr
    assert " ".join(switches) in told.stderr


def test_evaluate_twice_gives_the_same_bytes(trained):
    first = framecue("evaluate", trained / "adapter", "--json")
    second = framecue("evaluate", trained / "adapter", "--json")
    assert first.exit_code == 0, first.output
    assert first.stdout == second.stdout
    stored = json.loads((trained / "results.json").read_text())
    assert json.loads(first.stdout) == stored


def test_a_finished_run_is_measured_and_not_trained_again(trained, config):
    before = load_file(trained / "adapter" / "adapter.safetensors")
    done = framecue("train", "recognition", "--config", config, "--json")
    assert json.loads(done.stdout) == json.loads((trained / "results.json").read_text())
    after = load_file(trained / "adapter" / "adapter.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_same_seed_same_numbers_other_seed_other(trained, config, tmp_path):
    shared = f"features.store={trained / 'features.lance'}"
    assert framecue("train", "recognition", "--config", config, f"out={tmp_path / 'a'}", shared).exit_code == 0
    other = framecue("train", "recognition", "--config", config, f"out={tmp_path / 'b'}", shared, "seed=1")
    assert other.exit_code == 0
    reference = load_file(trained / "adapter" / "adapter.safetensors")
    same = load_file(tmp_path / "a" / "adapter" / "adapter.safetensors")
    different = load_file(tmp_path / "b" / "adapter" / "adapter.safetensors")
    assert all(torch.equal(reference[name], same[name]) for name in reference)
    assert not torch.equal(reference["prompt.prefix"], different["prompt.prefix"])


def test_ctrl_c_and_resume_equal_an_uninterrupted_run(trained, config, tmp_path):
    """The process gets SIGINT after some steps: one line, exit code 130, and the next call ends in the same tensors."""
    out = tmp_path / "run"
    words = ["train", "recognition", "--config", str(config), f"out={out}", "train.iterations=60"]
    words += [f"features.store={trained / 'features.lance'}"]
    one_thread = os.environ | {
        "OMP_NUM_THREADS": "1"
    }  # as in this process: sums over two threads differ in the last bit
    process = subprocess.Popen(
        [sys.executable, "-m", "framecue.cli.main", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=one_thread,
    )
    deadline = time.monotonic() + 120
    while len(read_log(out)) < 3 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines()[-1].startswith("interrupted; what was finished is kept, run the same command")
    assert "Traceback" not in errors
    assert 3 <= len(read_log(out)) < 60
    assert not (out / "adapter").exists()
    assert framecue(*words).exit_code == 0
    whole = [word.replace(str(out), str(tmp_path / "whole")) for word in words]
    assert framecue(*whole).exit_code == 0
    first = load_file(out / "adapter" / "adapter.safetensors")
    second = load_file(tmp_path / "whole" / "adapter" / "adapter.safetensors")
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("change", ["train.lr=0.01", "evaluate.views=3"])
def test_other_config_in_the_same_folder_is_refused(change, trained, config):
    """Views, too, decide the trained weights: validation chooses them by the mean over views."""
    done = framecue("train", "recognition", "--config", config, change)
    assert done.exit_code == 1
    key, value = change.split("=")
    assert f"holds a run of another config or other data: {key} was " in done.stderr
    assert f", is {value}; choose another out, or give --restart" in done.stderr


def test_classify(trained, world):
    videos = sorted((world / "test").rglob("*.mp4"))[:2]
    done = framecue("classify", *videos, "--adapter", trained / "adapter", "--json")
    assert done.exit_code == 0, done.output
    answers = json.loads(done.stdout)
    assert [answer["video"] for answer in answers] == [str(path) for path in videos]
    assert {row["label"] for row in answers[0]["predictions"]} == {"growing", "moving right", "shrinking"}
    assert sum(row["score"] for row in answers[0]["predictions"]) == pytest.approx(1, abs=1e-5)
    names = framecue("classify", videos[0], "--adapter", trained / "adapter", "--labels", "a cat, a dog", "--json")
    assert {row["label"] for row in json.loads(names.stdout)[0]["predictions"]} == {"a cat", "a dog"}
    bare = framecue("classify", videos[0], "--backbone", "tiny", "--labels", "growing, shrinking", "--top-k", "1")
    assert bare.exit_code == 0
    assert "%" in bare.stdout


def fails(*words: object, code: int = 1) -> str:
    """The one line of a refused call."""
    done = framecue(*words)
    assert done.exit_code == code, done.output
    assert isinstance(done.exception, SystemExit), done.exception
    lines = done.stderr.strip().splitlines()
    assert lines[-1].startswith("framecue: error: "), done.stderr
    return lines[-1]


def test_bad_classify(trained, world, tmp_path):
    video = next((world / "test").rglob("*.mp4"))
    (tmp_path / "broken.mp4").write_bytes(video.read_bytes()[:300])
    done = framecue("classify", video, tmp_path / "broken.mp4", "--backbone", "tiny", "--labels", "a,b", "--json")
    assert done.exit_code == 3
    assert len(json.loads(done.stdout)) == 1
    assert f"{tmp_path / 'broken.mp4'}: cannot be read as video" in done.stderr
    assert "Nothing to choose from" in fails("classify", video, code=2)
    assert "found 'a' twice" in fails("classify", video, "--backbone", "tiny", "--labels", "a, a", code=2)
    assert "is not there" in fails("classify", tmp_path / "no.mp4", "--backbone", "tiny", "--labels", "a")
    assert "must be there, found no such folder" in fails("classify", video, "--adapter", tmp_path / "nothing")
    long_name = "word " * 90
    line = fails("classify", video, "--adapter", trained / "adapter", "--labels", long_name)
    assert "Class name or caption 'word word" in line
    assert "shorten the name" in line


def test_adapter_of_another_backbone(trained, world, reference_checkpoint, shared_data, tmp_path):
    shutil.copy(reference_checkpoint, tmp_path / "clip.safetensors")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(shared_data / "clip_tokenizer" / "hf" / name, tmp_path)
    video = next((world / "test").rglob("*.mp4"))
    line = fails("classify", video, "--adapter", trained / "adapter", "--backbone", tmp_path / "clip.safetensors")
    assert "was trained on backbone tiny" in line


def test_adapter_with_a_damaged_config(trained, tmp_path):
    shutil.copytree(trained / "adapter", tmp_path / "adapter")
    card = json.loads((tmp_path / "adapter" / "adapter.json").read_text())
    card["config"]["train"]["lr"] = "fast"
    (tmp_path / "adapter" / "adapter.json").write_text(json.dumps(card))
    assert "adapter.json: 'train.lr' must be a number, found 'fast'. Take the file as" in fails(
        "evaluate", tmp_path / "adapter"
    )


def test_bad_data(config, world, tmp_path):
    def train(*overrides: str) -> str:
        return fails("train", "recognition", "--config", config, f"out={tmp_path / 'out'}", *overrides)

    (tmp_path / "empty").mkdir()
    assert "No videos found in" in train(f"data.source={tmp_path / 'empty'}", "data.held_out=[]")
    assert "does not exist" in train(f"data.source={tmp_path / 'nowhere'}")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "growing").symlink_to(world / "train" / "growing")
    line = train(f"data.source={tmp_path / 'one'}", "data.held_out=[]")
    assert "at least two classes, found 'growing' alone" in line
    manifest = tmp_path / "list.csv"
    video = next((world / "train" / "growing").iterdir())
    manifest.write_text(f"path,label\n{video},growing\nabsent.mp4,shrinking\n")
    assert f"{manifest}:3" in train(f"data.source={manifest}", "data.held_out=[]")
    manifest.write_text(f"path,label,start_seconds,end_seconds\n{video},growing,1,x\n")
    assert f"{manifest}:2" in train(f"data.source={manifest}", "data.held_out=[]")
    assert "train.lr" in train("train.lrr=1")
    assert "Class name or caption" in train(f"data.source={_long_class(tmp_path, video)}", "data.held_out=[]")


def _long_class(folder: Path, video: Path) -> Path:
    videos = sorted(video.parent.iterdir())
    for index, name in enumerate(("word " * 40, "growing")):
        target = folder / "long" / name.strip()
        target.mkdir(parents=True)
        for source in videos[2 * index : 2 * index + 2]:
            shutil.copy(source, target)
    return folder / "long"


def test_unreadable_training_videos_are_listed_and_the_run_goes_on(world, config, tmp_path):
    for name in CLASSES[:2]:
        shutil.copytree(world / "train" / name, tmp_path / "videos" / name)
    (tmp_path / "videos" / "growing" / "broken.mp4").write_text("no video")
    words = [f"data.source={tmp_path / 'videos'}", "data.held_out=[]", f"out={tmp_path / 'out'}"]
    done = framecue("train", "recognition", "--config", config, *words)
    assert done.exit_code == 3, done.output
    assert "1 skipped:" in done.stderr
    assert "broken.mp4: cannot be read as video" in done.stderr
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["protocol"]["part_chose_the_weights"] is True
    assert "the numbers flatter" in done.stdout.replace("\n", " ")


def test_store_of_another_maker(trained, config, tmp_path):
    store = f"features.store={trained / 'features.lance'}"
    line = fails("train", "recognition", "--config", config, f"out={tmp_path}", store, "features.sampling=fps:4")
    assert "sampling" in line
    assert "fps:8" in line
    assert "fps:4" in line


def test_a_full_disk_leaves_nothing_half_written(trained, config, tmp_path):
    """A file system of 200 KB: the adapter does not fit; one line, and no file that passes for whole."""
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(mount)], capture_output=True)
    if made.returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        words = [f"out={mount / 'run'}", f"features.store={trained / 'features.lance'}"]
        command = [sys.executable, "-m", "framecue.cli.main", "train", "recognition", "--config", str(config), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1, done.stderr
        assert done.stderr.strip().splitlines()[-1].startswith("framecue: error: The disk is full"), done.stderr
        left = [path for path in mount.rglob("*") if path.suffix in (".pt", ".safetensors", ".tmp")]
        assert left == []
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_convert(shared_data, reference_checkpoint, world, tmp_path):
    """The authors' checkpoint to an adapter, and the adapter at work."""
    shutil.copy(reference_checkpoint, tmp_path / "clip.safetensors")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(shared_data / "clip_tokenizer" / "hf" / name, tmp_path)
    trainables = load_file(shared_data / "golden" / "efficient_prompt" / "trainables_a5.safetensors")
    clip = {f"clipmodel.{name}": tensor for name, tensor in load_file(reference_checkpoint).items()}
    torch.save({"state_dict": trainables | clip, "iteration": 1100}, tmp_path / "HMDB_best.pth.tar")
    (tmp_path / "names.txt").write_text("run\nclimb stairs\n")
    words = ["--out", tmp_path / "adapter", "--backbone", tmp_path / "clip.safetensors"]
    done = framecue(
        "convert", "efficient-prompt", tmp_path / "HMDB_best.pth.tar", *words, "--class-names", tmp_path / "names.txt"
    )
    assert done.exit_code == 0, done.output
    assert "6,352,384 trained numbers" in done.stderr
    assert (tmp_path / "adapter" / "adapter.safetensors").stat().st_size < 26 * 2**20
    video = next((world / "test").rglob("*.mp4"))
    answer = framecue("classify", video, "--adapter", tmp_path / "adapter", "--json")
    assert answer.exit_code == 0, answer.output
    assert {row["label"] for row in json.loads(answer.stdout)[0]["predictions"]} == {"run", "climb stairs"}
    assert "names no data to be measured on" in fails("evaluate", tmp_path / "adapter")


def test_classify_prints_names_as_they_are_and_whole(trained, world, tmp_path, monkeypatch):
    """Square brackets are no markup, nothing is cut on a narrow terminal, and control characters stay harmless."""
    monkeypatch.setenv("COLUMNS", "40")
    video = tmp_path / ("[red]" + "long_name_" * 12 + "\x1b[2J\n.mp4")
    shutil.copy(next((world / "test").rglob("*.mp4")), video)
    (tmp_path / "broken\n.mp4").write_text("no video")
    labels = ["[/]", "[red]x[/red]", "a{b}%s", "\x1b[31mtired"]
    words = ["--backbone", "tiny", "--labels", ",".join(labels)]
    done = framecue("classify", video, tmp_path / "broken\n.mp4", *words)
    assert done.exit_code == 3, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == str(video).replace("\x1b", "\\x1b").replace("\n", "\\n")
    printed = {line.split("  ")[-1].strip() for line in lines[1:]}
    assert printed == {*labels[:3], "\\x1b[31mtired"}
    assert "broken\\n.mp4: cannot be read as video" in done.stderr
    assert "There are no names" in fails(
        "classify", video, "--adapter", trained / "adapter", "--labels", " , ,", code=2
    )


def test_a_refused_run_leaves_the_config_of_the_run_there(trained, config):
    before = (trained / "config.yaml").read_text()
    assert "holds a run of another config" in fails("train", "recognition", "--config", config, "train.lr=0.5")
    assert (trained / "config.yaml").read_text() == before


def test_evaluate_refuses_an_adapter_of_files_of_two_runs(trained, tmp_path):
    shutil.copytree(trained / "adapter", tmp_path / "adapter")
    card = json.loads((tmp_path / "adapter" / "adapter.json").read_text())
    card["class_names"][0] = "jumping"
    (tmp_path / "adapter" / "adapter.json").write_text(json.dumps(card))
    assert "adapter.json and parts.json are of different runs" in fails("evaluate", tmp_path / "adapter")


def test_a_file_that_the_system_refuses_is_one_line(trained, world, shared_data, reference_checkpoint, tmp_path):
    shutil.copy(reference_checkpoint, tmp_path / "clip.safetensors")
    for name in ("vocab.json", "merges.txt"):
        shutil.copy(shared_data / "clip_tokenizer" / "hf" / name, tmp_path)
    checkpoint = shared_data / "golden" / "efficient_prompt" / "trainables_a5.safetensors"
    words = ["--out", tmp_path / "clip.safetensors", "--backbone", tmp_path / "clip.safetensors"]
    line = fails("convert", "efficient-prompt", checkpoint, *words)
    assert "The system refused a file" in line
    assert "clip.safetensors" in line
