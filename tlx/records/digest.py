"""Digests, by which files are known: names can be given to anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

BEST, LAST = "best.ckpt", "last.ckpt"
SEAL = "sha256"  # key of a sealed object
ALTERED = "its content is not what was written: damaged, or edited by hand"
_PIECE = 1 << 20  # bytes


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def describe_result(run_dir: Path) -> dict[str, str] | None:
    """Name and SHA-256 of the checkpoint that a run ends with; None where it left none."""
    for name in (BEST, LAST):
        if (path := run_dir / "checkpoints" / name).is_file():
            return {"file": name, "sha256": file_sha256(path)}
    return None


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with the digest of its own content under `sha256`, the last key."""
    content = {key: value for key, value in values.items() if key != SEAL}
    return {**content, SEAL: _content_sha256(content)}


def is_altered(values: Mapping[str, Any]) -> bool:
    """Whether a sealed object holds something else than was sealed; unsealed ones cannot tell."""
    if SEAL not in values:
        return False
    content = {key: value for key, value in values.items() if key != SEAL}
    return bool(values[SEAL] != _content_sha256(content))


def _content_sha256(content: Mapping[str, Any]) -> str:
    """Of the values, whatever the order of keys and the spacing in a file."""
    # Once through JSON, so that tuples and keys that are numbers count as what a reader will see.
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
