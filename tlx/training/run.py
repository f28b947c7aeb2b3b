"""One run, from configuration to record."""

from __future__ import annotations

import io
import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

import tlx.config.check
from tlx.common.console import PLAIN_WIDTH, stdout_console
from tlx.common.drawing import draw, evenly_spaced, save_picture
from tlx.common.errors import ConfigError
from tlx.common.files import output_names, remove_partials, write_json, write_text
from tlx.common.lock import run_lock
from tlx.data.dataset import batches_per_epoch
from tlx.data.module import DetectionData, Loaders, build_data
from tlx.evaluation.predictions import collect
from tlx.evaluation.prefix_memory import memory_budget
from tlx.freeze.apply import apply_phase, check_phases
from tlx.freeze.bound import freeze_table, measure_cost
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import Pretrained, read_torch, resolve
from tlx.models.detector import Detector, detector_class
from tlx.models.fold_check import FoldCheck
from tlx.records.checkpoint import checkpoint_meta, load_weights
from tlx.records.digest import BEST, describe_result
from tlx.records.environment import environment, peak_rss_bytes, reset_peak_rss
from tlx.records.pilot import read_decision
from tlx.records.predictions import write_predictions
from tlx.records.predictions.file import SCORE_FLOOR
from tlx.records.record import (
    NEW,
    Record,
    add_freeze,
    begin_segment,
    carry_over,
    describe_error,
    end_segment,
    new_record,
    read_record,
    save_record,
)
from tlx.training.closing import shortages
from tlx.training.fit import CHECKPOINTS, fit, make_trainer, training_device
from tlx.training.host import set_up_host
from tlx.training.interrupt import Interrupted, interruptible
from tlx.training.plan import make_plan
from tlx.training.resume import Resume, find_resume
from tlx.training.same_data import refuse_finished_on_other_data, settle_data
from tlx.training.task import DetectionTask
from tlx.wandb.logger import Mirror, make_logger

log = logging.getLogger(__name__)


def run(cfg: DictConfig, run_dir: Path, *, test: bool = True) -> Record:
    """Train, evaluate and record one configuration in `run_dir`.

    A finished run of the same configuration is returned as it is; an unfinished one is continued
    from its last checkpoint. Whatever goes wrong is in the record before it is raised. Without
    `test` the test split is left alone, and the record has no figures of it.

    Raises:
        BusyError: another process is working in the folder; its record is not touched.
    """
    phases = tlx.config.check.check_config(cfg)
    if cfg.policy.name == "auto":
        raise ConfigError("policy=auto needs its pilot first: start it with tlx.study.pilot.start")
    with run_lock(run_dir), interruptible():
        remove_partials(run_dir)
        return _run(cfg, phases, run_dir, test)


def _run(cfg: DictConfig, phases: tuple[Phase, ...], run_dir: Path, test: bool) -> Record:
    record = new_record(cfg)
    record["pilot"] = read_decision(run_dir)
    earlier = read_record(run_dir)
    if earlier is not None and earlier.get("fingerprint") != record["fingerprint"]:
        earlier = None  # of another run, whose folder this was
    if earlier is not None:
        if earlier.get("status") == "finished":
            refuse_finished_on_other_data(earlier, run_dir, lambda: _read_data(cfg))
            log.info("%s is finished already: %s", record["name"], run_dir / "record.json")
            return earlier
        carry_over(record, earlier, "started", "wandb", "resumes", "resumed")
    resume = find_resume(run_dir / CHECKPOINTS, record["fingerprint"])
    if resume is not None and earlier is not None:
        # What the checkpoint will restore: a resume that is refused must not lose it.
        carry_over(record, earlier, *(record.keys() - NEW))
    begin_segment(record, earlier if resume is not None else None)
    logger: Mirror | None = None
    try:
        save_record(record, run_dir)
        write_text(run_dir / "config.yaml", _portable_yaml(cfg))
        logger = make_logger(cfg, run_dir, record["wandb"])
        if logger is not None:
            record["wandb"] = logger.about
        _train_and_test(cfg, phases, run_dir, record, resume, logger, test)
        record["checkpoint"] = describe_result(run_dir)
        record["status"] = "finished"
    except (KeyboardInterrupt, Interrupted):
        record["status"] = "interrupted"
        raise
    except BaseException as error:
        record["status"], record["error"] = "failed", describe_error(error)
        raise
    finally:
        end_segment(record)
        save_record(record, run_dir)
        if logger is not None:
            logger.close(record, run_dir, checkpoint=cfg.logger.checkpoint)
            if logger.about["fault"]:
                save_record(record, run_dir)
    return record


def _read_data(cfg: DictConfig) -> DetectionData:
    return build_data(cfg.data, Path(cfg.cache_dir).expanduser(), cfg.detector.input_size)


def _portable_yaml(cfg: DictConfig) -> str:
    return OmegaConf.to_yaml(cfg, resolve=True)


def _train_and_test(
    cfg: DictConfig, phases: tuple[Phase, ...], run_dir: Path, record: Record,
    resume: Resume | None, logger: Mirror | None, test: bool,
) -> None:  # fmt: skip
    host = set_up_host(cfg.trainer.threads)
    pl.seed_everything(cfg.seed, verbose=False)
    reset_peak_rss()
    record["environment"] = environment() | host
    data = _read_data(cfg)
    members = settle_data(data, run_dir, record, resume)
    if resume is not None:
        resume.note(record, cfg.trainer.workers)
    write_json(run_dir / "faults.json", data.faults.to_rows())
    detector = build_detector(cfg, data.classes, record)
    check_phases(detector, phases)
    fold_check = FoldCheck(detector)
    if cfg.trainer.freeze_bn:
        detector.freeze_batch_norm()
    apply_phase(detector, phases[0])
    cost = measure_cost(detector)
    add_freeze(record, cost, phases)
    record["classes"], record["data_report"] = data.classes, data.report
    if test:
        an_epoch = batches_per_epoch(len(data.splits["train"]), cfg.trainer.batch_size)
        steps = cfg.trainer.epochs * an_epoch
        for warning in shortages(steps, data.report["counts"]["test"]["boxes"]):
            log.warning("%s", warning)
    print_and_keep(freeze_table(detector, cost, phases, record["name"]), run_dir / "freeze.txt")
    save_record(record, run_dir)

    device = torch.device(training_device(cfg.trainer.accelerator))
    plan = make_plan(cfg, detector, phases, data.splits["train"], device, record["engine"])
    difference = fold_check.compare(detector, {torch.float32, plan.precision.prefix})
    record["engine"] = plan.to_dict() | {"fold_difference": difference}
    record["precision"] = plan.precision.name
    save_record(record, run_dir)
    if logger is not None:
        logger.summarize(record)
    loaders = Loaders(
        data, cfg.detector.input_size, cfg.trainer.batch_size, cfg.trainer.workers,
        cfg.data.zoom_out, cfg.seed, cfg.cache.views, plan.caches,
    )  # fmt: skip
    task = DetectionTask(
        detector, plan, cfg.trainer, cfg.detector, data.classes, data.splits,
        checkpoint_meta(detector, members, _plain(cfg)), memory_budget(cfg, device),
    )  # fmt: skip
    timer = fit(cfg, task, loaders, run_dir, record, resume, logger)
    if test:
        _test(cfg, task, loaders, run_dir, record)
        if logger is not None:
            logger.show(run_dir, data.cache, cfg.logger.predictions)
    record["step_time"] = timer.summary()
    record["memory"] = {
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": torch.cuda.max_memory_allocated()
        if torch.cuda.is_available()
        else None,
    }


def _plain(cfg: DictConfig) -> dict[str, Any]:
    return OmegaConf.to_container(cfg, resolve=True)  # type: ignore[return-value]


def build_detector(cfg: DictConfig, classes: list[str], record: Record) -> Detector:
    """The configured detector with its pretrained weights; random parts follow from the seed."""
    spec = backbone_spec(cfg.backbone.name)
    pretrained: Pretrained = resolve(spec, cfg.backbone.weights)
    record["weights"] = {"source": pretrained.source, "sha256": pretrained.sha256}
    torch.manual_seed(cfg.seed)  # heads start the same whatever is frozen: arms are paired
    kind = detector_class(cfg.detector.name)
    detector = kind(spec, pretrained.conventions, len(classes), cfg.detector.input_size)
    detector.load_pretrained(pretrained)
    # Channels-last is what the CPU's and the GPU's convolutions prefer; the numbers are the same.
    return detector.to(memory_format=torch.channels_last)


def print_and_keep(table: Any, path: Path) -> None:
    """Print a rich table and keep it as a text file."""
    stdout_console().print(table)
    text = io.StringIO()
    Console(file=text, width=PLAIN_WIDTH).print(table)
    write_text(path, text.getvalue())


def _test(
    cfg: DictConfig, task: DetectionTask, loaders: Loaders, run_dir: Path, record: Record
) -> None:
    """Final figures on `test`, with the weights that `val` selected."""
    best = run_dir / CHECKPOINTS / BEST
    if best.is_file():  # it is missing where val holds no object: the last weights are tested then
        load_weights(task.detector, read_torch(best), best)
    started = time.monotonic()
    trainer = make_trainer(cfg, run_dir, logger=False, enable_progress_bar=False)
    trainer.test(task, dataloaders=loaders.evaluation("test"), verbose=False)
    record["test"] = task.figures
    record["time"]["test_s"] = time.monotonic() - started
    keep_predictions(task, loaders.data, run_dir, cfg.detector.score_threshold)
    save_predictions(task, loaders.data, run_dir / "predictions", cfg.logger.predictions)


def keep_predictions(
    task: DetectionTask, data: DetectionData, run_dir: Path, least_score: float
) -> None:
    """Ground truth and detections of every test picture, as data (`tlx.records.predictions`)."""
    predictions = collect(
        data.splits["test"],
        task.evaluator.pictures,
        data.classes,
        Path(data.report["root"]),
        score_floor=max(SCORE_FLOOR, least_score),
    )
    write_predictions(run_dir, predictions)


def save_predictions(task: DetectionTask, data: DetectionData, folder: Path, count: int) -> None:
    """Evenly spaced test pictures with ground truth (white) and detections of score >= 0.3."""
    items = data.splits["test"]
    shown = list(evenly_spaced(len(items), count))
    names = output_names([items[index].image for index in shown])
    for index, name in zip(shown, names, strict=True):
        item, picture = items[index], task.evaluator.pictures[index]
        scale = torch.tensor([item.size[0], item.size[1]] * 2)
        keep = picture.scores >= 0.3
        image = draw(
            data.cache[item.digest], picture.boxes[keep] / scale, picture.labels[keep],
            picture.scores[keep], data.classes, truth=picture.true_boxes / scale,
        )  # fmt: skip
        save_picture(image, folder / name)
