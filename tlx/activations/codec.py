"""How a map of activations is stored: float32, float16, or uint8 with a scale per channel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_NUMPY: dict[str, np.dtype] = {
    "f32": np.dtype(np.float32),
    "f16": np.dtype(np.float16),
    "u8": np.dtype(np.uint8),
}


@dataclass(frozen=True)
class Field:
    """One array of the store: `shape` and `dtype` of what each slot holds in it."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        """Size of one slot's part."""
        return int(np.prod(self.shape)) * self.dtype.itemsize


class Codec:
    """Between activations (B, C, H, W) and what is stored of them.

    Maps are stored in the order H, W, C, which is how channels-last tensors lie in memory.
    `decode(encode(x))` is what training sees in *every* pass, the first included: otherwise a run
    that is killed while the cache fills would resume to other numbers.

    Args:
        dtype: ``f32`` is exact; ``f16`` rounds to 11 bits; ``u8`` to 256 levels between the least
            and the greatest value of each channel of each picture.
        shapes: (C, H, W) of each map.
    """

    def __init__(self, dtype: str, shapes: list[tuple[int, int, int]]) -> None:
        self.dtype, self.shapes = dtype, shapes
        self.fields: list[Field] = []
        for c, h, w in shapes:
            self.fields.append(Field((h, w, c), _NUMPY[dtype]))
            if dtype == "u8":
                self.fields.append(Field((2, c), np.dtype(np.float32)))

    @property
    def bytes_per_slot(self) -> int:
        """Bytes that one view of one picture takes."""
        return sum(field.bytes for field in self.fields)

    def encode(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps (B, C, H, W) float32 -> one tensor (B, *shape) for each field, on the CPU."""
        out: list[Tensor] = []
        for x in maps:
            x = x.detach().permute(0, 2, 3, 1).contiguous().cpu()
            if self.dtype == "f32":
                out.append(x)
            elif self.dtype == "f16":
                out.append(x.half())
            else:
                low, high = x.amin((1, 2)), x.amax((1, 2))
                step = ((high - low) / 255).clamp_min(1e-12)
                levels = ((x - low[:, None, None]) / step[:, None, None]).round_()
                out += [levels.to(torch.uint8), torch.stack([low, step], 1)]
        return out

    def decode(self, fields: list[Tensor], device: torch.device) -> list[Tensor]:
        """Fields -> maps (B, C, H, W) float32, channels last in memory."""
        fields = [field.to(device, non_blocking=True) for field in fields]
        if self.dtype != "u8":
            return [x.float().permute(0, 3, 1, 2) for x in fields]
        maps = []
        for levels, scale in zip(fields[::2], fields[1::2], strict=True):
            low, step = scale[:, 0, None, None], scale[:, 1, None, None]
            maps.append((levels * step + low).permute(0, 3, 1, 2))
        return maps
