"""The proposal network: what lies beyond a window changes nothing, points lie where they say, decoding stays inside."""

import pytest
import torch

from framecue.models.proposals import (
    PRIOR,
    ProposalNetwork,
    ProposalOutput,
    decode_proposals,
    pyramid_points,
    segments_at,
)

DIM, WIDTH = 12, 16


def network(levels=3, **more):
    torch.manual_seed(1)
    return ProposalNetwork(DIM, width=WIDTH, levels=levels, **more).eval()


def whole(length, batch=1):
    return torch.ones(batch, length, dtype=torch.bool)


@pytest.mark.parametrize("length", [1, 2, 5, 13, 24])
@torch.no_grad()
def test_a_padded_window_says_what_it_says_alone(length):
    """Whatever stands beyond the mask, and whatever other window is in the batch."""
    net, features = network(), torch.randn(1, length, DIM)
    alone = net(features, whole(length))
    padded = 100 * torch.randn(2, 24, DIM)
    padded[0, :length] = features[0]
    mask = whole(24, 2)
    mask[0, length:] = False
    batch = net(padded, mask)
    kept = batch.valid_mask[0]
    assert int(kept.sum()) == len(alone.points.centers)
    assert torch.equal(batch.points.centers[kept], alone.points.centers)
    assert torch.equal(batch.points.levels[kept], alone.points.levels)
    for name in ("actionness_logits", "offsets", "quality_logits", "segments"):
        torch.testing.assert_close(getattr(batch, name)[0][kept], getattr(alone, name)[0], atol=1e-5, rtol=1e-5)
    (segments, scores), _ = decode_proposals(batch, [length, 24], max_proposals=50)
    ((expected, expected_scores),) = decode_proposals(alone, [length], max_proposals=50)
    torch.testing.assert_close(segments, expected, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(scores, expected_scores, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_padding_is_no_feature_of_zeros():
    """The mask decides, not the value: the same zeros as features of the video say something else."""
    net, features = network(), torch.zeros(1, 16, DIM)
    features[0, :8] = torch.randn(8, DIM)
    mask = whole(16)
    mask[0, 8:] = False
    masked, real = net(features, mask), net(features, whole(16))
    assert not torch.allclose(masked.actionness_logits[0, :8], real.actionness_logits[0, :8], atol=1e-4)


def test_points_by_hand():
    points = pyramid_points(5, 3)
    assert points.centers.tolist() == [0.5, 1.5, 2.5, 3.5, 4.5, 0.5, 2.5, 4.5, 0.5, 4.5]
    assert points.strides.tolist() == [1] * 5 + [2] * 3 + [4] * 2
    assert points.levels.tolist() == [0] * 5 + [1] * 3 + [2] * 2
    offsets = torch.tensor([[1.0, 2.0]]).expand(10, 2)
    assert segments_at(points, offsets)[6].tolist() == [1.5, 4.5]


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 31, 64, 65])
@pytest.mark.parametrize("levels", [1, 4, 7])
@torch.no_grad()
def test_any_length_has_its_points(length, levels):
    output = network(levels)(torch.randn(2, length, DIM), whole(length, 2))
    count = sum(-(-length // 2**level) for level in range(levels))
    assert output.actionness_logits.shape == output.quality_logits.shape == output.valid_mask.shape == (2, count)
    assert output.offsets.shape == output.segments.shape == (2, count, 2)
    assert len(output.points.centers) == count
    assert (output.points.centers < length).all()
    assert (output.offsets >= 0).all()
    assert (output.segments[..., 0] <= output.points.centers).all()
    assert (output.segments[..., 1] >= output.points.centers).all()


@torch.no_grad()
def test_lengths_grow_with_the_level():
    """The same answer of the head means twice the frames one level up."""
    net = network(4)
    for parameter in (net.offset.weight, net.offset.bias):
        parameter.zero_()
    output = net(torch.randn(1, 16, DIM), whole(16))
    torch.testing.assert_close(
        output.offsets[0], (torch.log(torch.tensor(2.0)) * output.points.strides)[:, None].expand(-1, 2)
    )


@torch.no_grad()
def test_few_points_are_taken_for_actions_at_the_start():
    net = ProposalNetwork(DIM, width=64).eval()
    net.actionness.weight.zero_()
    said = net(torch.randn(1, 8, DIM), whole(8)).actionness_logits.sigmoid()
    torch.testing.assert_close(said, torch.full_like(said, PRIOR))


def answer(segments, actionness, quality, valid=None):
    """An output whose points say these segments."""
    bounds = torch.tensor(segments, dtype=torch.float32)
    points = pyramid_points(len(segments), 1)
    offsets = torch.stack([points.centers - bounds[:, 0], bounds[:, 1] - points.centers], dim=-1)
    mask = torch.ones(len(segments), dtype=torch.bool) if valid is None else torch.tensor(valid)
    logits = [torch.tensor(part, dtype=torch.float32).logit()[None] for part in (actionness, quality)]
    return ProposalOutput(logits[0], offsets[None], logits[1], mask[None], points)


def test_decoding_by_hand():
    output = answer(
        [[-3.0, 2.0], [1.0, 2.0], [1.5, 9.0], [5.5, 7.0], [0.0, 5.0]],
        [0.5, 0.9, 0.25, 0.99, 0.9],
        [0.5, 0.4, 0.25, 0.99, 0.9],
        [True, True, True, True, False],
    )
    ((segments, scores),) = decode_proposals(output, [5], max_proposals=10)
    # The fourth lies beyond the window's 5 features, the fifth is said by a point that is not there.
    assert segments.tolist() == [[1.0, 2.0], [0.0, 2.0], [1.5, 5.0]]
    assert scores.tolist() == pytest.approx([0.6, 0.5, 0.25])
    ((segments, scores),) = decode_proposals(output, [5], max_proposals=2, min_score=0.3)
    assert segments.tolist() == [[1.0, 2.0], [0.0, 2.0]]
    ((segments, scores),) = decode_proposals(output, [5], max_proposals=2, min_score=0.7)
    assert (segments.shape, scores.shape) == ((0, 2), (0,))


@pytest.mark.parametrize("length", [1, 6, 33])
def test_decoding_stays_inside_and_best_first(length):
    net = network(5)
    with torch.no_grad():
        net.offset.weight.mul_(40)
    ((segments, scores),) = decode_proposals(net(torch.randn(1, length, DIM), whole(length)), [length], max_proposals=9)
    assert 1 <= len(segments) <= 9
    assert (segments >= 0).all()
    assert (segments <= length).all()
    assert (segments[:, 0] < segments[:, 1]).all()
    assert (scores[:-1] >= scores[1:]).all()
    assert ((scores > 0) & (scores <= 1)).all()
    assert not segments.requires_grad


def test_gradient_reaches_every_parameter():
    net = network(4).train()
    output = net(torch.randn(2, 40, DIM), whole(40, 2))
    draws = [torch.randn_like(part) for part in (output.actionness_logits, output.offsets, output.quality_logits)]
    parts = (output.actionness_logits, output.offsets, output.quality_logits)
    sum((part * draw).sum() for part, draw in zip(parts, draws, strict=True)).backward()
    silent = [name for name, parameter in net.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert silent == []


def test_number_of_trained_numbers():
    """By hand, with C channels, L levels, S and H layers: it does not grow with the window."""
    levels, stem, head, c = 4, 1, 3, WIDTH
    block = 2 * c + (7 * c + c) + 2 * c + (c * 2 * c + 2 * c) + (2 * c * c + c)
    conv = 3 * c * c + c
    expected = 2 * DIM + DIM * c + c + (stem + levels) * block + (levels - 1) * conv
    expected += 2 * head * (conv + 2 * c) + 2 * (c + 1) + (2 * c + 2) + levels
    net = network(levels, stem_layers=stem, head_layers=head)
    assert sum(parameter.numel() for parameter in net.parameters()) == expected


@torch.no_grad()
def test_a_shifted_video_has_a_shifted_answer():
    """By a step of the coarsest level, away from the borders: no place of the grid is special."""
    levels, length = 3, 160
    shift = 2 ** (levels - 1)
    net, features = network(levels, stem_layers=1, head_layers=1), torch.randn(1, length + shift, DIM)
    first, later = net(features[:, shift:], whole(length)), net(features[:, :-shift], whole(length))
    margin = 60  # more than the reach of all convolutions
    for level in range(levels):
        steps, mine = shift >> level, first.points.levels == level
        inner = slice(margin >> level, (length - margin) >> level)
        moved = slice(inner.start + steps, inner.stop + steps)
        for name in ("actionness_logits", "quality_logits", "offsets"):
            here, there = getattr(first, name)[0][mine], getattr(later, name)[0][mine]
            torch.testing.assert_close(here[inner], there[moved], atol=1e-5, rtol=1e-5)
            assert not torch.allclose(here[inner], there[inner], atol=1e-3)


def test_dropout_is_for_training_alone():
    net, features = network(dropout=0.5), torch.randn(1, 16, DIM)
    first, second = (net(features, whole(16)).actionness_logits for _ in range(2))
    assert torch.equal(first, second)
    net.train()
    first, second = (net(features, whole(16)).actionness_logits for _ in range(2))
    assert not torch.equal(first, second)
