"""ncnn: `NAME.ncnn.param` with `NAME.ncnn.bin` beside it, as pnnx writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tlx.common.errors import ConfigError, WeightsError
from tlx.common.packages import require
from tlx.runtime.base import Raw, Runtime, by_width
from tlx.runtime.meta import ModelMeta, find_meta


class NcnnRuntime(Runtime):
    """An ncnn network; a new extractor for each picture."""

    backend = "ncnn"

    def __init__(self, meta: ModelMeta, ncnn: Any, net: Any) -> None:
        super().__init__(meta, 1)
        self.ncnn, self.net = ncnn, net
        self.input = net.input_names()[0]
        self.outputs = sorted(net.output_names())  # out0, out1: scores, boxes

    def run(self, images: np.ndarray) -> Raw:
        """See `Runtime.run`."""
        extractor = self.net.create_extractor()
        # The array must outlive the extraction: a Mat shares its memory.
        extractor.input(self.input, self.ncnn.Mat(images[0]))
        arrays = []
        for name in self.outputs:
            code, result = extractor.extract(name)
            if code != 0:
                raise WeightsError(f"ncnn cannot compute {name} (code {code}): export it again")
            arrays.append(np.array(result))
        return by_width(arrays, self.outputs, len(self.meta.classes))

    def close(self) -> None:
        """See `Runtime.close`."""
        self.net.clear()


def load(path: Path, device: str, threads: int | None, precision: str) -> Runtime:
    """See `tlx.runtime.open_model`."""
    ncnn = require("ncnn", "backend=ncnn")
    if device != "cpu":
        raise ConfigError(f"device={device}: backend=ncnn runs on cpu here")
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise WeightsError(f"{path} has no {weights.name} beside it: export it again")
    net = ncnn.Net()
    if threads:
        net.opt.num_threads = threads
    # Half-precision storage is on by default, and would be another model than the one exported.
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic",
                   "use_bf16_storage"):  # fmt: skip
        setattr(net.opt, option, False)
    if net.load_param(str(path)) or net.load_model(str(weights)):
        raise WeightsError(f"{path} is damaged, or of another ncnn version: export it again")
    return NcnnRuntime(find_meta(path), ncnn, net)
