"""The localization and retrieval scorers against plain loops over predictions and queries, in one run.

    python benchmarks/scorers.py [--videos 5000] [--predictions 200] [--classes 200] [--texts 10000]

Half of a video's predictions are moved copies of its annotated segments, the rest lie anywhere under any label. The
plain loop has the structure of the official evaluators (activitynet/ActivityNet, Evaluation/): a class, its predictions
from the best score down, the video's ground truth by descending overlap, threshold by threshold; a video, its best
proposals, how many segments they find. It keeps segments in dicts and lists, not in data frames as the official ones
do, so the loop is already much faster than those. Columns are made beforehand and not timed. Of retrieval the plain
loop sorts the similarities of one query after the other, as most published scorers do for the whole matrix.
"""

import argparse
import time
from collections import defaultdict

import numpy as np

from framecue.metrics.detection import ACTIVITYNET_TIOU, detection_map
from framecue.metrics.detection_errors import detection_errors
from framecue.metrics.proposals import average_recall
from framecue.metrics.retrieval import retrieval_scores
from framecue.metrics.segment_table import SegmentTable


def make_tables(videos: int, per_video: int, classes: int) -> tuple[SegmentTable, SegmentTable]:
    """Ground truth of 1 to 2 segments per video, and predictions; few scores tie, better near the truth."""
    draw = np.random.default_rng(0)
    truth_video = np.repeat(np.arange(videos), draw.integers(1, 3, videos))
    start = draw.uniform(0, 100, len(truth_video))
    truth = SegmentTable(
        truth_video,
        draw.integers(0, classes, len(truth_video)),
        np.stack([start, start + draw.uniform(2, 60, len(start))], axis=1),
    )
    video = np.repeat(np.arange(videos), per_video)
    near = np.searchsorted(truth_video, video) + draw.integers(0, 2, len(video))
    near = np.minimum(near, len(truth) - 1)
    copied = (draw.random(len(video)) < 0.5) & (truth.video[near] == video)
    moved = truth.segments[near] + draw.normal(0, 4, (len(video), 2))
    anywhere = np.sort(draw.uniform(0, 160, (len(video), 2)), axis=1)
    segments = np.sort(np.where(copied[:, None], moved, anywhere), axis=1)
    label = np.where(copied, truth.label[near], draw.integers(0, classes, len(video)))
    score = (draw.permutation(len(video)) + 0.3 * len(video) * copied) / (1.3 * len(video))
    return truth, SegmentTable(video, label, segments, score)


def iou(first: list[float], second: list[float]) -> float:
    overlap = max(min(first[1], second[1]) - max(first[0], second[0]), 0.0)
    return overlap / ((second[1] - second[0]) + (first[1] - first[0]) - overlap)


def plain_class_ap(truth: list[tuple[int, list[float]]], predictions: list[tuple[float, int, list[float]]]):
    """AP of one class at every threshold, prediction by prediction; NaN without ground truth."""
    if not truth:
        return [float("nan")] * len(ACTIVITYNET_TIOU)
    of_video = defaultdict(list)
    for row, (video, segment) in enumerate(truth):
        of_video[video].append((row, segment))
    predictions = sorted(predictions, key=lambda item: item[0])[::-1]
    taken = [[False] * len(truth) for _ in ACTIVITYNET_TIOU]
    hits = [[0] * len(predictions) for _ in ACTIVITYNET_TIOU]
    for place, (_, video, segment) in enumerate(predictions):
        candidates = sorted(((iou(segment, other), row) for row, other in of_video[video]), reverse=True)
        for level, threshold in enumerate(ACTIVITYNET_TIOU):
            for overlap, row in candidates:
                if overlap < threshold:
                    break
                if not taken[level][row]:
                    taken[level][row] = True
                    hits[level][place] = 1
                    break
    return [plain_interpolated_ap(line, len(truth)) for line in hits]


def plain_interpolated_ap(hits: list[int], positives: int) -> float:
    found, precision, recall = 0, [0.0], [0.0]
    for place, hit in enumerate(hits, 1):
        found += hit
        precision.append(found / place)
        recall.append(found / positives)
    for place in range(len(precision) - 2, -1, -1):
        precision[place] = max(precision[place], precision[place + 1])
    return sum((recall[i] - recall[i - 1]) * precision[i] for i in range(1, len(recall)))


def plain_map(truth: SegmentTable, predictions: SegmentTable, classes: int) -> np.ndarray:
    truths, guesses = defaultdict(list), defaultdict(list)
    for video, label, segment in zip(*columns(truth), strict=True):
        truths[label].append((video, segment))
    for video, label, segment, score in zip(*columns(predictions), predictions.score.tolist(), strict=True):
        guesses[label].append((score, video, segment))
    return np.array([plain_class_ap(truths[label], guesses[label]) for label in range(classes)]).T


def plain_average_recall(truth: SegmentTable, proposals: SegmentTable) -> np.ndarray:
    """The curve of 100 points; every video has as many proposals as every other, so a share is a count."""
    truths, guesses = defaultdict(list), defaultdict(list)
    for video, _, segment in zip(*columns(truth), strict=True):
        truths[video].append(segment)
    for video, _, segment, score in zip(*columns(proposals), proposals.score.tolist(), strict=True):
        guesses[video].append((score, segment))
    total = len(proposals)
    counts = [int(total / len(truths) * share) for share in np.arange(1, 101) / 100.0]
    found = np.zeros((len(ACTIVITYNET_TIOU), 100))
    for video, segments in truths.items():
        best = [segment for _, segment in sorted(guesses[video], key=lambda item: item[0])[::-1]]
        for segment in segments:
            overlaps = [iou(guess, segment) for guess in best]
            for level, threshold in enumerate(ACTIVITYNET_TIOU):
                first = next((place for place, overlap in enumerate(overlaps) if overlap >= threshold), len(best))
                found[level] += [first < count for count in counts]
    return (found / len(truth)).mean(axis=0)


def plain_mean_ranks(similarity: np.ndarray) -> tuple[float, float]:
    """Of text to video and video to text, truth on the diagonal: sort, then look where the match came."""
    both = []
    for matrix in (similarity, similarity.T):
        ranks = [1 + int(np.flatnonzero(np.argsort(-row) == place)[0]) for place, row in enumerate(matrix)]
        both.append(float(np.mean(ranks)))
    return both[0], both[1]


def columns(table: SegmentTable) -> tuple[list[int], list[int], list[list[float]]]:
    return table.video.tolist(), table.label.tolist(), table.segments.tolist()


def timed(run):
    started = time.perf_counter()
    result = run()
    return result, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", type=int, default=5000)
    parser.add_argument("--predictions", type=int, default=200, help="per video")
    parser.add_argument("--classes", type=int, default=200)
    parser.add_argument("--texts", type=int, default=10000, help="and as many videos, of the similarity matrix")
    options = parser.parse_args()
    truth, predictions = make_tables(options.videos, options.predictions, options.classes)
    print(
        f"{options.videos} videos, {len(truth)} ground truth segments, {len(predictions)} predictions, "
        f"{options.classes} classes, {len(ACTIVITYNET_TIOU)} thresholds"
    )
    ours, seconds = timed(lambda: detection_map(truth, predictions, num_classes=options.classes))
    plain, plain_seconds = timed(lambda: plain_map(truth, predictions, options.classes))
    difference = float(np.nanmax(np.abs(ours.per_class - plain)))
    curve, curve_seconds = timed(lambda: average_recall(truth, predictions))
    plain_curve, plain_curve_seconds = timed(lambda: plain_average_recall(truth, predictions))
    curve_difference = float(np.abs(curve.average_recall - plain_curve).max())
    _, error_seconds = timed(lambda: detection_errors(truth, predictions, num_classes=options.classes))
    similarity = np.random.default_rng(0).standard_normal((options.texts, options.texts), dtype=np.float32)
    ranked, rank_seconds = timed(lambda: retrieval_scores(similarity))
    plain_ranks, plain_rank_seconds = timed(lambda: plain_mean_ranks(similarity))
    rank_difference = max(abs(ranked.t2v.mean_rank - plain_ranks[0]), abs(ranked.v2t.mean_rank - plain_ranks[1]))
    print("| scorer | ours s | plain loop s | times faster | value | greatest difference |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(
        f"| average mAP | {seconds:.2f} | {plain_seconds:.1f} | {plain_seconds / seconds:.0f}x "
        f"| {ours.average:.6f} | {difference:.1e} |"
    )
    print(
        f"| AR@AN, AUC | {curve_seconds:.2f} | {plain_curve_seconds:.1f} | {plain_curve_seconds / curve_seconds:.0f}x "
        f"| {curve.auc:.6f} | {curve_difference:.1e} |"
    )
    print(f"| error analysis | {error_seconds:.2f} | - | - | - | - |")
    print(
        f"| retrieval, {options.texts} texts x videos | {rank_seconds:.2f} | {plain_rank_seconds:.1f} "
        f"| {plain_rank_seconds / rank_seconds:.0f}x | {ranked.t2v.mean_rank:.4f} | {rank_difference:.1e} |"
    )
    if max(difference, curve_difference) > 1e-9 or rank_difference > 0.01:  # the plain loop puts ties in any order
        raise SystemExit("The scorers differ from the plain loop by more than 1e-9, or 0.01 in mean rank.")


if __name__ == "__main__":
    main()
