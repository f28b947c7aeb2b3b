"""Evaluate a checkpoint on a split of its own data, or of another set of the same classes.

Usage
  python -m tlx.evaluate checkpoint=RUN_OR_FILE [split=test] [KEY=VALUE ...]

  checkpoint   a run's folder (its best checkpoint) or a .ckpt file
  split        train, val or test (default test)
  root         another place of the data set (default: where training found it)
  fixes        a data-fix list (default: that of training; none with another root)
  batch_size   pictures at a time (default 16)
  device       cpu, cuda, ... (default: cuda where there is one)
  cache_dir    decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)
  output       a JSON file for all figures (default: only the table is printed)

Prints COCO mAP@[.5:.95], mAP@.5, mAP@.75 and the VOC2007 11-point AP@.5, in all and per class.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import MISSING, OmegaConf
from rich.table import Table
from torch.utils.data import DataLoader

from tlx.checkpoint import find_checkpoint, load_detector
from tlx.cli import parse, run_program
from tlx.console import stdout_console
from tlx.data.annotations import Item
from tlx.data.module import Loaders, build_data
from tlx.detector.ssd import SSD
from tlx.errors import DataError
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.files import write_json
from tlx.schema import DataConfig, DetectorConfig


@dataclass
class EvaluateConfig:
    checkpoint: str = MISSING
    split: str = "test"
    root: str | None = None
    fixes: str | None = None
    batch_size: int = 16
    device: str = ""
    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")
    output: str | None = None


def default_device(wanted: str) -> torch.device:
    """The named device, or the GPU where there is one."""
    return torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))


def evaluate_detector(
    detector: SSD,
    loader: DataLoader[Any],
    items: list[Item],
    classes: list[str],
    cfg: DetectorConfig,
    device: torch.device,
) -> Figures:
    """All figures of a detector on the items of a split."""
    detector = detector.to(device).eval()
    evaluator = Evaluator(classes)
    for batch in loader:
        found = detector.detect(
            batch.images.to(device),
            score_threshold=cfg.score_threshold,
            nms_iou=cfg.nms_iou,
            max_detections=cfg.max_detections,
        )
        evaluator.update(found, [items[i] for i in batch.indices.tolist()])
    return evaluator.compute()


def evaluate(cfg: EvaluateConfig) -> Figures:
    """Evaluate as configured; raises `TlxError` for whatever is wrong with the input."""
    path = find_checkpoint(Path(cfg.checkpoint))
    detector, meta = load_detector(path)
    stored = OmegaConf.create(meta["config"])
    data_cfg = OmegaConf.merge(OmegaConf.structured(DataConfig), stored.data)
    detector_cfg = OmegaConf.merge(OmegaConf.structured(DetectorConfig), stored.detector)
    if cfg.root is not None:
        data_cfg.root = cfg.root
        data_cfg.fixes = None
    if cfg.fixes is not None:
        data_cfg.fixes = cfg.fixes
    # The classes, and so the labels, are the checkpoint's, whatever this copy of the data names.
    if data_cfg.format != "sample":
        data_cfg.classes = meta["classes"]
    data = build_data(data_cfg, Path(cfg.cache_dir).expanduser())  # type: ignore[arg-type]
    if cfg.split not in data.splits:
        raise DataError(f"split={cfg.split} is none of {', '.join(data.splits)}")
    loaders = Loaders(data, meta["input_size"], cfg.batch_size, workers=0)
    return evaluate_detector(
        detector, loaders.evaluation(cfg.split), data.splits[cfg.split], meta["classes"],
        detector_cfg, default_device(cfg.device),  # type: ignore[arg-type]
    )  # fmt: skip


def figures_table(figures: Figures, title: str) -> Table:
    """The figures in all and per class; what cannot be measured says why."""
    table = Table(title=title, title_justify="left")
    for column in ("class", "boxes", "mAP@[.5:.95]", "mAP@.5", "mAP@.75", "VOC07 AP@.5", ""):
        table.add_column(column, justify="left" if column in ("class", "") else "right")

    def text(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    for name, row in figures["per_class"].items():
        cells = [text(row["ap"]), text(row["ap_50"]), "", text(row["voc07_ap50"])]
        table.add_row(name, str(row["boxes"]), *cells, row["reason"] or "")
    table.add_section()
    names = ("map", "map_50", "map_75", "voc07_ap50")
    table.add_row("all", str(figures["boxes"]), *(text(figures[n]) for n in names), "")
    return table


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(EvaluateConfig, arguments)
    figures = evaluate(cfg)
    title = f"{cfg.checkpoint} on {cfg.split}: {figures['images']} pictures"
    stdout_console().print(figures_table(figures, title))
    if cfg.output:
        write_json(Path(cfg.output), {**figures, "checkpoint": cfg.checkpoint, "split": cfg.split})


if __name__ == "__main__":
    run_program(main, __doc__)
