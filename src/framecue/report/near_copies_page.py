"""The near copies of a data set as one HTML page: each pair side by side, at the same moments of what both show."""

import base64
from collections.abc import Callable
from html import escape

from framecue.datasets.findings import DataReport
from framecue.datasets.near_copies import LEAST_SIMILARITY, NearCopy
from framecue.errors import VideoError
from framecue.report.page import document
from framecue.types import Record
from framecue.video.thumbnail import thumbnail_jpeg

MOST_PAIRS = 100
_NUM_PICTURES, _PICTURE_WIDTH = 4, 200
_ABOUT = (
    "The two videos of a pair show the same footage at the same times; one may be encoded anew, rescaled or cut. "
    f"Similarity is 1 for equal features and about 0 for two clips of one scene; pairs of at least {LEAST_SIMILARITY} "
    "are listed, most alike first. A copy in another part makes results too good: keep one of the two."
)


def render_near_copies(report: DataReport, progress: Callable[[int, int], None] | None = None) -> str:
    """The whole page as HTML text, with pictures of the first 100 pairs.

    Args:
        progress: called with the pairs drawn and their number.
    """
    pairs = report.near_copies[:MOST_PAIRS]
    cards = []
    for done, near in enumerate(pairs, start=1):
        cards.append(_card(near))
        if progress is not None:
            progress(done, len(pairs))
    return document(
        "framecue: near copies",
        [
            f'<p class="brand">framecue <span>· data check · {escape(str(report.path))}</span></p>',
            f"<h1>{_headline(report)}</h1>",
            f'<p class="lead">{escape(_ABOUT)}</p>' if pairs else "",
            *cards,
            f"<p>{len(report.near_copies) - MOST_PAIRS} more pairs, less alike, are listed by --json.</p>"
            if len(report.near_copies) > MOST_PAIRS
            else "",
        ],
    )


def _headline(report: DataReport) -> str:
    number = len(report.near_copies)
    return f"{number or 'No'} {'pair' if number == 1 else 'pairs'} of near copies"


def _card(near: NearCopy) -> str:
    sides = "".join(
        _side(record, start, near.shared_seconds)
        for record, start in ((near.first, near.first_seconds), (near.second, near.second_seconds))
    )
    told_apart = {
        "in two parts": near.first.split != near.second.split,
        "under two labels": near.first.label != near.second.label,
        "in no part yet": near.first.split is None,
    }
    where = ", ".join(words for words, holds in told_apart.items() if holds)
    return (
        f'<div class="strip"><h3>Similarity {near.similarity:.2f}<span class="muted">{where}</span></h3>'
        f'<div class="two">{sides}</div></div>'
    )


def _side(record: Record, start: float, shared: float) -> str:
    part = record.split or "no part"
    return (
        f"<figure><figcaption><b>{escape(part)}</b> · {escape(record.label or '')}<br>{escape(str(record.path))}"
        f'</figcaption><div class="frames four">{_pictures(record, start, shared)}</div></figure>'
    )


def _pictures(record: Record, start: float, shared: float) -> str:
    pictures = []
    for index in range(_NUM_PICTURES):
        seconds = start + shared * (index + 0.5) / _NUM_PICTURES
        try:
            jpeg = thumbnail_jpeg(record.path, seconds, width=_PICTURE_WIDTH)
        except VideoError as error:
            return f"<p>{escape(str(error))}</p>"
        source = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
        pictures.append(f'<img src="{source}" alt="{escape(record.path.name)} at {seconds:.1f} s">')
    return "".join(pictures)
