"""The report: one HTML page that holds its pictures and plots, and asks nothing of any other address."""

import base64
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from framecue.report.demo_retrieval import FoundMoments
from framecue.report.page_localization import LEAD, localization_body, localization_headline
from framecue.report.page_retrieval import LEAD as RETRIEVAL_LEAD
from framecue.report.page_retrieval import retrieval_body, retrieval_headline
from framecue.report.percents import SPREAD_WORDS, mean_with_interval, score_percent
from framecue.report.plots import COLORS, accuracy_bars, confusion_heatmap, learning_curves
from framecue.report.summary import GROUP_NAMES, GROUPS, METHODS, headline, pairs_first, percent

LEGEND = {
    "B-I": (
        "frozen CLIP, handcrafted prompts",
        "Nothing is trained. The mean of the frames is compared with sentences such as “{template}”.",
    ),
    "B-II": (
        "linear probe",
        "Logistic regression on the mean of the frames. Knows numbers, not names: no answer to a name it never saw.",
    ),
    "A3": (
        "learned prompts only",
        "16 + 16 learned vectors around each class name replace the handcrafted sentence. "
        "The video is still the mean of its frames, so the order of frames is lost.",
    ),
    "A5": (
        "learned prompts and time",
        "The same prompts, and two small Transformer layers that look at the frames in their order before the mean.",
    ),
}
OWN_VIDEOS = """\
# no training: any names, frozen CLIP (downloads openai/clip-vit-base-patch16 once)
framecue classify my_video.mp4 --labels "opening a door, closing a door"

# training: a folder per class, 5 to 50 videos in each
framecue train recognition --config configs/recognition_folder.yaml data.source=my_videos out=runs/mine
framecue classify new_video.mp4 --adapter runs/mine/adapter

# long videos: when does it happen?
framecue localize long_video.mp4 --labels "opening a door, closing a door" --timeline pictures

# a folder of videos: search it by a sentence, and in the browser
framecue index add my_videos --index my_index
framecue search "someone opens a red door" --index my_index
framecue serve --index my_index"""
FRAME_QUALITY = 88
NO_ANSWER = "\N{EN DASH}"


@dataclass(frozen=True, eq=False)
class Strip:
    """A video on the page.

    Attributes:
        truth: its class name.
        frames: uint8 [8, H, W, 3], evenly spread, in their order.
        answers: method -> (name, probability) pairs, best first.
        note: a line under the title; may be empty.
        rejecting: methods that hold it for none of these.
    """

    truth: str
    frames: npt.NDArray[np.uint8]
    answers: Mapping[str, Sequence[tuple[str, float]]]
    note: str = ""
    rejecting: Collection[str] = ()


@dataclass(frozen=True, eq=False)
class PageContent:
    """All that the page shows.

    Attributes:
        results: the content of results.json.
        logs: method -> seed -> lines of the run's log.
        mirrored: one test video and its reversal, or none.
        samples: other test videos.
        new_files: videos outside of every part, classified through the public API.
        timelines: caption and picture (SVG) of untrimmed videos.
        found: queries to the index, with pictures of their moments.
    """

    results: Mapping[str, Any]
    logs: Mapping[str, Sequence[Sequence[Mapping[str, float]]]]
    mirrored: Sequence[Strip]
    samples: Sequence[Strip]
    new_files: Sequence[Strip]
    timelines: Sequence[tuple[str, str]] = ()
    found: Sequence[FoundMoments] = ()


def render_page(content: PageContent) -> str:
    """The whole page as HTML text."""
    results = content.results
    title, about_order = headline(results["accuracy"], results["order_blind_ceiling"])
    about_moments = localization_headline(results["localization"]) if "localization" in results else ""
    about_sentences = retrieval_headline(results["retrieval"]) if "retrieval" in results else ""
    parts = [
        f'<p class="brand">framecue <span>· demo on the built-in world · {len(results["seeds"])} seeds</span></p>',
        f'<h1>{escape(title)}</h1><p class="lead">{escape(about_order)}</p>',
        f'<p class="lead">{escape(about_moments)}</p>' if about_moments else "",
        f'<p class="lead">{escape(about_sentences)}</p>' if about_sentences else "",
        _setting(results),
        _key_numbers(results),
        _accuracy(results),
        _legend(results),
        section("The same frames, run both ways", MIRRORED, *map(_strip, content.mirrored)) if content.mirrored else "",
        _confusion(results),
        _learning(content),
        section("Other test videos", SAMPLES, *map(_strip, content.samples)),
        section("New files", NEW_FILES, *map(_strip, content.new_files)),
        section("Actions in untrimmed videos", LEAD, *localization_body(results["localization"], content.timelines))
        if "localization" in results
        else "",
        section(
            "Videos and moments found by sentences",
            RETRIEVAL_LEAD,
            *retrieval_body(results["retrieval"], content.found),
        )
        if "retrieval" in results
        else "",
        section("With your own videos", "", f"<pre>{escape(OWN_VIDEOS)}</pre>"),
        _notes(results),
        _footer(results),
    ]
    return document("framecue demo", parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole HTML page of these parts; empty ones are left out."""
    style = (resources.files("framecue.report") / "page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>\n<body><main>\n"
        + "\n".join(part for part in parts if part)
        + "\n</main></body></html>\n"
    )


MIRRORED = (
    "Two test videos with the very same pixels; the second is the first, played backwards. Whoever averages the frames "
    "sees one video, gives one answer, and is wrong at least once."
)
SAMPLES = (
    "Chosen by the first seed's answers: some that A5 names right where B-I does not, and some that it gets wrong, "
    "where there are such."
)
NEW_FILES = "Rendered after training, in no part of the data, and classified with <code>framecue.load(adapter)</code>."


def section(title: str, lead: str, *body: str) -> str:
    """A part of the page under a heading; `lead` is HTML. Nothing where there is nothing to show."""
    if not body:
        return ""
    return f"<section><h2>{escape(title)}</h2>{f'<p>{lead}</p>' if lead else ''}{''.join(body)}</section>"


def _setting(results: Mapping[str, Any]) -> str:
    protocol, groups = results["protocol"], results["protocol"]["groups"]
    return (
        f'<p class="muted">{protocol["num_train_videos"]} training videos of {len(groups["seen"])} actions, '
        f"{protocol['num_val_videos']} to choose the weights, {protocol['num_test_videos']} to test, and "
        f"{protocol['num_held_out_videos']} of {len(groups['held_out'])} actions whose names were never trained on. "
        "All are H.264 files of two seconds, rendered by framecue itself. CLIP stays frozen; what is learned is an "
        f"adapter of {results['adapter']['trained_numbers']:,} numbers.</p>"
    )


def _key_numbers(results: Mapping[str, Any]) -> str:
    cards = []
    for group in ("seen", "order_pairs", "held_out"):
        before, after = (_cell(results["accuracy"][method][group], spread=False) for method in ("B-I", "A5"))
        limit = results["order_blind_ceiling"][group]
        ceiling = f", ceiling without order {percent(limit)}" if limit is not None and limit < 1 else ""
        cards.append(
            f'<div class="card"><div class="big">{before} <span class="arrow">→</span> {after}%</div>'
            f"<p>{GROUP_NAMES[group]}: frozen CLIP → A5{ceiling}</p></div>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _accuracy(results: Mapping[str, Any]) -> str:
    accuracy, limits = results["accuracy"], results["order_blind_ceiling"]
    said = "; ".join(
        f"{method}: " + ", ".join(f"{GROUP_NAMES[group]} {_cell(accuracy[method][group])}" for group in GROUPS)
        for method in METHODS
    )
    head = "".join(f"<th>{GROUP_NAMES[group]}</th>" for group in GROUPS)
    rows = "".join(
        f'<tr class="{method.lower()}"><td><span class="dot"></span>{method} '
        f'<span class="muted">{LEGEND[method][0]}</span></td>'
        + "".join(f"<td>{_cell(accuracy[method][group])}</td>" for group in GROUPS)
        + "</tr>"
        for method in METHODS
    )
    ceiling = "".join(
        f"<td>{NO_ANSWER if (limit := limits[group]) is None or limit >= 1 else f'{100 * limit:.1f}'}</td>"
        for group in GROUPS
    )
    return section(
        "Accuracy on test videos",
        "Bars are means over seeds, whiskers 95 % intervals, dots the single seeds. B-I and B-II draw nothing at "
        f"random, so their seeds agree. {SPREAD_WORDS}.",
        figure(accuracy_bars(accuracy, GROUP_NAMES, limits, label=f"Accuracy in percent. {said}"), ""),
        '<div class="wide"><table><thead><tr><th>top-1 in %, mean over '
        f"{len(results['seeds'])} seeds</th>{head}</tr></thead><tbody>{rows}"
        f'<tr class="note"><td>ceiling of any model blind to the order of frames</td>{ceiling}</tr>'
        "</tbody></table></div>",
    )


def _legend(results: Mapping[str, Any]) -> str:
    template = results["protocol"]["templates"][-1].replace("{}", results["protocol"]["groups"]["seen"][0])
    cards = "".join(
        f'<div class="card method {method.lower()}"><h3>{method}: {name}</h3>'
        f"<p>{escape(text.format(template=template) if method == 'B-I' else text)}</p></div>"
        for method, (name, text) in LEGEND.items()
    )
    return section("What is what", "", f'<div class="cards">{cards}</div>')


def _confusion(results: Mapping[str, Any]) -> str:
    groups = results["protocol"]["groups"]
    names, num_pairs = pairs_first(groups["seen"])
    order = [groups["seen"].index(name) for name in names]
    figures = [
        figure(
            confusion_heatmap(
                np.array(results["confusion"][method])[np.ix_(order, order)],
                names,
                color=COLORS[method],
                label=f"Confusion matrix of {method}: rows truth, columns answers.",
                num_pairs=num_pairs,
            ),
            f"{method}: {LEGEND[method][0]}",
        )
        for method in ("A5", "B-I")
    ]
    lead = "Each row is a true class, each column an answer; videos of all seeds together. Frames mark order pairs."
    return section("Who is taken for whom", lead, f'<div class="two">{"".join(figures)}</div>')


def _learning(content: PageContent) -> str:
    limit = content.results["order_blind_ceiling"]["seen"]
    label = "Training loss and validation accuracy of A3 and A5 against training steps."
    svg = learning_curves(content.logs, limit=limit, label=label)
    lead = (
        "Mean over seeds; the band reaches from the lowest to the highest. The weights with the best validation "
        "accuracy are kept."
    )
    return section("How it learns", lead, figure(svg, ""))


def _strip(strip: Strip) -> str:
    images = "".join(
        f'<img src="{_jpeg(frame)}" alt="frame {number} of {len(strip.frames)} of a video: {escape(strip.truth)}" '
        f'width="{frame.shape[1]}" height="{frame.shape[0]}">'
        for number, frame in enumerate(strip.frames, start=1)
    )
    answers = "".join(
        _answer(method, guesses, strip.truth, rejected=method in strip.rejecting)
        for method, guesses in strip.answers.items()
    )
    note = f' <span class="muted">{escape(strip.note)}</span>' if strip.note else ""
    return (
        f'<article class="strip"><h3>{escape(strip.truth)}{note}</h3><div class="frames">{images}</div>'
        f'<div class="answers">{answers}</div></article>'
    )


def _answer(method: str, guesses: Iterable[tuple[str, float]], truth: str, *, rejected: bool = False) -> str:
    """What a method says: bars in its color for the true name alone; no bars where it holds all names for wrong."""
    guesses = list(guesses)
    right = bool(guesses) and guesses[0][0] == truth and not rejected
    verdict = '<span class="verdict right">✓ right</span>' if right else '<span class="verdict wrong">✗ wrong</span>'
    if rejected:
        told = truth not in [name for name, _ in guesses]
        kind, mark = ("right", "✓") if told else ("wrong", "✗")
        verdict = f'<span class="verdict {kind}">{mark} none of these</span>'
    rows = "".join(
        f'<div class="guess{" truth" if name == truth else ""}"><span class="name">{escape(name)}</span>'
        + ("" if rejected else _bar(share))
        + "</div>"
        for name, share in guesses
    )
    return f'<div class="{method.lower()}"><div><span class="dot"></span>{method}{verdict}</div>{rows}</div>'


def _bar(share: float) -> str:
    return (
        f'<span class="bar"><i style="width:{100 * share:.1f}%"></i></span>'
        f'<span class="value">{score_percent(share)}</span>'
    )


def _notes(results: Mapping[str, Any]) -> str:
    backbone = results["backbone"]
    notes = [
        f"The backbone here is the built-in one ({escape(str(backbone['id']))}): a tiny CLIP, trained by "
        "<code>scripts/train_tiny_clip.py</code> on rendered still images with captions. It never saw a video.",
        "Its still images of motion carry trails and speed lines, so that the words mean a little to it, as they do to "
        "a real CLIP. The videos carry none.",
        "The numbers show that the method works and that the installation is sound. They say nothing about real video; "
        "<code>docs/results.md</code> has real clips.",
        "In the test part both classes of an order pair hold the same videos, run both ways, so the ceiling is exact: "
        "whoever ignores the order gets one of the two at most.",
        "Weights were chosen on validation videos; the test videos were measured once. No external classifier is used.",
    ]
    return section("Honest notes", "", f"<ul>{''.join(f'<li>{note}</li>' for note in notes)}</ul>")


def _footer(results: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    config = escape(json.dumps(results["config"]["A5"], indent=2, ensure_ascii=False))
    return (
        f"<footer><p><code>{escape(results['command'])}</code><br>seeds {', '.join(map(str, results['seeds']))} · "
        f"backbone {escape(str(results['backbone']['weights_hash'])[:12])} · {escape(versions)}</p>"
        f"<details><summary>config of A5</summary><pre>{config}</pre></details></footer>"
    )


def figure(svg: str, caption: str) -> str:
    """A plot that scrolls sideways on narrow screens."""
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><div class="wide">{svg}</div>{below}</figure>'


def _cell(cell: Mapping[str, Any] | None, *, spread: bool = True) -> str:
    """In percent, with its 95 % interval; a dash where a method has no answer."""
    if cell is None:
        return NO_ANSWER
    return mean_with_interval(cell) if spread else f"{100 * cell['mean']:.0f}"


def _jpeg(frame: npt.NDArray[np.uint8]) -> str:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, format="JPEG", quality=FRAME_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
