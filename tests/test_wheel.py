"""What users install: a wheel that carries its configuration and works from any folder."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from tests.conftest import REPOSITORY


def test_wheel_in_another_folder(tmp_path: Path) -> None:
    wheel = next(iter(WheelBuilder(str(REPOSITORY)).build(directory=str(tmp_path / "dist"))))
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(site)
    yaml = {p.relative_to(REPOSITORY).as_posix() for p in (REPOSITORY / "conf").rglob("*.yaml")}
    assert {f"tlx/{name}" for name in yaml} <= set(names)
    assert {"tlx/convert/tflite.py", "tlx/convert/kmodel.py", "tlx/maixpy/main.py"} <= set(names)
    templates = {"index.html.jinja", "macros.jinja", "style.css"}
    assert {f"tlx/report/templates/{name}" for name in templates} <= set(names)
    assert "tlx/py.typed" in names  # without it a user's type checker takes everything for Any
    entry = next(name for name in names if name.endswith(".dist-info/entry_points.txt"))
    assert "tlx = tlx.__main__:script" in (site / entry).read_text()
    assert not any(name.startswith(("tests/", "conf/")) for name in names)

    own = tmp_path / "own" / "data"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("name: mine\nformat: voc\nroot: /data/mine\n")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "tlx.train", "--config-dir", str(own.parent), "data=mine",
               "freeze=4", "--cfg", "job", "--resolve"]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        command, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "root: /data/mine" in done.stdout
    assert "name: mine-efficientnet_lite0" in done.stdout
    where = [sys.executable, "-c", "import tlx.config.check as c; print(c.conf_dir())"]
    shown = subprocess.run(where, cwd=elsewhere, env=environment, capture_output=True, text=True)
    assert Path(shown.stdout.strip()) == site / "tlx" / "conf"
