"""A network camera: Motion JPEG over HTTP, as many IP cameras send it, through OpenCV itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO

import pytest
from PIL import Image

from tests.live.helpers_live import needs_cv2, number_of, numbered_frame
from tlx.common.errors import DataError
from tlx.live.address import open_source

PICTURES = 30  # that each connection gives before it breaks off


class MotionJpeg(BaseHTTPRequestHandler):
    """Pictures one after the other; every connection goes on where the last one ended."""

    sent = 0
    connections = 0

    def do_GET(self) -> None:
        type(self).connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        self.end_headers()
        for _ in range(PICTURES):
            file = BytesIO()
            Image.fromarray(numbered_frame(type(self).sent)).save(file, format="JPEG", quality=95)
            head = f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {file.tell()}\r\n\r\n"
            self.wfile.write(head.encode() + file.getvalue() + b"\r\n")
            type(self).sent += 1

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def address() -> Iterator[str]:
    MotionJpeg.sent = MotionJpeg.connections = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/camera"
        server.shutdown()
        thread.join()


@needs_cv2
def test_a_stream_that_breaks_off_is_opened_again(address: str) -> None:
    source = open_source(address)
    assert source.live
    seen = []
    for frame in source:
        assert frame.pixels is not None
        seen.append(number_of(frame.pixels))
        if len(seen) == PICTURES + 10:
            source.close()
    assert seen == sorted(set(seen))
    assert seen[-1] >= PICTURES
    assert MotionJpeg.connections >= 2
    assert source.reconnects >= 1  # type: ignore[attr-defined]


@needs_cv2
def test_nobody_at_the_address_is_an_error_without_the_password() -> None:
    with pytest.raises(DataError, match=r"user:…@127\.0\.0\.1") as caught:
        open_source("http://user:secret@127.0.0.1:9/camera")
    assert "secret" not in str(caught.value)
