"""The arms inside real runs: what Lightning, the loader and the callbacks add to a bare step.

Each arm trains in a process of its own, as a user's run does, with bare steps before and after it:
both then have the same memory, the same threads and, but for the loop, the same work.
"""

from __future__ import annotations

import contextlib
import io
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor

from tlx.benchmark.arms import CACHED, Maker, Slot
from tlx.benchmark.batches import load_batches, read_data
from tlx.benchmark.child import in_child
from tlx.benchmark.config import DETECTOR_KEYS, TrainBenchmark, chosen_device, data_config
from tlx.benchmark.networks import PlainArm
from tlx.benchmark.rows import REFERENCE
from tlx.benchmark.step import LEARNING_RATE, Stepper
from tlx.benchmark.usual_loader import usual_loader
from tlx.common.errors import TlxError
from tlx.config.composition import composed
from tlx.config.schema import Config
from tlx.data.dataset import Batch, batches_per_epoch
from tlx.data.module import DetectionData, Loaders
from tlx.records.checkpoint import checkpoint_meta
from tlx.training.fit import make_trainer
from tlx.training.host import set_up_host
from tlx.training.run import run
from tlx.training.step_timer import StepTimer

TLX_ARMS = ("tlx_fp32", "tlx_auto", *CACHED)
SAME_LOADER = Slot("none", frozenset(), "plain_tlx_loader")
TIMED_STEPS = 30  # timed, at least
WARMUP = 5


def runs_of(slots: list[Slot]) -> list[Slot]:
    """The slots whose real runs are timed: tlx's, and the two they are compared with.

    Plain none has the usual loader, as such a run has; `SAME_LOADER` has tlx's instead.
    """
    return [REFERENCE, SAME_LOADER, *(slot for slot in slots if slot.arm in TLX_ARMS)]


def measured(cfg: TrainBenchmark, slot: Slot, batches: Path) -> dict[str, Any]:
    """Step times of an arm in a real run and bare, in a new process.

    Args:
        batches: a file of `save_batches`.
    """
    row = in_child(step_times, cfg, slot, batches)
    if row is None:
        raise TlxError(f"the run of freeze={slot.policy} {slot.arm} failed: its error is above")
    return row


def with_ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add how each run's step stands to those of the two plain runs."""
    seconds = {(row["policy"], row["arm"]): row["step_s_median"] for row in rows}
    return [
        row
        | {
            "ratio_to_plain_none": row["step_s_median"] / seconds[REFERENCE.policy, REFERENCE.arm],
            "ratio_same_loader": row["step_s_median"]
            / seconds[SAME_LOADER.policy, SAME_LOADER.arm],
        }
        for row in rows
    ]


def step_times(cfg: TrainBenchmark, slot: Slot, path: Path) -> dict[str, Any]:
    """Bare steps, a run, bare steps; for a new process."""
    set_up_host(cfg.threads)
    device = chosen_device(cfg)
    batches = load_batches(path)
    data = read_data(cfg)
    maker = Maker(cfg, len(data.classes), batches, device)
    plain = slot in (REFERENCE, SAME_LOADER)
    stepper = Stepper(maker.make(REFERENCE if plain else slot), batches, device)
    bare = _bare(stepper, cfg)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        if plain:
            timed = _plain_run(cfg, slot, maker, data, Path(folder))
        else:
            timed = _tlx_run(cfg, slot, maker, data, Path(folder))
    bare = np.concatenate([bare, _bare(stepper, cfg)])
    alone = float(np.median(bare))
    return {
        "policy": slot.policy,
        "arm": slot.arm,
        "step_s_median": timed["median_s"],
        "step_s_interval": [timed["p10_s"], timed["p90_s"]],
        "steps": timed["steps"],
        "bare_step_s_median": alone,
        "loop_share": timed["median_s"] / alone - 1,
    }


def _bare(stepper: Stepper, cfg: TrainBenchmark) -> np.ndarray:
    seconds = [sum(stepper.step(number)) for number in range(cfg.warmup + cfg.rounds)]
    return np.array(seconds[cfg.warmup :])


def _config(cfg: TrainBenchmark, slot: Slot, folder: Path, data: DetectionData) -> Config:
    cached = slot.arm in CACHED
    steps_an_epoch = batches_per_epoch(len(data.splits["train"]), cfg.batch_size)
    values = {
        "backbone": cfg.backbone,
        "backbone.weights": folder / "start.ckpt",
        "freeze": slot.policy,
        "seed": cfg.seed,
        "detector.name": cfg.detector,
        **{f"detector.{key}": getattr(cfg, key) for key in DETECTOR_KEYS},
        "detector.input_size": cfg.input_size,
        "trainer.batch_size": cfg.batch_size,
        "trainer.threads": cfg.threads,
        "trainer.accelerator": chosen_device(cfg).type,
        "trainer.precision": "bf16-mixed" if slot.arm.endswith("auto") else "32-true",
        "trainer": "sgd",  # as the bare step
        "trainer.base_lr": LEARNING_RATE,
        "trainer.head_lr": LEARNING_RATE,
        # The first epoch fills the cache: it is no cached arm's.
        "trainer.epochs": math.ceil((WARMUP + TIMED_STEPS) / steps_an_epoch) + cached,
        "trainer.timer_warmup": WARMUP + cached * steps_an_epoch,
        "trainer.val_every": 1000,
        "trainer.progress": "false",
        "cache": "memory" if cached else "off",
        "cache.views": int(cached),
        "logger": "none",
        "cache_dir": Path(cfg.cache_dir).expanduser().absolute(),
    }
    found = composed([f"{k}={v}" for k, v in values.items()])
    assert isinstance(found, Config)
    found.data = data_config(cfg)
    return found


def _tlx_run(
    cfg: TrainBenchmark, slot: Slot, maker: Maker, data: DetectionData, folder: Path
) -> dict[str, Any]:
    detector = maker.detector
    torch.save(
        {
            "tlx": checkpoint_meta(detector, data.membership, {}),
            "state_dict": {f"detector.{k}": v for k, v in detector.state_dict().items()},
        },
        folder / "start.ckpt",
    )
    return run(_config(cfg, slot, folder, data), folder / "run")["step_time"]


class PlainTask(pl.LightningModule):
    """The plain arm as a Lightning module, and nothing more."""

    def __init__(self, arm: PlainArm) -> None:
        super().__init__()
        self.arm, self.network = arm, arm.network

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        return self.arm.loss(self.arm.load(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """The bare step's."""
        return Stepper(self.arm, [], self.device).optimizer


def _plain_run(
    cfg: TrainBenchmark, slot: Slot, maker: Maker, data: DetectionData, folder: Path
) -> dict[str, Any]:
    """Lightning with the usual loader or tlx's, and with nothing else of tlx."""
    arm = maker.make(REFERENCE)
    assert isinstance(arm, PlainArm)
    settings = _config(cfg, slot, folder, data)
    workers = settings.trainer.workers
    timer = StepTimer(WARMUP)
    trainer = make_trainer(
        settings, folder, callbacks=[timer], logger=False, enable_progress_bar=False
    )
    if slot == SAME_LOADER:
        loaders = Loaders(
            data, cfg.input_size, cfg.batch_size, workers, settings.data.zoom_out, cfg.seed
        )
        loader = loaders.train(lambda: trainer.global_step)
    else:
        loader = usual_loader(data.splits["train"], cfg.input_size, cfg.batch_size, workers)
    trainer.fit(PlainTask(arm), loader)
    return timer.summary()
