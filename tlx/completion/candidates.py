"""What may stand where the cursor is."""

from __future__ import annotations

from collections.abc import Mapping

from tlx.common.programs import PROGRAMS, module_of
from tlx.completion.composed_keys import FREEZE, YES_OR_NO, composed_keys
from tlx.completion.help_keys import keys_of
from tlx.starts.published import PUBLISHED

COMPOSED = ("train", "classify")
FLAGS = ["--help", "--multirun", "--cfg", "--resolve", "--config-dir"]  # of Hydra, those in use
COMMAND_MODULES = {"train": "tlx.benchmark.train", "latency": "tlx.benchmark.latency.program"}
DATA_COMMANDS = "tlx.data.commands"


def candidates(line: str) -> list[str]:
    """Whole words that may take the place of the last one.

    Args:
        line: what stands before the cursor, from the program's name on (`tlx train freeze=`).
    """
    words = line.split()[1:]
    word = words.pop() if words and not line[-1].isspace() else ""
    if not words:
        return _starting(word, [*PROGRAMS, "--help", "--version"])
    name, *given = words
    if name not in PROGRAMS:
        return []
    program = PROGRAMS[name]
    if word.startswith("-"):
        flags = FLAGS if module_of(words)[0].removeprefix("tlx.") in COMPOSED else ["--help"]
        return _starting(word, flags)
    keys = _keys(words)
    if "=" in word:
        return _values(word, keys)
    spoken = [] if given else [*program.commands, *program.programs]
    if name == "models" and not given:  # `timm` needs a model's name
        spoken = [each for each in composed_keys("train")["backbone"] if each != "timm"]
    if words[:2] == ["weights", "fetch"]:
        spoken, keys = [start for start in PUBLISHED if start not in given], {}
    taken = {argument.partition("=")[0] for argument in given}
    return _starting(word, [*spoken, *(f"{key}=" for key in keys if key not in taken)])


def _keys(words: list[str]) -> Mapping[str, list[str]]:
    """The keys that the program takes after these words, with their choices."""
    name, *rest = words
    module, _ = module_of(words)
    if module.removeprefix("tlx.") in COMPOSED:
        return composed_keys(name)
    commands = PROGRAMS[name].commands
    if name == "benchmark":  # its command may be left out
        module = COMMAND_MODULES.get(rest[0] if rest else "", "tlx.benchmark.latency.program")
    elif commands and not rest:
        return {}
    elif words[:2] in (["data", "check"], ["data", "split"]):  # a run's keys, and where it goes
        keys = composed_keys("train")
        of_data = [key for key in keys if key.startswith(("data", "cache_dir"))]
        return {**{key: keys[key] for key in of_data}, "output": []}
    elif name == "data":
        module = f"{DATA_COMMANDS}.{rest[0]}"
    elif name == "lr":
        own: dict[str, list[str]] = {key: [] for key in keys_of(module)}
        return {**composed_keys("train"), **own}
    found = {key: YES_OR_NO if truth else [] for key, truth in keys_of(module).items()}
    if "policies" in found:
        found["policies"] = [*FREEZE, "neck"]
    return {key: choices for key, choices in found.items() if key not in commands}


def _values(word: str, keys: Mapping[str, list[str]]) -> list[str]:
    """`key=a,b` with every choice as its last value: commas part the values of a sweep."""
    key, _, value = word.partition("=")
    before, comma, last = value.rpartition(",")
    taken = before.split(",")
    choices = [choice for choice in keys.get(key, []) if choice not in taken]
    return [f"{key}={before}{comma}{choice}" for choice in _starting(last, choices)]


def _starting(word: str, known: list[str]) -> list[str]:
    return [each for each in known if each.startswith(word)]
