"""Both stages as one localizer: fusion, proposals of others, names that compete, and the training losses."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framecue.config import LocalizationConfig, ModelConfig, RunConfig
from framecue.datasets.untrimmed_set import UntrimmedSet, WindowBatch
from framecue.models.builders import build_localization
from framecue.models.localization import segment_frames
from framecue.models.proposal_targets import assign_targets
from framecue.models.proposals import ProposalNetwork, ProposalOutput, pyramid_points
from framecue.tasks.localization import (
    NAMED_AT_ONCE,
    FrozenNamer,
    GivenProposals,
    GridProposer,
    LocalizationTask,
    NetworkProposals,
    PromptedNamer,
    TwoStage,
    proposal_loss,
    score_curves,
)
from framecue.tasks.streaming import FeatureWindow, GatherSettings, as_chunks, localize_stream, windows
from framecue.types import AnnotatedVideo, FrameFeatures, Segment

MODEL = ModelConfig(n_prefix=2, n_suffix=2, temporal_layers=1, temporal_heads=4, num_frames=4)
SIZES = LocalizationConfig(width=16, levels=3, window=16)


def window(num_features, dim=4, *, seed=0):
    features = np.random.default_rng(seed).normal(size=(num_features, dim)).astype(np.float32)
    return FeatureWindow(features, np.linspace(0, num_features / 2, num_features + 1), 0, (0, num_features), True)


@pytest.fixture(scope="module")
def model(tiny_backbone):
    return build_localization(MODEL, SIZES, tiny_backbone, seed=0).eval()


class Constant:
    """The same rows for every segment, or the given ones."""

    def __init__(self, rows):
        self.rows = np.array(rows, dtype=np.float32)

    def __call__(self, shown, segments):
        return np.tile(self.rows, (len(segments), 1)) if self.rows.ndim == 1 else self.rows


class Proposed(GridProposer):
    """The same segments of every window."""

    def __init__(self, segments, scores):
        self._answer = segments, scores

    def __call__(self, shown):
        return self._answer


def two_stage(proposer, namer, labels=("a", "b"), **more):
    return TwoStage(proposer, namer, tuple(labels), sampling="all", window=16, stride=8, **more)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
def test_fusion(weight):
    segments, sure = np.array([[0.0, 2.0], [3.0, 8.0]]), np.array([0.5, 0.0], np.float32)
    names = [[0.9, 0.1], [0.2, 0.0]]
    localizer = two_stage(Proposed(segments, sure), Constant(names), fusion_weight=weight)
    answer = localizer(window(8))
    expected = [[p ** (1 - weight) * c**weight for c in row] for p, row in zip(sure.tolist(), names, strict=True)]
    np.testing.assert_allclose(answer.scores, expected, rtol=1e-6)
    assert answer.scores.dtype == np.float32
    assert answer.segments.tolist() == [[0.0, 1.0], [1.5, 4.0]]
    np.testing.assert_array_equal(answer.curves, score_curves(segments, answer.scores, 8))


def test_a_window_without_proposals():
    localizer = two_stage(Proposed(np.zeros((0, 2)), np.zeros(0, np.float32)), Constant([0.5, 0.5]))
    answer = localizer(window(8))
    assert answer.segments.shape == answer.scores.shape == (0, 2)
    assert answer.curves.tolist() == [[0, 0]] * 8


def test_curves_hold_the_best_segment_over_each_feature():
    curves = score_curves(np.array([[0.0, 2.6], [2.0, 4.0]]), np.array([[0.5, 0.1], [0.2, 0.3]], np.float32), 5)
    np.testing.assert_allclose(curves[:, 0], [0.5, 0.5, 0.5, 0.2, 0])
    np.testing.assert_allclose(curves[:, 1], [0.1, 0.1, 0.3, 0.3, 0])


def untrimmed(num_features, steps, seed):
    rng = np.random.default_rng(seed)
    pts = np.cumsum(rng.choice(steps, num_features))
    return FrameFeatures(np.zeros((num_features, 2), np.float32), pts, float(pts[-1]) + 0.05)


@settings(max_examples=60)
@given(st.integers(1, 70), st.integers(0, 1000), st.sampled_from([(0.125,), (0.05, 0.1, 5.0)]), st.integers(1, 16))
def test_given_proposals_are_each_named_once_and_keep_their_times(num_features, seed, steps, stride):
    """However windows overlap, at any frame rate: long ones, empty-looking ones, ones that reach out of the video, and
    ones whose middle is where one window's core ends and the next one's begins."""
    video = untrimmed(num_features, steps, seed)
    rng = np.random.default_rng((seed, 1))
    ends = rng.uniform(-2, video.duration_seconds + 2, (30, 2))
    cut = windows(as_chunks(video), window=16, stride=stride, duration_seconds=video.duration_seconds)
    borders = [bound for shown in cut for bound in shown.core_seconds]
    around = [[bound - half, bound + half] for bound in borders for half in (0.03, 1.7)]
    proposals = np.concatenate([np.sort(ends, axis=1), np.array(around)])
    scores = rng.permutation(len(proposals)).astype(np.float32) / len(proposals) + 0.01
    localizer = TwoStage(
        GivenProposals(proposals, scores), Constant([1.0]), ("a",), sampling="all", window=16, stride=stride
    )
    everything = GatherSettings(min_score=0, max_segments=10_000, sigma=None)
    found, _ = localize_stream(as_chunks(video), video.duration_seconds, localizer, everything)
    expected = sorted((*times, score**0.5) for times, score in zip(proposals.tolist(), scores.tolist(), strict=True))
    got = sorted((segment.start_seconds, segment.end_seconds, segment.score) for segment in found)
    assert len(got) == len(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-6)


def test_given_proposals_are_named_by_what_the_window_shows():
    shown = window(8)
    segments, scores = GivenProposals(np.array([[1.0, 2.0], [3.0, 99.0]]), np.array([0.4, 0.6], np.float32))(shown)
    assert segments.tolist() == [[2.0, 4.0], [6.0, 8.0]]
    assert scores.tolist() == pytest.approx([0.4, 0.6])


def test_frames_of_segments_by_hand():
    segments = np.array([[0.0, 8.0], [2.0, 4.0], [3.2, 3.6], [6.0, 12.0], [-3.0, -3.0]])
    places = segment_frames(segments, 10, num_frames=4)
    assert places.tolist() == [[1, 3, 5, 7], [2, 2, 3, 3], [3] * 4, [6, 8, 9, 9], [0] * 4]
    assert segment_frames(segments[1:2], 10, num_frames=4, context=0.5).tolist() == [[1, 2, 3, 4]]
    drawn = segment_frames(np.tile(segments[:1], (200, 1)), 10, num_frames=4, rng=np.random.default_rng(0))
    assert {tuple(row) for row in drawn.tolist()} == {(0, 2, 4, 6), (1, 3, 5, 7)}


def test_other_names_take_their_share_and_are_not_given(model, tiny_backbone):
    classifier, shown = model.classifier, window(12, tiny_backbone.embed_dim)
    segments = np.array([[0.0, 4.0], [2.0, 3.0], [5.0, 12.0]])
    names = ["running", "jumping", "sleeping", "eating"]
    with torch.no_grad():
        text = classifier.embed_text(classifier.slots(names))
    every = PromptedNamer(classifier, text, num_frames=4)
    asked = PromptedNamer(classifier, text, num_frames=4, num_others=2)
    np.testing.assert_array_equal(asked(shown, segments), every(shown, segments)[:, :2])
    np.testing.assert_allclose(every(shown, segments).sum(axis=1), 1, rtol=1e-5)
    assert (asked(shown, segments).sum(axis=1) < 1).all()
    assert asked(shown, np.zeros((0, 2))).shape == (0, 2)
    softer = PromptedNamer(classifier, text, num_frames=4, num_others=2, temperature=2.0)
    exponents = np.exp(every.logits(shown, segments) / 2)
    expected = exponents[:, :2] / exponents.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softer(shown, segments), expected, rtol=1e-4)
    frozen, frozen_asked = (FrozenNamer(text.float(), scale=3.0, num_others=others) for others in (0, 2))
    np.testing.assert_array_equal(frozen_asked(shown, segments), frozen(shown, segments)[:, :2])
    assert frozen_asked(shown, np.zeros((0, 2))).shape == (0, 2)


def test_a_segment_is_named_as_the_trimmed_video_it_is(model, tiny_backbone):
    """Whatever stands around it, and however many segments are named at once."""
    classifier, shown = model.classifier, window(40, tiny_backbone.embed_dim)
    rng = np.random.default_rng(0)
    segments = np.sort(rng.uniform(0, 40, (NAMED_AT_ONCE + 5, 2)), axis=1)
    with torch.no_grad():
        text = classifier.embed_text(classifier.slots(["running", "jumping"]))
    namer = PromptedNamer(classifier, text, num_frames=4)
    together = namer.logits(shown, segments)
    for row in (0, NAMED_AT_ONCE - 1, NAMED_AT_ONCE, NAMED_AT_ONCE + 4):
        inside = shown.frame_features[segment_frames(segments[row : row + 1], 40, num_frames=4)[0]]
        with torch.no_grad():
            alone = classifier.logits(classifier.embed_video(torch.from_numpy(inside)[None]), text)
        np.testing.assert_allclose(together[row], alone[0].numpy(), atol=1e-5)


def test_network_proposals_lie_in_the_window(model, tiny_backbone):
    segments, scores = NetworkProposals(model.proposals, max_proposals=7)(window(20, tiny_backbone.embed_dim))
    assert segments.shape == (7, 2)
    assert segments.dtype == np.float64
    assert (segments >= 0).all()
    assert (segments <= 20).all()
    assert (np.diff(scores) <= 0).all()


class Said(torch.nn.Module):
    """A network that says what it was told."""

    def __init__(self, length, segments, actionness, quality):
        super().__init__()
        self.scale = torch.zeros(1)
        self.points = pyramid_points(length, 1)
        bounds = torch.tensor(segments).expand(length, 2)
        offsets = torch.stack([self.points.centers - bounds[:, 0], bounds[:, 1] - self.points.centers], dim=-1)
        self.offsets = torch.nn.Parameter(offsets.clamp(min=0)[None])
        self.actionness = torch.nn.Parameter(torch.tensor(actionness)[None])
        self.quality = torch.nn.Parameter(torch.tensor(quality)[None])

    def forward(self, frame_features, valid_mask):
        return ProposalOutput(self.actionness, self.offsets, self.quality, valid_mask, self.points)


def batch_of(length, actions, ignored=(), *, valid=None):
    mask = torch.arange(length)[None] < (length if valid is None else valid)
    parts = [torch.tensor(part, dtype=torch.float32).reshape(-1, 2) for part in (actions, ignored)]
    return WindowBatch(torch.zeros(1, length, 3), mask, [parts[0]], [parts[1]])


def test_loss_by_hand():
    """One action [2, 5) of a window of 6, three positive points, which say [2, 4.5)."""
    net = Said(6, [2.0, 4.5], [-3.0, -3.0, 2.0, 2.0, 2.0, -3.0], [0.5] * 6)
    batch = batch_of(6, [(2.0, 5.0)])
    positive = assign_targets(net.points, batch.actions, batch.ignored).positive[0]
    assert positive.tolist() == [False, False, True, True, True, False]
    p = torch.tensor(2.0).sigmoid()
    n = torch.tensor(-3.0).sigmoid()
    focal = 3 * -0.25 * (1 - p) ** 2 * p.log() + 3 * -0.75 * n**2 * (1 - n).log()
    overlap = 2.5 / 3
    location = 3 * (1 - overlap + (0.25 / 3) ** 2)
    seen = torch.tensor(0.5).sigmoid()
    quality = -3 * (overlap * seen.log() + (1 - overlap) * (1 - seen).log())
    assert proposal_loss(net, batch).item() == pytest.approx(float(focal + location + quality) / 3, rel=1e-5)
    weighted = proposal_loss(net, batch, location_weight=0.0, quality_weight=2.0)
    assert weighted.item() == pytest.approx(float(focal + 2 * quality) / 3, rel=1e-5)


def test_what_is_unknown_or_not_there_teaches_nothing():
    net = Said(8, [2.0, 4.75], [0.3] * 8, [0.5] * 8)
    proposal_loss(net, batch_of(8, [(2.0, 5.0)], [(0.0, 1.0), (4.0, 6.0)], valid=7)).backward()
    silent = net.actionness.grad[0] == 0
    assert silent.tolist() == [True, False, False, False, False, True, False, True]  # 4.5 is positive: it counts
    assert (net.offsets.grad[0].abs().sum(-1) > 0).tolist() == [False, False, True, True, True, False, False, False]
    assert (net.quality.grad[0] != 0).tolist() == [False, False, True, True, True, False, False, False]


def test_quality_does_not_move_the_boundaries():
    net = Said(6, [2.0, 4.5], [0.0] * 6, [0.5] * 6)
    proposal_loss(net, batch_of(6, [(2.0, 5.0)]), location_weight=0.0, quality_weight=5.0).backward()
    assert net.offsets.grad is None or net.offsets.grad.abs().sum() == 0
    assert net.quality.grad.abs().sum() > 0


def test_windows_without_actions_teach_background():
    net = Said(6, [2.0, 4.5], [0.0] * 6, [0.5] * 6)
    loss = proposal_loss(net, batch_of(6, []))
    loss.backward()
    assert loss.item() == pytest.approx(6 * 0.75 * 0.25 * np.log(2), rel=1e-5)
    assert (net.actionness.grad > 0).all()
    everything = Said(6, [2.0, 4.5], [0.0] * 6, [0.5] * 6)
    assert proposal_loss(everything, batch_of(6, [], [(0.0, 6.0)])).item() == 0


def test_the_network_learns_where_bumps_are():
    """Segments of constant features in noise: after some steps the best proposal of a new window lies on its bump."""
    rng = np.random.default_rng(0)

    def bumps(count):
        features = 0.3 * torch.from_numpy(rng.normal(size=(count, 32, 3))).float()
        starts, lengths = rng.integers(2, 16, count), rng.integers(4, 13, count)
        spans = [(float(start), float(start + length)) for start, length in zip(starts, lengths, strict=True)]
        for row, (start, end) in enumerate(spans):
            features[row, int(start) : int(end), 0] += 3
        empty = torch.zeros(0, 2)
        return WindowBatch(
            features, torch.ones(count, 32, dtype=torch.bool), [torch.tensor([span]) for span in spans], [empty] * count
        )

    net = ProposalNetwork(3, width=16, levels=3, stem_layers=1, head_layers=1, dropout=0.0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(120):
        optimizer.zero_grad()
        proposal_loss(net, bumps(16)).backward()
        optimizer.step()
    test = bumps(20)
    hits = 0
    for features, action in zip(test.frame_features, test.actions, strict=True):
        shown = FeatureWindow(features.numpy(), np.arange(33.0), 0, (0, 32), True)
        segments, _ = NetworkProposals(net.eval(), max_proposals=1)(shown)
        start, end = action[0].tolist()
        overlap = max(0.0, min(end, segments[0, 1]) - max(start, segments[0, 0]))
        hits += overlap / (max(end, segments[0, 1]) - min(start, segments[0, 0])) > 0.7
    assert hits >= 17


def make_task(tiny_backbone, train_parts, *, dropout=0.3):
    sizes = {"width": 16, "levels": 3, "window": 16, "windows_per_step": 2, "dropout": dropout}
    config = RunConfig.model_validate(
        {
            "task": "localization",
            "out": "x",
            "data": {"source": "x"},
            "model": MODEL.model_dump(),
            "train": {"batch_size": 3},
            "localization": {**sizes, "train_parts": train_parts, "jitter": 0.2},
        }
    )
    rng = np.random.default_rng(0)
    stored = {
        f"h{row}": FrameFeatures(
            rng.normal(size=(40, tiny_backbone.embed_dim)).astype(np.float32), np.arange(40) / 8, 5.0
        )
        for row in range(3)
    }
    spans = (Segment(0.5, 1.5, "running"), Segment(2.0, 4.0, "jumping"))
    videos = [AnnotatedVideo(name, 5.0, None, spans) for name in stored]
    data = UntrimmedSet(videos, list(stored), ("jumping", "running"), lambda keys: [stored[key] for key in keys])
    built = build_localization(config.model, config.localization, tiny_backbone, seed=0)
    return LocalizationTask(built, data, None, config)


@pytest.mark.parametrize("parts", [["proposals"], ["classifier"], ["proposals", "classifier"]])
def test_a_steps_loss_follows_from_seed_and_iteration_and_trains_its_parts(tiny_backbone, parts):
    """Dropout, too, whatever was drawn before; and torch's own generator is left as it was."""
    first, second = (make_task(tiny_backbone, parts) for _ in range(2))
    losses = [first.loss(step).item() for step in range(3)]
    torch.manual_seed(77)
    before = torch.get_rng_state()
    assert [second.loss(step).item() for step in (2, 1, 0)] == losses[::-1]
    assert torch.equal(torch.get_rng_state(), before)
    assert len(set(losses)) == 3
    second.loss(0).backward()
    trained = {
        name.split(".")[0] for name, p in second.model.named_parameters() if p.grad is not None and p.grad.abs().sum()
    }
    assert trained == set(parts)
    assert all(parameter.grad is None for parameter in tiny_backbone.model.parameters())


def test_dropout_differs_from_step_to_step(tiny_backbone):
    """The same batch (all videos, whole in the window) is not seen through the same holes twice."""
    task = make_task(tiny_backbone, ["proposals"], dropout=0.5)
    plain = make_task(tiny_backbone, ["proposals"], dropout=0.0)
    assert task.loss(0).item() != plain.loss(0).item()
    assert plain.validate() == {}
