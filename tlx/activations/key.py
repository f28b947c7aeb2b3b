"""Which cached activations are the same: a hash of all that decides them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from tlx.activations.store import VERSION
from tlx.data import augment
from tlx.data.formats.annotations import Item
from tlx.freeze.proof import frozen_hash
from tlx.models.backbones.base import SYMMETRIC
from tlx.models.trunk import TrunkNetwork


def ingredients(
    network: TrunkNetwork, blocks: int, items: list[Item], *, views: int, seed: int,
    augmentation: Mapping[str, Any], dtype: str,
) -> dict[str, Any]:  # fmt: skip
    """Plain values: equal for two runs only if their prefix sees and computes the same.

    Boxes are among them because the crop follows them; torch's version because its kernels may
    round differently.
    """
    pictures = hashlib.sha256()
    for item in items:
        bits = f" {item.bits}" if item.bits else ""
        part = f" {tuple(item.part)}" if item.part else ""
        pictures.update(f"{item.digest} {item.rotate} {item.size}{bits}{part}".encode())
        pictures.update(item.boxes.tobytes())
    usual = {*network.backbone.taps, *range(len(network.backbone.blocks), blocks)}
    kept = _outputs(network.taps, blocks)
    # Only where it is not SSD's, which was the only one at first: what is cached stays of use.
    outputs = {} if kept == _outputs(usual, blocks) else {"outputs": kept}
    return {
        "store": VERSION,
        "augmentation": augment.VERSION,
        "torch": torch.__version__,
        "backbone": network.spec.name,
        "conventions": _conventions(network),
        "blocks": blocks,
        "weights": frozen_hash(network, blocks),
        "input_size": network.input_size,
        "pictures": pictures.hexdigest(),
        "count": len(items),
        "views": views,
        "seed": seed,
        "dtype": dtype,
        **outputs,
        **augmentation,
    }


def _outputs(taps: set[int], blocks: int) -> list[int]:
    """Blocks whose outputs are kept: another neck taps others of the same frozen ones."""
    return sorted({tap for tap in taps if tap < blocks} | {blocks - 1})


def _conventions(network: TrunkNetwork) -> dict[str, Any]:
    """Without the padding that was the only one at first: what is cached stays of use."""
    values = asdict(network.conventions)
    if values["padding"] == SYMMETRIC:
        del values["padding"]
    return values


def digest(values: dict[str, Any]) -> str:
    """16 hex digits for the folder's name."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:16]
