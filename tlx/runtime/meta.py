"""What a model says of itself: ONNX metadata, the `model.json` beside it, or a checkpoint's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tlx.common.errors import WeightsError, first_line
from tlx.common.files import read_json
from tlx.data.framing import WHOLE, Framing

MODEL_JSON = "model.json"
LARGEST = 4096  # px of an input: a picture of a larger one would take all memory


@dataclass(frozen=True)
class ModelMeta:
    """What a runtime must know of a model.

    Attributes:
        classes: without the background; label k is classes[k - 1]. input_size: square, in pixels.
        mean, std: what the graph's input is, ``(pixel - mean) / std`` per RGB channel, pixels in
            0..255.
        precision: fp32, fp16 or int8.
        checkpoint_sha256: of the checkpoint that the model was made from.
        config: `data` and `detector` of the run that trained it; empty where none is known.
        dataset: the run's splits (`tlx.data.membership`); None where they are not known.
        postprocess: threshold and NMS that the run's own figures were measured with.
        framing: how it sees pictures.
    """

    classes: tuple[str, ...]
    input_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    precision: str = "fp32"
    checkpoint_sha256: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    dataset: Mapping[str, Any] | None = None
    postprocess: Mapping[str, Any] = field(default_factory=dict)
    framing: Framing = WHOLE


def from_values(values: Mapping[str, Any], where: str) -> ModelMeta:
    """Meta data from a description as `tlx.runtime.description.describe` makes it.

    Raises `WeightsError` naming the key that is absent or wrong.
    """
    try:
        meta = ModelMeta(
            classes=tuple(str(name) for name in values["classes"]),
            input_size=int(values["input_size"]),
            mean=_channels(values["mean"]),
            std=_channels(values["std"]),
            precision=str(values.get("precision", "fp32")),
            checkpoint_sha256=values.get("checkpoint_sha256"),
            config=values.get("config") or {},
            dataset=values.get("dataset"),
            postprocess=values.get("postprocess") or {},
            framing=Framing.read(values.get("input")),
        )
    except KeyError as error:
        raise WeightsError(f"{where} lacks {error}: export the model again") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise WeightsError(f"{where} is damaged ({error}): export the model again") from error
    sound = {
        "classes": bool(meta.classes) and isinstance(values["classes"], list),
        "input_size": 1 <= meta.input_size <= LARGEST,
        "mean": all(map(math.isfinite, meta.mean)),
        "std": all(0 < value < math.inf for value in meta.std),
        "config": isinstance(meta.config, dict),
        "postprocess": isinstance(meta.postprocess, dict),
    }
    if wrong := [name for name, right in sound.items() if not right]:
        raise WeightsError(f"{where} is damaged ({wrong[0]}): export the model again")
    return meta


def find_meta(path: Path) -> ModelMeta:
    """Meta data of an artefact: inside an ONNX file, else of the `model.json` beside it.

    What lies inside comes first: it cannot belong to another export of the same folder.

    Raises `WeightsError` where there is none, a damaged one, or one of another file.
    """
    if path.suffix == ".onnx" and (values := _embedded(path)):
        return from_values(values, f"the metadata of {path}")
    stored = path.parent / MODEL_JSON
    if not stored.is_file():
        raise WeightsError(
            f"{path} does not say what it detects: keep the {MODEL_JSON} of its export beside it"
        )
    try:
        values = read_json(stored)
    except ValueError as error:
        raise WeightsError(f"{stored} is no JSON ({error}): export the model again") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{stored} is no JSON object: export the model again")
    named = values.get("artefact", path.name)
    # An engine is built from the file that is described here, whatever it is called.
    if named != path.name and path.suffix == Path(str(named)).suffix:
        raise WeightsError(
            f"{stored} describes {named}, not {path.name}: give each export a folder of its own"
        )
    return from_values(values, str(stored))


def _embedded(path: Path) -> dict[str, Any]:
    """The description inside an ONNX file; empty where it has none or nothing can read it."""
    from tlx.runtime.description import from_properties

    try:
        if find_spec("onnx"):
            model = import_module("onnx").load(str(path), load_external_data=False)
            return from_properties({entry.key: entry.value for entry in model.metadata_props})
        if find_spec("onnxruntime"):
            session = import_module("onnxruntime").InferenceSession
            properties = session(str(path), providers=["CPUExecutionProvider"]).get_modelmeta()
            return from_properties(properties.custom_metadata_map)
    except Exception as error:  # protobuf's and ONNX Runtime's own types, all for bad files
        raise WeightsError(f"{path} is no ONNX file: {first_line(error)}") from error
    return {}


def _channels(values: Any) -> tuple[float, ...]:
    """Of pixels in 0..1, as stored -> in 0..255, as pictures are."""
    channels = tuple(255 * float(value) for value in values)
    if len(channels) != 3:
        raise ValueError(f"{len(channels)} channels instead of 3")
    return channels
