"""tlx.evaluate: measure a model on a split of its own data, or of another set of the same classes.

Usage
  python -m tlx.evaluate checkpoint=RUN_OR_FILE [split=test] [KEY=VALUE ...]
  python -m tlx.evaluate model=FILE [preprocess=detectnet] [KEY=VALUE ...]
  python -m tlx.evaluate detections=FILE checkpoint=RUN_OR_FILE [KEY=VALUE ...]

  checkpoint   a run's folder (its best checkpoint) or a .ckpt file
  model        an exported model (.onnx, .xml, .pt2, .torchscript, .ncnn.param, .tflite, .engine),
               its model.json beside it; a checkpoint too
  detections   a file that tools/jetson_benchmark.py wrote on a device, of the split's pictures;
               checkpoint=… or model=… says which classes and data they belong to
  preprocess   tlx (default), or detectnet: the input, threshold and clustering of jetson-inference,
               with the steps that lead there from tlx's own figure
  clustering   of preprocess=detectnet: classwise, that of jetson-inference since the end of 2022
               (default), or interclass, where overlapping boxes of two classes become one
  backend      for model=…: torch, onnxruntime, openvino, ncnn, tflite, tensorrt (default: by kind
               of file); openvino:bf16 computes in bfloat16
  trust        true: load a .pt2 or TorchScript file, which can run code (default false)
  split        train, val or test of the run, by what the pictures hold and not by where they lie
               (default test); all: every picture that the run has not trained or selected on
  root         another folder: the set at another place, or another set of the same classes; all of
               it (split=all) unless split=… says otherwise
  format       of the set in root: voc, coco, yolo, txt (default: as in training)
  fixes        a data-fix list (default: that of training; none with another root)
  tile         cut pictures into tiles of so many px and put together what is found; 0: whole
               pictures (default: as the model was trained)
  tile_overlap   of a tile's side, 0..0.9 (default: as trained; 0.2)
  batch_size   pictures at a time (default 16)
  device       cpu, cuda, ... (default: cuda where there is one; cpu for model=…)
  cache_dir    decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)
  output       a JSON file for all figures (default: only the table is printed)

Examples
  python -m tlx.evaluate checkpoint=runs/guns-efficientnet_lite0/freeze=4-seed=0-1a2b3c
  python -m tlx.evaluate model=export/onnx/ssd-mobilenet_v1.onnx preprocess=detectnet
  python -m tlx.evaluate checkpoint=RUN_FOLDER root=/data/elsewhere output=figures.json

Prints COCO mAP@[.5:.95], mAP@.5, mAP@.75 and the VOC2007 11-point AP@.5, in all and per class.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from tlx.common.cli import parse, run_program
from tlx.common.console import stdout_console
from tlx.common.errors import ConfigError
from tlx.common.files import refuse_output, write_json
from tlx.common.typos import unknown_choice
from tlx.config.schema import DetectorConfig
from tlx.data.framing import WHOLE, Framing
from tlx.data.module import Loaders
from tlx.evaluation.deployed import evaluate_deployed
from tlx.evaluation.detections import evaluate_detections, joined_to, read_detections
from tlx.evaluation.evaluator import Evaluator, Figures
from tlx.evaluation.gather import Gather
from tlx.evaluation.subject import Subject, read_subject
from tlx.evaluation.tables import figures_table, steps_table
from tlx.models.detector import Detector
from tlx.records.checkpoint import find_checkpoint, load_detector
from tlx.runtime.detectnet import CLASSWISE, CLUSTERINGS
from tlx.runtime.opening import open_model, split_backend
from tlx.runtime.preprocess import TLX, check_mode

log = logging.getLogger(__name__)


@dataclass
class EvaluateConfig:
    checkpoint: str | None = None
    model: str | None = None
    detections: str | None = None
    preprocess: str = TLX
    clustering: str = CLASSWISE
    backend: str | None = None
    trust: bool = False
    split: str | None = None
    root: str | None = None
    format: str | None = None
    fixes: str | None = None
    tile: int | None = None
    tile_overlap: float | None = None
    batch_size: int = 16
    device: str = ""
    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")
    output: str | None = None


def default_device(wanted: str) -> torch.device:
    """The named device, or the GPU where there is one."""
    return torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))


def evaluate_detector(
    detector: Detector,
    loader: DataLoader[Any],
    gather: Gather,
    classes: list[str],
    cfg: DetectorConfig,
    device: torch.device,
) -> Figures:
    """All figures of a detector on the pictures of a split, which `gather` puts together."""
    detector = detector.to(device).eval()
    evaluator = Evaluator(classes)
    for batch in loader:
        found = detector.detect(
            batch.images.to(device),
            score_threshold=cfg.score_threshold,
            nms_iou=cfg.nms_iou,
            max_detections=cfg.max_detections,
        )
        evaluator.update(*gather.add(found))
    assert gather.complete
    return evaluator.compute()


def evaluate(cfg: EvaluateConfig) -> Figures:
    """Evaluate as configured; raises `TlxError` for whatever is wrong with the input."""
    mode = check_mode(cfg.preprocess)
    if cfg.clustering not in CLUSTERINGS:
        raise ConfigError(unknown_choice("clustering", cfg.clustering, CLUSTERINGS))
    if cfg.output:
        refuse_output(Path(cfg.output))
    if cfg.checkpoint is None and cfg.model is None:
        raise ConfigError("checkpoint=… is missing (or model=… for an exported file)")
    if cfg.detections is not None:
        return _evaluate_file(cfg)
    if cfg.model is not None or mode != TLX or cfg.backend:
        return _evaluate_model(cfg, mode)
    detector, meta = load_detector(find_checkpoint(Path(str(cfg.checkpoint))))
    framing = _framing(cfg, Framing.of(meta["config"]))
    subject = _subject(
        cfg, meta["config"], meta["classes"], meta.get("dataset"), cfg.checkpoint, framing
    )
    loaders = Loaders(subject.data, meta["input_size"], cfg.batch_size, workers=0)
    rules = subject.detector
    gather = Gather(subject.items, framing, meta["input_size"], rules.nms_iou, rules.max_detections)
    figures = evaluate_detector(
        detector, loaders.evaluation(subject.split), gather, meta["classes"], rules,
        default_device(cfg.device),
    )  # fmt: skip
    return figures | _of(subject)


def _evaluate_model(cfg: EvaluateConfig, mode: str) -> Figures:
    """A model under its backend, in the data set of the checkpoint that it was made from."""
    path = Path(str(cfg.model or cfg.checkpoint))
    backend, precision = split_backend(cfg.backend)
    device = cfg.device or "cpu"
    with open_model(path, backend, device, precision=precision, trust=cfg.trust) as runtime:
        config: Any = runtime.meta.config
        dataset = runtime.meta.dataset
        if cfg.model is not None and cfg.checkpoint is not None:
            meta = load_detector(find_checkpoint(Path(cfg.checkpoint)))[1]
            config, dataset = meta["config"], meta.get("dataset")
        # What the model itself says counts, whichever checkpoint names the data.
        framing = _framing(cfg, runtime.meta.framing)
        subject = _subject(cfg, config, runtime.meta.classes, dataset, path, framing)
        figures = evaluate_deployed(
            runtime, subject.data, subject.split, subject.detector, mode, cfg.clustering
        )
        return figures | _of(subject)


def _evaluate_file(cfg: EvaluateConfig) -> Figures:
    """Detections that a device wrote."""
    stored = read_detections(Path(str(cfg.detections)).expanduser())
    path = Path(str(cfg.model or cfg.checkpoint))
    with open_model(path, trust=cfg.trust) as runtime:
        meta = runtime.meta
    # The boxes are of whole pictures already: nothing is shown to a network here.
    subject = _subject(cfg, meta.config, meta.classes, meta.dataset, path, WHOLE)
    joined = joined_to(stored, meta.checkpoint_sha256, path)
    if joined["reason"]:
        log.warning("%s", joined["reason"])
    figures = evaluate_detections(stored, subject.items, list(meta.classes), subject.detector)
    return {**figures, **_of(subject), "device": stored.header, "joined": joined}


def _framing(cfg: EvaluateConfig, of_model: Framing) -> Framing:
    """How the pictures are shown: as the model says, in other tiles where they are asked for."""
    return of_model.with_tiles(cfg.tile, cfg.tile_overlap)


def _subject(
    cfg: EvaluateConfig, config: Any, classes: Sequence[str], dataset: Any, path: object,
    framing: Framing,
) -> Subject:  # fmt: skip
    if not config:
        raise ConfigError(
            f"{path} does not say which data it was trained on: add checkpoint=… of a run on them"
        )
    cache_dir = Path(cfg.cache_dir).expanduser()
    return read_subject(
        framing.into(config), classes, dataset, cache_dir, where=path,
        split=cfg.split, root=cfg.root, format=cfg.format, fixes=cfg.fixes,
    )  # fmt: skip


def _of(subject: Subject) -> dict[str, Any]:
    """Which pictures the figures are of, and how they were shown where that is not plain."""
    framing = subject.data.framing
    shown = {} if framing.plain else {"shown": framing.describe()}
    return {"split": subject.split, "data": subject.about, **shown}


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(EvaluateConfig, arguments)
    figures = evaluate(cfg)
    subject = cfg.detections or cfg.model or cfg.checkpoint
    title = f"{subject} on {figures['split']}: {figures['images']} pictures"
    console = stdout_console()
    console.print(figures_table(figures, title))
    if "steps" in figures:
        console.print(steps_table(figures["steps"], figures["clustering"]))
    if cfg.output:
        asked = {key: getattr(cfg, key) for key in ("checkpoint", "model", "detections")}
        said = {key: value for key, value in asked.items() if value is not None}
        conditions = {"preprocess": cfg.preprocess}
        write_json(Path(cfg.output), {**figures, **said, **conditions})


if __name__ == "__main__":
    run_program(main, __doc__)
