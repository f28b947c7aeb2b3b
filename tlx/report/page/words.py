"""The words of the trade that the page cannot do without, each in a sentence."""

from __future__ import annotations

from tlx.records.quality import DETECTION, Quality

_BEFORE = [
    ("arm", "One way to train that is compared with others: all runs that differ in nothing but "
     "their seed. The name says what sets it apart."),
    ("run", "One training with its test."),
    ("freeze", "To keep pretrained weights as they are while the rest of the network is trained. "
     "freeze=4 keeps blocks 0 to 4, counted from the picture."),
    ("seed", "The number that all chance in a training starts from: the first weights, the order "
     "of the pictures, how they are altered. Runs with two seeds differ by chance alone."),
    ("train time", "How long a run trains, with its validation and without its test."),
    ("val, test", "Pictures that are not trained on. By val the best epoch is chosen; test is "
     "looked at once, at the end."),
]  # fmt: skip
_OF_DETECTORS = [
    ("IoU", "By how much two boxes overlap: the area that both cover as a share of the area that "
     "either covers. 1 is the same box."),
    ("mAP@.5", "How well objects are found, from 0 to 1: the mean over the classes of average "
     "precision (AP), where a box counts as found at an IoU of .5 or more. mAP@[.5:.95] asks for "
     "ever closer boxes."),
]  # fmt: skip
_OF_CLASSIFIERS = [
    ("accuracy", "The share of test pictures whose most probable class is the true one, from 0 to "
     "1."),
    ("macro F1", "How well each class is told from the others, as a mean over the classes, so that "
     "a frequent one cannot carry it alone."),
]  # fmt: skip
_AFTER = [
    ("95 % interval", "A range made so that in 95 of 100 studies it holds the true value. A wide "
     "one says that little is known."),
    ("no difference shown", "These runs fit both no difference and some. It does not say that "
     "there is none."),
    ("p, corrected", "How often chance alone would give a difference at least as large, if there "
     "were none. It is corrected (Holm) for how many arms are compared, as of many one looks "
     "different by luck."),
    ("paired", "Runs of one seed are compared with one another, so that what a seed does to both "
     "is taken out."),
    ("pooled", "Taken together over several data sets, each weighted by how much it tells."),
    ("bound", "The speed-up that the saved arithmetic alone would give."),
    ("RSS, GPU", "Which memory is meant: that of the process, or that of the GPU. 1 MiB is "
     "1 048 576 bytes."),
]  # fmt: skip


def words_of(quality: Quality) -> list[tuple[str, str]]:
    """Each word with its meaning, in the order in which a reader meets them."""
    return [*_BEFORE, *(_OF_DETECTORS if quality is DETECTION else _OF_CLASSIFIERS), *_AFTER]
