"""The package as a house: arrows between its folders run one way."""

from __future__ import annotations

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent


def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    found = {}
    for path in (ROOT / "tlx").rglob("*.py"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imported(path: Path, known: dict[str, Path]) -> set[str]:
    """The package's modules that a module imports, in functions and for types alike."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            found.add(node.module)
    return found & known.keys()


def room(path: Path) -> Path:
    """The folder of a module; a program stands on top of its folder, not in it."""
    return path if path.stem == "__main__" else path.parent


def test_no_folder_depends_on_one_that_depends_on_it() -> None:
    known = modules()
    arrows: dict[Path, set[Path]] = defaultdict(set)
    for path in known.values():
        arrows[room(path)] |= {room(known[name]) for name in imported(path, known)}
    for folder, targets in arrows.items():
        targets -= {folder}
    assert len(arrows) > 20
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        raise AssertionError(f"a circle: {' <- '.join(map(str, error.args[1]))}") from None


def test_few_modules_stand_outside_of_the_rooms() -> None:
    loose = {path.stem for path in (ROOT / "tlx").glob("*.py")}
    programs = {"cache", "capture", "evaluate", "predict", "train"}  # `python -m tlx.NAME`
    assert loose == {"__init__", "__main__", "api", *programs}
