"""Building with every generation of TensorRT's API: flags, memory, int8, DLA, clear errors."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.jetson.helpers_jetson import load_tool, write_onnx
from tests.jetson.helpers_tensorrt import SIDE, HostCuda, Installed, install
from tests.jetson.helpers_tensorrt_api import SURFACES

jb = load_tool()
WEAK = [version for version in SURFACES if not version.startswith("11")]


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[Installed]:
    before = sys.modules.pop("tensorrt", None)
    yield install(request.param)
    sys.modules.pop("tensorrt")
    if before is not None:
        sys.modules["tensorrt"] = before


def every(versions: Any = SURFACES) -> Any:
    return pytest.mark.parametrize("world", list(versions), indirect=True)


def provide(folder: Path, *options: str, cuda: Any = None, **changes: Any) -> dict[str, Any]:
    model = write_onnx(str(folder / "m.onnx"), **changes)
    args = jb.parser().parse_args([model, *options])
    return jb.provide_engine(args, jb.OnnxFile(model), lambda: cuda or HostCuda())


def plan(found: dict[str, Any]) -> dict[str, Any]:
    return json.loads(Path(found["path"]).read_bytes())


@every()
def test_workspace_and_batch_by_the_calls_of_the_version(world: Installed, tmp_path: Path) -> None:
    found = provide(tmp_path, "--workspace", "256")
    assert plan(found)["workspace"] == 256 << 20
    pool = "IBuilderConfig.set_memory_pool_limit" in world.calls
    assert pool is not world.version.startswith("8.2")
    assert ("IBuilderConfig.max_workspace_size" in world.calls) is not pool


@every(WEAK)
def test_flags_of_weakly_typed_versions(world: Installed, tmp_path: Path) -> None:
    quantised = {"operators": ["QuantizeLinear"]}
    assert plan(provide(tmp_path))["flags"] == ["FP16"]  # the default on a Jetson
    assert plan(provide(tmp_path, "--precision", "fp32"))["flags"] == []
    found = provide(tmp_path, **quantised)
    assert found["key"]["precision"] == "int8"
    assert plan(found)["flags"] == ["FP16", "INT8"]
    assert "IBuilderConfig.int8_calibrator" not in world.calls


@every(WEAK)
def test_a_precision_that_cannot_be_had(world: Installed, tmp_path: Path) -> None:
    quantised = {"operators": ["QuantizeLinear"]}
    for message, options, changes in [
        ("is quantised .* --precision int8", ["--precision", "fp16"], quantised),
        ("float16 weights: run with --precision fp16", ["--precision", "fp32"], {"weights": 10}),
        ("int8 needs --calibration", ["--precision", "int8"], {}),
    ]:  # fmt: skip
        with pytest.raises(jb.BenchmarkError, match=message):
            provide(tmp_path, *options, **changes)
    world.fast_int8 = False
    with pytest.raises(jb.BenchmarkError, match=r"no int8 arithmetic \(Jetson Nano"):
        provide(tmp_path, "--precision", "int8")


@every(["11.0.0"])
def test_strong_typing_takes_the_precision_from_the_file(world: Installed, tmp_path: Path) -> None:
    for precision, changes in [
        ("fp32", {}), ("fp16", {"weights": 10}), ("int8", {"operators": ["QuantizeLinear"]}),
    ]:  # fmt: skip
        found = provide(tmp_path, **changes)
        assert found["key"]["precision"] == precision
        assert plan(found)["flags"] == []
    with pytest.raises(jb.BenchmarkError, match=r"m\.onnx is fp32: export it with precision=fp16"):
        provide(tmp_path, "--precision", "fp16")
    assert not any(name.startswith("Builder.platform") for name in world.calls)


@every()
def test_an_opset_that_is_too_new(world: Installed, tmp_path: Path) -> None:
    limit = {"8.2.1.8": 13, "8.5.2.2": 17, "10.3.0": 20, "11.0.0": 25}[world.version]
    assert provide(tmp_path, opset=limit)["built"]
    told = f"its opset is {limit + 1}, the newest supported is {limit}.*\n?.*with opset={limit}"
    with pytest.raises(jb.BenchmarkError, match=told) as caught:
        provide(tmp_path, opset=limit + 1)
    assert "No importer registered" in str(caught.value)


@every(["8.2.1.8"])
def test_an_operator_that_does_not_parse(
    world: Installed, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr("tests.jetson.helpers_tensorrt.PARSED_OPSETS", {"8.2.1.8": 10})
    with pytest.raises(jb.BenchmarkError, match=r"holds NonMaxSuppression: .* format=onnx"):
        provide(tmp_path, operators=["Conv", "NonMaxSuppression"])


@every(["8.2.1.8", "10.3.0"])
def test_int8_is_calibrated_once(world: Installed, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for shade in (0, 100, 255):
        Image.new("RGB", (40, 30), (shade,) * 3).save(pictures / f"{shade:03d}.png")
    (pictures / "broken.jpg").write_bytes(b"no picture")
    cuda = HostCuda()
    options = ["--precision", "int8", "--calibration", str(pictures)]
    found = provide(tmp_path, *options, cuda=cuda)
    assert plan(found)["flags"] == ["FP16", "INT8"]
    shades = [float(picture[0]) for picture in world.fed]
    assert shades == pytest.approx([(s - 127) / 128 for s in (0, 100, 255)])
    assert all(np.ptp(p) == 0 and p.size == 3 * SIDE * SIDE for p in world.fed)
    assert provide(tmp_path, *options)["built"] is False
    world.fed.clear()
    assert provide(tmp_path, *options, "--rebuild")["built"]  # from the table, not the pictures
    assert not world.fed
    Image.new("RGB", (40, 30)).save(pictures / "more.png")
    assert provide(tmp_path, *options)["built"]  # another set: another engine
    assert len(world.fed) == 4


@every(["8.2.1.8", "10.3.0"])
def test_the_calibration_cache_of_an_export(world: Installed, tmp_path: Path) -> None:
    cache = tmp_path / "m.calib"
    cache.write_bytes(b"TRT-8501-EntropyCalibration2\ninput_0: 3c010a14\n")
    provide(tmp_path, "--precision", "int8", "--calibration", str(cache))
    number = {"8.2.1.8": b"8201", "10.3.0": b"100300"}[world.version]
    assert world.table == b"TRT-" + number + b"-EntropyCalibration2\ninput_0: 3c010a14\n"
    assert not world.fed
    cache.write_bytes(b"\x89PNG")
    with pytest.raises(jb.BenchmarkError, match="no calibration cache of TensorRT"):
        provide(tmp_path, "--precision", "int8", "--calibration", str(cache))


@every(["8.2.1.8", "10.3.0"])
def test_dla(world: Installed, tmp_path: Path) -> None:
    with pytest.raises(jb.BenchmarkError, match="--dla 0: this board has 0 DLA cores"):
        provide(tmp_path, "--dla", "0")
    world.dla_cores = 2
    with pytest.raises(jb.BenchmarkError, match="computes in fp16 or int8"):
        provide(tmp_path, "--dla", "0", "--precision", "fp32")
    found = provide(tmp_path, "--dla", "1")
    assert plan(found)["dla"] == 1
    assert plan(found)["flags"] == ["FP16", "GPU_FALLBACK"]
    assert "fp16-dla1" in found["path"]


@every()
def test_less_workspace_is_tried_and_said(world: Installed, tmp_path: Path) -> None:
    world.memory_mb = 300
    said: list[str] = []
    found, megabytes = jb.with_less_workspace(
        lambda mb: provide(tmp_path, "--workspace", str(mb)), 1024, said.append
    )
    assert megabytes == 256
    assert plan(found)["workspace"] == 256 << 20
    assert said == [
        "out of memory with a workspace of 1024 MB: trying 512 MB",
        "out of memory with a workspace of 512 MB: trying 256 MB",
    ]
    world.memory_mb = 8
    with pytest.raises(jb.BenchmarkError, match="out of memory with a workspace of 16 MB too"):
        jb.with_less_workspace(
            lambda mb: provide(tmp_path, "--workspace", str(mb), "--rebuild"), 64, said.append
        )


@every(["8.2.1.8"])
def test_other_failures_are_not_taken_for_memory(world: Installed, tmp_path: Path) -> None:
    world.fails = "Try increasing the workspace size with IBuilderConfig::setMaxWorkspaceSize()"
    with pytest.raises(jb.BenchmarkError, match="raise --workspace") as caught:
        provide(tmp_path)
    assert not isinstance(caught.value, jb.OutOfMemory)
    world.fails = "Error Code 4: Internal Error (Network must have at least one output)"
    with pytest.raises(jb.BenchmarkError, match="at least one output") as caught:
        provide(tmp_path)
    assert not isinstance(caught.value, jb.OutOfMemory)


def test_a_version_that_is_too_old_or_missing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(jb, "_PACKAGES", ("no_such_tensorrt",))
    with pytest.raises(jb.BenchmarkError, match=r"not there .*python3-libnvinfer"):
        jb.load_tensorrt()
    world = Installed("8.2.1.8")
    world.module.__version__ = "7.1.3.0"
    with pytest.raises(jb.BenchmarkError, match=r"7\.1\.3\.0 is too old: 8\.0"):
        jb.TensorRT(world.module)


def test_no_gpu_is_told(monkeypatch: Any) -> None:
    monkeypatch.setattr(jb, "_CUDA_LIBRARIES", ("libno_such_cuda.so.1",))
    with pytest.raises(jb.BenchmarkError, match=r"no GPU: libcuda\.so\.1 is not on this machine"):
        jb.Cuda()


class NoDevice:
    """libcuda of a machine whose driver finds nothing: cuInit returns CUDA_ERROR_NO_DEVICE."""

    def cuInit(self, flags: int) -> int:
        return 100

    def cuGetErrorString(self, code: int, text: Any) -> int:
        text._obj.value = b"no CUDA-capable device is detected"
        return 0


def test_a_driver_without_a_device(monkeypatch: Any) -> None:
    monkeypatch.setattr(jb.Cuda, "_load", staticmethod(NoDevice))
    with pytest.raises(jb.BenchmarkError, match="no GPU: cuInit says 'no CUDA-capable device"):
        jb.Cuda()
