"""Files from servers that break off, stall and err: resumed, checked, and waited for with patience.

requests brings proxies and certificates, urllib3's `Retry` the waits between tries. Neither goes on
with a body that broke off in its middle, and that is what is here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError
from urllib3.util import Retry

from tlx.common.errors import StorageError, TlxError, first_line, remedy
from tlx.common.progress import progress

T = TypeVar("T")
OFFLINE = "TLX_OFFLINE"  # an environment variable: 1 lets nothing be fetched
_CHUNK = 1 << 18  # bytes
_SLOWEST = 256  # bytes/s over the time-out: a server that drips holds nobody for ever
_WORTH = 1 << 16  # bytes that make a broken connection a step forward
_LONGEST = 60  # s between two tries, whatever the server asks for
_PASSING = (408, 425, 429, 500, 502, 503, 504)  # statuses that may be others in a while
_RANGE_NOT_SATISFIABLE = 416
_PARTIAL_CONTENT = 206
_BROKEN = (OSError, HTTPError)  # requests' own are OSErrors; and what is said here itself
_MD5 = re.compile(r'"([0-9a-f]{32})"')
_S3_ERROR = re.compile(r"<Code>(\w{1,64})</Code>")  # Amazon's body of an answer that refuses


class DownloadError(TlxError):
    """A server that did not give what it was asked for."""


class RefusedError(DownloadError):
    """An answer that another try would not change.

    Attributes:
        status: HTTP's number.
    """

    def __init__(self, status: int, told: str) -> None:
        super().__init__(told)
        self.status = status


class DamagedError(DownloadError):
    """What came whole is not what it is said to be, however often it is fetched."""


class _Passing(DownloadError):
    """An answer that says "later"; `wait` is how long the server asks for, seconds."""

    def __init__(self, told: str, wait: float) -> None:
        super().__init__(told)
        self.wait = wait


@dataclass(frozen=True)
class Patience:
    """How much a server may fail.

    Attributes:
        timeout: seconds for a connection, and without a byte.
        retries: tries in a row, after one, that bring nothing.
        backoff: seconds before the second of them; each further one waits twice as long, up to 60.
        wait: sleeps so many seconds.
    """

    timeout: float = 30.0
    retries: int = 0
    backoff: float = 0.5
    wait: Callable[[float], object] = time.sleep

    def tries(self) -> Retry:
        """Those that are left at the beginning."""
        return Retry(self.retries, backoff_factor=self.backoff / 2, backoff_max=_LONGEST,
                     backoff_jitter=self.backoff / 2)  # fmt: skip


def session() -> requests.Session:
    """Of one thread: it keeps its connections.

    Raises:
        DownloadError: `TLX_OFFLINE` is set.
    """
    if os.environ.get(OFFLINE, "0") not in ("", "0"):
        raise DownloadError(f"{OFFLINE} is set, and nothing is fetched")
    made = requests.Session()
    # A packed answer has no part that could be asked for.
    made.headers.update({"User-Agent": "tlx", "Accept-Encoding": "identity"})
    for scheme in ("http://", "https://"):
        made.mount(scheme, HTTPAdapter(max_retries=0))
    return made


def persist(
    attempt: Callable[[], T], patience: Patience, forward: Callable[[], bool] = lambda: False
) -> T:
    """Try until it works, or the patience is at its end.

    Args:
        forward: whether the last try has brought something; then all tries are left again.

    Raises:
        DownloadError: what the last try failed of; `RefusedError` at once.
        StorageError: at once.
    """
    left = patience.tries()
    while True:
        try:
            return attempt()
        except RefusedError:
            raise
        except (DownloadError, *_BROKEN) as error:
            moved = forward()
            try:
                left = (patience.tries() if moved else left).increment("GET", error=None)
            except MaxRetryError:
                if not moved:
                    raise _in_words(error) from error
            asked = error.wait if isinstance(error, _Passing) else 0.0
            patience.wait(max(left.get_backoff_time(), min(asked, _LONGEST)))


def fetch_bytes(
    url: str, patience: Patience, own: requests.Session, most: int,
    check: Callable[[bytes], object] = lambda content: None,
) -> bytes:  # fmt: skip
    """A small file, whole and of the checksum that the server gives.

    Args:
        most: bytes that are taken; more is an error.
        check: raises `DamagedError` for what should be fetched again.

    Raises:
        DownloadError: as `persist`.
    """

    def once() -> bytes:
        with own.get(url, stream=True, timeout=patience.timeout) as answer:
            _refuse(answer)
            content = bytearray()
            for block in _blocks(answer, patience.timeout):
                content += block
                if len(content) > most:
                    raise RefusedError(answer.status_code, f"it is larger than {most} bytes")
            stated = stated_md5(answer.headers)
            if stated and hashlib.md5(content, usedforsecurity=False).hexdigest() != stated:
                raise DamagedError(f"what came is damaged: the server states the MD5 {stated}")
            whole = bytes(content)
            check(whole)
            return whole

    return persist(once, patience)


def resume(
    url: str,
    partial: Path,
    patience: Patience,
    *,
    known: bool = False,
    size: int | None = None,
) -> None:
    """Fetch what is missing of `partial`, over as many connections as it takes while bytes come.

    What came is kept, whatever happens; the server's tag of the version that it is of lies beside
    it, so that what is appended is of the same one, or all is sent anew.

    Args:
        known: the caller tells the right file from others by its hash, so that a part may be
            appended to where the server gives no tag.
        size: bytes, where known.

    Raises:
        DownloadError: as `persist`. StorageError: it does not fit on the disk.
    """
    own = session()
    most = _length(partial)

    def forward() -> bool:
        nonlocal most
        most, before = max(most, _length(partial)), most
        return most - before >= _WORTH

    persist(lambda: _receive(own, url, partial, patience, known, size), patience, forward)
    _tag(partial).unlink(missing_ok=True)


def stated_md5(headers: requests.structures.CaseInsensitiveDict[str]) -> str | None:
    """The MD5 of a body in hexadecimal, where the server gives one.

    Google's stores state it; Amazon's tag is one, unless the file was put there in parts or is
    encrypted with a key of its own. A tag of any other server may look like one by chance.
    """
    google = re.search(r"md5=([\w+/]+=*)", headers.get("x-goog-hash", ""))
    if google and headers.get("x-goog-stored-content-encoding", "identity") == "identity":
        return b64decode(google[1]).hex()
    amazon = "x-amz-request-id" in headers or headers.get("Server") == "AmazonS3"
    if amazon and not headers.get("x-amz-server-side-encryption", "").startswith("aws:kms"):
        found = _MD5.fullmatch(headers.get("ETag", ""))
        return found[1] if found else None
    return None


def _receive(
    own: requests.Session, url: str, partial: Path, patience: Patience, known: bool,
    size: int | None,
) -> None:  # fmt: skip
    have = _length(partial)
    etag, expected = _read_tag(partial)
    md5: str | None = expected
    headers = {}
    if have and etag:
        headers = {"Range": f"bytes={have}-", "If-Range": etag}
    elif have and known:
        headers = {"Range": f"bytes={have}-"}
    with own.get(url, headers=headers, stream=True, timeout=patience.timeout) as answer:
        if answer.status_code == _RANGE_NOT_SATISFIABLE and have:
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if total.isdecimal() and int(total) != have:
                partial.unlink()
                raise DownloadError("the file has changed on the server")
        else:
            _refuse(answer)
            goes_on = answer.status_code == _PARTIAL_CONTENT
            begins = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            if goes_on and not begins:
                raise RefusedError(206, "the server gave another part than it was asked for")
            have = have if goes_on else 0
            length = answer.headers.get("Content-Length")
            whole = have + int(length) if length else size
            chunked = answer.headers.get("Transfer-Encoding") == "chunked"
            if whole is None and not known and not chunked:
                raise RefusedError(
                    200, "the server does not say how long the file is, and nothing else does"
                )
            if not goes_on:
                md5 = stated_md5(answer.headers)
                _write_tag(partial, answer.headers.get("ETag"), md5)
            if whole is not None:
                refuse_full(partial.parent, whole - have)
            with partial.open("ab" if goes_on else "wb") as file, progress(
                f"fetching {partial.stem}", whole or 1
            ) as advance:  # fmt: skip
                for block in _blocks(answer, patience.timeout):
                    _write(file, block)
                    have += len(block)
                    advance(have)
            if whole is not None and have < whole:
                raise DownloadError("the connection ended before the file did")
    if md5 and _md5_of(partial) != md5:
        partial.unlink()
        raise DamagedError(f"what came is damaged: the server states the MD5 {md5}")


def refuse_full(folder: Path, needed: int) -> None:
    """Raise `StorageError` where `needed` bytes do not fit on the disk of a folder that exists."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder} has {free / 1e9:.1f} GB free, and {needed / 1e9:.1f} GB are to come: free "
            "space, or give another place"
        )


def _blocks(answer: requests.Response, timeout: float) -> Iterator[bytes]:
    """The body as it comes, never waiting for a block to be full."""
    begun, came = time.monotonic(), 0
    while block := answer.raw.read1(_CHUNK, decode_content=False):
        yield block
        came += len(block)
        if (took := time.monotonic() - begun) > timeout:
            if came < _SLOWEST * took:
                raise DownloadError(f"only {came} bytes came in {took:.0f} s")
            begun, came = time.monotonic(), 0


def _write(file: BinaryIO, block: bytes) -> None:
    """Another try would not help a full disk."""
    try:
        file.write(block)
    except OSError as error:
        raise StorageError(
            f"{file.name} cannot be written: {error.strerror}: {remedy(error)}"
        ) from error


def _refuse(answer: requests.Response) -> None:
    if answer.ok:
        return
    told = f"the server says {answer.status_code} {answer.reason}"
    found = _S3_ERROR.search(answer.raw.read(2048).decode("utf-8", "replace"))
    told += f" ({found[1]})" if found else ""
    if answer.status_code in _PASSING:
        wait = answer.headers.get("Retry-After", "")
        raise _Passing(told, float(wait) if wait.isdecimal() else 0.0)
    raise RefusedError(answer.status_code, told)


def _in_words(error: BaseException) -> DownloadError:
    """An error of the libraries as one line: that of the socket below, not of their wrappings."""
    if isinstance(error, DownloadError):
        return error
    inner: BaseException | None = error
    while inner is not None:
        error = inner
        parts = [getattr(inner, "reason", None), inner.__cause__, *inner.args]
        inner = next((each for each in parts if isinstance(each, BaseException)), None)
    told = first_line(error)
    return DownloadError(told.rpartition("): ")[2] or told)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5_of(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _tag(partial: Path) -> Path:
    return partial.with_name(f"{partial.name}.etag")


def _read_tag(partial: Path) -> tuple[str, str]:
    """The server's tag of what is there, and its MD5; "" where it gave none."""
    lines = _tag(partial).read_text("utf-8").splitlines() if _tag(partial).exists() else []
    etag, md5 = [*lines, "", ""][:2]
    return etag, md5


def _write_tag(partial: Path, etag: str | None, md5: str | None) -> None:
    strong = etag if etag and not etag.startswith("W/") else ""  # a weak one promises no bytes
    if strong or md5:
        _tag(partial).write_text(f"{strong}\n{md5 or ''}\n", "utf-8")
    else:
        _tag(partial).unlink(missing_ok=True)
