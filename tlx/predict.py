"""Detect objects in pictures: annotated copies and a JSON file.

Usage
  python -m tlx.predict checkpoint=RUN_OR_FILE source=PATH [KEY=VALUE ...]

  checkpoint   a run's folder (its best checkpoint) or a .ckpt file
  source       a picture, a folder (searched recursively), or a pattern like 'shots/*.jpg'
  output       folder for the results (default: predictions)
  threshold    least score that counts, 0..1 (default 0.5)
  device       cpu, cuda, ... (default: cuda where there is one)
  batch_size   pictures at a time (default 8)

Writes OUTPUT/NAME.png for each picture and OUTPUT/detections.json with boxes in its pixels. A
picture that cannot be read is named, skipped, and makes the exit code 1.
"""

from __future__ import annotations

import glob
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from omegaconf import MISSING

from tlx.checkpoint import find_checkpoint, load_detector
from tlx.cli import parse, run_program
from tlx.data.augment import EvalTransform
from tlx.data.dataset import stack_pictures
from tlx.data.formats.folders import IMAGE_ENDINGS
from tlx.data.pictures import decode
from tlx.detector.ssd import SSD, Detections
from tlx.drawing import draw, save_picture
from tlx.errors import ConfigError, DataError
from tlx.evaluate import default_device
from tlx.files import write_json

log = logging.getLogger(__name__)
NO_LIMIT = 1 << 30  # px: predictions are drawn on the picture at its own size


@dataclass
class PredictConfig:
    checkpoint: str = MISSING
    source: str = MISSING
    output: str = "predictions"
    threshold: float = 0.5
    device: str = ""
    batch_size: int = 8


def find_pictures(source: str) -> list[Path]:
    """The pictures that `source` means, sorted; `DataError` when there are none."""
    path = Path(source).expanduser()
    if path.is_file():
        return [path]
    if path.is_dir():
        candidates = list(path.rglob("*"))
    else:
        candidates = [Path(name) for name in glob.glob(str(path), recursive=True)]
    found = sorted(p for p in candidates if p.is_file() and p.suffix.lower() in IMAGE_ENDINGS)
    if not found:
        raise DataError(
            f"source={source}: no picture there ({', '.join(sorted(IMAGE_ENDINGS))} are read)"
        )
    return found


def output_names(paths: list[Path]) -> list[str]:
    """A file name for each picture, told apart by a number where stems repeat."""
    seen: dict[str, int] = {}
    names = []
    for path in paths:
        seen[path.stem] = seen.get(path.stem, 0) + 1
        count = seen[path.stem]
        names.append(f"{path.stem}.png" if count == 1 else f"{path.stem}-{count}.png")
    return names


def detect_pictures(
    detector: SSD, paths: list[Path], batch_size: int, device: torch.device
) -> Iterator[tuple[Path, np.ndarray | None, Detections | None]]:
    """Pictures with their pixels and detections; None for one that cannot be read."""
    transform = EvalTransform(detector.input_size)
    none = np.zeros((0, 4)), np.zeros(0, np.int64)
    for start in range(0, len(paths), batch_size):
        pixels: dict[Path, np.ndarray] = {}
        for path in paths[start : start + batch_size]:
            try:
                pixels[path] = decode(path, rotate=True, max_side=NO_LIMIT)
            except DataError as error:
                log.warning("skipped: %s", error)
                yield path, None, None
        if pixels:
            images = stack_pictures([transform(image, *none)[0] for image in pixels.values()])
            found = detector.detect(images.to(device))
            for (path, image), detections in zip(pixels.items(), found, strict=True):
                yield path, image, detections


def predict(cfg: PredictConfig) -> list[dict[str, Any]]:
    """Detect, draw and write; returns what detections.json holds."""
    if not 0 <= cfg.threshold <= 1:
        raise ConfigError(f"threshold={cfg.threshold} must be between 0 and 1")
    detector, meta = load_detector(find_checkpoint(Path(cfg.checkpoint)))
    paths, output = find_pictures(cfg.source), Path(cfg.output)
    names = dict(zip(paths, output_names(paths), strict=True))
    device = default_device(cfg.device)
    rows: list[dict[str, Any]] = []
    for path, image, found in detect_pictures(detector.to(device), paths, cfg.batch_size, device):
        if image is None or found is None:
            rows.append({"image": str(path), "error": "cannot be read", "detections": []})
            continue
        keep = found.scores >= cfg.threshold
        boxes, labels, scores = (t[keep].cpu() for t in (found.boxes, found.labels, found.scores))
        picture = draw(image, boxes, labels, scores, meta["classes"], min_side=0)
        save_picture(picture, output / names[path])
        scale = torch.tensor([image.shape[1], image.shape[0]] * 2)
        rows.append(
            {
                "image": str(path),
                "annotated": names[path],
                "width": image.shape[1],
                "height": image.shape[0],
                "detections": [
                    {"class": meta["classes"][label - 1], "score": score, "box": box}
                    for box, label, score in zip(
                        (boxes * scale).tolist(), labels.tolist(), scores.tolist(), strict=True
                    )
                ],
            }
        )
    write_json(output / "detections.json", rows)
    return rows


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(PredictConfig, arguments)
    rows = predict(cfg)
    found = sum(len(row["detections"]) for row in rows)
    unreadable = sum("error" in row for row in rows)
    print(f"{len(rows)} pictures, {found} detections of score >= {cfg.threshold}: {cfg.output}")
    if unreadable:
        sys.exit(f"{unreadable} pictures could not be read")


if __name__ == "__main__":
    run_program(main, __doc__)
