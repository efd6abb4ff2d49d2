"""Real untrimmed files through train, localize and score: true times at a variable frame rate, and nothing uncounted.

No figure is asserted: the backbone is random, and twelve videos of eleven classes teach nobody.
"""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from framecue.cli.main import app
from framecue.video.reader import probe

pytestmark = pytest.mark.recipe

MICROSECOND = 1e-6  # what written times are rounded to

CONFIG = """
task: localization
data: {source: SOURCE, annotations: SOURCE/segments.json, val_fraction: 0.3, missing: skip}
backbone: {id: tiny, device: cpu}
features: {sampling: "fps:4"}
model: {n_prefix: 2, n_suffix: 2, temporal_layers: 1, num_frames: 8}
train: {iterations: 4, batch_size: 6, lr: 0.001, validate_every: 2}
localization: {train_subset: validation, test_subset: null, window: 32, width: 16, levels: 4, max_proposals: 20}
evaluate: {templates: ["{}"]}
out: OUT
"""


def framecue(*words: object) -> Result:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    return done


@pytest.fixture(scope="module")
def folder(shared_data) -> Path:
    if not (shared_data / "videos" / "segments.json").is_file():
        pytest.skip("the real untrimmed files are not here")
    return shared_data / "videos"


@pytest.fixture(scope="module")
def truth(folder) -> dict[str, dict]:
    return json.loads((folder / "segments.json").read_text())["database"]


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("real")
    (out / "run.yaml").write_text(CONFIG.replace("SOURCE", str(folder)).replace("OUT", str(out / "run")))
    framecue("train", "localization", "--config", out / "run.yaml")
    return out / "run"


@pytest.fixture(scope="module")
def answers(trained, folder, truth) -> dict[str, dict]:
    """What is found in every file, by its ground truth's id."""
    files = [folder.parent / name for name in truth]
    done = framecue("localize", *files, "--adapter", trained / "adapter", "--min-score", 0, "--json")
    found = json.loads(done.stdout)
    assert [Path(answer["video"]) for answer in found] == files
    return dict(zip(truth, found, strict=True))


def frame_times(path: Path) -> np.ndarray:
    """Presentation times of all frames, of the container's own packets."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return np.array(sorted(float(frame.pts * stream.time_base) for frame in container.decode(stream)))


def test_training_counts_all(trained, truth):
    results = json.loads((trained / "results.json").read_text())
    protocol, notes = results["protocol"], results["notes"]
    assert (protocol["part"], protocol["part_chose_the_weights"]) == ("val", True)
    left_out = sum(int(line.split()[0]) for line in notes if "validation videos show names not trained on" in line)
    mismatched = sum("It is left out of training." in line for line in notes)
    assert protocol["num_train_videos"] + protocol["num_val_videos"] + left_out + mismatched == len(truth)
    measured = results["val"].get(results["method"])
    if measured is not None:
        assert measured["num_videos"] == protocol["num_val_videos"]


def test_segments_lie_in_their_videos_on_true_times(answers, truth, folder):
    """Inside the file's own length, which is that of the annotation."""
    for name, answer in answers.items():
        duration = probe(folder.parent / name).duration_seconds
        assert answer["duration_seconds"] == pytest.approx(duration, abs=MICROSECOND)
        assert duration == pytest.approx(truth[name]["duration"], rel=0.05, abs=1.0)
        bounds = np.array([(found["start_seconds"], found["end_seconds"]) for found in answer["segments"]])
        assert len(bounds), name
        assert (bounds[:, 0] < bounds[:, 1]).all()
        assert (bounds >= -MICROSECOND).all()
        assert (bounds <= duration + MICROSECOND).all()
        assert all(0 < found["score"] <= 1 for found in answer["segments"])


def test_times_follow_the_frames_own_at_a_variable_rate(trained, truth, folder):
    """Features know when their frames were shown: each time is one of the file's own, not of an even grid."""
    import framecue as package

    predictor = package.load(trained / "adapter")
    uneven = 0
    for name in truth:
        if "gmdcsa24" not in name:
            continue
        features = predictor.frame_features(folder.parent / name)
        times = frame_times(folder.parent / name) - probe(folder.parent / name).origin_seconds
        nearest = np.abs(features.pts_seconds[:, None] - times[None]).min(axis=1)
        assert nearest.max() < MICROSECOND
        steps = np.diff(times)
        uneven += steps.max() > 1.05 * steps.min()
    assert uneven >= 3, "the phone clips have a variable frame rate"


@pytest.mark.parametrize("form", ["activitynet", "csv"])
def test_what_localize_writes_is_scored(form, trained, folder, truth, tmp_path):
    files = [folder.parent / name for name in truth]
    predictions = tmp_path / f"found.{'csv' if form == 'csv' else 'json'}"
    words = ["--adapter", trained / "adapter", "--format", form, "--min-score", 0, "--max-segments", 20]
    framecue("localize", *files, *words, "--out", predictions)
    command = ["--ground-truth", folder / "segments.json", "--predictions", predictions, "--tiou", "thumos14"]
    scored = json.loads(framecue("score", "detections", *command, "--errors", "--json").stdout)
    assert scored["ground_truth"]["segments"] == sum(len(video["annotations"]) for video in truth.values())
    assert scored["predictions"]["videos"] == len(truth)
    assert 0 < scored["predictions"]["segments"] <= 20 * len(truth)
    assert 0 <= scored["average_mean_ap"] <= 1
    assert not any("outside the ground truth" in line or "nothing for" in line for line in scored["notes"])
    agnostic = json.loads(framecue("score", "detections", *command, "--class-agnostic", "--json").stdout)
    assert agnostic["predictions"]["segments"] == scored["predictions"]["segments"]


def test_the_true_segments_of_others_are_named_where_they_are(trained, folder, truth, tmp_path):
    """Annotated segments as proposals: each comes back at its own times, cut to the file at most."""
    results = {
        name: [{"segment": part["segment"], "score": 1.0} for part in video["annotations"]]
        for name, video in truth.items()
        if "thumos14" in name or "activitynet" in name
    }
    (tmp_path / "proposals.json").write_text(json.dumps({"results": results}))
    files = [folder.parent / name for name in results]
    words = ["--adapter", trained / "adapter", "--proposals", tmp_path / "proposals.json", "--json"]
    found = json.loads(framecue("localize", *files, *words).stdout)
    for answer, parts in zip(found, results.values(), strict=True):
        there = {(part["start_seconds"], part["end_seconds"]) for part in answer["segments"]}
        end = answer["duration_seconds"]
        given = {(round(max(part["segment"][0], 0), 6), round(min(part["segment"][1], end), 6)) for part in parts}
        assert there == given
