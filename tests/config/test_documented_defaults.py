"""docs/configuration.md gives the defaults that a run has when nothing but its data is said."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from tlx.config.composition import composed
from tlx.config.identity import flat

DOCS = Path(__file__).parents[2] / "docs" / "configuration.md"
ROW = re.compile(r"^\| (`[^|]+`) \| [^|]+ \| ([^|]+) \|", re.MULTILINE)
NO_DEFAULT = {"cache_dir", "data.root"}  # in words, and the one that is given here


def _documented() -> dict[str, str]:
    section = DOCS.read_text(encoding="utf-8").split("\n## Keys\n")[1].split("\n## ")[0]
    return {
        key: default.strip().strip("`")
        for keys, default in ROW.findall(section)
        for key in re.findall(r"`([^`]+)`", keys)
    }


def _composed() -> dict[str, Any]:
    return flat(asdict(composed(["data=auto", "data.root=/set"])))


def test_documented_defaults_hold() -> None:
    values = _composed()
    wrong = {}
    for key, text in _documented().items():
        if text == "MISSING" or key in NO_DEFAULT:
            continue
        expected = re.sub(r"\$\{([^}]+)\}", lambda found: str(values[found[1]]), text)
        if values[key] != yaml.safe_load(expected):
            wrong[key] = (text, values[key])
    assert wrong == {}


def test_every_key_is_documented() -> None:
    keys = {key for key in _composed() if not key.startswith("policy.")}
    assert keys - set(_documented()) == {"task"}
