"""Moments, sentences and images of one model lie in one space, and what cannot be embedded is one line."""

import os

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from framecue.api import Predictor
from framecue.config import ModelConfig
from framecue.errors import PromptTooLongError, UsageError, VideoError
from framecue.features.encode import encode_video
from framecue.models.builders import build_model
from framecue.tasks.moments import MomentEncoder, moment_sampling
from framecue.video.writer import write_video

RED, BLUE = (220, 30, 30), (20, 20, 220)


def picture(color, size=64):
    image = np.full((size, size, 3), 235, np.uint8)
    image[size // 4 : -size // 4, size // 4 : -size // 4] = color
    return image


def write_colors(path, *colors, seconds=5.0, fps=8):
    write_video(path, [picture(color) for color in colors for _ in range(int(seconds * fps))], fps)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """5 s red, then 5 s blue."""
    return write_colors(tmp_path_factory.mktemp("moments") / "red then blue.mp4", RED, BLUE)


@pytest.fixture(scope="module")
def model(tiny_backbone):
    model = build_model(
        ModelConfig(num_frames=8, n_prefix=4, n_suffix=4, temporal_layers=1), tiny_backbone, seed=0
    ).eval()
    for parameter in model.parameters():  # zero-initialized parts would hide what they do
        parameter.data += 0.02 * torch.randn_like(parameter)
    return model


@pytest.fixture(scope="module")
def encoder(tiny_backbone):
    return MomentEncoder(tiny_backbone)


def test_a_video_gives_a_unit_vector_for_each_window(encoder, video):
    found = encoder.video(video)
    assert found.spans.tolist() == [[0, 4], [2, 6], [4, 8], [6, 10]]
    assert found.vectors.shape == (4, 128)
    assert found.vectors.dtype == np.float32
    assert found.duration_seconds == 10
    np.testing.assert_allclose(np.linalg.norm([*found.vectors, found.whole], axis=1), 1, atol=1e-5)


def test_frozen_moments_are_mean_frames(encoder, tiny_backbone, video):
    features = encode_video(video, tiny_backbone, "fps:4")
    inside = features.frame_features[(features.pts_seconds >= 2) & (features.pts_seconds < 6)]
    expected = F.normalize(torch.from_numpy(inside).mean(dim=0), dim=0)
    np.testing.assert_allclose(encoder.video(video).vectors[1], expected, atol=1e-5)


def test_with_an_adapter_moments_go_through_the_temporal_module(tiny_backbone, model, video):
    encoder = MomentEncoder(tiny_backbone, model, sampling="fps:8", num_frames=8)
    features = encode_video(video, tiny_backbone, "fps:8").frame_features
    with torch.no_grad():
        first = F.normalize(model.embed_video(torch.from_numpy(features[2:32:4][None])), dim=-1)[0]
    found = encoder.video(video)
    np.testing.assert_allclose(found.vectors[0], first, atol=1e-5)
    assert float(found.vectors[0] @ MomentEncoder(tiny_backbone).video(video).vectors[0]) < 0.999


def test_the_whole_video_is_embedded_as_it_is_classified(tiny_backbone, model, video):
    predictor = Predictor(tiny_backbone)
    frozen = MomentEncoder(tiny_backbone, sampling="fps:8")
    expected = F.normalize(torch.from_numpy(predictor.embed_video(video)), dim=-1)
    np.testing.assert_allclose(frozen.video(video).whole, expected, atol=1e-4)


def test_moments_are_found_by_what_they_show(encoder, video, tmp_path):
    found = encoder.video(video)
    Image.fromarray(picture(BLUE)).save(tmp_path / "blue.png")
    by_image = found.vectors @ encoder.image(tmp_path / "blue.png")
    assert by_image.argmax() == 3
    assert np.array_equal(by_image, found.vectors @ encoder.image(Image.fromarray(picture(BLUE))))
    by_segment = found.vectors @ encoder.segment(video, 0.5, 2.0)
    assert by_segment.argmax() == 0
    assert by_segment[0] > 0.99


def test_a_segment_is_of_what_is_shown_in_it(encoder, video):
    blue = encoder.segment(video, 6.0)
    np.testing.assert_allclose(encoder.segment(video, 7.0, 7.01), blue, atol=0.05)  # between two sampled frames
    np.testing.assert_allclose(encoder.segment(video, 6.0, 1e6), blue, atol=1e-5)
    assert float(encoder.segment(video, 0.0, 4.9) @ blue) < 0.99
    np.testing.assert_allclose(encoder.segment(video, 2.0, 6.0), encoder.video(video).vectors[1], atol=1e-5)


def test_frames_before_a_segment_are_not_encoded(encoder, video, monkeypatch):
    encoded = []
    real = type(encoder.backbone).encode_frames
    monkeypatch.setattr(
        type(encoder.backbone), "encode_frames", lambda self, frames: encoded.append(len(frames)) or real(self, frames)
    )
    encoder.segment(video, 9.0, 10.0)
    assert sum(encoded) <= 5


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (3.0, 2.0, "A segment must begin at 0 or later and before it ends, found 3 to 2.0 s"),
        (-1.0, 2.0, "A segment must begin at 0 or later and before it ends, found -1 to 2.0 s"),
        (float("nan"), 2.0, "A segment must begin at 0 or later"),
        (11.0, 12.0, r"red then blue.mp4 is 10.00 s long, found a segment from 11 s on; name a part of it"),
    ],
)
def test_segments_that_are_not_there_are_one_line(encoder, video, start, end, message):
    with pytest.raises(UsageError, match=message):
        encoder.segment(video, start, end)


def test_sentences_are_embedded_as_they_are(encoder, tiny_backbone):
    sentence = "a red square, then Something_Else"
    expected = F.normalize(tiny_backbone.encode_text([sentence]), dim=-1)
    np.testing.assert_allclose(encoder.texts([sentence]), expected.cpu(), atol=1e-6)
    assert encoder.texts([]).shape == (0, 128)


def test_an_adapter_puts_its_prompt_around_sentences(tiny_backbone, model):
    encoder = MomentEncoder(tiny_backbone, model, num_frames=8)
    with torch.no_grad():
        expected = F.normalize(model.embed_text(model.slots(["a red square"])), dim=-1)
    np.testing.assert_allclose(encoder.texts(["a red square"]), expected, atol=1e-6)


@pytest.mark.parametrize("adapter", [False, True])
@pytest.mark.parametrize("text", ["red " * 200, "x" * 2_000_000])
def test_absurdly_long_queries_are_one_short_line(tiny_backbone, model, text, adapter):
    encoder = MomentEncoder(tiny_backbone, model if adapter else None)
    with pytest.raises(
        PromptTooLongError, match=r"Query '.*\.\.\.' has \d+ (tokens|letters), .* takes at most"
    ) as error:
        encoder.texts(["a fine one", text])
    assert len(str(error.value)) < 200


def test_the_longest_text_that_fits_passes_the_check(tiny_backbone, model):
    told = []
    for encoder in (MomentEncoder(tiny_backbone), MomentEncoder(tiny_backbone, model)):
        for count in range(1, 100):
            try:
                encoder.texts(["red " * count])
            except PromptTooLongError as error:
                told.append(str(error))
                break
    assert len(told) == 2
    assert all(line.startswith("Query 'red red") for line in told)  # never the model's own line, which comes later


@pytest.mark.parametrize("text", ["", "  \n", "stray \udcff byte"])
def test_texts_without_words_are_one_line(encoder, text):
    with pytest.raises(UsageError, match="A query must be a sentence in UTF-8 text, found"):
        encoder.texts([text])


def test_what_is_no_image_is_one_line(encoder, video, tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(VideoError, match=r"empty.png: cannot be read as an image: .*; name a PNG or JPEG file"):
        encoder.image(tmp_path / "empty.png")
    with pytest.raises(VideoError, match="cannot be read as an image: No such file"):
        encoder.image(tmp_path / "absent.png")
    with pytest.raises(VideoError, match="cannot be read as an image"):
        encoder.image(video)
    os.mkfifo(tmp_path / "pipe.png")  # nobody writes to it
    with pytest.raises(VideoError, match=r"pipe.png: cannot be read as an image: it is not a regular file"):
        encoder.image(tmp_path / "pipe.png")


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_features_without_direction_are_refused(encoder, value):
    features = np.full((8, 128), value, np.float32)
    with pytest.raises(VideoError, match=r"clip: cannot be indexed: its features have no direction; leave it out"):
        encoder.stream(iter([(features, np.arange(8) / 4)]), 2.0, name="clip")
    with pytest.raises(VideoError, match=r"clip: cannot be indexed: it has no frame features"):
        encoder.stream(iter([]), 2.0, name="clip")


def test_windows_need_a_rate():
    rates = [moment_sampling(text, num_frames=16, window_seconds=4) for text in ("fps:8", "uniform:16", "all")]
    assert rates == ["fps:8", "fps:4", "fps:4"]
    assert moment_sampling("uniform:16", num_frames=16, window_seconds=2) == "fps:8"


@pytest.mark.parametrize(("window", "hop"), [(0, 0), (4, 5), (float("nan"), 1), (4, -1), (float("inf"), 1)])
def test_windows_that_mean_nothing_are_one_line(tiny_backbone, window, hop):
    with pytest.raises(UsageError, match="A window must be a number of seconds above 0"):
        MomentEncoder(tiny_backbone, window_seconds=window, hop_seconds=hop)


def test_progress_is_told_in_seconds_of_the_video(encoder, video):
    told = []
    encoder.video(video, on_progress=lambda *seconds: told.append(seconds))
    assert told[-2:] == [(pytest.approx(9.75), 10.0), (10.0, 10.0)]


def test_a_picture_of_absurd_size_is_refused_before_it_fills_the_memory(tiny_backbone, tmp_path):
    path = tmp_path / "bomb.png"
    Image.new("1", (12_000, 9_000)).save(path)
    with pytest.raises(VideoError, match="cannot be read as an image"):
        MomentEncoder(tiny_backbone).image(path)
