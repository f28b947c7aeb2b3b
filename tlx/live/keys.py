"""Lines typed in a terminal, read in the background: Enter is a key press that works headless."""

from __future__ import annotations

import sys
import threading
from typing import TextIO


class EnterKey:
    """Counts lines; `quit` is set by a line that begins with q, and at the end of the input."""

    def __init__(self, quit: threading.Event, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdin
        self._quit = quit
        self._pressed = threading.Semaphore(0)
        threading.Thread(target=self._read, name="keys", daemon=True).start()

    def take(self) -> bool:
        """Whether Enter was pressed since the last call; each press counts once."""
        return self._pressed.acquire(blocking=False)

    def _read(self) -> None:
        for line in self._stream:
            if line.strip().lower().startswith("q"):
                break
            self._pressed.release()
        self._quit.set()
