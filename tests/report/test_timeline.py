"""Timelines show every segment of the shown labels, say what they leave out, and are one self-contained picture."""

import re
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framecue.errors import UsageError
from framecue.report.timeline import COLORS, MAX_BINS, TRUTH, clock, thinned, tick_times, timeline_svg, write_timeline
from framecue.types import FrameBatch, Localization, ScoreCurves, ScoredSegment, Segment

SVG = "{http://www.w3.org/2000/svg}"
FOUND = (
    ScoredSegment(2.0, 4.5, "waving", 0.9),
    ScoredSegment(6.0, 9.0, "sitting", 0.6),
    ScoredSegment(6.5, 8.0, "sitting", 0.2),
)
TRUE = (Segment(2.1, 4.4, "waving"), Segment(9.5, 10.0, "falling"))


def answer(duration: float = 10.0, *, path: str = "a/clip.mp4", labels=("waving", "sitting"), found=FOUND, curves=None):
    return Localization(Path(path), duration, labels, found, curves)


def curves(duration: float, labels=("waving", "sitting"), cells: int = 80) -> ScoreCurves:
    scores = np.random.default_rng(0).random((cells, len(labels)), dtype=np.float32)
    return ScoreCurves(np.linspace(0, duration, cells + 1), scores, labels)


def frames(count: int = 12, height: int = 96, width: int = 128) -> FrameBatch:
    images = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None] * 20, (count, 3, height, width))
    return FrameBatch(images, np.linspace(0, 9.9, count))


def parse(svg: str) -> tuple[ElementTree.Element, list[str]]:
    """The checked picture, and the texts in it."""
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    assert root.get("viewBox")
    assert root.get("width") is None
    assert "currentColor" not in svg  # on its own white, a dark page's light ink would be lost
    assert not re.search(r'href="(?!#|data:)', svg)
    return root, ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def fills(svg: str, color: str) -> int:
    return len(re.findall(rf"fill: {color}\b", svg))


def test_all_that_is_known_is_drawn() -> None:
    svg = timeline_svg(answer(curves=curves(10)), truth=TRUE, frames=frames())
    root, texts = parse(svg)
    assert {"waving", "sitting", "falling", "90 %", "60 %", "0:00", "0:10", "clip.mp4"} <= set(texts)
    assert "0:10  ·  3 segments found" in texts
    assert fills(svg, TRUTH) == len(TRUE) + 1  # and one in the key
    assert fills(svg, COLORS[0]) == 1 + 1  # "waving", the surest, at full strength; and the key
    assert 6 <= len(list(root.iter(f"{SVG}image"))) <= 12
    assert "waving 0:02 to 0:04; sitting 0:06 to 0:09" in (root.get("aria-label") or "")


def test_the_same_numbers_give_the_same_picture() -> None:
    pictures = [timeline_svg(answer(curves=curves(10)), truth=TRUE, frames=frames()) for _ in range(2)]
    assert pictures[0] == pictures[1]


def test_the_key_names_only_what_is_there() -> None:
    def key(**options) -> set[str]:
        _, texts = parse(timeline_svg(answer(curves=options.pop("curves", None)), **options))
        return {text.partition(" (")[0] for text in texts} & {"found", "score over time", "ground truth"}

    assert key() == {"found"}
    assert key(truth=()) == {"found", "ground truth"}
    assert key(curves=curves(10)) == {"found", "score over time"}


def test_the_surer_the_darker_and_a_guess_stays_pale() -> None:
    def strength(score: float, *others: float) -> float:
        """How far the bar of "waving" is from white."""
        found = [ScoredSegment(1, 4, "waving", score), *(ScoredSegment(5, 6, "sitting", other) for other in others)]
        svg = timeline_svg(answer(found=found))
        tints = re.findall(r"fill: #([0-9a-f]{2})[0-9a-f]{4}; stroke: #ffffff", svg)
        return (255 - int(tints[0], 16)) / (255 - int(COLORS[0][1:3], 16))

    assert strength(0.9) == pytest.approx(1.0, abs=0.01)
    assert strength(0.45, 0.9) == pytest.approx(0.5, abs=0.01)
    assert strength(0.2) == pytest.approx(0.4, abs=0.01)
    assert strength(0.001) > 0.1  # still seen


def test_of_many_labels_those_of_the_truth_and_the_best_are_shown_and_the_rest_counted() -> None:
    labels = [f"label {i}" for i in range(12)]
    found = [ScoredSegment(0.8 * i, 0.8 * i + 0.7, label, (i + 1) / 20) for i, label in enumerate(labels)]
    svg = timeline_svg(answer(labels=labels, found=found), truth=[Segment(1, 2, "label 0")])
    _, texts = parse(svg)
    assert [text for text in texts if text.startswith("label")] == ["label 0", *labels[5:]]  # in the order asked for
    assert "not shown: 4 more labels, 4 segments" in texts


def test_labels_of_proposals_and_of_other_words_are_shown_too() -> None:
    found = [ScoredSegment(1, 2, None, 0.5), ScoredSegment(1, 2, "unasked", 0.5)]
    _, texts = parse(timeline_svg(answer(found=found)))
    assert {"action", "unasked", "waving", "sitting"} <= set(texts)


@pytest.mark.parametrize("duration", [0.0, 0.4, 10.0, 95.0, 7260.0, 400000.0])
def test_every_length_has_a_readable_axis(duration: float) -> None:
    times = tick_times(max(duration, 1e-3))
    assert 1 <= len(times) <= 11
    names = [clock(time, tenths=times[-1] < 5) for time in times]
    assert len(set(names)) == len(names)
    parse(timeline_svg(answer(duration, found=()), frames=frames()))


def test_clock() -> None:
    told = [clock(0), clock(59.6), clock(754), clock(3723), clock(360000), clock(7.54, tenths=True)]
    assert told == ["0:00", "1:00", "12:34", "1:02:03", "100:00:00", "0:07.5"]


def test_a_short_action_in_a_long_file_is_a_hairline_and_a_long_curve_keeps_its_peaks() -> None:
    long = curves(7200, cells=57600)
    long.scores[:] = 0
    long.scores[31415, 0] = 1
    edges, scores = thinned(long.edges_seconds, long.scores[:, 0])
    assert len(scores) == MAX_BINS == len(edges) - 1
    assert (edges[0], edges[-1]) == (0, 7200)
    peak = int(scores.argmax())
    assert scores[peak] == 1
    assert edges[peak] <= long.edges_seconds[31415] < edges[peak + 1]
    found = [ScoredSegment(3600, 3600.5, "waving", 0.9)]
    svg = timeline_svg(answer(7200, found=found, curves=long))
    assert len(svg) < 400_000
    xs = [float(x) for x in re.findall(r"[ML] ([\d.]+) ", re.findall(r'd="([^"]*)"[^>]*fill: #4a8fe0', svg)[0])]
    assert max(xs) - min(xs) > 0.8  # points; drawn to scale it would be 0.05


@pytest.mark.parametrize(
    "name", ["<b>&amp; \"it\" 'is' ]]>", "$x_$ costs $5", "日本語", "a\nb\x01c", "\udcff", "", "-->"]
)
def test_any_name_is_safe_text(name: str) -> None:
    labels = [name, "x" * 300]
    found = [ScoredSegment(1, 2, name, 0.5)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = timeline_svg(answer(path="clip.mp4", labels=labels, found=found), title=name)
    root, texts = parse(svg)
    if name.isprintable() and name:
        assert texts.count(name) == 2
        assert name in (root.get("aria-label") or "")


def test_truth_beyond_the_end_is_on_the_picture() -> None:
    _, texts = parse(timeline_svg(answer(10.0), truth=[Segment(10.0, 19.5, "waving")]))
    assert "0:18" in texts


@pytest.mark.parametrize(("height", "width", "count"), [(96, 128, 1), (96, 128, 3), (320, 120, 40), (90, 900, 8)])
def test_frames_of_any_shape_and_number(height: int, width: int, count: int) -> None:
    root, _ = parse(timeline_svg(answer(), frames=frames(count, height, width)))
    assert 1 <= len(list(root.iter(f"{SVG}image"))) <= count


def test_files_are_pictures_of_the_kind_their_name_says(tmp_path: Path) -> None:
    write_timeline(answer(), tmp_path / "new" / "one.svg", truth=TRUE)
    assert (tmp_path / "new" / "one.svg").read_text(encoding="utf-8") == timeline_svg(answer(), truth=TRUE) + "\n"
    write_timeline(answer(), tmp_path / "one.PNG", frames=frames(), title="mine")
    with Image.open(tmp_path / "one.PNG") as picture:
        assert picture.format == "PNG"
        assert 1500 < picture.width < 2000
        assert picture.convert("RGB").getpixel((1, 1)) == (255, 255, 255)
    with pytest.raises(UsageError, match=r"one\.pdf: a timeline is written as \.svg or \.png, not as '\.pdf'"):
        write_timeline(answer(), tmp_path / "one.pdf")
