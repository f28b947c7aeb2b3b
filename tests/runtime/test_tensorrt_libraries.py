"""TensorRT's bindings beside libraries: of their version, of another one, of none."""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tlx.common.errors import ToolError
from tlx.runtime import tensorrt_backend
from tlx.runtime.tensorrt_libraries import (
    KINDS,
    differ,
    examine,
    install_libraries,
    library_version,
)

TENSORRT, RTX = KINDS
COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler")
NEW = """int getInferLibMajorVersion(void) {{ return {0}; }}
int getInferLibMinorVersion(void) {{ return {1}; }}
int getInferLibPatchVersion(void) {{ return {2}; }}
int getInferLibBuildVersion(void) {{ return {3}; }}
"""
OLD = "int getInferLibVersion(void) { return 8601; }"  # NvInferRuntimeBase.h of 8.6.1


def compiled(code: str, path: Path) -> Path:
    """A library with these functions of NVIDIA's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.with_suffix(".c")
    source.write_text(code)
    subprocess.run([str(COMPILER), "-shared", "-fPIC", "-o", path, source], check=True)
    return path


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Site packages with the bindings of 11.4.0.106, as pip writes them."""
    about = tmp_path / "tensorrt_cu13_bindings-11.4.0.106.dist-info"
    about.mkdir()
    text = "Metadata-Version: 2.4\nName: tensorrt_cu13_bindings\nVersion: 11.4.0.106\n"
    (about / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def libraries(site: Path, *version: int) -> Path:
    (site / "tensorrt_libs").mkdir()
    (site / "tensorrt_libs" / "__init__.py").write_text("")
    return compiled(NEW.format(*version), site / "tensorrt_libs" / "libnvinfer.so.11")


@needs_compiler
def test_libraries_say_their_version(tmp_path: Path) -> None:
    assert (
        library_version(str(compiled(NEW.format(10, 13, 3, 9), tmp_path / "a.so"))) == "10.13.3.9"
    )
    assert library_version(str(compiled(OLD, tmp_path / "b.so"))) == "8.6.1"


@needs_compiler
def test_bindings_and_libraries_of_one_version(site: Path) -> None:
    file = libraries(site, 11, 4, 0, 106)
    assert examine(TENSORRT) == {
        "bindings": "11.4.0.106", "library": "11.4.0.106", "file": str(file), "problem": None,
    }  # fmt: skip


@needs_compiler
def test_libraries_of_another_version(site: Path) -> None:
    file = libraries(site, 11, 3, 0, 99)
    problem = examine(TENSORRT)["problem"]
    assert problem == (
        f"tensorrt-cu13-bindings is 11.4.0.106 and the library {file} is 11.3.0.99: install its "
        "libraries of version 11.4.0.106: pip install tensorrt-cu13-libs==11.4.0.106, "
        "or bindings of the library's version: pip install "
        "'tensorrt-cu13-bindings==11.3.0.99'"
    )
    # Bindings that load all the same are refused before anything is run with them.
    (site / "tensorrt_bindings.py").write_text("")
    with pytest.raises(ToolError, match=r"the library .* is 11\.3\.0\.99"):
        tensorrt_backend._package()


@pytest.mark.skipif(find_spec("tensorrt_libs") is not None, reason="TensorRT is installed")
def test_bindings_alone(site: Path) -> None:
    found = examine(TENSORRT)
    assert found["library"] is None
    assert "finds no library (libnvinfer.so.11" in found["problem"]
    with pytest.raises(ToolError, match=r"pip install tensorrt-cu13-libs==11\.4\.0\.106"):
        tensorrt_backend._package()


def test_nothing_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(tensorrt_backend, "import_module", missing)
    nothing = dict.fromkeys(("bindings", "library", "file", "problem"))
    monkeypatch.setattr(tensorrt_backend, "examine", lambda kind: nothing)
    with pytest.raises(ToolError, match=r"pip install 'tlx-detect\[tensorrt\]'"):
        tensorrt_backend._package()


def test_what_counts_of_a_version() -> None:
    assert not differ("10.14.1.48.post1", "10.14.1.48")
    assert not differ("8.6.1", "8.6.1.6")
    assert differ("11.4.0.106", "11.3.0.99")


def test_where_libraries_come_from() -> None:
    assert install_libraries("tensorrt-rtx-cu13-bindings", "1.7.1.116") == (
        "pip install tensorrt-rtx-cu13-libs==1.7.1.116"
    )
    assert "JetPack" in install_libraries("tensorrt", "8.5.2.2")


@pytest.mark.skipif(
    find_spec("tensorrt_rtx_libs") is None,
    reason="TensorRT for RTX is not installed: pip install tensorrt-rtx-cu13",
)
def test_real_libraries() -> None:
    found = examine(RTX)
    assert found["problem"] is None
    assert found["library"] == found["bindings"]
