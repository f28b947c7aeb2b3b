"""docs/freezing.md: its commands pass the checks, and its keys have the defaults that it says."""

from __future__ import annotations

import itertools
import re
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser

from tests.conftest import Compose
from tlx.config.check import check_config, conf_dir
from tlx.freeze.policies.base import POLICIES

TEXT = (Path(__file__).parents[2] / "docs" / "freezing.md").read_text("utf-8")
COMMANDS = re.findall(r"^python -m tlx\.train (.*)$", TEXT, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_can_be_run(command: str, compose_config: Compose) -> None:
    given = [word for word in shlex.split(command) if word != "-m" and word[:5] != "seed="]
    choices = []
    for override in OverridesParser.create().parse_overrides(given):
        values = override.sweep_string_iterator() if override.is_sweep_override() else None
        key = override.get_key_element()
        choices.append([f"{key}={v}" for v in values] if values else [override.input_line])
    for job in itertools.product(*choices):
        assert check_config(compose_config(*job))


OWN = sorted(set(POLICIES) & {path.stem for path in conf_dir().glob("policy/*")} - {"auto"})


@pytest.mark.parametrize("name", OWN)  # `auto` is in docs/study.md
def test_every_key_of_a_policy_is_told_with_its_default(name: str, compose_config: Compose) -> None:
    composed = compose_config(f"policy={name}").policy
    members: Any = POLICIES[name]
    stated = {field.name: field.default for field in fields(members)}
    section = re.split(r"^#{2,3} ", TEXT.partition(f"### `{name}`\n")[2], flags=re.MULTILINE)[0]
    assert section, f"{name} has no section"
    for key, value in composed.items():
        assert stated[key] == value, "conf/ and the class differ"
        if key == "name":
            continue
        assert f"`policy.{key}`" in section or f"`policy.{key}=" in section
        if told := re.search(rf"^\| `policy\.{key}` \| (\S+) \|", section, re.MULTILINE):
            assert yaml.safe_load(told[1].strip("`")) == value
