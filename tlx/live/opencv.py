"""OpenCV, imported late: pictures need none of it, and a Jetson brings a build of its own.

OpenCV rather than PyAV, because one interface reads files, V4L2 devices, network streams and
GStreamer pipelines, and CSI cameras of a Jetson are reached through the last of these only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from tlx.common.errors import DataError, ToolError
from tlx.common.packages import pip_install

NOT_INSTALLED = f"videos and cameras need OpenCV: {pip_install('live')} (pictures do not)"
NO_GSTREAMER = (
    "this OpenCV was built without GStreamer, which csi:// and pipelines need: use JetPack's own "
    "(python3-opencv) in place of the package from the index (docs/predict.md)"
)
TIMEOUT_MS = 10_000  # network streams: OpenCV's own 30 s are long for a camera that went away


class Capture(Protocol):
    """The part of `cv2.VideoCapture` that sources use."""

    def read(self) -> tuple[bool, np.ndarray | None]:
        """Whether there is a frame, and it as uint8 (H, W, 3) BGR."""

    def get(self, key: int, /) -> float:
        """A property; 0 where it is not known."""

    def release(self) -> None:
        """Give the device or file back."""


def import_cv2() -> Any:
    """The module `cv2`; `ToolError` where it is missing or broken."""
    try:
        import cv2
    except ImportError as error:
        if error.name == "cv2":
            raise ToolError(NOT_INSTALLED) from None
        raise ToolError(f"OpenCV's installation is broken ({error})") from error
    return cv2


def open_capture(
    address: str | int, backend: str, shown: str, settings: Sequence[tuple[str, float]] = ()
) -> Capture:
    """An open capture.

    Args:
        backend: name of a `cv2.CAP_…` constant without that prefix, like FFMPEG.
        shown: how messages name the source (addresses may hold a password).
        settings: (name of a `cv2.CAP_PROP_…` constant without that prefix, value), wishes.

    Raises:
        DataError: nothing can be read there. ToolError: OpenCV or its GStreamer part is missing.
    """
    cv2 = import_cv2()
    number = getattr(cv2, f"CAP_{backend}")
    if backend == "GSTREAMER" and not cv2.videoio_registry.hasBackend(number):
        raise ToolError(NO_GSTREAMER)
    pairs = [int(x) for name, v in settings for x in (getattr(cv2, f"CAP_PROP_{name}"), v)]
    capture = cv2.VideoCapture(address, number, pairs)
    if not capture.isOpened():
        capture.release()
        raise DataError(f"source={shown} cannot be opened: check that it is there and not in use")
    return capture


def to_rgb(bgr: np.ndarray) -> np.ndarray:
    """OpenCV's uint8 (H, W, 3) BGR, or (H, W) gray, as a new RGB array."""
    cv2 = import_cv2()
    code = cv2.COLOR_BGR2RGB if bgr.ndim == 3 else cv2.COLOR_GRAY2RGB
    return cv2.cvtColor(bgr, code)


def to_bgr(rgb: np.ndarray) -> np.ndarray:
    """RGB as OpenCV's BGR."""
    cv2 = import_cv2()
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
