"""The programs of tlx by name: what `tlx NAME` starts, and what it completes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Program:
    """One program, `python -m tlx.NAME`.

    Attributes:
        about: what it does, in a line of the list that `tlx --help` prints.
        commands: words that may stand behind its name, which it reads itself.
        programs: words that stand for a program of their own, `python -m tlx.NAME.WORD`.
    """

    about: str
    commands: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()


# Plain words, and no look into the modules: they take seconds to load.
PROGRAMS = {
    "train": Program("train a detector with part of it frozen, once or as a sweep (-m)"),
    "evaluate": Program("measure a model on a split of its data, or on another set"),
    "predict": Program("detect objects in pictures, videos and camera streams"),
    "report": Program("compare finished runs, and say what the evidence supports"),
    "export": Program("write a detector for other runtimes, and prove that it is the same"),
    "benchmark": Program("time training steps and inference", ("train", "latency")),
    "inspect": Program("look at the test pictures of runs in FiftyOne"),
    "lr": Program("find the learning rates that suit a configuration"),
    "data": Program(
        "check, fetch, convert and divide data sets, before anything trains on them",
        ("check", "convert", "download", "split"),
    ),
    "classify": Program(
        "train a picture classifier, or take it elsewhere", (), ("export", "maixpy")
    ),
    "capture": Program("take pictures with a camera or from a video, and label them"),
    "models": Program("list backbones and detectors, and what each block costs"),
    "doctor": Program("say what is here, what is missing, and what to install"),
    "cache": Program("list and clear what is cached", ("list", "clear")),
    "weights": Program("list published weights to start from, and fetch them", ("list", "fetch")),
    "completion": Program(
        "complete programs, keys and choices in a shell", ("bash", "zsh", "fish")
    ),
}


def module_of(arguments: list[str]) -> tuple[str, list[str]]:
    """The module that `tlx ARGUMENTS` runs, and what is left for it.

    Raises:
        KeyError: the first argument names no program.
    """
    name, *rest = arguments
    if rest and rest[0] in PROGRAMS[name].programs:
        return f"tlx.{name}.{rest[0]}", rest[1:]
    return f"tlx.{name}", rest
