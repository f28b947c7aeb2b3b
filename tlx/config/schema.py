"""The schema: names and types of all keys; `conf/` fills it in, `check.py` checks the outcome.

A default here is what a stored configuration means that says nothing of the key: what runs did
before it was one. It stays when `conf/` gets another, which is the default of new runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING

CACHE_DTYPES = ("f32", "f16", "u8")
LEAST_TILE, MOST_OVERLAP = 64, 0.9  # px; of a tile's side
OF_SEED = "seed"
TRAIN_DRAWS = ("paired", OF_SEED)  # the same pictures in every run, or others in each seed
CLASSIFIER_DROPOUT = {"linear": 0.2, "mlp": 0.5}  # by classifier.head, unless it is said
DESIGNS = ("epochs", "wall_clock")  # what the arms of a tuned study have alike
DATA_SOURCES = ("guns", "ppe", "openimages")  # what tlx.data.prepare can fetch


@dataclass
class BackboneConfig:
    name: str = MISSING
    model: str | None = None  # of a family (timm), whose `name` then holds it
    weights: str = "auto"  # auto, scratch, a file, a run's folder, a published name
    # What the weights expect of the network; null: as their layout says.
    mean: list[float] | None = None  # of pixels in 0..1, red, green, blue
    std: list[float] | None = None
    bn_eps: float | None = None
    activation: str | None = None  # relu, relu6
    padding: str | None = None  # symmetric, same


@dataclass
class DataConfig:
    name: str = MISSING
    format: str = MISSING  # sample, a reader (voc, coco, …), or auto (told by the files)
    root: str | None = None
    source: str | None = None  # what is fetched on first use where there is no root
    max_images: int | None = None  # of source=openimages; default: all
    classes: list[str] | None = None  # default: the sorted names found in the set
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    split_seed: int = 0
    group_near_duplicates: bool = True  # frames of one series stay in one split
    # named: those of the set, where it names any; cut: all divided anew; or a file or folder
    splits: str = "named"
    splits_digest: str | None = None  # of that file's content
    stratify: bool = False  # splits that are cut have nearly the classes' shares of the whole
    folds: int | None = None  # every picture is tested in one of so many runs
    fold: int | None = None  # which of them this is, from 0
    train_fraction: float = 1.0  # part of the train pictures that is used
    train_draw: str = "paired"  # of that part: paired (the same in every run), seed
    strict: bool = False  # every fault is an error
    bits: int | None = None  # that 16-bit picture files use, 8 to 16; default: all, or refused
    fixes: str | None = None  # a data-fix list, as `python -m tlx.inspect --fixes` writes it
    augment: str = "ssd"  # the training views: ssd, light, off, or one of your own
    augment_strength: float = 1.0  # scales them; 0: as off
    zoom_out: float = 2.0  # largest zoom-out of the augmentation; 1 turns it off
    letterbox: bool = False  # keep the aspect ratio in the square input, between gray bars
    sampling: str = "uniform"  # uniform, balanced: pictures of rare classes more often
    repeat_threshold: float = 0.5  # share of pictures below which a class is rare
    tile: int | None = None  # side of tiles that pictures are cut into, their pixels; None: whole
    tile_overlap: float = 0.2  # of a tile's side
    tile_visible: float = 0.5  # least share of a box in a tile that learns it
    tile_empty: float = 0.1  # share of the tiles without objects that training keeps
    max_side: int = 640  # longest side kept in the decoded-image cache, pixels
    input_size: int = 300  # the square input that suits these objects, pixels
    epochs: int = 40  # the budget that suits this amount of data
    batch_size: int = 24  # small sets need small batches, or an epoch is too few steps


@dataclass
class DetectorConfig:
    name: str = "ssd"
    neck: str = "extras"  # none, extras, fpn, fpnlite: the blocks behind the backbone
    head: str = "ssd"  # ssd (3x3 on each map), ssd_1x1, ssdlite, hidden, shared
    width: int = 128  # channels of hidden layers, pyramid and towers
    depth: int = 4  # convolutions of a tower, with head=shared
    norm: str = "auto"  # of the maps that heads read: auto, batch, none
    input_size: int = MISSING
    min_negatives: int = 3
    score_threshold: float = 0.01
    nms_iou: float = 0.45
    max_detections: int = 100


@dataclass
class TrainerConfig:
    epochs: int = MISSING
    batch_size: Any = MISSING  # a number, or auto: what memory holds (tlx.training.batch_size)
    accumulate: int = 1  # batches of an optimizer step
    base_lr: float = 0.02  # backbone
    head_lr: float = 0.02  # heads
    neck_lr: float | None = None  # blocks between backbone and heads; None: as the heads
    layer_decay: float = 1.0  # rate of a backbone block over that of the block behind it
    optimizer: str = "sgd"  # sgd, adamw
    momentum: float = 0.9  # of AdamW: its first beta
    weight_decay: float = 5e-4
    decay: str = "all"  # all; weights: batch norms and biases are left alone
    warmup_steps: int = 20
    clip_norm: float = 10.0  # 0 turns it off
    precision: str = "32-true"  # auto (measured), or one of Lightning's
    freeze_bn: bool = False  # batch norm of trained blocks too: frozen and folded
    ema_decay: float = 0.0  # 0 turns the weight average off
    workers: int = 1
    threads: int = 0  # compute threads; 0 takes torch's default
    accelerator: str = "auto"
    select_by: str = "map_50"  # the val figure that picks the best checkpoint
    val_every: int = 1  # epochs
    patience: int = 0  # validations without a better one that end the training; 0: none do
    checkpoint_minutes: float = 1.0  # what a kill may cost
    timer_warmup: int = 5  # steps that the step timer leaves out
    progress: bool = True


@dataclass
class CacheConfig:
    mode: str = "auto"  # auto (where it pays), off, memory, disk
    views: int = 0  # different views of a picture; 0: a new one in every epoch, nothing to cache
    dtype: str = "f16"  # f32, f16, u8
    max_gb: float = 8.0  # budget


@dataclass
class LoggerConfig:
    name: Any = "wandb"  # wandb, tensorboard, mlflow, csv, none, or a list of them
    project: str = "tlx"
    mode: str = "auto"  # auto, online, offline
    predictions: int = 8  # pictures with boxes kept per run, and shown in W&B
    checkpoint: bool = True  # the best checkpoint as an artifact of W&B
    upload_s: float = 300.0  # longest wait for uploads when a run ends


@dataclass
class TuneConfig:
    """Of a study whose arms get learning rates of their own (`tlx.study.fair`).

    The budget is that of an arm, for all of its trials together; without one it is off.
    """

    trials: int | None = None
    minutes: float | None = None  # of training, validations included
    epochs: int | None = None  # of a trial; None: a quarter of the run's
    factor: float = 10.0  # rates are sought from the configured ones / factor to these x factor
    seed: int = 1000  # of the trials: none of the seeds that are compared
    design: str = "epochs"  # what the arms have alike: epochs, wall_clock

    @property
    def asked(self) -> bool:
        """Whether there is a budget."""
        return self.trials is not None or self.minutes is not None


@dataclass
class RunConfig:
    """What the configurations of all tasks hold; each adds its network."""

    task: str = MISSING
    freeze: Any = "none"
    weights: str = "auto"  # where the network starts; `backbone.weights` takes it over
    seed: int = 0
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    policy: dict[str, Any] = field(default_factory=dict)  # its schema is the policy's own class
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    tune: TuneConfig = field(default_factory=TuneConfig)
    name: str = MISSING
    runs_dir: str = "runs"
    cache_dir: str = "${oc.env:TLX_CACHE,'~/.cache/tlx'}"
    resume: str | None = None
    plugins: list[str] = field(default_factory=list)  # modules that register parts of one's own
    data: Any = MISSING  # each task says of what kind


@dataclass
class Config(RunConfig):
    """Of `task=detect`."""

    task: str = "detect"
    name: str = "${data.name}-${backbone.name}"
    data: DataConfig = field(default_factory=DataConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)


@dataclass
class FoldersConfig:
    """The data of a classification: pictures in folders of their class."""

    name: str = MISSING
    root: str | None = None  # None: the embedded sample
    classes: list[str] | None = None  # default: the sorted names of the folders
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    split_seed: int = 0
    group_near_duplicates: bool = True  # frames of one series stay in one split
    train_fraction: float = 1.0  # part of the train pictures that is used
    train_draw: str = "paired"  # of that part: paired (the same in every run), seed
    strict: bool = False  # every fault is an error
    augment: str = "crop"  # the training views: crop, light, off, or one of your own
    augment_strength: float = 1.0  # scales them; 0: as off
    least_area: float = 0.35  # of a training crop, relative to the picture
    max_side: int = 320  # longest side kept in the decoded-image cache, pixels
    input_size: int = 224  # pixels
    epochs: int = 12
    batch_size: int = 24


@dataclass
class ClassifierConfig:
    input_size: int = MISSING
    head: str = "linear"  # linear, mlp: 1024, 1024 and 512 wide before the classes
    dropout: float = 0.2  # before the linear layer; of mlp: behind its first layer
    label_smoothing: float = 0.0


@dataclass
class ClassifyConfig(RunConfig):
    """Of `task=classify`."""

    task: str = "classify"
    name: str = "classify-${data.name}-${backbone.name}"
    data: FoldersConfig = field(default_factory=FoldersConfig)
    classifier: ClassifierConfig = field(default_factory=ClassifierConfig)


SCHEMAS: dict[str, type[RunConfig]] = {"detect": Config, "classify": ClassifyConfig}
"""By `task=`."""
