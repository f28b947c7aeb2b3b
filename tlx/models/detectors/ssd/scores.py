"""What the logits of a prior mean: a softmax, or a sigmoid for each class; the loss of each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Scores(ABC):
    """How logits become scores, and the classification loss that they are trained with.

    Attributes:
        background: whether the logits have a column for the background, the first.
        mines: whether the loss is taken of the hardest negatives only (three a positive).
    """

    background = True
    mines = True

    @abstractmethod
    def of(self, logits: Tensor) -> Tensor:
        """Logits (N, P, C) -> scores (N, P, 1 + classes) in 0..1, the background first."""

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, P, C), classes (B, P), 0 the background -> the loss of every prior, (B, P)."""

    def described(self) -> dict[str, Any]:
        """For a program that decodes by itself; nothing where it is SSD's softmax."""
        return {}


class Softmax(Scores):
    """One class a prior, the background being one of them (Liu et al. 2016, eq. 3)."""

    def of(self, logits: Tensor) -> Tensor:
        """They sum to 1."""
        return torch.softmax(logits, 2)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy."""
        return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


class Sigmoid(Scores):
    """Every class by itself, the background too: SSD of TensorFlow's Object Detection API.

    `WeightedSigmoidClassificationLoss` in `core/losses.py`; the target of a prior without an object
    is the background (`unmatched_class_label` in `meta_architectures/ssd_meta_arch.py`).
    """

    def of(self, logits: Tensor) -> Tensor:
        """They do not sum to 1."""
        return torch.sigmoid(logits)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Binary cross entropy, summed over the classes."""
        wanted = F.one_hot(labels, logits.shape[2]).to(logits.dtype)
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(2)

    def described(self) -> dict[str, Any]:
        """Of the columns."""
        return {"score_form": "a sigmoid for each class, column 0 is the background"}


class Focal(Scores):
    """Every class by itself and no background: RetinaNet's (Lin et al. 2017, arXiv:1708.02002).

    All priors count, so no negatives are mined; the many easy ones weigh little.
    """

    background = False
    mines = False
    ALPHA, GAMMA = 0.25, 2.0  # sec. 4.1 of the paper

    def of(self, logits: Tensor) -> Tensor:
        """The score of the background, which nothing reads, is 0."""
        scores = torch.sigmoid(logits)
        return torch.cat([torch.zeros_like(scores[:, :, :1]), scores], 2)

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Focal loss, summed over the classes."""
        from torchvision.ops import sigmoid_focal_loss

        wanted = F.one_hot(labels, logits.shape[2] + 1)[..., 1:].to(logits.dtype)
        each: Tensor = sigmoid_focal_loss(logits, wanted, self.ALPHA, self.GAMMA)
        return each.sum(2)

    def described(self) -> dict[str, Any]:
        """Of the columns."""
        return {"score_form": "a sigmoid for each class, column 0 is always 0"}


SOFTMAX, SIGMOID, FOCAL = Softmax(), Sigmoid(), Focal()
