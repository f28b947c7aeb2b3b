"""tlx.benchmark train: time a training step by freeze policy, beside the usual ways.

Usage
  python -m tlx.benchmark train [KEY=VALUE ...]

  policies         freeze values, with none among them (default none,4,8,all)
  backbone         of the detector (default mobilenet_v1; random weights)
  detector         around it (default ssd)
  neck, head, width, depth, norm   of the detector, as detector.neck … detector.norm
                   (default extras; hidden; 128; 4; auto)
  input_size       pixels (default 300)
  batch_size       pictures a step (default 24)
  rounds           timed steps of every arm (default 10)
  warmup           rounds before those (default 2)
  batches          different batches that the steps rotate through (default 4)
  root             a data set's folder (default: pictures that tlx renders, data=sample)
  format, classes  of that set: txt, voc or coco; names parted by commas
  data             its name in the output (default: its folder's)
  threads          compute threads (default 0: torch's own choice)
  device           cpu or cuda (default: cuda where there is one)
  memory           also measure the memory that steps add, a process for each arm (default true)
  runs             also train in real runs, a process for each arm (default true)
  loader_pictures  pictures of each size to time the loader with (default 16; 0: not timed)
  seed             of weights, order and augmentation (default 0)
  cache_dir        decoded pictures (default: $TLX_CACHE or ~/.cache/tlx)
  output           folder for benchmark.json, benchmark.md, step_time.png (default benchmark)

Examples
  python -m tlx.benchmark train
  python -m tlx.benchmark train policies=none,8,all root=/data/guns format=txt output=benchmark/guns

Arms: plain, lightning, torchvision (another network), tlx_fp32, tlx_auto (bfloat16),
tlx_cached_fp32, tlx_cached_auto. benchmark.md says what each is and what every figure means.
Close other programs: whatever else runs is in the figures, and the noise that is stated shows it.
"""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tlx.benchmark.arms import Maker, Slot, plan
from tlx.benchmark.batches import read_batches, read_data, save_batches
from tlx.benchmark.child import in_child
from tlx.benchmark.config import TrainBenchmark, checked_policies, chosen_device
from tlx.benchmark.definitions import DEFINITIONS
from tlx.benchmark.in_run import measured, runs_of, with_ratios
from tlx.benchmark.loader import loader_rows
from tlx.benchmark.memory import added_memory
from tlx.benchmark.output import console_tables, markdown, summary
from tlx.benchmark.plot import write_plot
from tlx.benchmark.rows import make_rows, noise
from tlx.benchmark.step import Stepper, interleaved
from tlx.common.cli import parse
from tlx.common.console import stdout_console
from tlx.common.files import write_json, write_text
from tlx.common.progress import progress
from tlx.data.dataset import Batch
from tlx.data.module import DetectionData
from tlx.freeze.bound import measure_cost
from tlx.models.backbones.base import backbone_spec
from tlx.models.detector import detector_class
from tlx.records.environment import environment
from tlx.training.host import set_up_host

FOLDERS = ("output", "cache_dir", "root")  # of the machine: no condition of the figures


def benchmark(cfg: TrainBenchmark) -> dict[str, Any]:
    """Measure everything that is asked for; raises `TlxError` for what is wrong with the input."""
    policies, device = checked_policies(cfg), chosen_device(cfg)
    detector = detector_class(cfg.detector)
    blocks = len(detector.backbone_for(backbone_spec(cfg.backbone)).blocks)
    slots, left_out = plan(policies, blocks, device)
    host = set_up_host(cfg.threads)
    data = read_data(cfg)
    batches = read_batches(cfg, data)
    maker = Maker(cfg, len(data.classes), batches, device)
    cost = measure_cost(maker.detector)
    # Before the arms are made: their memory is not for the children to compete with.
    memory, runs = _in_children(cfg, slots, data, batches)
    with progress("timing steps", cfg.warmup + cfg.rounds) as advance:
        steppers = [Stepper(maker.make(slot), batches, device) for slot in slots]
        seconds = interleaved(steppers, cfg.rounds, cfg.warmup, advance)
    del steppers
    loader = loader_rows(cfg, data) if cfg.loader_pictures else []
    rows = make_rows(slots, seconds, cost, cfg.batch_size, memory)
    conditions = {
        "noise": noise(rows),
        "device": device.type,
        "environment": environment(),
        "host": host,
        "data": {"classes": data.classes, "pictures": len(data.splits["train"]),
                 "batches": len(batches)},
        "config": {k: v for k, v in asdict(cfg).items() if k not in FOLDERS},
        "definitions": DEFINITIONS,
    }  # fmt: skip
    return {"conditions": conditions, "rows": rows, "runs": runs, "loader": loader,
            "left_out": left_out}  # fmt: skip


def _in_children(
    cfg: TrainBenchmark, slots: list[Slot], data: DetectionData, batches: list[Batch]
) -> tuple[list[int | None], list[dict[str, Any]]]:
    """Added memory of each slot, and the rows of real runs, as far as they are asked for."""
    memory: list[int | None] = [None] * len(slots)
    runs: list[dict[str, Any]] = []
    classes = len(data.classes)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "batches.pt"
        save_batches(batches, path)
        if cfg.memory and chosen_device(cfg).type == "cpu":
            with progress("measuring memory", len(slots)) as advance:
                for number, slot in enumerate(slots):
                    memory[number] = in_child(added_memory, cfg, slot, classes, path)
                    advance(number + 1)
        if cfg.runs:
            chosen = runs_of(slots)
            with progress("timing real runs", len(chosen)) as advance:
                for number, slot in enumerate(chosen):
                    runs.append(measured(cfg, slot, path))
                    advance(number + 1)
    return memory, with_ratios(runs)


def main(arguments: list[str]) -> None:
    """Entry point."""
    cfg = parse(TrainBenchmark, arguments)
    result = benchmark(cfg)
    output = Path(cfg.output)
    write_json(output / "benchmark.json", result)
    write_text(output / "benchmark.md", markdown(result))
    write_plot(result["rows"], summary(result), output / "step_time.png")
    console = stdout_console()
    for table in console_tables(result):
        console.print(table)
    for cell in result["left_out"]:
        console.print(f"left out: freeze={cell['policy']} {cell['arm']}: {cell['reason']}")
    console.print(f"written: {output / 'benchmark.md'}", soft_wrap=True)
