"""framecue score detections | proposals | retrieval | moments"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from framecue.cli.common import print_json

if TYPE_CHECKING:
    from framecue.tasks.score_files import ScoringRules

app = typer.Typer(no_args_is_help=True, help="Score anyone's prediction files against ground truth.")

GroundTruthFile = Annotated[
    Path,
    typer.Option("--ground-truth", metavar="GT", help="ActivityNet JSON, THUMOS14 or a table with a segment a row."),
]
Tiou = Annotated[str, typer.Option(help="activitynet (0.5:0.05:0.95), thumos14 (0.3:0.1:0.7), or numbers: '0.3,0.5'.")]
Subset = Annotated[
    str | None, typer.Option(help="The part to score, as 'validation', or 'all'; needed where the file has several.")
]
Deduplicate = Annotated[
    bool,
    typer.Option(
        "--deduplicate", help="Count ground truth that is given twice (to 1 ms) once, and empty segments not at all."
    ),
]
Blocked = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Videos to leave out on both sides: JSON list, or text with one a line."),
]
ThumosTest = Annotated[str, typer.Option(help="How many of THUMOS14's test videos count: 213, 212, 211 or 210.")]
Invalid = Annotated[
    Literal["keep", "drop", "refuse"],
    typer.Option(help="Segments that end no later than they begin: keep them, leave them out, or stop."),
]
SkipUnknown = Annotated[
    bool, typer.Option("--skip-unknown-videos", help="Leave out predictions for videos outside the ground truth.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON on standard output.")]


@app.callback()
def _group() -> None:
    """Score anyone's prediction files against ground truth."""


@app.command()
def detections(
    ground_truth: GroundTruthFile,
    predictions: Annotated[
        Path, typer.Option(metavar="FILE", help="ActivityNet submission or video,start,end,label,score.")
    ],
    tiou: Tiou = "activitynet",
    subset: Subset = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="Say where the errors come from, by segment length.")
    ] = False,
    per_class: Annotated[bool, typer.Option("--per-class", help="A line for each class.")] = False,
    class_agnostic: Annotated[bool, typer.Option("--class-agnostic", help="Score as if there were one class.")] = False,
    convention: Annotated[
        Literal["activitynet", "opentad", "actionformer"],
        typer.Option(help="Whose evaluator to equal where they differ."),
    ] = "activitynet",
    deduplicate: Deduplicate = False,
    blocked: Blocked = None,
    thumos_test: ThumosTest = "213",
    invalid: Invalid = "keep",
    skip_unknown_videos: SkipUnknown = False,
    json: AsJson = False,
) -> None:
    """Mean average precision of labelled, scored segments.

    Equal to the official ActivityNet evaluator, by whose conventions it goes unless a switch says otherwise. Of equal
    scores the later in the file ranks first. OpenTAD and ActionFormer leave out empty and repeated ground truth;
    ActionFormer also what is shorter than 1 ms. In OpenTAD's evaluator empty segments never match; in the others any
    two of one video and class do. What is left out of either file, or is doubtful in it, is counted in a line for each
    kind.
    """
    from framecue.cli.score_tables import print_detections
    from framecue.tasks.score_files import score_detections

    scored = score_detections(
        ground_truth,
        predictions,
        tiou_thresholds=_thresholds(tiou),
        rules=_rules(subset, convention, deduplicate, blocked, thumos_test, invalid, skip_unknown_videos),
        class_agnostic=class_agnostic,
        errors=errors,
    )
    if json:
        print_json(scored)
    else:
        print_detections(scored, per_class=per_class)


@app.command()
def proposals(
    ground_truth: GroundTruthFile,
    proposals: Annotated[
        Path, typer.Option(metavar="FILE", help="As predictions, or a folder of xmin,xmax,score tables.")
    ],
    tiou: Tiou = "activitynet",
    subset: Subset = None,
    max_per_video: Annotated[
        float | None,
        typer.Option(min=0.01, help="Where the curve ends.", show_default="all proposals; opentad: 100"),
    ] = None,
    convention: Annotated[
        Literal["activitynet", "opentad"], typer.Option(help="Whose evaluator to equal where they differ.")
    ] = "activitynet",
    deduplicate: Deduplicate = False,
    blocked: Blocked = None,
    thumos_test: ThumosTest = "213",
    invalid: Invalid = "keep",
    skip_unknown_videos: SkipUnknown = False,
    json: AsJson = False,
) -> None:
    """Average recall over the average number of proposals per video (AR@AN) and the area under it (AUC).

    Equal to the official ActivityNet evaluator: from each video the same share of its proposals is taken, best first
    (of equal scores the later in the file), and labels do not count. OpenTAD leaves out empty and repeated ground
    truth and ends the curve at 100 per video unless told otherwise.
    """
    from framecue.cli.score_tables import print_proposals
    from framecue.tasks.score_files import score_proposals

    scored = score_proposals(
        ground_truth,
        proposals,
        tiou_thresholds=_thresholds(tiou),
        rules=_rules(subset, convention, deduplicate, blocked, thumos_test, invalid, skip_unknown_videos),
        max_average_proposals=max_per_video,
    )
    if json:
        print_json(scored)
    else:
        print_proposals(scored)


@app.command()
def retrieval(
    matrix: Annotated[
        Path, typer.Option(metavar="FILE", help=".npy file of similarities, rows texts, columns videos.")
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The video of each text as column from 0: .npy, .json list, or .txt with one a line.",
            show_default="the diagonal",
        ),
    ] = None,
    columns_are_texts: Annotated[
        bool, typer.Option("--columns-are-texts", help="Rows are videos, columns texts.")
    ] = False,
    dsl: Annotated[
        float | None,
        typer.Option(metavar="T", help="Dual softmax at this temperature; uses the whole query set at test time."),
    ] = None,
    query_bank: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="QB-Norm: .npy file of other texts by the same videos, or 'test' for the queries themselves.",
        ),
    ] = None,
    bank_temperature: Annotated[float, typer.Option(metavar="T", help="Of QB-Norm.")] = 0.05,
    ties: Annotated[
        Literal["expected", "optimistic", "pessimistic"],
        typer.Option(help="Where a rival is exactly as similar as the match: random order, or match first or last."),
    ] = "expected",
    caption_sets: Annotated[
        bool,
        typer.Option("--caption-sets", help="Video to text among the best captions of the videos, as CLIP4Clip does."),
    ] = False,
    json: AsJson = False,
) -> None:
    """R@1, R@5, R@10, median and mean rank of a similarity matrix, text to video and video to text.

    Video to text ranks the best of a video's own texts among those of other videos. Equal similarities count as
    randomly ordered. Figures with DSL or QB-Norm are marked: they are not comparable with figures without.
    """
    from framecue.cli.score_tables import print_retrieval
    from framecue.tasks.score_retrieval import score_retrieval

    scored = score_retrieval(
        matrix,
        truth,
        columns_are_texts=columns_are_texts,
        dsl=dsl,
        query_bank=query_bank,
        bank_temperature=bank_temperature,
        ties=ties,
        rivals="caption sets" if caption_sets else "captions",
    )
    if json:
        print_json(scored)
    else:
        print_retrieval(scored)


@app.command()
def moments(
    ground_truth: Annotated[
        Path, typer.Option(metavar="GT", help="QVHighlights JSONL, Charades-STA text or ActivityNet Captions JSON.")
    ],
    predictions: Annotated[
        Path, typer.Option(metavar="FILE", help="JSONL with qid, or vid and query, and pred_relevant_windows.")
    ],
    tiou: Tiou = "activitynet",
    max_predictions: Annotated[int, typer.Option(min=1, help="So many of each sentence count.")] = 10,
    json: AsJson = False,
) -> None:
    """Recall and mean average precision of moments found by sentences, and highlight detection where files have it.

    Equal to the evaluator of QVHighlights, which judges the first prediction of the file for R1 and the first ten for
    mAP; a sentence without a prediction counts as missed. Short, middle and long are segments up to 10 s, up to 30 s
    and above.
    """
    from framecue.cli.score_tables import print_moments
    from framecue.tasks.score_moments import score_moments

    scored = score_moments(
        ground_truth, predictions, tiou_thresholds=_thresholds(tiou), max_predictions=max_predictions
    )
    if json:
        print_json(scored)
    else:
        print_moments(scored)


def _thresholds(text: str) -> tuple[float, ...]:
    from framecue.errors import UsageError
    from framecue.metrics.detection import ACTIVITYNET_TIOU, THUMOS14_TIOU

    known = {"activitynet": ACTIVITYNET_TIOU, "thumos14": THUMOS14_TIOU}
    if text in known:
        return known[text]
    try:
        values = tuple(float(word) for word in text.split(","))
    except ValueError:
        values = ()
    if not values or not all(0 < value <= 1 for value in values):
        raise UsageError(f"--tiou must be activitynet, thumos14 or numbers in (0, 1] as '0.3,0.5', found '{text}'.")
    return values


def _rules(
    subset: str | None,
    convention: Literal["activitynet", "opentad", "actionformer"],
    deduplicate: bool,
    blocked: Path | None,
    thumos_test: str,
    invalid: Literal["keep", "drop", "refuse"],
    skip_unknown_videos: bool,
) -> "ScoringRules":
    from framecue.errors import UsageError
    from framecue.tasks.score_files import ScoringRules

    counts: dict[str, Literal[213, 212, 211, 210]] = {"213": 213, "212": 212, "211": 211, "210": 210}
    if thumos_test not in counts:
        raise UsageError(f"--thumos-test must be 213, 212, 211 or 210, found '{thumos_test}'.")
    unknown_videos: Literal["wrong", "skip"] = "skip" if skip_unknown_videos else "wrong"
    return ScoringRules(subset, convention, deduplicate, blocked, counts[thumos_test], invalid, unknown_videos)
