"""Real files, searched and played in the page: among them what browsers cannot read by themselves."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from page_tools import VIDEO, soon, until

from framecue.api.collection import open_index

pytestmark = pytest.mark.browser

FILES = (
    "msvd/j2Dhf-xFUxU_13_20.avi",
    "hmdb51/wave/TrumanShow_wave_f_nm_np1_fr_med_26.avi",
    "asl_gestures/again.mkv",
    "gmdcsa24/Subject 1/Fall/13.mp4",
    "kinetics400",
    "msrvtt",
)


@pytest.fixture(scope="module")
def real_server(
    chromium: Any, shared_data: Path, tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Any]
) -> Any:
    """Serves an index of real videos."""
    folder = tmp_path_factory.mktemp("real") / "index"
    sources = [path for name in FILES if (path := shared_data / "videos" / name).exists()]
    open_index(folder, backbone="tiny", device="cpu", create=True).add(sources)
    return serve(folder)


def play(page: Any) -> None:
    """The moment runs, and its picture is decoded."""
    page.locator("#player .curve").wait_for(state="attached")
    until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.videoWidth > 0 && {VIDEO}.currentTime > 0")
    before = page.evaluate(f"{VIDEO}.currentTime")
    until(page, f"{VIDEO}.ended || {VIDEO}.currentTime > {before} + 0.2")


def test_real_files_are_searched_and_played(
    visit: Callable[..., Any], real_server: Any, shoot: Callable[..., Path]
) -> None:
    page = visit(real_server, "/#/?q=a+person+waves&top_k=40")
    page.locator(".card .open").first.wait_for()
    until(page, "[...document.querySelectorAll('.picture img')].slice(0, 8).every(i => i.naturalWidth > 0)")
    shoot(page, "real_results")
    names = set(page.locator(".card .name").all_inner_texts())
    assert any(name.endswith(".avi") for name in names)
    assert any(name.endswith(".mp4") for name in names)
    for ending in (".mp4", ".avi"):
        page.locator(".card", has_text=ending).first.locator(".open").click()
        play(page)
        shoot(page, f"real_player_{ending[1:]}")
        page.go_back()
        page.locator("#results").wait_for()


def test_what_a_browser_cannot_read_plays_on_its_card(visit: Callable[..., Any], real_server: Any) -> None:
    page = visit(real_server, "/#/?q=a+person&path=*.avi")
    card = page.locator(".card").first
    card.hover()
    video = card.locator("video.moving")
    video.wait_for()
    soon(page, lambda: "as=mp4" in video.get_attribute("src"))


def test_seeking_beyond_a_transcoded_stretch(visit: Callable[..., Any], real_server: Any) -> None:
    page = visit(real_server, "/#/?q=a+person&path=*.avi")
    page.locator(".card .open").first.click()
    play(page)
    page.evaluate(f"{VIDEO}.pause()")
    box = page.locator(".timeline").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 40)
    until(page, f"{VIDEO}.readyState >= 2 && !{VIDEO}.seeking")
    shown = float(page.get_by_role("slider").get_attribute("aria-valuenow"))
    length = float(page.get_by_role("slider").get_attribute("aria-valuemax"))
    assert shown == pytest.approx(length / 2, abs=0.3)
