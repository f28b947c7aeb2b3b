"""tlx.models: list the backbones and detectors, and what each block costs.

Usage
  python -m tlx.models [BACKBONE] [KEY=VALUE ...]

  BACKBONE  its blocks one by one: what freeze=N freezes, with its share of the work
  size      side of the input that multiply-accumulates are counted for, px (default: 300)
  json      true: one JSON object instead of tables (default: false)

Examples
  python -m tlx.models
  python -m tlx.models vgg16 size=512
  python -m tlx.models timm-mobilenetv3_small_050
  python -m tlx.models json=true > models.json

Shares and multiply-accumulates are the backbone's alone; freeze.txt of a run has those of the whole
network. Weights are those that backbone.weights=auto takes. Nothing is downloaded.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

import tlx.models.backbones
import tlx.models.detectors  # noqa: F401  registers the detectors
from tlx.common.cli import parse, run_program
from tlx.common.console import stdout_console
from tlx.common.errors import ConfigError
from tlx.common.tables import console_table
from tlx.models.backbones.base import BACKBONES, BackboneSpec, backbone_spec
from tlx.models.backbones.weights import SIZES
from tlx.models.catalog import BlockCost, block_costs, weights_of
from tlx.models.detector import DETECTORS


@dataclass
class ModelsConfig:
    """Arguments of the program."""

    size: int = 300
    json: bool = False


def summary(spec: BackboneSpec, blocks: list[BlockCost]) -> dict[str, Any]:
    """One backbone in plain values."""
    return {
        "name": spec.name,
        "blocks": len(blocks),
        "strides": sorted({block.stride for block in blocks}),
        "tapped_strides": [block.stride for block in blocks if block.tapped],
        "parameters": sum(block.parameters for block in blocks),
        "macs": sum(block.macs for block in blocks),
        "weights": weights_of(spec),
    }


def overview(size: int) -> dict[str, Any]:
    """Every registered backbone and detector."""
    detectors = {
        name: (kind.__doc__ or "").strip().partition("\n")[0] for name, kind in DETECTORS.items()
    }
    return {
        "size": size,
        "backbones": [
            summary(spec, block_costs(spec, size)) for _, spec in sorted(BACKBONES.items())
        ],
        "detectors": [{"name": name, "about": detectors[name]} for name in sorted(detectors)],
    }


def detail(spec: BackboneSpec, size: int) -> dict[str, Any]:
    """One backbone with its blocks."""
    blocks = block_costs(spec, size)
    rows = [{"index": index, **asdict(block)} for index, block in enumerate(blocks)]
    return {"size": size, **summary(spec, blocks), "blocks": rows}


def print_overview(console: Console, told: dict[str, Any]) -> None:
    """Two tables."""
    lines = [
        [
            row["name"], str(row["blocks"]), _numbers(row["strides"]),
            _numbers(row["tapped_strides"]), f"{row['parameters'] / 1e6:.2f} M",
            f"{row['macs'] / 1e9:.2f}", Path(row["weights"]["file"] or "none").name,
        ]
        for row in told["backbones"]
    ]  # fmt: skip
    console.print(_table(f"backbone.name, at {told['size']} px", _OVERVIEW, lines))
    console.print(
        "timm-MODEL: any network of timm that is a chain of blocks (backbone=timm "
        "backbone.model=MODEL)\nHow to get weights: python -m tlx.models BACKBONE\n",
        highlight=False,
    )
    lines = [[row["name"], row["about"]] for row in told["detectors"]]
    console.print(_table("detector.name", ("name", "about"), lines))


def print_detail(console: Console, told: dict[str, Any]) -> None:
    """A row for each value of freeze, then the weights."""
    title = f"{told['name']} at {told['size']} px: {told['parameters'] / 1e6:.2f} M parameters, "
    lines = [
        [
            str(row["index"]), row["name"], str(row["stride"]), str(row["channels"]),
            f"{row['parameters']:,}", f"{row['macs'] / 1e6:.1f}", f"{row['share']:.1%}",
            "yes" if row["tapped"] else "",
        ]
        for row in told["blocks"]
    ]  # fmt: skip
    console.print(_table(f"{title}{told['macs'] / 1e9:.3f} GMACs", _DETAIL, lines))
    weights = told["weights"]
    if weights["file"]:
        console.print(f"weights: {weights['file']}", highlight=False, soft_wrap=True)
        return
    advice = "\n".join(f"  - {line}" for line in weights["advice"]) or "  - give a file"
    console.print(f"weights: none here. Either\n{advice}", highlight=False, soft_wrap=True)


_OVERVIEW = ("name", "blocks", "strides", "tapped", "parameters", "GMACs", "weights here")
_DETAIL = ("freeze", "block", "stride", "channels", "parameters", "MMACs", "share up to here",
           "tapped")  # fmt: skip
_WORDS = ("name", "about", "strides", "tapped", "weights here", "block")


def _table(title: str, heads: tuple[str, ...], lines: list[list[str]]) -> Table:
    return console_table(title, heads, lines, _WORDS, grouped=False)


def _numbers(values: list[int]) -> str:
    return " ".join(map(str, values))


def main(arguments: list[str]) -> None:
    """Entry point."""
    names = [argument for argument in arguments if "=" not in argument]
    if len(names) > 1:
        raise ConfigError(f"{names[1]!r}: one backbone at a time")
    cfg = parse(ModelsConfig, [argument for argument in arguments if "=" in argument])
    if not SIZES[0] <= cfg.size <= SIZES[1]:
        raise ConfigError(f"size={cfg.size} must be in {SIZES[0]}..{SIZES[1]}")
    told = detail(backbone_spec(names[0]), cfg.size) if names else overview(cfg.size)
    if cfg.json:
        print(json.dumps(told, indent=2))
    else:
        (print_detail if names else print_overview)(stdout_console(), told)


if __name__ == "__main__":
    run_program(main, __doc__, bare=True)
