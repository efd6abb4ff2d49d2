"""The report page: whole, self-contained, and safe with any class name."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from framecue.report.page import PageContent, Strip, render_page
from framecue.report.summary import METHODS, Names, accuracy_table

VOID = {"meta", "img", "br", "link", "input", "hr"}
NASTY = '<b>&"quoted"</b>'


class Checker(HTMLParser):
    """Collects what a page refers to, and holds that its elements close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.addresses, self.counts, self.texts, self.alts = [], [], {}, [], []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "srcset", "data", "poster"):
                self.addresses.append(value)
            assert not name.startswith("on"), f"{tag} has a script in {name}"
        if tag == "img":
            self.alts.append(dict(attrs).get("alt"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)


def content(seen=("blinking", "growing", "shrinking"), held_out=("swinging",), seeds=(0, 1)):
    names = Names(tuple(seen), tuple(held_out))
    rng = np.random.default_rng(0)
    parts = {
        method: {
            "seen": [rng.integers(0, 9, (len(seen),) * 2).astype(float) for _ in seeds],
            "held_out": [np.eye(len(held_out)) for _ in seeds] if method != "B-II" and held_out else [],
        }
        for method in METHODS
    }
    results = {
        "command": f"framecue demo --out {NASTY}",
        "seeds": list(seeds),
        "protocol": {
            "groups": {group: names.group(group) for group in ("seen", "order_pairs", "other_seen", "held_out")},
            "templates": ["a shape {}"],
            **dict.fromkeys(
                ("num_train_videos", "num_val_videos", "num_test_videos", "num_held_out_videos"),
                7,
            ),
        },
        "order_blind_ceiling": names.ceilings(),
        "accuracy": accuracy_table(parts, names),
        "confusion": {method: sum(parts[method]["seen"]).tolist() for method in METHODS},
        "adapter": {"trained_numbers": 12345},
        "backbone": {"id": "tiny", "weights_hash": "0123456789abcdef"},
        "config": {"A5": {"data": {"source": NASTY}}},
        "versions": {"framecue": "0.1.0"},
    }
    frames = rng.integers(0, 255, (8, 24, 32, 3), dtype=np.uint8)
    strip = Strip(seen[0], frames, {"A5": [(seen[0], 0.9), (seen[1], 0.1)], "B-I": [(seen[1], 0.6)]}, NASTY)
    log = [{"iteration": step, "loss": 1 / step, "val_top1": 0.1 * step} for step in (1, 2, 3)]
    logs = {"A3": [log for _ in seeds], "A5": [log for _ in seeds]}
    return PageContent(results, logs, [strip, strip], [strip], [strip])


def parse(page):
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    return checker


def test_page_is_whole_and_asks_nothing_of_other_addresses():
    page = render_page(content())
    checker = parse(page)
    outside = [address for address in checker.addresses if not address.startswith(("data:image/jpeg;base64,", "#"))]
    assert outside == []
    assert "@import" not in page
    assert "url(http" not in page
    assert checker.counts["svg"] == 4  # bars, two confusion matrices, learning curves
    assert checker.counts["img"] == 4 * 8
    assert all(checker.alts)
    assert "script" not in checker.counts
    assert checker.counts["h1"] == 1


def test_page_says_right_and_wrong_in_words():
    checker = parse(render_page(content()))
    assert checker.texts.count("✓ right") == 4
    assert checker.texts.count("✗ wrong") == 4


def test_none_of_these_never_stands_beside_a_percentage():
    strip = content().new_files[0]
    rejected = replace(strip, answers={"A5": [("growing", 1.0), ("shrinking", 0.0)]}, rejecting=("A5",))
    unknown = parse(render_page(replace(content(), mirrored=(), samples=[rejected], new_files=())))
    assert unknown.texts.count("✗ none of these") == 0
    assert unknown.texts.count("✓ none of these") == 1  # it is of a class that is not among the names
    assert not [text for text in unknown.texts if text.endswith("100 %")]
    known = replace(rejected, truth="growing")
    assert parse(render_page(replace(content(), samples=[known]))).texts.count("✗ none of these") == 1


def test_every_accuracy_on_the_page_has_its_interval():
    page = render_page(content())
    table = page[page.index("<table>") : page.index("</table>")]
    cells = re.findall(r"<td>([^<]*\d[^<]*)</td>", table)
    accuracies = [text for text in cells if not re.fullmatch(r"\d+\.\d", text)]  # ceilings are no measurement
    assert len(accuracies) >= 11
    assert all(re.fullmatch(r"\d+\.\d (± \d+\.\d|\(\d+\.\d–\d+\.\d\))", text) for text in accuracies)


def test_names_are_escaped():
    page = render_page(content(seen=(NASTY, "growing", "shrinking")))
    checker = parse(page)
    assert "b" not in checker.counts
    assert NASTY in checker.texts
    assert any(NASTY in alt for alt in checker.alts)
    assert any(NASTY in text for text in checker.texts if text.startswith("framecue demo"))


@pytest.mark.parametrize(
    "odd",
    [{"seeds": (0,)}, {"seen": ("blinking", "circling"), "held_out": ()}, {"held_out": ("swinging", "zigzagging")}],
)
def test_odd_sizes(odd):
    checker = parse(render_page(content(**odd)))
    assert not [text for text in checker.texts if "nan" in text.split()]


def test_page_is_deterministic():
    assert render_page(content()) == render_page(content())
