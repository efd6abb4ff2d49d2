"""Predictor.localize on rendered files: the same as from stored features, bounded, and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pytest

import framecue
from framecue.config import LocalizationConfig, ModelConfig
from framecue.datasets.world import write_untrimmed
from framecue.errors import UsageError, VideoError
from framecue.features.encode import FeatureStream, encode_video
from framecue.models.adapter import make_card, save_adapter
from framecue.models.builders import build_localization, build_model
from framecue.models.handcrafted import Handcrafted
from framecue.segments import temporal_iou
from framecue.tasks.localize_video import outside
from framecue.tasks.spotting import ADAPTER_MIN_SCORE
from framecue.tasks.streaming import GatherSettings, as_chunks, localize_stream
from framecue.types import Localization, ScoredSegment, Skipped
from framecue.video.writer import write_video

LABELS = ["growing", "circling", "turning clockwise"]
CLASSES = ("growing", "circling", "moving right")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("untrimmed")
    write_untrimmed(folder, seed=3, classes=CLASSES, num_videos={"val": 2}, workers=0)
    return folder


@pytest.fixture(scope="module")
def video(world):
    return min(world.rglob("*.mp4"))


@pytest.fixture(scope="module")
def truth(world, video):
    from framecue.datasets.localization import read_ground_truth

    return next(
        entry for entry in read_ground_truth(world / "ground_truth.json").videos if entry.video_id == video.stem
    )


@pytest.fixture(scope="module")
def predictor(tiny_backbone):
    return framecue.load(backbone=tiny_backbone)


@pytest.fixture(scope="module")
def still(tmp_path_factory):
    path = tmp_path_factory.mktemp("still") / "still.mp4"
    write_video(path, np.full((120, 96, 128, 3), 60, np.uint8), 12)
    return path


def test_segments_are_best_first_inside_and_of_the_asked_names(predictor, video):
    answer = predictor.localize(video, LABELS, min_score=0.0, curves=True)
    scores = [segment.score for segment in answer.segments]
    assert scores == sorted(scores, reverse=True)
    assert len(scores) > 3
    assert {segment.label for segment in answer.segments} <= set(LABELS)
    assert all(0 <= s.start_seconds < s.end_seconds <= answer.duration_seconds for s in answer.segments)
    assert answer.curves.labels == tuple(LABELS)
    assert answer.curves.edges_seconds[-1] == pytest.approx(answer.duration_seconds, abs=0.2)
    assert predictor.localize(video, LABELS, min_score=0.0).segments == answer.segments
    assert predictor.localize(video, LABELS).curves is None
    few = predictor.localize(video, LABELS, min_score=0.0, max_segments=2)
    assert few.segments == answer.segments[:2]


def test_the_actions_are_among_the_segments(predictor, video, truth):
    answer = predictor.localize(video, LABELS, min_score=0.0)
    found = np.array([(s.start_seconds, s.end_seconds) for s in answer.segments])
    real = np.array([(s.start_seconds, s.end_seconds) for s in truth.segments])
    assert temporal_iou(real, found).max(axis=1).min() > 0.6


def test_streaming_equals_stored_features(predictor, tiny_backbone, video):
    localizer = predictor._localizer(tuple(LABELS), judged=False)
    features = encode_video(video, tiny_backbone, localizer.sampling)
    settings = GatherSettings(min_score=0.0)
    stored, _ = localize_stream(as_chunks(features), features.duration_seconds, localizer, settings)
    for chunk_frames in (5, 64):
        chunks = FeatureStream(video, tiny_backbone, localizer.sampling, chunk_frames=chunk_frames)
        streamed, _ = localize_stream(chunks, features.duration_seconds, localizer, settings)
        assert [(s.start_seconds, s.end_seconds, s.label) for s in streamed] == [
            (s.start_seconds, s.end_seconds, s.label) for s in stored
        ]
        np.testing.assert_allclose([s.score for s in streamed], [s.score for s in stored], atol=1e-4)
    assert predictor.localize(video, LABELS, min_score=0.0).segments == stored


def test_a_video_in_which_nothing_happens(predictor, still):
    answer = predictor.localize(still, LABELS)
    assert (answer.path, answer.labels, answer.segments) == (still, tuple(LABELS), [])
    assert answer.duration_seconds == pytest.approx(10, abs=0.1)


def test_somebody_elses_proposals_are_named(predictor, video):
    duration = predictor.localize(video, LABELS).duration_seconds
    given = [
        ScoredSegment(1.0, 4.0, None, 0.9),
        ScoredSegment(6.0, 9.0, None, 0.04),
        ScoredSegment(duration - 1, duration + 5, None, 0.5),
        ScoredSegment(duration + 1, duration + 3, None, 0.8),
        ScoredSegment(-3.0, 0.0, None, 0.8),
    ]
    answer = predictor.localize(video, LABELS, proposals=given)
    spans = {(s.start_seconds, s.end_seconds) for s in answer.segments}
    assert {(1.0, 4.0), (6.0, 9.0)} <= {(round(a, 6), round(b, 6)) for a, b in spans}
    assert len(spans) == 3
    assert len(answer.segments) == 3 * len(LABELS)
    assert max(end for _, end in spans) <= duration
    assert outside(given, duration) == given[3:]
    assert predictor.localize(video, LABELS, proposals=()).segments == []


def test_progress_reaches_the_end(predictor, video):
    calls = []
    answer = predictor.localize(video, LABELS, on_progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (answer.duration_seconds, answer.duration_seconds)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_many_files_go_on_past_a_bad_one(predictor, video, still, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    seen = []
    answers = list(
        predictor.localize_many(
            [video, tmp_path / "bad.mp4", still],
            iter(LABELS),
            proposals={video: [ScoredSegment(1, 2, None, 0.5)]},
            on_progress=lambda path, done, total: seen.append(path),
        )
    )
    assert [type(answer) for answer in answers] == [Localization, Skipped, Localization]
    alone = predictor.localize(video, LABELS, proposals=[ScoredSegment(1, 2, None, 0.5)])
    assert answers[0].segments == alone.segments
    assert answers[2].segments == []  # not named among the proposals
    assert set(seen) == {video, still}


def test_an_adapter_looks_for_its_own_classes(tiny_backbone, video, tmp_path):
    config = ModelConfig(temporal_layers=1, num_frames=8)
    model = build_model(config, tiny_backbone, seed=0)
    card = make_card(tiny_backbone, config, LABELS, backbone_id="tiny", sampling="fps:4")
    save_adapter(tmp_path, model, card)
    adapted = framecue.load(tmp_path, backbone=tiny_backbone)
    answer = adapted.localize(video, min_score=0.0, curves=True)
    assert set(answer.labels) == set(LABELS)
    assert {segment.label for segment in answer.segments} <= set(LABELS)
    assert adapted.localize(video, ["swinging"], min_score=0.0).labels == ("swinging",)


def localization_adapter(backbone, folder, class_names, *, train_parts=("proposals", "classifier"), **card):
    config = ModelConfig(n_prefix=2, n_suffix=2, temporal_layers=1, num_frames=8)
    wanted = LocalizationConfig(window=64, width=16, levels=3, max_proposals=20, train_parts=train_parts)
    handcrafted = Handcrafted(backbone, card["templates"], card.get("descriptions")) if "templates" in card else None
    model = build_localization(config, wanted, backbone, seed=0, handcrafted=handcrafted)
    made = make_card(
        backbone, config, class_names, backbone_id="tiny", sampling="fps:4", task="localization", localization=wanted,
        **card,
    )  # fmt: skip
    save_adapter(folder, model, made)
    return framecue.load(folder, backbone=backbone)


@pytest.mark.parametrize("make", ["recognition", "localization"])
def test_own_classes_in_another_spelling_do_not_compete_with_themselves(tiny_backbone, video, tmp_path, make):
    if make == "localization":
        adapted = localization_adapter(tiny_backbone, tmp_path, LABELS)
    else:
        config = ModelConfig(temporal_layers=1, num_frames=8)
        card = make_card(tiny_backbone, config, LABELS, backbone_id="tiny", sampling="fps:4")
        save_adapter(tmp_path, build_model(config, tiny_backbone, seed=0), card)
        adapted = framecue.load(tmp_path, backbone=tiny_backbone)
    asked = [label.replace(" ", "_").title() for label in adapted.class_names]
    expected = adapted.localize(video, min_score=0.0)
    found = adapted.localize(video, asked, min_score=0.0)
    assert found.labels == tuple(asked)
    spelled = dict(zip(adapted.class_names, asked, strict=True))
    assert found.segments == [replace(s, label=spelled[s.label]) for s in expected.segments]
    assert adapted.classify(video, asked).scores == adapted.classify(video).scores


def test_a_localization_adapter_classifies_by_the_words_it_was_trained_with(tiny_backbone, video, tmp_path):
    joined = localization_adapter(tiny_backbone, tmp_path / "joined", ("MovingRight", "TurningClockwise"))
    apart = localization_adapter(tiny_backbone, tmp_path / "apart", ("moving right", "turning clockwise"))
    assert joined.classify(video).scores == apart.classify(video).scores
    np.testing.assert_array_equal(joined.embed_text(["MovingRight"]), apart.embed_text(["moving right"]))


def test_an_adapter_without_a_trained_classifier_classifies_as_the_frozen_backbone(tiny_backbone, video, tmp_path):
    card = {"templates": ("a video of {}.",), "descriptions": {"growing": ("it becomes larger",)}}
    adapted = localization_adapter(tiny_backbone, tmp_path, LABELS, train_parts=("proposals",), **card)
    text = Handcrafted(tiny_backbone, **card)(LABELS)
    np.testing.assert_allclose(adapted.embed_text(LABELS), text.numpy(), atol=1e-6)
    best = adapted.classify(video, LABELS).labels[0]
    assert best == LABELS[int((text.numpy() @ adapted.embed_video(video)).argmax())]
    assert adapted.localize(video, min_score=0.0).segments


@pytest.mark.parametrize("class_names", [LABELS, LABELS[:1]])
def test_an_adapter_without_a_chosen_least_score_does_not_show_everything(tiny_backbone, video, tmp_path, class_names):
    adapted = localization_adapter(tiny_backbone, tmp_path, class_names)
    assert adapted.card.min_score is None
    everything = adapted.localize(video, min_score=0.0).segments
    shown = adapted.localize(video).segments
    assert everything
    assert shown == [segment for segment in everything if segment.score > ADAPTER_MIN_SCORE]


def test_refusals(predictor, video, tmp_path):
    with pytest.raises(UsageError, match="found 'growing' and 'Growing', which are one name; remove one"):
        predictor.localize(video, ["growing", "Growing"])
    with pytest.raises(UsageError, match="no names to choose from"):
        predictor.localize(video)
    with pytest.raises(UsageError, match=r"scores in \[0, 1\] .*, found -2.5 at 1 to 2 s; rescale them"):
        predictor.localize(video, LABELS, proposals=[ScoredSegment(1, 2, None, -2.5)])
    with pytest.raises(UsageError, match="min_score must be a finite number, found nan; 0 takes all"):
        predictor.localize(video, LABELS, min_score=float("nan"))
    with pytest.raises(UsageError, match="max_segments must be at least 1, found 0"):
        next(predictor.localize_many([video], LABELS, max_segments=0))
    with pytest.raises(VideoError):
        predictor.localize(tmp_path / "absent.mp4", LABELS)
