"""The difference hash of a picture, which its copies share whatever their scale and encoding.

dHash: each of 64 bits says whether a cell of the 9 x 8 gray thumbnail is darker than its right
neighbour (Krawetz, "Kind of Like That", hackerfactor.com, 2013). It survives scaling, re-encoding
and brightness; it does not see mirroring or crops, and tells pictures with little in them badly.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

BITS = 64
HASHED = (72, 64)  # px, of a picture that may be decoded smaller than it is to be hashed


def difference_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of one picture, bool (64,), from uint8 RGB (H, W, 3)."""
    return _bits(Image.fromarray(pixels))


def packed_hash(image: Image.Image) -> bytes:
    """The same of an RGB or gray picture, in 8 bytes; transparency does not count."""
    return np.packbits(_bits(image)).tobytes()


def _bits(image: Image.Image) -> np.ndarray:
    cells = np.asarray(image.convert("L").resize((9, 8), Image.Resampling.BILINEAR))
    return (cells[:, :-1] < cells[:, 1:]).ravel()
