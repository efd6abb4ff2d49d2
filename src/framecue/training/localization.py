"""A whole localization run: config -> annotated videos -> features -> adapter -> results."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from framecue.backbone import Backbone
from framecue.config import RunConfig, save_config
from framecue.config.departures import departures
from framecue.datasets.feature_set import FeatureSet
from framecue.datasets.localization import meet_ids, read_detections, read_external_scores, submission
from framecue.datasets.naming import shorten, spoken
from framecue.datasets.untrimmed_set import UntrimmedSet
from framecue.errors import DatasetError
from framecue.files import write_text
from framecue.models.adapter import AdapterCard, make_card, save_adapter
from framecue.models.builders import build_localization
from framecue.models.handcrafted import Handcrafted
from framecue.models.localization import LocalizationModel
from framecue.models.seen import Seen
from framecue.models.video_text import num_trainable
from framecue.tasks.blend import choose_blend
from framecue.tasks.evaluation import foreseen_doubts, rejection_rule
from framecue.tasks.held_out import tell_since
from framecue.tasks.localization import LocalizationTask
from framecue.tasks.localization_data import LocalizationData, prepare_localization
from framecue.tasks.localization_evaluation import (
    Outside,
    average_map,
    choose_fusion,
    detect,
    evaluate_localization,
    system_name,
    trained_localizer,
)
from framecue.tasks.localization_source import ground_truth_path
from framecue.tasks.recall import recall_annotated
from framecue.tasks.recognition import predict_logits
from framecue.tasks.rejection import RejectionRule, calibrate
from framecue.tasks.reporting import choose_min_score, measure_reporting
from framecue.training.loop import content_mark, train
from framecue.training.recognition import (
    ADAPTER,
    CONFIG,
    RESULTS,
    RunProgress,
    RunResult,
    deciding,
    frozen_texts,
    make_handcrafted,
    needs_handcrafted,
    note_departures,
    open_run,
    seen_by_run,
    settled,
    without_probe,
)
from framecue.training.start import STARTED_FROM, Start, read_start, refuse_trained, told, trained_before
from framecue.types import AnnotatedVideo, Record, ScoredSegment

DETECTIONS = "detections_{part}.json"
"""What the system found in the videos of a part, for any scorer."""


def train_localization(
    config: RunConfig, *, restart: bool = False, progress: RunProgress | None = None, backbone: Backbone | None = None
) -> RunResult:
    """Train both stages, choose weights and fusion on the validation part, and measure once on the test part.

    A run whose folder holds a state of the same config goes on from there; a finished one is only measured again.

    Args:
        restart: begin anew whatever the folder holds.
        backbone: an already loaded one, for callers of many runs.

    Raises:
        FramecueError: as its parts do; nothing half-written is left under a final name.
    """
    progress = progress or RunProgress()
    backbone = open_run(config, restart=restart, backbone=backbone)
    config = settled_localization(config, backbone)
    start = read_start(config, backbone)
    data = prepare_localization(config, backbone, trained_before=trained_before(start), progress=progress.extraction)
    seen = seen_by_run(config, data, start)
    refuse_trained(seen)
    for line in data.parting:
        progress.note(line)
    handcrafted = make_handcrafted(config, backbone, map(spoken, data.names))
    outside = read_outside(config, data)
    note_departures(config, departures(config, on_gpu=backbone.on_gpu), progress)
    fitted = _fit(config, data, handcrafted, outside, start, progress=progress)
    save_config(config, config.out / CONFIG)  # not before `_fit` has accepted the folder: it may be another run's
    results, found = evaluate_localization(
        config,
        fitted.model,
        data,
        handcrafted,
        fusion_weight=fitted.fusion_weight,
        outside=outside,
    )
    results |= fitted.chosen | {"reported": _measure_reporting(config, fitted, data, outside)} | told(start)
    save_adapter(config.out / ADAPTER, fitted.model, _card(config, fitted, data, handcrafted, results), seen)
    for part, detections in found.items():
        text = submission(detections, external_data=_external_data(config))
        write_text(config.out / DETECTIONS.format(part=part), text)
    write_text(config.out / RESULTS, json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    return RunResult(config.out / ADAPTER, results, data.skipped)


def _external_data(config: RunConfig) -> str | None:
    """What a submission says of data from outside; None where there are none."""
    wanted = config.localization
    used = {"proposals": wanted.proposals, "video-level class scores": wanted.external_scores}
    return "; ".join(f"{what} of {path}" for what, path in used.items() if path is not None) or None


def evaluate_localization_adapter(
    config: RunConfig, card: AdapterCard, seen: Seen, model: LocalizationModel, folder: Path, progress: RunProgress
) -> RunResult:
    """Measure a trained adapter again, on what its run held out or on data that are new to it.

    Raises:
        DatasetError: nothing of the data may be measured.
    """
    backbone = model.classifier.backbone
    data, held_out = recall_annotated(config, backbone, seen, progress=progress.extraction)
    handcrafted = make_handcrafted(config, backbone, map(spoken, data.names))
    outside = read_outside(config, data)
    results, _ = evaluate_localization(
        config,
        model,
        data,
        handcrafted,
        fusion_weight=card.fusion_weight,
        outside=outside,
        part=held_out.part,
    )
    chosen = {name: card.metrics[name] for name in CHOSEN if name in card.metrics}
    fitted = LocalizationFit(model, card.fusion_weight, card.min_score, rejection_rule(card), chosen)
    results |= chosen | {"reported": _measure_reporting(config, fitted, data, outside)}
    results |= {name: card.metrics[name] for name in (STARTED_FROM,) if name in card.metrics}
    more = [] if len(data.train) else without_probe(config)
    return RunResult(folder, tell_since(results, card.metrics, held_out, more), data.skipped)


CHOSEN = ("selected", "blend", "fusion", "reporting", "rejection", "calibration")
"""What validation decided, in a results file."""


@dataclass(frozen=True, eq=False)
class LocalizationFit:
    """A trained model with its best weights, and what the validation part chose.

    Attributes:
        chosen: `CHOSEN`, for the results file.
    """

    model: LocalizationModel
    fusion_weight: float
    min_score: float | None
    rejection: RejectionRule | None
    chosen: dict[str, Any]


def _fit(
    config: RunConfig,
    data: LocalizationData,
    handcrafted: Handcrafted,
    outside: Outside,
    start: Start | None,
    *,
    progress: RunProgress,
) -> LocalizationFit:
    wanted, backbone = config.localization, handcrafted.backbone
    texts = handcrafted if needs_handcrafted(config) or not wanted.trains_classifier else None
    model = build_localization(config.model, wanted, backbone, seed=config.seed, handcrafted=texts)
    if start is not None:
        start.load_into(model)
    first = {name: tensor.detach().clone() for name, tensor in model.classifier.state_dict().items()}
    progress.note(_describe(config, data, num_trainable(model)))
    for line in [*foreseen_doubts(len(data.val.targets), len(data.test.targets), "segments"), *data.notes]:
        progress.note(line)

    localizer = partial(
        trained_localizer, model, wanted, num_frames=config.model.num_frames, sampling=config.features.sampling
    )
    names = data.train.class_names

    def measure(current: LocalizationModel) -> Mapping[str, float]:
        # Without outside scores: what is trained does not depend on what it is fused with afterwards.
        found = detect(data.val, replace(outside, scores=None).localizers(localizer(names)), wanted)
        return {"average_map": average_map(data.val, found, wanted.tious).average}

    task = LocalizationTask(model, data.train, measure if len(data.val.targets) else None, config)
    fingerprint = _fingerprint(config, backbone, data, outside, texts)
    state = train(task, config.train, config.out, fingerprint=fingerprint, progress=progress.step)
    model.eval()
    blend = choose_blend(
        model.classifier,
        trimmed(data.val),
        config.blend,
        config.evaluate.model_copy(update={"views": 1}),
        start=first,
        window=config.model.num_frames,
    )
    if len(data.val.targets):
        progress.note("choosing the fusion of both stages' scores, and from which score a segment is reported, on val")
    weight, fusion = choose_fusion(
        data.val, lambda value: outside.localizers(localizer(names, fusion_weight=value)), wanted
    )
    rejection, calibration = _calibrate(config, model, data.val)
    usable = rejection if rejection is not None and rejection.is_usable else None
    reporting = choose_min_score(
        data.val,
        lambda asked, others: outside.localizers(
            localizer(asked, fusion_weight=weight, others=others, rejection=usable)
        ),
        wanted,
    )
    chosen = {
        "selected": {"iteration": state.best.iteration, "val_average_map": state.best.metric},
        "blend": blend,
        "fusion": {"weight": weight, "val_average_map": fusion},
        "reporting": reporting,
        "rejection": rejection and rejection.to_json(),
        "calibration": calibration,
    }
    return LocalizationFit(model, weight, reporting["min_score"] if reporting else None, rejection, chosen)


def _calibrate(
    config: RunConfig, model: LocalizationModel, val: UntrimmedSet
) -> tuple[RejectionRule | None, dict[str, Any]]:
    """The rule for "none of these", fitted on the true segments of the validation part."""
    if not config.localization.trains_classifier:
        return None, {"note": "not calibrated: the frozen backbone names the segments"}
    actions = trimmed(val)
    logits = predict_logits(model.classifier, actions, actions.class_names, window=config.model.num_frames, num_views=1)
    return calibrate(logits, actions.targets, what="validation segments")


def _measure_reporting(
    config: RunConfig, fitted: "LocalizationFit", data: LocalizationData, outside: Outside
) -> dict[str, Any] | None:
    """What `framecue localize` would report of the test videos, asked for all seen names."""
    part = data.test if len(data.test.targets) else data.val
    if fitted.min_score is None or not len(part.targets):
        return None
    rule = fitted.rejection
    localizer = trained_localizer(
        fitted.model,
        config.localization,
        part.class_names,
        num_frames=config.model.num_frames,
        sampling=config.features.sampling,
        fusion_weight=fitted.fusion_weight,
        rejection=rule if rule is not None and rule.is_usable else None,
    )
    make = outside.localizers(localizer)
    return measure_reporting(part, data.novel, make, config.localization, min_score=fitted.min_score)


def trimmed(data: UntrimmedSet) -> FeatureSet:
    """Every action of the set as a trimmed video of its spoken name, for what is chosen by classification alone."""
    rows = data.segment_rows[:, 0].tolist()
    records = [
        Record(
            video.path or Path(video.video_id),
            spoken(segment.label),
            start_seconds=segment.start_seconds,
            end_seconds=segment.end_seconds,
        )
        for video in data.videos
        for segment in video.segments
    ]
    return FeatureSet(records, [data.hashes[row] for row in rows], [*map(spoken, data.class_names)], data.fetch)


def read_outside(config: RunConfig, data: LocalizationData) -> Outside:
    """Somebody else's proposals, with scores brought into [0, 1], and video-level class scores, where the run has them.

    What is odd about them is added to the notes of `data`.

    Raises:
        DatasetError: a file cannot be read, or the scores lack a class or are negative.
    """
    wanted = config.localization
    videos = [*data.train.videos, *data.val.videos, *data.test.videos, *data.novel.videos]
    proposals = scores = None
    if wanted.proposals is not None:
        proposals = _read_proposals(wanted.proposals, videos, data.notes)
    if wanted.external_scores is not None:
        scores = read_external_scores(wanted.external_scores, data.names)
        least = min((float(row.min()) for row in scores.scores.values()), default=0.0)
        if least < 0:
            raise DatasetError(
                f"{wanted.external_scores}: class scores must not be negative to be multiplied with ours, found "
                f"{least:g}; give probabilities."
            )
        data.notes.extend(scores.notes)
        meant = meet_ids(scores.scores, [video.video_id for video in videos])
        scores = replace(scores, scores={meant.get(name, name): row for name, row in scores.scores.items()})
        _note_absent(wanted.external_scores, "class scores", videos, scores.scores, data.notes)
    return Outside(proposals, scores)


def _read_proposals(
    path: Path, videos: Sequence[AnnotatedVideo], notes: list[str]
) -> Mapping[str, Sequence[ScoredSegment]]:
    durations = {video.video_id: video.duration_seconds for video in videos if video.duration_seconds}
    found = read_detections(path, durations=durations).with_unit_scores()
    notes.extend(found.notes)
    meant = meet_ids(found.results, [video.video_id for video in videos])
    results = {meant.get(name, name): part for name, part in found.results.items()}
    _note_absent(path, "proposals", videos, results, notes)
    return results


def _note_absent(
    path: Path, what: str, videos: Sequence[AnnotatedVideo], there: Collection[str], notes: list[str]
) -> None:
    absent = sorted({video.video_id for video in videos} - set(there))
    if absent:
        notes.append(f"{path}: no {what} for {len(absent)} of {len(videos)} videos ({shorten(absent, 3)}).")


def settled_localization(config: RunConfig, backbone: Backbone) -> RunConfig:
    """As `settled`, with the paths of the section localization, and the ground truth named."""
    wanted = config.localization
    paths = {
        name: value.absolute()
        for name in ("blocked", "proposals", "external_scores")
        if (value := getattr(wanted, name)) is not None
    }
    config = config.model_copy(
        update={
            "localization": wanted.model_copy(update=paths),
            "data": config.data.model_copy(update={"annotations": ground_truth_path(config)}),
        }
    )
    return settled(config, backbone)


def _card(
    config: RunConfig,
    fitted: LocalizationFit,
    data: LocalizationData,
    handcrafted: Handcrafted,
    results: dict[str, Any],
) -> AdapterCard:
    classifier = fitted.model.classifier
    weights = {
        "temporal_weight": classifier.temporal_weight,
        "handcrafted_weight": classifier.handcrafted_weight,
    }
    return make_card(
        classifier.backbone,
        config.model.model_copy(update=weights),
        data.train.class_names,
        backbone_id=config.backbone.id,
        sampling=config.features.sampling,
        task="localization",
        localization=config.localization,
        fusion_weight=fitted.fusion_weight,
        min_score=fitted.min_score,
        rejection=fitted.rejection and fitted.rejection.to_json(),
        calibration=fitted.chosen["calibration"]["note"],
        started_from=results.get(STARTED_FROM),
        config=config.model_dump(mode="json"),
        metrics=results,
        **(
            frozen_texts(handcrafted)
            if classifier.handcrafted_weight or not config.localization.trains_classifier
            else {}
        ),
    )


def _fingerprint(
    config: RunConfig, backbone: Backbone, data: LocalizationData, outside: Outside, texts: Handcrafted | None
) -> dict[str, Any]:
    """What decides the trained weights: the config's deciding sections, the training and validation videos, the
    proposals that the latter are measured with, and the frozen texts where the model holds any."""
    train, val = (
        [
            f"{content} {video.segments} {ignored}"
            for content, video, ignored in zip(part.hashes, part.videos, part.ignored, strict=True)
        ]
        for part in (data.train, data.val)
    )
    found = deciding(config, backbone, train=train, val=val)
    found["localization"] = config.localization.model_dump(
        mode="json", exclude={"test_subset", "fusion_weights", "external_scores"}
    )
    if outside.proposals is not None:
        found["proposals"] = content_mark([str(outside.proposals.get(video.video_id)) for video in data.val.videos])
    if texts is not None:
        found["handcrafted"] = frozen_texts(texts)
    return found


def _describe(config: RunConfig, data: LocalizationData, trained: int) -> str:
    held_out = f", {len(data.novel.class_names)} held-out names" if data.novel.class_names else ""
    return (
        f"{system_name(config)} on {config.backbone.id}: {trained:,} trained numbers, "
        f"{len(data.train.class_names)} classes{held_out}; videos: {len(data.train)} train "
        f"({len(data.train.targets)} segments), {len(data.val)} val, {len(data.test)} test"
    )
