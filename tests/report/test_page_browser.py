"""The page of a report in a real headless browser: on a phone, on a tablet, on paper, in the dark.

`TLX_REPORT_SHOTS=FOLDER` keeps pictures of it to look at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tests.report.helpers_illustrated as illustrated
from tests.helpers_browser import CHROMIUM, FLAGS, needs_browser
from tests.report.helpers_report import make_record, write_runs
from tlx.report import make_report

pytestmark = needs_browser
SHOTS = os.environ.get("TLX_REPORT_SHOTS")
MM = 96 / 25.4  # pixels of CSS
PAPERS = {"A4": (210, 297), "Letter": (215.9, 279.4)}  # mm
MARGIN = 12  # mm, as the style has it
LONG = ("mobilenet_v1_imagenet.pth", "ssd_mobilenet_v1_widerface.npz", "ssd_openimages.npz")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A study with pictures, and one of 15 arms with long names."""
    root = tmp_path_factory.mktemp("reports")
    few = illustrated.write_study(
        root / "few", arms=["freeze=none", "freeze=4", "freeze=8"], seeds=[0, 1]
    )
    many = [
        make_record(
            freeze, seed, backbone=backbone, name=f"{freeze}-{backbone}-{weights}-{seed}",
            weights={"source": f"/w/{weights}", "sha256": weights},
            step=0.1 + 0.01 * place + 0.001 * seed,
            test_map_50=0.7 - 0.02 * place + 0.001 * seed,
            time={"fit_s": 900.0 - 50 * place + 9 * seed, "test_s": 1.0},
            energy={"joules": 123456.0 - 9999 * seed, "measured": False, "method": "example"},
            memory={"peak_rss_bytes": (1 + seed) * 2**30, "peak_device_bytes": None},
            config={
                "freeze": freeze, "seed": seed, "policy": {"name": "fixed"},
                "backbone": {"name": backbone, "weights": f"/w/{weights}"},
                "data": {"name": "sample", "root": "/s"}, "trainer": {"epochs": 4},
            },
        )
        for place, freeze in enumerate(("none", "4", "8", "all", "heads"))
        for backbone in ("mobilenet_v1",)
        for weights in LONG
        for seed in (0, 1)
    ]  # fmt: skip
    runs = {"few": few, "many": write_runs(root / "many", *many)}
    return {
        name: make_report([folder], root / f"{name}-out").with_name("index.html")
        for name, folder in runs.items()
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


def opened(browser: Any, page: Path, width: int, height: int = 900, **options: Any) -> Any:
    found = browser.new_page(viewport={"width": width, "height": height}, **options)
    found.goto(page.as_uri())
    return found


def keep(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


@pytest.mark.parametrize("width", [390, 800, 1280])
@pytest.mark.parametrize("study", ["few", "many"])
def test_the_cost_is_in_sight_without_scrolling_sideways(
    browser: Any, reports: dict[str, Path], study: str, width: int
) -> None:
    page = opened(browser, reports[study], width)
    keep(page, f"{study}-{width}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= width, "the page itself does not scroll sideways"
    place = page.evaluate(
        """() => {
          const heads = [...document.querySelectorAll('#summary thead th')];
          const at = heads.findIndex(head => head.textContent === 'train time');
          const boxes = [...document.querySelectorAll('#summary tr')]
            .map(row => row.children[at].getBoundingClientRect());
          const first = heads[0].getBoundingClientRect();
          return {left: Math.min(...boxes.map(b => b.left)), right: Math.max(...boxes.map(b =>
            b.right)), first: first.right};
        }"""
    )
    assert place["first"] <= place["left"] + 0.5, "the first column does not cover it"
    assert place["right"] <= width
    page.close()


def test_the_first_column_stays_where_a_table_scrolls(
    browser: Any, reports: dict[str, Path]
) -> None:
    page = opened(browser, reports["many"], 390)
    moved = page.evaluate(
        """() => {
          const table = document.querySelector('#arms'), box = table.parentElement;
          const cell = table.querySelector('tbody th'), next = cell.nextElementSibling;
          const before = [cell.getBoundingClientRect().left, next.getBoundingClientRect().left];
          box.scrollLeft = 200;
          const after = [cell.getBoundingClientRect().left, next.getBoundingClientRect().left];
          return {wide: box.scrollWidth - box.clientWidth, first: after[0] - before[0],
            second: after[1] - before[1], back: getComputedStyle(cell).backgroundColor};
        }"""
    )
    assert moved["wide"] > 200, "else nothing is shown"
    assert moved["second"] == pytest.approx(-200, abs=1)
    assert moved["first"] == pytest.approx(0, abs=1)
    assert moved["back"] == "rgb(255, 255, 255)", "what passes below must not shine through"
    page.close()


@pytest.mark.parametrize("paper", list(PAPERS))
@pytest.mark.parametrize("study", ["few", "many"])
def test_nothing_is_cut_on_paper_and_two_charts_fit_a_page(
    browser: Any, reports: dict[str, Path], study: str, paper: str
) -> None:
    width, height = (size - 2 * MARGIN for size in PAPERS[paper])
    page = opened(browser, reports[study], round(width * MM), round(height * MM))
    page.emulate_media(media="print")
    beyond = page.evaluate(
        """(width) => [...document.querySelectorAll('td, th, p, li, pre, img, figure, .view')]
          .filter(it => it.getBoundingClientRect().right > width + 1)
          .map(it => it.outerHTML.slice(0, 90))""",
        width * MM,
    )
    assert beyond == []
    inside = page.evaluate(
        """() => [...document.querySelectorAll('td, th')]
          .filter(it => it.scrollWidth > it.clientWidth + 1)
          .map(it => it.outerHTML.slice(0, 90))"""
    )
    assert inside == [], "no cell is wider than its column"
    charts = page.evaluate(
        """() => [...document.querySelectorAll('#figures figure')].map(it => {
          const image = it.querySelector('img').getBoundingClientRect();
          const text = it.querySelector('figcaption').getBoundingClientRect();
          const box = it.getBoundingClientRect();
          return {high: box.height, text: text.bottom - box.top, tall: it.className === 'tall',
            image: image.width};
        })"""
    )
    head = page.evaluate("document.querySelector('#figures h2').getBoundingClientRect().height")
    assert len(charts) >= 8
    for chart in charts:
        most = 0.95 * height if chart["tall"] else (height - head / MM - 8) / 2
        assert chart["high"] / MM <= most, "two a page, with the heading on the first"
        assert chart["text"] <= chart["high"], "the caption is inside"
        assert chart["image"] > 0.3 * width * MM, "and it can be read"
    if SHOTS:
        page.pdf(path=str(Path(SHOTS) / f"{study}-{paper}.pdf"), format=paper)
    page.close()


def test_in_print_the_wide_layout_of_a_chart_is_drawn(
    browser: Any, reports: dict[str, Path]
) -> None:
    """A sheet is hardly wider than a phone in pixels; the layout for a phone is not for it."""
    page = opened(browser, reports["few"], 600)
    shown = "document.querySelector('#map_vs_time img').currentSrc.length"
    narrow = page.evaluate(shown)
    page.emulate_media(media="print")
    for _ in range(100):  # the other layout is read first
        if page.evaluate(shown) != narrow:
            break
        page.wait_for_timeout(50)
    sources = re.findall(r'id="map_vs_time".*?srcset="(.*?)".*?src="(.*?)"',
                         reports["few"].read_text(), re.DOTALL)[0]  # fmt: skip
    assert page.evaluate(shown) == len(sources[1])
    page.close()


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_the_page_is_dark_on_light_whatever_the_reader_prefers(
    browser: Any, reports: dict[str, Path], scheme: str
) -> None:
    """The charts are dark on white; half of a page in the dark could not be read."""
    page = opened(browser, reports["few"], 800, color_scheme=scheme)
    keep(page, scheme)
    seen = page.evaluate(
        """() => ['body', '.headline', '#summary th', 'pre', 'tbody th'].map(it => {
          const style = getComputedStyle(document.querySelector(it));
          return [style.color, style.backgroundColor];
        })"""
    )
    for ink, paper in seen:
        assert luminance(ink) < 0.2
        clear = paper == "rgba(0, 0, 0, 0)"
        assert clear or luminance(paper) > 0.8
    assert seen[0][1] == "rgb(255, 255, 255)"
    page.close()


def luminance(colour: str) -> float:
    """Of a colour `rgb(r, g, b)`, from 0 to 1 (BT.709, without the gamma)."""
    r, g, b = (int(part) / 255 for part in re.findall(r"\d+", colour)[:3])
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
