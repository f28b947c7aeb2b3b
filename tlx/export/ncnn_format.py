"""ncnn: NAME.ncnn.param and NAME.ncnn.bin, by pnnx from a TorchScript of the network."""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import nn

from tlx.common.errors import ExportError
from tlx.common.files import write_bytes
from tlx.common.packages import require
from tlx.export.torch_formats import save_torchscript

_MINUTES = 10


def save_ncnn(network: nn.Module, size: int, path: Path, half: bool) -> None:
    """Convert a network; its tensors are called in0, out0 (scores) and out1 (boxes).

    ncnn has no batch axis: scores are (P, C) and boxes (P, 4).

    Args:
        path: ends in `.ncnn.param`. half: weights stored in float16.
    """
    pnnx = require("pnnx", "format=ncnn")
    with TemporaryDirectory() as folder:
        script = Path(folder) / "network.pt"
        save_torchscript(network, size, script, {})
        command = [
            pnnx.EXEC_PATH, script.name, f"inputshape=[1,3,{size},{size}]f32", f"fp16={int(half)}",
        ]  # fmt: skip
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, timeout=60 * _MINUTES
        )
        results = [Path(folder) / f"network.ncnn.{kind}" for kind in ("bin", "param")]
        if done.returncode != 0 or not all(result.is_file() for result in results):
            last = (done.stderr or done.stdout).strip().splitlines()[-5:]
            raise ExportError("format=ncnn: pnnx failed:\n" + "\n".join(last))
        # The .param last: it is what a program opens.
        for result in results:
            write_bytes(path.with_suffix(result.suffix), result.read_bytes())
