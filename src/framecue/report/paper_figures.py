"""The published figures that a table is set beside, each with how it is known. What is not known is absent.

All are for CLIP ViT-B/16. The paper: Ju et al., ECCV 2022. "Re-run by others" are A5's numbers that later work
prints, under protocols of that work.
"""

from dataclasses import dataclass

BACKBONES = ("vit-base-patch16", "vit-b/16", "vit-b-16")  # how names of the paper's backbone are written

WIZWAND = "reported: wizwand.com/paper/68fa6d041e209131cea375a1"
MEMORY = "from memory, approximate"
DOUBTFUL = "from memory, doubtful"
FROSTER = "re-run by others, reported: github.com/Visual-AI/FROSTER README, row VPT"
FROSTER_CLIP = "by others, reported: github.com/Visual-AI/FROSTER README, row of frozen CLIP"
MAXI = "re-run by others, reported: MAXI"


@dataclass(frozen=True)
class PaperFigure:
    """One published number.

    Attributes:
        method: row of the table that it belongs to.
        measure: as in the table's measures; `value` and `std` are shares in [0, 1], of ranks the rank itself.
        known: how it is known.
        shots: training videos per class, where a table has several; else None.
        splits: official splits that it is the mean over; None = one, or there are none.
        remark: what a reader must know to compare; may be empty.
    """

    method: str
    measure: str
    value: float
    known: str
    std: float | None = None
    shots: int | None = None
    splits: int | None = None
    remark: str = ""


def _figure(
    measure: str,
    percent: float,
    known: str,
    *,
    method: str = "A5",
    std: float | None = None,
    shots: int | None = None,
    splits: int | None = None,
    remark: str = "",
) -> PaperFigure:
    spread = None if std is None else round(std / 100, 4)
    return PaperFigure(method, measure, round(percent / 100, 4), known, spread, shots, splits, remark)


def _halves(base: float, novel: float, mean: float, frozen_novel: float) -> tuple[PaperFigure, ...]:
    return (
        _figure("base/top1", base, FROSTER, remark=SIXTEEN),
        _figure("novel/top1", novel, FROSTER, remark=SIXTEEN),
        _figure("harmonic_mean", mean, FROSTER, remark=SIXTEEN),
        _figure("novel/top1", frozen_novel, FROSTER_CLIP, method="B-I"),
    )


def _by_shots(*percents: float) -> tuple[PaperFigure, ...]:
    return tuple(
        _figure("test/top1", percent, MAXI, shots=shots) for shots, percent in zip((2, 4, 8, 16), percents, strict=True)
    )


def _by_overlap(
    part: str, overlaps: str, percents: str, known: str, *, method: str = "A5", remark: str = ""
) -> tuple[PaperFigure, ...]:
    """mAP at each overlap, and last the average."""
    measures = [*(f"{part}/map@{overlap}" for overlap in overlaps.split("/")), f"{part}/average_map"]
    return tuple(
        _figure(measure, float(percent), known, method=method, remark=remark)
        for measure, percent in zip(measures, percents.split("/"), strict=True)
    )


def _recalls(percents: str, *, median_rank: float, method: str = "A5") -> tuple[PaperFigure, ...]:
    """Text to video: R@1, R@5 and, where it was printed, R@10; and the median rank, which is no percentage."""
    recalls = zip(("t2v/R1", "t2v/R5", "t2v/R10"), percents.split("/"), strict=False)
    return (
        *(_figure(measure, float(percent), MEMORY, method=method) for measure, percent in recalls),
        PaperFigure(method, "t2v/MdR", median_rank, MEMORY),
    )


def _open_set(overlaps: str, ours: str, frozen: str, probed: str) -> tuple[PaperFigure, ...]:
    return (
        *_by_overlap("novel", overlaps, ours, TF_CADE, remark=TEN_SPLITS),
        *_by_overlap("novel", overlaps, frozen, MEMORY, method="own proposals, B-I", remark=STALE),
        *_by_overlap("novel", overlaps, probed, MEMORY, method="own proposals, B-II", remark=STALE_PROBE),
    )


THUMOS_OVERLAPS, ACTIVITYNET_OVERLAPS = "0.3/0.4/0.5/0.6/0.7", "0.5/0.75/0.95"
TF_CADE = "reported: TF-CADE (CVPR 2026)"
TEN_SPLITS = "mean of 10 splits; strict is presumed, not verified"
STALE = "mean of 10 splits, as in a table of STALE (ECCV 2022)"
SIXTEEN = "16 training videos per base class"
STALE_PROBE = f"{STALE}; what B-II is there is not told, for a linear probe has no answer to held-out names"
THREE_SPLITS = "mean of the 3 official splits"
NOT_REPRODUCED = "a user of the authors' code could not reproduce it (issue 9 there)"
OVER_SPLITS = "mean of 3 splits; what ± spans is not told"

# (table, data set) -> figures. A cross-data-set table is named by the training and the test data.
FIGURES: dict[tuple[str, str], tuple[PaperFigure, ...]] = {
    ("closed-set", "hmdb51"): (_figure("test/top1", 66.4, WIZWAND, splits=3, remark=THREE_SPLITS),),
    ("closed-set", "ucf101"): (_figure("test/top1", 93.6, WIZWAND, splits=3, remark=THREE_SPLITS),),
    ("closed-set", "kinetics400"): (
        _figure("test/top1", 76.6, MEMORY, remark="wizwand.com lists 76.8"),
        _figure("test/top5", 93.3, MEMORY),
        _figure("test/top1", 76.9, "reported: STAN", method="A6"),
        _figure("test/top5", 93.5, "reported: STAN", method="A6"),
    ),
    ("closed-set", "kinetics700"): (_figure("test/top1", 64.7, DOUBTFUL), _figure("test/top5", 88.5, DOUBTFUL)),
    ("closed-set", "something"): (_figure("test/top1", 31.0, WIZWAND),),
    ("few-shot-5-way", "hmdb51"): (_figure("test/top1", 85.3, MEMORY, remark=NOT_REPRODUCED),),
    ("few-shot-5-way", "ucf101"): (_figure("test/top1", 98.3, MEMORY),),
    ("few-shot-5-way", "kinetics400"): (_figure("test/top1", 96.4, MEMORY),),
    ("few-shot", "hmdb51"): (
        _figure("test/top1", 56.6, MEMORY, shots=5, remark=NOT_REPRODUCED),
        *_by_shots(39.7, 50.7, 56.0, 62.4),
    ),
    ("few-shot", "ucf101"): (_figure("test/top1", 79.5, MEMORY, shots=5), *_by_shots(71.4, 79.9, 85.7, 89.9)),
    ("few-shot", "kinetics400"): (_figure("test/top1", 58.5, WIZWAND, shots=5),),
    ("few-shot", "something"): _by_shots(4.4, 5.1, 6.1, 9.7),
    ("base-to-novel", "kinetics400"): _halves(69.7, 37.6, 48.8, 53.4),
    ("base-to-novel", "hmdb51"): _halves(46.2, 16.0, 23.8, 46.8),
    ("base-to-novel", "ucf101"): _halves(90.5, 40.4, 55.8, 63.6),
    ("base-to-novel", "something"): _halves(8.3, 5.3, 6.4, 5.3),
    ("cross-dataset", "kinetics400->ucf101"): (
        _figure("full/top1", 69.3, MAXI, std=4.2, splits=3, remark=OVER_SPLITS),
    ),
    ("cross-dataset", "kinetics400->hmdb51"): (
        _figure("full/top1", 44.3, MAXI, std=2.2, splits=3, remark=OVER_SPLITS),
    ),
    ("cross-dataset", "kinetics400->kinetics600"): (
        _figure("full/top1", 55.8, MAXI, std=0.7, splits=3, remark=OVER_SPLITS),
        _figure("full/top5", 81.4, MAXI, std=0.3, splits=3, remark=OVER_SPLITS),
    ),
    ("localization", "thumos14"): _by_overlap("test", THUMOS_OVERLAPS, "50.8/44.1/35.8/25.7/15.7/34.5", MEMORY),
    ("localization", "activitynet"): (
        _figure("test/map@0.5", 44.0, WIZWAND),
        _figure("test/map@0.75", 27.0, MEMORY),
        _figure("test/map@0.95", 5.1, MEMORY),
        _figure("test/average_map", 27.3, MEMORY),
    ),
    ("retrieval", "msrvtt-9k"): (
        *_recalls("36.7/64.6/76.8", median_rank=2),
        *_recalls("31.2/53.7/64.2", method="frozen CLIP", median_rank=4),
    ),
    ("retrieval", "lsmdc"): (
        *_recalls("13.4/29.5/40.3", median_rank=18.6),
        *_recalls("11.3/22.7/29.2", method="frozen CLIP", median_rank=56.5),
    ),
    ("retrieval", "didemo"): _recalls("36.1/64.8", median_rank=3),
    ("retrieval", "smit"): _recalls("66.6/87.8", median_rank=1),
    ("open-set-localization", "thumos14 75/25"): _open_set(
        THUMOS_OVERLAPS, "39.7/31.6/23.0/14.9/7.5/23.3", "33.0/25.5/18.3/11.6/5.7/18.8", "28.5/20.3/17.1/10.5/6.9/16.6"
    ),
    ("open-set-localization", "thumos14 50/50"): _open_set(
        THUMOS_OVERLAPS, "37.2/29.6/21.6/14.0/7.2/21.9", "27.2/21.3/15.3/9.7/4.8/15.7", "21.0/16.4/11.2/6.3/3.2/11.6"
    ),
    ("open-set-localization", "activitynet 75/25"): _open_set(
        ACTIVITYNET_OVERLAPS, "37.6/22.9/3.8/23.1", "35.6/20.4/2.1/20.2", "32.6/18.5/5.8/19.6"
    ),
    ("open-set-localization", "activitynet 50/50"): _open_set(
        ACTIVITYNET_OVERLAPS, "32.0/19.3/2.9/19.6", "28.0/16.4/1.2/16.0", "25.3/13.0/3.7/12.9"
    ),
}


def figures_of(table: str, dataset: str | None, method: str, shots: int | None = None) -> dict[str, PaperFigure]:
    """The published figures of one row, by measure; empty where nothing is known.

    Args:
        dataset: as in the keys of FIGURES.
        shots: where the table has several; figures of other shots are left out.
    """
    found = FIGURES.get((table, dataset or ""), ())
    return {figure.measure: figure for figure in found if figure.method == method and figure.shots in (None, shots)}


def is_papers_backbone(name: str) -> bool:
    """Whether a backbone's name says CLIP ViT-B/16, for which all figures are."""
    return any(known in name.lower() for known in BACKBONES)
