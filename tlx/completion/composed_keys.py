"""Keys and choices of the programs that Hydra composes: from the schema and the files of conf/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from tlx.completion.help_keys import PACKAGE, literal
from tlx.starts.published import PUBLISHED

YES_OR_NO = ["true", "false"]
FREEZE = ["none", "4", "8", "all"]


def conf_dir() -> Path:
    """As `tlx.config.check` has it, without the seconds that importing it takes."""
    inside = PACKAGE / "conf"
    return inside if inside.is_dir() else PACKAGE.parent / "conf"


def composed_keys(program: str) -> Mapping[str, list[str]]:
    """Every key of `train` or `classify` with its choices; none where it takes any value."""
    from tlx.config.schema import SCHEMAS

    task = "classify" if program == "classify" else "detect"
    checks = literal("tlx.config.check", "_CHOICES")
    checks |= literal("tlx.config.check", f"_{task.upper()}_CHOICES")
    keys = {**_fields(SCHEMAS[task]), **_policy_keys()}
    keys |= {key: choices for key, choices in checks.items() if key in keys}
    for group in _groups("config.yaml", f"task/{task}.yaml"):
        keys[group] = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    keys["freeze"] = [*FREEZE, "scratch", *(["neck"] if task == "detect" else [])]
    keys["weights"] = keys["backbone.weights"] = ["auto", "scratch", *PUBLISHED]
    return {key: choices for key, choices in keys.items() if not key.endswith(".name")}


def _groups(*files: str) -> list[str]:
    """The groups that these files of conf/ take a choice of."""
    import yaml

    read = [yaml.safe_load((conf_dir() / file).read_text("utf-8"))["defaults"] for file in files]
    chosen = [entry for entries in read for entry in entries if isinstance(entry, dict)]
    names = [name.lstrip("/") for entry in chosen for name in entry]
    return [name for name in names if (conf_dir() / name).is_dir()]


def _fields(schema: type, prefix: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    types = get_type_hints(schema)
    for each in fields(schema):
        kind = types[each.name]
        if is_dataclass(kind):
            assert isinstance(kind, type)
            found |= _fields(kind, f"{prefix}{each.name}.")
        else:
            found[prefix + each.name] = YES_OR_NO if kind is bool else []
    return found


def _policy_keys() -> dict[str, list[str]]:
    import tlx.freeze.policies  # noqa: F401  registers them
    from tlx.freeze.policies.base import POLICIES

    keys: dict[str, list[str]] = {}
    for policy in POLICIES.values():
        members: Any = policy
        keys |= {f"policy.{field.name}": [] for field in fields(members) if field.name != "name"}
    return keys
