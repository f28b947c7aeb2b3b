"""One run, from configuration to record."""

from __future__ import annotations

import io
import logging
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from rich.console import Console

from tlx.common.console import PLAIN_WIDTH, stdout_console
from tlx.common.errors import ConfigError
from tlx.common.files import remove_partials, write_json, write_text
from tlx.common.lock import run_lock
from tlx.config.check import make_policy
from tlx.config.schema import RunConfig
from tlx.config.typed import plain, to_yaml
from tlx.data.dataset import batches_per_epoch, steps_per_epoch
from tlx.data.module import Loaders
from tlx.freeze.apply import check_phases, prepare_network
from tlx.freeze.bound import freeze_table, measure_cost
from tlx.freeze.policies.base import Phase
from tlx.loggers.base import Loggers, make_loggers
from tlx.models.backbones.weights import SCRATCH
from tlx.models.fold_check import FoldCheck
from tlx.records.digest import BEST, describe_result
from tlx.records.environment import environment, peak_rss_bytes, reset_peak_rss
from tlx.records.pilot import read_decision
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
from tlx.records.tuning import read_tuning
from tlx.training.batch_size import settled
from tlx.training.check import check_run
from tlx.training.fit import CHECKPOINTS, fit, make_trainer, training_device
from tlx.training.freeze_task import FreezeTask
from tlx.training.host import set_up_host
from tlx.training.interrupt import Interrupted, interruptible
from tlx.training.kinds import kind_of
from tlx.training.optimizer import rates_of_another
from tlx.training.plan import make_plan
from tlx.training.resume import Resume, find_resume
from tlx.training.same_data import refuse_finished_on_other_data, settle_data
from tlx.training.start_check import check_start

log = logging.getLogger(__name__)


def run(cfg: RunConfig, run_dir: Path, *, test: bool = True) -> Record:
    """Train, evaluate and record one configuration in `run_dir`.

    A finished run of the same configuration is returned as it is; an unfinished one is continued
    from its last checkpoint. Whatever goes wrong is in the record before it is raised. Without
    `test` the test split is left alone, and the record has no figures of it.

    Raises:
        BusyError: another process is working in the folder; its record is not touched.
    """
    phases = check_run(cfg)
    if cfg.policy["name"] == "auto":
        raise ConfigError("policy=auto needs its pilot first: start it with tlx.study.pilot.start")
    if cfg.tune.asked and read_tuning(run_dir) is None:
        raise ConfigError(
            "tune.trials and tune.minutes are of a study, which tunes rates before its runs: add -m"
        )
    if (read_record(run_dir) or {}).get("status") != "finished":
        kind_of(cfg).prepare(cfg)
    with run_lock(run_dir), interruptible():
        remove_partials(run_dir)
        return _run(cfg, phases, run_dir, test)


def _run(cfg: RunConfig, phases: tuple[Phase, ...], run_dir: Path, test: bool) -> Record:
    kind = kind_of(cfg)
    record = new_record(plain(cfg))
    record["pilot"] = read_decision(run_dir)
    record["tuning"] = read_tuning(run_dir) if cfg.tune.asked else None
    earlier = read_record(run_dir)
    if earlier is not None and earlier.get("fingerprint") != record["fingerprint"]:
        earlier = None  # of another run, whose folder this was
    if earlier is not None:
        if earlier.get("status") == "finished":
            refuse_finished_on_other_data(earlier, run_dir, lambda: kind.read_data(cfg))
            log.info("%s is finished already: %s", record["name"], run_dir / "record.json")
            return earlier
        carry_over(record, earlier, "started", "wandb", "loggers", "resumes", "resumed")
    resume = find_resume(run_dir / CHECKPOINTS, record["fingerprint"])
    if resume is not None and earlier is not None:
        # What the checkpoint will restore: a resume that is refused must not lose it.
        carry_over(record, earlier, *(record.keys() - NEW))
    begin_segment(record, earlier if resume is not None else None)
    logger: Loggers | None = None
    try:
        save_record(record, run_dir)
        write_text(run_dir / "config.yaml", to_yaml(cfg))
        known = {**(record["loggers"] or {}), "wandb": record["wandb"] or {}}
        logger = make_loggers(cfg, run_dir, known)
        about = logger.about
        # W&B's has a place of its own, by which its runs are found again.
        record["wandb"] = about.pop("wandb", record["wandb"])
        record["loggers"] = about or None
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
            if any(about["fault"] for about in logger.about.values()):
                save_record(record, run_dir)
    return record


def _train_and_test(
    cfg: RunConfig, phases: tuple[Phase, ...], run_dir: Path, record: Record,
    resume: Resume | None, logger: Loggers, test: bool,
) -> None:  # fmt: skip
    kind = kind_of(cfg)
    host = set_up_host(cfg.trainer.threads)
    pl.seed_everything(cfg.seed, verbose=False)
    reset_peak_rss()
    record["environment"] = environment() | host
    data = kind.read_data(cfg)
    members = settle_data(data, run_dir, record, resume)
    write_json(run_dir / "faults.json", data.faults.to_rows())
    begun = record["weights"]
    network = kind.network(cfg, data.classes, record)
    if resume is not None:
        # A resume that is refused must not lose what the run was begun from.
        today, record["weights"] = record["weights"], begun
        resume.check_start(begun, today, network.conventions)
        record["weights"] = today
        resume.note(record, cfg.trainer.workers)
    check_phases(network, phases)
    if record["weights"]["source"] != SCRATCH:
        record["weights"] |= check_start(network, data, phases, bn_frozen=cfg.trainer.freeze_bn)
    fold_check = FoldCheck(network)
    if cfg.trainer.freeze_bn:
        network.freeze_batch_norm()
    prepare_network(network, make_policy(cfg), phases, cfg.seed)
    cost = measure_cost(network)
    add_freeze(record, network, cost, phases)
    record["classes"], record["data_report"] = data.classes, data.report
    device = torch.device(training_device(cfg.trainer.accelerator))
    pictures = len(data.train_items)
    sized = settled(cfg, network, phases, pictures, device, kind.loss, resume)
    if sized is not cfg:
        record["batch_size"] = record["chosen_batch_size"] = sized.trainer.batch_size
    for warning in rates_of_another(cfg.trainer):
        log.warning("%s", warning)
    if test:
        an_epoch = batches_per_epoch(pictures, sized.trainer.batch_size)
        steps = cfg.trainer.epochs * steps_per_epoch(an_epoch, cfg.trainer.accumulate)
        for warning in kind.shortages(steps, data):
            log.warning("%s", warning)
    print_and_keep(freeze_table(network, cost, phases, record["name"]), run_dir / "freeze.txt")
    save_record(record, run_dir)

    plan = make_plan(
        sized, network, phases, data.train_items, device, kind.loss, kind.augmentation(cfg),
        record["engine"],
    )  # fmt: skip
    difference = fold_check.compare(network, {torch.float32, plan.precision.prefix})
    record["engine"] = plan.to_dict() | {"fold_difference": difference}
    record["precision"] = plan.precision.name
    save_record(record, run_dir)
    logger.summarize(record)
    loaders = kind.loaders(sized, data, plan.caches)
    task = kind.module(cfg, network, plan, data, members, device)
    timer = fit(cfg, task, loaders, run_dir, record, resume, logger, cost)
    if test:
        _test(cfg, task, loaders, run_dir, record)
        logger.show(lambda: kind.pictures(data, run_dir, cfg.logger.predictions))
    record["step_time"] = timer.summary()
    record["memory"] = {
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": torch.cuda.max_memory_allocated()
        if torch.cuda.is_available()
        else None,
    }


def print_and_keep(table: Any, path: Path) -> None:
    """Print a rich table and keep it as a text file."""
    stdout_console().print(table)
    text = io.StringIO()
    Console(file=text, width=PLAIN_WIDTH).print(table)
    write_text(path, text.getvalue())


def _test(
    cfg: RunConfig, task: FreezeTask, loaders: Loaders, run_dir: Path, record: Record
) -> None:
    """Final figures on `test`, with the weights that `val` selected."""
    kind, best = kind_of(cfg), run_dir / CHECKPOINTS / BEST
    if best.is_file():  # it is missing where val holds no object: the last weights are tested then
        kind.fill(task.network, best)
    started = time.monotonic()
    trainer = make_trainer(cfg, run_dir, logger=False, enable_progress_bar=False)
    trainer.test(task, dataloaders=loaders.evaluation("test"), verbose=False)
    record["test"] = task.figures
    record["time"]["test_s"] = time.monotonic() - started
    kind.keep(cfg, task, loaders.data, run_dir)
