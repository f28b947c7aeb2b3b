"""A file server on loopback that errs as it is told to: what Google's store and Amazon's answer.

It is no MinIO: what it has of S3 is what an unsigned GET and HEAD of an object sees (path-style
addresses, an ETag that is the MD5, XML for errors), and of Google's store `x-goog-hash`.
"""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import struct
import threading
import time
from base64 import b64encode
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

GONE = '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{}</Code><Message>no</Message></Error>'


@dataclass
class Asked:
    """One request, and whether its whole answer was handed to the network."""

    method: str
    path: str
    range: str | None
    status: int = 0
    complete: bool = False


@dataclass
class FileServer:
    """What it has, how it errs, and what it was asked.

    Attributes:
        faults: by path: one of each request, first to last: a status, or "cut", "stall", "drip",
            "reset", "damage" (a byte is another). "ALWAYS" as the last repeats the one before.
        pause: seconds before each answer. begun: called as a GET begins, with its number.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=lambda: defaultdict(list))
    asked: list[Asked] = field(default_factory=list)
    pause: float = 0.0
    stall: float = 2.0
    piece: int = 1 << 16
    begun: Callable[[int], None] = lambda count: None

    def got(self, ending: str = "") -> list[str]:
        """Paths of the GETs that were answered whole, in order."""
        return [
            each.path for each in self.asked
            if each.method == "GET" and each.complete and each.path.endswith(ending)
        ]  # fmt: skip

    def next_fault(self, path: str) -> int | str | None:
        left = self.faults.get(path, [])
        if not left:
            return None
        return left[0] if left[1:] == ["ALWAYS"] else left.pop(0)


@contextmanager
def serve() -> Iterator[FileServer]:
    """Run one on a free port."""
    state = FileServer()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer("HEAD")

        def do_GET(self) -> None:
            state.begun(sum(each.method == "GET" for each in state.asked) + 1)
            self._answer("GET")

        def _answer(self, method: str) -> None:
            path = self.path
            asked = Asked(method, path, self.headers.get("Range"))
            state.asked.append(asked)
            time.sleep(state.pause)
            fault = state.next_fault(path) if method == "GET" else None
            content = state.files.get(path)
            if content is None and not isinstance(fault, int):
                fault = 404
            if isinstance(fault, int):
                asked.status = fault
                code = {404: "NoSuchKey", 403: "AccessDenied", 503: "SlowDown"}.get(fault, "Error")
                self._send(fault, {"Content-Type": "application/xml"}, GONE.format(code).encode())
                return
            assert content is not None
            etag = f'"{hashlib.md5(content).hexdigest()}"'
            headers = {"ETag": etag, "Accept-Ranges": "bytes"}
            if path.endswith(".jpg"):
                headers |= {"Server": "AmazonS3", "x-amz-request-id": "0123"}
            else:
                digest = b64encode(hashlib.md5(content).digest()).decode()
                headers |= {"x-goog-hash": f"crc32c=AAAAAA==,md5={digest}"}
            begin = 0
            if asked.range and self.headers.get("If-Range", etag) == etag:
                begin = int(re.findall(r"\d+", asked.range)[0])
                if begin >= len(content):
                    self._send(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
                    return
                headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            asked.status = 206 if begin else 200
            body = content[begin:]
            if fault == "damage":
                middle = len(body) // 2  # of a picture: it decodes all the same
                body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
            self._send(asked.status, headers, b"" if method == "HEAD" else body, fault, len(body))
            asked.complete = fault in (None, "damage") and method == "GET"

        def _send(
            self, status: int, headers: dict[str, str], body: bytes,
            fault: str | None = None, length: int | None = None,
        ) -> None:  # fmt: skip
            if fault == "reset":  # at once, as a router does
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
                self.close_connection = True
                self.connection.close()
                return
            self.send_response_only(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            if fault in ("cut", "stall", "drip"):
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                if fault == "stall":
                    time.sleep(state.stall)
                for each in range(20 if fault == "drip" else 0):
                    time.sleep(0.1)
                    self.wfile.write(body[each : each + 1])
                    self.wfile.flush()
                self.close_connection = True
                return
            for start in range(0, len(body), state.piece):
                self.wfile.write(body[start : start + state.piece])

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(http.server.ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that was killed is no fault of the server."""

    with Quiet(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}"
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        running.shutdown()
