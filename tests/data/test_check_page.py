"""The page and the JSON of `tlx data check`."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tests.data.helpers_data_check import (
    SIZE,
    boxes_of,
    devkit,
    exit_code,
    run_check,
    write,
    xml,
)
from tests.helpers_shared import SHARED, needs_shared
from tlx.config.composition import composed
from tlx.config.schema import Config
from tlx.data.commands.check import PAGE
from tlx.data.found import Found
from tlx.data.module import build_data


class Page(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.source = path.read_text("utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_that_needs_nothing_but_itself(tmp_path: Path) -> None:
    stems = devkit(tmp_path / "set")
    write(tmp_path / "set", stems[0], xml(f"{stems[0]}.png", [("gun", (-20, 2, 30, 40))]))
    write(tmp_path / "set", stems[1], xml(f"{stems[1]}.png", [*boxes_of(1), ("gun", (9, 9, 9, 9))]))
    report = run_check(tmp_path, "data=voc")
    assert report["code"] == 0
    assert report["rules"]["clipped-box"]["rule"] == "clip"
    assert report["rules"]["zero-area-box"]["rule"] == "drop"
    assert report["rules"]["zero-area-box"]["count"] == 1
    page = Page(tmp_path / "out" / PAGE)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "link", "iframe", "img"}
    links = [v for _, a in page.tags for k, v in a.items() if k in ("href", "src") and v]
    assert links
    assert all(link.startswith(("data:image/jpeg;base64,", "#")) for link in links)
    drawn = [a for tag, a in page.tags if tag == "svg" and a.get("role") == "img"]
    assert drawn
    assert all(a["aria-label"] for a in drawn)
    assert all(word in page.text for word in ("clipped-box", "drop", "clip", "zero-area-box"))
    assert "1 clipped-box, the first: box -20 2 30 40, picture 64x48" in page.text
    assert len([a for tag, a in page.tags if tag == "rect" and a["class"] == "false"]) == 2


def test_strict_names_the_rule_and_what_it_found(tmp_path: Path) -> None:
    stems = devkit(tmp_path / "set")
    write(tmp_path / "set", stems[0], xml(f"{stems[0]}.png", [("gun", (-20, 2, 30, 40))]))
    report = run_check(tmp_path, "data=voc", "data.strict=true")
    assert (report["code"], report["usable"]) == (2, False)
    assert report["rules"]["clipped-box"]["rule"] == "fail"
    assert report["annotations"]["train"] == {"images": 6, "boxes": 6, "per_class": {"gun": 6}}
    page = Page(tmp_path / "out" / PAGE)
    assert "This set cannot be trained on: the strict check found 1 faults" in page.text
    assert "fail" in page.text


def test_a_folder_that_holds_no_set_has_a_page_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    report = run_check(tmp_path, "data=voc")
    assert (report["code"], report["usable"], report["faults"]) == (2, False, [])
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert "cannot be trained on" in Page(tmp_path / "out" / PAGE).text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>\"' onload=x &amp;"
    stems = devkit(tmp_path / "set", stem="<b>{:02d}")
    quoted = name.replace("&", "&amp;").replace("<", "&lt;")
    for stem in stems:
        write(tmp_path / "set", stem, xml("x.png", [(quoted, (1, 2, 30, 40 + len(stem) % 3))]))
    write(tmp_path / "set", stems[0], xml("x.png", [(quoted, (-9, 2, 30, 40))], SIZE))
    assert run_check(tmp_path, "data=voc")["classes"] == [name]
    page = Page(tmp_path / "out" / PAGE)
    assert name in page.text
    assert "<b>00" in page.text
    assert not {tag for tag, _ in page.tags} & {"script", "b"}
    assert not any("onload" in attributes for _, attributes in page.tags)


def test_the_check_finds_the_splits_of_training_and_stores_no_pictures(tmp_path: Path) -> None:
    stems = devkit(tmp_path / "set", count=40, lists=False)
    pictures = tmp_path / "set/JPEGImages"
    for stem in stems[:6]:  # copies that a split must not part
        shutil.copy(pictures / f"{stem}.png", pictures / f"{stem} copy.png")
        write(tmp_path / "set", f"{stem} copy", xml(f"{stem} copy.png", boxes_of(1)))
    cfg = composed(["data=voc", f"data.root={tmp_path / 'set'}", "data.max_side=48"])
    assert isinstance(cfg, Config)
    trained = build_data(cfg.data, tmp_path / "cache")
    found = Found()
    checked = build_data(cfg.data, tmp_path / "other", found=found)
    assert not (tmp_path / "other").exists()
    assert checked.membership.as_lists() == trained.membership.as_lists()
    assert checked.report == trained.report
    assert len(set(found.group())) < len(found.items) == 46
    for item in found.items:
        assert (checked.cache[item.digest] == trained.cache[item.digest]).all()


@pytest.mark.shared_data
@needs_shared
def test_ppe_at_300_px_loses_masks_gloves_and_goggles(tmp_path: Path) -> None:
    root, output = SHARED / "ppe", tmp_path / "out"
    arguments = ["data=ppe", f"data.root={root}", "detector.input_size=300", f"output={output}"]
    assert exit_code("check", *arguments, f"cache_dir={tmp_path}") == 0
    report = json.loads((output / "check.json").read_text())
    recall = report["priors"]["recall"]["300"]
    assert all(0.24 < recall[name] < 0.30 for name in ("Mask", "Gloves", "Goggles"))
    assert recall["Coverall"] > 0.9
    assert report["near_duplicates"]["across_splits"] >= 1
    assert report["label_noise"]["files"] == 12
