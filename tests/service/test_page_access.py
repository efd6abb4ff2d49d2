"""Whoever cannot see well, or point, finds names, contrast and order in the page."""

from typing import Any

import pytest
from page_tools import Visit, cards, soon

pytestmark = pytest.mark.browser


NAMELESS = """
[...document.querySelectorAll("button, a[href], input, select, [role=slider], video")]
  .filter(e => e.checkVisibility() && e.getAttribute("aria-hidden") !== "true")
  .filter(e => !(e.getAttribute("aria-label") || e.title || e.textContent.trim() || e.labels?.length))
  .map(e => e.outerHTML.slice(0, 90))
"""

CONTRAST = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgb = color => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const linear = value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const ground = e => {
    for (; e; e = e.parentElement) {
      const color = rgb(getComputedStyle(e).backgroundColor);
      if (color[3] > 128) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const e of document.querySelectorAll("h1, h2, p, span, button, a, dt, dd, label, .clock")) {
    const own = [...e.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !e.checkVisibility({opacityProperty: true}) || e.closest(".away, .picture, .toast, .skip")) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) poor.push(`${e.className || e.tagName} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return poor;
})()
"""


def test_text_and_controls_have_contrast_and_names(visit: Visit, stage_server: Any) -> None:
    for scheme in ("light", "dark"):
        page = visit(stage_server, "/#/?q=a+red+circle", color_scheme=scheme)
        cards(page).first.wait_for()
        cards(page).first.click()
        page.locator("#player .curve").wait_for(state="attached")
        soon(page, lambda page=page: page.evaluate(NAMELESS) == [])
        soon(page, lambda page=page: page.evaluate(CONTRAST) == [])
