"""What `python -m tlx.benchmark latency` may be asked."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from tlx.common.errors import ConfigError
from tlx.common.typos import unknown_choice
from tlx.runtime.opening import PRECISIONS, READS, reads, split_backend


@dataclass
class LatencyBenchmark:
    model: str = MISSING
    backend: str = "torch,onnxruntime,openvino"
    baselines: bool = True
    split: str = "test"
    root: str | None = None
    rounds: int = 100
    pictures: int = 5
    warmup: int = 3
    threads: int = 0
    device: str = "cpu"
    trust: bool = False
    cache_dir: str = os.environ.get("TLX_CACHE", "~/.cache/tlx")
    output: str = "latency"


@dataclass(frozen=True)
class Choice:
    """One arm that is asked for: a model under a backend, perhaps in a precision of its own."""

    model: Path
    backend: str
    precision: str | None

    @property
    def name(self) -> str:
        """The backend as it was asked for."""
        return self.backend + (f":{self.precision}" if self.precision else "")


def choices(cfg: LatencyBenchmark) -> tuple[list[Choice], list[dict[str, str]]]:
    """Every model under every backend that reads it, and what is left out with its reason.

    Raises `ConfigError` for an unknown backend, a figure out of range, or when nothing is left.
    """
    for key, lowest in {"rounds": 1, "pictures": 1, "warmup": 0, "threads": 0}.items():
        if getattr(cfg, key) < lowest:
            raise ConfigError(f"{key}={getattr(cfg, key)} must be {lowest} or more")
    found, left_out = [], []
    for model in (Path(name.strip()).expanduser() for name in cfg.model.split(",")):
        if not model.exists():
            raise ConfigError(f"model={model} does not exist")
        for asked in (name.strip() for name in cfg.backend.split(",")):
            backend, precision = split_backend(asked)
            if backend is None or backend not in READS:
                raise ConfigError(unknown_choice("backend", asked, READS))
            if precision and precision not in PRECISIONS.get(backend, ()):
                raise ConfigError(f"backend={asked}: {backend} is not asked for a precision")
            if reads(backend, model):
                found.append(Choice(model, backend, precision))
            else:
                reason = f"{backend} does not read this kind of file"
                left_out.append({"model": label(model), "backend": asked, "reason": reason})
    if not found:
        raise ConfigError(f"backend={cfg.backend} reads none of model={cfg.model}")
    return found, left_out


def label(model: Path) -> str:
    """A run by its folder, a file by its name: no path of the machine."""
    return model.parent.parent.name if model.suffix == ".ckpt" else model.name
