"""Engines of the Jetson tool: what makes one stale, and the process that builds them."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jetson.helpers_jetson import load_tool, write_onnx
from tests.jetson.helpers_tensorrt import HostCuda, Installed, install

jb = load_tool()


@pytest.fixture
def world() -> Iterator[Installed]:
    before = sys.modules.pop("tensorrt", None)
    yield install("10.3.0")
    sys.modules.pop("tensorrt")
    if before is not None:
        sys.modules["tensorrt"] = before


def provide(folder: Path, *options: str, gpu: Any = None, **changes: Any) -> dict[str, Any]:
    model = write_onnx(str(folder / "m.onnx"), **changes)
    cuda = HostCuda()
    cuda.gpu.update(gpu or {})
    args = jb.parser().parse_args([model, *options])
    return jb.provide_engine(args, jb.OnnxFile(model), lambda: cuda)


def test_an_engine_is_kept_and_found(world: Installed, tmp_path: Path) -> None:
    first = provide(tmp_path, "--engine-dir", str(tmp_path / "new" / "engines"))
    assert first["built"]
    again = provide(tmp_path, "--engine-dir", str(tmp_path / "new" / "engines"))
    assert not again["built"]
    assert again["path"] == first["path"]
    assert provide(tmp_path, "--engine-dir", str(tmp_path / "new" / "engines"), "--rebuild")[
        "built"
    ]
    left = sorted(path.name for path in (tmp_path / "new" / "engines").iterdir())
    assert left == [Path(first["path"]).name, Path(first["path"]).name + ".json"]


@pytest.mark.parametrize(
    ("options", "gpu", "changes", "told"),
    [
        ([], {}, {"opset": 12}, "the ONNX file was"),
        ([], {"name": "Xavier"}, {}, "the GPU was Orin, sm 8.7, 8 multiprocessors, is Xavier"),
        # An Orin Nano and an AGX Orin have the same name and compute capability.
        ([], {"multiprocessors": 16}, {}, "is Orin, sm 8.7, 16 multiprocessors"),
        (["--precision", "fp32"], {}, {}, None),
    ],
)
def test_whatever_changes_another_engine_is_built(
    world: Installed, tmp_path: Path, capsys: Any,
    options: list[str], gpu: dict[str, Any], changes: dict[str, Any], told: str | None,
) -> None:  # fmt: skip
    first = provide(tmp_path)
    capsys.readouterr()
    other = provide(tmp_path, *options, gpu=gpu, **changes)
    assert other["built"]
    assert other["path"] != first["path"]
    said = capsys.readouterr().err
    assert ("not used, stale" in said) is (told is not None)
    assert (told or "") in said


def test_another_tensorrt_makes_it_stale(world: Installed, tmp_path: Path, capsys: Any) -> None:
    first = provide(tmp_path)
    world.module.__version__ = "10.4.0"
    assert provide(tmp_path)["path"] != first["path"]
    assert "TensorRT was 10.3.0, is 10.4.0" in capsys.readouterr().err


def test_a_stale_engine_is_refused(world: Installed, tmp_path: Path) -> None:
    found = provide(tmp_path)
    with pytest.raises(jb.BenchmarkError, match=r"is stale: TensorRT was 10\.3\.0, is 10\.7\.0"):
        jb.load_engine(found["path"], {"tensorrt": "10.7.0"})
    assert jb.load_engine(found["path"], {"tensorrt": "10.3.0"})[0]
    # Given as the model, it is compared with the ONNX file that lies beside it.
    write_onnx(str(tmp_path / "m.onnx"), opset=13)
    args = jb.parser().parse_args([found["path"]])
    with pytest.raises(jb.BenchmarkError, match="is stale: the ONNX file was"):
        jb._found_engine(args, HostCuda)


def test_a_damaged_or_unknown_engine_is_refused(world: Installed, tmp_path: Path) -> None:
    path = Path(provide(tmp_path)["path"])
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(jb.BenchmarkError, match="is damaged or was replaced"):
        jb.load_engine(str(path), None)
    assert provide(tmp_path)["built"]  # asked for the model, it is made anew
    Path(f"{path}.json").unlink()
    with pytest.raises(jb.BenchmarkError, match=r"it may be stale.*--accept-unknown-engine"):
        jb.load_engine(str(path), None)
    with pytest.raises(jb.BenchmarkError, match="cannot be read"):
        jb.load_engine(str(tmp_path / "none.engine"), None)


def test_what_an_engine_was_built_from_is_beside_it(world: Installed, tmp_path: Path) -> None:
    found = provide(tmp_path, "--workspace", "64")
    stored = json.loads(Path(found["path"] + ".json").read_text())
    assert stored["key"] == {
        "version": 1, "onnx_sha256": jb.OnnxFile(str(tmp_path / "m.onnx")).sha256,
        "tensorrt": "10.3.0", "gpu": "Orin, sm 8.7, 8 multiprocessors", "precision": "fp16",
        "dla": None, "calibration": None,
    }  # fmt: skip
    assert (stored["model"], stored["workspace_mb"]) == ("m.onnx", 64)


def test_a_child_answers_or_fails_as_it_would_here() -> None:
    assert jb.in_child(lambda: {"pid": os.getpid()})["pid"] != os.getpid()

    def fail(error: Exception) -> dict[str, Any]:
        raise error

    with pytest.raises(jb.OutOfMemory, match="full"):
        jb.in_child(lambda: fail(jb.OutOfMemory("full")))
    with pytest.raises(jb.BenchmarkError, match="wrong shape"):
        jb.in_child(lambda: fail(jb.BenchmarkError("wrong shape")))
    with pytest.raises(jb.BenchmarkError, match=r"(?s)unexpected.*ZeroDivisionError: oh"):
        jb.in_child(lambda: fail(ZeroDivisionError("oh")))


def test_a_builder_that_the_kernel_kills_gets_less_workspace() -> None:
    """A Jetson's memory is the GPU's too: the kernel kills what takes too much of it."""

    def attempt(megabytes: int) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            if megabytes > 256:
                os.kill(os.getpid(), signal.SIGKILL)
            return {"workspace": megabytes}

        return jb.in_child(work)

    said: list[str] = []
    assert jb.with_less_workspace(attempt, 1024, said.append) == ({"workspace": 256}, 256)
    assert len(said) == 2
    # Not SIGTERM: a test runner may handle that.
    with pytest.raises(jb.BenchmarkError, match=f"died of signal {int(signal.SIGUSR1)}"):
        jb.in_child(lambda: os.kill(os.getpid(), signal.SIGUSR1) or {})
