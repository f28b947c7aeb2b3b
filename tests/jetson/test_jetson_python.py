"""The Jetson tool on the Python that JetPack 4 has: its grammar, its library, and a real run."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.jetson import helpers_old_python
from tests.jetson.helpers_jetson import REPOSITORY, TOOL

CARRIED = [TOOL, *(str(Path(__file__).with_name(f"helpers_{name}.py"))
                   for name in ("jetson", "tensorrt", "tensorrt_api", "old_python"))]  # fmt: skip
BARE = {"numpy", "PIL", "cv2"}  # what the tool may import that is not Python's own


@pytest.mark.parametrize("path", CARRIED, ids=[Path(path).name for path in CARRIED])
def test_grammar_and_library_of_python_36(path: str) -> None:
    ast.parse(Path(path).read_text(encoding="utf-8"), feature_version=(3, 6))
    vermin = pytest.importorskip("vermin", reason="vermin is not installed: pip install vermin")
    config = vermin.Config()
    # Annotations are evaluated in 3.6, so they count.
    config.set_eval_annotations(True)
    lowest = vermin.visit(Path(path).read_text(encoding="utf-8"), config).minimum_versions()
    assert lowest[1] is not None, "it needs what Python 3 has not"
    assert lowest[1] <= (3, 6)


def test_nothing_is_imported_that_a_bare_board_lacks() -> None:
    imported = set()
    for node in ast.walk(ast.parse(Path(TOOL).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported - set(sys.stdlib_module_names) == BARE


def pictures(folder: Path) -> None:
    (folder / "pictures").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "pictures" / "a.png")


def here(folder: Path, capsys: Any, monkeypatch: Any) -> dict[str, Any]:
    """The same on the interpreter of the tests."""
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    helpers_old_python.main(str(folder))
    sys.modules.pop("tensorrt")
    return result_of(capsys.readouterr().out)


def result_of(text: str) -> dict[str, Any]:
    return json.loads(text.split("RESULT ")[1])


def oldest_python() -> tuple[str, bool] | None:
    """The oldest Python 3 on the PATH that is older than this one and has numpy; has it Pillow?"""
    for minor in range(6, sys.version_info.minor):
        program = shutil.which(f"python3.{minor}")
        if program is None:
            continue
        code = "import numpy\ntry:\n import PIL.Image\nexcept ImportError:\n print('bare')"
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return program, "bare" not in done.stdout
    return None


def test_it_runs_on_the_oldest_python(tmp_path: Path, capsys: Any, monkeypatch: Any) -> None:
    oldest = oldest_python()
    if oldest is None:
        pytest.skip("no older Python with numpy on the PATH (see CONTRIBUTING.md)")
    program, has_pillow = oldest
    places = [tmp_path / "old", tmp_path / "new"]
    for place in places:
        place.mkdir()
        if has_pillow:
            pictures(place)
    environment = {**os.environ, "PYTHONPATH": REPOSITORY, "PYTHONNOUSERSITE": "1"}
    command = [program, helpers_old_python.__file__, str(places[0])]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    found, wanted = result_of(done.stdout), here(places[1], capsys, monkeypatch)
    assert found.pop("python") < wanted.pop("python")
    # Sums in another order: a value that lies between two grey levels may fall either way.
    assert found.pop("resized") == pytest.approx(wanted.pop("resized"), rel=1e-4)
    assert found == wanted
    assert (found["code"], found["api"], found["check"]) == (0, "execute_async_v2", 0)
    if has_pillow:
        old, new = (json.loads((place / "found.json").read_text()) for place in places)
        assert len(old["images"][0]["detections"]) > 0
        assert old["images"] == new["images"]
