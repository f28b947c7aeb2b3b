"""Python, the system, the processor, memory and disks; with Python's own library alone."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from tlx.common.cores import usable_cores
from tlx.common.version import __version__
from tlx.doctor.findings import Section, Todo, size

LEAST_FREE = 2e9  # bytes: checkpoints of one study, and a set's decoded pictures
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # flags of x86; the last one of ARM


def machine(folders: dict[str, Path]) -> Section:
    """This machine, and the room in the folders that tlx writes to."""
    section = Section("machine", "Machine")
    cpu, flags = _processor()
    cores = usable_cores()
    bfloat16 = [flag for flag in BFLOAT16 if flag in flags]
    total, available = _memory()
    section.facts = {
        "tlx": __version__,
        "tlx_folder": str(Path(__file__).parent.parent),
        "python": platform.python_version(),
        "executable": sys.executable,
        "system": platform.platform(),
        "cpu": cpu,
        "cores": cores,
        "bfloat16_flags": bfloat16,
        "memory_bytes": total,
        "memory_available_bytes": available,
        "folders": {},
    }
    memory = "unknown" if total is None else size(total)
    section.rows = [
        ("tlx", f"{__version__} in {Path(__file__).parent.parent}"),
        ("Python", f"{platform.python_version()}, {sys.executable}"),
        ("system", platform.platform()),
        ("processor", f"{cpu}, {cores} cores, bfloat16: {', '.join(bfloat16) or 'no'}"),
        ("memory", memory + (f", {size(available)} free" if available else "")),
    ]
    for key, folder in folders.items():
        _folder(section, key, folder)
    return section


def _folder(section: Section, key: str, folder: Path) -> None:
    facts: dict[str, Any] = {"path": str(folder), "free_bytes": None, "writable": None}
    section.facts["folders"][key] = facts
    try:
        there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
        facts["free_bytes"] = shutil.disk_usage(there).free
        facts["writable"] = os.access(there, os.W_OK) and there.is_dir()
    except (OSError, StopIteration) as error:
        section.rows.append((key, f"{folder}: {error}"))
        section.todo.append(Todo(f"give another {key}: {folder} cannot be looked at ({error})"))
        return
    section.rows.append((key, f"{folder}, {size(facts['free_bytes'])} free on its disk"))
    if not facts["writable"]:
        section.todo.append(Todo(f"get the right to write in {there}, or give another {key}"))
    elif facts["free_bytes"] < LEAST_FREE:
        section.todo.append(
            Todo(f"free space for {folder}, where {size(facts['free_bytes'])} is left, or give "
                 f"another {key}")
        )  # fmt: skip


def _processor() -> tuple[str, set[str]]:
    """Name and flags; Linux tells them."""
    text = ""
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(errors="replace")
    name = re.search(r"model name\s*:\s*(.+)", text)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    told = name[1].strip() if name else platform.processor() or platform.machine()
    return told, set(flags[1].split()) if flags else set()


def _memory() -> tuple[int | None, int | None]:
    """Bytes of memory, and of those that are free for programs."""
    with suppress(OSError, AttributeError):
        text = Path("/proc/meminfo").read_text()
        found = dict(re.findall(r"(\w+):\s+(\d+) kB", text))
        return int(found["MemTotal"]) * 1024, int(found.get("MemAvailable", 0)) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    return None, None
