"""VGG-16 against torchvision's, and its layouts: a classifier, Caffe's features, two detectors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import VGG16_Weights, vgg
from torchvision.models.detection import ssd as torchvision_ssd

from tests.models.helpers_reference import assert_maps, backbone_of, tapped
from tlx.common.errors import WeightsError
from tlx.models.backbones import vgg16
from tlx.models.backbones.weights import Pretrained, convert
from tlx.models.detectors.ssd.priors import prior_maps
from tlx.models.detectors.ssd.ssd import SSD

# Odd behind pool2 (76, 38, 19), so that pool3's rounding shows, as 75 does at 300 px.
SIDE = 76


def features() -> nn.Sequential:
    """torchvision's, random; the classifier of its `vgg16` is half a gigabyte."""
    torch.manual_seed(0)
    return vgg.make_layers(vgg.cfgs["D"], batch_norm=False)


def extractor() -> nn.Module:
    """Of torchvision's `ssd300_vgg16`."""
    return torchvision_ssd.SSDFeatureExtractorVGG(features(), highres=False).eval()


def of_detector(network: nn.Module) -> dict[str, torch.Tensor]:
    """As `ssd300_vgg16_coco` names them."""
    return {f"backbone.{key}": value for key, value in network.state_dict().items()}


def classifier_file(value: float) -> dict[str, torch.Tensor]:
    """A file of torchvision's `vgg16`; the fully connected layers take no memory."""
    state = {f"features.{key}": tensor for key, tensor in features().state_dict().items()}
    one = torch.tensor(value)
    for place, (out, into) in {0: (4096, 25088), 3: (4096, 4096), 6: (1000, 4096)}.items():
        state |= {f"classifier.{place}.weight": one.expand(out, into)}
        state |= {f"classifier.{place}.bias": one.expand(out)}
    return state


def test_a_detector_of_torchvision_gives_its_maps() -> None:
    network = extractor()
    backbone, conventions = backbone_of(vgg16.SPEC, of_detector(network))
    x = torch.randn(1, 3, SIDE, SIDE)
    with torch.no_grad():
        conv4_3 = network.features(x.clone())
        fc7 = network.extra[0](conv4_3)
    assert conv4_3.shape[2:] == (10, 10)
    assert_maps(backbone, x, [conv4_3, fc7])
    assert conventions == vgg16.CAFFE
    assert (backbone.strides[11], backbone.strides[14]) == (16, 16)
    assert [backbone.strides[t] for t in backbone.taps] == [8, 16]


def test_conventions_are_those_that_torchvision_states() -> None:
    for weights, conventions in (
        (VGG16_Weights.IMAGENET1K_V1, vgg16.TORCHVISION),
        (VGG16_Weights.IMAGENET1K_FEATURES, vgg16.CAFFE),
    ):
        transform = weights.transforms()
        assert tuple(transform.mean) == conventions.mean
        assert tuple(transform.std) == conventions.std


def test_which_file_it_is_follows_from_the_classifier() -> None:
    """`IMAGENET1K_FEATURES` has a classifier without values, and other conventions."""
    found, conventions = convert(vgg16.SPEC, classifier_file(0.25), "a")
    assert conventions == vgg16.TORCHVISION
    assert found["backbone.blocks.fc6.conv.weight"].shape == (1024, 512, 3, 3)
    assert found["backbone.blocks.fc7.conv.weight"].shape == (1024, 1024, 1, 1)
    assert found["backbone.blocks.fc7.conv.bias"].shape == (1024,)
    for empty in (float("nan"), 0.0):
        found, conventions = convert(vgg16.SPEC, classifier_file(empty), "b")
        assert conventions == vgg16.CAFFE
        detector = SSD(vgg16.SPEC, conventions, 1, 96)
        detector.load_pretrained(Pretrained(found, conventions, "b", None))
        # What the file has no values for stays random, and is not taken for pretrained.
        assert detector.loaded == set(vgg16.BLOCKS) - {"fc6", "fc7"}
    alone = {key: value for key, value in classifier_file(0.25).items() if "classifier" not in key}
    with pytest.raises(WeightsError, match="take the whole file"):
        convert(vgg16.SPEC, alone, "c")


def test_the_features_of_a_classifier_are_torchvisions() -> None:
    state = classifier_file(0.001)
    backbone, _ = backbone_of(vgg16.SPEC, state)
    x = torch.randn(1, 3, SIDE - 12, SIDE - 12)  # 64: no side is odd
    with torch.no_grad():
        wanted = features()[:23](x.clone())
    torch.testing.assert_close(tapped(backbone, x)[1][0], wanted, rtol=0, atol=1e-4)


def test_a_subsampled_fc6_sees_what_the_fully_connected_one_sees() -> None:
    """On a map of 14x14 that is zero but at the rows and columns whose weights stay.

    pool5 of VGG makes it 7x7, that of SSD leaves it; at (6, 6) the dilated kernel stands where the
    fully connected one does.
    """
    torch.manual_seed(0)
    full = nn.Linear(5 * 49, 16)
    x = torch.zeros(1, 5, 14, 14)
    places = torch.tensor([0, 1, 6, 7, 12, 13])
    x[:, :, places[:, None], places] = torch.rand(1, 5, 6, 6)
    with torch.no_grad():
        wanted = full(nn.MaxPool2d(2, 2)(x).flatten(1))
        weight, bias = vgg16.subsampled(full.weight, full.bias, 7)
        fc6 = vgg16.build(vgg16.TORCHVISION).blocks["fc6"]
        fc6.conv.weight.data, fc6.conv.bias.data = weight, bias
        found = fc6[:2](x)  # before the ReLU
    torch.testing.assert_close(found[:, :, 6, 6], wanted[:, ::4])
    fc7 = nn.Linear(16, 8)
    weight, bias = vgg16.subsampled(fc7.weight, fc7.bias, 1)
    torch.testing.assert_close(weight[:, :, 0, 0], fc7.weight[::4])
    torch.testing.assert_close(bias, fc7.bias[::4])


def test_fc7_reads_the_outputs_of_fc6_that_stayed() -> None:
    state = classifier_file(0.001)
    columns = torch.arange(4096.0)
    state["classifier.3.weight"] = columns.expand(4096, 4096)
    found, _ = convert(vgg16.SPEC, state, "a")
    assert torch.equal(found["backbone.blocks.fc7.conv.weight"][3, :, 0, 0], columns[::4])


def test_ssd_pytorch_has_the_same_layers_in_one_list() -> None:
    network = extractor()
    names = {f"features.{i}": str(i) for i in range(23)}
    names |= {f"extra.0.{i}": str(i + 23) for i in range(7)} | {"extra.0.7.1": "31"}
    names |= {"extra.0.7.3": "33"}
    state = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value
        for key, value in network.state_dict().items()
        if key.rpartition(".")[0] in names
    }
    found, conventions = convert(vgg16.SPEC, state, "a")
    whole, _ = convert(vgg16.SPEC, of_detector(network), "b")
    same = {key: value for key, value in whole.items() if key.startswith("backbone.")}
    assert conventions == vgg16.CAFFE
    assert found.keys() == same.keys()
    assert all(torch.equal(value, same[key]) for key, value in found.items())


def test_its_first_map_is_not_read_by_the_table_of_others() -> None:
    """At 300 px the maps are 38 and 19 cells wide (Liu et al., fig. 2), not mb1-ssd's 19 and 10."""
    with torch.device("meta"):  # 30 billion products otherwise
        backbone = vgg16.SPEC.build(vgg16.CAFFE)
        x = torch.zeros(1, 3, 300, 300)
        sides = []
        for index, block in enumerate(backbone.blocks.values()):
            x = block(x)
            if index in backbone.taps:
                sides.append(x.shape[2])
    assert sides == [38, 19]
    detector = SSD(vgg16.SPEC, vgg16.CAFFE, 1, 300)
    first = detector.priors[: 38 * 38 * 6]
    assert torch.allclose(first[0, :2], torch.tensor(4 / 300))  # half a cell of 8 px
    assert torch.allclose(first[-6, :2], torch.tensor(37.5 * 8 / 300))
    assert [m.step for m in prior_maps(300, [19, 10, 5, 3, 2, 1])] == [16, 32, 64, 100, 150, 300]
    assert prior_maps(300, [38, 19, 10, 5, 3, 2])[0].step == 8
