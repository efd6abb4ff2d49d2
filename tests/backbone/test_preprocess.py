"""Our preprocessing against the official tensor and the backbones' own image processors."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, SiglipImageProcessorPil

from fakes import resized
from framecue.backbone import Preprocessing, channels_of

GRAY_LEVEL = 1 / 255 / 0.26130258  # one step of uint8 after normalization, in the channel where it is largest


def to_frames(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def run(preprocessing: Preprocessing, image: np.ndarray) -> np.ndarray:
    return preprocessing.normalize(resized(preprocessing.resize_crop, to_frames(image))).numpy()


def test_official_tensor(shared_data):
    """OpenAI resizes with Pillow; the fast path differs by at most one gray level, at 0.3 % of the values."""
    folder = shared_data / "golden" / "clip_preprocess"
    expected = np.load(folder / "expected_preprocessed_image.npy")
    image = np.asarray(Image.open(folder / "franz-kafka.jpg").convert("RGB"))
    difference = np.abs(run(Preprocessing(224, shortest_edge=224), image) - expected)
    assert difference.max() < 1.05 * GRAY_LEVEL
    assert (difference > 1e-5).mean() < 0.003


@pytest.mark.parametrize("processor", [CLIPImageProcessorPil(), SiglipImageProcessorPil()], ids=["clip", "siglip"])
@pytest.mark.parametrize("height_width", [(240, 320), (112, 128), (64, 64), (300, 270), (1, 1), (300, 400)])
def test_own_image_processor(processor, height_width):
    """Sizes at which Pillow, too, resizes rows before columns; from version 13 on it takes the cheaper order, and then
    differs from its own earlier versions by several levels on noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (max(1, height_width[0] // 8), max(1, height_width[1] // 8), 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(coarse).resize(height_width[::-1], Image.Resampling.BICUBIC))
    ours = Preprocessing.from_processor_config(processor.to_dict(), image_size=224)
    expected = processor(Image.fromarray(image), return_tensors="np")["pixel_values"]
    actual = run(ours, image)
    assert actual.shape == expected.shape
    difference = np.abs(actual - expected)
    assert difference.max() < 2.05 * GRAY_LEVEL
    assert difference.mean() < 0.01 * GRAY_LEVEL


def test_odd_margins_follow_torchvision():
    """CLIP's CenterCrop rounds half a pixel to even."""
    frames = torch.arange(7, dtype=torch.uint8).expand(1, 3, 4, 7)
    assert resized(Preprocessing(4).resize_crop, frames)[0, 0, 0].tolist() == [2, 3, 4, 5]


def test_text_is_canonical():
    assert Preprocessing(224).text == Preprocessing(224).text
    assert Preprocessing(224).text != Preprocessing(224, interpolation="bilinear").text


@pytest.mark.parametrize(
    ("config", "message"), [({"resample": 0}, "resample must be 2"), ({"size": {"longest_edge": 9}}, "size must be")]
)
def test_foreign_configs_are_refused(config, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing.from_processor_config(config, image_size=224)


def test_bgr_swaps_colors_and_keeps_the_places_of_mean_and_deviation():
    """As the authors' extraction does: red and blue are swapped before the mean of the first place is subtracted."""
    frames = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    rgb, bgr = Preprocessing(4), Preprocessing(4, channels="bgr")
    assert torch.equal(bgr.normalize(frames), rgb.normalize(frames.flip(1)))
    assert rgb.text != bgr.text
    assert (channels_of(rgb.text), channels_of(bgr.text)) == ("rgb", "bgr")
