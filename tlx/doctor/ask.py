"""Questions that need packages, answered in a process of their own: it may fail, hang or die."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def devices() -> dict[str, Any]:
    """What torch computes on, and what it was built for."""
    import torch

    from tlx.training.precision import has_bfloat16

    cuda = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    return {
        "torch": torch.__version__,
        "built_for_cuda": torch.version.cuda,
        "built_for_rocm": torch.version.hip,
        "cuda": [
            {
                "name": each.name,
                "memory_bytes": each.total_memory,
                "capability": f"{each.major}.{each.minor}",
            }
            for each in cuda
        ],
        "mps": torch.backends.mps.is_available(),
        "cpu_bfloat16": has_bfloat16(torch.device("cpu")),
        "threads": torch.get_num_threads(),
    }


def weights() -> dict[str, Any]:
    """What `backbone.weights=auto` would take of each backbone; nothing is downloaded."""
    import tlx.models.backbones  # noqa: F401  registers them
    from tlx.models.backbones.base import BACKBONES
    from tlx.models.catalog import weights_of

    return {
        name: {
            **weights_of(spec),
            "downloads": any(source.download for source in spec.sources),
        }
        for name, spec in sorted(BACKBONES.items())
    }


def caches(cache_dir: str) -> dict[str, Any]:
    """Number and size of the caches of each kind."""
    from tlx.cache import KINDS, entries, size

    folder = Path(cache_dir)
    found = {kind: entries(folder, kind) for kind in KINDS}
    return {
        kind: {"count": len(paths), "bytes": sum(map(size, paths))} for kind, paths in found.items()
    }


def wandb() -> dict[str, Any]:
    """In which mode a run would be mirrored."""
    from tlx.wandb.service import logged_in

    known = logged_in()
    return {"logged_in": known, "mode": "online" if known else "offline"}


def tensorrt() -> dict[str, Any]:
    """Bindings and libraries of TensorRT, each kind that is here."""
    from tlx.runtime.tensorrt_libraries import KINDS, examine

    return {kind.name: found for kind in KINDS if (found := examine(kind))["bindings"]}


TOPICS: dict[str, Callable[..., Any]] = {
    "devices": devices,
    "weights": weights,
    "caches": caches,
    "wandb": wandb,
    "tensorrt": tensorrt,
}


def main() -> None:
    """Answer the questions of the command line, one JSON line each, on what was standard output.

    A question is `import MODULE`, or `TOPIC ARGUMENTS`, as a JSON list.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # packages that greet do it elsewhere
    for text in sys.argv[1:]:
        topic, *arguments = json.loads(text)
        _say(answers, {"begin": text})
        try:
            if topic == "import":
                import_module(arguments[0])
                value = None
            else:
                value = TOPICS[topic](*arguments)
            _say(answers, {"of": text, "value": value})
        except BaseException as error:  # SystemExit too: a package may do anything
            lines = [line for line in str(error).splitlines() if line.strip()]
            told = f"{type(error).__name__}: {lines[0]}" if lines else repr(error)
            _say(answers, {"of": text, "error": told})
    answers.flush()
    os._exit(0)  # threads that a package left behind do not hold it


def _say(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()
