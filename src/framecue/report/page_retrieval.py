"""The part of the report about sentences: which videos they find, and which moments of an index."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from framecue.metrics.intervals import wilson_interval
from framecue.report.demo_retrieval import TIMED, FoundMoments
from framecue.report.percents import mean_with_interval, percent_with_interval, score_percent
from framecue.tasks.retrieval_evaluation import FROZEN

LEAD = (
    "Captions take the place of class names: the same prompt vectors around every sentence, the same temporal module. "
    "Each test caption is to find its own video among all, and each video its caption."
)
MEANINGS = {
    FROZEN: "captions as they are, mean of the frames",
    "A3": "learned prompts only",
    TIMED: "learned prompts and time, held near what CLIP knew",
}
SIDES = {"t2v": "text to video", "v2t": "video to text"}
COLUMNS = {"R1": "R@1", "R5": "R@5", "R10": "R@10", "MdR": "median rank", "MnR": "mean rank"}


def retrieval_body(results: Mapping[str, Any], found: Sequence[FoundMoments]) -> list[str]:
    """HTML of the section's parts: both directions, groups of captions, twins, moments of the index."""
    return [_table(results["table"]), _groups(results["table"]), _twins(results), _index(results), *map(_query, found)]


def retrieval_headline(results: Mapping[str, Any]) -> str:
    """One sentence of the figures that matter."""
    by_method = {row["method"]: row["measures"] for row in results["table"]["rows"]}
    ours, frozen = (100 * by_method[method]["t2v/R1"]["mean"] for method in (TIMED, FROZEN))
    twins = 100 * results["twins_told_apart"][TIMED]["mean"]
    return (
        f"Asked by a sentence, the one right video comes first for {ours:.0f} % of the captions "
        f"(frozen CLIP {frozen:.0f} %), and {twins:.0f} % of the captions tell a video from the same frames run "
        "backwards, where frozen CLIP can only guess."
    )


def _table(table: Mapping[str, Any]) -> str:
    head = "".join(f"<th>{name}</th>" for name in COLUMNS.values())
    bodies = "".join(
        f"<thead><tr><th>{title}</th>{head}</tr></thead>"
        f"<tbody>{''.join(_row(row, side) for row in table['rows'])}</tbody>"
        for side, title in SIDES.items()
    )
    protocol = table["protocols"][0]
    return (
        f"<p>{escape(protocol['description'])}; recalls in percent, mean over "
        f"{protocol['num_trials']} seeds; ties count by their {escape(table['setting']['ties'])}.</p>"
        f'<div class="wide"><table>{bodies}</table></div>'
    )


def _row(row: Mapping[str, Any], side: str) -> str:
    cells = "".join(f"<td>{mean_with_interval(row['measures'][f'{side}/{key}'])}</td>" for key in COLUMNS)
    return f"<tr{_mark(row['method'])}><td>{_name(row['method'])}</td>{cells}</tr>"


def _groups(table: Mapping[str, Any]) -> str:
    first = table["rows"][0]["measures"]
    groups = [name.removesuffix("/t2v/R1") for name in first if name.endswith("/t2v/R1")]
    head = "".join(f"<th>{escape(group)}</th>" for group in groups)
    rows = "".join(
        f"<tr{_mark(row['method'])}><td>{_name(row['method'])}</td>"
        + "".join(
            f"<td>{mean_with_interval(row['measures'][f'{group}/t2v/R1'])}<br>{mean_with_interval(row['measures'][f'{group}/v2t/R1'])}</td>"
            for group in groups
        )
        + "</tr>"
        for row in table["rows"]
    )
    return (
        "<h3>What the captions are about</h3><p>R@1 in percent, text to video above, video to text below; every "
        "caption competes with all.</p>"
        f'<div class="wide"><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _twins(results: Mapping[str, Any]) -> str:
    told = results["twins_told_apart"]
    cells = ", ".join(f"{escape(method)} {mean_with_interval(cell)} %" for method, cell in told.items())
    return (
        "<h3>Forwards or backwards</h3><p>Test videos of pairs such as moving right and moving left are the same "
        "frames, run both ways. Share of captions nearer to their own video than to its reversal, where a guess has "
        f"50 %: {cells}.</p>"
    )


def _index(results: Mapping[str, Any]) -> str:
    index = results["index"]
    right = ", ".join(
        f"{escape(method)} {percent_with_interval(share, wilson_interval(share, index['num_judged']))} %"
        for method, share in index["moments_right"].items()
    )
    return (
        f"<h3>Moments of an index</h3><p>{index['num_videos']} untrimmed test videos with several actions each, cut "
        f"into {index['num_moments']} overlapping moments of {index['window_seconds']:g} s. Of the first five moments "
        f"found for each trained motion, so many show it: {right}. Open the page that searches them with</p>"
        "<pre>framecue serve --demo</pre>"
    )


def _query(answer: FoundMoments) -> str:
    result = answer.result
    said = {
        "match": "",
        "unsure": f"No sure match: that begins at {score_percent(result.min_score)} in this index. The nearest are:",
        "nothing": "Nothing here matches; most sentences about other things find something nearer. The nearest are:",
    }[result.verdict]
    none = f'<p class="note">{said}</p>' if said else ""
    moments = "".join(
        f'<figure><div class="wide">{"".join(_picture(jpeg) for jpeg in strip)}</div><figcaption>'
        f"{escape(moment.video.path.name)}, {moment.start_seconds:.1f} to {moment.end_seconds:.1f} s, "
        f"{score_percent(moment.score)}</figcaption></figure>"
        for moment, strip in zip(result.moments, answer.strips, strict=False)
    )
    return f"<h3>“{escape(result.query)}”</h3>{none}{moments}"


def _picture(jpeg: bytes) -> str:
    return f'<img alt="" width="128" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode("ascii")}"> '


def _mark(method: str) -> str:
    return " class=a5" if method == TIMED else ""


def _name(method: str) -> str:
    meaning = f'<br><span class="muted">{escape(MEANINGS[method])}</span>' if method in MEANINGS else ""
    return f"{'<span class=dot></span>' if method == TIMED else ''}{escape(method)}{meaning}"
