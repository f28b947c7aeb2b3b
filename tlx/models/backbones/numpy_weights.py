"""Weights in a `.npz` archive of numpy: arrays by name, and nothing that is executed."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from tlx.common.errors import WeightsError, first_line
from tlx.models.backbones.base import StateDict

LARGEST = 2**30  # bytes, unpacked: a small archive may claim more than any memory holds
_TYPES = ("float16", "float32", "float64", "int32", "int64")


def read_npz(path: Path) -> StateDict:
    """Every array as a tensor of its own type; `WeightsError` for a damaged or hostile file.

    Pickled objects are refused, checksums are compared, and at most `LARGEST` bytes are unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
            if size > LARGEST:
                raise ValueError(f"it unpacks to {size} bytes, {LARGEST} are the most")
            if (damaged := archive.testzip()) is not None:
                raise ValueError(f"the checksum of {damaged} in it does not match")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: _tensor(name, arrays[name]) for name in arrays.files}
    except Exception as error:  # of zipfile, zlib and numpy, each in its own types
        raise WeightsError(
            f"{path} cannot be read as weights (a damaged archive of numpy, or one that holds more "
            f"than arrays of numbers, which is refused): {first_line(error)}"
        ) from error


def _tensor(name: str, array: object) -> torch.Tensor:
    if not isinstance(array, np.ndarray) or array.dtype.newbyteorder("=").name not in _TYPES:
        raise ValueError(f"{name} is no array of numbers")
    native = array.astype(array.dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(np.ascontiguousarray(native)).reshape(array.shape)
