"""Annotated frames in a window; q or Esc ends the program."""

from __future__ import annotations

import os
import sys
import threading

import numpy as np

from tlx.common.errors import ToolError
from tlx.live.opencv import import_cv2, to_bgr
from tlx.live.writers import Shown

TITLE = "tlx"
ENDS = {ord("q"), 27}  # 27: Esc
NO_WINDOW = (
    "this OpenCV opens no window: pip uninstall opencv-python-headless, then pip install "
    "opencv-python (the two exclude each other), or leave window=true out"
)


class Window:
    """Shows each frame, scaled by whoever resizes the window.

    Args:
        stop: set when the user wants to end.
    """

    draws = True

    def __init__(self, stop: threading.Event) -> None:
        self._cv2, self._stop = import_cv2(), stop
        self.key = -1  # the last key, -1 for none
        # Without a display the toolkit would end the process, not raise.
        if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys():
            raise ToolError("window=true: there is no display; leave it out")
        try:
            self._cv2.namedWindow(TITLE, self._cv2.WINDOW_NORMAL | self._cv2.WINDOW_KEEPRATIO)
        except self._cv2.error:
            raise ToolError(NO_WINDOW) from None

    def write(self, shown: Shown) -> None:
        """Show a frame and take a key."""
        if shown.image is not None:
            self._cv2.imshow(TITLE, to_bgr(np.asarray(shown.image)))
        self.key = self._cv2.waitKey(1)
        if self.key & 0xFF in ENDS and self.key != -1:
            self._stop.set()

    def close(self) -> None:
        """Take the window away."""
        self._cv2.destroyWindow(TITLE)
