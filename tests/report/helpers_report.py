"""Records of runs that never ran, for the tests of the report."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tlx.report import compare, load_records
from tlx.report.comparison.compare import Comparison, Row

EPOCHS, STEPS = 4, 5  # steps are those of an epoch, and so the window of the smoothing
TOTAL = 6_000_000


def digest_of(text: str) -> str:
    """As of a checkpoint: of a run of `make_record` by `FREEZE-SEED`."""
    return hashlib.sha256(text.encode()).hexdigest()


def make_record(freeze: str = "none", seed: int = 0, **changes: Any) -> dict[str, Any]:
    """A finished run: a step takes `step` seconds, the loss falls by `slope` a step from 10."""
    step, slope = changes.pop("step", 0.2), changes.pop("slope", 0.25)
    val, test = changes.pop("val", [0.2, 0.4, None, 0.6]), changes.pop("test_map_50", 0.6)
    frozen = 0 if freeze == "none" else 600_000
    count = EPOCHS * STEPS
    record = {
        "version": 1,
        "status": "finished",
        "error": None,
        "name": f"freeze={freeze}-seed={seed}",
        "fingerprint": f"{freeze}-{seed}",
        "backbone": "mobilenet_v1",
        "checkpoint": {"file": "best.ckpt", "sha256": digest_of(f"{freeze}-{seed}")},
        "weights": {"source": "keras", "sha256": "ab" * 32},
        "freeze": freeze,
        "policy": "fixed",
        "data": "sample",
        "seed": seed,
        "epochs": EPOCHS,
        "batch_size": 24,
        "input_size": 192,
        "classes": ["plate"],
        "started": "2025-01-01T00:00:00",
        "finished": "2025-01-01T00:01:00",
        "resumes": 0,
        "best": {"epoch": 4, "step": 20, "map": 0.3, "map_50": 0.6},
        "test": {
            "map": test and test / 2,
            "map_50": test,
            "per_class": {
                "plate": {"ap": None, "ap_50": test, "boxes": 70, "reason": "few | boxes"}
            },
            "images": 64,
            "boxes": 70,
        },
        "step_time": {
            "median_s": step,
            "data_s": 0.1 * step,
            "forward_s": 0.3 * step,
            "backward_s": 0.5 * step,
            "optimizer_s": 0.1 * step,
        },
        "bound": {"step_share": 1.0 if freeze == "none" else 0.8, "speedup": None},
        "frozen": {
            "blocks": ["Conv2d_0"] if frozen else [],
            "parameters": frozen,
            "hash_before": "aa" if frozen else None,
            "hash_after": "aa" if frozen else None,
        },
        "trainable": {"parameters": TOTAL - frozen},
        "memory": {"peak_rss_bytes": 2**30, "peak_device_bytes": None},
        "time": {"fit_s": 90.0, "test_s": 3.0},
        "loss": [[step * (i + 1), i + 1, 10 - slope * (i + 1)] for i in range(count)],
        "map": [],
        "map_50": [[step * STEPS * (e + 1), STEPS * (e + 1), v] for e, v in enumerate(val)],
        "environment": {"cpu": "Example 9000", "cores": 8, "gpu": None, "torch": "2.9.0"},
    }
    return record | changes


def write_runs(root: Path, *records: dict[str, Any]) -> Path:
    for number, record in enumerate(records):
        folder = root / "nested" / f"{number:02d}"
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps(record))
    return root


def compared(root: Path, *records: dict[str, Any], **levels: float) -> Comparison:
    loaded = load_records([write_runs(root, *records)])
    return compare(loaded.records, warnings=loaded.warnings, **levels)


def rows_of(comparison: Comparison) -> dict[str, Row]:
    return {row.arm.label: row for row in comparison.rows}


def study() -> list[dict[str, Any]]:
    """Scratch, none, 4 (two seeds), 8, all, and a failed run."""
    changed = make_record("8", step=0.16)["frozen"] | {"hash_after": "bb"}
    failure = {"type": "MemoryError", "message": "no [red] room | left"}
    return [
        make_record("all", step=0.1, slope=0.2, val=[0.3, 0.5, 0.4, 0.5], test_map_50=0.5),
        make_record("8", step=0.16, test_map_50=0.62, frozen=changed),
        make_record("4", 0, step=0.18, test_map_50=0.61),
        make_record("4", 1, step=0.14, test_map_50=0.67),
        make_record("none"),
        make_record(name="scratch", weights={"source": "scratch", "sha256": None}, test_map_50=0.3),
        make_record("4", 2, status="failed", error=failure, test=None, name="broken"),
    ]
