"""Every figure of `report.json` and `report.csv` follows from the records: recomputed here."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import tests.report.helpers_retrace as retrace
from tests.report.helpers_retrace import Traced, same


def test_rows(traced: Traced) -> None:
    assert [row["arm"] for row in traced.data["rows"]] == list(traced.arms)
    for row in traced.data["rows"]:
        records = traced.arms[row["arm"]]
        assert row["seeds"] == [record["seed"] for record in records]
        assert row["runs"] == [record["name"] for record in records]
        for name, keys, scale in (
            ("test_map", ("test", "map"), 1),
            ("test_map_50", ("test", "map_50"), 1),
            ("step_s", ("step_time", "median_s"), 1),
            ("fit_min", ("time", "fit_s"), 1 / 60),
            ("peak_memory_bytes", ("memory", "peak_rss_bytes"), 1),
            ("energy_kj", ("energy", "joules"), 1e-3),
        ):
            assert same(row[name], retrace.over(records, *keys, scale=scale)), name
        shares = [record["bound"]["step_share"] for record in records]
        assert same(row["bound_speedup"], retrace.spread(1 / share for share in shares))
        expected = retrace.speedup(traced.arms, row["arm"])
        assert same({key: row["speedup"][key] for key in expected}, expected)
        trainable = np.mean([record["trainable"]["parameters"] for record in records])
        frozen = np.mean([record["frozen"]["parameters"] for record in records])
        assert same(row["trainable_share"], trainable / (trainable + frozen))
        assert row["frozen_proof"] == retrace.frozen_proof(records)


def test_levels_and_times_to_them(traced: Traced) -> None:
    loss, best = retrace.loss_level(traced.arms), retrace.map_level(traced.arms)
    assert same(traced.data["levels"]["loss"]["value"], loss)
    assert same(traced.data["levels"]["map_50"]["value"], best)
    for row in traced.data["rows"]:
        records = traced.arms[row["arm"]]
        to_loss = retrace.spread(retrace.seconds_to_loss(record, loss) for record in records)
        to_map = retrace.spread(retrace.seconds_to_map(record, best) for record in records)
        assert same(row["time_to_loss"]["seconds"], to_loss)
        seconds = row["time_to_map"]["seconds"]
        assert seconds is None if to_map is None else same(seconds, to_map)


def test_estimates_with_three_seeds_are_mean_and_range(traced: Traced) -> None:
    # Of 27 resamples of three values, one in 27 (3.7 %) repeats the smallest: more than 2.5 %.
    for name, figures in traced.data["estimates"].items():
        for figure, keys, scale in (
            ("test_map_50", ("test", "map_50"), 1),
            ("test_map", ("test", "map"), 1),
            ("step_s", ("step_time", "median_s"), 1),
            ("fit_min", ("time", "fit_s"), 1 / 60),
        ):
            values = [retrace.value(record, *keys) or 0.0 for record in traced.arms[name]]
            scaled = scale * np.array(values)
            expected = {
                "mean": scaled.mean(), "low": scaled.min(), "high": scaled.max(), "n": 3,
                "sd": scaled.std(ddof=1),
            }  # fmt: skip
            assert same(figures[figure], expected), (name, figure)


def test_differences_are_means_of_pairs(traced: Traced) -> None:
    compared = {(d["arm"], d["figure"]): d for d in traced.data["differences"]}
    for name in traced.arms:
        for figure in ("map", "map_50") if name != "freeze=none" else ():
            pairs = zip(traced.arms[name], traced.arms["freeze=none"], strict=True)
            gaps = np.array([one["test"][figure] - other["test"][figure] for one, other in pairs])
            found = compared.get((name, f"test_{figure}"))
            if found is None:
                assert name == "scratch", "every pretrained arm is compared with freeze=none"
                continue
            if found["verdict"] == "not comparable":
                assert name == "scratch", "scratch differs in its weights too"
                continue
            assert found["pairs"] == 3
            assert same(found["mean"], gaps.mean())
            # One of 70 boxes is what test mAP resolves; a smaller scatter counts as its rounding.
            ious = [0.5] if figure == "map_50" else [0.5 + 0.05 * step for step in range(10)]
            mine, base = (
                np.array([retrace.pseudo(traced.study, r, ious) for r in traced.arms[arm]])
                for arm in (name, "freeze=none")
            )
            half = retrace.half_width(gaps, mine - base, 1 / 70 / np.sqrt(6))
            assert found["high"] == pytest.approx(min(1, gaps.mean() + half), rel=0.02)
            assert found["low"] == pytest.approx(max(-1, gaps.mean() - half), rel=0.02)


def test_csv_holds_every_scalar(traced: Traced) -> None:
    with (traced.study / "report" / "report.csv").open(newline="") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    loss, best = retrace.loss_level(traced.arms), retrace.map_level(traced.arms)
    assert rows["broken"]["status"] == "failed"
    assert rows["broken"]["test_map_50"] == ""
    for name, records in traced.arms.items():
        for record in records:
            row = rows.pop(record["name"])
            assert row["arm"] == name
            assert (traced.study / "report" / row["folder"] / "record.json").is_file()
            for column, keys in {
                "test_map": "test map", "test_map_50": "test map_50", "test_map_75": "test map_75",
                "test_voc07_ap50": "test voc07_ap50", "test_boxes": "test boxes",
                "best_val_map_50": "best map_50", "best_val_epoch": "best epoch",
                "step_median_s": "step_time median_s", "step_p10_s": "step_time p10_s",
                "step_p90_s": "step_time p90_s", "step_data_s": "step_time data_s",
                "step_forward_s": "step_time forward_s", "step_backward_s": "step_time backward_s",
                "step_optimizer_s": "step_time optimizer_s", "steps_timed": "step_time steps",
                "bound_step_share": "bound step_share", "bound_speedup": "bound speedup",
                "frozen_parameters": "frozen parameters", "seed": "seed", "epochs": "epochs",
                "trainable_parameters": "trainable parameters", "resumes": "resumes",
                "peak_rss_bytes": "memory peak_rss_bytes", "fit_s": "time fit_s",
                "test_s": "time test_s", "energy_joules": "energy joules",
            }.items():  # fmt: skip
                assert float(row[column]) == retrace.value(record, *keys.split()), column
            assert row["peak_device_bytes"] == ""
            assert float(row["s_to_loss_level"]) == retrace.seconds_to_loss(record, loss)
            reached = retrace.seconds_to_map(record, best)
            assert row["s_to_map_level"] == ("" if reached is None else str(reached))
            assert float(row["final_loss"]) == pytest.approx(retrace.smoothed(record)[-1, 2])
            assert row["frozen_proof"] == retrace.frozen_proof([record])
    assert list(rows) == ["broken"]


def test_failures_are_counted_from_the_predictions(traced: Traced) -> None:
    assert traced.data["failures"]["score"] == 0.3
    for counts in traced.data["failures"]["counts"]:
        runs = [_count(traced.study / record["name"]) for record in traced.arms[counts["arm"]]]
        expected = np.mean(runs, axis=0).tolist()
        found = [counts[key] for key in ("objects", "hits", "missed", "false_alarms")]
        assert same(found, expected), counts["arm"]
        assert (counts["runs"], counts["wrong_class"], counts["low_iou"]) == (3, 0, 0)


def _count(run: Path) -> tuple[int, int, int, int]:
    """Objects, hits, missed, false alarms; the set has no other kind of error."""
    objects = hits = false = 0
    for image in json.loads((run / "predictions" / "test.json").read_text())["images"]:
        truth, found = image["truth"], image["found"]
        boxes = [b for b, s in zip(found["boxes"], found["scores"], strict=True) if s >= 0.3]
        own = [any(retrace.iou(box, other) >= 0.5 for other in truth["boxes"]) for box in boxes]
        objects, hits, false = objects + len(truth["boxes"]), hits + sum(own), false + own.count(0)
    return objects, hits, objects - hits, false
