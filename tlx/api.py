"""tlx in a few lines of Python: make a study, use a run, report on runs.

    import tlx

    study = tlx.Study(data="guns", root="/data/guns", freeze=["none", 4, 8, "all"], seeds=3)
    study.run()
    study.report("report")

    detector = tlx.load("runs/guns-efficientnet_lite0/freeze=8-seed=0-1a2b3c")
    for found in detector.predict("street.jpg"):
        print(found.label, found.score, found.box)

The programs do the same; what they refuse is raised here as a `tlx.common.errors.TlxError`.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import tlx.classify.task  # noqa: F401  registers `task=classify`
from tlx.classify.checkpoint import is_classifier, load_classifier
from tlx.common import plugins
from tlx.common.cli import hydra_argument
from tlx.common.errors import ConfigError, DataError
from tlx.config.composition import composed
from tlx.config.identity import run_label
from tlx.config.typed import from_plain, plain, schema_of
from tlx.data.augment import EvalTransform
from tlx.data.formats.pictures import decode
from tlx.live.model import load_model
from tlx.live.pictures import NO_LIMIT
from tlx.records.checkpoint import find_checkpoint
from tlx.records.record import CLASSIFICATION, Record, read_record
from tlx.report.build import report_on
from tlx.study.attempt import attempt
from tlx.study.order import SEED, arrange
from tlx.study.pilot import start
from tlx.study.progress import planned, progress_line
from tlx.study.sweeper import from_scratch
from tlx.training.check import check_run
from tlx.training.interrupt import Interrupted
from tlx.training.job import INTERRUPTED

log = logging.getLogger(__name__)
Picture = str | Path | np.ndarray | Image.Image


class Study:
    """Runs that differ in what is frozen and in the seed, as `python -m tlx.train -m` makes them.

    Args:
        data: a choice of `conf/data` (with `task="classify"` there is none). root: its folder.
        freeze: the depths to compare; `"scratch"` is the baseline from scratch.
        seeds: how many, from 0 on, or which.
        task: `"detect"` or `"classify"`.
        config: further keys, as on the command line: ``{"trainer.epochs": 20}``. A list is a value,
            not a sweep.
        runs_dir: where the folders of the runs are made.
        plugins: modules that register parts of your own. config_dir: a folder of YAML files.

    Raises:
        ConfigError: what cannot mean anything; nothing has been written then.
    """

    def __init__(
        self,
        *,
        data: str | None = None,
        root: str | Path | None = None,
        freeze: Sequence[str | int] = ("none", 4, 8, "all"),
        seeds: int | Sequence[int] = 1,
        task: str = "detect",
        config: Mapping[str, Any] | None = None,
        runs_dir: str | Path = "runs",
        plugins: Sequence[str] = (),
        config_dir: str | Path | None = None,
    ) -> None:
        if isinstance(freeze, str | int) or isinstance(seeds, str | float):
            raise ConfigError(
                f"freeze={freeze!r} and seeds={seeds!r}: give lists, or a count of seeds"
            )
        for key in ("freeze", SEED, "resume", "experiment"):
            if key in (config or {}):
                raise ConfigError(
                    f"{key} is no key of a study's config: depths and seeds have arguments of "
                    "their own, and a study goes on by itself where it was stopped"
                )
        if config_dir is not None and not Path(config_dir).is_dir():
            raise ConfigError(f"config_dir={config_dir} is no folder")
        values: dict[str, Any] = {"task": task, "runs_dir": runs_dir}
        values |= {"data": data} if data is not None else {}
        values |= {"data.root": Path(root).absolute()} if root is not None else {}
        values |= {"plugins": list(plugins)} if plugins else {}
        values |= config or {}
        common = [_override(key, value) for key, value in values.items()]
        chosen = range(seeds) if isinstance(seeds, int) else list(seeds)
        if not len(chosen) or not len(freeze):
            raise ConfigError(f"freeze={freeze!r} with seeds={seeds!r} is a study without a run")
        jobs = [
            from_scratch([*common, _override("freeze", depth), f"{SEED}={seed}"])
            for seed in chosen
            for depth in freeze
        ]
        self.configs = [composed(job, config_dir) for job in arrange(jobs)]
        for cfg in self.configs:
            check_run(cfg)
            if cfg.tune.asked:
                raise ConfigError(
                    "tune.trials and tune.minutes are of the program: python -m tlx.train -m"
                )

    @property
    def folders(self) -> list[Path]:
        """Of the runs, in the order in which they are made."""
        return [Path(cfg.runs_dir) / cfg.name / run_label(plain(cfg)) for cfg in self.configs]

    def run(self) -> list[Record]:
        """Make every run that is not finished yet, each in a process of its own; their records.

        The processes come from a new Python, which has computed nothing: whoever asks may have used
        a network, and a fork of a process whose compute threads have worked waits for them for
        ever. Nor is the caller's script run again, as it would be by `spawn`.

        A study that was stopped goes on where it was. A run that fails is logged and recorded, and
        the others go on.
        """
        jobs = [
            {"config": plain(cfg), "folder": str(folder.absolute())}
            for cfg, folder in zip(self.configs, self.folders, strict=True)
        ]
        code = f"import sys; sys.path[:] = {sys.path!r}; from tlx.api import _make; _make()"
        process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, text=True)
        try:
            process.communicate(json.dumps(jobs))
        except KeyboardInterrupt:
            process.wait()  # a terminal has told it too: it saves its state
            raise
        return [read_record(folder) or {} for folder in self.folders]

    def report(self, output: str | Path, **options: Any) -> Path:
        """The report of the finished runs, see `report_on`; returns the page."""
        return report_on(self.folders, output, **options)


def _make() -> None:
    """The runs of `Study.run`, which standard input names, one after the other."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asked = json.loads(sys.stdin.read())
    plugins.load(asked[0]["config"]["plugins"])
    jobs = [
        (from_plain(job["config"], schema_of(job["config"]), "the study"), Path(job["folder"]))
        for job in asked
    ]
    plan = planned(jobs)
    for place, (cfg, folder) in enumerate(jobs):
        if line := progress_line(plan, place):
            log.info("%s", line)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            attempt(start, cfg, folder)
        except Interrupted:
            sys.exit(INTERRUPTED)


@dataclass(frozen=True)
class Found:
    """An object in a picture.

    Attributes:
        label: its class. score: 0..1. box: xmin, ymin, xmax, ymax, px of the picture; None from a
            classifier, whose class is that of the whole picture.
    """

    label: str
    score: float
    box: tuple[float, float, float, float] | None = None


class Run(ABC):
    """A trained run, or an exported model: its record and what it finds in pictures.

    Attributes:
        record: `record.json`; empty for a file that has none beside it.
        classes: by label.
    """

    record: Record
    classes: list[str]

    @abstractmethod
    def predict(self, picture: Picture, threshold: float = 0.5) -> list[Found]:
        """What is in a picture, the surest first.

        Args:
            picture: a file, pixels (H, W, 3) uint8 RGB, or a Pillow image.
            threshold: least score; a classifier's best class is given whatever its score.

        Raises:
            DataError: the file cannot be read as a picture.
        """


class _Detector(Run):
    def __init__(self, path: Path, record: Record, device: str, trust: bool) -> None:
        self.record = record
        self._model = load_model(path, device, None, trust=trust)
        self.classes = list(self._model.classes)

    def predict(self, picture: Picture, threshold: float = 0.5) -> list[Found]:
        pixels = _pixels(picture, self._model.bits)
        [found] = self._model([pixels])
        scale = torch.tensor([pixels.shape[1], pixels.shape[0]] * 2)
        boxes = (found.boxes.cpu() * scale).tolist()
        return [
            Found(self.classes[label - 1], score, tuple(box))
            for box, label, score in zip(
                boxes, found.labels.tolist(), found.scores.tolist(), strict=True
            )
            if score >= threshold
        ]


class _Classifier(Run):
    def __init__(self, path: Path, record: Record) -> None:
        self.record = record
        self._network, meta = load_classifier(path)
        self.classes = list(meta["classes"])

    def predict(self, picture: Picture, threshold: float = 0.5) -> list[Found]:
        pixels = _pixels(picture, None)
        whole = np.array([[0.0, 0.0, pixels.shape[1], pixels.shape[0]]])
        view = EvalTransform(self._network.input_size)(pixels, whole, np.array([1]))[0]
        shares = self._network.probabilities(view[None])[0].tolist()
        ranked = sorted(zip(shares, self.classes, strict=True), reverse=True)
        return [
            Found(name, share)
            for place, (share, name) in enumerate(ranked)
            if place == 0 or share >= threshold
        ]


def load(run: str | Path, *, device: str = "", trust: bool = False) -> Run:
    """A run by its folder, a checkpoint, or a detector's exported model.

    Args:
        device: cpu, cuda; default: cuda for a detector's checkpoint, where there is one. A
            classifier computes on the processor.
        trust: load a .pt2 or TorchScript file, which can run code.

    Raises:
        WeightsError: it is none of these, or damaged. ConfigError: a program that is not trusted.
    """
    path = Path(run).expanduser()
    record = (read_record(path) if path.is_dir() else None) or {}
    if record.get("task") == CLASSIFICATION or is_classifier(path):
        return _Classifier(find_checkpoint(path), record)
    return _Detector(path, record, device, trust)


def _pixels(picture: Picture, bits: int | None) -> np.ndarray:
    if isinstance(picture, str | Path):
        return decode(Path(picture), rotate=True, max_side=NO_LIMIT, bits=bits)
    pixels = np.asarray(picture.convert("RGB") if isinstance(picture, Image.Image) else picture)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise DataError(
            f"pixels of shape {pixels.shape} and type {pixels.dtype}: they must be uint8 (H, W, 3)"
        )
    return pixels


def _override(key: str, value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return f"{key}={str(value).lower() if value is not None else 'null'}"
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(_override('', item)[1:] for item in value)}]"
    if isinstance(value, str) and value in (
        "null",
        "true",
        "false",
    ):  # a text, and not what it says
        return f'{key}="{value}"'
    return hydra_argument(f"{key}={value}")


__all__ = ["Found", "Run", "Study", "load"]
