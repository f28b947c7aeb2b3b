"""`commands.md`: what to type where the artefact goes, with its own names."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Any

from tlx.common.cli import command
from tlx.data.framing import Framing
from tlx.export.contract import OPSET_OF_TENSORRT

_BENCHMARK = "latency, power and detections, for `tlx.report` and `tlx.evaluate` on the desk"


def commands(path: Path, description: dict[str, Any]) -> str:
    """Markdown with the commands for an artefact, run in its folder."""
    name, format = path.name, description["format"]
    framing = Framing.read(description["input"])
    parts = [
        f"# {name}",
        f"{description['backbone']}, {description['input_size']} px, {description['precision']}, "
        f"{len(description['classes'])} classes. Made by tlx {description['tlx']} from "
        f"`{description['checkpoint']}` (sha256 {description['checkpoint_sha256'][:12]}…).",
        _input_line(description),
    ]
    if format == "onnx":
        parts += _jetson(path, description)
    if format != "kmodel":
        # Programs of PyTorch are loaded only where the user vouches for them.
        model = [f"model={name}"]
        if format in ("torchscript", "pt2"):
            model.append("trust=true")
        parts += [
            "## On the desk",
            _block(
                command("tlx.evaluate", *model),
                *(
                    [command("tlx.evaluate", *model, "preprocess=detectnet")]
                    if framing.plain
                    else []
                ),
                command("tlx.predict", *model, "source=pictures/", "output=found/"),
                *([] if framing.tile else [command("tlx.benchmark", *model)]),
            ),
        ]
    if format == "kmodel":
        parts.append(
            "A kmodel of version 5: MaixPy-v1 loads versions 3 and 4 only; this one needs a "
            "firmware with the runtime of nncase 1.9. The K210 has 6 MB of "
            "memory for model and feature maps."
        )
    return "\n\n".join(parts) + "\n"


def _input_line(description: dict[str, Any]) -> str:
    entry = description["input"]
    shape = ", ".join(map(str, entry["shape"]))
    return (
        f"Input `{entry['name']}` [{shape}], {entry['colour']}, {_resized(entry)}, "
        f"{entry['of_pixels_0_255']} of pixels x in 0..255. Outputs: "
        + ", ".join(f"`{output}`" for output in description["outputs"])
        + "."
    )


def _resized(entry: dict[str, Any]) -> str:
    framing = Framing.read(entry)
    tiles = f"tiles of {framing.tile} px, {framing.overlap:.0%} in common, each "
    how = (
        "resized with its aspect ratio kept, centred between gray bars (127), by which its boxes "
        "have to be corrected"
        if framing.letterbox
        else "resized to the square whatever the picture's shape"
    )
    return (tiles if framing.tile else "") + how


def _jetson(path: Path, description: dict[str, Any]) -> list[str]:
    name, stem, opset = quote(path.name), path.stem, description["opset"]
    engine = quote(f"--saveEngine={stem}.engine")
    flag = {"fp32": "", "fp16": " --fp16", "int8": " --int8"}[description["precision"]]
    # detectnet builds float engines: of an int8 export it takes the float file beside it.
    int8 = description["precision"] == "int8"
    plain = f"{stem.removesuffix('-int8')}.onnx" if int8 else path.name
    versions = [version for version, highest in OPSET_OF_TENSORRT.items() if opset <= highest]
    framing = Framing.read(description["input"])
    detectnet = [
        "## detectnet (jetson-inference)",
        _block(
            f"detectnet {quote(f'--model={plain}')} --labels=labels.txt --input-blob=input_0 \\",
            "          --output-cvg=scores --output-bbox=boxes --threshold=0.5 SOURCE",
        ),
        "detectnet keeps the engine it builds beside the model. Delete `*.engine` when the model, "
        "TensorRT or the board changes.",
    ]
    if not framing.plain:
        detectnet = [
            "## detectnet (jetson-inference)",
            f"Not with this model: detectnet stretches whole pictures, and it was trained on "
            f"{framing.words}.",
        ]
    parts = [
        *detectnet,
        f"## TensorRT {versions[0]} or later (opset {opset})",
        _block(f"trtexec {quote(f'--onnx={path.name}')} {engine}{flag}"),
    ]
    if int8:
        parts += [
            "This file carries its own scales (QuantizeLinear). TensorRT up to 10 can quantise the "
            "float file instead, from the ranges in the calibration cache; put the version that "
            "`trtexec` prints into its first line:",
            _block(
                f"trtexec {quote(f'--onnx={plain}')} --int8 --fp16 "
                f"{quote(f'--calib={stem}.calib')} \\",
                f"        {engine}",
            ),
        ]
    parts += [
        f"With tlx's tool: {_BENCHMARK}.",
        _block(
            f"python3 jetson_benchmark.py {name} --output result.json",
            *(
                []
                if framing.tile
                else [f"python3 jetson_benchmark.py {name} --images test/ --detections found.json"]
            ),
        ),
    ]
    return parts


def _block(*lines: str) -> str:
    return "\n".join(["```bash", *lines, "```"])
