"""The page stands alone, can be read by everyone, and takes what records throw at it."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import pytest

import tests.report.helpers_illustrated as illustrated
import tests.report.helpers_pages as pages
from tests.report.helpers_pages import Page
from tests.report.helpers_report import make_record, write_runs
from tests.report.helpers_retrace import Traced
from tlx.report import make_report


@pytest.fixture(scope="module")
def page(traced: Traced) -> Page:
    return pages.read(traced.page)


def page_of(root: Path, *records: dict[str, object]) -> tuple[Page, str]:
    report = make_report([write_runs(root / "runs", *records)], root / "out")
    html = report.with_name("index.html").read_text()
    return pages.read(html), html


def test_nothing_is_loaded_and_nothing_runs(page: Page, traced: Traced) -> None:
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"script", "link", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), "no handlers"
            if name in ("src", "srcset") or (name == "href" and tag in ("image", "use")):
                assert value.startswith(("data:image/", "#"))
    assert not re.search(r"url\(|@import|https?://", traced.page)
    (policy,) = (m for m in page.named("meta") if "http-equiv" in m)
    assert "default-src 'none'" in policy["content"]


def test_links_lead_somewhere(page: Page, traced: Traced) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    targets = [a["href"] for a in page.named("a")] + [u["href"] for u in page.named("use")]
    assert len(targets) > 20
    for target in targets:
        if target.startswith("#"):
            assert target[1:] in ids
        else:
            assert (traced.study / "report" / target).is_file()


def test_ids_are_unique(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_picture_has_words(page: Page) -> None:
    images = page.named("img")
    assert len(images) == 10
    assert all(len(image["alt"]) > 40 for image in images)
    steps = next(i["alt"] for i in images if i["alt"].startswith("What a training step"))
    assert "freeze=8 1" in steps
    assert "arithmetic bound" in steps
    pictures = [svg for svg in page.named("svg") if svg.get("role") == "img"]
    assert len(pictures) > 20
    assert all(svg["aria-label"] for svg in pictures)


def test_headings_descend_one_by_one(page: Page) -> None:
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(text for _, text in page.headings)


def test_the_first_screen_answers(page: Page, traced: Traced) -> None:
    html = traced.page
    order = [html.index(mark) for mark in ("<h1>", 'class="headline"', 'id="summary"', "<nav")]
    assert order == sorted(order)
    heads = [text for level, text in page.headings if level == 3][:4]
    assert heads == ["What to do", "How sure is this?", "What it costs", "What to do next"]
    for line in traced.data["recommendation"]["words"][:3]:
        assert line in page.text["evidence"]
    assert "warning" in page.text["answer"]
    for line in traced.data["warnings"]:
        assert line in page.text["warnings"]


def test_warnings_of_the_data_check(page: Page) -> None:
    said = page.text["warnings"]
    assert "one annotation measured against the other reaches mAP@[.5:.95] 0.54" in said
    assert "1 picture(s) of train or val are near-identical" in said
    assert "3 clipped-box (box clipped)" in said
    assert "exif-rotated" not in said, "a note is no fault"


def test_names_from_files_are_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    record = make_record("4", 0, data=evil, name=evil, environment={"cpu": evil})
    record["test"]["per_class"] = {evil: {"ap": 0.5, "ap_50": 0.6, "boxes": 7, "reason": evil}}
    _, html = page_of(tmp_path, record)
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_one_run(tmp_path: Path) -> None:
    page, html = page_of(tmp_path, make_record("4", 0))
    assert page.text["answer"].startswith("Answer No answer yet: freeze=4 is the only arm")
    assert page.tables["arms"][1][0] == ["freeze=4"]
    assert "No run kept its predictions" in html


def test_nulls_everywhere(tmp_path: Path) -> None:
    bare = {"version": 1, "status": "finished", "freeze": 4}
    keys = [key for key in make_record() if key not in bare]
    page, html = page_of(tmp_path, bare | dict.fromkeys(keys))
    cells = [cell[0] for cell in page.tables["arms"][1]]
    assert cells[:2] == ["freeze=4", "1"]
    assert set(cells[2:]) == {"–"}
    assert "<figure" not in html
    assert "None" not in re.sub(r"<style>.*</style>", "", html, flags=re.DOTALL)


def test_twenty_arms(tmp_path: Path) -> None:
    depths = [str(depth) for depth in range(20)]
    page, _ = page_of(tmp_path, *(make_record(depth, 0, step=0.1 + int(depth)) for depth in depths))
    assert [row[0][0] for row in page.tables["arms"][1:]] == [f"freeze={d}" for d in depths]
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    assert len(data["figures"]["step_time"]["bars"]) == 20


def test_an_altered_picture_is_not_shown(tmp_path: Path) -> None:
    study = illustrated.write_study(tmp_path, arms=["freeze=none", "freeze=4"], seeds=[0])
    for picture in (tmp_path / "data").iterdir():
        picture.write_bytes(picture.read_bytes() + b"x")
    html = make_report([study], tmp_path / "out").with_name("index.html").read_text()
    assert "The test pictures cannot be shown" in html
    page = pages.read(html)
    assert not [svg for svg in page.named("svg") if svg.get("role") == "img"]
    assert "error-kinds" in page.tables, "counts need no pictures"
