"""What the distribution says of itself: one name and version, in code, documents and changes."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tlx.common.packages import DISTRIBUTION, pip_install
from tlx.common.version import __version__

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")
# `pip install NAME[extra]` in documents and code, whatever stands around it; `.[extra]` is a folder
HINT = re.compile(r"""(?:pip install ['"]?|[`'"])(tlx[\w-]*)\\?\[(\w[\w-]*)\\?\]""")


def test_name_and_version_are_those_of_pyproject() -> None:
    assert re.findall(r'^name = "(.*?)"', PYPROJECT, re.MULTILINE) == [DISTRIBUTION]
    assert re.findall(r'^version = "(.*?)"', PYPROJECT, re.MULTILINE) == [__version__]


@pytest.mark.parametrize("pattern", ["*.md", "docs/*.md", "tlx/**/*.py", "tests/**/*.py"])
def test_every_hint_names_the_distribution_and_an_extra_that_exists(pattern: str) -> None:
    extras = set(re.findall(r"^([\w-]+) = \[$", PYPROJECT, re.MULTILINE))
    assert {"edge", "live", "viz"} <= extras
    found = [hint for path in ROOT.glob(pattern) for hint in HINT.findall(path.read_text("utf-8"))]
    assert {(DISTRIBUTION, extra) for _, extra in found} == set(found)
    assert {extra for _, extra in found} <= extras
    assert HINT.findall(f"{pip_install('edge')}, `{'tlx'}[live]`") == [
        (DISTRIBUTION, "edge"), ("tlx", "live"),
    ]  # fmt: skip


def test_the_changes_have_a_heading_for_the_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings[0] == "Unreleased" or headings[0].startswith(f"{__version__} - ")
    released = [heading for heading in headings if heading != "Unreleased"]
    for heading in released:
        assert re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d{2}-\d{2}", heading), heading
    assert __version__ in {heading.split(" - ")[0] for heading in released}
    order = [tuple(map(int, heading.split(" - ")[0].split("."))) for heading in released]
    assert order == sorted(set(order), reverse=True)


def test_the_top_level_holds_what_belongs_there_and_no_output() -> None:
    """`tlx data check` and nncase write into the folder that they are started in."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode or not listed.stdout:
        pytest.skip("not a checkout of git")
    assert {line.partition("/")[0] for line in listed.stdout.splitlines()} == {
        ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "CONTRIBUTING.md",
        "LICENSE", "Makefile", "README.md", "SECURITY.md", "conf", "docs", "experiments",
        "hydra_plugins", "pyproject.toml", "tests", "tlx", "tools",
    }  # fmt: skip
