"""FiftyOne's App, served on this machine only."""

from __future__ import annotations

import socket
from functools import partialmethod
from typing import Any

from tlx.common.errors import ToolError
from tlx.inspect.backend import import_fiftyone

ADDRESS = "127.0.0.1"  # the App has no password; in a container FiftyOne would serve it to all
PATIENCE = 300  # s to wait for its server; FiftyOne's own minute is short while a run trains


def open_app(dataset: Any, port: int, *, browser: bool) -> Any:
    """Start the App's server and, where asked, a browser; returns FiftyOne's session.

    Raises:
        ToolError: the port is taken, or the server does not start.
    """
    fo = import_fiftyone()
    # FiftyOne would connect to whatever serves there, with datasets of who knows whom.
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except (OSError, OverflowError) as error:
            raise ToolError(
                f"port {port} cannot be used ({error}): choose one with port="
            ) from error
    service = fo.core.service
    service.ServerService._wait_for_child_port = partialmethod(
        service.Service._wait_for_child_port, timeout=PATIENCE
    )
    try:
        return fo.launch_app(dataset, port=port, address=ADDRESS, remote=not browser)
    except service.ServiceListenTimeout as error:
        raise ToolError(
            f"FiftyOne's server does not start within {PATIENCE} s: is the machine busy?"
        ) from error
