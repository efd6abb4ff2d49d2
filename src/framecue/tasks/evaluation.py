"""What a results file holds: one model and the baselines beside it, on seen and on held-out names."""

from typing import Any

from framecue.config import PRESETS, ModelConfig, RunConfig
from framecue.config.departures import departures_json
from framecue.datasets.feature_set import FeatureSet
from framecue.errors import AdapterError
from framecue.models.adapter import CARD, AdapterCard
from framecue.models.handcrafted import Handcrafted
from framecue.models.video_text import VideoTextModel
from framecue.tasks.baselines import linear_probe_scores, zero_shot_scores
from framecue.tasks.calibration import LEAST_CALIBRATION_VIDEOS, calibration_note
from framecue.tasks.recognition import Scores, measure, predict_logits, predict_scores
from framecue.tasks.recognition_data import RecognitionData, recognition_departures
from framecue.tasks.rejection import RejectionRule, measure_rejection


def variant_name(model: ModelConfig) -> str:
    """The paper's name of a model's sizes ("A5"), else a description ("4+X+4, 2 temporal layers")."""
    sizes = {"n_prefix": model.n_prefix, "n_suffix": model.n_suffix, "temporal_layers": model.temporal_layers}
    for name, preset in PRESETS.items():
        if preset == sizes:
            return name
    layers = "1 temporal layer" if model.temporal_layers == 1 else f"{model.temporal_layers} temporal layers"
    return f"{model.n_prefix}+X+{model.n_suffix}, {layers}"


def method_name(config: RunConfig) -> str:
    """The paper's name of a run's model, with the preset where it is not the paper's ("A5 robust")."""
    return variant_name(config.model) + ("" if config.preset == "paper" else f" {config.preset}")


def foreseen_doubts(num_val: int, num_test: int, what: str = "videos") -> list[str]:
    """What a run will not be able to choose, calibrate or measure, a sentence each; to be said before its first step.

    Args:
        what: is counted, in the plural.
    """
    lines = []
    if not num_val:
        lines.append("There is no validation part: the weights of the last step will be kept, whatever they are worth.")
    if num_val < LEAST_CALIBRATION_VIDEOS:
        lines.append(f"Scores will be {calibration_note(num_val, f'validation {what}')}; nothing will be rejected.")
    if not num_test:
        lines.append(
            "There is no test part: the validation part, which chooses the weights, will be reported, so it flatters."
            if num_val
            else "Nothing will be measured on trained names: there is neither a test nor a validation part."
        )
    return lines


def rejection_rule(card: AdapterCard) -> RejectionRule | None:
    """The rule for "none of these" in an adapter's card; None where there is none.

    Raises:
        AdapterError: the rule is damaged.
    """
    if card.rejection is None:
        return None
    try:
        return RejectionRule.from_json(card.rejection)
    except ValueError as error:
        raise AdapterError(f"The adapter's {CARD} is not valid at rejection: {error} Train it again.") from error


def evaluate_recognition(
    config: RunConfig,
    model: VideoTextModel,
    data: RecognitionData,
    handcrafted: Handcrafted,
    rejection: RejectionRule | None = None,
    *,
    part: str | None = None,
) -> dict[str, Any]:
    """Measure a model and the configured baselines. Deterministic: the same inputs give the same numbers.

    The reported part is test; without one it is val, and the result says so: val chose the weights and, for the
    linear probe, the weight decay. The probe needs the training videos.

    Args:
        part: what the reported part is called; anything but "val" is the test set.
    """
    part = part or ("test" if len(data.test) else "val")
    reported = data.val if part == "val" else data.test
    results: dict[str, Any] = {
        "protocol": {
            "task": "recognition",
            "setting": "closed-set",
            "part": part,
            "part_chose_the_weights": part == "val",
            "views": config.evaluate.views,
            "classes_seen_in_training": list(data.train.class_names),
            "held_out_classes": list(data.novel.class_names),
            "external_scores": "none",
            "num_train_videos": len(data.train),
            "num_val_videos": len(data.val),
            "templates": list(config.evaluate.templates),
            "departures": departures_json(recognition_departures(config, model.backbone, data)),
        },
        "seed": config.seed,
        "backbone": {
            "id": config.backbone.id,
            "weights_hash": model.backbone.weights_hash,
            "precision": model.backbone.precision,
            "text_precision": model.backbone.text_precision,
        },
        "method": method_name(config),
        part: {},
        "novel": {},
    }
    if len(reported):
        results[part] = _measure_all(config, model, data, reported, handcrafted, probe=True)
    if len(data.novel):
        results["novel"] = _measure_all(config, model, data, data.novel, handcrafted, probe=False)
    if rejection is not None and len(reported):
        results["rejection"] = {"rule": rejection.to_json()} | _measure_rejection(
            config, model, reported, data.novel, rejection
        )
    return results


def _measure_rejection(
    config: RunConfig, model: VideoTextModel, known: FeatureSet, unknown: FeatureSet, rule: RejectionRule
) -> dict[str, Any]:
    """Known videos against videos of held-out classes, both asked for the known names."""
    logits = [
        predict_logits(model, part, known.class_names, window=config.model.num_frames, num_views=config.evaluate.views)
        for part in (known, unknown)
    ]
    return measure_rejection(rule, logits[0], known.targets, logits[1])


def _measure_all(
    config: RunConfig,
    model: VideoTextModel,
    data: RecognitionData,
    part: FeatureSet,
    handcrafted: Handcrafted,
    *,
    probe: bool,
) -> dict[str, Any]:
    """Method name -> measures. A linear probe has no answer to names it was not fitted on."""
    window, views = config.model.num_frames, config.evaluate.views
    scores: dict[str, Scores] = {
        method_name(config): predict_scores(
            model, part, part.class_names, window=window, num_views=views, batch_size=config.evaluate.batch_size
        )
    }
    if "B-I" in config.evaluate.baselines:
        scores["B-I"] = zero_shot_scores(handcrafted, part, part.class_names, window=window, num_views=views)
    if "B-II" in config.evaluate.baselines and probe and len(data.train):
        scores["B-II"] = linear_probe_scores(data.train, data.val, part, window=window, num_views=views)
    return {name: measure(values, part.targets, part.class_names) for name, values in scores.items()}
