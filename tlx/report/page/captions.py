"""How to read each chart, in a sentence or two, and what the figures mean."""

from __future__ import annotations

from tlx.records.quality import DETECTION, Quality

# {word} is mAP or accuracy, {figure} the main figure, {model} what was trained.
_CAPTIONS = {
    "_vs_time": "Mean over seeds against seconds of training, validation included. Higher and "
    "further left is better.",
    "pareto_time": "Up and to the left is better. No arm beats a filled one in both. Lines: "
    "smallest to largest over seeds.",
    "pareto_latency": "Up and to the left is better. No arm beats a filled one in both. A freeze "
    "does not change the network that is deployed: latencies differ by backbone and input size.",
    "step_time": "Parts are medians over steps and need not add up to the whole (gray). Diamond: "
    "the step of freeze=none times the arm's share of its arithmetic, which is what the freeze "
    "would leave if arithmetic were all there is to a step.",
    "loss_vs_time": "The loss is smoothed over the epoch's worth of steps that ends at each point. "
    "A low training loss is not a good {model}: judge by {word}.",
    "loss_vs_step": "The same against steps: what is left of a difference when speed is taken out.",
    "4_vs_8": "The two depths of the published comparison, with the same seeds.",
    "best_vs_worst": "The arms with the highest and the lowest test {figure}. The best of several "
    "arms looks better than it is.",
    "memory": "The largest over the run: of the GPU where one was used, otherwise resident memory "
    "of the main process (RSS), mapped pictures included.",
    "factor": "The difference of each arm from its reference, with its 95 % interval; left of 0 is "
    "a loss.",
    "factor_data": "The difference of each arm from its reference, with its 95 % interval; left of "
    "0 is a loss. Hollow: the mean of all sets like these. Dotted: where a new set lies, which may "
    "go on beyond the figure.",
    "learning": "Means over seeds with the smallest and the largest. Bands (of many curves: the "
    "lines at the right end): 95 % of the power laws that seeds and test pictures leave open; "
    "dashed: beyond what was measured.",
    "rate_sensitivity": "Each point is a trial: a short run with the rates that the tuning asked "
    "for, judged on val. Filled: the rates that the arm's runs have. An arm whose points lie level "
    "does not care much. The other rate of a trial varied too.",
    "class": "One dot an arm. A class with few {counted} moves far by chance.",
    "confusion": "A row is a true class, a column what its test pictures were taken for: their "
    "number as a mean over seeds, and their share of the row, which the colour shows. What is "
    "right lies on the diagonal.",
}

_DEFINITIONS = [
    "An arm is all runs that differ in nothing but the seed; its figure is the mean over them. "
    "Test figures are of the weights that validation selected.",
    "Speed-up is the step time of freeze=none divided by the arm's, on one machine. The bound is "
    "1 / the arithmetic cost of a step relative to freeze=none.",
    "The loss of a step is smoothed by the mean over the epoch's worth of steps that ends at it. "
    "The default loss level is the highest final smoothed loss of all runs, so that every arm "
    "reaches it; the default {word} level the lowest best validation {figure} of the runs that "
    "learned from pretrained weights. Time to a level is training time, validation included, "
    "until it is first reached.",
    "Differences in {word} count two samples, the seeds and the test pictures, where the runs kept "
    "their predictions; two single runs are compared by their pictures, and their steps by blocks. "
    "Such a verdict is about these two runs.",
    "Frozen: “unchanged” means that the hashes of all frozen tensors, batch-norm statistics "
    "included, are equal at the beginning and the end of every phase of the training.",
    "Charts of curves draw at most 400 evenly spaced points of each.",
]
_OF_CLASSIFIERS = (
    "Accuracy is the share of test pictures whose most probable class is the true one. Macro F1 is "
    "the mean over the classes that have test pictures of F1, which is 2 · right / (pictures of "
    "the class + pictures taken for it)."
)
_NUMBERED = ("class_", "confusion_", "factor_", "learning_")


def caption_of(chart: str, quality: Quality) -> str:
    """What to read from a chart, by its name."""
    name = chart
    if chart == f"{quality.short}_vs_time":
        name = "_vs_time"
    elif chart not in _CAPTIONS and chart.startswith(_NUMBERED):
        name = chart.partition("_")[0]
    return _worded(_CAPTIONS[name], quality)


def definitions(quality: Quality) -> list[str]:
    """What the figures mean."""
    told = [_worded(line, quality) for line in _DEFINITIONS]
    return told if quality is DETECTION else [_OF_CLASSIFIERS, *told]


def _worded(text: str, quality: Quality) -> str:
    return text.format(
        word=quality.word,
        figure=quality.main.name,
        model=quality.model,
        counted="objects" if quality is DETECTION else quality.count,
    )
