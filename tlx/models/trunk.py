"""A network of named blocks with heads behind it, any of the blocks frozen.

The trunk is one ordered list of blocks. Those that lead it and do not change are its *frozen
prefix*: the forward pass is a run over that, folded and without autograd, followed by a run over
the rest. A frozen block behind one that trains is computed as it is, and passes gradients on.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from tlx.common.errors import WeightsError
from tlx.models.backbones.base import BackboneSpec, Conventions, StateDict
from tlx.models.backbones.weights import Pretrained
from tlx.models.blocks import Blocks, as_blocks, leading
from tlx.models.frozen_bn import fold_frozen_batch_norm
from tlx.models.inference import InferenceBlocks, Neck, run_blocks
from tlx.models.low_rank import merged
from tlx.models.parameter_kinds import of_kind

if TYPE_CHECKING:  # in `typing` from Python 3.11 on
    from typing_extensions import Self

log = logging.getLogger(__name__)


class TrunkNetwork(nn.Module):
    """Base of detector and classifier: a backbone, blocks behind it, and heads on tapped maps.

    Attributes:
        extras: blocks of the trunk behind the backbone. heads: what follows the trunk; it always
            trains.
        head_groups: prefixes of heads' keys; of pretrained heads, each is taken whole or not.
        taps: positions of the trunk blocks whose outputs the heads read.
        loaded: names of the trunk blocks that hold pretrained weights.
        frozen, bn_inference, trains: see `freeze`. prefix_length: how many blocks lead the trunk
            that do not change.
    """

    head_groups: ClassVar[tuple[str, ...]] = ("heads.",)
    heads: nn.Module
    mean: Tensor
    std: Tensor

    def __init__(self, spec: BackboneSpec, conventions: Conventions, input_size: int) -> None:
        super().__init__()
        if conventions.padding not in spec.paddings:
            raise WeightsError(
                f"padding={conventions.padding} of these weights is none that {spec.name} is built "
                f"with ({', '.join(spec.paddings)}): take weights of another source"
            )
        self.spec, self.conventions, self.input_size = spec, conventions, input_size
        self.backbone = spec.build(conventions)
        self.extras = nn.ModuleDict()
        self.taps: set[int] = set()
        self.loaded: set[str] = set()

    def _complete(self) -> None:
        """Called by a subclass that has built extras, heads and taps; nothing is frozen yet."""
        # Normalisation follows from configuration, so checkpoints do not carry it.
        for name in ("mean", "std"):
            buffer = torch.tensor(getattr(self.conventions, name)).view(1, 3, 1, 1) * 255
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
        self.freeze(self.frozen, self.bn_inference, trains=self.trains)

    def freeze(
        self,
        frozen: Iterable[int] | int,
        bn_inference: Iterable[int] | int,
        prefix_dtype: torch.dtype = torch.float32,
        trains: str = "",
    ) -> None:
        """Freeze trunk blocks, make those that lead it an inference artefact; let the rest train.

        Args:
            frozen: positions of the blocks, or a number of leading ones.
            bn_inference: likewise, of blocks whose batch norm stays in inference mode.
            prefix_dtype: in which the frozen prefix is computed while training.
            trains: the kind of the frozen blocks' parameters that train all the same
                (`tlx.models.parameter_kinds`).
        """
        blocks = [block for _, block in self.trunk()]
        frozen, bn_inference = as_blocks(frozen), as_blocks(bn_inference)
        bn_inference |= frozenset() if trains else frozen
        for index, block in enumerate(blocks):
            block.requires_grad_(index not in frozen)
            if index in frozen:
                for parameter in self.still_training(block, trains):
                    parameter.requires_grad_(True)
        self.heads.requires_grad_(True)
        if self.bn_frozen:
            # Of the blocks behind the backbone only those that came with their statistics: a batch
            # norm that keeps the ones it was made with normalises nothing.
            names = [name for name, _ in self.trunk()]
            behind = takewhile(self.loaded.__contains__, names[len(self.backbone.blocks) :])
            bn_inference |= as_blocks(len(self.backbone.blocks) + len(list(behind)))
            for parameter in self.batch_norm_parameters():
                parameter.requires_grad_(False)
        self.frozen, self.bn_inference, self.trains = frozen, bn_inference, trains
        length = self.prefix_length = leading(self.unchanged(frozen, bn_inference, trains))
        # What the tail needs of the prefix: the tapped maps, and the output of its last block.
        self.boundary = sorted({t for t in self.taps if t < length} | ({length - 1} - {-1}))
        # The same freeze is asserted in every epoch: what is folded already is kept.
        if (length, prefix_dtype) != (len(self.train_prefix.originals), self.train_prefix.dtype):
            self.train_prefix = InferenceBlocks(blocks[:length], self.boundary, prefix_dtype)
        if length != len(self.eval_prefix.originals):
            self.eval_prefix = InferenceBlocks(blocks[:length], self.boundary)
            kept = [t - length for t in self.taps if t >= length]
            self.eval_tail = InferenceBlocks(blocks[length:], kept)
        self.train(self.training)

    def unchanged(self, frozen: Blocks, bn_inference: Blocks, trains: str = "") -> Blocks:
        """The blocks of which nothing changes under this freeze."""
        return frozenset(
            place
            for place, (_, block) in enumerate(self.trunk())
            if place in frozen
            and not self.still_training(block, trains)
            and (place in bn_inference or self.bn_frozen or not batch_norms(block))
        )

    def still_training(self, block: nn.Module, trains: str) -> list[nn.Parameter]:
        """The parameters of a frozen block that train: those of a kind."""
        found = of_kind(block, trains)
        if not (found and self.bn_frozen):
            return found
        fixed = {id(parameter) for parameter in self.batch_norm_parameters()}
        return [parameter for parameter in found if id(parameter) not in fixed]

    def trunk(self) -> list[tuple[str, nn.Module]]:
        """Backbone blocks, then extra blocks, by name; a neck is the last of them."""
        return [*self.backbone.blocks.items(), *self.extras.items()]

    def load_pretrained(self, pretrained: Pretrained, classes: Sequence[str] = ()) -> None:
        """Take over pretrained blocks, and say in the log what was taken and what was left.

        The backbone must fit. The blocks behind it are taken up to the first that does not: what
        follows was trained on its output. Heads are taken only when the number of classes is the
        same (`head_groups`); a detector takes them by the names of `classes`, where the weights say
        theirs.

        Raises `WeightsError` when a block is there only in part, or one of the backbone has another
        shape.
        """
        own, state = self.state_dict(), merged(pretrained.state)
        given = {key.partition(".")[0] for key in state}
        others = [key for key in state if not key.startswith(("extras.", "heads."))]
        if fault := self._misfit(others, state, own):
            raise WeightsError(f"{pretrained.source}: {fault}")
        left = self._drop_misfits(state, own)
        self.load_state_dict(state, strict=False)
        for name, _ in self.trunk():
            home = "extras" if name in self.extras else "backbone.blocks"
            prefix = f"{home}.{name}."
            mine = [k for k in own if k.startswith(prefix) and not k.endswith("batches_tracked")]
            missing = [k for k in mine if k not in state]
            if missing and len(missing) < len(mine):
                raise WeightsError(f"{pretrained.source} lacks {missing[0]} of block {name}")
            if not missing:
                self.loaded.add(name)
        if given:
            self._tell(pretrained.source, given, state, left)

    def _drop_misfits(self, state: StateDict, own: StateDict) -> list[str]:
        """Take out of `state` what this network has in another shape; a sentence for each."""
        left = []
        places = {name: place for place, name in enumerate(self.extras)}
        extras = {key.split(".")[1] for key in state if key.startswith("extras.")}
        behind = False
        for name in sorted(extras, key=lambda name: (places.get(name, len(places)), name)):
            keys = [key for key in state if key.startswith(f"extras.{name}.")]
            fault = self._misfit(keys, state, own)
            if fault and not behind:
                left.append(f"extras from {name} on ({fault})")
            behind = behind or fault is not None
            if behind:
                _remove(state, keys)
        for group in self.head_groups:
            keys = [key for key in state if key.startswith(group)]
            fault = self._misfit(keys, state, own) or self._lack(group, state, own)
            if keys and fault:
                left.append(f"{group.rstrip('.')} ({fault})")
                _remove(state, keys)
        # Heads of another kind, which no group names.
        keys = [key for key in state if key not in own]
        if keys:
            left.append(f"{keys[0]} and the like (no such tensor here)")
            _remove(state, keys)
        return left

    def _misfit(self, keys: list[str], state: StateDict, own: StateDict) -> str | None:
        for key in keys:
            if key not in own or own[key].shape != state[key].shape:
                have = tuple(own[key].shape) if key in own else "no such tensor"
                return f"{key} is {tuple(state[key].shape)}, this network has {have}"
        return None

    def _lack(self, group: str, state: StateDict, own: StateDict) -> str | None:
        mine = [k for k in own if k.startswith(group) and not k.endswith("batches_tracked")]
        missing = [key for key in mine if key not in state]
        return f"{missing[0]} is not among them" if missing else None

    def _tell(self, source: str, given: set[str], state: StateDict, left: list[str]) -> None:
        """One line of the log: what of the parts that the file has was taken."""
        taken = []
        for part, blocks in (("backbone", self.backbone.blocks), ("extras", self.extras)):
            if part in given:
                taken.append(f"{len(self.loaded & set(blocks))} of {len(blocks)} blocks of {part}")
        heads = {".".join(key.split(".")[:2]) for key in state if key.startswith("heads.")}
        if heads:
            taken.append(", ".join(sorted(heads)))
        notes = [f"taken: {', '.join(taken)}", *([f"left: {'; '.join(left)}"] if left else [])]
        log.info("weights of %s: %s", source, "; ".join(notes))

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
        return self.eval_prefix(x) if self.prefix_length else [x]

    def eval_maps(self, outputs: list[Tensor]) -> list[Tensor]:
        """`tail` as inference computes it, from what `eval_outputs` returned."""
        if self._joined():
            return outputs
        return self.eval_tail(outputs[-1], self._tapped(outputs))

    def prefix(self, x: Tensor) -> list[Tensor]:
        """Normalised input -> the outputs of the blocks in `boundary`; [x] without a prefix.

        With a frozen neck: its maps, which are all that the heads read.
        """
        return self.train_prefix(x) if self.prefix_length else [x]

    def tail(self, outputs: list[Tensor]) -> list[Tensor]:
        """What `prefix` returned -> the feature maps for the heads."""
        if self._joined():
            return outputs
        blocks = [block for _, block in self.trunk()[self.prefix_length :]]
        keep = {t - self.prefix_length for t in self.taps}
        return run_blocks(blocks, keep, outputs[-1], self._tapped(outputs))

    def _joined(self) -> bool:
        """Whether the prefix ends with a neck."""
        blocks = self.trunk()
        return self.prefix_length == len(blocks) and isinstance(blocks[-1][1], Neck)

    def _tapped(self, outputs: list[Tensor]) -> list[Tensor]:
        return [y for i, y in zip(self.boundary, outputs, strict=False) if i in self.taps]

    def train(self, mode: bool = True) -> Self:
        """Set the mode of what trains; frozen blocks stay in inference mode whoever calls.

        Lightning flips the whole module to `train()` around every validation, and a batch norm
        that is only switched off once would drift from then on.
        """
        super().train(mode)
        if mode:
            self.eval_tail.forget()
        for index, (_, block) in enumerate(self.trunk()):
            if index in self.frozen:
                block.eval()
            for layer in batch_norms(block):
                if index in self.bn_inference:
                    layer.eval()
                elif index in self.frozen:
                    layer.train(mode)
        return self


def batch_norms(block: nn.Module) -> list[nn.Module]:
    """The layers of a block that have statistics."""
    return [m for m in block.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def _remove(state: StateDict, keys: list[str]) -> None:
    for key in keys:
        del state[key]
