"""Similarity, losses and the sampling of candidate names."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecue.losses import (
    distance_iou_loss,
    focal_loss,
    nce_loss,
    sample_candidates,
    segment_overlap,
    similarity_logits,
)


def test_logits_are_bounded_by_the_scale():
    video = torch.randn(4, 8)
    logits = similarity_logits(video, torch.cat([video, -video]))
    assert logits.abs().max() <= 1 / 0.07 + 1e-4
    torch.testing.assert_close(logits.diagonal(), torch.full((4,), 1 / 0.07))
    torch.testing.assert_close(similarity_logits(video, video, normalize=False), video @ video.T)


def test_one_class_has_no_loss():
    assert nce_loss(torch.randn(3, 1), torch.zeros(3, dtype=torch.int64)) == 0


@given(st.integers(1, 40), st.integers(1, 50), st.integers(1, 30), st.integers(0, 1000))
def test_candidates(num_classes, max_candidates, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    targets = torch.randint(num_classes, (batch_size,), generator=generator)
    candidates, positions = sample_candidates(targets, num_classes, max_candidates=max_candidates, generator=generator)
    present = len(targets.unique())
    assert len(candidates) == min(num_classes, max(max_candidates, present))
    assert torch.equal(candidates, candidates.unique())
    assert torch.equal(candidates[positions], targets)


def test_negatives_are_drawn_from_all_classes():
    generator = torch.Generator().manual_seed(0)
    seen = {
        int(candidate)
        for _ in range(60)
        for candidate in sample_candidates(torch.tensor([7]), 10, max_candidates=3, generator=generator)[0]
    }
    assert seen == set(range(10))


@given(st.integers(0, 1000), st.floats(0.05, 0.95), st.floats(0.0, 4.0))
def test_focal_loss_is_the_papers_formula(seed, alpha, gamma):
    """-a_t (1 - p_t)^g log p_t, with p_t the probability given to what is true."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(5, 4, generator=generator, dtype=torch.float64)
    targets = torch.randint(2, (5, 4), generator=generator).double()
    probability = 1 / (1 + torch.exp(-logits))
    expected = torch.where(
        targets == 1,
        -alpha * (1 - probability) ** gamma * torch.log(probability),
        -(1 - alpha) * probability**gamma * torch.log(1 - probability),
    )
    torch.testing.assert_close(focal_loss(logits, targets, alpha=alpha, gamma=gamma), expected)


def test_focal_loss_of_sure_answers_is_finite():
    logits = torch.tensor([300.0, -300.0, 300.0, -300.0], requires_grad=True)
    loss = focal_loss(logits, torch.tensor([1.0, 0.0, 0.0, 1.0]))
    assert loss.tolist() == pytest.approx([0, 0, 0.75 * 300, 0.25 * 300])
    loss.sum().backward()
    assert logits.grad.isfinite().all()


def test_distance_iou_by_hand():
    predicted = torch.tensor([[0.0, 2.0], [1.0, 3.0], [0.0, 1.0], [0.0, 8.0], [2.0, 2.0]])
    target = torch.tensor([[0.0, 2.0], [2.0, 6.0], [3.0, 4.0], [2.0, 4.0], [2.0, 2.0]])
    overlap = [1, 1 / 5, 0, 2 / 8, 0]
    assert segment_overlap(predicted, target).tolist() == pytest.approx(overlap)
    # Middles 2 and 4 in a hull of 5; 0.5 and 3.5 in 4; 4 and 3 in 8.
    apart = [0, (2 / 5) ** 2, (3 / 4) ** 2, (1 / 8) ** 2, 0]
    expected = [1 - one + other for one, other in zip(overlap, apart, strict=True)]
    assert distance_iou_loss(predicted, target).tolist() == pytest.approx(expected)
    assert distance_iou_loss(predicted[None, :, None], target[None, :, None]).shape == (1, 5, 1)


def test_segments_that_do_not_meet_are_drawn_together():
    """The overlap alone has no gradient there; steps down this one lead to the target."""
    shift, target = torch.tensor(0.0, requires_grad=True), torch.tensor([6.0, 9.0])
    segment = torch.tensor([0.0, 1.0])
    assert torch.autograd.grad(segment_overlap(segment + shift, target), shift)[0] == 0
    for _ in range(40):
        (gradient,) = torch.autograd.grad(distance_iou_loss(segment + shift, target), shift)
        shift = (shift - 5 * gradient).detach().requires_grad_()
    assert segment_overlap(segment + shift, target) > 0


@given(st.integers(0, 1000))
def test_distance_iou_is_between_0_and_2_and_the_same_after_shift_and_stretch(seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, 6, 2, generator=generator, dtype=torch.float64).cumsum(-1) * 10
    loss = distance_iou_loss(first, second)
    assert ((loss >= 0) & (loss < 2)).all()
    torch.testing.assert_close(distance_iou_loss(second, first), loss)
    torch.testing.assert_close(distance_iou_loss(3 * first + 7, 3 * second + 7), loss)
