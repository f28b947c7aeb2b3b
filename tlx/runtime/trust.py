"""Programs of PyTorch are code: they are loaded when somebody vouches for them.

`torch.export.load` reads a `.pt2` by unpickling, and TorchScript may call `torch.save`, which
writes any file that the user may write. ONNX, OpenVINO, ncnn and tflite files hold a graph and
numbers, checkpoints are read with `weights_only=True`: these need no trust.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tlx.common.errors import ConfigError

_written: set[str] = set()  # sha256 of the programs that this process wrote itself


def vouch(content: bytes) -> None:
    """This process is about to write a program with this content."""
    _written.add(hashlib.sha256(content).hexdigest())


def check_trust(path: Path, trust: bool) -> None:
    """`ConfigError` for a program that neither the user nor this process vouches for."""
    if trust or hashlib.sha256(path.read_bytes()).hexdigest() in _written:
        return
    kind = "torch.export program" if path.suffix == ".pt2" else "TorchScript program"
    raise ConfigError(
        f"{path} is a {kind}: loading it can run code that somebody put into it. Where it is your "
        "own export, or you trust who made it, add trust=true; else use the checkpoint or "
        "format=onnx, which cannot run code"
    )
