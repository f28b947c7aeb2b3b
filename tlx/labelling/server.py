"""The page's server: the standard library's, closed to everybody who has not its address.

What may ask is decided here, before anything of a request is looked at:

- each address begins with a random token, so that other users of the machine or the network, and
  pages of other sites, which cannot know it, reach nothing;
- the Host must be one that this server can have (a name that a stranger's DNS points here is
  refused), and the Origin, where a browser states one, must be that Host;
- what changes something is a POST of JSON, which no form of another site can send.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tlx.common.errors import ConfigError, StorageError, TlxError
from tlx.common.files import parse_json

log = logging.getLogger(__name__)
LARGEST = 1 << 18  # bytes of a request's body: a thousand boxes are a third of it
TIMEOUT = 20.0  # s that a connection may be silent
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address holds the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: bytes
    kind: str = "application/json"
    status: int = HTTPStatus.OK
    headers: Mapping[str, str] | None = None


class Refusal(Exception):
    """A request that is not answered."""

    def __init__(self, status: HTTPStatus, told: str) -> None:
        super().__init__(told)
        self.status = status


Route = Callable[[dict[str, Any]], Reply]
Routes = Mapping[tuple[str, str], Route]


def as_json(value: Any, status: int = HTTPStatus.OK) -> Reply:
    """A value as JSON."""
    return Reply(json.dumps(value, allow_nan=False).encode(), status=status)


def parse_serve(text: str) -> tuple[str, int]:
    """HOST:PORT, or a port of loopback; port 0 is any that is free."""
    match = re.fullmatch(r"(?:(\[[0-9a-fA-F:.]+\]|[^:\[\]]+):)?(\d{1,5})", text)
    if not match or int(match[2]) > 65535:
        raise ConfigError(f"serve={text} is not HOST:PORT, like 0.0.0.0:8000 or [::1]:8000")
    return (match[1] or "127.0.0.1").strip("[]"), int(match[2])


class PageServer(ThreadingHTTPServer):
    """Answers by `routes`: (method, path below the token) -> what to do.

    Args:
        host: name or address to listen on. port: 0: any free one.

    Raises:
        ConfigError: that address cannot be had.
    """

    daemon_threads = True

    def __init__(self, host: str, port: int, routes: Routes) -> None:
        self.host, self.routes, self.token = host, routes, secrets.token_urlsafe(18)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.address_family = found[0]
            super().__init__(found[4][:2], _Handler)  # type: ignore[arg-type]
        except (OSError, UnicodeError) as error:
            told = getattr(error, "strerror", None) or error
            raise ConfigError(f"serve={host}:{port} cannot be listened on: {told}") from error

    @property
    def port(self) -> int:
        """That it listens on."""
        return int(self.server_address[1])

    @property
    def address(self) -> str:
        """What to open in a browser."""
        host = self.host
        if host in ("0.0.0.0", "::"):
            host = socket.gethostname()
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}/{self.token}/"

    def knows(self, host: str) -> bool:
        """Whether a browser that states this Host can mean this server.

        A literal address cannot be rebound: only names are a stranger's to point anywhere.
        """
        match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::(\d+))?", host)
        if not match or int(match[2] or 80) != self.port:
            return False
        name = match[1].strip("[]").lower()
        own = socket.gethostname().lower()
        if name in ("localhost", self.host.lower(), own, f"{own}.local"):
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: PageServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "tlx", ""
    timeout = TIMEOUT

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        try:
            url = urlsplit(self.path)
            path = self._allowed(url.path)
            route = self.server.routes.get((method, path))
            if route is None:
                raise Refusal(HTTPStatus.NOT_FOUND, "there is nothing here")
            values: dict[str, Any] = dict(parse_qsl(url.query, max_num_fields=10))
            reply = route(self._body() if method == "POST" else values)
        except Refusal as error:
            self.close_connection = True  # its body may still be on the way
            reply = as_json({"error": str(error)}, error.status)
        except StorageError as error:
            reply = as_json({"error": str(error)}, HTTPStatus.INSUFFICIENT_STORAGE)
        except TlxError as error:
            reply = as_json({"error": str(error)}, HTTPStatus.UNPROCESSABLE_ENTITY)
        except ValueError as error:  # of the address or its values
            self.close_connection = True
            reply = as_json({"error": f"not understood: {error}"}, HTTPStatus.BAD_REQUEST)
        except OSError as error:
            reply = as_json({"error": str(error)}, HTTPStatus.INTERNAL_SERVER_ERROR)
        self._send(reply)

    def _allowed(self, path: str) -> str:
        """The path below the token."""
        hosts = self.headers.get_all("Host") or []
        if len(hosts) != 1 or not self.server.knows(hosts[0]):
            raise Refusal(HTTPStatus.FORBIDDEN, "this Host is not the page's")
        origin = self.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{hosts[0]}".lower():
            raise Refusal(HTTPStatus.FORBIDDEN, "this Origin is not the page's")
        if self.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Refusal(HTTPStatus.FORBIDDEN, "another site asks")
        _, token, *rest = [*path.split("/", 2), ""]
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refusal(HTTPStatus.FORBIDDEN, "open the address that the program has printed")
        return rest[0]

    def _body(self) -> dict[str, Any]:
        kind = (self.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "JSON is expected")
        length = self.headers.get("Content-Length") or ""
        if not re.fullmatch(r"\d{1,9}", length) or self.headers.get("Transfer-Encoding"):
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is expected")
        if int(length) > LARGEST:
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {LARGEST} bytes")
        try:
            value = parse_json(self.rfile.read(int(length)).decode())
        except ValueError as error:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"damaged JSON: {error}") from None
        if not isinstance(value, dict):
            raise Refusal(HTTPStatus.BAD_REQUEST, "a JSON object is expected")
        return value

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        sent = {"Content-Type": reply.kind, "Content-Length": str(len(reply.body))}
        for key, value in {**HEADERS, **sent, **(reply.headers or {})}.items():
            self.send_header(key, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a line a frame would hide the others, and addresses hold the token."""
