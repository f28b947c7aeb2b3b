"""tlx.data convert: write a data set, or what a model found, in another format.

Usage
  python -m tlx.data convert root=SET to=FORMAT output=FOLDER [KEY=VALUE ...]
  python -m tlx.data convert predictions=RUN to=cvat|labelstudio output=FOLDER [KEY=VALUE ...]

  root         the folder of the set; with predictions=FILE, that of the pictures
  to           voc, coco, yolo, fiftyone, cvat, labelstudio
  output       a new or empty folder
  format       of the set (default: auto, its files say which)
  classes      names in the order of their labels, like Mask,Gloves (default: labels.txt of the
               set, else the sorted names)
  splits       named: those that the set names; cut: all divided anew, as training would
               (default: named)
  pictures     copy, link (to where they are) or none (default: copy)
  predictions  a run's folder, its predictions/test.json, or a .json or .jsonl file of tlx.predict:
               pre-labels for people to correct
  split        whose predictions of a run are written (default: test)
  threshold    least score of a pre-label, 0..1 (default: 0.5)
  cache_dir    decoded pictures, for splits=cut (default: $TLX_CACHE or ~/.cache/tlx)

Examples
  python -m tlx.data convert root=/data/ppe to=yolo output=ppe-yolo
  python -m tlx.data convert root=/data/ppe to=coco output=ppe-coco splits=cut pictures=link
  python -m tlx.data convert predictions=found.json root=/data/new to=cvat output=prelabels

The set is checked as for training: what is dropped or mended is printed, and only what is left is
written. The folder appears when it is complete. Corrected files are read back with data.root=.
"""

from __future__ import annotations

import glob
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from omegaconf import MISSING

from tlx.common.cli import parse
from tlx.common.errors import ConfigError, DataError, StorageError, remedy
from tlx.common.files import refuse_output, write_text
from tlx.common.typos import unknown_choice
from tlx.config.schema import DataConfig
from tlx.data.commands.prelabels import gather_predictions
from tlx.data.faults import RULES, FaultReport
from tlx.data.formats.folders import set_folder
from tlx.data.writers import WRITERS, Labelled, Writer
from tlx.data.writers.gather import gather

PICTURES = ("copy", "link", "none")
SPLITS = ("named", "cut")
SHOWN = 3  # faults of a kind that are printed


@dataclass
class ConvertConfig:
    to: str = MISSING
    output: str = MISSING
    root: str | None = None
    format: str = "auto"
    classes: str | None = None
    splits: str = "named"
    pictures: str = "copy"
    predictions: str | None = None
    split: str = "test"
    threshold: float = 0.5
    cache_dir: str | None = None


def convert(cfg: ConvertConfig) -> tuple[list[Labelled], FaultReport]:
    """Write the set or the predictions; the pictures, and what the check found.

    Raises:
        ConfigError: keys that do not go together. DataError: a set that cannot be read.
        StorageError: the folder is not empty or cannot be written; nothing is left of it then.
    """
    writer = WRITERS.find(cfg.to)
    for key, value, known in (
        ("pictures", cfg.pictures, PICTURES),
        ("splits", cfg.splits, SPLITS),
    ):
        if value not in known:
            raise ConfigError(unknown_choice(key, value, known))
    output = Path(cfg.output).expanduser().absolute()
    refuse_output(output, folder=True)
    _refuse_full(output)
    if cfg.predictions is not None:
        root = None if cfg.root is None else set_folder(cfg.root)
        _refuse_inside(output, root)
        source = Path(cfg.predictions).expanduser()
        pictures, classes = gather_predictions(source, root, cfg.split, cfg.threshold)
        told, faults = "predictions", FaultReport()
    else:
        if cfg.root is None:
            raise ConfigError("root=FOLDER of the set, or predictions=RUN, is missing")
        root = set_folder(cfg.root)
        _refuse_inside(output, root)
        found = gather(_data_config(cfg, root), root, _cache_dir(cfg))
        pictures, classes, faults, told = found.pictures, found.classes, found.faults, found.format
    _write(output, writer, pictures, classes, cfg.pictures)
    _tell(cfg.to, told, output, pictures, faults, writer)
    return pictures, faults


def _data_config(cfg: ConvertConfig, root: Path) -> DataConfig:
    names = [name.strip() for name in (cfg.classes or "").strip("[]").split(",") if name.strip()]
    return DataConfig(
        name="convert",
        format=cfg.format,
        root=str(root),
        classes=names or None,
        splits=cfg.splits,
    )


def _cache_dir(cfg: ConvertConfig) -> Path:
    return Path(cfg.cache_dir or os.environ.get("TLX_CACHE") or "~/.cache/tlx").expanduser()


def _refuse_full(output: Path) -> None:
    if output.is_dir() and any(output.iterdir()):
        raise StorageError(f"{output} is not empty: give a new folder, or empty it")


def _refuse_inside(output: Path, root: Path | None) -> None:
    if root is not None and output.resolve().is_relative_to(root.resolve()):
        raise ConfigError(
            f"output={output} lies in the set {root}, which would then hold two: give a folder "
            "outside of it"
        )


def _write(
    output: Path,
    writer: Writer,
    pictures: Sequence[Labelled],
    classes: list[str],
    how: str,
) -> None:
    """Fill a neighbouring folder, then put it in place of `output`, which is empty or not there."""
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    _remove_left(output)
    try:
        partial.mkdir(parents=True)
        for picture in pictures if how != "none" else ():
            place = partial / writer.place(picture)
            place.parent.mkdir(parents=True, exist_ok=True)
            if how == "copy":
                shutil.copyfile(picture.image, place)
            else:
                place.symlink_to(picture.image.resolve())
        writer.write(partial, pictures, classes)
        if listing := _class_list(classes):
            write_text(partial / "labels.txt", listing)
        with suppress(FileNotFoundError):
            output.rmdir()  # it is empty, and a folder cannot take the place of one on all systems
        os.replace(partial, output)
    except OSError as error:
        raise StorageError(
            f"{output} cannot be written: {error.strerror or error}: {remedy(error)}"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_left(output: Path) -> None:
    """Remove what a killed program left of this output: it has the size of the set."""
    for left in output.parent.glob(f".{glob.escape(output.name)}.*.partial"):
        number = left.suffixes[-2].removeprefix(".")
        if number.isdecimal() and not psutil.pid_exists(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _class_list(classes: list[str]) -> str:
    """labels.txt, which keeps the order of classes; "" where a name cannot stand in one."""
    plain = all(name == name.strip() and "\n" not in name and "," not in name for name in classes)
    return "".join(f"{name}\n" for name in classes) if plain else ""


def _tell(
    to: str,
    format: str,
    output: Path,
    pictures: Sequence[Labelled],
    faults: FaultReport,
    writer: Writer,
) -> None:
    boxes = sum(len(picture.names) for picture in pictures)
    splits = Counter(picture.split for picture in pictures)
    told = ", ".join(f"{split} {count}" for split, count in splits.items() if split)
    print(f"{format} -> {to}: {len(pictures)} pictures, {boxes} boxes{': ' if told else ''}{told}")
    difficult = sum(int(picture.difficult.sum()) for picture in pictures)
    if difficult and "difficult" not in writer.keeps:
        print(f"lost: {to} has no place for the mark of {difficult} difficult boxes")
    if "scores" not in writer.keeps and any(p.scores is not None for p in pictures):
        print(f"lost: {to} has no place for scores")
    for kind, count in faults.counts().items():
        print(f"{count} {kind}: {RULES[kind].action} ({RULES[kind].why})")
        for fault in [fault for fault in faults.faults if fault.kind == kind][:SHOWN]:
            print(f"  {fault.image} [{fault.where}]{': ' if fault.detail else ''}{fault.detail}")
    print(f"wrote {output}")


def main(arguments: list[str]) -> None:
    """Entry point; raises `TlxError` where nothing could be written."""
    pictures, _ = convert(parse(ConvertConfig, arguments))
    if not pictures:
        raise DataError("there was no picture to write")
