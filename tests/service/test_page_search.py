"""Searching in the page: cards, filters, examples, keys, narrow and dark screens."""

import re
from pathlib import Path
from typing import Any

import pytest
from page_tools import BOLD, PICTURES_LOADED, Shoot, Visit, cards, search, searched, soon, until

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True, "device_scale_factor": 2}


def num_wide(page: Any) -> int:
    """Pixels by which the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def test_a_fresh_page_lists_the_videos(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server)
    cards(page).nth(3).wait_for()
    soon(page, lambda: cards(page).count() == 4)
    soon(page, lambda: page.locator("#results-title").inner_text() == "4 videos")
    soon(page, lambda: page.locator("#index-words").inner_text().startswith("4 videos · "))
    shoot(page, "start")


def test_a_sentence_shows_moments_with_time_and_score(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server)
    search(page, "a red circle moves to the left")
    soon(page, lambda: cards(page).count() >= 4)
    assert "q=a+red+circle" in page.url
    first = page.locator(".card").first
    soon(page, lambda: re.fullmatch(r"\d+:\d\d(\.\d)? – \d+:\d\d(\.\d)?", first.locator(".when").inner_text()))
    soon(page, lambda: re.search(r"\d+ %", first.locator(".score").inner_text()))
    soon(page, lambda: re.match(r"4 videos searched in [\d.]+ m?s$", page.locator("#results-note").inner_text()))
    assert "searched in" in (page.locator("#announcement[aria-live=polite]").text_content() or "")
    until(page, PICTURES_LOADED)
    scores = page.locator(".card .bar").evaluate_all(
        "bars => bars.map(b => Number(b.style.getPropertyValue('--score')))"
    )
    assert scores == sorted(scores, reverse=True)
    shoot(page, "results")


def test_pointing_at_a_card_plays_its_moment_silently(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+blue+square")
    card = page.locator(".card").first
    card.hover()
    video = card.locator("video.moving")
    video.wait_for()
    until(page, "(v => v.readyState >= 2 && !v.paused)(document.querySelector('.card video'))")
    start = page.evaluate(
        "href => Number(new URLSearchParams(href.split('?')[1]).get('t'))", cards(page).first.get_attribute("href")
    )
    state = video.evaluate("v => [v.currentTime, v.muted]")
    assert start - 0.3 <= state[0] <= start + 8
    assert state[1] is True
    page.locator("#index-words").hover()
    until(page, "document.querySelectorAll('.card video').length === 0")


def test_markup_in_names_is_text(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server)
    cards(page).nth(3).wait_for()
    soon(page, lambda: BOLD in page.locator(".card .name").all_inner_texts())
    soon(page, lambda: page.locator("main b, main i:not(.bar i):not(.cursor)").count() == 0)
    search(page, "<img src=x onerror=alert(1)>")
    soon(page, lambda: "<img src=x onerror=alert(1)>" in page.locator("#results-title").inner_text())
    page.locator(".card", has_text=BOLD).first.locator(".open").click()
    page.locator(".details dd", has_text="<i>hall</i>").wait_for()
    soon(page, lambda: page.locator("#player-title").inner_text() == BOLD)


def test_what_does_not_match_is_said_plainly(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle&min_score=1")
    page.get_by_role("heading", name="Nothing here matches “a red circle”, the nearest are:").wait_for()
    page = visit(stage_server, "/#/?q=a+blue+square&min_score=1")
    # It is there, and seen: that nothing matches would be wrong.
    page.get_by_role("heading", name="No sure match for “a blue square”, the nearest are:").wait_for()
    soon(page, lambda: page.locator(".card.weak").count() == cards(page).count() > 0)
    assert page.locator(".score.match").count() == 0
    shoot(page, "no_match")
    cards(page).first.click()
    page.locator("#player .score").wait_for()
    assert page.locator("#player .score.match").count() == 0


def test_filters_narrow_the_search_and_stand_in_the_link(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+circle")
    cards(page).first.wait_for()
    page.locator("#filters-toggle").click()
    soon(page, lambda: page.evaluate("document.activeElement.name") == "path")
    page.get_by_label("Folder or path").fill("yard")
    page.get_by_label("camera", exact=True).fill("2")
    page.get_by_label("how to compare camera").select_option(">=")
    shoot(page, "filters")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="Apply").click()
    searched(page, "2 videos searched")
    soon(page, lambda: set(page.locator(".card .name").all_inner_texts()) == {"second.mp4", "third.mp4"})
    assert "path=yard" in page.url
    assert "where=camera%3E%3D2" in page.url
    soon(page, lambda: page.locator("#filters-count").inner_text() == "2")
    page.reload()
    searched(page, "2 videos searched")
    page.locator("#filters-toggle").click()
    soon(page, lambda: page.get_by_label("camera", exact=True).input_value() == "2")
    page.get_by_role("button", name="Clear").click()
    searched(page, "4 videos searched")


def test_a_day_is_one_of_who_looks(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, timezone_id="Asia/Tokyo")
    cards(page).first.wait_for()
    with page.expect_request("**/api/search?**after=**") as asked:
        page.evaluate("location.hash = '#/?q=a+star&after=2024-02-01&before=2024-02-02'")
    assert "after=2024-01-31T15%3A00%3A00.000Z&before=2024-02-01T15%3A00%3A00.000Z" in asked.value.url
    assert "after=2024-02-01" in page.url


def test_filters_that_leave_nothing_offer_a_way_on(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+circle&min_duration=90000")
    page.get_by_role("link", name="Search without filters").click()
    searched(page, "4 videos searched")


def test_a_filter_of_another_kind_is_explained(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+circle&where=camera%3Dleft", failures=True)
    soon(page, lambda: "camera" in page.get_by_role("alert").inner_text())


def test_an_image_is_an_example(visit: Visit, stage_server: Any, tmp_path: Path, shoot: Shoot) -> None:
    from PIL import Image

    Image.new("RGB", (64, 48), (220, 40, 30)).save(tmp_path / "red <b>.png")
    page = visit(stage_server)
    cards(page).first.wait_for()
    page.locator("#file").set_input_files(tmp_path / "red <b>.png")
    searched(page)
    page.locator("#example canvas").wait_for()
    soon(page, lambda: page.locator("#example .name").inner_text() == "red <b>.png")
    shoot(page, "example")
    page.reload()
    page.get_by_role("button", name="Choose the file").wait_for()
    page.locator("#file").set_input_files(tmp_path / "red <b>.png")
    searched(page)
    page.get_by_role("button", name="Search without the example").click()
    page.locator("#results-title", has_text="4 videos").wait_for()


def test_a_part_of_a_video_is_an_example(visit: Visit, stage_server: Any, stages: Path) -> None:
    page = visit(stage_server)
    page.locator("#file").set_input_files(stages / "fourth.mp4")
    searched(page)
    page.get_by_label("Only from").fill("2")
    page.get_by_label("to", exact=True).fill("5")
    page.get_by_role("button", name="Search", exact=True).click()
    page.locator("#results-title", has_text="2").wait_for()
    searched(page)
    soon(page, lambda: cards(page).count() > 0)


def test_a_file_that_is_none_is_refused_in_words(visit: Visit, stage_server: Any, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    page = visit(stage_server, failures=True)
    page.locator("#file").set_input_files(tmp_path / "notes.txt")
    soon(page, lambda: len(page.get_by_role("alert").inner_text()) > 20)


def test_more_like_this(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+circle")
    page.locator(".card").first.hover()
    page.locator(".card .like").first.click()
    page.locator("#example", has_text="Like").wait_for()
    searched(page)
    assert re.search(r"like=[0-9a-f]{64}&start=[\d.]+&end=[\d.]+", page.url)
    page.reload()
    searched(page)
    page.go_back()
    page.locator("#results-title", has_text="“a circle”").wait_for()
    soon(page, lambda: page.locator("#example").is_hidden())


def test_all_by_keyboard(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server)
    cards(page).first.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("a green star")
    page.keyboard.press("Enter")
    searched(page)
    page.keyboard.press("Escape")
    where = "[...document.querySelectorAll('.card .open')].indexOf(document.activeElement)"
    for key, expected in [
        ("ArrowRight", 0),
        ("ArrowRight", 1),
        ("j", 2),
        ("k", 1),
        ("ArrowLeft", 0),
    ]:
        page.keyboard.press(key)
        soon(page, lambda expected=expected: page.evaluate(where) == expected)
    place = "document.activeElement.getBoundingClientRect().top + window.scrollY"
    top = page.evaluate(place)
    page.keyboard.press("ArrowDown")
    soon(page, lambda: page.evaluate(place) > top)
    page.keyboard.press("ArrowUp")
    soon(page, lambda: page.evaluate(where) == 0)
    page.locator(".card video.moving").wait_for()  # the card that has the focus plays
    shoot(page, "keyboard")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    shoot(page, "keys")
    page.keyboard.press("Escape")
    page.get_by_role("dialog", name="Keys").wait_for(state="hidden")
    cards(page).nth(1).focus()
    page.keyboard.press("Enter")
    page.locator("#player .curve").wait_for(state="attached")
    page.keyboard.press("Escape")
    page.locator("#results").wait_for()
    soon(page, lambda: page.evaluate(where) == 1)


def test_a_narrow_screen(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, **PHONE)
    cards(page).nth(3).wait_for()
    assert num_wide(page) == 0
    search(page, "a yellow triangle")
    page.locator(".card video.moving").first.wait_for()  # in view, as nothing can hover
    assert num_wide(page) == 0
    shoot(page, "phone_results")
    page.locator("#filters-toggle").tap()
    assert num_wide(page) == 0
    shoot(page, "phone_filters")
    page.keyboard.press("Escape")
    until(page, PICTURES_LOADED)
    cards(page).first.tap()
    page.locator("#player .curve").wait_for(state="attached")
    until(page, "document.querySelector('.stage video').readyState >= 2")
    assert num_wide(page) == 0
    shoot(page, "phone_player")


def test_dark_by_the_system_and_by_hand(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle", color_scheme="dark")
    cards(page).first.wait_for()
    light = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).every(value => value > 127)"
    soon(page, lambda: page.evaluate(light) is False)
    until(page, PICTURES_LOADED)
    shoot(page, "dark_results")
    page.get_by_role("button", name="Light theme").click()
    soon(page, lambda: page.evaluate(light) is True)
    page.reload()
    cards(page).first.wait_for()
    soon(page, lambda: page.evaluate(light) is True)
    page.get_by_role("button", name="Dark theme").click()
    soon(page, lambda: page.evaluate(light) is False)


def test_nothing_moves_by_itself_where_motion_is_unwelcome(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle", reduced_motion="reduce")
    page.locator(".card").first.hover()
    page.wait_for_timeout(500)
    soon(page, lambda: page.locator(".card video").count() == 0)
    cards(page).first.focus()
    page.keyboard.press("Space")  # but on request
    page.locator(".card video.moving").wait_for()


def test_a_query_without_end_is_refused_in_words(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, failures=True)
    page.locator("#q").fill("word " * 3000)
    page.keyboard.press("Enter")
    soon(page, lambda: "too much text" in page.get_by_role("alert").inner_text())
    page.locator("#q").fill("word " * 400)
    page.keyboard.press("Enter")
    page.get_by_role("alert").filter(has_not_text="too much text").wait_for()
