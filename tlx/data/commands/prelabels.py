"""What a model found, as pre-labels that people correct in a labelling tool."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, DataError
from tlx.common.files import parse_json
from tlx.data.formats.folders import set_folder
from tlx.data.formats.json_files import naming, read_annotation_json
from tlx.data.formats.named import NamedPictures
from tlx.data.formats.pictures import upright_size
from tlx.data.formats.shapes import number
from tlx.data.writers.base import Labelled, unique_names
from tlx.records.predictions import read_predictions
from tlx.records.record import read_record


@dataclass(frozen=True)
class _Found:
    """The detections in one picture, under the name that the file gives it."""

    image: str
    where: str
    size: tuple[int, int]
    boxes: list[list[float]]
    names: list[str]
    scores: list[float]


def gather_predictions(
    source: Path, root: Path | None, split: str, threshold: float
) -> tuple[list[Labelled], list[str]]:
    """The pictures of a run's predictions, or of a file of `tlx.predict`, and the class names.

    Pictures are only looked for below `root`; of a run, by default below its own data root.

    Raises:
        ConfigError: `root` is missing, or `threshold` is none.
        DataError: a damaged file, frames of a video, a picture that is not there or is another one.
    """
    if not 0 <= threshold <= 1:
        raise ConfigError(f"threshold={threshold:g} is not between 0 and 1")
    run = _run_of(source)
    if run is not None:
        classes, rows = _of_run(run, source.stem if source.is_file() else split)
        root = root or _data_root(run)
    else:
        rows = [*_of_predict(source)]
        classes = sorted({name for row in rows for name in row.names})
    if root is None:
        raise ConfigError("root=FOLDER of the pictures is missing")
    pictures = NamedPictures(root, [root], "image")
    places = [_place(pictures, row) for row in rows]
    found = []
    for row, image, name in zip(rows, places, unique_names(places), strict=True):
        keep = [i for i, score in enumerate(row.scores) if score >= threshold]
        found.append(
            Labelled(
                image=image,
                name=name,
                size=row.size,
                boxes=_inside(np.array([row.boxes[i] for i in keep]).reshape(-1, 4), row.size),
                names=[row.names[i] for i in keep],
                difficult=np.zeros(len(keep), bool),
                scores=[row.scores[i] for i in keep],
            )
        )
    return found, classes


def _run_of(source: Path) -> Path | None:
    """The folder of the run that a path means: itself, or that of its predictions/SPLIT.json."""
    if source.is_dir():
        return source
    return source.absolute().parents[1] if source.parent.name == "predictions" else None


def _data_root(run: Path) -> Path:
    record = read_record(run) or {}
    report = record.get("data_report")
    stated = report.get("root") if isinstance(report, dict) else None
    if not isinstance(stated, str):
        raise ConfigError(f"{run}/record.json names no data root: give root=FOLDER of the pictures")
    return set_folder(stated)


def _of_run(run: Path, split: str) -> tuple[list[str], list[_Found]]:
    stored = read_predictions(run, split)
    rows = [
        _Found(
            image=image.image,
            where=f"{run}/predictions/{split}.json",
            size=(image.width, image.height),
            boxes=image.found.boxes.tolist(),
            names=[stored.classes[label - 1] for label in image.found.labels.tolist()],
            scores=image.found.scores.tolist(),
        )
        for image in stored.images
    ]
    return stored.classes, rows


def _of_predict(source: Path) -> Iterator[_Found]:
    """The rows of a file of `tlx.predict`."""
    if not source.is_file():
        raise DataError(f"predictions={source}: there is no such run or file")
    for where, row in _rows(source):
        with naming(where):
            if "image" not in row:
                raise ValueError("a frame of a video, which is no picture to label")
            if "error" in row:  # it could not be read, and is no picture to label either
                continue
            found = row["detections"]
            yield _Found(
                image=str(row["image"]),
                where=where,
                size=(int(row["width"]), int(row["height"])),
                boxes=[[number(value) for value in _four(item["box"])] for item in found],
                names=[str(item["class"]) for item in found],
                scores=[number(item["score"]) for item in found],
            )


def _four(box: Any) -> Any:
    if len(box) != 4:
        raise ValueError(f"a box of {len(box)} numbers")
    return box


def _rows(source: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if source.suffix.lower() != ".jsonl":
        content = read_annotation_json(source)
        if not isinstance(content, list):
            raise DataError(f"{source}: no list of pictures, as tlx.predict writes it")
        for place, row in enumerate(content, start=1):
            yield f"{source} row {place}", row
        return
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{source}: not UTF-8 text ({error.reason})") from error
    for place, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield f"{source}:{place}", parse_json(line)
            except (ValueError, RecursionError, json.JSONDecodeError) as error:
                raise DataError(f"{source}:{place}: malformed JSON: {error}") from error


def _place(pictures: NamedPictures, row: _Found) -> Path:
    image = pictures.matching(row.image, row.where)
    size = upright_size(image) if image.is_file() else None
    if size is None:
        raise DataError(f"{row.where}: {row.image} is no picture below {pictures.root}: give root=")
    if size != row.size:
        raise DataError(
            f"{row.where}: {image} is {size[0]}x{size[1]} and was {row.size[0]}x{row.size[1]} when "
            "the model saw it: predict again"
        )
    return image


def _inside(boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes cut off at the picture's edge, as labelling tools demand."""
    return np.clip(boxes, 0, np.array([*size, *size], dtype=float))
