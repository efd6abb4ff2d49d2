"""Which point learns which action, by hand."""

import pytest
import torch

from framecue.models.proposal_targets import assign_targets
from framecue.models.proposals import pyramid_points

NOTHING = torch.zeros(0, 2)


def segments(*pairs):
    return torch.tensor(pairs, dtype=torch.float32).reshape(-1, 2)


def targets(length, levels, actions, ignored=NOTHING, **how):
    """Of one window, with its points."""
    points = pyramid_points(length, levels)
    found = assign_targets(points, [actions], [ignored], **how)
    return points, found.positive[0], found.counted[0], found.segments[0]


def places(points, chosen):
    """(level, center) of the chosen points."""
    return list(zip(points.levels[chosen].tolist(), points.centers[chosen].tolist(), strict=True))


def test_center_sampling_by_hand():
    points, positive, counted, taken = targets(16, 3, segments((4.0, 9.0)))
    # The middle is 6.5; on the first level its three neighbors reach at most 3.5 <= 4 frames to the farther end. On the
    # second the middle's own point reaches 2.5, and 4.5 would need to reach above 4: 4.5 - 4 < 9 - 4.5 = 4.5 does.
    assert places(points, positive) == [(0, 5.5), (0, 6.5), (0, 7.5), (1, 4.5), (1, 8.5)]
    assert taken[positive].tolist() == [[4.0, 9.0]] * 5
    assert counted.all()


@pytest.mark.parametrize(
    ("length", "level"), [(2.0, 0), (7.9, 0), (8.1, 1), (15.9, 1), (16.1, 2), (31.9, 2), (32.1, 3), (63.0, 3)]
)
def test_an_action_goes_to_the_level_of_its_length(length, level):
    """Half its length is the least distance to the farther end; a radius of half a stride leaves the middle alone."""
    middle = 64.5  # the middle of a cell of every level
    action = segments((middle - length / 2, middle + length / 2))
    points, positive, *_ = targets(128, 4, action, center_radius=0.5)
    assert (level, middle) in places(points, positive)
    assert points.levels[positive].min() == level
    # A neighbor half a stride away may reach into the next range, no further.
    assert points.levels[positive].max() <= level + 1


def test_the_last_level_takes_all_that_is_longer():
    points, positive, *_ = targets(512, 2, segments((0.0, 512.0)))
    assert set(points.levels[positive].tolist()) == {1}
    points, positive, *_ = targets(64, 1, segments((0.0, 64.0)))
    assert places(points, positive) == [(0, 30.5), (0, 31.5), (0, 32.5), (0, 33.5)]


def test_first_range_moves_the_levels():
    action = segments((4.0, 9.0))
    points, positive, *_ = targets(16, 3, action, first_range=1.0)
    assert set(points.levels[positive].tolist()) == {2}
    assert set(points.levels[targets(16, 3, action, first_range=8.0)[1]].tolist()) == {0}


def test_points_outside_an_action_do_not_take_it():
    """A wide radius reaches beyond a short action."""
    points, positive, *_ = targets(16, 1, segments((6.0, 8.0)), center_radius=5.0)
    assert places(points, positive) == [(0, 6.5), (0, 7.5)]


def test_of_several_the_shortest_wins():
    outer, inner = (2.0, 10.0), (5.0, 7.0)
    for order in ((outer, inner), (inner, outer)):
        points, positive, _, taken = targets(16, 1, segments(*order))
        said = dict(zip(points.centers[positive].tolist(), taken[positive].tolist(), strict=True))
        assert said == {4.5: [2.0, 10.0], 5.5: [5.0, 7.0], 6.5: [5.0, 7.0], 7.5: [2.0, 10.0]}
    points, positive, _, taken = targets(16, 1, segments((1.0, 9.0), (6.0, 8.0)), first_range=8.0)
    said = dict(zip(points.centers[positive].tolist(), taken[positive].tolist(), strict=True))
    assert said == {3.5: [1.0, 9.0], 4.5: [1.0, 9.0], 5.5: [1.0, 9.0], 6.5: [6.0, 8.0], 7.5: [6.0, 8.0]}


@pytest.mark.parametrize("action", [(5.6, 6.4), (5.9, 6.1), (5.1, 5.3), (5.5, 5.6), (0.0, 0.2), (7.8, 8.0), (6.2, 6.2)])
@pytest.mark.parametrize("levels", [1, 3])
def test_a_tiny_action_trains_one_point(action, levels):
    """Shorter than a feature: between two points, on one, or of no length at all."""
    points, positive, counted, taken = targets(8, levels, segments(action))
    ((level, center),) = places(points, positive)
    assert level == 0
    assert abs(center - sum(action) / 2) <= 0.5 + 1e-6
    assert taken[positive].tolist() == [pytest.approx(action)]
    assert counted.all()


def test_a_long_action_between_the_points_of_its_level_trains_one():
    """With a radius so small that no point is near the middle."""
    points, positive, *_ = targets(64, 3, segments((10.0, 26.0)), center_radius=0.01)
    ((level, center),) = places(points, positive)
    assert (level, center) == (1, 18.5)


def test_ignored_parts_do_not_count_and_positives_in_them_do():
    points, positive, counted, _ = targets(8, 2, segments((1.0, 3.0)), segments((2.0, 6.0), (7.6, 8.0)))
    assert (0, 2.5) in places(points, positive)
    silent = places(points, ~counted)
    assert silent == [(0, 3.5), (0, 4.5), (0, 5.5), (1, 2.5), (1, 4.5)]
    # [7.6, 8) holds no point: nothing is silent for its sake.
    assert (0, 7.5) in places(points, counted)


def test_no_actions():
    points, positive, counted, taken = targets(6, 2, NOTHING)
    assert not positive.any()
    assert counted.all()
    assert taken.shape == (len(points.centers), 2)
    _, positive, counted, _ = targets(6, 2, NOTHING, segments((0.0, 6.0)))
    assert not positive.any()
    assert not counted.any()


def test_windows_do_not_see_each_other():
    points = pyramid_points(16, 3)
    actions = [segments((4.0, 9.0), (1.0, 1.4)), NOTHING, segments((0.0, 16.0))]
    ignored = [NOTHING, segments((3.0, 5.0)), segments((1.0, 2.0))]
    together = assign_targets(points, actions, ignored)
    assert together.positive.shape == together.counted.shape == (3, len(points.centers))
    for row in range(3):
        alone = assign_targets(points, actions[row : row + 1], ignored[row : row + 1])
        for name in ("positive", "counted", "segments"):
            assert torch.equal(getattr(together, name)[row], getattr(alone, name)[0])
    with pytest.raises(ValueError, match="shorter"):
        assign_targets(points, actions, ignored[:2])
