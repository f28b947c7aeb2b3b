"""Export one checkpoint in one format: the artefact, its description, and the proof of parity."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, ExportError
from tlx.common.files import read_json, write_json, write_text
from tlx.common.typos import unknown_choice
from tlx.export.commands import commands
from tlx.export.contract import (
    check_interface,
    check_normalisation,
    check_precision,
    check_resize,
)
from tlx.export.formats import FORMATS
from tlx.export.job import PRECISIONS, Job, choose_normalisation, choose_opset, lowest_opset
from tlx.export.pictures import calibration_pictures
from tlx.models.normalisation import Normalisation
from tlx.runtime.description import describe
from tlx.runtime.source import BACKGROUND, Source, load_source

log = logging.getLogger(__name__)

CACHE_DIR = os.environ.get("TLX_CACHE", "~/.cache/tlx")
CALIBRATION_PICTURES = 100


@dataclass(frozen=True)
class Exported:
    """What an export left.

    Attributes:
        path: of the artefact (of several files the one that a program opens).
        description: the content of `model.json`.
    """

    path: Path
    description: dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What may be chosen besides checkpoint, format and output.

    Attributes:
        opset: auto or a number, for the ONNX formats. precision: fp32, fp16 or int8.
        normalisation: of the artefact's input: auto, model or detectnet (`choose_normalisation`).
        name: of the files; default `ssd-BACKBONE`. Precisions other than fp32 are appended.
        labels: class names for a pytorch-ssd checkpoint.
        calibration: a folder of pictures for int8; default: `val` of the run. At most `pictures`
            of them are used.
        parity: a folder of pictures to compare on; default: `test` of the run.
        environment: of the converter, for tflite and kmodel.
    """

    opset: str | int = "auto"
    precision: str = "fp32"
    normalisation: str = "auto"
    name: str | None = None
    labels: Path | None = None
    calibration: Path | None = None
    pictures: int = CALIBRATION_PICTURES
    parity: Path | None = None
    environment: Path | None = None
    cache_dir: Path = Path(CACHE_DIR)


def export(checkpoint: Path, format: str, output: Path, options: Options | None = None) -> Exported:
    """Write `output`/NAME.SUFFIX, labels.txt, model.json and commands.md, then prove them.

    Args:
        checkpoint: a run's folder, a tlx checkpoint or a pytorch-ssd state dict.
        format: of `FORMATS`. output: a folder, for this artefact alone.

    Raises:
        TlxError: for what is wrong with the input; `ExportError` where it cannot be exported, or
            where the artefact does not give what the checkpoint gives.
    """
    # Not above: the runtimes that the proof needs import this package.
    from tlx.export import parity

    options = options or Options()
    exported, source = write(checkpoint, format, output, options)
    folder = options.cache_dir.expanduser()
    result = parity.check(source.path, exported.path, cache_dir=folder, pictures=options.parity)
    return Exported(exported.path, exported.description | {"parity": result})


def write(checkpoint: Path, format: str, output: Path, options: Options) -> tuple[Exported, Source]:
    """`export` without the proof."""
    precision = options.precision
    check_choices(format, precision, options.opset)
    check_folder(output, format, precision)
    source = load_source(checkpoint, options.labels)
    if format == "kmodel" and not source.framing.plain:
        raise ConfigError(
            f"format=kmodel: MaixPy stretches whole pictures to the input, and {source.path} was "
            f"trained on {source.framing.words}: train it with data.letterbox=false and without "
            "data.tile"
        )
    chosen = choose_normalisation(options.normalisation, Normalisation.of(source.detector))
    level = choose_opset(options.opset, lowest_opset(format, precision))
    stem = options.name or f"ssd-{source.detector.spec.name}"
    stem += "" if precision == "fp32" else f"-{precision}"

    @cache
    def calibrate_on() -> np.ndarray:
        folder = options.cache_dir.expanduser()
        return calibration_pictures(source, chosen, options.pictures, options.calibration, folder)

    description = describe(
        source, chosen, format=format, precision=precision,
        opset=level if FORMATS[format].has_opset else None,
    )  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    job = Job(
        source, chosen, level, precision, output / stem, description, calibrate_on,
        options.environment,
    )  # fmt: skip
    # First: files of two exports, after a kill in between, must not be described as one.
    (output / "model.json").unlink(missing_ok=True)
    path = FORMATS[format].write(job)
    return _described(path, source, description), source


def _described(path: Path, source: Source, description: dict[str, Any]) -> Exported:
    """Write what goes beside the artefact, and hold it against detectnet's contract."""
    files = [path, *(p for p in (path.with_suffix(".bin"),) if p.is_file())]
    hashes = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    description = description | {"artefact": path.name, "files": hashes}
    # No line end behind the last label: a reader that splits at line ends would see one more.
    labels = path.parent / "labels.txt"
    write_text(labels, "\n".join([BACKGROUND, *source.classes]))
    write_json(path.parent / "model.json", description)
    write_text(path.parent / "commands.md", commands(path, description))
    if description["format"] == "onnx":
        if faults := check_interface(path, labels):
            raise ExportError(f"detectnet cannot run {path}: {'; '.join(faults)}")
        for fault in check_normalisation(path) + check_precision(path) + check_resize(path):
            log.warning("under detectnet: %s", fault)
    return Exported(path, description)


def check_choices(format: str, precision: str, opset: str | int) -> None:
    """Refuse what no format offers, before anything is read."""
    FORMATS.find(format)
    if precision not in PRECISIONS:
        raise ConfigError(unknown_choice("precision", precision, PRECISIONS))
    offered = FORMATS[format].precisions
    if precision not in offered:
        raise ConfigError(
            f"format={format} is written in {', '.join(offered)}, not in precision={precision}"
        )
    if opset != "auto" and not FORMATS[format].has_opset:
        raise ConfigError(f"format={format} has no opset; leave opset={opset} out")


def check_folder(output: Path, format: str, precision: str) -> None:
    """One artefact a folder: model.json and labels.txt belong to it. The same one is replaced."""
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file; name a folder")
    try:
        there = read_json(output / "model.json")
    except (OSError, ValueError):
        return
    held = there.get("format"), there.get("precision")
    if held != (format, precision):
        raise ConfigError(
            f"output={output} holds {held[0]} in {held[1]}, described by its model.json; give each "
            "artefact a folder of its own"
        )
