"""Programs and devices outside of Python that some features want."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tlx.doctor.findings import Section, Todo

# Environment variable -> the package there, the export format it is for
ENVIRONMENTS = {
    "TLX_TFLITE_ENV": ("litert-torch", "tlx.export format=tflite"),
    "TLX_KMODEL_ENV": ("nncase", "tlx.export format=kmodel, tlx.classify.maixpy"),
}
# Program -> where it may be besides the PATH, what it is for
PROGRAMS: dict[str, tuple[tuple[str, ...], str]] = {
    "nvidia-smi": ((), "NVIDIA's driver"),
    "trtexec": (("/usr/src/tensorrt/bin/trtexec",), "engines of exported files"),
    "chromium": (("chromium-browser", "google-chrome"), "the tests of the extra viz-test"),
    "git": ((), "the commit in a run's record"),
}


def outside() -> Section:
    """What is here, and where a variable names something that is not."""
    section = Section("outside", "Outside of Python")
    for variable, (package, use) in ENVIRONMENTS.items():
        _environment(section, variable, package, use)
    for name, (others, use) in PROGRAMS.items():
        found = next((path for each in (name, *others) if (path := shutil.which(each))), None)
        section.facts[name] = found
        section.rows.append((name, found or f"none ({use})"))
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    section.facts["cameras"] = cameras
    section.rows.append(("cameras", ", ".join(cameras) or "none at /dev/video*"))
    return section


def _environment(section: Section, variable: str, package: str, use: str) -> None:
    named = os.environ.get(variable)
    section.facts[variable] = {"path": named, package: None}
    if not named:
        section.rows.append((variable, f"not set ({use}; docs/export.md says how to make it)"))
        return
    folder = Path(named).expanduser()
    places = (folder, folder / "bin" / "python", folder / "Scripts" / "python.exe")
    python = next((place for place in places if place.is_file()), None)
    found, why = None, f"{named} holds no bin/python"
    if python is not None:
        code = f"from importlib.metadata import version; print(version('{package}'))"
        try:
            done = subprocess.run(
                [str(python), "-I", "-c", code], capture_output=True, text=True, timeout=30,
                check=False,
            )  # fmt: skip
            found, why = done.stdout.strip() or None, f"{named} holds no {package}"
        except (OSError, subprocess.SubprocessError, UnicodeError) as error:
            why = f"{python} does not run ({error})"
    section.facts[variable][package] = found
    section.rows.append((variable, f"{named}, {package} {found}" if found else why))
    if not found:
        section.todo.append(Todo(f"set {variable} anew, or make the environment: {why} "
                                 "(docs/export.md)"))  # fmt: skip
