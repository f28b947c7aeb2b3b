"""The pictures of a subset: many at a time, each whole under its name or not there at all."""

from __future__ import annotations

import io
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from requests import Session

from tlx.common.download import (
    DamagedError,
    DownloadError,
    Patience,
    RefusedError,
    fetch_bytes,
    session,
)
from tlx.common.errors import DataError
from tlx.common.files import write_bytes
from tlx.data.openimages.layout import Servers

Picture = tuple[str, str]
"""(split, ImageID)"""

USUAL = 464_000  # bytes of a picture where no server says: 3.18 GB of 6859 with licence plates
_ASKED = 24  # pictures whose size is asked for before the first one comes
_MOST = 64 << 20  # bytes of a picture; the largest of Open Images have about ten million
_FEW = 20  # pictures that may be missing on the server whatever the size of the set
_SHARE = 0.05  # of them beyond that: more is a wrong address, or no access
_IN_VAIN = 10  # pictures in a row that fail with all their tries: the network is gone


@dataclass(frozen=True)
class LeftOut:
    """A picture that the server does not have, or that is damaged there."""

    split: str
    image: str
    reason: str


def picture_path(root: Path, picture: Picture) -> Path:
    """Where it belongs."""
    return root / picture[0] / f"{picture[1]}.jpg"


def missing(root: Path, wanted: Sequence[Picture]) -> list[Picture]:
    """Those that are not there yet, in order."""
    return [each for each in wanted if not _there(picture_path(root, each))]


def _there(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def mean_size(servers: Servers, wanted: Sequence[Picture], patience: Patience) -> tuple[int, int]:
    """Mean bytes of a picture, and how many were asked for it; no picture is fetched.

    Where the server does not say, the mean of a set that is known.
    """
    asked = random.Random(0).sample(list(wanted), min(_ASKED, len(wanted)))
    own = session()
    sizes = []
    for picture in asked:
        try:
            with own.head(servers.picture(*picture), timeout=patience.timeout,
                          allow_redirects=True) as answer:  # fmt: skip
                length = answer.headers.get("Content-Length", "")
                if answer.ok and length.isdecimal() and int(length):
                    sizes.append(int(length))
        except OSError:
            if not sizes:
                break  # the pictures themselves are waited for with more patience
    return (sum(sizes) // len(sizes), len(sizes)) if sizes else (USUAL, 0)


def fetch_pictures(
    root: Path, servers: Servers, wanted: Sequence[Picture], patience: Patience, workers: int,
    advance: Callable[[int], None], of: int,
) -> list[LeftOut]:  # fmt: skip
    """Fetch these pictures; those that cannot be had are named, sorted.

    A picture lies under its name once it is whole: of the length and checksum that the server
    states, and decoded to the last line.

    Args:
        advance: takes the number of pictures that are done.
        of: pictures of the set, those that are there already too.

    Raises:
        DataError: so many are refused that something else is wrong.
        DownloadError: the network or the server has gone; what came is kept.
        StorageError: the disk is full.
    """
    crew = _Crew(root, servers, wanted, patience, advance, of)
    count = max(1, min(workers, len(wanted)))
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(crew.work) for _ in range(count)]
        try:
            for future in futures:
                future.result()
        except BaseException:  # Ctrl+C as well: nobody begins another picture
            crew.stop.set()
            raise
    if crew.failed:
        picture, error = crew.failed[0]
        raise DownloadError(
            f"{len(crew.failed)} of {len(wanted)} pictures could not be fetched (the first: "
            f"{servers.picture(*picture)}: {error}): start it again, and it goes on from here"
        )
    return sorted(crew.left_out, key=lambda each: (each.split, each.image))


class _Crew:
    """What the threads of a download share."""

    def __init__(
        self, root: Path, servers: Servers, wanted: Sequence[Picture], patience: Patience,
        advance: Callable[[int], None], of: int,
    ) -> None:  # fmt: skip
        self.root, self.servers, self.of = root, servers, of
        self.stop = threading.Event()
        self.patience = replace(patience, wait=self._wait)
        self.advance, self.done, self.in_vain = advance, 0, 0
        self.left_out: list[LeftOut] = []
        self.failed: list[tuple[Picture, DownloadError]] = []
        self._queue: Iterator[Picture] = iter(wanted)
        self._lock = threading.Lock()

    def _wait(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise RefusedError(0, "stopped")

    def work(self) -> None:
        """One thread: picture after picture."""
        own = session()
        while not self.stop.is_set():
            with self._lock:
                picture = next(self._queue, None)
            if picture is None:
                return
            try:
                self._fetch(picture, own)
            except BaseException:
                self.stop.set()
                raise

    def _fetch(self, picture: Picture, own: Session) -> None:
        why, error = None, None
        url = self.servers.picture(*picture)
        try:
            content = fetch_bytes(url, self.patience, own, _MOST, decoded)
            write_bytes(picture_path(self.root, picture), content)
        except (RefusedError, DamagedError) as refused:
            if self.stop.is_set():
                return
            why = str(refused)
        except DownloadError as failed:
            error = failed
        with self._lock:
            self.done += 1
            self.in_vain = self.in_vain + 1 if error else 0
            if error:
                self.failed.append((picture, error))
                if self.in_vain >= _IN_VAIN:
                    self.stop.set()
            elif why:
                self.left_out.append(LeftOut(*picture, why))
                self._refuse_many(picture, why)
            self.advance(self.done)

    def _refuse_many(self, picture: Picture, why: str) -> None:
        gone = len(self.left_out)
        if gone == self.of or gone > max(_FEW, _SHARE * self.of):
            raise DataError(
                f"{gone} of {self.of} pictures are not to be had (the last: "
                f"{self.servers.picture(*picture)}: {why}): is pictures={self.servers.pictures} "
                "right, and open to everybody?"
            )


def decoded(content: bytes) -> None:
    """Decode a picture to its last line.

    Raises:
        DamagedError: it is none, or not whole.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except Exception as error:  # whatever a decoder makes of damaged bytes
        raise DamagedError(f"it does not decode ({type(error).__name__})") from error
