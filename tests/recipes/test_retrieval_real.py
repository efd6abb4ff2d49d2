"""Real captioned files through train retrieval, index and search by the real command line.

No figure is asserted: the backbone has never seen a person, and a dozen videos teach nobody.
"""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from framecue.cli.main import app
from framecue.video.cut import cut_video

pytestmark = pytest.mark.recipe

CONFIG = """
task: retrieval
data: {source: SOURCE, val_fraction: 0.2}
backbone: {id: tiny, device: cpu}
features: {sampling: "fps:4"}
model: {n_prefix: 2, n_suffix: 2, temporal_layers: 1, num_frames: 8}
train: {iterations: 4, batch_size: 4, lr: 0.001, validate_every: 2}
evaluate: {views: 1}
out: OUT
"""


def framecue(*words: object, code: int = 0) -> Result:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done


@pytest.fixture(scope="module")
def captions(shared_data, tmp_path_factory) -> Path:
    """The shared file of captions beside links to the videos it names."""
    listed = shared_data / "videos" / "captions.tsv"
    if not listed.is_file():
        pytest.skip("the real captioned files are not here")
    folder = tmp_path_factory.mktemp("captioned")
    (folder / "videos").symlink_to(shared_data / "videos", target_is_directory=True)
    (folder / "captions.tsv").write_bytes(listed.read_bytes())
    return folder / "captions.tsv"


@pytest.fixture(scope="module")
def trained(captions, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("run")
    (out / "run.yaml").write_text(CONFIG.replace("SOURCE", str(captions)).replace("OUT", str(out / "run")))
    framecue("train", "retrieval", "--config", out / "run.yaml")
    return out / "run"


def test_real_captions_are_trained_on_and_measured_both_ways(trained, captions):
    results = json.loads((trained / "results.json").read_text())
    protocol = results["protocol"]
    files = {line.split("\t")[0] for line in captions.read_text().splitlines()[1:]}
    assert protocol["num_train_videos"] + protocol["num_val_videos"] + protocol["num_videos"] == len(files) == 12
    for numbers in results["test"].values():
        assert numbers["v2t/queries"] == protocol["num_videos"]
        assert numbers["t2v/queries"] == protocol["num_captions"]
        assert 1 <= numbers["t2v/MdR"] <= protocol["num_videos"]


def test_real_files_are_indexed_with_the_adapter_and_found_again_by_themselves(trained, shared_data, tmp_path):
    index = tmp_path / "index"
    sources = [shared_data / "videos" / name for name in ("msvd", "caption_demo")]
    framecue("index", "add", *sources, "--index", index, "--adapter", trained / "adapter")
    status = json.loads(framecue("index", "status", "--index", index, "--json").stdout)
    assert status["num_videos"] >= 4
    for video in sorted((shared_data / "videos" / "msvd").glob("*"))[:2]:
        example = tmp_path / f"{video.stem}.mp4"  # the same pictures in another file: an indexed one never finds itself
        cut_video(video, example, 0.0, 4.0)
        answer = json.loads(framecue("search", "--video", example, "--index", index, "--top-k", 1, "--json").stdout)
        assert Path(answer["moments"][0]["path"]).resolve() == video.resolve()
    framecue("search", "a person cooks", "--index", index)
    refused = framecue("index", "add", *sources, "--index", index, "--adapter", tmp_path, code=1)
    assert refused.stderr.count("\n") == 1
