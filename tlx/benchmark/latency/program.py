"""tlx.benchmark latency: time a picture from file to detections, by backend.

Usage
  python -m tlx.benchmark latency model=RUN,FILE,... [KEY=VALUE ...]

  model      runs or checkpoints, exported files; a run among them gives the baselines
  backend    torch, onnxruntime, openvino, ncnn, tflite, tensorrt, with commas (default
             torch,onnxruntime,openvino); openvino:bf16 computes in bfloat16. Every model runs under
             every backend that reads it
  baselines  eager PyTorch with torchvision's NMS, and with pytorch-ssd's NMS loop (default true)
  split      whose pictures are read, and whose mAP stands beside (default test)
  root       another place of the data set
  rounds     turns of each arm (default 100)
  pictures   timed ones a turn (default 5)
  warmup     rounds that do not count (default 3)
  threads    compute threads of every arm (default: one a core)
  device     cpu or cuda (default cpu)
  trust      true: load .pt2 and TorchScript files, which can run code (default false)
  cache_dir  decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)
  output     folder for latency.json and latency.md (default latency)

Examples
  python -m tlx.benchmark latency model=RUN_FOLDER
  python -m tlx.benchmark latency model=RUN_FOLDER,export/onnx/ssd.onnx backend=onnxruntime,openvino

Close other programs: whatever else runs is in the figures, and the load is stated.
`python -m tlx.report RUNS benchmark=latency/latency.json` sets mAP beside latency.
"""

from __future__ import annotations

import gc
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import torch

from tlx.benchmark.latency.baselines import baselines
from tlx.benchmark.latency.config import Choice, LatencyBenchmark, choices, label
from tlx.benchmark.latency.measure import Others, accuracy, interleaved
from tlx.benchmark.latency.output import console_tables, markdown
from tlx.benchmark.latency.pipeline import Pipeline, runtime_pipeline
from tlx.benchmark.latency.rows import DEFINITIONS, make_row, with_ratios
from tlx.common.cli import parse
from tlx.common.console import stdout_console
from tlx.common.errors import ConfigError
from tlx.common.files import write_json, write_text
from tlx.common.progress import progress
from tlx.evaluation.subject import read_subject
from tlx.records.arms import arm_labels, arm_settings
from tlx.records.environment import environment
from tlx.runtime.base import Runtime
from tlx.runtime.opening import open_model
from tlx.runtime.source import load_source

UNSAID = ("output", "cache_dir", "root", "model", "trust")  # no condition of the figures


def benchmark(cfg: LatencyBenchmark) -> dict[str, Any]:
    """Measure everything that is asked for; raises `TlxError` for what is wrong with the input."""
    load = os.getloadavg()[0]
    chosen, left_out = choices(cfg)
    threads = cfg.threads or psutil.cpu_count(logical=False) or 1
    torch.set_num_threads(threads)
    runtimes = [
        open_model(c.model, c.backend, cfg.device, threads, c.precision, cfg.trust) for c in chosen
    ]
    meta = next((r.meta for r in runtimes if r.meta.config), None)
    if meta is None:
        raise ConfigError("no model says which data it was trained on: add its run to model=…")
    config, classes = meta.config, runtimes[0].meta.classes
    _check_alike(chosen, runtimes)
    subject = read_subject(
        config, classes, meta.dataset, Path(cfg.cache_dir).expanduser(),
        where="the model", split=cfg.split, root=cfg.root,
    )  # fmt: skip
    items, detector = subject.items, subject.detector
    pipelines, facts = _arms(cfg, chosen, runtimes, detector)
    figures = [accuracy(pipeline, items, list(classes)) for pipeline in pipelines]
    gc.collect()
    others = Others()
    with progress("timing pictures", cfg.warmup + cfg.rounds) as advance:
        seconds = interleaved(pipelines, items, cfg.rounds, cfg.pictures, cfg.warmup, advance)
    others_share = others.share()
    for pipeline in pipelines:
        pipeline.close()
    where = environment()
    rows = [make_row(*arm) for arm in zip(pipelines, seconds, figures, facts, strict=True)]
    conditions = {
        "threads": threads,
        "load": {"at_start": load, "others": others_share},
        "data": {"split": cfg.split, "pictures": len(items), "name": config["data"]["name"]},
        "environment": where,
        "config": {k: v for k, v in asdict(cfg).items() if k not in UNSAID},
        "definitions": DEFINITIONS,
    }
    rows = with_ratios(rows, str(where["cpu"]))
    return {"conditions": conditions, "rows": rows, "left_out": left_out}


def _arms(
    cfg: LatencyBenchmark, chosen: list[Choice], runtimes: list[Runtime], detector: Any
) -> tuple[list[Pipeline], list[dict[str, Any]]]:
    """The pipelines, baselines first, with what is known of each."""
    pipelines, facts = [], []
    run = next((c.model for c in chosen if c.backend == "torch" and _is_checkpoint(c)), None)
    if cfg.baselines and run is not None:
        source = load_source(run)
        pipelines += baselines(source.detector, detector, label(run), source.framing)
        # No digest: these are no arms, and a report is not to take them for the run's latency.
        facts += [{"precision": "fp32", "policy": "", "checkpoint_sha256": None}] * 2
    # An artefact belongs to the arm of the run that it was made from.
    arms = {
        runtime.meta.checkpoint_sha256: arm_settings(runtime.meta.config)
        for runtime in runtimes
        if "freeze" in runtime.meta.config
    }
    labels = dict(zip(arms, arm_labels(list(arms.values())), strict=True))
    for choice, runtime in zip(chosen, runtimes, strict=True):
        pipelines.append(runtime_pipeline(label(choice.model), choice.name, runtime, detector))
        name = labels.get(runtime.meta.checkpoint_sha256, "")
        digest = runtime.meta.checkpoint_sha256
        facts.append(
            {"precision": runtime.meta.precision, "policy": name, "checkpoint_sha256": digest}
        )
    return pipelines, facts


def _is_checkpoint(choice: Choice) -> bool:
    return choice.model.is_dir() or choice.model.suffix in (".ckpt", ".pth")


def _check_alike(chosen: list[Choice], runtimes: list[Runtime]) -> None:
    for choice, runtime in zip(chosen, runtimes, strict=True):
        if runtime.meta.classes != runtimes[0].meta.classes:
            raise ConfigError(f"{choice.model} has other classes than {chosen[0].model}")


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(LatencyBenchmark, arguments)
    result = benchmark(cfg)
    output = Path(cfg.output)
    write_json(output / "latency.json", result)
    write_text(output / "latency.md", markdown(result))
    console = stdout_console()
    for table in console_tables(result):
        console.print(table)
    for cell in result["left_out"]:
        console.print(f"left out: {cell['model']} {cell['backend']}: {cell['reason']}")
    console.print(f"written: {output / 'latency.md'}", soft_wrap=True)
