"""Training: the Lightning trainer, its callbacks, and where it goes on after a stop."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, WeightAveraging
from torch import Tensor

from tlx.config.check import make_policy
from tlx.config.schema import RunConfig
from tlx.data.dataset import EpochBatches
from tlx.data.module import Loaders
from tlx.freeze.bound import Cost
from tlx.loggers.base import Loggers
from tlx.records.columns import BY_TASK
from tlx.records.record import Record, add_freeze, save_record
from tlx.training.checkpoints import Checkpoints
from tlx.training.early_stop import EarlyStop
from tlx.training.energy import EnergyMeter
from tlx.training.freeze_task import FreezeTask
from tlx.training.interrupt import GracefulStop, Interrupted
from tlx.training.progress_bar import progress_bar
from tlx.training.recorder import Recorder, add_course, add_proof
from tlx.training.resume import ExpectedBatches, Restored, Resume
from tlx.training.step_timer import StepTimer
from tlx.training.switches import Switches

log = logging.getLogger(__name__)
CHECKPOINTS = "checkpoints"


def fit(
    cfg: RunConfig, task: FreezeTask, loaders: Loaders, run_dir: Path, record: Record,
    resume: Resume | None, logger: Loggers | None, cost: Cost,
) -> StepTimer:  # fmt: skip
    """Train to the end; returns the step times.

    Args:
        resume: the checkpoint to continue from. cost: of the network, for the record.
    """
    policy = make_policy(cfg)

    def on_progress(recorder: Recorder) -> None:
        add_course(record, recorder)
        if policy.measures:
            add_freeze(record, task.network, cost, recorder.phases)
        add_proof(record, recorder)
        save_record(record, run_dir)

    recorder = Recorder(
        BY_TASK[cfg.task], run_dir / "metrics.csv", task.plan.phases, cfg.trainer.select_by,
        on_progress, logger,
    )  # fmt: skip
    checkpoints = Checkpoints(run_dir / CHECKPOINTS, recorder, cfg.trainer.checkpoint_minutes)
    timer = StepTimer(cfg.trainer.timer_warmup)
    # The timer comes first, so that the others' work at a step's end is not counted as the step's;
    # the average next, so that what is recorded and saved after a step includes it.
    average = [weight_average(cfg.trainer.ema_decay)] if cfg.trainer.ema_decay else []
    stop = GracefulStop(checkpoints)
    energy = EnergyMeter()
    train = loaders.train(lambda: trainer.global_step, resume.step if resume else 0)
    assert isinstance(train.batch_sampler, EpochBatches)
    if resume:
        resume.check_order(train.batch_sampler)
    task.meta = task.meta | {
        "batches_per_epoch": len(train.batch_sampler),
        "batch_size": loaders.batch_size,  # a number, where the configuration says auto
    }
    order = ExpectedBatches(train.batch_sampler)
    restored = Restored(resume)
    # Before the recorder, which hashes what the phase of an epoch has frozen.
    switches = [Switches(policy, task.plan.phases, recorder)] if policy.measures else []
    callbacks: list[Callback] = [energy, timer, *average, *switches, recorder, checkpoints, stop]
    callbacks.append(order)
    callbacks.append(restored)
    early = EarlyStop(recorder, cfg.trainer.patience) if cfg.trainer.patience else None
    if early:
        callbacks.append(early)
    bar = progress_bar(cfg.trainer.progress)
    trainer = make_trainer(
        cfg, run_dir, callbacks=callbacks + ([bar] if bar else []), logger=False,
        enable_progress_bar=bar is not None, precision=task.plan.precision.name,
    )  # fmt: skip
    if resume:
        log.info("continuing from %s, after step %d", resume.path, resume.step)
    try:
        trainer.fit(
            task,
            train_dataloaders=train,
            val_dataloaders=loaders.evaluation("val"),
            ckpt_path=str(resume.path) if resume else None,
            weights_only=True,
        )
    except Exception as error:
        restored.explain(error)
        if stop.asked:  # a loader process was told too, and has ended before the step had
            raise Interrupted from error
        raise
    task.plan.discard_late()
    record["energy"] = energy.summary()
    record["gradients"] = recorder.gradients(cfg.trainer.clip_norm)
    record["stopped_early"] = early.summary(cfg.trainer.epochs) if early else None
    recorder.prove_end(task)  # a run that was killed in its test trains no more
    recorder.mirror_rows()
    on_progress(recorder)
    return timer


def weight_average(decay: float) -> WeightAveraging:
    """An exponential moving average of the weights, which validation and checkpoints use.

    `lerp` and not `decay * a + (1 - decay) * b`: it leaves equal values exactly equal, so that
    frozen tensors stay bit-identical in the average too.
    """

    def update(average: Tensor, current: Tensor, count: Any) -> Tensor:
        if not average.is_floating_point():  # batch norm's counters
            return current
        return torch.lerp(average, current, 1 - decay)

    return WeightAveraging(use_buffers=True, avg_fn=update)


def training_device(accelerator: str) -> str:
    """The device type that a Lightning accelerator name leads to."""
    if accelerator in ("cuda", "gpu") or (accelerator == "auto" and torch.cuda.is_available()):
        return "cuda"
    return accelerator if accelerator in ("cpu", "mps") else "cpu"


def make_trainer(cfg: RunConfig, run_dir: Path, **options: Any) -> pl.Trainer:
    """A Lightning trainer that leaves checkpoints, logging and summaries to us."""
    warnings.filterwarnings("ignore", module="pytorch_lightning", category=UserWarning)
    warnings.filterwarnings("ignore", module="pytorch_lightning", message=".*LeafSpec")
    for noisy in ("pytorch_lightning", "faster_coco_eval"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return pl.Trainer(
        default_root_dir=run_dir,
        max_epochs=cfg.trainer.epochs,
        check_val_every_n_epoch=cfg.trainer.val_every,
        accelerator=cfg.trainer.accelerator,
        devices=1,
        gradient_clip_val=cfg.trainer.clip_norm or None,
        accumulate_grad_batches=cfg.trainer.accumulate,
        num_sanity_val_steps=0,
        enable_checkpointing=False,
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )
