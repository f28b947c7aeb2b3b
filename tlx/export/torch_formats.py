"""TorchScript and torch.export programs: for C++ and for Python without tlx."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlx.files import write_bytes

METADATA = "model.json"  # name of the extra file inside the archive


def save_torchscript(network: nn.Module, size: int, path: Path, about: dict[str, Any]) -> None:
    """Trace the network and write it, its description inside (`_extra_files` of torch.jit.load)."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.jit: no date of removal
        traced = torch.jit.trace(network, torch.zeros(1, 3, size, size))
        buffer = io.BytesIO()  # the archive of a file is named after it, and the bytes with it
        torch.jit.save(traced, buffer, _extra_files={METADATA: _text(about)})
    write_bytes(path, buffer.getvalue())


def save_pt2(network: nn.Module, size: int, path: Path, about: dict[str, Any]) -> None:
    """Write the network as a torch.export program (`extra_files` of torch.export.load)."""
    program = torch.export.export(network, (torch.zeros(1, 3, size, size),), strict=False)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: _text(about)})
    write_bytes(path, buffer.getvalue())


def _text(about: dict[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)
