"""Similarity, loss and the sampling of candidate names."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from framecue.losses import nce_loss, sample_candidates, similarity_logits


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
