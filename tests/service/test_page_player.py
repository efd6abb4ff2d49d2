"""A moment in the page: the right second, the line of time, labels, links."""

import re
from pathlib import Path
from typing import Any

import pytest
from page_tools import VIDEO, Shoot, Visit, shown, soon, until

pytestmark = pytest.mark.browser


def seconds(page: Any) -> float:
    return float(page.evaluate(f"{VIDEO}.currentTime"))


def wait_near(page: Any, expected: float, tolerance: float = 0.5) -> None:
    until(page, f"Math.abs({VIDEO}.currentTime - {expected}) <= {tolerance} && !{VIDEO}.seeking")


def first_moment(page: Any, nth: int = 0) -> tuple[str, float, float]:
    """The id and span of a moment among the results, by its link."""
    page.locator(".card .open").first.wait_for()
    href = page.locator(".card .open").nth(nth).get_attribute("href")
    found = re.fullmatch(r"#/video/([0-9a-f]{64})\?t=([\d.]+)&end=([\d.]+)&q=.*", href)
    assert found, href
    return found[1], float(found[2]), float(found[3])


def pause(page: Any) -> None:
    page.evaluate(f"{VIDEO}.pause()")


def test_a_card_opens_at_its_second_and_plays(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    _, start, end = first_moment(page)
    page.locator(".card .open").first.click()
    shown(page)
    until(page, f"{VIDEO}.currentTime > {start}")
    assert start <= seconds(page) <= max(end, start + 4)
    until(page, f"!{VIDEO}.paused")
    shoot(page, "player")
    painted = page.evaluate(
        f"""(() => {{ const c = new OffscreenCanvas(16, 12).getContext("2d"); c.drawImage({VIDEO}, 0, 0, 16, 12);
        return new Set(c.getImageData(0, 0, 16, 12).data).size; }})()"""
    )
    assert painted > 4
    page.keyboard.press("Space")
    until(page, f"{VIDEO}.paused")


def test_the_line_of_time_shows_curves_and_seeks(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    _, start, end = first_moment(page)
    page.locator(".card .open").first.click()
    shown(page)
    pause(page)
    duration = page.evaluate(f"{VIDEO}.duration")
    box = page.locator(".timeline").bounding_box()
    band = page.locator(".timeline .moment").bounding_box()
    assert band["x"] - box["x"] == pytest.approx(start / duration * box["width"], abs=3)
    assert band["width"] == pytest.approx((end - start) / duration * box["width"], abs=4)
    points = page.locator(".curve").first.get_attribute("points").split()
    assert len(points) >= duration / 2 - 2
    page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 40)
    wait_near(page, duration * 0.75)
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 40, steps=4)
    page.mouse.up()
    wait_near(page, duration * 0.25)
    soon(page, lambda: page.locator(".readout").is_visible())
    shoot(page, "timeline")
    slider = page.get_by_role("slider", name="Time in the video")
    slider.focus()
    page.keyboard.press("Home")
    wait_near(page, 0.0, 0.05)
    page.keyboard.press("ArrowRight")
    wait_near(page, 1.0, 0.05)
    soon(page, lambda: slider.get_attribute("aria-valuetext").startswith("0:01 of "))
    page.keyboard.press(".")
    wait_near(page, 1.04, 0.02)


def test_typed_labels_are_drawn_and_found(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    page.locator(".card .open").first.click()
    shown(page)
    soon(page, lambda: page.locator("#labels").input_value() == "a red circle")
    page.locator("#labels").fill('"moving left, slowly", growing, <i>turning</i>')
    page.keyboard.press("Enter")
    page.locator(".curve").nth(2).wait_for(state="attached")
    soon(
        page,
        lambda: (
            page.locator(".legend .label").all_inner_texts() == ["moving left, slowly", "growing", "<i>turning</i>"]
        ),
    )
    strokes = page.locator(".curve").evaluate_all("curves => curves.map(c => c.getAttribute('stroke'))")
    assert len(set(strokes)) == 3
    assert "labels=%22moving+left%2C+slowly%22%2C+growing" in page.url
    page.get_by_role("button", name="Find these actions").click()
    page.locator(".note", has_text="found").wait_for()
    shoot(page, "labels")
    if page.locator(".segments button").count():
        span = page.locator(".segments .muted").first.inner_text()
        minutes, rest = span.split(" – ")[0].split(":")
        page.locator(".segments button").first.click()
        until(page, f"{VIDEO}.currentTime >= {int(minutes) * 60 + float(rest) - 0.2}")
        soon(page, lambda: page.locator(".segment").count() == page.locator(".segments li").count())
    page.reload()
    page.locator(".curve").nth(2).wait_for(state="attached")
    page.locator("#labels").fill("")
    page.keyboard.press("Enter")
    page.locator(".note", has_text="Type what to look for").wait_for()
    soon(page, lambda: page.locator(".curve").count() == 0)


def test_a_sentence_with_commas_is_one_label(visit: Visit, stage_server: Any) -> None:
    video_id, start, end = first_moment(visit(stage_server, "/#/?q=a+red+circle"))
    page = visit(stage_server, f"/#/video/{video_id}?t={start:g}&end={end:g}&q=a+%22red%22+circle,+slowly")
    soon(page, lambda: page.locator("#labels").input_value() == '"a ""red"" circle, slowly"')
    soon(page, lambda: page.locator(".legend .label").all_inner_texts() == ['a "red" circle, slowly'])


def test_a_link_opens_afresh_and_survives_reload(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    video_id, start, end = first_moment(page)
    link = f"/#/video/{video_id}?t={start:g}&end={end:g}&q=a+red+circle&labels=a+red+circle,a+star"
    page = visit(stage_server, link)
    for _ in range(2):
        shown(page)
        until(page, f"{VIDEO}.currentTime >= {start}")
        soon(page, lambda: page.locator(".curve").count() == 2)
        soon(page, lambda: page.locator(".details h2").first.inner_text().count(":") == 2)
        page.reload()
    page.locator(".others li").nth(1).wait_for()  # what else was found, asked anew
    page.keyboard.press("Escape")
    page.locator("#results-title", has_text="“a red circle”").wait_for()


def test_back_and_forward(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    _, start, _ = first_moment(page, 1)
    page.locator(".card .open").nth(1).click()
    shown(page)
    page.go_back()
    page.locator("#results").wait_for()
    soon(page, lambda: page.locator("#player").is_hidden())
    soon(page, lambda: page.locator(".card .open").count() > 1)
    page.go_forward()
    shown(page)
    until(page, f"{VIDEO}.currentTime >= {start}")
    page.go_back()
    page.locator("#q").fill("a star")
    page.keyboard.press("Enter")
    page.locator("#results-title", has_text="“a star”").wait_for()
    page.go_back()
    page.locator("#results-title", has_text="“a red circle”").wait_for()
    soon(page, lambda: page.locator("#q").input_value() == "a red circle")


def test_next_previous_and_loop(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    _, start, _ = first_moment(page, 1)
    page.locator(".card .open").first.click()
    shown(page)
    page.keyboard.press("j")
    until(page, f"new URLSearchParams(location.hash.split('?')[1]).get('t') === '{start:g}'")
    shown(page)
    page.keyboard.press("k")
    page.keyboard.press("Escape")
    page.locator("#results").wait_for()  # one step back, however many moments were looked at
    page.evaluate("location.hash = location.hash")
    page.locator(".card .open").first.click()
    shown(page)
    _, start, end = span_of(page)
    page.keyboard.press("l")
    page.evaluate(f"{VIDEO}.currentTime = {end - 0.2}")
    until(page, f"{VIDEO}.currentTime < {end - 0.5}")
    assert start - 0.1 <= seconds(page) < end
    soon(page, lambda: page.get_by_role("button", name="Loop the moment (l)").get_attribute("aria-pressed") == "true")


def span_of(page: Any) -> tuple[str, float, float]:
    words = page.evaluate("Object.fromEntries(new URLSearchParams(location.hash.split('?')[1]))")
    return "", float(words["t"]), float(words["end"])


def test_the_link_is_copied_and_the_moment_downloaded(visit: Visit, stage_server: Any, tmp_path: Path) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle", permissions=["clipboard-read", "clipboard-write"])
    video_id, start, end = first_moment(page)
    page.locator(".card .open").first.click()
    shown(page)
    pause(page)
    page.evaluate(f"{VIDEO}.currentTime = {start + 0.1}")
    wait_near(page, start + 0.1, 0.05)
    page.keyboard.press("c")
    page.locator("#toast.shown").wait_for()
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == f"{stage_server.url}/#/video/{video_id}?t={start:g}&end={end:g}&q=a+red+circle"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    download.value.save_as(tmp_path / "moment.mp4")
    assert download.value.suggested_filename.endswith(".mp4")
    assert (tmp_path / "moment.mp4").stat().st_size > 1000


def test_of_a_long_moment_the_part_that_the_server_cuts_is_offered(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    video_id, _, _ = first_moment(page)
    page = visit(stage_server, f"/#/video/{video_id}?t=1&end=100&q=a+red+circle")
    shown(page)
    link = page.get_by_role("link", name="Download the first 60 s")
    soon(page, lambda: link.get_attribute("href") == f"/media/{video_id}?as=mp4&start=1&end=61")
    assert page.request.get(stage_server.url + link.get_attribute("href")).status == 200


def test_a_video_that_is_not_in_the_index(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, f"/#/video/{'0' * 64}?t=3&q=a+star", failures=True)
    page.get_by_role("alert").wait_for()
    shoot(page, "unknown_video")
    page.get_by_role("link", name="Back to the search").click()
    page.locator("#results-title", has_text="“a star”").wait_for()


def test_found_segments_are_bars_that_one_can_jump_to(visit: Visit, stage_server: Any, shoot: Shoot) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle", color_scheme="dark")
    page.locator(".card .open").first.click()
    shown(page)
    segments = [
        {"start_seconds": 2.0, "end_seconds": 5.5, "label": "growing", "score": 0.9},
        {"start_seconds": 9.0, "end_seconds": 12.0, "label": "a <b>star</b>", "score": 0.4},
    ]
    answer = {"duration_seconds": 20.0, "labels": ["a <b>star</b>", "growing"], "segments": segments}
    page.route("**/api/localize", lambda route: route.fulfill(json=answer))
    page.locator("#labels").fill("a <b>star</b>, growing")
    page.keyboard.press("Enter")
    page.locator(".curve").nth(1).wait_for(state="attached")
    page.get_by_role("button", name="Find these actions").click()
    page.locator(".note", has_text="2 segments found.").wait_for()
    soon(page, lambda: page.locator(".segment").count() == 2)
    # In one step: the line is drawn anew, with other elements, whenever its width changes.
    bar, line, width = page.evaluate(
        """(() => { const box = (name) => document.querySelector(name).getBoundingClientRect();
        return [box(".segment").x, box(".timeline").x, box(".timeline").width]; })()"""
    )
    duration = page.evaluate(f"{VIDEO}.duration")
    assert bar - line == pytest.approx(2.0 / duration * width, abs=3)
    shoot(page, "dark_segments")
    page.get_by_role("button", name="a <b>star</b> 0:09").click()
    wait_near(page, 9.0, 1.5)
    assert "t=9&end=12" in page.url


def test_a_whole_video(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server)
    page.locator(".card .open").first.click()
    until(page, f"{VIDEO}.readyState >= 2 && {VIDEO}.currentTime > 0")
    soon(page, lambda: page.locator(".timeline .moment").count() == 0)
    page.locator(".note", has_text="Type what to look for").wait_for()
    page.get_by_role("link", name="More like this").click()
    page.locator("#results-note", has_text="searched in").wait_for()


def test_escape_after_a_shared_link_stays_in_the_page(visit: Visit, stage_server: Any) -> None:
    page = visit(stage_server, "/#/?q=a+red+circle")
    video_id, start, end = first_moment(page)
    page = visit(stage_server, f"/#/video/{video_id}?t={start:g}&end={end:g}&q=a+red+circle")
    shown(page)
    page.get_by_role("link", name="More like this").click()
    page.locator("#results-note", has_text="searched in").wait_for()
    page.go_back()
    shown(page)
    page.keyboard.press("Escape")
    page.locator("#results-title", has_text="“a red circle”").wait_for()
