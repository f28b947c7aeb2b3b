"""Ctrl+C and kill requests: finish the step, save, stop."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytorch_lightning as pl

from tlx.training.checkpoints import Checkpoints
from tlx.training.steps import step_is_done

log = logging.getLogger(__name__)


# SIGHUP is what a closed terminal or a lost connection sends. Windows has none.
STOPS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


class Interrupted(BaseException):
    """The user or the system asked the run to stop; its state is saved.

    As KeyboardInterrupt, no `Exception`: what guards against faults must not swallow it. Not one
    either: Lightning turns that into an exit with code 1.
    """


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let a stop signal raise `Interrupted` wherever it arrives inside.

    Only a main thread may set handlers; signals that are ignored (nohup) stay so.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted

    previous = take_over(stop)
    try:
        yield
    finally:
        give_back(previous)


def take_over(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set the handler of every stop signal that is not ignored; returns the earlier ones.

    Processes that are forked from this one have it too, until they set their own: there it does
    nothing, for the stop is this process's to make.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    owner = os.getpid()

    def here(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            handler(number, frame)

    heard = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    return {number: signal.signal(number, here) for number in heard}


def give_back(previous: dict[int, Any]) -> None:
    """Put the earlier handlers in place again."""
    for number, handler in previous.items():
        signal.signal(number, handler)


class GracefulStop(pl.Callback):
    """On SIGINT, SIGTERM or SIGHUP, save after the current step and raise `Interrupted`.

    A signal that hits in the middle of an update would leave half-updated weights, so the handler
    only notes it. A second signal stops at once; the last checkpoint still holds.
    """

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self.asked = False
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take the signals over (only a process's main thread may)."""
        self._previous = take_over(self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            self.restore()
            raise Interrupted
        self.asked = True
        log.warning("stopping after this step; again to stop at once")

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save and stop, except after an epoch's last batch: its validation comes first."""
        if self.asked and not trainer.is_last_batch and step_is_done(trainer, batch_idx):
            self.checkpoints.save(trainer)
            raise Interrupted

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save and stop between epochs (a finished run need not stop)."""
        more = not trainer.should_stop and trainer.current_epoch + 1 < (trainer.max_epochs or 0)
        if self.asked and more:
            best = self.checkpoints.recorder.best_epoch == trainer.current_epoch
            self.checkpoints.save(trainer, best=best)
            raise Interrupted

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the signals back."""
        self.restore()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Give the signals back."""
        self.restore()

    def restore(self) -> None:
        """Put the earlier handlers in place again."""
        give_back(self._previous)
        self._previous = {}
