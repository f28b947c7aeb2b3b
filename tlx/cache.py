"""tlx.cache: what is cached below `cache_dir`, and how to get the room back.

Usage
  python -m tlx.cache list  [cache_dir=DIR]
  python -m tlx.cache clear [cache_dir=DIR] [kind=KIND]

  cache_dir  what tlx caches (default: $TLX_CACHE or ~/.cache/tlx)
  kind       of clear: activations (default), images (decoded pictures), or all

Examples
  python -m tlx.cache list
  python -m tlx.cache clear kind=all

Whatever is missing is made again by the run that needs it. A run that is using a cache keeps it
until it ends (on systems that let open files be removed).
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from tlx.activations.plan import gigabytes
from tlx.activations.store import CHECKS, META
from tlx.common.cli import parse, run_program
from tlx.common.console import stdout_console
from tlx.common.errors import ConfigError
from tlx.common.files import read_json
from tlx.common.typos import unknown_choice, unknown_command

KINDS = ("activations", "images")


@dataclass
class CacheProgramConfig:
    """Arguments of the program."""

    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")
    kind: str = "activations"


def entries(cache_dir: Path, kind: str) -> list[Path]:
    """Caches of a kind, drafts of killed processes among them."""
    folder = cache_dir / kind
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def size(path: Path) -> int:
    """Bytes of a folder on disk."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def describe(path: Path) -> str:
    """What a cache of activations holds, as far as it can be read."""
    try:
        meta = read_json(path / META)
        filled = np.count_nonzero(np.fromfile(path / CHECKS, np.uint32))
        slots = meta["views"] * meta["count"]
        return (
            f"{meta['backbone']}, {meta['blocks']} blocks, {meta['count']} pictures x "
            f"{meta['views']} views, seed {meta['seed']}, {meta['dtype']}, "
            f"{filled / slots:.0%} filled"
        )
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return "unfinished or of another version"


def overview(cache_dir: Path) -> Table:
    """One row a cache."""
    table = Table(title=str(cache_dir), title_justify="left")
    for column in ("kind", "folder", "size", "content"):
        table.add_column(column, justify="right" if column == "size" else "left")
    for kind in KINDS:
        for path in entries(cache_dir, kind):
            content = describe(path) if kind == "activations" else "decoded pictures"
            table.add_row(kind, path.name, gigabytes(size(path)), content)
    return table


def clear(cache_dir: Path, kind: str) -> int:
    """Remove the caches of a kind, or of all; returns the bytes that were freed."""
    freed = 0
    for each in KINDS if kind == "all" else (kind,):
        for path in entries(cache_dir, each):
            freed += size(path)
            shutil.rmtree(path)
    return freed


def main(arguments: list[str]) -> None:
    """Entry point."""
    action, *rest = arguments
    cfg = parse(CacheProgramConfig, rest)
    if cfg.kind not in (*KINDS, "all"):
        raise ConfigError(unknown_choice("kind", cfg.kind, [*KINDS, "all"]))
    cache_dir = Path(cfg.cache_dir).expanduser()
    if action == "list":
        stdout_console().print(overview(cache_dir))
    elif action == "clear":
        print(f"{gigabytes(clear(cache_dir, cfg.kind))} freed in {cache_dir}")
    else:
        raise ConfigError(unknown_command(action, ["list", "clear"]))


if __name__ == "__main__":
    run_program(main, __doc__)
