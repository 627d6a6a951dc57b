"""The report in a browser: it loads without an error and asks for nothing, and fits a phone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.page.document import page
from tests.bench_results import document, every_section
from tests.chromium import Browser, browser

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Browser]:
    file = tmp_path / "index.html"
    file.write_text(page(every_section(), document()))
    with browser(tmp_path) as window:
        window.call("Emulation.setDeviceMetricsOverride", **PHONE)
        window.open(file.as_uri())
        yield window


def contrast(window: Browser, selector: str) -> float:
    """WCAG 2 contrast of an element's text and what is behind it."""
    return float(
        window.evaluate(
            """(selector => {
  const shown = document.querySelector(selector);
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  let behind = shown;
  while (numbers(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
  const light = colour => {
    const [r, g, b] = numbers(colour).slice(0, 3).map(c => c / 255)
      .map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const text = light(getComputedStyle(shown).color);
  const ground = light(getComputedStyle(behind).backgroundColor);
  return (Math.max(text, ground) + 0.05) / (Math.min(text, ground) + 0.05);
})('SELECTOR')""".replace("SELECTOR", selector)
        )
    )


@pytest.mark.timeout(90)
def test_page_loads_without_an_error_or_a_request(opened: Browser) -> None:
    asked = [event["request"]["url"] for event in opened.of("Network.requestWillBeSent")]
    assert [url.rpartition("/")[2] for url in asked] == ["index.html"]
    assert opened.of("Network.loadingFailed") == []
    assert opened.of("Runtime.exceptionThrown") == []
    assert opened.of("Runtime.consoleAPICalled") == []
    assert opened.of("Log.entryAdded") == []
    assert opened.evaluate("document.title") == "Keystead benchmarks"
    assert opened.evaluate("document.compatMode") == "CSS1Compat"
    assert opened.evaluate("document.querySelectorAll('svg[role=img]').length") > 5


@pytest.mark.timeout(90)
def test_phone_scrolls_in_one_direction(opened: Browser) -> None:
    assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


@pytest.mark.timeout(90)
def test_plots_words_stay_inside(opened: Browser) -> None:
    outside = """[...document.querySelectorAll('figure svg text')].filter(each => {
      const box = each.getBoundingClientRect();
      const figure = each.closest('figure').getBoundingClientRect();
      return box.left < figure.left || box.right > figure.right;
    }).map(each => each.textContent)"""
    assert opened.evaluate(outside) == []


@pytest.mark.timeout(90)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read(opened: Browser, scheme: str) -> None:
    opened.call(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    for selector in (".verdict", ".note", "td.missed", "td.not_measured", "th small", "figcaption"):
        assert contrast(opened, selector) >= 4.5, selector
