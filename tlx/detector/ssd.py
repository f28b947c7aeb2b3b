"""SSD (Liu et al. 2016) on a backbone of named blocks, with a frozen prefix.

The trunk is one ordered list: the backbone's blocks, then the extra feature maps. Freezing always
takes a prefix of the trunk, so one number (`frozen`) says all, and the forward pass is a run over
the prefix without autograd followed by a run over the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tlx.backbones.base import BackboneSpec, Conventions
from tlx.backbones.weights import Pretrained
from tlx.detector.boxes import decode
from tlx.detector.heads import (
    EXTRA_CHANNELS,
    EXTRA_NAMES,
    Heads,
    initialize_extras,
    initialize_heads,
    make_extras,
)
from tlx.detector.postprocess import Detections, select_all
from tlx.detector.priors import make_priors
from tlx.engine.frozen_bn import fold_frozen_batch_norm
from tlx.engine.inference import InferenceBlocks
from tlx.errors import WeightsError


class SSD(nn.Module):
    """A detector for `classes` (background not counted) on square inputs of `input_size` pixels."""

    priors: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self, spec: BackboneSpec, conventions: Conventions, classes: int, input_size: int
    ) -> None:
        super().__init__()
        self.spec, self.conventions, self.input_size = spec, conventions, input_size
        self.backbone = spec.build(conventions)
        self.extras = make_extras(self.backbone.channels[-1])
        taps = self.backbone.taps
        channels = [self.backbone.channels[t] for t in taps] + [c for _, c in EXTRA_CHANNELS]
        self.heads = Heads(channels, classes + 1, len(taps) if self.backbone.linear_taps else 0)
        blocks = len(self.backbone.blocks)
        self.taps = {*taps, *range(blocks, blocks + len(self.extras))}
        self.loaded: set[str] = set()  # names of the trunk blocks that hold pretrained weights
        initialize_extras(self.extras)
        initialize_heads(self.heads)
        # Priors and normalisation follow from configuration, so checkpoints do not carry them.
        priors = make_priors(input_size, self._cells())
        self.register_buffer("priors", priors, persistent=False)
        for name, value in (("mean", conventions.mean), ("std", conventions.std)):
            buffer = torch.tensor(value).view(1, 3, 1, 1) * 255
            self.register_buffer(name, buffer, persistent=False)
        self.bn_frozen = False  # see `freeze_batch_norm`
        self.train_prefix = self.eval_prefix = InferenceBlocks([], [])
        self.eval_tail = InferenceBlocks([block for _, block in self.trunk()], self.taps)
        self.freeze(0, 0)

    def batch_norm_parameters(self) -> list[nn.Parameter]:
        """Affine parameters of the backbone's batch norms."""
        norms = [m for m in self.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
        return [parameter for norm in norms for parameter in norm.parameters()]

    def freeze_batch_norm(self) -> None:
        """Freeze and fold every batch norm of the backbone, also in blocks that train."""
        self.bn_frozen = True
        fold_frozen_batch_norm(self.backbone)
        self.freeze(self.frozen, self.bn_inference)

    def freeze(
        self, frozen: int, bn_inference: int, prefix_dtype: torch.dtype = torch.float32
    ) -> None:
        """Make the first `frozen` trunk blocks an inference artefact; let everything else train.

        Args:
            bn_inference: leading blocks whose batch norm stays in inference mode.
            prefix_dtype: in which the frozen blocks are computed while training.
        """
        blocks = [block for _, block in self.trunk()]
        for index, block in enumerate(blocks):
            block.requires_grad_(index >= frozen)
        self.heads.requires_grad_(True)
        if self.bn_frozen:
            bn_inference = len(blocks)
            for parameter in self.batch_norm_parameters():
                parameter.requires_grad_(False)
        self.frozen, self.bn_inference = frozen, bn_inference
        # What the tail needs of the prefix: the tapped maps, and the output of its last block.
        self.boundary = sorted({t for t in self.taps if t < frozen} | ({frozen - 1} - {-1}))
        # The same freeze is asserted in every epoch: what is folded already is kept.
        if (frozen, prefix_dtype) != (len(self.train_prefix.originals), self.train_prefix.dtype):
            self.train_prefix = InferenceBlocks(blocks[:frozen], self.boundary, prefix_dtype)
        if frozen != len(self.eval_prefix.originals):
            self.eval_prefix = InferenceBlocks(blocks[:frozen], self.boundary)
            kept = [t - frozen for t in self.taps if t >= frozen]
            self.eval_tail = InferenceBlocks(blocks[frozen:], kept)
        self.train(self.training)

    def trunk(self) -> list[tuple[str, nn.Module]]:
        """Backbone blocks, then extra blocks, by name."""
        return [*self.backbone.blocks.items(), *self.extras.items()]

    def _cells(self) -> list[int]:
        """Cells per side of each tapped map: every stride-2 convolution halves, rounding up."""
        sides, side = [], self.input_size
        for stride in (self.backbone.strides[t] for t in self.backbone.taps):
            side = self.input_size
            while stride > 1:
                side, stride = -(-side // 2), stride // 2
            sides.append(side)
        for _ in EXTRA_NAMES:
            side = -(-side // 2)
            sides.append(side)
        return sides

    def load_pretrained(self, pretrained: Pretrained) -> None:
        """Take over pretrained blocks; heads only when the number of classes is the same.

        Raises `WeightsError` when a block is there only in part or has another shape.
        """
        own = self.state_dict()
        state = dict(pretrained.state)
        if any(
            key.startswith("heads.") and own[key].shape != value.shape
            for key, value in state.items()
        ):
            state = {k: v for k, v in state.items() if not k.startswith("heads.")}
        for key, value in state.items():
            if key not in own or own[key].shape != value.shape:
                have = tuple(own[key].shape) if key in own else "no such tensor"
                raise WeightsError(
                    f"{pretrained.source}: {key} is {tuple(value.shape)}, this network has {have}"
                )
        self.load_state_dict(state, strict=False)
        for name, _ in self.trunk():
            home = "extras" if name in EXTRA_NAMES else "backbone.blocks"
            prefix = f"{home}.{name}."
            mine = [k for k in own if k.startswith(prefix) and not k.endswith("batches_tracked")]
            missing = [k for k in mine if k not in state]
            if missing and len(missing) < len(mine):
                raise WeightsError(f"{pretrained.source} lacks {missing[0]} of block {name}")
            if not missing:
                self.loaded.add(name)

    def normalize(self, images: Tensor) -> Tensor:
        """RGB (N, 3, S, S), uint8 or float 0..255 -> the backbone's input, channels last."""
        # Whole rows at once: a broadcast over three interleaved channels is not vectorised.
        rows = images.permute(0, 2, 3, 1).flatten(2)
        mean, std = (v.flatten().repeat(images.shape[3]) for v in (self.mean, self.std))
        return (rows - mean).div_(std).unflatten(2, (-1, 3)).permute(0, 3, 1, 2)

    def features(self, x: Tensor) -> list[Tensor]:
        """Normalised input -> the tapped feature maps, largest first.

        In inference (eval mode, no autograd) every block runs folded, in float32.
        """
        if self.training or torch.is_grad_enabled():
            return self.tail(self.prefix(x))
        return self.eval_maps(self.eval_outputs(x))

    def eval_outputs(self, x: Tensor) -> list[Tensor]:
        """`prefix` as inference computes it: always in float32."""
        return self.eval_prefix(x) if self.frozen else [x]

    def eval_maps(self, outputs: list[Tensor]) -> list[Tensor]:
        """`tail` as inference computes it, from what `eval_outputs` returned."""
        tapped = [y for i, y in zip(self.boundary, outputs, strict=False) if i in self.taps]
        return tapped + self.eval_tail(outputs[-1])

    def prefix(self, x: Tensor) -> list[Tensor]:
        """Normalised input -> the outputs of the blocks in `boundary`; [x] if nothing is frozen."""
        return self.train_prefix(x) if self.frozen else [x]

    def tail(self, outputs: list[Tensor]) -> list[Tensor]:
        """What `prefix` returned -> the tapped feature maps."""
        maps = [y for i, y in zip(self.boundary, outputs, strict=False) if i in self.taps]
        x = outputs[-1]
        for index, (_, block) in enumerate(self.trunk()[self.frozen :], start=self.frozen):
            x = block(x)
            if index in self.taps:
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised input (N, 3, S, S) -> logits (N, P, classes + 1), offsets (N, P, 4)."""
        return self.heads(self.features(x))

    def train(self, mode: bool = True) -> SSD:
        """Set the mode of what trains; the frozen prefix stays in inference mode whoever calls.

        Lightning flips the whole module to `train()` around every validation, and a batch norm
        that is only switched off once would drift from then on.
        """
        super().train(mode)
        if mode:
            self.eval_tail.forget()
        trunk = [block for _, block in self.trunk()]
        for block in trunk[: self.frozen]:
            block.eval()
        for block in trunk[: self.bn_inference]:
            for layer in block.modules():
                if isinstance(layer, nn.modules.batchnorm._BatchNorm):
                    layer.eval()
        return self

    @torch.no_grad()
    def raw(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised input -> softmax scores (N, P, C), unclipped corner-form boxes (N, P, 4).

        In full precision, also under autocast: figures belong to the weights, not to the run.
        """
        with torch.autocast(x.device.type, enabled=False):
            return self._decoded(*self(x))

    def _decoded(self, logits: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
        return logits.float().softmax(-1), decode(offsets.float(), self.priors)

    def detect(self, images: Tensor, **options: Any) -> list[Detections]:
        """RGB images (N, 3, S, S) in 0..255 -> detections per image, after per-class NMS.

        Args:
            options: of `tlx.detector.postprocess.select_all`.
        """
        return select_all(*self.raw(self.normalize(images)), **options)

    @torch.no_grad()
    def detect_from(self, outputs: list[Tensor], **options: Any) -> list[Detections]:
        """`detect`, from what `eval_outputs` returned for the normalised images."""
        with torch.autocast(outputs[-1].device.type, enabled=False):
            return select_all(*self._decoded(*self.heads(self.eval_maps(outputs))), **options)
