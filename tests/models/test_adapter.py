"""The adapter folder: round trip, what it holds, and refusals."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from framecue.config import ModelConfig
from framecue.errors import AdapterError, MakerMismatchError
from framecue.models.adapter import CARD, TENSORS, load_adapter, make_card, read_card, save_adapter
from framecue.models.builders import build_model
from framecue.models.seen import PARTS, Seen, SeenVideo, read_seen

CONFIG = ModelConfig(n_prefix=3, n_suffix=2, temporal_layers=1)


@pytest.fixture
def saved(tmp_path, tiny_backbone):
    model = build_model(CONFIG, tiny_backbone, seed=1)
    card = make_card(tiny_backbone, CONFIG, ["growing", "shrinking"], backbone_id="tiny", sampling="fps:8")
    save_adapter(tmp_path / "adapter", model, card)
    return model, tmp_path / "adapter"


def test_round_trip(saved, tiny_backbone):
    model, folder = saved
    loaded = load_adapter(folder, tiny_backbone)
    features = torch.randn(2, 16, tiny_backbone.embed_dim)
    slots = model.slots(["growing", "anything else"])
    assert torch.equal(loaded(features, slots), model(features, slots))
    assert read_card(folder).class_names == ("growing", "shrinking")
    assert read_card(folder).model == CONFIG


def test_holds_trained_tensors_alone(saved):
    model, folder = saved
    assert sorted(path.name for path in folder.iterdir()) == [CARD, TENSORS]
    tensors = load_file(folder / TENSORS)
    assert set(tensors) == {name for name, _ in model.named_parameters()}
    assert (folder / TENSORS).stat().st_size < 5 * 2**20
    card = json.loads((folder / CARD).read_text())
    assert {"backbone", "backbone_hash", "preprocessing", "sampling", "framecue_version", "git_revision"} <= set(card)


def test_other_backbone_is_refused(saved, reference_backbone):
    with pytest.raises(MakerMismatchError, match=r"trained on backbone tiny \(weights .*this is clip\.safetensors"):
        load_adapter(saved[1], reference_backbone)


def test_other_preprocessing_is_refused(saved, tiny_backbone):
    card = json.loads((saved[1] / CARD).read_text())
    card["preprocessing"] = card["preprocessing"].replace("bicubic", "bilinear")
    (saved[1] / CARD).write_text(json.dumps(card))
    with pytest.raises(MakerMismatchError, match="was trained with preprocessing"):
        load_adapter(saved[1], tiny_backbone)


def test_other_cleaning_of_texts_is_refused(saved, tiny_backbone):
    """The same weights would read "Push_Up!" as other tokens than in training."""
    card = json.loads((saved[1] / CARD).read_text())
    assert card["text_cleaning"] == "openai-clip"
    (saved[1] / CARD).write_text(json.dumps(card | {"text_cleaning": "as-written"}))
    with pytest.raises(MakerMismatchError, match=r"texts cleaned by as-written, backbone tiny cleans them by openai"):
        load_adapter(saved[1], tiny_backbone)
    del card["text_cleaning"]
    (saved[1] / CARD).write_text(json.dumps(card))
    with pytest.raises(AdapterError, match=r"adapter\.json is not valid at text_cleaning"):
        read_card(saved[1])


def test_not_an_adapter(tmp_path):
    with pytest.raises(
        AdapterError, match=r"adapter\.json and adapter\.safetensors must be there, found no such folder"
    ):
        read_card(tmp_path / "nowhere")
    with pytest.raises(AdapterError, match="found an empty folder; give the folder that"):
        read_card(tmp_path)


def test_half_an_adapter(saved, tiny_backbone):
    """A killed writer leaves tensors without a card; a cut file or foreign tensors do not pass for whole."""
    folder = saved[1]
    whole = (folder / TENSORS).read_bytes()
    (folder / TENSORS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AdapterError, match="does not hold what"):
        load_adapter(folder, tiny_backbone)
    save_file({"prompt.prefix": torch.zeros(3, 7)}, folder / TENSORS)
    with pytest.raises(AdapterError, match="does not hold what"):
        load_adapter(folder, tiny_backbone)
    (folder / CARD).write_text((folder / CARD).read_text()[:100])
    with pytest.raises(AdapterError, match=r"adapter\.json is not valid at the file"):
        read_card(folder)
    (folder / CARD).unlink()
    with pytest.raises(AdapterError, match=r"adapter\.json must be there, found adapter\.safetensors"):
        read_card(folder)


def test_a_write_that_fails_leaves_no_older_card(saved):
    """An older card beside newer tensors would pass for whole."""
    model, folder = saved
    card = read_card(folder)
    (folder / TENSORS).unlink()
    (folder / TENSORS).mkdir()
    with pytest.raises(OSError, match="directory"):
        save_adapter(folder, model, card)
    assert not (folder / CARD).exists()


@pytest.mark.parametrize("version", [4, 99])
def test_cards_of_another_version_are_refused(saved, version):
    card = json.loads((saved[1] / CARD).read_text())
    (saved[1] / CARD).write_text(json.dumps(card | {"format_version": version}))
    with pytest.raises(AdapterError, match=f"has format_version {version}, this framecue reads 5; train or convert it"):
        read_card(saved[1])


def test_what_was_seen_is_saved_beside_the_tensors_and_goes_with_an_older_adapter(saved):
    model, folder = saved
    seen = Seen(task="recognition", train=(SeenVideo(content_hash="00", name="v.mp4"),), val=(), test=())
    save_adapter(folder, model, read_card(folder), seen)
    assert read_seen(folder) == seen
    save_adapter(folder, model, read_card(folder))
    assert not (folder / PARTS).exists()


def test_tensors_that_are_not_finite_are_refused(saved, tiny_backbone):
    tensors = load_file(saved[1] / TENSORS)
    tensors["prompt.prefix"][0, 0] = float("nan")
    save_file(tensors, saved[1] / TENSORS)
    with pytest.raises(AdapterError, match=r"prompt\.prefix in adapter\.safetensors is not all finite numbers"):
        load_adapter(saved[1], tiny_backbone)


@pytest.mark.parametrize(
    ("key", "value"), [("num_views", 0), ("sampling", "bogus"), ("model", {"n_prefix": 10**12})], ids=str
)
def test_a_card_with_values_out_of_range_is_refused(saved, key, value):
    card = json.loads((saved[1] / CARD).read_text())
    (saved[1] / CARD).write_text(json.dumps(card | {key: value}))
    with pytest.raises(AdapterError, match=rf"adapter\.json is not valid at {key}"):
        read_card(saved[1])
