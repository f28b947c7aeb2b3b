"""Detectors inside npm packages: written in their layout, and the published ones where fetched."""

from __future__ import annotations

import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import SHARED
from tests.models.helpers_tf import V1, V2, Arrays, random_arrays, reference
from tests.models.test_tf_detection import loaded, outputs, picture, wanted
from tlx.common.errors import WeightsError
from tlx.models.backbones.npm_packages import _of_constant, read_npm_package
from tlx.starts.fetch import found
from tlx.starts.published import PUBLISHED

MODEL = "package/model"
NAME = "ssd_mobilenetv1_model"


def in_8_bits(value: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    low, high = float(value.min()), float(value.max())
    scale = (high - low) / 255 or 1.0
    stored = np.round((value.astype(float) - low) / scale).astype(np.uint8)
    return stored, {"scale": scale, "min": low, "dtype": "uint8"}


def as_published(arrays: Arrays) -> tuple[Arrays, Arrays]:
    """A checkpoint with what face-api folds folded, and the same under face-api's names."""
    folded, renamed = dict(arrays), {}
    for key, value in arrays.items():
        scope, _, leaf = key.rpartition("/")
        if leaf not in ("weights", "depthwise_weights") or "BoxPredictor" in key:
            continue
        bare = scope.removeprefix("FeatureExtractor/")
        extra = re.fullmatch(r".*_([12])_Conv2d_(\d)_.*", bare)
        name = bare.replace("Conv2d_0", "Conv2d_0_pointwise") if bare.endswith("Conv2d_0") else bare
        if extra:
            name = f"Prediction/Conv2d_{2 * (int(extra[2]) - 2) + int(extra[1]) - 1}_pointwise"
        norm = {n: f"{scope}/BatchNorm/{n}" for n in
                ("gamma", "beta", "moving_mean", "moving_variance")}  # fmt: skip
        if leaf == "depthwise_weights":
            renamed[f"{name}/{leaf}"] = value
            renamed |= {f"{name}/BatchNorm/{n}": arrays[k] for n, k in norm.items()}
            continue
        gain = arrays[norm["gamma"]] / np.sqrt(arrays[norm["moving_variance"]] + 1e-3)
        renamed[f"{name}/weights"] = folded[key] = value * gain
        offset = arrays[norm["beta"]] - arrays[norm["moving_mean"]] * gain
        renamed[f"{name}/convolution_bn_offset"] = folded[norm["beta"]] = offset
        folded[norm["gamma"]] = np.ones_like(offset)
        folded[norm["moving_mean"]] = np.zeros_like(offset)
        folded[norm["moving_variance"]] = np.full_like(offset, 1 - 1e-3)
    predictors = {f"Prediction/{k}": v for k, v in arrays.items() if k.startswith("BoxPredictor")}
    return folded, renamed | predictors


def write_package(path: Path, arrays: Arrays, *, bits: bool = False) -> Path:
    entries, stored = [], b""
    for name, value in arrays.items():
        entry: dict[str, Any] = {"name": name, "shape": list(value.shape), "dtype": "float32"}
        raw = value.astype("<f4")
        if bits:
            raw, entry["quantization"] = in_8_bits(value)
        stored += raw.tobytes()
        entries.append(entry)
    members = {
        "package/package.json": b"{}",
        f"{MODEL}/{NAME}-weights_manifest.json": json.dumps(
            [{"paths": [f"{NAME}.bin"], "weights": entries}]
        ).encode(),
        f"{MODEL}/{NAME}.bin": stored,
    }
    return write_archive(path, members)


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("plain", [True, False], ids=["plain", "folded"])
def test_it_computes_what_the_package_does(plain: bool, tmp_path: Path) -> None:
    folded, renamed = as_published(random_arrays(V1, 2))
    detector = loaded(write_package(tmp_path / "p.tgz", renamed), V1, 2, 107)
    assert detector.loaded == {name for name, _ in detector.trunk()}
    wanted = reference(folded, V1, picture(107))
    for values, expected in zip(outputs(detector, picture(107), plain=plain), wanted, strict=True):
        assert expected.std() > 0.1
        assert np.abs(values - expected).max() < 1e-3


def test_eight_bits_are_scaled_back(tmp_path: Path) -> None:
    _, renamed = as_published(random_arrays(V1, 2))
    read = read_npm_package(write_package(tmp_path / "p.tgz", renamed, bits=True))
    name = "Conv2d_3_depthwise/depthwise_weights"
    value = read[f"FeatureExtractor/{V1}/{name}"].numpy()
    given = renamed[f"{V1}/{name}"].astype(float)
    step = (given.max() - given.min()) / 255
    assert 0.1 * step < np.abs(value - given).max() < 0.51 * step


def test_constants_of_tflite_by_their_names() -> None:
    """An output channel's kernel is its first axis there, and a depthwise one has one of them."""
    kernel = torch.arange(24.0).reshape(2, 1, 3, 4)
    read = _of_constant("BoxPredictor_0/ClassPredictor/Conv2D", kernel)
    assert read["BoxPredictor_0/ClassPredictor/weights"].shape == (1, 3, 4, 2)
    assert read["BoxPredictor_0/ClassPredictor/weights"][0, 2, 3, 1] == kernel[1, 0, 2, 3]
    depthwise = torch.arange(18.0).reshape(1, 3, 3, 2)
    read = _of_constant("F/M/expanded_conv/depthwise/BatchNorm/FusedBatchNormV3", depthwise)
    assert read["F/M/expanded_conv/depthwise/depthwise_weights"].shape == (3, 3, 2, 1)
    bias = torch.ones(4)
    read = _of_constant("BoxPredictor_0/ClassPredictor/BiasAdd", bias)
    assert list(read) == ["BoxPredictor_0/ClassPredictor/biases"]
    read = _of_constant("F/M/Conv/BatchNorm/FusedBatchNormV3", bias)
    assert read["F/M/Conv/BatchNorm/beta"] is bias


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"package/package.json": b"{}"}, "no detector that is known"),
        ({f"{MODEL}/{NAME}-weights_manifest.json": b"[{"}, "cannot be read"),
        (
            {f"{MODEL}/{NAME}-weights_manifest.json": b'[{"paths": ["../x"], "weights": []}]'},
            "cannot be read",
        ),
        (
            {
                f"{MODEL}/{NAME}-weights_manifest.json": b'[{"paths": ["b"], "weights": [{"name": '
                b'"a", "shape": [9], "dtype": "float32"}]}]',
                f"{MODEL}/b": b"12",
            },
            "cannot be read",
        ),
        ({"package/objectron_solution_packed_assets.data": b"x" * 300}, "another one than that"),
    ],
)
def test_a_damaged_package_is_one_line(
    members: dict[str, bytes], words: str, tmp_path: Path
) -> None:
    with pytest.raises(WeightsError, match=words) as refused:
        read_npm_package(write_archive(tmp_path / "p.tgz", members))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "network", "classes", "size"),
    [
        ("ssd_mobilenet_v1@widerface", V1, 2, 512),
        ("ssd_mobilenet_v2@openimages", V2, 23, 300),
    ],
)
def test_the_published_package_gives_the_golden_outputs(
    name: str, network: str, classes: int, size: int, tmp_path: Path
) -> None:
    path, golden = found(PUBLISHED[name]), SHARED / "golden" / f"{name.replace('@', '_')}.npz"
    if path is None:
        pytest.skip(f"not here: `tlx weights fetch {name}`")
    if not golden.is_file():
        pytest.skip(f"no {golden}")
    if network == V2:
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    if network == V1:  # what was stored of it was computed with weights of 16 bits
        arrays = {key: value.numpy() for key, value in read_npm_package(path).items()}
        path = tmp_path / "w.npz"
        half = {k: v.astype(np.float16) for k, v in arrays.items() if "BatchNorm" not in k}
        np.savez(path, **(arrays | half))
    with np.load(golden) as stored:
        values = outputs(loaded(path, network, classes, size), stored["image_uint8"], plain=False)
        for value, expected in zip(values, wanted(network, stored), strict=True):
            assert np.abs(value - expected).max() < 1e-3
