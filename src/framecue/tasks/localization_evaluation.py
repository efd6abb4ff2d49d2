"""What a localization run measures: the two-stage system, each stage with the other one perfect, and the frozen one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from framecue.config import LocalizationConfig, RunConfig
from framecue.config.departures import departures, departures_json
from framecue.datasets.localization import ExternalScores
from framecue.datasets.naming import spoken
from framecue.datasets.untrimmed_set import UntrimmedSet
from framecue.metrics.detection import DetectionResult, detection_map
from framecue.metrics.detection_errors import detection_errors
from framecue.metrics.proposals import average_recall
from framecue.metrics.segment_table import SegmentTable, segment_table
from framecue.models.handcrafted import Handcrafted
from framecue.models.localization import LocalizationModel
from framecue.segments import temporal_iou, to_seconds
from framecue.tasks.baselines import segment_probe
from framecue.tasks.evaluation import method_name
from framecue.tasks.localization import (
    FrozenNamer,
    GivenProposals,
    Namer,
    NetworkProposals,
    ProbeNamer,
    PromptedNamer,
    Proposer,
    TwoStage,
)
from framecue.tasks.localization_data import LocalizationData
from framecue.tasks.localize_video import with_proposals
from framecue.tasks.rejection import RejectionRule, rejection_score
from framecue.tasks.score_files import errors_json
from framecue.tasks.spotting import ADAPTER_CONTEXT_SECONDS, ADAPTER_MIN_SCORE, SpottedProposals, frozen_localizer
from framecue.tasks.streaming import FeatureWindow, GatherSettings, as_chunks, localize_stream
from framecue.types import AnnotatedVideo, ScoredSegment

Detections = dict[str, list[ScoredSegment]]
MakeLocalizer = Callable[[AnnotatedVideo], TwoStage]

NO_PROBE = "B-II, a linear probe, knows the names it was fitted on alone: it has no row on held-out names."
LEAST_SCORE = 1e-4  # measured are all segments but those of no weight


def trained_localizer(
    model: LocalizationModel,
    config: LocalizationConfig,
    labels: Sequence[str],
    *,
    num_frames: int,
    sampling: str,
    fusion_weight: float = 0.5,
    min_score: float | None = None,
    others: Sequence[str] = (),
    rejection: RejectionRule | None = None,
) -> TwoStage:
    """A trained model as the localizer of `labels`.

    Without a proposal network the cues of tasks.spotting stand in, without a trained classifier the frozen backbone.

    Args:
        others: names that compete for the probability and are not reported.
        num_frames, sampling, fusion_weight: of the adapter.
        min_score: of the adapter; None = validation could not choose one, and that of tasks.spotting stands in.
        rejection: rule for segments of none of labels and others together, which then get no label; None = each gets
            the likeliest, as measures of mAP have it.

    Raises:
        PromptTooLongError: a label does not fit beside the prompt vectors.
    """
    namer = _namer(model, config, labels, others, num_frames, rejection)
    proposer: Proposer
    if model.proposals is not None:
        proposer = NetworkProposals(model.proposals, max_proposals=config.max_proposals)
    else:
        proposer = SpottedProposals(namer, context_seconds=ADAPTER_CONTEXT_SECONDS)
    return TwoStage(
        proposer,
        namer,
        tuple(labels),
        sampling=sampling,
        window=config.window,
        stride=max(1, round(config.window * (1 - config.overlap))),
        fusion_weight=fusion_weight,
        min_score=ADAPTER_MIN_SCORE if min_score is None else min_score,
        sigma=config.nms_sigma,
    )


@torch.no_grad()
def _namer(
    model: LocalizationModel,
    config: LocalizationConfig,
    labels: Sequence[str],
    others: Sequence[str],
    num_frames: int,
    rejection: RejectionRule | None,
) -> Namer:
    classifier, names = model.classifier, [spoken(name) for name in (*labels, *others)]
    if config.trains_classifier:
        text = classifier.embed_text(classifier.slots(names))
        named = PromptedNamer(classifier, text, num_frames=num_frames, num_others=len(others), context=config.context)
        return named if rejection is None else KnownOnly(named, rejection)
    if classifier.handcrafted is None:
        raise ValueError("a model without a trained classifier needs handcrafted texts.")
    text = classifier.handcrafted(names)
    return FrozenNamer(text, scale=classifier.backbone.logit_scale, num_others=len(others))


def system_name(config: RunConfig) -> str:
    """What names the segments of a run: the paper's name of its model, or B-I where it trains proposals alone."""
    return method_name(config) if config.localization.trains_classifier else "B-I"


class KnownOnly:
    """Names segments, but for those that a rule holds for something else than all of the namer's names."""

    def __init__(self, namer: PromptedNamer, rule: RejectionRule) -> None:
        self._namer, self._rule = namer, rule

    def __call__(self, window: FeatureWindow, segments: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Probability of each label, 0 for all where the segment is rejected."""
        logits = self._namer.logits(window, segments)
        probabilities = self._namer.probabilities(logits)
        if len(logits):
            sureness = rejection_score(self._rule.score, logits[:, None], self._rule.temperature)
            probabilities[sureness < self._rule.threshold] = 0
        return probabilities


def detect(data: UntrimmedSet, make: MakeLocalizer, config: LocalizationConfig) -> Detections:
    """Segments of every video, from stored features, along the same path as a file's.

    Args:
        make: the localizer of a video; oracles need one for each.
    """
    settings = GatherSettings(min_score=LEAST_SCORE, max_segments=config.max_segments, sigma=config.nms_sigma)
    found: Detections = {}
    for row, video in enumerate(data.videos):
        features = data.features([row])[0]
        chunks = as_chunks(features)
        found[video.video_id], _ = localize_stream(chunks, features.duration_seconds, make(video), settings)
    return found


@dataclass(frozen=True, eq=False)
class Outside:
    """What other programs say of the videos of a run; empty in the strict protocol.

    Attributes:
        proposals: by video id, instead of the model's own; None = there are none.
        scores: video-level class scores, which multiply the probability of each label; None = there are none.
    """

    proposals: Mapping[str, Sequence[ScoredSegment]] | None = None
    scores: ExternalScores | None = None

    def localizers(self, localizer: TwoStage) -> MakeLocalizer:
        """The localizer of each video: the same for all, where nothing comes from outside."""
        if self.proposals is None and self.scores is None:
            return lambda video: localizer

        def make(video: AnnotatedVideo) -> TwoStage:
            mine = localizer
            if self.scores is not None:
                mine = replace(mine, namer=_Weighted(mine, video, self.scores))
            if self.proposals is not None:
                mine = with_proposals(mine, self.proposals.get(video.video_id, ()))
            return mine

        return make


class _Weighted:
    """Probabilities of names times the scores that somebody else gives the whole video."""

    def __init__(self, localizer: TwoStage, video: AnnotatedVideo, outside: ExternalScores) -> None:
        known = outside.scores.get(video.video_id)
        rows = [outside.labels.index(label) for label in localizer.labels]
        self._namer = localizer.namer
        self._weights = np.ones(len(rows), np.float32) if known is None else known[rows].astype(np.float32)

    def __call__(self, window: FeatureWindow, segments: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        return self._namer(window, segments) * self._weights


def truth_table(data: UntrimmedSet) -> SegmentTable:
    """The ground truth as columns; videos count in the set's order, labels in its class names."""
    return segment_table({video.video_id: video.segments for video in data.videos}, *_numbers(data))


def detection_table(data: UntrimmedSet, found: Mapping[str, Sequence[ScoredSegment]]) -> SegmentTable:
    """What was found as columns, in the numbers of `truth_table`."""
    return segment_table(found, *_numbers(data))


def average_map(data: UntrimmedSet, found: Detections, tious: Sequence[float]) -> DetectionResult:
    """mAP at each overlap and their mean."""
    return detection_map(
        truth_table(data), detection_table(data, found), num_classes=len(data.class_names), tiou_thresholds=tious
    )


def _numbers(data: UntrimmedSet) -> tuple[dict[str, int], dict[str, int]]:
    videos = {video.video_id: number for number, video in enumerate(data.videos)}
    return videos, {name: number for number, name in enumerate(data.class_names)}


class TrueNames:
    """Stage two as an oracle: the label of the action that a segment overlaps most; none where it overlaps none."""

    def __init__(self, video: AnnotatedVideo, labels: Sequence[str]) -> None:
        bounds = [(segment.start_seconds, segment.end_seconds) for segment in video.segments]
        self._bounds = np.array(bounds, dtype=np.float64).reshape(-1, 2)
        self._targets = np.array([labels.index(segment.label) for segment in video.segments], dtype=np.int64)
        self._num_labels = len(labels)

    def __call__(self, window: FeatureWindow, segments: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """One or zero, [K, N]."""
        names = np.zeros((len(segments), self._num_labels), np.float32)
        if len(self._bounds):
            overlap = temporal_iou(to_seconds(segments, window.edges_seconds), self._bounds)
            best = overlap.argmax(axis=1)
            rows = np.flatnonzero(overlap.max(axis=1) > 0)
            names[rows, self._targets[best[rows]]] = 1
        return names


def true_proposals(video: AnnotatedVideo) -> GivenProposals:
    """Stage one as an oracle: the annotated segments, all equally sure."""
    bounds = [(segment.start_seconds, segment.end_seconds) for segment in video.segments]
    return GivenProposals(np.array(bounds, dtype=np.float64).reshape(-1, 2), np.ones(len(bounds), np.float32))


def choose_fusion(
    data: UntrimmedSet, make: Callable[[float], MakeLocalizer], config: LocalizationConfig
) -> tuple[float, dict[str, float]]:
    """The fusion weight of the highest average mAP on the validation part, and that of each candidate.

    Of equals the one nearest to the geometric mean is taken, as without validation videos.
    """
    measured = {}
    if len(data.targets):
        for weight in config.fusion_weights:
            found = detect(data, make(weight), config)
            measured[weight] = average_map(data, found, config.tious).average
    best = max(config.fusion_weights, key=lambda weight: (measured.get(weight, 0.0), -abs(weight - 0.5)))
    return best, {f"{weight:g}": value for weight, value in measured.items()}


def evaluate_localization(
    config: RunConfig,
    model: LocalizationModel,
    data: LocalizationData,
    handcrafted: Handcrafted,
    *,
    fusion_weight: float,
    outside: Outside,
    part: str | None = None,
) -> tuple[dict[str, Any], dict[str, Detections]]:
    """Measure the system, its stages apart, and the frozen backbone. Deterministic.

    The reported part is test; without one it is val, and the result says so.

    Args:
        part: what the reported part is called; anything but "val" is the test set.

    Returns:
        What the results file holds, and what the system found in the videos of each part.
    """
    found: dict[str, Detections] = {}
    part = part or ("test" if len(data.test) else "val")
    backbone = model.classifier.backbone
    results: dict[str, Any] = {
        "protocol": {
            "task": "localization",
            "setting": "open-set" if data.novel.class_names else "closed-set",
            "part": part,
            "part_chose_the_weights": part == "val",
            "tious": list(config.localization.tious),
            "classes_seen_in_training": list(data.train.class_names),
            "held_out_classes": list(data.novel.class_names),
            "external_scores": str(config.localization.external_scores or "none"),
            "proposals": str(config.localization.proposals or "own"),
            "num_train_videos": len(data.train),
            "num_train_segments": len(data.train.targets),
            "num_val_videos": len(data.val),
            "templates": list(config.evaluate.templates),
            "departures": departures_json(departures(config, on_gpu=backbone.on_gpu)),
        },
        "notes": list(data.notes),
        "seed": config.seed,
        "backbone": {
            "id": config.backbone.id,
            "weights_hash": backbone.weights_hash,
            "precision": backbone.precision,
            "text_precision": backbone.text_precision,
        },
        "method": system_name(config),
        "fusion_weight": fusion_weight,
    }
    probe = None
    if "B-II" in config.evaluate.baselines and len(data.train.targets):
        probe = ProbeNamer(segment_probe(data.train, data.val))
        results["notes"] += [NO_PROBE] if data.novel.class_names else []
    for name, measured in ((part, data.val if part == "val" else data.test), ("novel", data.novel)):
        results[name] = {}
        if len(measured.targets):
            known = probe if name == part else None
            results[name], found[name] = _measure_all(
                config, model, measured, handcrafted, fusion_weight, outside, known
            )
    return results, found


def _measure_all(
    config: RunConfig,
    model: LocalizationModel,
    data: UntrimmedSet,
    handcrafted: Handcrafted,
    fusion_weight: float,
    outside: Outside,
    probe: ProbeNamer | None,
) -> tuple[dict[str, Any], Detections]:
    """Measures by method, and what the system found. `probe` names the labels of `data`; None = it knows others."""
    wanted, labels = config.localization, data.class_names
    names = [spoken(label) for label in labels]
    ours = trained_localizer(
        model,
        wanted,
        labels,
        num_frames=config.model.num_frames,
        sampling=config.features.sampling,
        fusion_weight=fusion_weight,
    )
    frozen = replace(ours, namer=FrozenNamer(handcrafted(names), scale=handcrafted.backbone.logit_scale))
    free = frozen_localizer(handcrafted.backbone, labels, handcrafted.templates)
    method = system_name(config)

    def renamed(video: AnnotatedVideo) -> TwoStage:
        perfect = replace(ours, namer=TrueNames(video, labels), fusion_weight=0.5)
        return replace(outside, scores=None).localizers(perfect)(video)

    def given(localizer: TwoStage) -> MakeLocalizer:
        return lambda video: replace(localizer, proposer=true_proposals(video))

    rows: dict[str, MakeLocalizer] = {
        method: outside.localizers(ours),
        "own proposals, true names": renamed,
        f"true segments, {method}": given(ours),
    }
    if "B-I" in config.evaluate.baselines:
        rows |= {
            "own proposals, B-I": replace(outside, scores=None).localizers(frozen),
            "true segments, B-I": given(frozen),
            "training-free, B-I": Outside().localizers(free),
        }
    if probe is not None:
        probed = replace(ours, namer=probe)
        rows |= {
            "own proposals, B-II": replace(outside, scores=None).localizers(probed),
            "true segments, B-II": given(probed),
        }
    found = {name: detect(data, make, wanted) for name, make in rows.items()}
    measures = {name: measure_detections(data, detections, wanted.tious) for name, detections in found.items()}
    errors = detection_errors(
        truth_table(data),
        detection_table(data, found[method]),
        num_classes=len(labels),
        tiou_thresholds=wanted.tious,
        duration_seconds=np.array([video.duration_seconds or np.nan for video in data.videos]),
    )
    measures[method]["errors"] = errors_json(errors)
    return measures, found[method]


def measure_detections(data: UntrimmedSet, found: Detections, tious: Sequence[float]) -> dict[str, Any]:
    """What a results file says of one system on one part: mAP, and the recall of its segments whatever their label."""
    result = average_map(data, found, tious)
    truth, table = truth_table(data).with_one_label(), detection_table(data, found).with_one_label()
    recall = average_recall(truth, table).average_recall_at if len(table) else {}
    return {
        "average_map": result.average,
        "map": {f"{tiou:g}": float(value) for tiou, value in zip(tious, result.mean_ap, strict=True)},
        "per_class": {
            name: float(value) for name, value in zip(data.class_names, result.per_class.mean(axis=0), strict=True)
        },
        "average_recall_at": {str(number): float(value) for number, value in recall.items()},
        "num_videos": len(data),
        "num_segments": len(data.targets),
        "num_found": sum(len(segments) for segments in found.values()),
    }
