"""A page's server in this process, and requests to it as a browser or somebody else sends them."""

from __future__ import annotations

import http.client
import importlib.util
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from tests.live.helpers_live import Numbered, find_red
from tlx.labelling.album import Album
from tlx.labelling.feed import Feed
from tlx.labelling.page import Page
from tlx.labelling.server import PageServer
from tlx.labelling.suggest import Suggester
from tlx.live.frame import Source
from tlx.live.model import PlainModel

REPOSITORY = Path(__file__).parent.parent.parent
TOOL = REPOSITORY / "tools" / "capture.py"


def load_tool() -> ModuleType:
    """tools/capture.py as a module."""
    spec = importlib.util.spec_from_file_location("capture_tool", TOOL)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Client:
    """Sends what it is told to, right or wrong."""

    def __init__(self, server: PageServer) -> None:
        self.port, self.token = server.port, urlsplit(server.address).path.strip("/")
        self.host = f"127.0.0.1:{self.port}"

    def raw(
        self, method: str, path: str, body: bytes | None = None, **headers: str | None
    ) -> tuple[int, bytes, dict[str, str]]:
        """Status, body and headers; `Host=None` leaves the header out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        sent: dict[str, str | None] = {"Host": self.host}
        if body is not None:
            sent |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        sent |= {key.replace("_", "-"): value for key, value in headers.items()}
        for key, value in sent.items():
            if value is not None:
                connection.putheader(key, value)
        connection.endheaders(body)
        reply = connection.getresponse()
        found = reply.status, reply.read(), dict(reply.headers)
        connection.close()
        return found

    def get(self, path: str) -> Any:
        """JSON of an answer that must be good."""
        status, body, _ = self.raw("GET", f"/{self.token}/{path}")
        assert status == 200, body
        return json.loads(body)

    def post(self, path: str, value: Any) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        status, body, _ = self.raw("POST", f"/{self.token}/{path}", content)
        return status, json.loads(body)


@contextmanager
def serving(
    root: Path, source: Source | None = None, *, classes: tuple[str, ...] = ("red", "blue"),
    model: bool = False,
) -> Iterator[Client]:  # fmt: skip
    """A page of numbered frames; with `model`, one that finds red squares."""
    stop = threading.Event()
    album = Album(root, classes)
    feed = Feed(source or Numbered(1000), stop)
    suggester = Suggester(PlainModel(find_red, ["Red"]), 0.5, album.classes) if model else None
    page = Page(album, feed, shown="numbered", split="train", suggester=suggester)
    with PageServer("127.0.0.1", 0, page.routes()) as server:
        feed.start()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield Client(server)
        finally:
            stop.set()
            server.shutdown()
            feed.join()
