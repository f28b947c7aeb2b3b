"""PyTorch: a checkpoint (folded, channels-last), a TorchScript file or an exported program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tlx.common.errors import ConfigError, WeightsError, first_line
from tlx.runtime.base import Raw, Runtime, by_width
from tlx.runtime.meta import ModelMeta, find_meta
from tlx.runtime.opening import is_program

Network = Callable[[Tensor], tuple[Tensor, Tensor]]


class TorchRuntime(Runtime):
    """A function of tensors as a runtime."""

    backend = "torch"

    def __init__(
        self, meta: ModelMeta, network: Network, device: torch.device, batch: int | None, bf16: bool
    ) -> None:
        super().__init__(meta, batch)
        self.network, self.device, self.bf16 = network, device, bf16

    @torch.no_grad()
    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        x = torch.from_numpy(images).to(self.device, memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            outputs = self.network(x)
        arrays = [output.float().cpu().numpy() for output in outputs]
        return by_width(arrays, [], len(self.meta.classes))


def load(path: Path, device: str, threads: int | None, precision: str) -> Runtime:
    """See `tlx.runtime.open_model`."""
    if threads:
        torch.set_num_threads(threads)
    place = torch_device(device)
    bf16 = precision == "bf16"
    if is_program(path):
        return TorchRuntime(find_meta(path), _program(path, place), place, 1, bf16)
    if bf16:
        raise ConfigError("a checkpoint is computed in fp32; export it to compute it in bf16")
    return _checkpoint(path, place)


def torch_device(name: str) -> torch.device:
    """A device of torch; `ConfigError` for one that is unknown or not there."""
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device={name} is none that torch knows") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={name}: torch finds no GPU here")
    return device


def _checkpoint(path: Path, device: torch.device) -> Runtime:
    from tlx.runtime.source import load_source

    source = load_source(path)
    detector = source.detector.to(device).eval()
    conventions = detector.conventions
    meta = ModelMeta(
        classes=tuple(source.classes),
        input_size=detector.input_size,
        mean=tuple(255 * value for value in conventions.mean),
        std=tuple(255 * value for value in conventions.std),
        checkpoint_sha256=source.sha256,
        config=source.config,
        dataset=source.dataset,
        framing=source.framing,
    )
    return TorchRuntime(meta, detector.raw, device, None, False)


def _program(path: Path, device: torch.device) -> Network:
    """Loading runs what is inside: `tlx.runtime.open_model` has asked for trust."""
    try:
        if path.suffix.lower() == ".pt2":
            network: Network = torch.export.load(path).module()
        else:
            network = torch.jit.load(path, map_location=device).eval()
    except Exception as error:  # torch raises its own types, zip's and pickle's
        raise WeightsError(f"{path} is damaged: {first_line(error)}") from error
    return network.to(device) if isinstance(network, torch.nn.Module) else network
