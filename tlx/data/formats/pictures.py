"""Reading picture files that strangers made: is it a picture, and its upright RGB pixels."""

from __future__ import annotations

import hashlib
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFile

from tlx.common.errors import DataError
from tlx.data.formats.difference_hash import HASHED, packed_hash

# Told by content, not by ending: sets hold JPEGs named .png. The list keeps out formats that a
# picture set does not need and that start other programs to decode (EPS) or are rarely exercised.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "AVIF")
# Of pictures that are told by their ending only, for what they hold is none of the above.
UNREAD_ENDINGS = {
    ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".svg", ".psd", ".tga", ".ppm", ".pgm", ".exr",
    ".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf",
}  # fmt: skip
HEIF = tuple(b"ftyp" + brand for brand in (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1"))
JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
FULL_RANGE = 2**14  # 10- to 14-bit cameras stay below it: >> 8 would make their pictures black
# Pillow warns from half of its limit on; what is above the limit is a fault, the rest is read.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

BITS = range(8, 17)  # that `data.bits` may say a 16-bit file uses
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

    def __reduce__(self) -> tuple[type[UnreadablePicture], tuple[str, str]]:
        return UnreadablePicture, (self.kind, str(self))  # it may come from another process


@dataclass(frozen=True, slots=True)  # there may be 100,000 of them
class Probe:
    """What one pass over a picture file tells.

    Attributes:
        size: (width, height) as stored, before any EXIF rotation.
        orientation: EXIF orientation, 1..8; 1 where the file has none or an invalid one.
        digest: SHA-256 of the file's bytes, in hex.
        hashes: the difference hash (`difference_hash`) as stored, and of the upright picture.
    """

    size: tuple[int, int]
    orientation: int
    digest: str
    hashes: tuple[bytes, bytes] = (b"", b"")

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) after the EXIF rotation."""
        width, height = self.size
        return (height, width) if self.orientation >= 5 else (width, height)


def probe(path: Path, bits: int | None = None) -> Probe:
    """Read, hash and decode a file once.

    JPEGs are decoded in gray, at down to an eighth of their size as far as their hash needs no
    more: all the data is parsed, so that a truncated file is found, at a fraction of the time.

    Args:
        bits: that 16-bit files use, 8..16; None: all, and a file that does not is refused.

    Raises:
        UnreadablePicture: missing, empty, undecodable, so large that it may be a bomb, with pixels
            that are no 8- or 16-bit numbers, or with 16-bit values that do not fit `bits`.
    """
    data = _read(path)
    image = _open_named(data, path)
    size = image.size
    if _even_sampling(image):
        image.draft("L", HASHED)
    pixels = _eight_bit(image, data, bits)
    if pixels.mode not in ("L", "LA", "RGBA"):  # whose gray is that of the same in RGB
        pixels = _to_rgb(pixels)
    orientation = _orientation(image)
    stored = packed_hash(pixels)
    upright = turned(pixels, orientation)
    hashes = stored, stored if upright is pixels else packed_hash(upright)
    return Probe(size, orientation, hashlib.sha256(data).hexdigest(), hashes)


def _even_sampling(image: ImageFile.ImageFile) -> bool:
    """Whether each colour of a JPEG has a whole part of the samples of the finest.

    libjpeg refuses others, but not in gray: it would read one that training cannot.
    """
    layers = getattr(image, "layer", [])  # (name, across, down, table) of each colour
    across, down = ([layer[axis] for layer in layers] for axis in (1, 2))
    return not any(n and max(axis) % n for axis in (across, down) for n in axis)


def upright_size(path: Path) -> tuple[int, int] | None:
    """(width, height) after any EXIF rotation, by the header; None where it is no picture."""
    try:
        image = _open(_read(path))
    except UnreadablePicture:
        return None
    return Probe(image.size, _orientation(image), "").upright_size


def decode(
    path: Path, *, rotate: bool, max_side: int, digest: str | None = None, bits: int | None = None
) -> np.ndarray:
    """Decode a picture to uint8 RGB (H, W, 3).

    Gray, CMYK, palette and 16-bit pictures become 8-bit RGB; transparency is ignored: the colour
    under it counts, as in OpenCV and torchvision.

    Args:
        path: the picture file.
        rotate: apply the EXIF orientation.
        max_side: the longer side is scaled down (antialiased), never up, to at most this.
        digest: SHA-256 that the file must have, where it was checked before.
        bits: that 16-bit files use, 8..16; None: all.

    Raises:
        DataError: the file cannot be read, or is not the one that was checked.
    """
    try:
        data = _read(path)
        if digest is not None and hashlib.sha256(data).hexdigest() != digest:
            raise DataError(f"{path} has changed since it was checked: run again")
        image = _open(data)
        pixels = _scaled_rgb(image, data, max_side, bits)
    except UnreadablePicture as error:
        raise DataError(f"{path}: {error}: check the data set again") from error
    return np.array(turned(pixels, _orientation(image)) if rotate else pixels)


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """A picture upright, by the EXIF orientation (1..8) of its file."""
    turn = UPRIGHT.get(orientation)
    return image if turn is None else image.transpose(turn)


def _scaled_rgb(
    image: ImageFile.ImageFile, data: bytes, max_side: int, bits: int | None
) -> Image.Image:
    """8-bit RGB of an opened file (`data`), scaled down to `max_side`."""
    width, height = image.size
    scale = min(1.0, max_side / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # JPEG only: the decoder may halve down to twice the size; the resize below does the rest.
    image.draft(None, (2 * size[0], 2 * size[1]))
    rgb = _to_rgb(_eight_bit(image, data, bits))
    return rgb if rgb.size == size else rgb.resize(size, Image.Resampling.BILINEAR)


def _eight_bit(image: ImageFile.ImageFile, data: bytes, bits: int | None) -> Image.Image:
    """An opened file (`data`), loaded, with 8 bits a colour."""
    raw = _raw_mode(image)
    _load(image, bits)
    return image if raw is None else _eight_bits(image, data, raw, bits or 16)


def stated_bits(config: Mapping[str, Any]) -> int | None:
    """`data.bits` of a run's configuration, as a stranger's file may hold it; None: not stated."""
    return recorded_bits(config.get("data"))


def recorded_bits(part: object) -> int | None:
    """The `bits` of a configuration's `data`, or of a record's `data_report`."""
    bits = part.get("bits") if isinstance(part, Mapping) else None
    return bits if isinstance(bits, int) and bits in BITS else None


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


def _open(data: bytes) -> ImageFile.ImageFile:
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


def _open_named(data: bytes, path: Path) -> ImageFile.ImageFile:
    """`_open`; what it cannot tell is told by the file's ending."""
    try:
        return _open(data)
    except UnreadablePicture as error:
        ending = path.suffix.lower()
        if error.kind == "undecodable" and ending in UNREAD_ENDINGS:
            raise UnreadablePicture("unread-format", ending) from error
        raise


def _load(image: ImageFile.ImageFile, bits: int | None) -> None:
    """Decode, and refuse pixels that 8 bits would show too dark, too bright or not at all."""
    raw = _raw_mode(image)
    try:
        image.load()
    except Exception as error:  # decoders raise nearly anything on damaged data
        raise UnreadablePicture("undecodable", str(error) or repr(error)) from error
    if image.mode == "F":
        raise UnreadablePicture("unread-format", "floating-point pixels: write 8 or 16 bits")
    if raw is None:
        return
    least, peak = _extremes(image)
    if least < 0 or peak > 65535:
        raise UnreadablePicture("unread-format", f"values from {least} to {peak}: write 16 bits")
    if bits is None and peak < FULL_RANGE:
        used = max(BITS[0], peak.bit_length())
        raise UnreadablePicture(
            "narrow-range",
            f"values up to {peak} of 65535, as a camera of {used} bits writes them: train with "
            f"data.bits={used}",
        )
    if bits is not None and peak >= 2**bits:
        raise UnreadablePicture("wide-range", f"values up to {peak}: more than data.bits={bits}")
    if bits is not None and raw.startswith("LA"):
        raise UnreadablePicture("unread-format", "16-bit gray with transparency: write it without")


def _raw_mode(image: ImageFile.ImageFile) -> str | None:
    """How the file lays out pixels of more than 8 bits, before they are loaded; None for others."""
    if not image.tile:
        return None
    arguments = image.tile[0][3]
    raw = str(arguments[0] if arguments and isinstance(arguments, tuple) else arguments)
    deep = image.mode.startswith("I") or (";16" in raw and image.mode != "CMYK")
    return raw if deep else None


def _extremes(image: Image.Image) -> tuple[int, int]:
    """The least and the greatest value; of colours, which are loaded by their upper 8 bits, as if
    the lower ones were 0 and 1; transparency does not count."""
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return int(pixels.min()), int(pixels.max())
    return 0, (int(pixels[..., :3].max()) << 8) + 255


def _eight_bits(image: Image.Image, data: bytes, raw: str, bits: int) -> Image.Image:
    """The upper 8 of the lower `bits` bits of a loaded picture of 16."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) >> (bits - 8)).astype(np.uint8))
    if bits == 16:
        return image
    # Pillow keeps the upper byte of each colour; read in the other byte order that is the lower.
    swapped = {"L": "B", "B": "L", "N": "B" if sys.byteorder == "little" else "L"}
    other = f"{raw[:-1]}{swapped[raw[-1]]}"
    lower = _open(data)
    tiles: list[Any] = list(lower.tile)
    for index, (*place, arguments) in enumerate(tiles):
        turned = other if isinstance(arguments, str) else (other, *arguments[1:])
        make = getattr(type(tiles[index]), "_make", tuple)  # a named tuple from Pillow 11 on
        tiles[index] = make((*place, turned))
    lower.tile = tiles
    _load(lower, 16)
    upper, lowest = (np.asarray(part)[..., :3].astype(np.uint16) for part in (image, lower))
    return Image.fromarray(((upper << 8 | lowest) >> (bits - 8)).astype(np.uint8))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:  # damaged EXIF does not make the pixels worse
        return 1
    return value if value in range(1, 9) else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "P":
        image = image.convert("RGBA")  # straight to RGB warns about transparent entries
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
