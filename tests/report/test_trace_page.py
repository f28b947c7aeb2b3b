"""Every figure in the tables and pictures of the page follows from the records."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest

import tests.report.helpers_pages as pages
import tests.report.helpers_retrace as retrace
from tests.report.helpers_pages import Page
from tests.report.helpers_retrace import Arms, Record, Traced

NONE = "–"


@pytest.fixture(scope="module")
def page(traced: Traced) -> Page:
    return pages.read(traced.page)


def table(page: Page, id: str) -> list[dict[str, list[str]]]:
    """Rows as {heading: lines of the cell}."""
    (heads, *rows) = page.tables[id]
    return [{head[0]: cell for head, cell in zip(heads, row, strict=True)} for row in rows]


def three_digits(value: float) -> str:
    """Three significant digits, more before the point where there are more."""
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.{2 - math.floor(math.log10(value) + 1e-12)}f}"


def spelled(
    records: list[Record],
    *keys: str,
    show: Callable[[float], str],
    scale: float = 1,
    unit: str = "",
) -> list[str]:
    """The mean and the range over seeds, which is the 95 % bootstrap interval of three."""
    figure = retrace.over(records, *keys, scale=scale)
    assert figure is not None
    mean, low, high = (show(figure[key]) for key in ("mean", "min", "max"))
    text = f"{mean} {unit}".strip()
    return [text] if low == mean == high else [text, f"{low}–{high}"]


def three_places(value: float) -> str:
    return f"{value:.3f}"


def test_arms(page: Page, traced: Traced) -> None:
    rows, arms = table(page, "arms"), traced.arms
    assert [row["arm"][0] for row in rows] == list(arms)
    level = retrace.map_level(arms)
    for row in rows:
        name = row["arm"][0]
        records = arms[name]
        assert row["n"] == ["3"]
        assert row["test mAP@.5"] == spelled(records, "test", "map_50", show=three_places)
        assert row["test mAP@[.5:.95]"] == spelled(records, "test", "map", show=three_places)
        assert row["step"] == spelled(
            records, "step_time", "median_s", show=three_digits, scale=1000, unit="ms"
        )
        assert row["train time"] == spelled(
            records, "time", "fit_s", show=three_digits, scale=1 / 60, unit="min"
        )
        assert row["energy"] == spelled(
            records, "energy", "joules", show=three_digits, scale=1e-3, unit="kJ"
        )
        whole = "{:.0f}".format
        mean, *range_ = spelled(
            records, "memory", "peak_rss_bytes", show=whole, scale=2**-20, unit="MiB"
        )
        assert row["peak memory"] == [f"{mean} RSS", *range_]
        bound = np.mean([1 / record["bound"]["step_share"] for record in records])
        measured = retrace.speedup(arms, name)["mean"]
        assert row["speed-up, bound"] == [f"{measured:.2f}×", f"bound {bound:.2f}×"]
        seconds = [retrace.seconds_to_map(record, level) for record in records]
        figure = retrace.spread(seconds)
        told = "not reached" if figure is None else f"{three_digits(figure['mean'])} s"
        assert row["to mAP level"][0] == told
        assert row["frozen"] == [retrace.frozen_proof(records)]
        _check_difference(row["against freeze=none"], arms, name)


def _check_difference(cell: list[str], arms: Arms, name: str) -> None:
    if name == "freeze=none":
        assert cell == ["reference"]
        return
    pairs = zip(arms[name], arms["freeze=none"], strict=True)
    gap = np.mean([one["test"]["map_50"] - other["test"]["map_50"] for one, other in pairs])
    assert cell[1] == f"{gap:+.3f}".replace("-", "−")


def test_runs(page: Page, traced: Traced) -> None:
    rows = table(page, "finished-runs")
    records = [(name, record) for name, runs in traced.arms.items() for record in runs]
    for row, (name, record) in zip(rows, records, strict=True):
        expected = {
            "arm": name,
            "run": record["name"],
            "seed": str(record["seed"]),
            "test mAP@.5": three_places(record["test"]["map_50"]),
            "test mAP@[.5:.95]": three_places(record["test"]["map"]),
            "best val mAP@.5": three_places(record["best"]["map_50"]),
            "at epoch": str(record["best"]["epoch"]),
            "step (ms)": three_digits(1000 * record["step_time"]["median_s"]),
            "training (min)": three_digits(record["time"]["fit_s"] / 60),
            "resumes": str(record["resumes"]),
            "folder": f"../{record['name']}",
        }
        assert {head: cell[0] for head, cell in row.items()} == expected
    ((broken,),) = (table(page, "unfinished-runs"),)
    assert broken["run"] == ["broken"]
    assert broken["status"] == ["failed: MemoryError: no <b>room</b> left"]


def test_classes(page: Page, traced: Traced) -> None:
    rows = iter(table(page, "per-class"))
    for name, records in traced.arms.items():
        for label in ("red", "blue"):
            row = next(rows)
            assert (row["arm"], row["class"]) == ([name], [label])
            for head, key in (("AP@[.5:.95]", "ap"), ("AP@.5", "ap_50")):
                keys = ("test", "per_class", label, key)
                assert row[head] == spelled(records, *keys, show=three_places)
            known = label == "red"
            keys = ("test", "per_class", label, "voc07_ap50")
            voc = spelled(records, *keys, show=three_places) if known else [NONE]
            assert row["AP@.5 (VOC07)"] == voc
            assert row["objects"] == ["50" if known else "20"]
            assert row["note"] == [NONE if known else "few <boxes>"]


def test_data_and_environment(page: Page, traced: Traced) -> None:
    record = traced.arms["freeze=none"][0]
    for row in table(page, "data-1"):
        counts = record["data_report"]["counts"][row["split"][0]]
        cells = [row[head][0] for head in ("pictures", "objects", "pictures without one")]
        assert cells == [str(counts[key]) for key in ("images", "boxes", "negatives")]
    faults = {row["kind"][0]: int(row["number"][0]) for row in table(page, "faults-1")}
    assert faults == record["data_report"]["faults"]
    shown = {row["what"][0]: row["all runs"][0] for row in table(page, "environments")}
    known = record["environment"] | {"precision": record["precision"]}
    assert shown == {key: NONE if value is None else str(value) for key, value in known.items()}
    seeds = {r["seed"] for runs in traced.arms.values() for r in runs}
    runs = sum(map(len, traced.arms.values()))
    facts = traced.page.split('class="facts">')[1].split("<")[0]
    arms = f"{len(traced.arms)} arms (ways to train)"
    assert facts.startswith(f"{runs} finished runs: {arms}, {len(seeds)} seeds (repeats)")


def test_kinds_of_errors(page: Page, traced: Traced) -> None:
    # The counts of report.json are recomputed from the predictions in test_trace_json.
    counts = {row["arm"]: row for row in traced.data["failures"]["counts"]}
    keys = {
        "objects": "objects",
        "found": "hits",
        "missed": "missed",
        "false alarms": "false_alarms",
    }
    for row in table(page, "error-kinds"):
        for head, key in keys.items():
            figure = counts[row["arm"][0]][key]
            assert row[head] == [three_digits(figure) if figure else "0"]


def test_boxes_on_the_pictures(page: Page, traced: Traced) -> None:
    """All true objects and every shown detection of the first seeds, at their places."""
    drawn = {
        tuple(float(box[key]) for key in ("x", "y", "width", "height"))
        for box in page.named("rect")
        if box["class"] in ("truth", "found", "missed", "false")
    }
    shown = {label["aria-label"].split(" on ")[-1].split(":")[0] for label in page.named("svg")
             if " on " in label.get("aria-label", "")}  # fmt: skip
    assert len(shown) >= 4
    checked = 0
    for records in traced.arms.values():
        file = traced.study / records[0]["name"] / "predictions" / "test.json"
        for image in json.loads(file.read_text())["images"]:
            if image["image"] not in shown:
                continue
            found = image["found"]
            pairs = zip(found["boxes"], found["scores"], strict=True)
            for box in [*image["truth"]["boxes"], *(box for box, score in pairs if score >= 0.3)]:
                x1, y1, x2, y2 = box
                place = tuple(round(v, 1) for v in (x1, y1, x2 - x1, y2 - y1))
                assert place in drawn
                checked += 1
    assert checked > 20
