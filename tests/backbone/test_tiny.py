"""The built-in CLIP is a CLIP folder like any other, reads any text, and knows what its recipe says it knows."""

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from transformers import CLIPModel, CLIPTokenizer

from framecue.datasets.world.canvas import COLORS
from framecue.datasets.world.stills import placed_still

TINY = Path(str(files("framecue.backbone"))) / "tiny"


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(TINY)


def test_folder_is_small_and_its_recipe_is_measured() -> None:
    assert sum(path.stat().st_size for path in TINY.iterdir()) < 6_000_000
    recipe = json.loads((TINY / "recipe.json").read_text(encoding="utf-8"))
    assert recipe["minutes"] > 0
    accuracy = recipe["zero_shot_accuracy"]
    assert 1 / 17 < accuracy["videos_seen_of_17"] <= accuracy["videos_seen_order_blind_ceiling"]


@pytest.mark.parametrize("text", ["moving left", "Grüße, 世界! 🙂", "ΚΑΛΗΜΕΡΑ ÅSA", "it's 42 %"])
def test_any_text_is_read_byte_by_byte_and_ends_once(tokenizer: CLIPTokenizer, text: str) -> None:
    tokens = tokenizer(text)["input_ids"]
    assert tokens[0] == tokenizer.bos_token_id
    assert tokens.index(tokenizer.eos_token_id) == len(tokens) - 1
    assert max(tokens) == tokenizer.eos_token_id == len(tokenizer) - 1
    assert tokenizer.decode(tokens, skip_special_tokens=True).replace(" ", "") == text.lower().replace(" ", "")


def test_what_follows_eos_does_not_change_a_text(tokenizer: CLIPTokenizer) -> None:
    model = CLIPModel.from_pretrained(TINY, dtype=torch.float32).eval()
    tokens = tokenizer(["moving left"], return_tensors="pt")["input_ids"]
    padded = F.pad(tokens, (0, 5), value=3)
    with torch.no_grad():
        plain, longer = (model.get_text_features(input_ids=ids).pooler_output for ids in (tokens, padded))
    torch.testing.assert_close(plain, longer)


def test_colors_of_new_stills_are_named_as_well_as_the_recipe_says(tokenizer: CLIPTokenizer) -> None:
    model = CLIPModel.from_pretrained(TINY, dtype=torch.float32).eval()
    config = model.config.vision_config
    rng = np.random.default_rng(4321)
    stills = [placed_still(rng, config.image_size) for _ in range(300)]
    stills = [still for still in stills if len(still.facts.nouns) == 1]
    pixels = torch.from_numpy(np.stack([still.image for still in stills])).permute(0, 3, 1, 2) / 255
    processor = json.loads((TINY / "preprocessor_config.json").read_text(encoding="utf-8"))
    mean, std = (torch.tensor(processor[key]).view(3, 1, 1) for key in ("image_mean", "image_std"))
    names = list(COLORS)
    texts = tokenizer([f"a {name} shape" for name in names], padding=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        image = model.get_image_features(pixel_values=(pixels - mean) / std).pooler_output
        text = model.get_text_features(input_ids=texts).pooler_output
    guesses = (F.normalize(image, dim=-1) @ F.normalize(text, dim=-1).T).argmax(1)
    accuracy = np.mean([names[guess] == still.facts.nouns[0][0] for guess, still in zip(guesses, stills, strict=True)])
    recipe = json.loads((TINY / "recipe.json").read_text(encoding="utf-8"))
    assert accuracy > recipe["zero_shot_accuracy"][f"stills_color_of_{len(names)}"] - 0.08
