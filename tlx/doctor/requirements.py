"""The packages that tlx asks for: which are here, and whether they are within its bounds."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tlx.common.packages import DISTRIBUTION
from tlx.common.packages import pip_install as by_name
from tlx.doctor.findings import Section, Todo

CHECKOUT = Path(__file__).parent.parent.parent
# What is imported, where it is not the package's name
MODULES = {
    "hydra-core": "hydra",
    "pillow": "PIL",
    "pyyaml": "yaml",
}
# Another package may bring the same module, as a Jetson's system does
STAND_INS = {"opencv-python-headless": "cv2"}


@dataclass(frozen=True)
class Wanted:
    """A line of pyproject's lists.

    Attributes:
        extra: "" for what tlx cannot do without.
        bounds: like `>=2.14`; "" for any version.
    """

    name: str
    bounds: str
    extra: str

    @property
    def module(self) -> str:
        """What is imported of it."""
        return MODULES.get(self.name, self.name.replace("-", "_"))

    @property
    def spelled(self) -> str:
        """As pip takes it."""
        return f"'{self.name}{self.bounds}'" if self.bounds else self.name


def wanted() -> list[Wanted]:
    """What pyproject.toml asks for on this system: the checkout's, else the installed package's.

    Raises:
        LookupError: there is neither, or no package that reads such lines.
    """
    requirement_of = _reader()
    lines = _of_checkout() or _of_installation()
    found = []
    for extra, text in lines:
        requirement = requirement_of(text)
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": extra}):
            name = re.sub(r"[-_.]+", "-", requirement.name).lower()
            found.append(Wanted(name, str(requirement.specifier), extra))
    return found


def _reader() -> Any:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        try:
            from pip._vendor.packaging.requirements import Requirement  # type: ignore
        except ImportError as error:
            raise LookupError("packaging is not installed: pip install packaging") from error
    return Requirement


def _of_checkout() -> list[tuple[str, str]]:
    """Extra and line; an installation of a checkout keeps the list of the day it was made."""
    file = CHECKOUT / "pyproject.toml"
    if sys.version_info < (3, 11) or not file.is_file():
        return []
    # By name: a checker that reads this for Python 3.10 knows no such module.
    project = import_module("tomllib").loads(file.read_text("utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    named = [(extra, line) for extra, lines in extras.items() for line in lines]
    return [("", line) for line in project["dependencies"]] + named


def _of_installation() -> list[tuple[str, str]]:
    try:
        lines = requires(DISTRIBUTION) or []
    except PackageNotFoundError as error:
        raise LookupError(f"tlx is not installed: pip install -e {CHECKOUT}") from error
    found = []
    for line in lines:
        extra = re.search(r"extra == [\"']([\w-]+)[\"']", line)
        found.append((extra[1] if extra else "", line))
    return found


def installed(name: str) -> str | None:
    """The version of a package, None where it is not here or its description is damaged."""
    try:
        return version(name)
    except Exception:
        return None


def is_within(found: str, bounds: str) -> bool:
    """Whether a version keeps to its bounds; one that is no version does not."""
    try:
        return bool(_reader()(f"x{bounds}").specifier.contains(found, prereleases=True))
    except Exception:
        return False


def pip_install(extra: str) -> str:
    """What brings an extra: from the checkout that runs, or by name."""
    if (CHECKOUT / "pyproject.toml").is_file():
        return f"pip install -e '{CHECKOUT}[{extra}]'"
    return by_name(extra)


def required_packages(lines: list[Wanted], failures: dict[str, str]) -> Section:
    """What tlx cannot do without; `failures`: module -> why it could not be imported."""
    section = Section("packages", "Required packages")
    fine, wrong = [], []
    for line in lines:
        found = installed(line.name)
        within = found is not None and is_within(found, line.bounds)
        broken = failures.get(line.module) if found is not None else None
        section.facts[line.name] = {
            "version": found, "bounds": line.bounds, "within": within, "broken": broken,
        }  # fmt: skip
        if not within:
            wrong.append(line.spelled)
        if found is None:
            section.rows.append((line.name, f"missing, {line.bounds} is asked for"))
        elif broken:
            section.rows.append((line.name, f"{found} is broken: {broken}"))
        elif not within:
            section.rows.append((line.name, f"{found} is not {line.bounds}"))
        else:
            fine.append(f"{line.name} {found}")
        if broken and within:
            again = f"pip install --force-reinstall --no-deps {line.name}=={found}"
            section.todo.append(Todo(f"{again} ({broken})", required=True))
    if wrong:  # first, and at once: pip finds versions that fit one another
        section.todo.insert(0, Todo(f"pip install {' '.join(wrong)}", required=True))
    section.rows += [("" if i else "fine", row) for i, row in enumerate(_wrapped(fine))]
    return section


def extra_packages(lines: list[Wanted]) -> Section:
    """Each extra: complete, in part, or absent, with what brings it. Nothing is imported."""
    section = Section("extras", "Extras")
    for extra in dict.fromkeys(line.extra for line in lines):
        own = [line for line in lines if line.extra == extra]
        missing, outside = [], []
        for line in own:
            found = installed(line.name)
            if found is None and not _stands_in(line.name):
                missing.append(line.name)
            elif found is not None and not is_within(found, line.bounds):
                outside.append(f"{line.name} {found} is not {line.bounds}")
        section.facts[extra] = {
            "complete": not missing and not outside, "missing": missing, "outside": outside,
            "install": pip_install(extra),
        }  # fmt: skip
        if not missing and not outside:
            section.rows.append((extra, "complete"))
            continue
        absent = len(missing) == len(own)
        told = "absent" if absent else "; ".join([*(f"no {name}" for name in missing), *outside])
        section.rows.append((extra, f"{told}: {pip_install(extra)}"))
        if outside:
            section.todo.append(Todo(f"{pip_install(extra)} ({'; '.join(outside)})"))
    return section


def _stands_in(name: str) -> bool:
    try:
        return name in STAND_INS and find_spec(STAND_INS[name]) is not None
    except (ImportError, ValueError):
        return False


def _wrapped(words: list[str], width: int = 90) -> list[str]:
    rows: list[str] = []
    for word in words:
        if rows and len(rows[-1]) + len(word) + 2 <= width:
            rows[-1] += f", {word}"
        else:
            rows.append(word)
    return rows
