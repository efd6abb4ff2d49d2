"""Names as annotation files join them ("movingLeft") are said as words at every step of a localization run."""

import json

import numpy as np
import pytest

from framecue.config import RunConfig
from framecue.datasets.world.untrimmed import write_untrimmed
from framecue.errors import CheckpointError
from framecue.models.handcrafted import Handcrafted
from framecue.tasks.spotting import frozen_localizer
from framecue.tasks.streaming import FeatureWindow
from framecue.training.localization import train_localization

CLASSES = ("growing", "moving left", "moving right")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_untrimmed(folder, seed=3, classes=CLASSES, num_videos={"train": 4, "val": 2, "test": 2}, workers=0)
    text = (folder / "ground_truth.json").read_text(encoding="utf-8")
    joined = text.replace("moving left", "movingLeft").replace("moving right", "movingRight")
    (folder / "joined.json").write_text(joined, encoding="utf-8")
    (folder / "texts.json").write_text(json.dumps({"moving left": "it goes to the left side"}), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def make_config(world, tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "features.lance"

    def make(out, annotations="ground_truth.json", **evaluate) -> RunConfig:
        return RunConfig.model_validate(
            {
                "task": "localization",
                "out": str(out),
                "data": {
                    "source": str(world),
                    "annotations": str(world / annotations),
                    "descriptions": str(world / "texts.json"),
                },
                "backbone": {"id": "tiny", "device": "cpu"},
                "features": {"sampling": "fps:4", "dtype": "float32", "store": str(store)},
                "model": {"n_prefix": 2, "n_suffix": 2, "temporal_layers": 1, "num_frames": 8},
                "train": {"iterations": 4, "batch_size": 6, "lr": 0.002, "validate_every": 2, "distill_text": 1.0},
                "blend": {"trained_weights": (0.5, 1.0), "handcrafted_weights": (0.0, 0.5)},
                "localization": {
                    "val_subset": "validation",
                    "test_subset": "testing",
                    "window": 64,
                    "width": 16,
                    "levels": 3,
                    "max_proposals": 20,
                },
                "evaluate": {"templates": ["{}"], **evaluate},
            }
        )

    return make


def test_joined_names_train_choose_and_measure_as_words_do(make_config, tiny_backbone, tmp_path):
    words, joined = (
        train_localization(make_config(tmp_path / name, name), backbone=tiny_backbone).results
        for name in ("ground_truth.json", "joined.json")
    )
    for chosen in ("selected", "blend", "fusion", "reporting", "rejection"):
        assert joined[chosen] == words[chosen]
    assert [row["map"] for row in joined["test"].values()] == [row["map"] for row in words["test"].values()]


def test_descriptions_reach_joined_names(make_config, tiny_backbone, tmp_path):
    adapters = [
        train_localization(make_config(tmp_path / name, name), backbone=tiny_backbone).adapter
        for name in ("ground_truth.json", "joined.json")
    ]
    cards = [json.loads((adapter / "adapter.json").read_text(encoding="utf-8")) for adapter in adapters]
    assert cards[0]["descriptions"] == cards[1]["descriptions"] == {"moving left": ["it goes to the left side"]}


def test_other_frozen_texts_are_another_run(make_config, tiny_backbone, tmp_path):
    train_localization(make_config(tmp_path), backbone=tiny_backbone)
    with pytest.raises(CheckpointError, match="a run of another config or other data"):
        train_localization(make_config(tmp_path, templates=["a video of {}."]), backbone=tiny_backbone)


def test_nothing_trained_says_joined_names_as_words(tiny_backbone):
    features = np.random.default_rng(0).normal(size=(20, tiny_backbone.embed_dim)).astype(np.float32)
    window = FeatureWindow(features, np.arange(21.0), 0, (0, 20), is_last=True)
    joined, words = (
        frozen_localizer(tiny_backbone, labels, ("{}",))
        for labels in (("movingLeft", "High5"), ("moving left", "High5"))
    )
    assert joined.labels == ("movingLeft", "High5")
    segments = np.array([[0.0, 8.0], [3.0, 20.0]])
    np.testing.assert_array_equal(joined.namer(window, segments), words.namer(window, segments))
    assert not np.array_equal(*(Handcrafted(tiny_backbone, ("{}",))([name]) for name in ("movingLeft", "moving left")))
