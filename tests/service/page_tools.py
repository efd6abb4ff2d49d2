"""What the tests of the page share: what to look at, and how to wait for it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BOLD = '<b>bold & "quotes".mp4'
VIDEO = "document.querySelector('.stage video')"
PICTURES_LOADED = "[...document.querySelectorAll('.picture img')].slice(0, 8).every(i => i.complete && i.naturalWidth)"
WAIT_SECONDS = 20.0
"""For one thing to happen: generous, as tests may share a small machine."""

Visit = Callable[..., Any]
Shoot = Callable[..., Path]


def until(page: Any, condition: str) -> None:
    """Wait for a condition in JavaScript. Playwright's own wait needs `eval`, which the page forbids."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS:g} s: {condition}"
        page.wait_for_timeout(40)


def soon(page: Any, condition: Callable[[], bool]) -> None:
    """Wait for a condition; one that never comes true is asserted once more, to be told what is there instead."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if condition():
            return
        page.wait_for_timeout(40)
    assert condition(), f"not within {WAIT_SECONDS:g} s"


def cards(page: Any) -> Any:
    """The links that the cards are."""
    return page.locator(".card .open")


def search(page: Any, text: str) -> None:
    """Type a sentence and wait for its moments."""
    page.locator("#q").fill(text)
    page.keyboard.press("Enter")
    page.locator("#results-title", has_text=f"“{text}”").wait_for()
    searched(page)


def searched(page: Any, what: str = "searched in") -> None:
    """Wait for the line that says how many videos were searched."""
    page.locator("#results-note", has_text=what).wait_for()


def shown(page: Any) -> None:
    """Wait for the player to show a frame, and the scores."""
    page.locator("#player .curve").first.wait_for(state="attached")
    until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.videoWidth > 0 && !{VIDEO}.seeking")
