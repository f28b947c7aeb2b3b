"""The program of the K210 board under stand-ins that have MaixPy-v1's names and no others."""

from __future__ import annotations

import ast
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / "tools" / "maixpy" / "main.py"


class Image:
    def __init__(self, log: list[str]) -> None:
        self.log = log

    def draw_string(self, x: int, y: int, text: str, color: tuple, scale: int) -> None:
        self.log.append(text)


class Clock:
    def tick(self) -> None: ...

    def fps(self) -> float:
        return 12.34


def module(monkeypatch: pytest.MonkeyPatch, name: str, **names: Any) -> ModuleType:
    made = ModuleType(name)
    made.__dict__.update(names)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def board(
    monkeypatch: pytest.MonkeyPatch, folder: Path, head: bytes, frames: int
) -> tuple[dict[str, Any], list[str]]:
    """The script's names, its files in `folder`, and what the board was asked to do."""
    log: list[str] = []

    def note(name: str) -> Any:
        return lambda *values: log.append(f"{name}{values}")

    outputs = iter([(0.1, 0.7, 0.2), (0.6, 0.3, 0.1)])
    module(
        monkeypatch, "KPU", load=lambda path: log.append(f"load {Path(path).name}") or "task",
        set_outputs=note("outputs"), forward=lambda task, image: next(outputs), deinit=note("end"),
    )  # fmt: skip
    module(monkeypatch, "lcd", init=note("lcd"), display=lambda image: log.append("shown"))
    module(
        monkeypatch, "sensor", RGB565=1, QVGA=2, reset=note("reset"), run=note("run"),
        set_pixformat=note("format"), set_framesize=note("size"), set_windowing=note("window"),
        snapshot=lambda: Image(log),
    )  # fmt: skip
    module(monkeypatch, "time", clock=Clock)
    (folder / "model.kmodel").write_bytes(head + bytes(8))
    (folder / "labels.txt").write_text("cat\ndog\n\nhorse\n")
    names = runpy.run_path(str(SCRIPT))
    names["main"].__globals__.update(
        MODEL=str(folder / "model.kmodel"), LABELS=str(folder / "labels.txt")
    )
    names["main"](frames)
    return names, log


def test_it_names_what_it_sees(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, log = board(monkeypatch, tmp_path, b"LDMK\x04\0\0\0", 2)
    assert "window((224, 224),)" in log
    assert "outputs('task', 0, 1, 1, 3)" in log
    assert log[log.index("load model.kmodel") + 2 :] == [
        "dog 0.70 12.3 fps", "shown", "cat 0.60 12.3 fps", "shown", "end('task',)",
    ]  # fmt: skip


@pytest.mark.parametrize(("head", "version"), [(b"LDMK\x05\0\0\0", 5), (b"\x02\0\0\0\0\0\0\0", 2)])
def test_a_kmodel_that_the_firmware_cannot_load_is_named(
    head: bytes, version: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"version {version}; MaixPy-v1 loads 3 and 4"):
        board(monkeypatch, tmp_path, head, 1)


def test_version_3_has_its_number_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _, log = board(monkeypatch, tmp_path, b"\x03\0\0\0\0\0\0\0", 1)
    assert "load model.kmodel" in log


def test_micropython_can_parse_it() -> None:
    """MaixPy-v1 is MicroPython 1.11, whose grammar is that of Python 3.4."""
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 4))
    kinds = {type(node) for node in ast.walk(tree)}
    assert not kinds & {ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.AsyncFunctionDef}


def test_the_card_gets_the_models_side(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from tlx.classify.maixpy import write_card

    exported: Any = SimpleNamespace(
        classifier=SimpleNamespace(input_size=128), description={"classes": ["a", "b"]}
    )
    write_card(exported, tmp_path)
    assert "\nSIDE = 128  # pixels" in (tmp_path / "main.py").read_text()
    assert (tmp_path / "labels.txt").read_text() == "a\nb"
