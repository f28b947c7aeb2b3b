"""The formats: what each writes, in which precisions, and through which packages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tlx.common.registry import Registry
from tlx.export.calibration_cache import write_calibration_cache
from tlx.export.job import Job
from tlx.export.ncnn_format import save_ncnn
from tlx.export.onnx_file import load_onnx, save_network, save_onnx
from tlx.export.onnx_nms import with_nms
from tlx.export.openvino_format import save_openvino
from tlx.export.other_environment import save_kmodel, save_tflite
from tlx.export.quantize import quantise
from tlx.export.torch_formats import save_pt2, save_torchscript
from tlx.runtime.description import to_properties


@dataclass(frozen=True)
class Format:
    """One choice of `format=`.

    Attributes:
        write: writes the artefact and returns its path.
        has_opset: whether it is an ONNX file, of the opset that is asked for.
    """

    write: Callable[[Job], Path]
    precisions: tuple[str, ...]
    has_opset: bool = False


def _onnx(job: Job) -> Path:
    path = job.path(".onnx")
    if job.precision == "int8":
        # TensorRT up to 10 may quantise by itself: the float file and the ranges of its tensors.
        plain = job.stem.with_name(job.stem.name.removesuffix("-int8") + ".onnx")
        _raw(replace(job, description=job.description | {"precision": "fp32"}), plain, half=False)
        quantise(plain, path, job.pictures(), "tensorrt")
        write_calibration_cache(plain, job.pictures(), job.path(".calib"))
        _stamp(job, path)
    else:
        _raw(job, path)
    return path


def _onnx_nms(job: Job) -> Path:
    path = job.path("-nms.onnx")
    with TemporaryDirectory() as folder:
        raw = _for_cpu(job, Path(folder))
        model = with_nms(load_onnx(raw), job.description["postprocess"])
    save_onnx(model, path, to_properties(job.description))
    return path


def _torchscript(job: Job) -> Path:
    save_torchscript(job.network(), job.size, path := job.path(".torchscript"), job.description)
    return path


def _pt2(job: Job) -> Path:
    save_pt2(job.network(), job.size, path := job.path(".pt2"), job.description)
    return path


def _openvino(job: Job) -> Path:
    path = job.path(".xml")
    with TemporaryDirectory() as folder:
        raw = _for_cpu(job, Path(folder), half=False)
        save_openvino(raw, path, half=job.precision == "fp16")
    return path


def _ncnn(job: Job) -> Path:
    path = job.path(".ncnn.param")
    save_ncnn(job.network(half=False), job.size, path, half=job.precision == "fp16")
    return path


def _tflite(job: Job) -> Path:
    path = job.path(".tflite")
    with TemporaryDirectory() as folder:
        program = Path(folder) / "network.pt2"
        save_pt2(job.network(), job.size, program, job.description)
        save_tflite(program, path, job.environment)
    return path


def _kmodel(job: Job) -> Path:
    path = job.path(".kmodel")
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "network.onnx"
        _raw(job, raw, half=False)
        save_kmodel(raw, job.pictures(), path, job.environment)
    return path


def _raw(job: Job, path: Path, half: bool | None = None) -> None:
    """The contract's ONNX file: scores and boxes of all priors."""
    save_network(job.network(half), job.size, path, job.opset)
    _stamp(job, path)


def _for_cpu(job: Job, folder: Path, half: bool | None = None) -> Path:
    """The raw model in the job's precision, quantised as CPU runtimes fuse it."""
    raw = folder / "network.onnx"
    if job.precision != "int8":
        _raw(job, raw, half)
        return raw
    _raw(job, raw, half=False)
    quantise(raw, folder / "int8.onnx", job.pictures(), "cpu")
    return folder / "int8.onnx"


def _stamp(job: Job, path: Path) -> None:
    save_onnx(load_onnx(path), path, to_properties(job.description))


FORMATS: Registry[Format] = Registry("format")


def register(name: str, format: Format) -> Format:
    """Make a format known as `format=NAME`."""
    return FORMATS.add(name, format, format.write.__module__)


_OWN = {
    "onnx": Format(_onnx, ("fp32", "fp16", "int8"), has_opset=True),
    "onnx_nms": Format(_onnx_nms, ("fp32", "fp16", "int8"), has_opset=True),
    "torchscript": Format(_torchscript, ("fp32", "fp16")),
    "pt2": Format(_pt2, ("fp32", "fp16")),
    "openvino": Format(_openvino, ("fp32", "fp16", "int8")),
    "ncnn": Format(_ncnn, ("fp32", "fp16")),
    "tflite": Format(_tflite, ("fp32",)),
    "kmodel": Format(_kmodel, ("int8",)),
}
for _name, _format in _OWN.items():
    register(_name, _format)
