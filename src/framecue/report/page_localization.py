"""The part of the report about untrimmed videos: which stage loses what, where the errors come from, timelines."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from html import escape
from typing import Any

from framecue.metrics.recognition import mean_and_spread
from framecue.report.percents import mean_with_interval

LEGEND = {
    "own proposals, true names": "our segments with the true names: stage one alone",
    "true segments": "the annotated segments, named by us: stage two alone",
    "own proposals, B-I": "our segments, named by frozen CLIP",
    "true segments, B-I": "the annotated segments, named by frozen CLIP",
    "training-free, B-I": "segments by changes in the picture, named by frozen CLIP",
}
LEAD = (
    "Untrimmed videos with several actions and nothing, or a shape that stands still, between them. Stage one learns "
    "where <em>something</em> happens, whatever it is; stage two names it by prompted class names, so that an action "
    "that was never annotated is found by its name. mAP in percent at several overlaps of found and true segments."
)
PART_TITLES = {"test": "names it was trained on", "novel": "held-out names, never annotated"}


def localization_body(results: Mapping[str, Any], timelines: Sequence[tuple[str, str]]) -> list[str]:
    """HTML of the section's parts: a table for each part, what is reported, errors, timelines."""
    tables = [_table(PART_TITLES[part], table, results) for part, table in results["parts"].items() if table]
    pictures = [
        f'<figure><div class="wide">{picture}</div><figcaption>{escape(caption)}</figcaption></figure>'
        for caption, picture in timelines
    ]
    return [*tables, _reported(results), _errors(results["errors"]), *pictures]


def localization_headline(results: Mapping[str, Any]) -> str:
    """One sentence of the two figures that matter."""
    seen, novel = (results["parts"][part] for part in ("test", "novel"))
    if not seen or not novel:
        return ""
    method = results["method"]
    own = "own proposals, B-I"
    return (
        f"In untrimmed videos {method} reaches an average mAP of {_percent(seen[method])} % on trained names "
        f"({_percent(seen['training-free, B-I'])} % with nothing trained), and {_percent(novel[method])} % on held-out "
        f"names, where frozen CLIP naming the same segments reaches {_percent(novel[own])} %."
    )


def _table(title: str, table: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    tious = [name for name in next(iter(table.values())) if name != "average"]
    head = "".join(f"<th>{tiou}</th>" for tiou in tious)
    rows = "".join(
        f"<tr{' class=a5' if method == results['method'] else ''}><td>"
        f"{'<span class=dot></span>' if method == results['method'] else ''}{escape(method)}"
        f"{_meaning(method)}</td>"
        + "".join(f"<td>{100 * cells[tiou]['mean']:.1f}</td>" for tiou in tious)
        + f"<td>{mean_with_interval(cells['average'])}</td></tr>"
        for method, cells in table.items()
    )
    return (
        f'<h3>{escape(title)}</h3><div class="wide"><table><thead><tr><th>mAP in %, mean over '
        f"{len(results['seeds'])} seeds, at an overlap of</th>{head}<th>average</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _meaning(method: str) -> str:
    """What the row says, on a line of its own so that the figures beside it have room."""
    text = next((text for start, text in reversed(LEGEND.items()) if method.startswith(start)), "")
    return f'<br><span class="muted">{escape(text)}</span>' if text else ""


def _reported(results: Mapping[str, Any]) -> str:
    found = [run for run in results["reported"] if run]
    if not found:
        return ""

    def values(*keys: str) -> list[Any]:
        picked: list[Any] = found
        for key in keys:
            picked = [one[key] for one in picked]
        return picked

    def share(*keys: str) -> str:
        spread = asdict(mean_and_spread(values(*keys)))
        return mean_with_interval(spread | {"ci95_items": values(*keys[:-1], "ci95", keys[-1])[0]})

    text = (
        f"With the least score that validation chose, {share('precision')} % of the reported segments are "
        f"right at an overlap of 0.5, and {share('recall')} % of the actions are found."
    )
    if all("idle" in run for run in found):
        silent = share("idle", "videos_without_report")
        text += f" Of the videos in which nothing happens, {silent} % yield nothing."
    if all("none_of_these" in run for run in found):
        text += (
            " Videos that show held-out actions alone, asked for the trained names: "
            f"{share('none_of_these', 'videos_without_report')} % yield nothing, "
            f"{sum(values('none_of_these', 'reported_per_video')) / len(found):.1f} segments each are reported on "
            "average. "
            "Most held-out actions are combinations of trained ones, and are taken for their parts."
        )
    return f"<p>{text}</p>"


def _errors(errors: Mapping[str, Any] | None) -> str:
    if not errors:
        return ""
    best = {name: count for name, count in errors["predictions_by_rank"][0].items() if count}
    rows = "".join(
        f"<tr><td>{escape(name)} <span class=muted>{escape(errors['meaning']['predictions'][name])}</span></td>"
        f"<td>{count}</td></tr>"
        for name, count in best.items()
    )
    return (
        "<h3>What the surest segments are</h3><p>Of each class as many as it has actions, the best scored; first seed, "
        f"trained names, at an overlap of {errors['tiou']:g}.</p>"
        f'<div class="wide"><table><tbody>{rows}</tbody></table></div>'
    )


def _percent(cells: Mapping[str, Any]) -> str:
    return f"{100 * cells['average']['mean']:.0f}"
