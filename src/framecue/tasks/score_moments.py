"""Moment retrieval from files: predictions for sentences against the segments that the sentences are about."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from framecue.datasets.moment_queries import (
    MomentPrediction,
    MomentQuery,
    read_moment_predictions,
    read_moment_queries,
)
from framecue.datasets.naming import shorten
from framecue.errors import DatasetError, UsageError
from framecue.files import name_form
from framecue.metrics.highlights import highlight_scores
from framecue.metrics.moment_retrieval import MOMENT_TIOU, MomentScores, moment_retrieval_scores
from framecue.metrics.segment_table import SegmentTable

Matched = dict[int, MomentPrediction]


def score_moments(
    ground_truth: str | Path,
    predictions: str | Path,
    *,
    tiou_thresholds: Sequence[float] = MOMENT_TIOU,
    max_predictions: int | None = 10,
) -> dict[str, Any]:
    """Figures of moment retrieval and, where both files have it, highlight detection, in percent, for JSON.

    Keys are those of the QVHighlights authors: `brief`, by length `full`, `long`, `middle`, `short` (None where no
    segment has such a length), and `HL-min-Fair` and so on. Nothing is rounded. Predictions go to the sentence of their
    `qid`; where the ground truth has none, to that of their `vid` and `query`.

    Args:
        max_predictions: of each sentence the first so many count; None takes all.

    Raises:
        DatasetError: a file cannot be read or understood, or the two do not fit.
        UsageError: thresholds outside (0, 1], or no prediction to count.
    """
    thresholds = [round(float(value), 6) for value in tiou_thresholds]
    if not thresholds or not all(0 < value <= 1 for value in thresholds):
        raise UsageError(f"tiou_thresholds must be numbers in (0, 1], found {list(tiou_thresholds)}.")
    if max_predictions is not None and max_predictions < 1:
        raise UsageError(f"max_predictions must be at least 1, found {max_predictions}.")
    truth_path, found_path = Path(ground_truth), Path(predictions)
    queries, found = read_moment_queries(truth_path), read_moment_predictions(found_path)
    matched, notes = _match(queries, found, truth_path, found_path)
    truth_table = _truth_table(queries)
    if len(truth_table) == 0:
        raise DatasetError(f"{truth_path} has no segment to be found. Give a part that has ground truth.")
    notes += _oddities(queries, matched, truth_path, found_path, max_predictions)
    scores = moment_retrieval_scores(
        truth_table, _found_table(matched), tiou_thresholds=thresholds, max_predictions=max_predictions
    )
    by_length = {name: None if one is None else _moment_json(one) for name, one in scores.items()}
    highlights, reason = _highlights(queries, matched, found_path)
    return {
        "ground_truth": {"file": str(truth_path), "queries": len(queries), "segments": len(truth_table)},
        "predictions": {"file": str(found_path), "queries": len(found), "matched": len(matched)},
        "protocol": {
            "evaluator": "QVHighlights standalone_eval (Lei et al. 2021), not rounded",
            "tiou_thresholds": thresholds,
            "max_predictions": max_predictions,
            "without_prediction": "counted as missed",
        },
        "brief": _brief(by_length, highlights),
        **by_length,
        **highlights,
        "notes": notes + reason,
    }


def _match(
    queries: list[MomentQuery], found: list[MomentPrediction], truth_path: Path, found_path: Path
) -> tuple[Matched, list[str]]:
    """The prediction of each query by its number, and a line for what is missing or unknown."""
    by_id = all(query.query_id is not None for query in queries)
    if not by_id and any(query.query_id is not None for query in queries):
        raise DatasetError(f"{truth_path}: some sentences have a qid and some have none. Give each one, or none.")
    numbers: dict[Any, list[int]] = defaultdict(list)
    for number, query in enumerate(queries):
        numbers[query.query_id if by_id else _words(query.video_id, query.sentence)].append(number)
    given: dict[Any, list[MomentPrediction]] = defaultdict(list)
    for one in found:
        if by_id and one.query_id is None:
            raise DatasetError(f"{one.origin}: the ground truth goes by qid, and this prediction has none. Add it.")
        if not by_id and (one.video_id is None or one.sentence is None):
            raise DatasetError(f"{one.origin}: the ground truth has no qid; give the prediction vid and query.")
        given[one.query_id if by_id else _words(one.video_id, one.sentence)].append(one)
    matched: Matched = {}
    for key, rows in numbers.items():
        if by_id and len(rows) > 1:
            raise DatasetError(f"{queries[rows[1]].origin}: qid {key} is given twice. Remove one.")
        matched |= _share_out(rows, given.get(key, []), queries)
    unknown = [one for key, ones in given.items() if key not in numbers for one in ones]
    if not matched:
        raise DatasetError(
            f"{found_path}: no prediction is for a sentence of {truth_path} (first: "
            f"{found[0].origin}). Give the ground truth of the same part."
        )
    missing = [query.query_id or query.origin for number, query in enumerate(queries) if number not in matched]
    lines = []
    if missing:
        what = "sentences without a prediction, counted as missed"
        lines.append(f"{found_path}: {what}: {len(missing)} of {len(queries)} ({shorten(missing)}).")
    if unknown:
        names = shorten([one.query_id or one.origin for one in unknown])
        what = "predictions for sentences that the ground truth has not, left out"
        lines.append(f"{found_path}: {what}: {len(unknown)} ({names}).")
    return matched, lines


def _share_out(rows: list[int], ones: list[MomentPrediction], queries: list[MomentQuery]) -> Matched:
    """Predictions of one sentence: one for all its mentions, or one for each in the order of the files."""
    if not ones:
        return {}
    if len(ones) > 1 and len(ones) != len(rows):
        raise DatasetError(f"{ones[1].origin}: a prediction for the same sentence came before. Remove one.")
    for one in ones:
        if one.video_id is not None and name_form(one.video_id) != name_form(queries[rows[0]].video_id):
            raise DatasetError(
                f"{one.origin}: qid {one.query_id} is of video '{queries[rows[0]].video_id}' in the ground truth, "
                f"found '{one.video_id}'. Give the ground truth of the same part."
            )
    return dict(zip(rows, ones if len(ones) == len(rows) else ones * len(rows), strict=True))


def _words(video_id: str | None, sentence: str | None) -> tuple[str, str]:
    return name_form(video_id or ""), " ".join(name_form(sentence or "").split())


def _truth_table(queries: list[MomentQuery]) -> SegmentTable:
    number = np.repeat(np.arange(len(queries)), [len(query.windows) for query in queries])
    return SegmentTable(number, number, np.concatenate([query.windows for query in queries]))


def _found_table(matched: Matched) -> SegmentTable:
    """Windows without scores are as sure as they come early."""
    rows = list(matched.values())
    number = np.repeat(np.array(list(matched), dtype=np.int64), [len(one.windows) for one in rows])
    scores = [-np.arange(float(len(one.windows))) if one.scores is None else one.scores for one in rows]
    return SegmentTable(number, number, np.concatenate([one.windows for one in rows]), np.concatenate(scores))


def _oddities(
    queries: list[MomentQuery], matched: Matched, truth_path: Path, found_path: Path, max_predictions: int | None
) -> list[str]:
    """A line for each kind of thing that is counted in a way that its author may not expect."""
    counts: Counter[str] = Counter()
    for query in queries:
        counts["bare"] += len(query.windows) == 0
        counts["empty truth"] += int((query.windows[:, 1] <= query.windows[:, 0]).sum())
    for one in matched.values():
        count = len(one.windows)
        counts["nothing found"] += count == 0
        counts["empty"] += int((one.windows[:, 1] <= one.windows[:, 0]).sum())
        counts["too many"] += max_predictions is not None and count > max_predictions
        counts["no scores"] += one.scores is None and count > 1
        counts["unsorted"] += one.scores is not None and count > 1 and bool(one.scores[0] < one.scores.max())
    texts = (
        ("bare", truth_path, "sentences without a segment, left out"),
        ("empty truth", truth_path, "segments that end no later than they begin, never found"),
        ("nothing found", found_path, "sentences with an empty list of predictions, counted as missed"),
        ("empty", found_path, "predictions that end no later than they begin, never right"),
        ("too many", found_path, f"sentences with more than {max_predictions} predictions, of which the first count"),
        ("no scores", found_path, "sentences with predictions without scores, ranked in the order of the file"),
        ("unsorted", found_path, "sentences with a surer prediction than their first, which R1 and mIoU judge"),
    )
    return [f"{path}: {text}: {counts[kind]}." for kind, path, text in texts if counts[kind]]


def _highlights(
    queries: list[MomentQuery], matched: Matched, found_path: Path
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Highlight figures by level; none, with the reason, where only some sentences have what they need."""
    pairs = []
    for number, query in enumerate(queries):
        one = matched.get(number)
        if query.ratings is not None and one is not None and one.saliency is not None:
            pairs.append((query.ratings, one.saliency))
    if not pairs:
        return {}, []
    if len(pairs) < len(queries):
        count = f"{len(pairs)} of {len(queries)} sentences"
        return {}, [f"{found_path}: {count} have saliency scores and ratings: highlight detection is not scored."]
    scores = highlight_scores(pairs)
    return {f"HL-min-{name}": {"HL-mAP": one.mean_ap, "HL-Hit1": one.hit_at_1} for name, one in scores.items()}, []


def _moment_json(scores: MomentScores) -> dict[str, Any]:
    names = [f"{value:g}" for value in scores.tiou_thresholds]
    return {
        "queries": scores.num_queries,
        "segments": scores.num_segments,
        "MR-mAP": {**dict(zip(names, scores.mean_ap.tolist(), strict=True)), "average": scores.average_mean_ap},
        "MR-R1": dict(zip(names, scores.recall_at_1.tolist(), strict=True)),
        "MR-R5": dict(zip(names, scores.recall_at_5.tolist(), strict=True)),
        "MR-mIoU": scores.mean_iou,
    }


def _brief(by_length: dict[str, Any], highlights: dict[str, dict[str, float]]) -> dict[str, float]:
    """The figures that papers compare, as far as the thresholds give them."""
    full = by_length["full"]
    brief = {f"MR-full-R1@{name}": full["MR-R1"][name] for name in ("0.3", "0.5", "0.7") if name in full["MR-R1"]}
    brief["MR-full-mAP"] = full["MR-mAP"]["average"]
    brief |= {f"MR-full-mAP@{name}": full["MR-mAP"][name] for name in ("0.5", "0.75") if name in full["MR-mAP"]}
    brief |= {f"MR-{name}-mAP": one["MR-mAP"]["average"] for name, one in by_length.items() if one and name != "full"}
    brief["MR-full-mIoU"] = full["MR-mIoU"]
    return brief | {f"{level}-{name[3:]}": value for level, one in highlights.items() for name, value in one.items()}
