"""Reading picture files that strangers made: is it a picture, and its upright RGB pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from tlx.errors import DataError

# Told by content, not by ending: sets hold JPEGs named .png. The list keeps out formats that a
# picture set does not need and that start other programs to decode (EPS) or are rarely exercised.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
HEIF = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1"))
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
FULL_RANGE = 2**14  # 10- to 14-bit cameras stay below it: >> 8 would make their pictures black
ORIENTATION = 0x0112  # EXIF 2.32, 4.6.4 A: 1 is upright, 2..8 are flips and quarter turns
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadablePicture(Exception):
    """A file that gives no picture; `kind` is a key of `tlx.data.faults.RULES`."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


@dataclass(frozen=True)
class Probe:
    """What one pass over a picture file tells.

    Attributes:
        size: (width, height) as stored, before any EXIF rotation.
        orientation: EXIF orientation, 1..8; 1 where the file has none or an invalid one.
        digest: SHA-256 of the file's bytes, in hex.
    """

    size: tuple[int, int]
    orientation: int
    digest: str

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) after the EXIF rotation."""
        width, height = self.size
        return (height, width) if self.orientation >= 5 else (width, height)


def probe(path: Path) -> Probe:
    """Read, hash and decode a file once.

    JPEGs are decoded at an eighth of their size: all the data is parsed, so that a truncated file
    is found, at a fraction of the time.

    Raises:
        UnreadablePicture: missing, empty, undecodable, so large that it may be a bomb, or 16-bit
            gray of which the upper bits are unused.
    """
    data = _read(path)
    image = _open(data)
    size = image.size
    image.draft(None, (1, 1))
    _load(image)
    return Probe(size, _orientation(image), hashlib.sha256(data).hexdigest())


def decode(path: Path, *, rotate: bool, max_side: int, digest: str | None = None) -> np.ndarray:
    """Decode a picture to uint8 RGB (H, W, 3).

    Gray, CMYK, palette and 16-bit pictures become 8-bit RGB; transparency is ignored: the colour
    under it counts, as in OpenCV and torchvision.

    Args:
        path: the picture file.
        rotate: apply the EXIF orientation.
        max_side: the longer side is scaled down (antialiased), never up, to at most this.
        digest: SHA-256 that the file must have, where it was checked before.

    Raises:
        DataError: the file cannot be read, or is not the one that was checked.
    """
    try:
        data = _read(path)
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise DataError(f"{path} has changed since it was checked: run again")
        image = _open(data)
        width, height = image.size
        scale = min(1.0, max_side / max(width, height))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        # JPEG only: the decoder may halve down to twice the size; the resize below does the rest.
        image.draft(None, (2 * size[0], 2 * size[1]))
        _load(image)
    except UnreadablePicture as error:
        raise DataError(f"{path}: {error}: check the data set again") from error
    upright = _to_rgb(image)
    if upright.size != size:
        upright = upright.resize(size, Image.Resampling.BILINEAR)
    turn = UPRIGHT.get(_orientation(image)) if rotate else None
    return np.array(upright if turn is None else upright.transpose(turn))


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UnreadablePicture("missing-image", "no such file") from None
    except OSError as error:
        raise UnreadablePicture("undecodable", error.strerror or repr(error)) from error
    if not data:
        raise UnreadablePicture("empty-file", "0 bytes")
    return data


def _open(data: bytes) -> Image.Image:
    try:
        return Image.open(BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise UnreadablePicture("decompression-bomb", str(error)) from error
    except Image.UnidentifiedImageError as error:
        if data[4:12] in HEIF or data[:12] == JP2:
            raise UnreadablePicture("unread-format", "HEIF or JPEG 2000") from error
        detail = f"none of {', '.join(FORMATS)} (first bytes: {data[:8]!r})"
        raise UnreadablePicture("undecodable", detail) from error
    except Exception as error:  # decoders raise nearly anything on damaged headers
        raise UnreadablePicture("undecodable", repr(error)) from error


def _load(image: Image.Image) -> None:
    try:
        image.load()
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise UnreadablePicture("undecodable", str(error) or repr(error)) from error
    if image.mode.startswith("I"):
        peak = int(np.asarray(image).max())
        if peak < FULL_RANGE:
            raise UnreadablePicture("narrow-range", f"values up to {peak} of 65535")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF does not make the pixels worse
        return 1
    return value if value in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit gray, whose plain conversion would clip at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB warns about transparent entries
    return image.convert("RGB")
