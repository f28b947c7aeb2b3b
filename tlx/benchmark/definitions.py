"""What every figure of the benchmark means; stored beside the figures and printed with them."""

from __future__ import annotations

from tlx.benchmark.in_run import TIMED_STEPS, WARMUP
from tlx.benchmark.loader import JPEG_QUALITY, MAX_SIDE, REPEATS
from tlx.benchmark.memory import STEPS
from tlx.benchmark.networks import STAGES

DEFINITIONS = {
    "step": "One full optimizer step: data, forward with loss, backward, and optimizer (gradient "
    "clipping to norm 10, SGD with momentum 0.9 and weight decay 5e-4, zero_grad). The arms take "
    "turns, one step each a round, in an order that is rotated every round; in a round all take "
    "the same batch of real, augmented pictures. Weights are random, with batch-norm statistics "
    "of the first batch. Allocator and threads are set alike for all arms before anything else.",
    "step_s_median": "Median over the rounds, seconds.",
    "step_s_interval": "10th and 90th percentile over the rounds, seconds; not a confidence "
    "interval of the median.",
    "parts": "Medians of the parts; they need not add up to the median of the step. data: from "
    "uint8 pictures in memory (or from the activation cache) to what the network takes, on its "
    "device; rendering the pictures is not in it. Torchvision normalises later.",
    "ratio_to_plain_none": "step_s_median divided by that of plain none; the speed-up is its "
    "inverse.",
    "bound_step_share": "Least cost of a step relative to plain none by multiply-accumulates: "
    "(1 + 2 (1 - f)) / 3 where f is the frozen share of the forward pass (blocks frozen behind one "
    "that trains save only half of that); 1 - f where the frozen "
    "forward pass is read from a cache. Precision and memory traffic are not in it, so that a "
    "measured speed-up may exceed it.",
    "ratio_to_bound": "Measured speed-up over plain none divided by 1 / bound_step_share; above 1 "
    "the step is faster than freezing's arithmetic explains.",
    "peak_rss_bytes": "Peak resident memory of a process of the arm's own during its first "
    f"{STEPS} steps, less its resident memory before them (network, batches and cached "
    "activations are there by then). Gradients, momentum, and the memory that the allocator keeps "
    "count. Not measured on a GPU.",
    "plain": "The same network, frozen by requires_grad=False alone: contiguous, in train mode, "
    "all blocks under autograd. Batch norm of frozen blocks goes on following the batches.",
    "lightning": "The same network, frozen by pytorch_lightning.callbacks.BaseFinetuning.freeze("
    "blocks, train_bn=False), otherwise as plain.",
    "torchvision": "ssdlite320_mobilenet_v3_large with its own transform, matching and loss, at "
    "the same input size. It is another, lighter network: it shows what its freeze saves in itself "
    "and cannot be compared block by block. trainable_backbone_layers is approximately the same "
    f"share of the backbone, round({STAGES} (1 - frozen blocks / blocks)); of mobilenet_v1: none "
    "6, 4 4, 8 2, all 0. torchvision ignores that argument for random weights, so the parameters "
    "that it would freeze are frozen here by hand.",
    "tlx_fp32": "tlx.train's step in float32: folded frozen blocks without autograd, channels "
    "last.",
    "tlx_auto": "As tlx_fp32, the frozen blocks in bfloat16 and the rest under bfloat16 autocast; "
    "only where the device computes in bfloat16. A run with trainer.precision=auto measures both "
    "on its machine and takes the faster one, which may be float32.",
    "tlx_cached_fp32": "As tlx_fp32, the frozen blocks' outputs read from an activation store "
    "(float16, in memory, filled beforehand in float32).",
    "tlx_cached_auto": "As tlx_cached_fp32, the rest under bfloat16 autocast.",
    "runs": "The same arms inside real runs, a process for each: `tlx.train` with its loader, "
    "callbacks and records, as its step timer sees a step, from the end of the one before; whole "
    f"epochs of {TIMED_STEPS} steps or more after the first {WARMUP}, cached arms after the epoch "
    "that fills the cache. plain: Lightning alone with the usual loader, in one process as tlx's: "
    "files are decoded and go through torchvision's recipe. plain_tlx_loader: with tlx's loader.",
    "bare_step_s_median": "Steps as in the first table, in the process of the run, before and "
    "after it. A process's memory lies as it lies: between processes the same step differs by "
    "several percent.",
    "ratio_same_loader": "step_s_median divided by that of plain_tlx_loader. ratio_to_plain_none "
    "of a run is to plain none's run.",
    "loop_share": "What the loop adds: the run's median over the bare one, less one.",
    "loader": "Augmented pictures per second of process CPU time on one thread, median of "
    f"{REPEATS} turns over the same pictures (the data set's own, stretched to the source size, "
    f"JPEG quality {JPEG_QUALITY}). tlx warm: from the cache of decoded pictures, whose longer "
    f"side is at most {MAX_SIDE} px. tlx cold: the same, each picture decoded from its JPEG first. "
    "torchvision: its v2 recipe for SSD (RandomPhotometricDistort, RandomZoomOut, RandomIoUCrop, "
    "RandomHorizontalFlip, SanitizeBoundingBoxes, Resize) on the decoded picture in full size; "
    "decoding is not counted.",
}
