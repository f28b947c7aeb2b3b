"""Frames that say which one they are, a camera that fails on cue, a detector of red things."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.helpers_engine import detector_of
from tlx.common.errors import DataError
from tlx.data.membership import Membership
from tlx.live.frame import Frame
from tlx.models.postprocess import Detections
from tlx.records.checkpoint import checkpoint_meta

WIDTH, HEIGHT, SQUARE = 160, 120, 30
BITS, CELL = 16, 10  # the frame's number, as black and white cells along the upper edge
needs_cv2 = pytest.mark.skipif(
    not find_spec("cv2"), reason="OpenCV is not installed: pip install -e '.[test]'"
)


def square_at(index: int) -> tuple[int, int]:
    """Where the red square of a frame begins: it goes right and comes back, 2 px a frame."""
    span = WIDTH - SQUARE
    step = (2 * index) % (2 * span)
    return min(step, 2 * span - step), 50


def numbered_frame(index: int) -> np.ndarray:
    """uint8 RGB with a red square and its number, which survives a lossy codec."""
    pixels = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for bit in range(BITS):
        pixels[:CELL, bit * CELL : (bit + 1) * CELL] = 255 * (index >> bit & 1)
    x, y = square_at(index)
    pixels[y : y + SQUARE, x : x + SQUARE] = (230, 20, 20)
    return pixels


def number_of(pixels: np.ndarray) -> int:
    """The number in a frame of `numbered_frame`, whatever its scale."""
    row, cell = pixels[pixels.shape[0] * CELL // 2 // HEIGHT], pixels.shape[1] // BITS
    return sum(int(row[cell * bit + cell // 2].mean() > 127) << bit for bit in range(BITS))


def find_red(frames: list[np.ndarray]) -> list[Detections]:
    """The box around what is red, as class 1 with score 0.9; nothing where nothing is."""
    found = []
    for pixels in frames:
        red = (pixels[..., 0] > 160) & (pixels[..., 1] < 100) & (pixels[..., 2] < 100)
        ys, xs = np.nonzero(red)
        height, width = red.shape
        n = 1 if len(xs) else 0
        corners = (f(v) for v, f in ((xs, np.min), (ys, np.min), (xs, np.max), (ys, np.max)) if n)
        boxes = torch.tensor(list(corners), dtype=torch.float32).reshape(n, 4)
        boxes[:, 2:] += 1
        boxes /= torch.tensor([width, height] * 2)
        found.append(Detections(boxes, torch.full((n,), 0.9), torch.ones(n, dtype=torch.int64)))
    return found


def write_video(path: Path, frames: int, fps: float = 25.0, code: str = "mp4v") -> Path:
    """A video of numbered frames."""
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), fps, (WIDTH, HEIGHT))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(numbered_frame(index)[..., ::-1])
    writer.release()
    return path


def read_video(path: Path) -> tuple[list[np.ndarray], float]:
    """All frames as RGB, and the rate."""
    import cv2

    capture, frames = cv2.VideoCapture(str(path)), []
    while True:
        ok, bgr = capture.read()
        if not ok:
            return frames, capture.get(cv2.CAP_PROP_FPS)
        frames.append(bgr[..., ::-1])


class FakeCapture:
    """Some numbered frames, then nothing, as a camera that is pulled out."""

    def __init__(self, first: int, count: int) -> None:
        self.next, self.end, self.released = first, first + count, False

    def read(self) -> tuple[bool, np.ndarray | None]:
        if self.next >= self.end:
            return False, None
        self.next += 1
        return True, numbered_frame(self.next - 1)

    def get(self, key: int, /) -> float:
        return 0.0

    def release(self) -> None:
        self.released = True


class FlakyDevice:
    """Connects by a script: a number of frames, or None where nothing can be opened."""

    def __init__(self, *script: int | None) -> None:
        self.script, self.attempts, self.frames = list(script), 0, 0
        self.captures: list[FakeCapture] = []

    def connect(self) -> FakeCapture:
        self.attempts += 1
        count = self.script.pop(0) if self.script else None
        if count is None:
            raise DataError("no such device")
        self.captures.append(FakeCapture(self.frames, count))
        self.frames += count
        return self.captures[-1]


class Numbered:
    """A source of numbered frames; it tells how many were asked of it."""

    def __init__(self, count: int, *, live: bool = False, fps: float | None = 25.0) -> None:
        self.name, self.live, self.fps, self.count = "numbered", live, fps, count
        self.given, self.closed = 0, False

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self.count):
            if self.closed:
                return
            self.given = index + 1
            yield Frame(index, index / 25, numbered_frame(index))

    def close(self) -> None:
        self.closed = True


def write_checkpoint(path: Path) -> Path:
    """A checkpoint of an untrained 96 px detector of two classes."""
    detector = detector_of("mobilenet_v1")
    state = {f"detector.{key}": value for key, value in detector.state_dict().items()}
    meta = checkpoint_meta(detector, Membership(("red", "blue"), {}), {})
    torch.save({"tlx": meta, "state_dict": state}, path)
    return path
