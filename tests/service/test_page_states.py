"""What the page shows when there is nothing to show yet, or something is wrong."""

import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from page_tools import Shoot, Visit, searched, soon, until

from framecue.api.collection import open_index

pytestmark = pytest.mark.browser

TOKEN = "a-token-that-is-long-enough-to-be-one"


@pytest.fixture(scope="module")
def growing(tmp_path_factory: pytest.TempPathFactory, chromium: Any, serve: Callable[..., Any]) -> Any:
    """Serves an index that is empty at first."""
    folder = tmp_path_factory.mktemp("growing") / "index"
    open_index(folder, backbone="tiny", device="cpu", create=True)
    return serve(folder)


def tell_progress(index: Path, done: int) -> None:
    """A writer's progress file, as the writer of an index leaves it."""
    progress = {
        "videos_done": done,
        "num_videos": 8,
        "current": "/films/<b>night.mp4",
        "started": datetime.now(UTC).isoformat(),
        "elapsed_seconds": 12.0,
        "rate": 30.0,
        "seconds_left": 75.0,
        "updated": time.time(),
    }
    owner = {"pid": os.getpid(), "host": socket.gethostname()}
    (index / "progress.json").write_text(json.dumps({**progress, **owner}))


def test_from_empty_to_gone_and_back(
    visit: Visit, growing: Any, stages: Path, shoot: Shoot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    page = visit(growing, failures=True, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("heading", name="No videos yet").wait_for()
    shoot(page, "empty")
    page.locator(".command button").first.click()
    page.locator("#toast.shown").wait_for()
    soon(page, lambda: page.evaluate("navigator.clipboard.readText()").startswith("framecue index add "))

    films = tmp_path_factory.mktemp("films")
    shutil.copy(stages / "fourth.mp4", films / "one.mp4")
    open_index(growing.index, device="cpu").add([films])
    tell_progress(growing.index, 3)
    page.evaluate("dispatchEvent(new Event('online'))")  # asks now rather than in a few seconds
    page.locator(".card .open").first.wait_for()  # by itself, as there was nothing before
    bar = page.get_by_role("progressbar", name="Videos indexed")
    bar.wait_for()
    soon(page, lambda: (bar.get_attribute("aria-valuenow"), bar.get_attribute("aria-valuemax")) == ("3", "8"))
    soon(
        page,
        lambda: page.locator("#index-words").inner_text() == "Indexing 3 of 8 · about 1 min 15 s left · <b>night.mp4",
    )
    shoot(page, "building")
    tell_progress(growing.index, 5)
    page.locator("#index-words", has_text="Indexing 5 of 8").wait_for()  # it asks again while it grows
    (growing.index / "progress.json").unlink()
    page.locator("#index-words", has_text="1 video").wait_for()
    bar.wait_for(state="hidden")

    shutil.copy(stages / "yard" / "second.mp4", films / "two.mp4")
    open_index(growing.index, device="cpu").refresh()
    page.evaluate("dispatchEvent(new Event('online'))")
    fresh = page.locator("#fresh")
    fresh.wait_for()  # one is asked before what one looks at changes
    soon(page, lambda: page.locator(".card .open").count() == 1)
    shoot(page, "fresh")
    fresh.click()
    page.locator(".card .open").nth(1).wait_for()

    growing.stop()
    page.locator("#q").fill("a red circle")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert")
    alert.wait_for()
    soon(page, lambda: "does not answer" in alert.inner_text())
    shoot(page, "server_gone")
    page.get_by_role("button", name="Try again").click()
    page.locator(".skeleton").first.wait_for(state="detached")
    soon(page, lambda: "does not answer" in alert.inner_text())
    growing.start()
    searched(page)  # by itself, or by the button
    soon(page, lambda: page.locator(".card .open").count() > 0)


def test_a_failed_search_is_tried_again_by_hand(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, failures=True)
    page.locator(".card .open").first.wait_for()
    page.route("**/api/search?**", lambda route: route.abort())
    page.locator("#q").fill("a red circle")
    page.keyboard.press("Enter")
    page.get_by_role("alert").wait_for()
    page.unroute("**/api/search?**")
    page.get_by_role("button", name="Try again").click()
    page.locator("#results-title", has_text="“a red circle”").wait_for()
    page.route("**/api/search?**", lambda route: route.fulfill(status=503, json={"error": "<i>Too many</i> wait."}))
    page.locator("#q").fill("a star")
    page.keyboard.press("Enter")
    soon(page, lambda: "<i>Too many</i> wait." in page.get_by_role("alert").inner_text())
    shoot(page, "server_error")


def test_a_moment_whose_file_is_gone(visit: Visit, stage_server: Any, stages: Path, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle&path=third.mp4", failures=True)
    page.locator(".card .open").first.wait_for()
    away = stages / "yard" / "third.away"
    (stages / "yard" / "third.mp4").rename(away)
    try:
        page.locator(".card .open").first.click()
        page.get_by_role("heading", name="The file is gone").wait_for()
        page.locator("#player .curve").wait_for(state="attached")  # its scores are still in the index
        shoot(page, "file_gone")
    finally:
        away.rename(stages / "yard" / "third.mp4")
    page.get_by_role("button", name="Try again").click()
    until(page, "document.querySelector('.stage video').readyState >= 2")


def test_sign_in(visit: Visit, stage_index: Path, serve: Callable[..., Any], tmp_path: Path, shoot: Shoot) -> None:
    (tmp_path / "token.txt").write_text(TOKEN)
    server = serve(stage_index, "--token-file", str(tmp_path / "token.txt"))
    page = visit(server, "/#/?q=a+red+circle", failures=True)
    page.get_by_role("heading", name="This index is private").wait_for()
    shoot(page, "sign_in")
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    page.locator("#sign-in-error", has_text="not the token").wait_for()
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    page.locator("#results-title", has_text="“a red circle”").wait_for()
    until(page, "[...document.querySelectorAll('.picture img')].some(i => i.naturalWidth > 0)")
    page.reload()
    page.locator("#results-title", has_text="“a red circle”").wait_for()
    assert TOKEN not in page.url
    page = visit(server, f"/?token={TOKEN}")
    page.locator(".card .open").first.wait_for()
    assert TOKEN not in page.url
    page.wait_for_load_state("networkidle")  # a picture that is on its way would miss the server
    server.stop()


def test_a_name_with_markup_in_the_index_folder_teaches_as_text(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server)
    page.route("**/api/videos?**", lambda route: route.fulfill(json={"total": 0, "videos": []}))
    page.reload()
    page.get_by_role("heading", name="No videos yet").wait_for()
    soon(page, lambda: page.locator(".command code").count() == 3)
