"""The machine, the versions and the memory that a run's figures belong to."""

from __future__ import annotations

import hashlib
import platform
import re
import subprocess
import uuid
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from tlx.common.version import __version__

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "timm",
    "faster-coco-eval",
    "numpy",
    "pillow",
)


def environment() -> dict[str, Any]:
    """Everything that may explain a difference between two runs' figures."""
    versions = {name: _version(name) for name in PACKAGES}
    versions["torch"] = torch.__version__  # the module's own names its build: +cu132, +cpu
    return {
        "tlx": __version__,
        "python": platform.python_version(),
        **versions,
        "platform": platform.platform(),
        "cpu": _cpu_model(),
        "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "logical_cores": psutil.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        **COMMIT,
    }


def boot_id() -> str:
    """Digits that stand for this machine since its last start, the same in all of its containers.

    Where the system gives none (it is Linux's), they stand for the machine.
    """
    try:
        source = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        source = f"{platform.node()} {uuid.getnode()}"
    return hashlib.sha256(source.encode()).hexdigest()[:12]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file() and (
        match := re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text(errors="replace"))
    ):
        return match[1].strip()
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Output of a git command in tlx's own checkout; None in an installed package."""
    try:
        result = subprocess.run(
            ["git", "-C", str(Path(__file__).parent), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def reset_peak_rss() -> None:
    """Start a new peak for this process, where the system can (Linux: `man 5 proc`, clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_rss_bytes() -> int:
    """Largest resident memory of this process since the last reset, its children left out."""
    status = Path("/proc/self/status")
    if status.is_file() and (match := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(match[1]) * 1024
    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))


# Asked for once, when the code is loaded: a sweep of hours runs this code, whatever is checked out
# meanwhile.
COMMIT: dict[str, Any] = {
    "git_commit": _git("rev-parse", "HEAD"),
    "git_dirty": bool(_git("status", "--porcelain", "--untracked-files=no")),
}
