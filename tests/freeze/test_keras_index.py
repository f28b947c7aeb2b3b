"""`freeze=keras:N`: the lists are those of Keras, and N freezes what it freezes there."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY, Compose
from tlx.common.errors import ConfigError
from tlx.config.check import check_config
from tlx.config.identity import run_label
from tlx.config.typed import plain
from tlx.freeze.depth import frozen_blocks
from tlx.freeze.keras_index import MODELS, keras_indices, keras_layers
from tlx.models.backbones.base import BackboneSpec, backbone_spec
from tlx.models.backbones.mobilenet_v2 import EXPANDED

# Of keras 3.15.1 (KERAS_BACKEND=torch), weights=None, include_top=False: sha256 over the names of
# `model.layers` behind the input, a line each, and the sums of `count_params()` of the first N.
NAMES = {
    "mobilenet_v1": (85, "61f7fc097048de327e61d0a69626159a91b364988a1741cdcd75d5e1076dd565"),
    "mobilenet_v2": (153, "fb47447bf39273f1785540f4a6e89eceabbb9db85027f4d7d046dd5e90b6941b"),
    "vgg16": (18, "252dd9385c532df9364c8b6d470ec836494bca1eaaedc2d5e6daea33cd80060f"),
}
PARAMETERS = {
    "mobilenet_v1": {3: 992, 4: 992, 9: 3712, 11: 3712, 17: 13248, 23: 31808, 86: 3228864},
    "mobilenet_v2": {4: 992, 9: 1984, 144: None, 151: 1843264},
    "vgg16": {3: 38720, 4: 38720, 9: 1145408, 11: 1735488, 17: 12354880, 19: 14714688},
}
KERAS = """
import json, keras
found = {}
for name in ("MobileNet", "MobileNetV2", "VGG16"):
    make = getattr(keras.applications, name)
    layers = make(weights=None, include_top=False, input_shape=(224, 224, 3)).layers
    found[name] = [[layer.name, layer.count_params()] for layer in layers]
print(json.dumps(found))
"""


def values_up_to(spec: BackboneSpec) -> list[int]:
    """Parameters and statistics of the first 0, 1, 2, … blocks, as Keras counts them."""
    counts = [
        sum(v.numel() for k, v in block.state_dict().items() if not k.endswith("batches_tracked"))
        for block in spec.build(spec.conventions).blocks.values()
    ]
    return [0, *itertools.accumulate(counts)]


@pytest.mark.parametrize("name", NAMES)
def test_the_layers_are_those_of_keras(name: str) -> None:
    layers = keras_layers(backbone_spec(name))[1:-1]
    digest = hashlib.sha256("\n".join(layers).encode()).hexdigest()
    assert (len(layers), digest) == NAMES[name]


@pytest.mark.parametrize("name", NAMES)
def test_as_many_values_are_frozen_as_in_keras(name: str) -> None:
    spec = backbone_spec(name)
    values = values_up_to(spec)
    for count, wanted in PARAMETERS[name].items():
        if wanted is None:
            with pytest.raises(ConfigError, match="ends no block"):
                frozen_blocks(f"keras:{count}", spec)
        else:
            assert values[len(frozen_blocks(f"keras:{count}", spec))] == wanted


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="pip install keras")
def test_every_index_freezes_what_it_freezes_in_the_installed_keras() -> None:
    done = subprocess.run(
        [sys.executable, "-c", KERAS], capture_output=True, text=True, check=True,
        env={**os.environ, "KERAS_BACKEND": "torch"},
    )  # fmt: skip
    found = json.loads(done.stdout.splitlines()[-1])
    for backbone, (model, _) in MODELS.items():
        spec, layers = backbone_spec(backbone), found[model]
        assert [name for name, _ in layers[1:]] == keras_layers(spec)[1:-1]
        exact = {count: blocks for blocks, count in enumerate(values_up_to(spec)) if blocks}
        for count in range(len(layers) + 1):
            values = sum(number for _, number in layers[:count])
            if values in exact:
                assert len(frozen_blocks(f"keras:{count}", spec)) == exact[values]
            else:
                with pytest.raises(ConfigError):
                    frozen_blocks(f"keras:{count}", spec)


def test_an_expansion_that_is_a_block_of_its_own_ends_one() -> None:
    """As `ssd_tf` taps it; there the last convolution is a block too."""
    whole, apart = (keras_indices(spec) for spec in (backbone_spec("mobilenet_v2"), EXPANDED))
    assert "bottleneck_14_expand" not in whole
    assert list(apart["bottleneck_14_expand"]) == [118, 119, 120]
    assert whole["bottleneck_14"] == apart["bottleneck_14"] == range(125, 126)
    assert list(apart["conv_last"]) == [153, 154, 155]
    frozen = frozen_blocks("keras:119", EXPANDED)
    assert len(frozen) == 1 + EXPANDED.blocks.index("bottleneck_14_expand")


@pytest.mark.parametrize(
    ("backbone", "value", "told"),
    [
        ("mobilenet_v1", "keras:20",
         "freeze=keras:20 ends with conv_dw_3_relu of MobileNet, which ends no block of "
         "mobilenet_v1: keras:16 to 17 ends with block 2, Conv2d_2; keras:22 to 24 ends with "
         "block 3, Conv2d_3"),
        ("mobilenet_v2", "keras:20", "keras:18 ends with block 2, bottleneck_2; keras:26 to 27"),
        ("mobilenet_v2", "keras:154", "ends with out_relu of MobileNetV2, which ends no block"),
        ("vgg16", "keras:21", "goes past the 19 layers of VGG16: keras:18 to 20"),
        ("vgg16", "keras:1", "freezes no weights, as freeze=none does: keras:2 ends with block 0"),
        ("vgg16", "keras:-4", "freeze=keras:-4 is not understood"),
        ("resnet50", "keras:20", "known here for mobilenet_v1, mobilenet_v2, vgg16: name a block"),
    ],
)  # fmt: skip
def test_an_index_that_ends_no_block_is_refused_with_the_nearest(
    backbone: str, value: str, told: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        frozen_blocks(value, backbone_spec(backbone))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_command_line_takes_it(compose_config: Compose) -> None:
    cfg = compose_config(
        "backbone=vgg16", "freeze=keras:20", "policy=two_phase", "policy.then=keras:11"
    )
    assert [len(phase.frozen) for phase in check_config(cfg)] == [13, 7]
    assert run_label(plain(cfg)).startswith("freeze=keras20-seed=0-two_phase-")


def test_the_page_has_the_numbers_and_the_line_of_a_refusal() -> None:
    page = (REPOSITORY / "docs" / "configuration.md").read_text("utf-8")
    section = page.split("### A layer index of Keras\n")[1].split("\n## ")[0]
    rows = [row.strip("|").split("|") for row in section.splitlines() if row.startswith("| ")]
    header, *rest = [[cell.strip() for cell in row] for row in rows]
    for place, name in enumerate(MODELS, 1):
        assert f"`{name}`" in header[place]
        indices = keras_indices(backbone_spec(name)).values()
        told = ["–".join(map(str, sorted({ends[0], ends[-1]}))) for ends in indices]
        assert [row[place] for row in rest if row[place]] == told
    assert [row[0] for row in rest] == [str(n) for n in range(len(rest))]
    line = next(text for text in section.splitlines() if text.startswith("freeze=keras:20 "))
    with pytest.raises(ConfigError) as refused:
        frozen_blocks("keras:20", backbone_spec("mobilenet_v1"))
    assert str(refused.value) == line
