"""TensorRT's bindings for Python and its libraries, which come from different places.

The bindings are wheels of the package index. The package of the libraries there is a stub that
fetches them from NVIDIA's own index as it is installed; a Jetson and NVIDIA's .deb packages bring
them with the system. NVIDIA pins the one to the other's version. Another pair may load all the same
(RTX's bindings of 1.7.1 do, with the library of 1.6.1): it is refused, for nobody has tested it.

Nothing of TensorRT is imported here, and no GPU is touched.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import re
from dataclasses import dataclass
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Kind:
    """TensorRT, or TensorRT for RTX.

    Attributes:
        modules: names under which the bindings are imported, in order.
        bindings: pattern of their distributions' names.
        libraries: the package of the libraries; stem: of the library's file.
    """

    name: str
    modules: tuple[str, ...]
    bindings: str
    libraries: str
    stem: str


# The distribution `tensorrt` is JetPack's, or stands for both of the others.
KINDS = (
    Kind("tensorrt", ("tensorrt", "tensorrt_bindings"), r"tensorrt(-cu\d+)?(-bindings)?",
         "tensorrt_libs", "nvinfer"),
    Kind("tensorrt_rtx", ("tensorrt_rtx", "tensorrt_rtx_bindings"),
         r"tensorrt-rtx(-cu\d+)?(-bindings)?", "tensorrt_rtx_libs", "tensorrt_rtx"),
)  # fmt: skip


def bindings(kind: Kind) -> tuple[str, str] | None:
    """Name and version of the distribution of the bindings; None where there is none."""
    found = []
    for each in distributions():
        name = re.sub(r"[-_.]+", "-", each.metadata["Name"] or "").lower()
        if re.fullmatch(kind.bindings, name):
            found.append((name, each.version))
    # The bindings' own before what stands for them.
    return max(found, key=lambda pair: pair[0].endswith("-bindings"), default=None)


def library_file(kind: Kind, version: str) -> str:
    """Where the library of a version lies: in its package, else what the system's loader finds."""
    major = version.partition(".")[0]
    spec = find_spec(kind.libraries)
    for folder in (spec and spec.submodule_search_locations) or ():
        for pattern in (f"lib{kind.stem}.so.*", f"{kind.stem}_*.dll"):
            for path in sorted(Path(folder).glob(pattern)):
                return str(path)
    return ctypes.util.find_library(kind.stem) or f"lib{kind.stem}.so.{major}"


def library_version(file: str) -> str:
    """The version that a library says it is, without starting it: `11.4.0.106`, or `8.6.1`.

    Raises:
        OSError: it is not there, or what it needs is not.
    """
    library = ctypes.CDLL(file)
    parts = ("Major", "Minor", "Patch", "Build")  # from 10 on
    if hasattr(library, "getInferLibMajorVersion"):
        return ".".join(str(getattr(library, f"getInferLib{part}Version")()) for part in parts)
    number = int(library.getInferLibVersion())
    return f"{number // 1000}.{number // 100 % 10}.{number % 100}"


def differ(bindings: str, library: str) -> bool:
    """Whether versions differ in what counts: their first three numbers."""
    return bindings.split(".")[:3] != library.split(".")[:3]


def examine(kind: Kind) -> dict[str, Any]:
    """Versions of bindings and library, None where missing, and what to do where they differ."""
    found: dict[str, Any] = dict.fromkeys(("bindings", "library", "file", "problem"))
    if (here := bindings(kind)) is None:
        return found
    name, version = here
    found |= {"bindings": version, "file": library_file(kind, version)}
    advice = f"install its libraries of version {version}: {install_libraries(name, version)}"
    try:
        found["library"] = library_version(found["file"])
    except (OSError, AttributeError) as error:
        found["problem"] = f"{name} {version} finds no library ({error}): {advice}"
        return found
    if differ(version, found["library"]):
        found["problem"] = (
            f"{name} is {version} and the library {found['file']} is {found['library']}: {advice}, "
            f"or bindings of the library's version: pip install '{name}=={found['library']}'"
        )
    return found


def install_libraries(name: str, version: str) -> str:
    """The command that brings the libraries which bindings of this name and version need."""
    libraries = f"{name.removesuffix('-bindings')}-libs"
    if libraries in ("tensorrt-libs", "tensorrt-rtx-libs"):  # the system's bindings
        return "they come with JetPack, or with NVIDIA's packages for the system"
    # Of the index's stub too: it fetches the libraries from NVIDIA by itself.
    return f"pip install {libraries}=={version}"
