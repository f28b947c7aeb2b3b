"""Work in a process of its own: measurements that must not see what the parent left in memory."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any


def in_child(work: Callable[..., Any], *arguments: Any) -> Any:
    """`work(*arguments)` in a new process; None where that process died.

    Args:
        work: a function of a module; what it takes and gives is pickled.
    """
    # Not forked: the child must not inherit the parent's heap, nor its threads' locks.
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(sender, work, arguments))
    child.start()
    sender.close()  # so that the end of the child ends the wait below
    try:
        return receiver.recv()
    except EOFError:
        return None
    finally:
        child.join()


def _answer(sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    sender.send(work(*arguments))
