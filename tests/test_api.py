"""The Predictor: one object, the same answers each time, and clear refusals."""

import numpy as np
import pytest
import torch

import framecue
from framecue.config import ModelConfig
from framecue.datasets.world import write_world
from framecue.errors import AdapterError, UsageError, VideoError
from framecue.models.adapter import make_card, save_adapter
from framecue.models.builders import build_model
from framecue.types import Classification, Skipped

LABELS = ["growing", "shrinking", "standing still"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, seed=9, classes=("growing",), videos_per_class={"test": 1}, workers=0)
    return next(folder.rglob("*.mp4"))


@pytest.fixture(scope="module")
def predictor(tiny_backbone):
    return framecue.load(backbone=tiny_backbone)


def test_probabilities_are_sorted_and_whole(predictor, video):
    answer = predictor.classify(video, LABELS, top_k=None)
    assert set(answer.labels) == set(LABELS)
    assert list(answer.scores) == sorted(answer.scores, reverse=True)
    assert sum(answer.scores) == pytest.approx(1, abs=1e-5)
    assert predictor.classify(video, LABELS, top_k=None) == answer
    assert predictor.classify(video, LABELS, top_k=1).labels == answer.labels[:1]


def test_classify_agrees_with_the_embeddings(predictor, video):
    text, embedded = predictor.embed_text(LABELS), predictor.embed_video(video)
    assert np.linalg.norm(embedded) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(np.linalg.norm(text, axis=1), 1, atol=1e-5)
    assert predictor.classify(video, LABELS).labels[0] == LABELS[int((text @ embedded).argmax())]


def test_order_of_labels_does_not_matter(predictor, video):
    one = predictor.classify(video, LABELS, top_k=None)
    other = predictor.classify(video, LABELS[::-1], top_k=None)
    assert one.labels == other.labels
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)


def test_many_files_go_on_past_a_bad_one(predictor, video, tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    answers = list(predictor.classify_many([video, tmp_path / "bad.mp4", video], LABELS))
    assert [type(answer) for answer in answers] == [Classification, Skipped, Classification]
    assert answers[1].reason.startswith("cannot be read as video")


def test_labels_may_be_any_iterable(predictor, video):
    expected = predictor.classify(video, LABELS)
    assert list(predictor.classify_many([video, video], (label for label in LABELS))) == [expected, expected]
    assert predictor.classify(video, np.array(LABELS)).labels == expected.labels


def test_no_labels_are_not_taken_for_the_adapters_own(tiny_backbone, video, tmp_path):
    model = build_model(ModelConfig(temporal_layers=0), tiny_backbone, seed=0)
    card = make_card(tiny_backbone, ModelConfig(temporal_layers=0), LABELS, backbone_id="tiny", sampling="uniform:16")
    save_adapter(tmp_path, model, card)
    adapted = framecue.load(tmp_path, backbone=tiny_backbone)
    assert set(adapted.classify(video).labels) == set(LABELS)
    with pytest.raises(UsageError, match="no names to choose from"):
        adapted.classify(video, [])


def test_precision_is_of_both_towers():
    half = framecue.load(backbone="tiny", device="cpu", precision="bf16").backbone
    assert half.precision == "bf16"
    assert half.text_tower.autocast_dtype == torch.bfloat16


def test_refusals(predictor, video, tmp_path, monkeypatch):
    with pytest.raises(UsageError, match="no names to choose from"):
        predictor.classify(video)
    with pytest.raises(UsageError, match="must be a list of names, found the text 'growing'"):
        predictor.classify(video, "growing")
    with pytest.raises(UsageError, match="texts must be a list of names, found the text 'growing'"):
        predictor.embed_text("growing")
    with pytest.raises(UsageError, match="found 'a' twice"):
        predictor.classify(video, ["a", "b", "a"])
    with pytest.raises(VideoError):
        predictor.classify(tmp_path / "absent.mp4", LABELS)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(AdapterError, match="no such folder, and the model hub did not give it"):
        framecue.load("nobody/nothing")
    with pytest.raises(AdapterError, match="found no such folder"):
        framecue.load(tmp_path / "nothing")


def test_front_door():
    for name in framecue.__all__:
        assert getattr(framecue, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        framecue.nonsense  # noqa: B018


@pytest.mark.parametrize("label", ["", " ", "a\udcff"])
def test_labels_that_are_no_names(predictor, video, label):
    with pytest.raises(UsageError, match="labels must be names in UTF-8 text"):
        predictor.classify(video, labels=["growing", label])


SURE = {"temperature": 2.0, "score": "max_logit", "threshold": -100.0, "keep": 0.95, "val_auroc": 0.9}
SURE |= {"num_val": 40, "num_names": 3}
CALIBRATED = "calibrated on 40 validation videos, which also chose the weights"
NEVER_REACHED = {"threshold": 1000.0}


@pytest.fixture
def with_rule(tiny_backbone, tmp_path):
    """A saved adapter of LABELS whose card holds this rule."""

    def with_rule(rule):
        config = ModelConfig(temporal_layers=0)
        said = CALIBRATED if rule else "not calibrated: 12 validation videos, 20 needed"
        more = {"backbone_id": "tiny", "sampling": "uniform:16", "rejection": rule, "calibration": said}
        save_adapter(
            tmp_path,
            build_model(config, tiny_backbone, seed=0),
            make_card(tiny_backbone, config, LABELS, **more),
        )
        return framecue.load(tmp_path, backbone=tiny_backbone)

    return with_rule


def test_below_the_threshold_it_is_none_of_these(with_rule, video):
    assert not with_rule(SURE).classify(video).none_of_these
    answer = with_rule(SURE | NEVER_REACHED).classify(video)
    assert answer.none_of_these
    assert set(answer.labels) == set(LABELS)


def test_a_rule_that_could_not_tell_never_rejects(with_rule, video):
    """Left-out classes were told apart no better than 0.7 on validation: no rejection. The temperature holds."""
    calibrated = with_rule(SURE).classify(video)
    for val_auroc in (None, 0.5, 0.699):
        assert with_rule(SURE | NEVER_REACHED | {"val_auroc": val_auroc}).classify(video) == calibrated
    assert with_rule(SURE | NEVER_REACHED | {"val_auroc": 0.7}).classify(video).none_of_these


def test_only_its_own_labels_are_rejected(with_rule, video):
    predictor = with_rule(SURE | NEVER_REACHED)
    for labels in (LABELS[:2], [*LABELS, "blinking"], ["a cat", "a dog", "a bird"]):
        assert not predictor.classify(video, labels).none_of_these
    assert predictor.classify(video, LABELS[::-1]).none_of_these
    assert all(answer.none_of_these for answer in predictor.classify_many([video, video]))


def test_an_answer_says_how_far_its_probabilities_can_be_trusted(with_rule, predictor, video):
    assert with_rule(SURE).classify(video).calibration == CALIBRATED
    assert with_rule(SURE).classify(video, ["a cat", "a dog"]).calibration == (
        "not calibrated: other names than the adapter's"
    )
    assert with_rule(None).classify(video).calibration == "not calibrated: 12 validation videos, 20 needed"
    assert predictor.classify(video, LABELS).calibration == "not calibrated: no adapter"


def test_a_rule_softens_the_probabilities(with_rule, video):
    plain, soft = (with_rule(rule).classify(video) for rule in (None, SURE))
    assert plain.labels == soft.labels
    assert max(soft.scores) < max(plain.scores)
    assert sum(soft.scores) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, "missing: temperature, score"),
        ({key: value for key, value in SURE.items() if key != "threshold"}, "missing: threshold, unknown: none"),
        (SURE | {"color": 1}, "unknown: color"),
        (SURE | {"temperature": 0.05}, "temperature must be a number in [0.25, 4]"),
        (SURE | {"num_val": 12}, "num_val must be at least 20"),
        (SURE | {"temperature": "warm"}, "temperature"),
        (SURE | {"score": "luck"}, "score"),
        (SURE | {"score": ["max_logit"]}, "score"),
        (SURE | {"threshold": None}, "threshold"),
        (SURE | {"threshold": True}, "threshold"),
        (SURE | {"val_auroc": 2}, "val_auroc"),
        (SURE | {"num_names": 2.5}, "num_names"),
    ],
)
def test_a_damaged_rule_is_one_clear_line(with_rule, rule, expected):
    with pytest.raises(AdapterError, match=r"adapter\.json is not valid at rejection: ") as caught:
        with_rule(rule)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert message.endswith("Train it again.")
