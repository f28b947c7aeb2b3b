"""TorchScript and torch.export programs: for C++ and for Python without tlx."""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tlx.common.files import write_bytes
from tlx.runtime.trust import vouch

METADATA = "model.json"  # name of the extra file inside the archive
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip archive can hold


def save_torchscript(network: nn.Module, size: int, path: Path, about: dict[str, Any]) -> None:
    """Trace the network and write it, its description inside (`_extra_files` of torch.jit.load)."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)  # torch.jit is to go, without a date
        traced = torch.jit.trace(network.eval(), torch.zeros(1, 3, size, size))
        frozen = torch.jit.freeze(traced)
        buffer = io.BytesIO()  # the archive of a file is named after it, and the bytes with it
        torch.jit.save(frozen, buffer, _extra_files={METADATA: _text(about)})
    _write(path, _anonymous(buffer.getvalue()))


def save_pt2(network: nn.Module, size: int, path: Path, about: dict[str, Any]) -> None:
    """Write the network as a torch.export program (`extra_files` of torch.export.load)."""
    program = torch.export.export(network, (torch.zeros(1, 3, size, size),), strict=False)
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: _text(about)})
    _write(path, buffer.getvalue())


def _write(path: Path, content: bytes) -> None:
    vouch(content)  # the proof of parity loads it
    write_bytes(path, content)


def _anonymous(archive: bytes) -> bytes:
    """A TorchScript archive without what the machine and the process left in it.

    That is source files and lines for error messages, and a counter in the class name that tells
    apart what one process has traced.
    """
    counter = r"[./]___torch_mangle_\d+"
    result = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as given, zipfile.ZipFile(result, "w") as made:
        for entry in given.namelist():
            if entry.endswith((".debug_pkl", "/.data/serialization_id")):
                continue
            content = given.read(entry)
            if entry.endswith((".py", "/data.pkl")):
                content = re.sub(counter.encode(), b"", content)
            made.writestr(zipfile.ZipInfo(re.sub(counter, "", entry), _EPOCH), content)
    return result.getvalue()


def _text(about: dict[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)
