"""Damaged and hostile files at every reader: an error in words or an answer, and nothing else.

Each mutation follows from its number. A reader may take a mutated file, or raise a `TlxError`; any
other exception, a hang, or a file that appears outside the sample's folder fails. Here are the
readers of single files; those of runs and networks are in test_mutations_runs.py.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stderr, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import tlx.cache
import tlx.train
from tests.conftest import write_set
from tests.data.helpers_codecs import CSV, JSON, LINES, ONNX, YAML, json_bytes
from tests.data.helpers_mutations import Target, argv, content, faults, program
from tests.jetson.helpers_jetson import load_tool, write_onnx
from tests.jetson.helpers_tensorrt import HostCuda, install
from tlx.activations.codec import Codec as Activations
from tlx.activations.store import CHECKS, ActivationStore
from tlx.activations.store import META as STORE_META
from tlx.common.errors import TlxError
from tlx.config.schema import DetectorConfig
from tlx.data.cache import INDEX, PIXELS, ImageCache
from tlx.data.check import check
from tlx.data.fixes import apply_fixes, read_fixes
from tlx.data.formats import read_annotations, stated_classes
from tlx.data.formats.annotations import Item
from tlx.data.formats.pictures import UnreadablePicture, decode, probe
from tlx.data.sample import ensure_sample
from tlx.evaluation.detections import evaluate_detections, read_detections
from tlx.live.collect import Collection
from tlx.records.pilot import read_decision
from tlx.records.predictions import read_predictions
from tlx.records.record import read_record
from tlx.report import comparison_table
from tlx.report.build import read_comparison
from tlx.report.comparison.arms import Arm
from tlx.report.comparison.compare import compare
from tlx.report.comparison.latency import read_latencies
from tlx.report.comparison.records import Record, load_records
from tlx.runtime.meta import find_meta
from tlx.training.closing import closing

jb = load_tool()

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
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 5.5], "area": 55,
         "iscrowd": 0, "segmentation": [[1, 2, 11, 2, 11, 7]]},
        {"id": 2, "image_id": 1, "category_id": 7, "bbox": [1, 2, 10, 5.5], "iscrowd": 1},
    ],
    "categories": [{"id": 7, "name": "cat", "supercategory": "animal"}],
    "info": {"year": 2026},
}  # fmt: skip
DETECTIONS = {
    "version": 1, "model": {"sha256": "0" * 64, "name": "m"}, "preprocess": "tlx",
    "score_threshold": 0.01,
    "images": [{
        "image": "0.png", "width": 96, "height": 80,
        "detections": [{"label": 1, "score": 0.5, "box": [1, 2, 30, 40]}],
    }],
}  # fmt: skip
VOC = (
    "<annotation>\n<filename>0.png</filename>\n<size> <width>96</width> <height>80</height> </size>"
    "\n<object> <name>red</name> <difficult>0</difficult> <bndbox> <xmin>1</xmin> <ymin>2</ymin> "
    "<xmax>30</xmax> <ymax>40</ymax> </bndbox> </object>\n</annotation>\n"
)
META = {
    "classes": ["blue", "red"], "input_size": 96, "format": "onnx", "precision": "fp32",
    "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "config": {"data": {"name": "voc"}},
    "artefact": "model.onnx", "checkpoint_sha256": "0" * 64,
    "postprocess": {"score_threshold": 0.01, "nms_iou": 0.45, "max_detections": 100},
}  # fmt: skip
TEGRASTATS = (
    "RAM 3461/7772MB (lfb 4x4MB) SWAP 0/3886MB (cached 0MB) CPU [2%@1190,off,1%@1190,0%@1190] "
    "EMC_FREQ 0%@2133 GR3D_FREQ 12%@[1007,1005] CV0@-256C CPU@45.25C Tboard@37C "
    "VDD_IN 5263mW/5100mW VDD_CPU_GPU_CV 900mW/800mW\n"
)


def _picture(folder: Path) -> None:
    Image.new("RGB", (96, 80), (200, 30, 30)).save(folder / "0.png")


def with_picture(file: str, text: bytes | str) -> Callable[[Path], object]:
    """A sample of one file beside a picture."""

    def write(folder: Path) -> None:
        content(file, text)(folder)
        _picture(folder)

    return write


# ---------------------------------------------------------------------------------- what is read


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


def _read_set(format: str, folder: Path) -> None:
    classes = ["red"] if format == "txt" else None
    check(read_annotations(format, folder, classes), classes, strict=False)


def _item(folder: Path) -> Item:
    return Item(
        folder / "0.png", np.array([[1, 2, 30, 40]], np.float32), np.array([1]),
        np.zeros(1, bool), (96, 80), "0" * 64,
    )  # fmt: skip


def _fix(folder: Path) -> None:
    parts = {"train": [_item(folder), _item(folder)], "val": [_item(folder)]}
    parts["train"][1].image = folder / "1.png"
    fixes = read_fixes(folder / "fixes.csv")
    faults = check(read_annotations("voc", folder, ["red"]), ["red"], strict=False).faults
    apply_fixes(fixes, parts, [folder / "0.png"], folder, ["red"], faults)


def _write_fixes(folder: Path) -> None:
    content("0.xml", VOC)(folder)
    _picture(folder)
    text = (
        "image,tag,object,class,xmin,ymin,xmax,ymax\n0.png,wrong-label,picture,,,,,\n"
        "0.png,wrong box,truth,red,1,2,30,40\n0.png,seen,found,red,1,2,30,40\n"
    )
    content("fixes.csv", text)(folder)


def _detections(folder: Path) -> None:
    stored = read_detections(folder / "found.json")
    evaluate_detections(stored, [_item(folder)], ["red"], DetectorConfig())


def _cached_items(folder: Path) -> list[Item]:
    _, items, _ = _checked(folder)
    return items


def _checked(folder: Path) -> tuple[Path, list[Item], Any]:
    result = check(read_annotations("voc", folder / "set", None), None, strict=False)
    return folder, result.items, result


def _write_image_cache(folder: Path) -> None:
    write_set(folder / "set", {"train": 4})
    built = ImageCache.build(_cached_items(folder), folder / "cache" / "images", workers=1)
    built.path.rename(folder / "cache" / "images" / "one")


def _image_cache(folder: Path) -> None:
    """Open, and build again where it is damaged; then every picture is as long as its index."""
    items = _cached_items(folder)
    try:
        cache = ImageCache(folder / "cache" / "images" / "one")
        for digest in [*cache._places]:
            assert cache[digest].ndim == 3
    except TlxError:
        pass
    cache = ImageCache.build(items, folder / "cache" / "images", workers=1)
    for item in items:
        assert cache[item.digest].shape == (80, 96, 3)
    program(tlx.cache.main, "list", f"cache_dir={folder / 'cache'}")


def _store(folder: Path) -> ActivationStore:
    shapes = [(2, 5, 4), (3, 2, 2)]
    fields = Activations("f32", shapes).fields
    describe = {"backbone": "mobilenet_v1", "blocks": 4, "count": 5, "views": 2, "seed": 0,
                "dtype": "f32"}  # fmt: skip
    return ActivationStore(folder / "activations" / "one", 10, fields, describe)


def _write_store(folder: Path) -> None:
    store = _store(folder)
    maps = [torch.randn(3, 2, 5, 4), torch.randn(3, 3, 2, 2)]
    store.write([7, 2, 5], Activations("f32", [(2, 5, 4), (3, 2, 2)]).encode(maps))
    store.flush()


def _activations(folder: Path) -> None:
    program(tlx.cache.main, "list", f"cache_dir={folder}")
    store = _store(folder)
    for slot in range(10):
        if store.filled([slot]):
            store.read([slot])
    store.filled_count()


def _experiment(folder: Path) -> None:
    arguments = [f"hydra.searchpath=[file://{folder}]", "experiment=mine", "--cfg", "job"]
    with argv(arguments), redirect_stderr(io.StringIO()) as said, suppress(SystemExit):
        tlx.train.main()
    assert "Traceback" not in said.getvalue()


EXPERIMENT = (
    "# @package _global_\ndefaults:\n  - override /backbone: mobilenet_v1\n  - override /data: voc"
    "\nname: mine\nfreeze: 4\ntrainer:\n  epochs: 3\n  base_lr: 0.01\ndata:\n  root: /data\n"
    "hydra:\n  sweeper:\n    params:\n      seed: 0,1\n"
)


# ----------------------------------------------------------------------------- the Jetson's tool


def _jetson(folder: Path, *arguments: str) -> None:
    code = jb.main([str(folder / arguments[0]), *arguments[1:]], open_cuda=HostCuda,
                   board=jb.Board(str(folder / "no-board")))  # fmt: skip
    assert code in (0, 1, 2)


QUICK = ["--warmup", "0", "--iterations", "1", "--seconds", "0", "--interval", "9"]


def _write_jetson(folder: Path) -> None:
    about = {key: META[key] for key in ("classes", "mean", "std", "postprocess")}
    write_onnx(str(folder / "m.onnx"), metadata=[("tlx", json.dumps(about))])
    (folder / "model.json").write_text(json.dumps(META))
    (folder / "pictures").mkdir()
    _picture(folder / "pictures")
    (folder / "list.txt").write_text("0.png\n")
    (folder / "int8.calib").write_text("TRT-10300-EntropyCalibration2\nscores: 3c010a14\n")
    install("10.3.0")
    _jetson(folder, "m.onnx", *QUICK, "--output", str(folder / "result.json"))
    (engine,) = folder.glob("*.engine")
    engine.rename(folder / "m.engine")
    (folder / f"{engine.name}.json").rename(folder / "m.engine.json")


def _jetson_run(folder: Path) -> None:
    install("10.3.0")
    options = [*QUICK, "--images", str(folder / "pictures"), "--list", str(folder / "list.txt")]
    _jetson(folder, "m.onnx", "--check")
    _jetson(folder, "m.onnx", *options, "--detections", str(folder / "found.json"),
            "--output", str(folder / "result.json"), "--append")  # fmt: skip


def _jetson_engine(folder: Path) -> None:
    install("10.3.0")
    (folder / "m.onnx").unlink(missing_ok=True)
    options = [*QUICK, "--images", str(folder / "pictures")]
    _jetson(folder, "m.engine", *options, "--detections", str(folder / "found.json"))


def _jetson_model(folder: Path) -> None:
    """A file without metadata, so that what lies beside it counts."""
    install("10.3.0")
    write_onnx(str(folder / "m.onnx"))
    options = [*QUICK, "--images", str(folder / "pictures"), "--precision", "int8"]
    _jetson(folder, "m.onnx", *options, "--calibration", str(folder / "int8.calib"),
            "--detections", str(folder / "found.json"))  # fmt: skip


def _tegrastats(folder: Path) -> None:
    """As the tool reads its pipe."""
    samples = []
    with (folder / "lines.txt").open(errors="replace") as file:
        for number, line in enumerate(file):
            sample = jb.parse_tegrastats(line)
            sample.update(t=float(number), source="tegrastats")
            samples.append(sample)
    limits = {"current": 1, "min": 1, "max": 1}
    jb.summarise(samples)
    jb.throttle_reasons(samples, limits, 1.0)


def _reading(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """A reader of a path that is opened by its caller, so that no such file is its caller's."""

    def guarded(folder: Path) -> None:
        try:
            read(folder)
        except OSError:
            if (folder / "lines.txt").is_file():
                raise

    return guarded


TARGETS = {
    "record": Target("record.json", content("record.json", json_bytes(RECORD)), _report, JSON),
    "decision": Target(
        "pilot.json", content("pilot.json", json_bytes({"choice": 4, "rungs": [[1, 2]]})),
        read_decision, JSON,
    ),
    "predictions": Target(
        "predictions/test.json", content("predictions/test.json", json_bytes(PREDICTIONS)),
        read_predictions, JSON,
    ),
    "fixes": Target("fixes.csv", _write_fixes, _fix, CSV),
    "labels": Target(
        "labels.txt", content("labels.txt", "BACKGROUND\nred\nblue\n"), stated_classes, LINES
    ),
    "capture's labels": Target(
        "set/labels.txt", content("set/labels.txt", "red\nblue\n"),
        lambda f: Collection(f / "set", labels=("red", "blue")).add(
            np.zeros((80, 96, 3), np.uint8), "one"
        ), LINES,
    ),
    "voc": Target("0.xml", with_picture("0.xml", VOC), lambda f: _read_set("voc", f), LINES),
    "coco": Target(
        "annotations.json", with_picture("annotations.json", json_bytes(COCO)),
        lambda f: _read_set("coco", f), JSON,
    ),
    "txt": Target(
        "0.txt", with_picture("0.txt", "1\n1 2 30 40\n"), lambda f: _read_set("txt", f), LINES
    ),
    "yolo": Target(
        "0.txt", with_picture("0.txt", "0 0.5 0.5 0.2 0.2\n1 0.3 0.3 0.1 0.1\n"),
        lambda f: _read_set("yolo", f), LINES,
    ),
    "yolo's names": Target(
        "data.yaml",
        lambda f: (
            with_picture("0.txt", "0 0.5 0.5 0.2 0.2\n")(f),
            content("data.yaml", "path: ../set\ntrain: images\nnc: 2\nnames: [red, blue]\n")(f),
        ),
        lambda f: _read_set("yolo", f), YAML,
    ),
    "picture": Target(
        "0.jpg", lambda f: Image.new("RGB", (96, 80), (200, 30, 30)).save(f / "0.jpg"), _decode
    ),
    "detections": Target(
        "found.json", with_picture("found.json", json_bytes(DETECTIONS)), _detections, JSON
    ),
    "latency": Target(
        "latency.json",
        content("latency.json", json_bytes([
            {"policy": "freeze=4", "latency_ms": 23.4, "low_ms": 22, "high_ms": 25,
             "device": "Pi 5", "throttled": True, "throttle_reasons": ["hot"]}
        ])),
        lambda f: read_latencies(f / "latency.json", _arms()), JSON,
    ),
    "model": Target(
        "model.json", content("model.json", json_bytes(META)), lambda f: find_meta(f / "model.xml"),
        JSON,
    ),
    "picture cache, index": Target(f"cache/images/one/{INDEX}", _write_image_cache, _image_cache,
                                   JSON),
    "picture cache, pixels": Target(f"cache/images/one/{PIXELS}", _write_image_cache, _image_cache),
    "activations, meta": Target(f"activations/one/{STORE_META}", _write_store, _activations, JSON),
    "activations, checks": Target(f"activations/one/{CHECKS}", _write_store, _activations),
    "activations, field": Target("activations/one/field0.bin", _write_store, _activations),
    "sample": Target(
        "sample-v1-seed0-2-1-1/manifest.json",
        lambda f: ensure_sample(f, train=2, val=1, test=1, workers=1),
        lambda f: ensure_sample(f, train=2, val=1, test=1, workers=1), JSON, quick=6,
    ),
    "experiment": Target(
        "experiment/mine.yaml", content("experiment/mine.yaml", EXPERIMENT), _experiment, YAML,
        quick=8,
    ),
    "Jetson, ONNX": Target("m.onnx", _write_jetson, _jetson_run, ONNX),
    "Jetson, result": Target("result.json", _write_jetson, _jetson_run, JSON),
    "Jetson, list": Target("list.txt", _write_jetson, _jetson_run, LINES),
    "Jetson, picture": Target("pictures/0.png", _write_jetson, _jetson_run),
    "Jetson, engine": Target("m.engine", _write_jetson, _jetson_engine),
    "Jetson, engine's JSON": Target("m.engine.json", _write_jetson, _jetson_engine, JSON),
    "Jetson, model": Target("model.json", _write_jetson, _jetson_model, JSON),
    "Jetson, calibration": Target("int8.calib", _write_jetson, _jetson_model, LINES),
    "Jetson, tegrastats": Target(
        "lines.txt", content("lines.txt", TEGRASTATS * 3), _reading(_tegrastats), LINES
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _without_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `install` puts into `sys.modules` is taken out again."""
    import sys

    monkeypatch.setitem(sys.modules, "tensorrt", None)


@pytest.fixture
def master(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The whole sample, which its reader takes."""
    target = TARGETS[request.node.callspec.params["name"]]
    folder = tmp_path / "master"
    folder.mkdir()
    target.sample(folder)
    return folder


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_end_in_words(name: str, master: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    target.read(master)  # otherwise the mutations would all stop at the door
    assert [*faults(target, master, name, range(target.quick), tmp_path / "trials")] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_damaged_files_end_in_words_many(name: str, master: Path, tmp_path: Path) -> None:
    target = TARGETS[name]
    assert [*faults(target, master, name, range(target.many), tmp_path / "trials")] == []
