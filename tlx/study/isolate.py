"""A process of its own for a run: it hears what its parent hears and does not outlive it."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tlx.training.interrupt import STOPS, Interrupted, give_back, take_over

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def run_in_child(target: Callable[..., None], *arguments: Any) -> int:
    """Call `target` in a forked process; returns its exit code, -N where signal N ended it.

    One run's memory stays out of the next one's peak, and a run that the system kills does not take
    its parent along. The child has a process group of its own: stop signals reach it through
    its parent only, each once, whether a terminal, a scheduler or a person sent them. On Linux it
    is killed when the parent is, so that it does not go on in a folder that a restarted study
    works in. Where processes cannot be forked, the call is made here. This process must not have
    computed with threads (`tlx.common.threads`).

    Raises:
        Interrupted: the child has ended after a signal was passed on to it.
    """
    if "fork" not in multiprocessing.get_all_start_methods():
        target(*arguments)
        return 0
    process = multiprocessing.get_context("fork").Process(
        target=_enter, args=(os.getpid(), target, arguments)
    )
    asked: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        asked.append(number)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid or 0, number)

    with _passing_on(process.start, pass_on):
        process.join()
    if asked:
        raise Interrupted
    return process.exitcode or 0


@contextlib.contextmanager
def _passing_on(
    start: Callable[[], None], pass_on: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Start the child and hold the handlers; a signal in between waits until they are in place."""
    if threading.current_thread() is not threading.main_thread():  # only that one may
        start()
        yield
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
    try:
        start()
        before = take_over(pass_on)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    try:
        yield
    finally:
        give_back(before)


def _enter(parent: int, target: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """The child's side; the stop signals are blocked when it begins."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # it writes to the terminal from its own group
    take_over(signal.default_int_handler)
    _die_with(parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
    target(*arguments)


def _die_with(parent: int) -> None:
    """Ask Linux for SIGKILL at the parent's end; other systems leave that to the run's lock."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has died in between
        os._exit(1)
