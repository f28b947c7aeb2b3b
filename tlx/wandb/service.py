"""Runs in W&B's service, which may be absent, fail, stall or die while the caller goes on.

W&B works in a process of its own (`wandb-core`) and waits for it without a limit. Every call here
has one: a service that stops answering costs its caller seconds, not the run.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import Any, TypeVar

import psutil

from tlx.common.errors import TlxError

log = logging.getLogger(__name__)

CALL_S, START_S, GRACE_S = 30.0, 90.0, 15.0
SERVICE = "wandb-core"  # the name of W&B's process
T = TypeVar("T")


class ServiceError(TlxError):
    """W&B did not do what it was asked to."""


class StalledError(ServiceError):
    """W&B did not answer in time."""


def bounded(action: Callable[[], T], seconds: float) -> T:
    """The result of `action`, which gets this much time in a thread of its own.

    Raises:
        StalledError: it took longer; it is left behind.
        ServiceError: it raised anything at all.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except BaseException as error:  # W&B raises SystemExit too
            text = " ".join(str(error).split())
            future.set_exception(ServiceError(f"{type(error).__name__}: {text}"))

    threading.Thread(target=work, name="tlx-wandb", daemon=True).start()
    try:
        return future.result(seconds)
    except FutureTimeout:
        raise StalledError(f"no answer within {seconds:g} s") from None


def open_run(mode: str, *, upload_s: float, **init: Any) -> tuple[Any, str]:
    """A new run in W&B, and the mode it is in.

    Args:
        mode: `online`, `offline`, or `auto`: online where W&B has credentials. Where online fails,
            the run is offline: `wandb sync` uploads it later.
        upload_s: seconds that the end of the run may wait for uploads.
        **init: of `wandb.init`.

    Raises:
        ServiceError: W&B is not installed, or its service does not start.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    # Else W&B reports its own errors over the network, even from an offline run.
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    if mode == "auto":
        mode = "online" if logged_in() else "offline"
    if mode == "online":
        try:
            return bounded(lambda: _init("online", upload_s, init), START_S), "online"
        except ServiceError as error:
            log.warning("Weights & Biases is offline for this run (%s)", error)
            _release_id()
    try:
        return bounded(lambda: _init("offline", upload_s, init), START_S), "offline"
    except StalledError:
        raise  # a second try would cost as much again
    except ServiceError as error:
        log.info(
            "Weights & Biases is started anew (%s)", error
        )  # it may have died since a run before
        _release_id()
    return bounded(lambda: _init("offline", upload_s, init), START_S), "offline"


def _init(mode: Any, upload_s: float, init: dict[str, Any]) -> Any:
    import wandb

    settings = wandb.Settings(
        console="off",  # else a stalled service stalls every print
        silent=True,
        init_timeout=CALL_S,
        finish_timeout=upload_s,
        finish_timeout_raises=True,
    )
    # `create_new`: a W&B run that the caller has open is left alone.
    return wandb.init(mode=mode, reinit="create_new", settings=settings, **init)


def logged_in() -> bool:
    """Whether W&B has credentials; the server is not asked."""
    if os.environ.get("WANDB_MODE") in ("offline", "dryrun", "disabled"):
        return False
    try:
        import wandb

        return bounded(lambda: bool(wandb.login(prompt=False, verify=False)), CALL_S)
    except (ImportError, ServiceError):
        return False


@contextlib.contextmanager
def staged_in(folder: Path) -> Iterator[None]:
    """W&B keeps the files of artifacts here until they are uploaded, and not in the home folder."""
    name = "WANDB_DATA_DIR"
    if name in os.environ:  # someone has decided
        yield
        return
    os.environ[name] = str(folder.absolute())
    try:
        yield
    finally:
        del os.environ[name]


def finish_run(run: Any, exit_code: int, upload_s: float) -> None:
    """End a run; a code other than 0 marks it as failed.

    Raises:
        ServiceError: it did not end in time. The service is stopped then; what it has written can
            be uploaded with `wandb sync`.
    """
    try:
        bounded(lambda: run.finish(exit_code=exit_code), upload_s + GRACE_S)
    except ServiceError:
        stop_service()
        raise


def stop_service() -> None:
    """Kill this process's W&B service, so that nothing waits for it when the program ends."""
    killed = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if child.name().startswith(SERVICE):
                    child.kill()
                    killed.append(child)
    with contextlib.suppress(ImportError, ServiceError):
        import wandb

        bounded(lambda: wandb.teardown(exit_code=0), GRACE_S)
    psutil.wait_procs(killed, timeout=GRACE_S)


def _release_id() -> None:
    """Make the id of a run that could not be opened free again: only a new service forgets it."""
    with contextlib.suppress(ImportError):
        import wandb

        if wandb.run is None:  # else the service is at work for the caller too
            stop_service()
