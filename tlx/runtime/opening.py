"""Open a model by what kind of file it is; each backend is imported when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from tlx.common.errors import ConfigError, WeightsError
from tlx.common.typos import unknown_choice
from tlx.runtime.base import Runtime
from tlx.runtime.trust import check_trust

Load = Callable[[Path, str, "int | None", str], Runtime]
# Backend -> endings that it reads; "" is a run's folder. The first backend that reads an ending is
# its default: onnxruntime for .onnx.
READS: dict[str, tuple[str, ...]] = {
    "torch": ("", ".ckpt", ".pth", ".pt", ".torchscript", ".pt2"),
    "onnxruntime": (".onnx",),
    "openvino": (".xml", ".onnx"),
    "ncnn": (".param",),
    "tflite": (".tflite",),
    "tensorrt": (".engine", ".plan"),
}
_LOADERS: dict[str, Load] = {}  # of plug-ins; tlx's own are modules `tlx.runtime.NAME_backend`
PRECISIONS = {"openvino": ("fp32", "bf16"), "torch": ("fp32", "bf16")}  # computed in, where asked


def register(name: str, endings: tuple[str, ...], load: Load) -> None:
    """Make a backend known as `backend=NAME`, which reads files with these endings.

    Args:
        load: gives the runtime of a file: path, device, threads (None: its own choice), precision.
    """
    READS[name] = endings
    _LOADERS[name] = load


def open_model(
    path: Path,
    backend: str | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: str | None = None,
    trust: bool = False,
) -> Runtime:
    """A model that is ready to run.

    Args:
        path: a run's folder, a checkpoint (tlx's or pytorch-ssd's), or an exported file with its
            `model.json` beside it.
        backend: one of `READS`; None takes the first that reads the file.
        device: cpu or cuda; openvino takes its own names too (GPU, NPU).
        threads: compute threads; None leaves the choice to the backend.
        precision: in which fp32 weights are computed: fp32 (default), or bf16 where the backend
            and the processor can.
        trust: load programs that could run code (`tlx.runtime.trust`) and that this process did
            not write itself.

    Raises:
        ConfigError: an unknown backend, or one that does not read this kind of file or lacks this
            precision; a program that is not trusted.
        WeightsError: a damaged file, or one that does not say what it detects.
        ToolError: the backend's package is not installed.
    """
    path = Path(path).expanduser()
    name = backend or default_backend(path)
    if name not in READS:
        raise ConfigError(unknown_choice("backend", name, READS))
    if not reads(name, path):
        able = ", ".join(other for other in READS if reads(other, path)) or "no backend"
        raise ConfigError(f"{name} does not read {path.name}; {able} does")
    if precision and precision not in PRECISIONS.get(name, ("fp32",)):
        offered = ", ".join(PRECISIONS.get(name, ("fp32",)))
        raise ConfigError(f"{name} computes in {offered}, not in {precision}")
    if not path.exists():
        raise WeightsError(f"{path} does not exist")
    if name == "torch" and is_program(path):
        check_trust(path, trust)
    load = _LOADERS.get(name) or import_module(f"tlx.runtime.{name}_backend").load
    return load(path, device, threads, precision or "fp32")


def is_program(path: Path) -> bool:
    """Whether a file is TorchScript or a torch.export program. Weights may end in .pt too."""
    if path.suffix.lower() != ".pt":
        return path.suffix.lower() in (".pt2", ".torchscript")
    try:
        with ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (BadZipFile, OSError):
        return False


def default_backend(path: Path) -> str:
    """The backend that reads a file where none is named."""
    found = [name for name in READS if reads(name, path)]
    if not found:
        endings = sorted({ending for known in READS.values() for ending in known if ending})
        raise ConfigError(f"{path} is no model: a run's folder, or one of {', '.join(endings)}")
    return found[0]


def reads(backend: str, path: Path) -> bool:
    """Whether a backend reads this kind of file; a folder is a run's."""
    return ("" if path.is_dir() else path.suffix.lower() or "?") in READS[backend]


def split_backend(text: str | None) -> tuple[str | None, str | None]:
    """`openvino:bf16` -> ("openvino", "bf16"); a name alone has no precision."""
    name, _, precision = (text or "").partition(":")
    return name or None, precision or None
