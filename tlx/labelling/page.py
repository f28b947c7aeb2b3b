"""What the page of the browser can ask for: the live picture, frozen frames, saved pictures."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tlx.common.errors import DataError
from tlx.data.formats.pictures import decode
from tlx.labelling.album import Album, Picture
from tlx.labelling.feed import Feed, Frozen
from tlx.labelling.server import PageServer, Reply, Routes, as_json
from tlx.labelling.suggest import Suggester
from tlx.live.collect import QUALITY
from tlx.live.passwords import hide_password
from tlx.live.pictures import NO_LIMIT

ASSETS = Path(__file__).parent / "assets"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
WAIT = 1.0  # s for a new live frame
THUMB = 160  # px


class Page:
    """The page's routes.

    Args:
        shown: the source as messages name it. split: that a new page begins with.
        suggester: None: there is no model.
    """

    def __init__(
        self, album: Album, feed: Feed, *, shown: str, split: str,
        suggester: Suggester | None = None,
    ) -> None:  # fmt: skip
        self.album, self.feed, self.suggester = album, feed, suggester
        self.shown, self.split = shown, split

    def routes(self) -> Routes:
        """(method, path) -> function of the query's or the body's values."""
        found: dict[tuple[str, str], Callable[[dict[str, Any]], Reply]] = {
            ("GET", "api/state"): lambda _: as_json(self._state()),
            ("GET", "api/live.jpg"): self._live,
            ("GET", "api/frame.jpg"): lambda v: _jpeg(self._frame(v).jpeg),
            ("GET", "api/pictures"): lambda _: as_json({"pictures": self.album.names()}),
            ("GET", "api/picture"): lambda v: as_json(_plain(self._picture(v))),
            ("GET", "api/picture.jpg"): self._picture_file,
            ("POST", "api/freeze"): self._freeze,
            ("POST", "api/next"): lambda v: as_json(_frozen(self.feed.next(_number(v, "frame")))),
            ("POST", "api/suggest"): self._suggest,
            ("POST", "api/save"): self._save,
            ("POST", "api/change"): self._change,
        }
        for path in ASSETS.iterdir():
            if path.suffix in KINDS:
                found["GET", "" if path.stem == "index" else path.name] = _asset(path)
        return found

    def _state(self) -> dict[str, Any]:
        feed = self.feed
        return {
            "classes": self.album.classes, "split": self.split, "source": self.shown,
            "folder": str(self.album.root), "live": feed.source.live, "ended": feed.ended,
            "error": feed.error, "model": self.suggester is not None,
            "counts": self.album.counts(),
        }  # fmt: skip

    def _live(self, values: dict[str, Any]) -> Reply:
        newest = self.feed.live(_number(values, "after", -1), WAIT)
        if newest is None:
            ended = {"X-Ended": "1"} if self.feed.ended else {}
            return Reply(b"", "image/jpeg", 204, ended)
        return _jpeg(newest[1], {"X-Frame": str(newest[0])})

    def _frame(self, values: dict[str, Any]) -> Frozen:
        return self.feed.frozen(_number(values, "frame"))

    def _freeze(self, values: dict[str, Any]) -> Reply:
        number = None if values.get("frame") is None else _number(values, "frame")
        return as_json(_frozen(self.feed.freeze(number)))

    def _picture(self, values: dict[str, Any]) -> Picture:
        return self.album.open(str(values.get("picture")))

    def _picture_file(self, values: dict[str, Any]) -> Reply:
        side = THUMB if values.get("thumb") else NO_LIMIT
        pixels = self._pixels(self._picture(values), side)
        into = io.BytesIO()
        Image.fromarray(pixels).save(into, "JPEG", quality=QUALITY)
        return _jpeg(into.getvalue())

    def _pixels(self, picture: Picture, side: int = NO_LIMIT) -> np.ndarray:
        return decode(picture.path, rotate=picture.rotate, max_side=side)

    def _suggest(self, values: dict[str, Any]) -> Reply:
        if self.suggester is None:
            raise DataError("no model was given: start with model=RUN")
        saved = values.get("picture") is not None
        pixels = self._pixels(self._picture(values)) if saved else self._frame(values).pixels()
        return as_json({"suggestions": self.suggester.boxes(pixels)})

    def _save(self, values: dict[str, Any]) -> Reply:
        """Save a frozen frame. Asked twice, for an answer was lost, it is saved once."""
        frozen, split, boxes = self._frame(values), values.get("split"), values.get("boxes")
        with frozen.lock:
            if frozen.saved is None:
                made = self.album.add(frozen.jpeg, frozen.size, boxes, split, frozen.identifier)  # type: ignore[arg-type]
                frozen.saved = made.name
                print(made.path, flush=True)
            else:
                made = self.album.open(frozen.saved)
        return as_json({**_plain(made), "counts": self.album.counts()})

    def _change(self, values: dict[str, Any]) -> Reply:
        made = self.album.change(
            str(values.get("picture")), values.get("boxes"), values.get("split"),  # type: ignore[arg-type]
            str(values.get("revision")),
        )  # fmt: skip
        return as_json({**_plain(made), "counts": self.album.counts()})


def serve_page(page: Page, host: str, port: int, stop: threading.Event) -> None:
    """Serve until `stop` is set; the address is printed."""
    with PageServer(host, port, page.routes()) as server:
        page.feed.start()
        thread = threading.Thread(target=server.serve_forever, name="page", daemon=True)
        thread.start()
        print(f"Open {server.address} (Ctrl+C ends)", flush=True)
        try:
            while not stop.wait(0.5):
                pass
        finally:
            stop.set()
            server.shutdown()
            page.feed.join()


def shown_source(text: str) -> str:
    """A source as a page may show it: without a password."""
    return hide_password(text)


def _number(values: dict[str, Any], key: str, default: int | None = None) -> int:
    """A whole number of a query or a body; `DataError` where it is none."""
    value = values.get(key, default)
    if isinstance(value, str) and value.lstrip("-").isdecimal() and len(value) < 12:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise DataError(f"{key}: a number is expected")
    return int(value)


def _plain(picture: Picture) -> dict[str, Any]:
    width, height = picture.size
    return {
        "picture": picture.name, "width": width, "height": height, "split": picture.split,
        "annotated": picture.annotated, "revision": picture.revision,
        "boxes": [box.plain() for box in picture.boxes],
    }  # fmt: skip


def _frozen(frame: Frozen) -> dict[str, Any]:
    return {"frame": frame.number, "width": frame.size[0], "height": frame.size[1],
            "saved": frame.saved}  # fmt: skip


def _jpeg(content: bytes, headers: dict[str, str] | None = None) -> Reply:
    return Reply(content, "image/jpeg", 200, headers)


def _asset(path: Path) -> Callable[[dict[str, Any]], Reply]:
    return lambda _: Reply(path.read_bytes(), f"{KINDS[path.suffix]}; charset=utf-8")
