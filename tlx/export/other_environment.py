"""Converters whose packages cannot be installed beside tlx: run in an environment of their own.

Each is a script of `tools/convert/` that imports neither tlx nor its packages.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from tlx.common.errors import ConfigError, ExportError, ToolError
from tlx.common.files import write_bytes

TFLITE_ADVICE = """\
format=tflite runs litert-torch, which needs a torch before 2.15, in an environment of its own:
  python3 -m venv tflite-env
  tflite-env/bin/pip install 'litert-torch>=0.10,<0.11' 'torch>=2.14,<2.15'
  python -m tlx.export format=tflite environment=tflite-env ..."""
KMODEL_ADVICE = """\
format=kmodel runs nncase 1.9, the last for the K210, which needs Python 3.10 or older:
  python3.10 -m venv kmodel-env
  kmodel-env/bin/pip install nncase==1.9.0.20230322 'onnx<1.15' 'numpy<2'
  python -m tlx.export format=kmodel environment=kmodel-env ..."""
_MINUTES = 30


def save_tflite(program: Path, path: Path, environment: Path | None) -> None:
    """Convert a torch.export program (.pt2) to TensorFlow Lite."""
    _convert("tflite", environment, TFLITE_ADVICE, [program], path)


def save_kmodel(model: Path, pictures: np.ndarray, path: Path, environment: Path | None) -> None:
    """Convert an ONNX file to a K210 kmodel (version 5), uint8, calibrated on `pictures`."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "calibration.npy"
        np.save(data, pictures)
        _convert("kmodel", environment, KMODEL_ADVICE, [model, data], path)


def interpreter(environment: Path | None, format: str, advice: str) -> Path:
    """Python of an environment: of the one named, else of $TLX_TFLITE_ENV or $TLX_KMODEL_ENV."""
    variable = f"TLX_{format.upper()}_ENV"
    if environment is None and (named := os.environ.get(variable)):
        environment = Path(named)
    if environment is None:
        raise ToolError(f"{advice}\n(or set {variable})")
    environment = environment.expanduser()
    candidates = (environment, environment / "bin" / "python", environment / "Scripts/python.exe")
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    raise ConfigError(f"environment={environment} holds no bin/python. {advice}")


def scripts() -> Path:
    """The converters: inside the package (a wheel), else at the top of the repository."""
    package = Path(__file__).parent.parent
    inside = package / "convert"
    return inside if inside.is_dir() else package.parent / "tools" / "convert"


def save_pixel_kmodel(
    model: Path, pixels: np.ndarray, mean: Sequence[float], std: Sequence[float], path: Path,
    environment: Path | None,
) -> None:  # fmt: skip
    """Convert to a kmodel that takes uint8 pixels (1, 3, H, W) and normalises them itself."""
    with TemporaryDirectory() as folder:
        data = Path(folder) / "calibration.npy"
        np.save(data, pixels)
        options = [",".join(f"{value:g}" for value in values) for values in (mean, std)]
        _convert("kmodel", environment, KMODEL_ADVICE, [model, data], path, options)


def run_kmodel(model: Path, inputs: np.ndarray, environment: Path | None) -> np.ndarray:
    """Outputs (n, ...) of a kmodel for inputs (n, ...), in nncase's simulator of the K210."""
    with TemporaryDirectory() as folder:
        data, found = Path(folder) / "inputs.npy", Path(folder) / "outputs.npy"
        np.save(data, inputs)
        _convert("kmodel", environment, KMODEL_ADVICE, [model, data], found, script="run_kmodel")
        return np.load(found)


def _convert(
    format: str, environment: Path | None, advice: str, inputs: list[Path], output: Path,
    options: Sequence[str] = (), script: str | None = None,
) -> None:  # fmt: skip
    """Run the format's script (or another one) in its environment."""
    python = interpreter(environment, format, advice)
    with TemporaryDirectory() as folder:
        partial = Path(folder) / output.name
        # Isolated: this environment's packages and paths are not the other's.
        command = [python, "-I", scripts() / f"{script or format}.py", *inputs, partial, *options]
        try:
            done = subprocess.run(
                [str(part) for part in command], capture_output=True, text=True, check=False,
                timeout=60 * _MINUTES, cwd=folder,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise ExportError(f"format={format}: no result after {_MINUTES} minutes") from error
        if done.returncode != 0 or not partial.is_file():
            last = (done.stderr or done.stdout).strip().splitlines()[-8:]
            raise ExportError(
                f"format={format}: {python} failed ({done.returncode}):\n" + "\n".join(last)
            )
        write_bytes(output, partial.read_bytes())
