"""The other formats: each runs, and gives what the detector gives."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.export.helpers_export import (
    expected,
    normalised,
    pixels,
    save_pictures,
    write_checkpoint,
    written,
)
from tlx.common.errors import ConfigError, ToolError, WeightsError
from tlx.export.formats import FORMATS
from tlx.export.job import Job
from tlx.export.other_environment import interpreter
from tlx.models.detectors.ssd.ssd import SSD
from tlx.models.normalisation import Normalisation
from tlx.runtime.meta import find_meta


@pytest.fixture
def detector(tmp_path: Path) -> SSD:
    return write_checkpoint(tmp_path / "best.ckpt")


def images_of(detector: SSD) -> np.ndarray:
    return normalised(pixels(), Normalisation.of(detector))


def check(detector: SSD, scores: np.ndarray, boxes: np.ndarray, tolerance: float = 1e-4) -> None:
    want_scores, want_boxes = expected(detector, pixels())
    assert np.abs(np.asarray(scores).reshape(want_scores.shape) - want_scores).max() < tolerance
    assert np.abs(np.asarray(boxes).reshape(want_boxes.shape) - want_boxes).max() < tolerance


def test_an_export_that_is_killed_leaves_no_description_of_another(
    detector: SSD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = written(tmp_path / "best.ckpt", "torchscript", tmp_path / "a")
    write = FORMATS["torchscript"].write

    def killed(job: Job) -> Path:
        write(job)
        raise KeyboardInterrupt

    monkeypatch.setitem(FORMATS, "torchscript", replace(FORMATS["torchscript"], write=killed))
    write_checkpoint(tmp_path / "best.ckpt", "mobilenet_v2")
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path / "best.ckpt", "torchscript", tmp_path / "a", name=made.path.stem)
    with pytest.raises(WeightsError, match=r"does not say what it detects"):
        find_meta(made.path)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.1)])
def test_torchscript(precision: str, tolerance: float, detector: SSD, tmp_path: Path) -> None:
    made = written(tmp_path / "best.ckpt", "torchscript", tmp_path / "a", precision=precision)
    extra = {"model.json": ""}
    network = torch.jit.load(made.path, _extra_files=extra)
    check(detector, *network(torch.from_numpy(images_of(detector))), tolerance)
    assert json.loads(extra["model.json"])["classes"] == ["cat", "dog"]
    again = written(tmp_path / "best.ckpt", "torchscript", tmp_path / "b", precision=precision)
    assert made.path.read_bytes() == again.path.read_bytes()


def test_pt2(detector: SSD, tmp_path: Path) -> None:
    made = written(tmp_path / "best.ckpt", "pt2", tmp_path / "a")
    extra = {"model.json": ""}
    network = torch.export.load(made.path, extra_files=extra).module()
    check(detector, *network(torch.from_numpy(images_of(detector))))
    assert json.loads(extra["model.json"])["input_size"] == 96
    again = written(tmp_path / "best.ckpt", "pt2", tmp_path / "b")
    assert made.path.read_bytes() == again.path.read_bytes()


@pytest.mark.skipif(not find_spec("openvino"), reason="no openvino: pip install 'tlx-detect[edge]'")
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("fp16", 0.1)])
def test_openvino(precision: str, tolerance: float, detector: SSD, tmp_path: Path) -> None:
    import openvino

    made = written(tmp_path / "best.ckpt", "openvino", tmp_path / "a", precision=precision)
    hint = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(str(made.path), "CPU", hint)
    outputs = compiled(images_of(detector))
    check(detector, outputs["scores"], outputs["boxes"], tolerance)
    assert set(made.description["files"]) == {made.path.name, made.path.with_suffix(".bin").name}
    again = written(tmp_path / "best.ckpt", "openvino", tmp_path / "b", precision=precision)
    for name in made.description["files"]:
        assert (tmp_path / "a" / name).read_bytes() == (again.path.parent / name).read_bytes()


@pytest.mark.skipif(
    not (find_spec("ncnn") and find_spec("pnnx")),
    reason="no ncnn, pnnx: pip install 'tlx-detect[edge]'",
)
def test_ncnn(detector: SSD, tmp_path: Path) -> None:
    import ncnn

    made = written(tmp_path / "best.ckpt", "ncnn", tmp_path / "a")
    network = ncnn.Net()
    network.opt.num_threads = 1
    # On where the processor has them, and another network than the one that was written.
    for option in ("fp16_packed", "fp16_storage", "fp16_arithmetic", "bf16_storage"):
        setattr(network.opt, f"use_{option}", False)
    network.load_param(str(made.path))
    network.load_model(str(made.path.with_suffix(".bin")))
    images = images_of(detector)  # a Mat shares their memory
    with network.create_extractor() as extractor:
        extractor.input("in0", ncnn.Mat(images[0]))
        scores, boxes = (np.array(extractor.extract(name)[1]) for name in ("out0", "out1"))
    check(detector, scores, boxes, 1e-3)
    again = written(tmp_path / "best.ckpt", "ncnn", tmp_path / "b")
    assert made.path.read_bytes() == again.path.read_bytes()


@pytest.mark.skipif(
    "TLX_TFLITE_ENV" not in os.environ or not find_spec("ai_edge_litert"),
    reason="no environment with litert-torch in TLX_TFLITE_ENV, or no ai-edge-litert here",
)
def test_tflite(detector: SSD, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    made = written(tmp_path / "best.ckpt", "tflite", tmp_path / "a")
    network = Interpreter(str(made.path), num_threads=1)
    network.allocate_tensors()
    (given,), results = network.get_input_details(), network.get_output_details()
    network.set_tensor(given["index"], images_of(detector))
    network.invoke()
    check(detector, *(network.get_tensor(result["index"]) for result in results), 1e-4)


@pytest.mark.skipif("TLX_KMODEL_ENV" not in os.environ, reason="no nncase 1.9 in TLX_KMODEL_ENV")
def test_kmodel(detector: SSD, tmp_path: Path) -> None:
    save_pictures(tmp_path / "pictures")
    made = written(
        tmp_path / "best.ckpt", "kmodel", tmp_path / "a", precision="int8",
        calibration=tmp_path / "pictures",
    )  # fmt: skip
    assert made.path.read_bytes()[:4] == b"LDMK"
    assert int.from_bytes(made.path.read_bytes()[4:8], "little") == 5


def test_a_converter_without_its_environment_says_how_to_make_it(
    detector: SSD, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TLX_TFLITE_ENV", raising=False)
    with pytest.raises(ToolError, match=r"tflite-env/bin/pip install 'litert-torch"):
        written(tmp_path / "best.ckpt", "tflite", tmp_path / "out")
    with pytest.raises(ConfigError, match="holds no bin/python"):
        interpreter(tmp_path, "tflite", "")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").touch()
    monkeypatch.setenv("TLX_KMODEL_ENV", str(tmp_path))
    assert interpreter(None, "kmodel", "") == tmp_path / "bin" / "python"
