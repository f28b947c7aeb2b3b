"""From seconds to the figures of an arm: percentiles, shares of the stages, ratios."""

from __future__ import annotations

from typing import Any

import numpy as np

from tlx.benchmark.latency.baselines import EAGER, PEER
from tlx.benchmark.latency.pipeline import STAGES, Pipeline
from tlx.evaluation.evaluator import Figures

DEFINITIONS = {
    "p10_ms ... p99_ms": "one picture, from its file to its detections, batch 1",
    "from_pixels_ms": "median without reading and decoding the file",
    "stages_ms": "median of each stage; null: done inside of another",
    "shares": "mean of each stage over the mean of the whole",
    "times_eager, times_peer": "the baseline's median over this arm's: how many times as fast",
    "map_50": "COCO mAP@.5 of the timed pipeline on the split; change: against eager's",
}


def make_row(
    pipeline: Pipeline, seconds: np.ndarray, figures: Figures, facts: dict[str, Any]
) -> dict[str, Any]:
    """One arm's figures.

    Args:
        seconds: (pictures, stages). facts: what is known of the model beyond its name.
    """
    totals = 1000 * seconds.sum(1)
    p10, p50, p90, p99 = np.percentile(totals, [10, 50, 90, 99]).tolist()
    medians, shares = 1000 * np.median(seconds, 0), seconds.mean(0) / seconds.sum(1).mean()
    done = [stage in pipeline.stages for stage in STAGES]

    def by_stage(values: np.ndarray) -> dict[str, float | None]:
        pairs = zip(STAGES, values.tolist(), done, strict=True)
        return {stage: value if there else None for stage, value, there in pairs}

    return {
        "model": pipeline.model,
        "backend": pipeline.backend,
        **facts,
        "pictures": len(totals),
        "p10_ms": p10,
        "p50_ms": p50,
        "p90_ms": p90,
        "p99_ms": p99,
        "from_pixels_ms": float(np.median(1000 * seconds[:, 1:].sum(1))),
        "stages_ms": by_stage(medians),
        "shares": by_stage(shares),
        "pictures_per_s": 1000 / p50,
        "map_50": figures["map_50"],
        "map": figures["map"],
    }


def with_ratios(rows: list[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """The rows with what is relative to the baselines, and with the keys that a report reads."""
    eager, peer = (next((r for r in rows if r["backend"] == name), None) for name in (EAGER, PEER))
    return [
        {
            **row,
            "times_eager": eager["p50_ms"] / row["p50_ms"] if eager else None,
            "times_peer": peer["p50_ms"] / row["p50_ms"] if peer else None,
            "map_50_change": _change(row, eager),
            # What `tlx.report RUNS benchmark=FILE` reads (tlx/report/comparison/latency.py).
            "latency_ms": row["p50_ms"],
            "low_ms": row["p10_ms"],
            "high_ms": row["p90_ms"],
            "device": f"{device}, {row['backend']} {row['precision']} {row['model']}",
        }
        for row in rows
    ]


def _change(row: dict[str, Any], eager: dict[str, Any] | None) -> float | None:
    if eager is None or None in (row["map_50"], eager["map_50"]):
        return None
    return float(row["map_50"] - eager["map_50"])
