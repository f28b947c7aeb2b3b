"""What a new user trains and deploys: the default configuration, in every precision."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers_process import run_program

for name in ("onnx", "onnxruntime", "openvino"):
    pytest.importorskip(name, reason=f"{name} is not installed: pip install 'tlx-detect[edge]'")

FILES = ["onnx fp32", "onnx fp16", "onnx int8", "onnx_nms int8", "openvino int8"]


@pytest.mark.slow
def test_a_default_run_on_the_sample_is_exported_in_every_precision(tmp_path: Path) -> None:
    done = run_program(
        "tlx.train", "freeze=8", "trainer.epochs=6", "logger=none", cwd=tmp_path, timeout=1200
    )
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "runs").glob("*/*/record.json")
    failed = {}
    for file in FILES:
        form, precision = file.split()
        done = run_program(
            "tlx.export", f"checkpoint={record.parent}", f"format={form}",
            f"precision={precision}", f"output={tmp_path / form}-{precision}", cwd=tmp_path,
            timeout=300,
        )  # fmt: skip
        if done.returncode:
            failed[file] = done.stderr.splitlines()[-1]
    assert failed == {}
