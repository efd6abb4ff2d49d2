import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from framecue.metrics.calibration import auroc
from framecue.tasks.calibration import (
    FOLDS,
    LEAST_CALIBRATION_VIDEOS,
    TEMPERATURE_RANGE,
    cross_fitted_calibration,
    fit_temperature,
    folds,
    measure_calibration,
    view_probabilities,
)
from framecue.tasks.rejection import (
    SCORE_KINDS,
    RejectionRule,
    apply_rejection,
    calibrate,
    defined_kinds,
    fit_rejection,
    left_out_auroc,
    measure_rejection,
    rejection_score,
)

RULE = RejectionRule(temperature=0.7, score="energy", threshold=3.5, keep=0.95, val_auroc=0.9, num_val=40, num_names=5)


def world(num_videos, num_names=6, *, views=3, strength=3.0, seed=0):
    """Noisy logits in which the true name stands out by `strength` (0: an unknown video), and targets."""
    draws = np.random.default_rng(seed)
    targets = draws.integers(0, num_names, num_videos)
    logits = draws.normal(size=(num_videos, 1, num_names)) + draws.normal(size=(num_videos, views, num_names)) / 3
    logits[np.arange(num_videos), :, targets] += strength
    return logits, targets


def sampled(num_videos, num_names, *, views=1, temperature=1.0, seed=0):
    """Logits, and targets drawn from the view-averaged probabilities at that temperature."""
    draws = np.random.default_rng(seed)
    logits = 2 * draws.normal(size=(num_videos, views, num_names))
    chances = view_probabilities(logits, temperature).cumsum(axis=1)
    return logits, (draws.random((num_videos, 1)) > chances[:, :-1]).sum(axis=1)


@st.composite
def problems(draw, min_names=1):
    """Logits of few different values, so that many tie, and targets."""
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 3)), draw(st.integers(min_names, 5))
    logits = draw(hnp.arrays(np.float64, shape, elements=st.integers(-3, 3).map(float)))
    return logits, draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[2] - 1)))


# Probabilities and temperature


def test_probabilities_by_hand():
    logits = [[[math.log(3), 0.0], [0.0, 0.0]]]
    assert view_probabilities(logits)[0] == pytest.approx([(0.75 + 0.5) / 2, (0.25 + 0.5) / 2])
    assert view_probabilities(logits, 0.5)[0] == pytest.approx([(0.9 + 0.5) / 2, (0.1 + 0.5) / 2])
    assert view_probabilities([[[1000.0, 0.0]]])[0] == pytest.approx([1.0, 0.0])


@given(problems(), st.floats(0.05, 20))
def test_probabilities_add_up_and_ignore_a_shift_of_a_view(problem, temperature):
    logits, _ = problem
    probabilities = view_probabilities(logits, temperature)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(len(logits)))
    assert probabilities.max() <= 1.0
    assert view_probabilities(logits + 7.0, temperature) == pytest.approx(probabilities, abs=1e-9)


@given(problems(), st.floats(0.05, 20))
def test_temperature_changes_no_answer_of_a_single_view(problem, temperature):
    logits = problem[0][:, :1]
    best = logits[:, 0] == logits[:, 0].max(axis=1, keepdims=True)
    probabilities = view_probabilities(logits, temperature)
    # What is best without a temperature stays best: at most rounding ties are added by a high one.
    assert (probabilities.max(axis=1, keepdims=True) - probabilities)[best] == pytest.approx(0.0, abs=1e-12)
    assert (probabilities[~best] < np.repeat(probabilities.max(axis=1), (~best).sum(axis=1))).all()


@settings(max_examples=12, deadline=None)
@given(st.floats(0.3, 3.0), st.sampled_from([1, 3]), st.integers(0, 5))
def test_fit_recovers_the_temperature_that_labels_were_drawn_at(temperature, views, seed):
    logits, targets = sampled(6000, 5, views=views, temperature=temperature, seed=seed)
    assert fit_temperature(logits, targets) == pytest.approx(temperature, rel=0.15)


def test_order_of_videos_and_names_does_not_matter():
    logits, targets = sampled(400, 5, views=2, temperature=2.0)
    draws = np.random.default_rng(3)
    videos, names = draws.permutation(400), draws.permutation(5)
    mixed = fit_temperature(logits[videos][:, :, names], np.argsort(names)[targets[videos]])
    assert mixed == pytest.approx(fit_temperature(logits, targets), rel=1e-4)


@pytest.mark.parametrize(
    ("logits", "targets"),
    [
        (np.zeros((0, 2, 3)), []),  # no videos
        ([[[1.0, 0.0]]], [0]),  # one
        (np.random.default_rng(0).normal(size=(4, 2, 1)), [0] * 4),  # one name
        (np.full((4, 2, 3), 5.0), [0, 1, 2, 0]),  # all the same
    ],
)
def test_what_does_not_say_leaves_the_model_as_it_is(logits, targets):
    assert fit_temperature(logits, targets) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("num_videos", [4, 10, 40])
def test_a_few_videos_that_are_all_right_do_not_claim_certainty(num_videos):
    """Likelihood alone grows as T falls: it took T = 0.05 for four such clips, and every answer had 100.0 %."""
    logits, targets = world(num_videos, views=1, strength=9.0)
    assert (logits[:, 0].argmax(axis=1) == targets).all()
    assert 0.5 < fit_temperature(logits, targets) <= 1.0


def test_a_few_videos_that_are_all_wrong_do_not_end_in_a_guess():
    logits, targets = world(4, views=1, strength=9.0)
    assert 1.0 <= fit_temperature(logits, (targets + 1) % 6) <= TEMPERATURE_RANGE[1]


@given(problems())
def test_a_temperature_is_bounded_and_taken_only_where_it_serves_unseen_videos(problem):
    logits, targets = problem
    temperature = fit_temperature(logits, targets)
    assert TEMPERATURE_RANGE[0] <= temperature <= TEMPERATURE_RANGE[1]
    if temperature != 1.0:
        crossed = cross_fitted_calibration(logits, targets)["nll"]
        assert crossed < measure_calibration(logits, targets, 1.0)["nll"]


def test_draws_from_the_models_own_probabilities_hardly_move_it():
    """On 30 draws of 40 videos that need no temperature, the fit stays within a factor of 1.6, mostly at exactly 1."""
    found = [fit_temperature(*sampled(40, 6, seed=seed)) for seed in range(30)]
    assert all(1 / 1.6 < temperature < 1.6 for temperature in found)
    assert sum(temperature == 1.0 for temperature in found) > 15


def test_folds_share_out_every_class_and_hold_every_video_once():
    targets = np.array([0] * 10 + [1] * 5 + [2] * 3)
    parts = folds(targets)
    assert len(parts) == FOLDS
    assert (np.sum(parts, axis=0) == 1).all()
    for part in parts:
        assert (targets[part] == 0).sum() == 2
        assert (targets[part] == 1).sum() == 1
    assert [part.tolist() for part in folds(np.array([0, 0]))] == [[True, False], [False, True]]
    with pytest.raises(ValueError, match="at least 2 videos, got 1"):
        folds(np.array([0]))


# Scores


def test_scores_by_hand():
    logits = [[[4.0, 1.0, 0.0], [2.0, 3.0, 0.0]]]  # mean 3, 2, 0
    assert rejection_score("max_logit", logits)[0] == 3.0
    assert rejection_score("margin", logits)[0] == 1.0
    assert rejection_score("energy", logits)[0] == pytest.approx(math.log(math.e**3 + math.e**2 + 1))
    assert rejection_score("energy", logits, 0.5)[0] == pytest.approx(0.5 * math.log(math.e**6 + math.e**4 + 1))
    assert rejection_score("max_probability", logits, 2.0)[0] == view_probabilities(logits, 2.0).max()


@given(problems(min_names=2), st.floats(0.1, 10))
def test_score_laws(problem, temperature):
    logits, _ = problem
    names = np.random.default_rng(0).permutation(logits.shape[2])
    for kind in SCORE_KINDS:
        scores = rejection_score(kind, logits, temperature)
        assert scores.shape == (len(logits),)
        assert rejection_score(kind, logits[:, :, names], temperature) == pytest.approx(scores)
        assert rejection_score(kind, logits[:, ::-1], temperature) == pytest.approx(scores)
    best, energy = rejection_score("max_logit", logits), rejection_score("energy", logits, temperature)
    assert (energy >= best - 1e-9).all()
    assert (energy <= best + temperature * math.log(logits.shape[2]) + 1e-9).all()
    # A name that fits worse than the best does not change the best logit, whatever it is.
    extended = np.concatenate([logits, np.full((*logits.shape[:2], 1), -50.0)], axis=2)
    assert (rejection_score("max_logit", extended) == best).all()


def test_no_videos_have_no_scores():
    for kind in SCORE_KINDS:
        assert rejection_score(kind, np.zeros((0, 2, 3))).shape == (0,)


def test_one_name_has_only_the_logit_scores():
    assert defined_kinds(1) == ("max_logit", "energy")
    assert defined_kinds(2) == SCORE_KINDS
    assert rejection_score("max_logit", [[[2.0]]])[0] == rejection_score("energy", [[[2.0]]])[0] == 2.0


# The rule


@given(problems(min_names=2))
def test_left_out_auroc_agrees_with_its_definition(problem):
    logits, targets = problem
    for kind, value in left_out_auroc(logits, targets, 0.8).items():
        by_video = []
        for video, own in enumerate(targets):
            left = np.delete(logits, own, axis=2)
            known = rejection_score(kind, left, 0.8)[targets != own]
            by_video.append(auroc(known, rejection_score(kind, left[video : video + 1], 0.8)))
        assert value == pytest.approx(np.mean(by_video))


def test_fit_takes_the_score_that_separates_best():
    logits, targets = world(200)
    rule = fit_rejection(logits, targets)
    by_kind = left_out_auroc(logits, targets, rule.temperature)
    assert set(by_kind) == set(SCORE_KINDS)
    assert rule.val_auroc == by_kind[rule.score] == max(by_kind.values())
    assert len(set(by_kind.values())) > 1
    assert (rule.num_val, rule.num_names, rule.temperature) == (200, 6, fit_temperature(logits, targets))


def test_fit_avoids_the_scores_that_a_nuisance_spoils():
    """Each video lifts all its logits by an amount of its own: only scores that ignore a common shift still tell."""
    logits, targets = world(300, strength=6.0)
    lifted = logits + 50 * np.random.default_rng(1).normal(size=(300, 1, 1))
    assert fit_rejection(logits, targets).score in ("max_logit", "energy")
    rule = fit_rejection(lifted, targets)
    assert rule.score in ("max_probability", "margin")
    assert rule.val_auroc > 0.9 > 0.6 > left_out_auroc(lifted, targets, rule.temperature)["max_logit"]


@pytest.mark.parametrize("num_names", [2, 3, 10])
def test_a_model_that_knows_nothing_separates_nothing(num_names):
    """Known and left-out videos are scored among equally many names, so that the count itself tells nothing."""
    draws = np.random.default_rng(0)
    targets = draws.integers(0, num_names, 2000)
    for logits in (np.zeros((2000, 1, num_names)), draws.normal(size=(2000, 2, num_names))):
        for value in left_out_auroc(logits, targets, 1.0).values():
            assert value == pytest.approx(0.5, abs=0.03)


def test_of_many_names_a_spread_is_struck(monkeypatch):
    logits, targets = world(400, num_names=20)
    every = left_out_auroc(logits, targets, 1.0)
    monkeypatch.setattr("framecue.tasks.rejection.MAX_STRUCK_NAMES", 5)
    some = left_out_auroc(logits, targets, 1.0)
    assert some != every
    for kind in SCORE_KINDS:
        assert some[kind] == pytest.approx(every[kind], abs=0.1)


def test_the_promised_share_of_new_videos_is_kept_in_the_mean():
    """Though score and temperature are chosen on the same 40 videos. What kept 95 % of these kept 92 % of new ones."""
    new, _ = world(2000, seed=1, views=1)
    rules = [fit_rejection(*world(40, seed=10 + seed, views=1)) for seed in range(40)]
    kept = [np.mean(rejection_score(rule.score, new, rule.temperature) >= rule.threshold) for rule in rules]
    assert 0.945 < np.mean(kept) < 0.98


def test_fewer_videos_than_are_needed_give_no_rule_and_say_so():
    logits, targets = world(LEAST_CALIBRATION_VIDEOS - 1)
    rule, said = calibrate(logits, targets)
    assert rule is None
    assert said == {"note": "not calibrated: 19 validation videos, 20 needed", "num_val": 19, "least": 20}
    assert calibrate(logits[:0], targets[:0], what="validation segments") == (
        None,
        {"note": "not calibrated: 0 validation segments, 20 needed", "num_val": 0, "least": 20},
    )


def test_what_is_said_of_a_calibration():
    logits, targets = world(80)
    rule, said = calibrate(logits, targets)
    assert rule == fit_rejection(logits, targets)
    assert said["note"] == "calibrated on 80 validation videos, which also chose the weights"
    assert said["own_temperature"] == measure_calibration(logits, targets, 1.0)
    assert said["cross_fitted"] == cross_fitted_calibration(logits, targets)
    low, high = said["promise"]["ci95"]
    assert (said["promise"]["keep"], low, high) == (
        0.95,
        pytest.approx(0.8938, abs=1e-3),
        pytest.approx(0.9863, abs=1e-3),
    )
    assert json.loads(json.dumps(said)) == said


def test_rule_does_not_depend_on_order():
    logits, targets = world(150)
    draws = np.random.default_rng(1)
    videos, names = draws.permutation(150), draws.permutation(6)
    rule = fit_rejection(logits, targets)
    mixed = fit_rejection(logits[videos][:, :, names], np.argsort(names)[targets[videos]])
    assert mixed.score == rule.score
    assert (mixed.threshold, mixed.val_auroc) == pytest.approx((rule.threshold, rule.val_auroc), rel=1e-4)
    assert fit_rejection(logits, targets) == rule


def test_equal_separation_goes_to_the_first_kind():
    logits = np.array([[[9.0, 0.0, 0.0]], [[0.0, 9.0, 0.0]], [[0.0, 0.0, 9.0]]] * 14)
    rule = fit_rejection(logits, [0, 1, 2] * 14)
    assert (rule.score, rule.val_auroc) == ("max_logit", 1.0)
    silent = fit_rejection(np.zeros((40, 1, 4)), [0, 1, 2, 3] * 10)
    assert (silent.score, silent.val_auroc, silent.temperature) == ("max_logit", 0.5, 1.0)
    assert not apply_rejection(silent, np.zeros((3, 1, 4)))[1].any()


def test_two_names_leave_one_when_struck():
    """max_probability would be 1 for every video, and margin has no second: neither may be chosen."""
    logits, targets = world(100, num_names=2)
    rule = fit_rejection(logits, targets)
    assert set(left_out_auroc(logits, targets, 1.0)) == {"max_logit", "energy"}
    assert rule.score == "max_logit"  # of one name energy is the same
    assert 0.8 < rule.val_auroc <= 1.0


def test_one_name_keeps_a_share_and_claims_no_auroc():
    rule = fit_rejection(np.arange(40.0).reshape(40, 1, 1), np.zeros(40, int), keep=0.9)
    assert (rule.score, rule.threshold, rule.val_auroc, rule.num_names) == ("max_logit", 3.0, None, 1)
    assert RejectionRule.from_json(json.loads(json.dumps(rule.to_json()))) == rule


def test_videos_of_one_class_among_several_names():
    logits, _ = world(50)
    rule = fit_rejection(logits, np.full(50, 2))
    assert (rule.score, rule.val_auroc, rule.num_names) == ("max_logit", None, 6)
    assert (~apply_rejection(rule, logits)[1]).mean() >= 0.95


# The file


def test_rule_survives_json():
    assert RejectionRule.from_json(json.loads(json.dumps(RULE.to_json()))) == RULE
    fitted = fit_rejection(*world(80))
    assert RejectionRule.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"temperature": 0.05}, r"temperature must be a number in \[0\.25, 4\], got 0\.05"),
        ({"temperature": True}, "temperature must be a number in .* got True"),
        ({"temperature": math.nan}, "temperature must be .* got nan"),
        ({"threshold": "3"}, "threshold must be a finite number, got '3'"),
        ({"threshold": math.inf}, "threshold must be a finite number, got inf"),
        ({"threshold": 10**400}, "threshold must be a finite number, got 1000"),
        ({"score": "odin"}, "score must be one of max_logit, energy, max_probability, margin, got 'odin'"),
        ({"score": []}, r"score must be one of .* got \[\]"),
        ({"keep": 0.0}, r"keep must be in \(0, 1\), got 0\.0"),
        ({"keep": 1.0}, r"keep must be in \(0, 1\), got 1\.0"),
        ({"val_auroc": 1.1}, r"val_auroc must be in \[0, 1\] or none, got 1\.1"),
        ({"num_val": 19}, "num_val must be at least 20, got 19"),
        ({"num_names": 2.0}, r"num_names must be a whole number above 0, got 2\.0"),
        ({"more": 1}, "must have exactly temperature, .* missing: none, unknown: more"),
    ],
)
def test_a_rule_with_a_wrong_value_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        RejectionRule.from_json(RULE.to_json() | change)


def test_a_rule_that_is_not_whole_is_refused():
    with pytest.raises(ValueError, match="missing: score, keep, unknown: none"):
        RejectionRule.from_json({key: value for key, value in RULE.to_json().items() if key not in ("score", "keep")})
    with pytest.raises(ValueError, match=r"must be a mapping with temperature, .* got list"):
        RejectionRule.from_json([1])


# What is measured


def test_measures_agree_with_their_parts():
    val, val_targets = world(300, seed=1)
    known, targets = world(200, seed=2)
    unknown, _ = world(100, seed=3, strength=0.0)
    rule = fit_rejection(val, val_targets)
    measured = measure_rejection(rule, known, targets, unknown)
    assert json.loads(json.dumps(measured)) == measured
    assert measured == measure_rejection(rule, known, targets, unknown)

    probabilities, rejected = apply_rejection(rule, known)
    right = probabilities.argmax(axis=1) == targets
    assert measured["kept_known"] == np.mean(~rejected)
    assert measured["accuracy"] == np.mean(right)
    assert measured["accuracy_kept"] == np.mean(right[~rejected])
    assert measured["false_accept_rate"] == np.mean(~apply_rejection(rule, unknown)[1])
    for kind in SCORE_KINDS:
        parts = [rejection_score(kind, part, rule.temperature) for part in (known, unknown)]
        assert measured["auroc"][kind] == auroc(*parts)
    assert measured["auroc_chosen"] == measured["auroc"][rule.score]
    for scores, name in (
        (rejection_score(rule.score, known, rule.temperature), "by_score"),
        (probabilities.max(axis=1), "by_probability"),
    ):
        points = measured["coverage"][name]["accuracy"]
        assert [point["coverage"] for point in points] == [1.0, 0.9, 0.8, 0.7, 0.5]
        surest = np.argsort(-scores)  # no two tie
        for point in points:
            answered = surest[: round(200 * point["coverage"])]
            assert point["accuracy"] == pytest.approx(np.mean(right[answered]))
        assert points[-1]["accuracy"] > measured["accuracy"]
    assert (measured["num_known"], measured["num_unknown"]) == (200, 100)
    assert sum(part["count"] for part in measured["reliability"]) == 200
    truth = view_probabilities(known)[np.arange(200), targets]
    assert measured["before_temperature"]["nll"] == pytest.approx(-np.log(truth).mean())

    # Sense: what stands out by three deviations is told from what does not.
    assert measured["auroc_chosen"] > 0.8
    assert 0.88 < measured["kept_known"] <= 1.0


def test_temperature_repairs_what_is_overconfident():
    val, val_targets = sampled(2000, 5, views=2, temperature=4.0, seed=1)
    known, targets = sampled(2000, 5, views=2, temperature=4.0, seed=2)
    measured = measure_rejection(fit_rejection(val, val_targets), known, targets, known[:0])
    before, after = measured["before_temperature"], measured["after_temperature"]
    for name in ("ece", "ece_equal_mass", "nll", "brier"):
        assert after[name] < before[name]
    assert after["ece"] < 0.05 < 0.15 < before["ece"]


def test_a_video_at_the_threshold_is_kept():
    logits, targets = world(40, seed=4)
    rule = fit_rejection(logits, targets, keep=0.5)  # the 20th of 40 from below
    measured = measure_rejection(rule, logits, targets, logits)
    assert (
        measured["kept_known"] == measured["false_accept_rate"] == np.mean(~apply_rejection(rule, logits)[1]) == 21 / 40
    )
    low, high = measured["kept_known_ci95"]
    assert low < 21 / 40 < high


def test_without_unknown_videos_their_measures_are_none():
    logits, targets = world(50)
    measured = measure_rejection(fit_rejection(logits, targets), logits, targets, logits[:0])
    assert measured["auroc"] == {}
    assert measured["auroc_chosen"] is measured["false_accept_rate"] is measured["false_accept_at_95"] is None


def test_a_threshold_that_keeps_nothing_has_no_accuracy():
    logits, targets = world(20)
    measured = measure_rejection(RejectionRule(1.0, "max_logit", 1e6, 0.95, None, 40, 6), logits, targets, logits)
    assert (measured["kept_known"], measured["accuracy_kept"], measured["false_accept_rate"]) == (0.0, None, 0.0)


BROKEN = np.full((2, 1, 3), np.nan)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: fit_temperature(BROKEN, [0, 1]), "logits must be finite numbers, found 6 NaN or infinite"),
        (lambda: fit_rejection([[[np.inf, 0.0]]], [0]), "logits must be finite numbers, found 1"),
        (lambda: apply_rejection(RULE, BROKEN), "logits must be finite"),
        (lambda: rejection_score("energy", np.zeros((2, 3))), r"logits must be \[B, V, N\].* got shape \(2, 3\)"),
        (lambda: rejection_score("energy", np.zeros((2, 0, 3))), "at least one view and one name"),
        (lambda: rejection_score("energy", np.zeros((1, 1, 2)), 0.0), "temperature must be a finite number above 0"),
        (lambda: rejection_score("odin", np.zeros((1, 1, 2))), "score must be one of .* got 'odin'"),
        (lambda: rejection_score("margin", np.zeros((1, 1, 1))), "margin needs at least 2 names to compare, got 1"),
        (lambda: rejection_score("max_probability", np.zeros((1, 1, 1))), "use max_logit or energy"),
        (lambda: view_probabilities(np.zeros((1, 1, 2)), math.nan), "temperature must be .* got nan"),
        (lambda: fit_rejection(np.zeros((18, 2, 3)), [0] * 18), "to keep 0.95 needs 19 scores, got 18"),
        (lambda: fit_rejection(np.zeros((1, 2, 3)), [0], keep=0.0), r"keep must be in \(0, 1\)"),
        (lambda: fit_temperature(np.zeros((1, 2, 3)), [3]), r"targets must be integers in \[0, 3\), got int64 3\.\.3"),
        (lambda: fit_temperature(np.zeros((1, 2, 3)), [0.0]), "targets must be integers"),
        (lambda: fit_temperature(np.zeros((2, 2, 3)), [0]), r"one per video, \[2\], got shape \(1,\)"),
        (
            lambda: measure_rejection(RULE, np.zeros((1, 1, 3)), [0], np.zeros((1, 1, 4))),
            "the same names, got 3 and 4 names",
        ),
        (lambda: measure_rejection(RULE, np.zeros((0, 1, 3)), [], np.zeros((1, 1, 3))), "at least one known video"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
