"""Modules of one's own: how they are named, and what is said of those that cannot be used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tlx.common import plugins
from tlx.common.errors import ConfigError
from tlx.freeze.policies.base import POLICIES


@pytest.mark.parametrize(
    ("text", "names"),
    [("a.b", ["a.b"]), ("[a, b.c]", ["a", "b.c"]), ('"a",b', ["a", "b"]), ("null", []), ("", [])],
)
def test_names(text: str, names: list[str]) -> None:
    assert plugins.named(text) == names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = (\n", r"broken\.py:1: SyntaxError"),
        ("\nraise ValueError('no licence')\n", r"broken\.py:2: ValueError: no licence"),
        ("import sys\nsys.exit(3)\n", r"broken\.py:2: SystemExit: 3"),
        ("import nowhere_at_all\n", r"broken\.py:1: ModuleNotFoundError"),
        (None, "there is no module broken"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_its_line(
    content: str | None, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    if content is not None:
        (tmp_path / "broken.py").write_text(content)
    with pytest.raises(ConfigError, match=words):
        plugins.load(["broken"])


def test_processes_that_are_started_know_them_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_policy.py").write_text(
        "from tlx.freeze.policies.fixed import Fixed\n"
        "from tlx.freeze.policies.base import register\n"
        "class Own(Fixed):\n    name = 'own'\n"
        "register(Own)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(plugins.VARIABLE, "")
    plugins.load(["own_policy"])
    try:
        code = "from tlx.freeze.policies.base import policy_class; print(policy_class('own').name)"
        path = os.pathsep.join([str(tmp_path), *sys.path])
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": path},
        )  # fmt: skip
        assert done.stdout == "own\n", done.stderr
    finally:
        POLICIES.pop("own")
        sys.modules.pop("own_policy")


def test_the_environment_names_some_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "from_outside.py").write_text("seen = True\n")
    monkeypatch.setenv(plugins.VARIABLE, "from_outside")
    plugins.load_installed.cache_clear()
    plugins.load_installed()
    assert sys.modules.pop("from_outside").seen
