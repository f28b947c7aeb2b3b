"""One classification run, from configuration to record."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf

from tlx.activations.phase import PhaseCaches
from tlx.classify.checkpoint import TASK, classifier_meta, fill
from tlx.classify.data import FolderLoaders, build_folders
from tlx.classify.network import Classifier
from tlx.classify.task import ClassificationTask, Course
from tlx.common.files import path_below, remove_partials, write_json, write_text
from tlx.common.lock import run_lock
from tlx.config.classify_check import check_classify
from tlx.data.module import DetectionData
from tlx.freeze.apply import apply_phase, check_phases
from tlx.freeze.bound import freeze_table, measure_cost
from tlx.freeze.policies.base import Phase
from tlx.models.backbones.base import backbone_spec
from tlx.models.backbones.weights import read_torch, resolve
from tlx.models.fold_check import FoldCheck
from tlx.records.digest import BEST, describe_result
from tlx.records.environment import environment, peak_rss_bytes, reset_peak_rss
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
from tlx.training.fit import CHECKPOINTS, fit, make_trainer
from tlx.training.host import set_up_host
from tlx.training.interrupt import Interrupted, interruptible
from tlx.training.plan import EnginePlan
from tlx.training.precision import Precision
from tlx.training.resume import Resume, find_resume
from tlx.training.run import print_and_keep
from tlx.training.same_data import refuse_finished_on_other_data, settle_data

log = logging.getLogger(__name__)

_PREFIX = {"32-true": torch.float32, "bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
_OF_DETECTORS = ("map", "map_50", "pilot", "wandb")


def run(cfg: DictConfig, run_dir: Path) -> Record:
    """Train, evaluate and record one configuration in `run_dir`.

    A finished run of the same configuration is returned as it is; an unfinished one is continued
    from its last checkpoint.

    Raises:
        BusyError: another process is working in the folder.
    """
    phases = check_classify(cfg)
    with run_lock(run_dir), interruptible():
        remove_partials(run_dir)
        record = _new_record(cfg)
        earlier = read_record(run_dir)
        if earlier is not None and earlier.get("fingerprint") != record["fingerprint"]:
            earlier = None  # of another run, whose folder this was
        if earlier is not None:
            if earlier.get("status") == "finished":
                refuse_finished_on_other_data(earlier, run_dir, lambda: _read_data(cfg))
                log.info("%s is finished already: %s", record["name"], run_dir / "record.json")
                return earlier
            carry_over(record, earlier, "started", "resumes", "resumed")
        resume = find_resume(run_dir / CHECKPOINTS, record["fingerprint"])
        if resume is not None and earlier is not None:
            # What the checkpoint will restore: a resume that is refused must not lose it.
            carry_over(record, earlier, *(record.keys() - NEW))
        begin_segment(record, earlier if resume is not None else None)
        with _recorded(record, run_dir):
            write_text(run_dir / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
            _train_and_test(cfg, phases, run_dir, record, resume)
    return record


def _new_record(cfg: DictConfig) -> Record:
    record = new_record(cfg, cfg.classifier.input_size)
    rest = {key: value for key, value in record.items() if key not in _OF_DETECTORS}
    return {"task": TASK, **rest, "accuracy": [], "macro_accuracy": []}


@contextmanager
def _recorded(record: Record, run_dir: Path) -> Iterator[None]:
    """Whatever goes wrong inside is in the record before it is raised."""
    try:
        save_record(record, run_dir)
        yield
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


def _read_data(cfg: DictConfig) -> DetectionData:
    return build_folders(cfg.data, Path(cfg.cache_dir).expanduser())


def _train_and_test(
    cfg: DictConfig, phases: tuple[Phase, ...], run_dir: Path, record: Record, resume: Resume | None
) -> None:
    host = set_up_host(cfg.trainer.threads)
    pl.seed_everything(cfg.seed, verbose=False)
    reset_peak_rss()
    record["environment"] = environment() | host
    data = _read_data(cfg)
    members = settle_data(data, run_dir, record, resume)
    if resume is not None:
        resume.note(record, cfg.trainer.workers)
    write_json(run_dir / "faults.json", data.faults.to_rows())
    classifier = build_classifier(cfg, data.classes, record)
    check_phases(classifier, phases)
    fold_check = FoldCheck(classifier)
    if cfg.trainer.freeze_bn:
        classifier.freeze_batch_norm()
    apply_phase(classifier, phases[0])
    cost = measure_cost(classifier)
    add_freeze(record, cost, phases)
    record["classes"], record["data_report"] = data.classes, data.report
    print_and_keep(freeze_table(classifier, cost, phases, record["name"]), run_dir / "freeze.txt")
    plan = make_plan(cfg, phases)
    difference = fold_check.compare(classifier, {torch.float32, plan.precision.prefix})
    record["engine"] = plan.to_dict() | {"fold_difference": difference}
    record["precision"] = plan.precision.name
    save_record(record, run_dir)

    loaders = FolderLoaders(
        data, cfg.classifier.input_size, cfg.trainer.batch_size, cfg.trainer.workers,
        seed=cfg.seed, least_area=cfg.data.least_area,
    )  # fmt: skip
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    meta = classifier_meta(classifier, members, config)
    task = ClassificationTask(
        classifier, plan, cfg.trainer, cfg.classifier, data.classes, meta, cfg.seed
    )  # fmt: skip
    timer = fit(cfg, task, loaders, run_dir, record, resume, None, Course)
    _test(cfg, task, loaders, run_dir, record)
    record["step_time"] = timer.summary()
    on_gpu = torch.cuda.is_available()
    record["memory"] = {
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }


def build_classifier(cfg: DictConfig, classes: list[str], record: Record) -> Classifier:
    """The configured classifier with its pretrained weights; the head follows from the seed."""
    spec = backbone_spec(cfg.backbone.name)
    pretrained = resolve(spec, cfg.backbone.weights)
    record["weights"] = {"source": pretrained.source, "sha256": pretrained.sha256}
    torch.manual_seed(cfg.seed)  # the head starts the same whatever is frozen: arms are paired
    settings = cfg.classifier
    classifier = Classifier(
        spec, pretrained.conventions, len(classes), settings.input_size, settings.dropout
    )
    classifier.load_pretrained(pretrained)
    return classifier.to(memory_format=torch.channels_last)


def make_plan(cfg: DictConfig, phases: tuple[Phase, ...]) -> EnginePlan:
    """The precision as configured; no cached activations."""
    name = cfg.trainer.precision
    precision = Precision(name, _PREFIX[name], "as configured")
    none = PhaseCaches([phase.first_epoch for phase in phases], [None] * len(phases))
    note = {"used": False, "reason": "not offered for classification"}
    return EnginePlan(phases, precision, none, [note for _ in phases])


def _test(
    cfg: DictConfig, task: ClassificationTask, loaders: FolderLoaders, run_dir: Path, record: Record
) -> None:
    """Final figures on `test`, with the weights that `val` selected."""
    best = run_dir / CHECKPOINTS / BEST
    fill(task.classifier, read_torch(best), best)
    started = time.monotonic()
    trainer = make_trainer(cfg, run_dir, logger=False, enable_progress_bar=False)
    trainer.test(task, dataloaders=loaders.evaluation("test"), verbose=False)
    record["test"] = task.figures
    record["time"]["test_s"] = time.monotonic() - started
    write_text(run_dir / "predictions.csv", predictions_csv(task, loaders.data))
    log.info(
        "test: accuracy %.3f, mean over classes %.3f, %d pictures",
        *(task.figures[key] for key in ("accuracy", "macro_accuracy", "pictures")),
    )


def predictions_csv(task: ClassificationTask, data: DetectionData) -> str:
    """A line for each test picture: file below the root, true class, found class, probability."""
    best, found = task.tally.probabilities.max(1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["picture", "class", "found", "probability"])
    root = Path(data.report["root"])
    for row, item in enumerate(data.splits["test"]):
        names = data.classes[int(item.labels[0]) - 1], data.classes[int(found[row])]
        writer.writerow([path_below(item.image, root), *names, f"{float(best[row]):.4f}"])
    return text.getvalue()
