"""Damaged and hostile files at every reader: an error in words or an answer, and nothing else.

Each mutation follows from its number. A reader may take a mutated file, or raise a `TlxError`; any
other exception, a hang, or a file that appears outside the sample's folder fails.
"""

from __future__ import annotations

import json
import pickle
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tlx.backbones.weights import read_torch
from tlx.checkpoint import load_detector
from tlx.closing import closing
from tlx.config import stored_config
from tlx.data.check import check
from tlx.data.fixes import read_fixes
from tlx.data.formats import read_annotations, stated_classes
from tlx.data.pictures import UnreadablePicture, decode, probe
from tlx.errors import TlxError
from tlx.evaluation.detections import read_detections
from tlx.predictions import read_predictions
from tlx.record import read_record
from tlx.report import comparison_table
from tlx.report.arms import Arm
from tlx.report.build import read_comparison
from tlx.report.compare import compare
from tlx.report.latency import read_latencies
from tlx.report.records import Record, load_records
from tlx.resume import find_resume
from tlx.runtime.meta import find_meta
from tlx.schema import Config
from tlx.study.decision import read_decision

LIMIT_S = 20.0
QUICK, SLOW = 16, 160  # mutations a reader
SAMPLES = Path(__file__).parent

RECORD = {
    "version": 1, "status": "finished", "error": None, "name": "freeze=4-seed=0-a1",
    "fingerprint": "a1", "backbone": "mobilenet_v1", "freeze": "4", "policy": "fixed",
    "data": "voc", "seed": 0, "epochs": 2, "batch_size": 6, "input_size": 96,
    "precision": "32-true", "classes": ["blue", "red"], "started": "2026-01-01T00:00:00+00:00",
    "finished": "2026-01-01T00:10:00+00:00", "best": {"epoch": 1, "step": 6, "map": 0.1},
    "test": {
        "map": 0.1, "map_50": 0.2, "images": 6, "boxes": 5,
        "per_class": {"blue": {"boxes": 2, "ap": 0.1, "ap_50": 0.2, "reason": None}},
    },
    "step_time": {"steps": 5, "median_s": 0.6, "p10_s": 0.5, "p90_s": 0.7},
    "bound": {"step_share": 0.5, "speedup": 2.0}, "frozen": {"blocks": ["a"], "parameters": 3},
    "trainable": {"parameters": 5}, "memory": {"peak_rss_bytes": 10**9},
    "time": {"fit_s": 5.6, "test_s": 0.4}, "energy": {"joules": None, "reason": "none"},
    "loss": [[1.0, 1, 9.8], [2.0, 6, 7.5]], "map": [[2.8, 3, 0.0], [5.5, 6, 0.1]],
    "map_50": [[2.8, 3, 0.0], [5.5, 6, 0.2]],
    "data_report": {
        "root": "/data", "faults": {}, "label_noise": None, "leaks": [], "warnings": [],
        "counts": {"train": {"images": 18, "boxes": 15}, "test": {"images": 6, "boxes": 5}},
    },
    "environment": {"host": "a", "cpu": "b"}, "phases": [{"first_epoch": 0, "frozen_blocks": 4}],
}  # fmt: skip
PREDICTIONS = {
    "version": 1, "split": "test", "score_floor": 0.05, "classes": ["blue", "red"],
    "images": [{
        "image": "test/0.png", "sha256": "0" * 64, "width": 96, "height": 80,
        "truth": {"boxes": [[1.0, 2.0, 30.0, 40.0]], "labels": [2], "ignored": [False]},
        "found": {"boxes": [[1.0, 2.0, 30.0, 40.0]], "labels": [1], "scores": [0.5]},
    }],
}  # fmt: skip
COCO = {
    "images": [{"id": 1, "file_name": "0.png", "width": 96, "height": 80}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 5.5]}],
    "categories": [{"id": 7, "name": "cat"}],
}
DETECTIONS = {
    "version": 1, "model": "m", "images": [
        {"image": "0.png", "boxes": [[1, 2, 3, 4]], "labels": [1], "scores": [0.5]}
    ],
}  # fmt: skip
VOC = (
    "<annotation><filename>0.png</filename><size><width>96</width><height>80</height></size>"
    "<object><name>red</name><difficult>0</difficult><bndbox><xmin>1</xmin><ymin>2</ymin>"
    "<xmax>30</xmax><ymax>40</ymax></bndbox></object></annotation>"
)
META = {
    "classes": ["blue", "red"], "input_size": 96, "format": "onnx", "precision": "fp32",
    "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}, "config": {},
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """A file, and who reads it.

    Attributes:
        file: what is mutated, below the sample's folder. content: of it when it is whole.
        read: gets the folder.
    """

    file: str
    content: bytes | Callable[[], bytes]
    read: Callable[[Path], object]


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _picture() -> bytes:
    import io

    into = io.BytesIO()
    Image.new("RGB", (96, 80), (200, 30, 30)).save(into, "JPEG")
    return into.getvalue()


def _checkpoint() -> bytes:
    import io

    into = io.BytesIO()
    meta = {
        "version": "0", "backbone": "mobilenet_v1", "conventions": {}, "classes": ["red"],
        "input_size": 96, "config": {"seed": 0},
    }  # fmt: skip
    torch.save({"tlx": meta, "global_step": 3, "state_dict": {"a": torch.ones(4)}}, into)
    return into.getvalue()


def _arms() -> list[Arm]:
    return [row.arm for row in compare([Record(Path("r"), RECORD)]).rows]


def _report(folder: Path) -> None:
    record = read_record(folder)
    comparison_table(load_records([folder]).records)
    read_comparison([folder])
    if record is not None and record.get("status") == "finished":
        closing(record, folder)


def _decode(folder: Path) -> None:
    try:
        probe(folder / "0.jpg")
        decode(folder / "0.jpg", rotate=True, max_side=640)
    except UnreadablePicture:  # a row in the faults, to the callers
        return


TARGETS = {
    "record": Target("record.json", _json(RECORD), _report),
    "config": Target(
        "config.yaml", b"freeze: '4'\nseed: 0\ntrainer:\n  epochs: 2\ncache_dir: c\n",
        lambda f: stored_config(f / "config.yaml", Config, "c"),
    ),
    "decision": Target("pilot.json", _json({"choice": 4, "rungs": [[1, 2]]}), read_decision),
    "predictions": Target("predictions/test.json", _json(PREDICTIONS), read_predictions),
    "fixes": Target(
        "fixes.csv", b"image,tag,label\n0.png,wrong-label,red\n",
        lambda f: read_fixes(f / "fixes.csv"),
    ),
    "labels": Target("labels.txt", b"BACKGROUND\nred\nblue\n", stated_classes),
    "voc": Target("0.xml", VOC.encode(), lambda f: _read_set("voc", f)),
    "coco": Target("annotations.json", _json(COCO), lambda f: _read_set("coco", f)),
    "txt": Target("0.txt", b"1\n1 2 30 40\n", lambda f: _read_set("txt", f)),
    "picture": Target("0.jpg", _picture, _decode),
    "detections": Target(
        "found.json", _json(DETECTIONS), lambda f: read_detections(f / "found.json")
    ),
    "latency": Target(
        "latency.json", _json([{"policy": "freeze=4", "latency_ms": 23.4, "device": "Pi 5"}]),
        lambda f: read_latencies(f / "latency.json", _arms()),
    ),
    "weights": Target("w.pth", _checkpoint, lambda f: read_torch(f / "w.pth")),
    "checkpoint": Target("best.ckpt", _checkpoint, lambda f: load_detector(f / "best.ckpt")),
    "resume": Target("last.ckpt", _checkpoint, lambda f: find_resume(f, "none")),
    "model": Target("model.json", _json(META), lambda f: find_meta(f / "model.onnx")),
}  # fmt: skip


def _read_set(format: str, folder: Path) -> None:
    classes = ["red"] if format == "txt" else None
    check(read_annotations(format, folder, classes), classes, strict=False)


class Payload:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


WEIRD: tuple[Any, ...] = (
    None, True, -1, 0, 10**400, 1e308, float("nan"), float("inf"), "", "x" * 5000, "../../../x",
    "\ud800", "\0", [], {}, [[[]]], {"a": {"b": None}}, "${oc.env:HOME}", "1e999", [None] * 3,
)  # fmt: skip


def mutate(path: Path, content: bytes, rng: random.Random) -> str:
    """Write a mutation of `content` to `path`; returns its name."""
    kind = rng.choice(
        ["cut", "zero", "flip", "insert", "empty", "latin", "deep", "pickle", "folder", "loop"]
        + (["value", "drop"] * 8 if path.suffix == ".json" else ["flip", "insert", "cut"] * 3)
    )
    data = bytearray(content)
    at = rng.randrange(len(data))
    if kind == "cut":
        data = data[:at]
    elif kind == "zero":
        data[at:] = bytes(len(data) - at)
    elif kind == "flip":
        for _ in range(rng.choice((1, 8, 64))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == "insert":
        data[at:at] = rng.choice(
            (b"\xff\xfe", b"\0\0", b"1e999", b"-", b"../../x", b"<", b"{", b"9" * 5000, b"\r\n\r")
        )
    elif kind == "empty":
        data = bytearray()
    elif kind == "latin":
        data[at:at] = "Zoë".encode("latin-1")
    elif kind == "deep":
        data = bytearray(b"[" * 100_000 if path.suffix != ".xml" else b"<a>" * 100_000)
    elif kind == "pickle":
        data = bytearray(pickle.dumps(Payload(path.parents[1] / "executed")))
    elif kind in ("value", "drop"):
        data = bytearray(_json(_changed(json.loads(content), rng, drop=kind == "drop")))
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_bytes(data)
    return kind


def _changed(value: Any, rng: random.Random, *, drop: bool) -> Any:
    """`value` with one thing in it taken away or made something else."""
    places = list(_places(value))
    if not places:
        return rng.choice(WEIRD)
    parent, key = rng.choice(places)
    if drop:
        del parent[key]
    else:
        parent[key] = rng.choice(WEIRD)
    return value


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, child in list(pairs) if isinstance(value, (dict, list)) else []:
        yield value, key
        if isinstance(child, (dict, list)):
            yield from _places(child)


def _trial(target: Target, name: str, number: int, folder: Path) -> str | None:
    """What a reader did wrong with mutation `number`, or None."""
    sample = folder / "sample"
    path = sample / target.file
    path.parent.mkdir(parents=True)
    Image.new("RGB", (96, 80)).save(sample / "0.png")
    content = target.content if isinstance(target.content, bytes) else target.content()
    path.write_bytes(content)
    kind = mutate(path, content, random.Random(f"{name} {number}"))
    fault = None
    started = time.monotonic()
    try:
        target.read(sample)
    except TlxError:
        pass
    except Exception as error:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        line = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else ""
        fault = f"{type(error).__name__}: {str(error)[:150]} at {line}"
    if time.monotonic() - started > LIMIT_S:
        fault = f"took {time.monotonic() - started:.0f} s"
    if outside := [p.name for p in folder.iterdir() if p != sample]:
        fault = f"wrote {outside} outside"
    shutil.rmtree(folder)
    return fault and f"{name} {number} ({kind}): {fault}"


def _trials(name: str, count: int, tmp_path: Path) -> list[str]:
    found = (_trial(TARGETS[name], name, i, tmp_path / str(i)) for i in range(count))
    return [fault for fault in found if fault]


@pytest.mark.parametrize("name", TARGETS)
def test_the_whole_sample_gets_past_the_reader(name: str, tmp_path: Path) -> None:
    """Otherwise the mutations would all stop at the door."""
    target = TARGETS[name]
    path = tmp_path / target.file
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (96, 80)).save(tmp_path / "0.png")
    path.write_bytes(target.content if isinstance(target.content, bytes) else target.content())
    if name in ("checkpoint", "resume", "config", "model", "fixes"):  # deep enough for an error
        pytest.skip("the sample is a sketch")
    target.read(tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_end_in_words(name: str, tmp_path: Path) -> None:
    assert _trials(name, QUICK, tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_end_in_words_many(name: str, tmp_path: Path) -> None:
    assert _trials(name, SLOW, tmp_path) == []
