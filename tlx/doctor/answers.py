"""Sections made of what the other process answered."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tlx.doctor.asking import Answer
from tlx.doctor.findings import Section, Todo, size


def devices(answer: Answer) -> Section:
    """What torch computes on."""
    section = Section("devices", "Devices")
    if _is_unknown(section, answer):
        return section
    facts = section.facts = answer.value
    built = (
        f"CUDA {facts['built_for_cuda']}"
        if facts["built_for_cuda"]
        else f"ROCm {facts['built_for_rocm']}"
        if facts["built_for_rocm"]
        else "the processor alone"
    )
    section.rows.append(("torch", f"{facts['torch']}, built for {built}"))
    for number, card in enumerate(facts["cuda"]):
        told = f"{card['name']}, {size(card['memory_bytes'])}, capability {card['capability']}"
        section.rows.append((f"cuda:{number}", told))
    if facts["mps"]:
        section.rows.append(("mps", "available"))
    half = "computes in bfloat16" if facts["cpu_bfloat16"] else "no bfloat16 arithmetic"
    section.rows.append(("cpu", f"{facts['threads']} threads, {half}"))
    if not facts["cuda"] and Path("/dev/nvidia0").exists():
        section.todo.append(
            Todo("a card of NVIDIA is here and torch does not see it: install the torch of the "
                 "driver's CUDA version (nvidia-smi says which; pytorch.org says how)")
        )  # fmt: skip
    return section


def weights(answer: Answer) -> Section:
    """Pretrained weights on this machine."""
    section = Section("weights", "Weights that backbone.weights=auto takes")
    if _is_unknown(section, answer):
        return section
    section.facts = answer.value
    for name, found in section.facts.items():
        if found["file"]:
            section.rows.append((name, found["file"]))
        elif found["downloads"]:
            told = " or ".join(found["advice"])
            section.rows.append((name, f"none here, fetched by the first run: {told}"))
        else:
            section.rows.append((name, "none here"))
            section.todo.append(Todo(f"weights of {name}: {' or '.join(found['advice'])}"))
    return section


def caches(answer: Answer, cache_dir: Path) -> Section:
    """What is cached."""
    section = Section("caches", f"Caches in {cache_dir}")
    if not _is_unknown(section, answer):
        section.facts = answer.value
        for kind, found in section.facts.items():
            section.rows.append((kind, f"{found['count']}, {size(found['bytes'])}"))
    section.facts = {"path": str(cache_dir), **section.facts}
    return section


def wandb(answer: Answer) -> Section:
    """Whether runs are mirrored online."""
    section = Section("wandb", "Weights & Biases")
    if _is_unknown(section, answer):
        return section
    forced = os.environ.get("WANDB_MODE")
    section.facts = {**answer.value, "WANDB_MODE": forced}
    login = "logged in" if section.facts["logged_in"] else "not logged in (wandb login)"
    why = f"WANDB_MODE={forced}" if forced else login
    section.rows.append(("logger.mode=auto", f"{section.facts['mode']}: {why}"))
    return section


def tensorrt(answer: Answer) -> Section:
    """TensorRT's bindings beside its libraries."""
    section = Section("tensorrt", "TensorRT")
    if _is_unknown(section, answer):
        return section
    section.facts = answer.value
    for name, found in section.facts.items():
        library = found["library"]
        told = f"libraries {library} in {found['file']}" if library else "no libraries"
        section.rows.append((name, f"bindings {found['bindings']}, {told}"))
        if found["problem"]:
            section.todo.append(Todo(found["problem"]))
    if not section.facts:
        section.rows.append(("bindings", "none (backend=tensorrt needs the extra tensorrt)"))
    return section


def _is_unknown(section: Section, answer: Answer) -> Any:
    """Whether there is no answer; the packages above say what to do about it."""
    if answer.error is not None:
        section.facts = {"error": answer.error}
        section.rows.append(("unknown", answer.error))
    return answer.error is not None
