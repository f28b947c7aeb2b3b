"""KEY=VALUE command lines with a typed schema, for the programs that need no composition."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from tlx.common import plugins
from tlx.common.errors import ConfigError, TlxError, first_line, remedy
from tlx.common.typos import nearest, unknown_key

T = TypeVar("T")
KEY = "plugins"  # of the modules to import first
FAILED = 2  # exit code of every program that could not do its work, with a line that says why


def parse(schema: type[T], arguments: list[str]) -> T:
    """Arguments `key=value` as an instance of a dataclass.

    `plugins=MODULE,…` is understood by every program (`tlx.common.plugins`).

    Raises `ConfigError` for an unknown key, a wrong type or a missing value.
    """
    # Here, and not above: the front door and the doctor need neither it nor the time it takes.
    from omegaconf import MISSING, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    assert is_dataclass(schema)
    names = [f.name for f in fields(schema)]
    known = ", ".join(names)
    for argument in arguments:
        if "=" not in argument:
            raise ConfigError(f"{argument!r} is not KEY=VALUE; keys: {known}")
    # Values stay text until the schema types them, so that a path may hold any character.
    texts = {key: unquoted(text) for key, _, text in (a.partition("=") for a in arguments)}
    refuse_empty(texts)
    plugins.load(plugins.named(texts.pop(KEY, "")))
    pairs: dict[str, Any] = {k: None if text == "null" else text for k, text in texts.items()}
    if unknown := [key for key in pairs if key not in names]:
        raise ConfigError(unknown_key(unknown[0], names, pairs[unknown[0]]))
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), pairs)
        return OmegaConf.to_object(config)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        missing = [f.name for f in fields(schema) if f.default == MISSING and f.name not in pairs]
        if missing:
            raise ConfigError(f"{missing[0]}=… is missing; keys: {known}") from error
        raise ConfigError(f"{first_line(error)}; keys: {known}") from error


def unquoted(text: str) -> str:
    """A value without the quotes that Hydra's programs need around a path such as `freeze=4-…`."""
    return text[1:-1] if re.fullmatch(r"\".*\"|'.*'", text, re.DOTALL) else text


def refuse_empty(values: Mapping[str, Any]) -> None:
    """Refuse a key whose text is empty, as `root=$UNSET` gives it: a path would mean this folder.

    Raises:
        ConfigError: it names the key.
    """
    for key, value in values.items():
        if value == "":
            raise ConfigError(
                f"{key}= is empty: give it a value (is a variable of the shell not set?), or leave "
                "the key out"
            )


class Options(argparse.ArgumentParser):
    """A command line with names of folders and `key=value`, or `--key value`, which means the same.

    An unknown key is one line with the nearest. `text` is what --help prints.
    """

    def __init__(self, prog: str, text: str | None) -> None:
        super().__init__(prog=prog)
        self.text = (text or "").strip() + "\n"

    def format_help(self) -> str:
        """The module's text: of one shape for all programs."""
        return self.text

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `argparse` does; an empty argument is refused, for as a path it is this folder."""
        given = list(sys.argv[1:] if args is None else args)
        for argument in given:
            if re.fullmatch(r"(--[\w-]+=)?", argument):
                self.exit(FAILED, f"{self.prog}: {argument or 'an argument'} is empty: give it a "
                          "value (is a variable of the shell not set?)\n")  # fmt: skip
        options = [option for argument in given for option in self._option(argument)]
        return super().parse_known_args(options, namespace)

    def _option(self, argument: str) -> list[str]:
        """`key=value` as the option that it means; folders are called `freeze=4-…` too."""
        key, equals, value = argument.partition("=")
        if not equals or key.startswith("-"):
            return [argument]
        value = unquoted(value)
        known = {name[2:].replace("-", "_"): name for name in self._option_string_actions}
        known.pop("help", None)
        if key not in known:
            if re.fullmatch(r"\w+", key) and nearest(key, known) and not Path(argument).exists():
                self.exit(FAILED, f"{self.prog}: {unknown_key(key, known, value)}\n")
            return [argument]
        if not value:
            self.exit(FAILED, f"{self.prog}: {key}= is empty: give it a value (is a variable of "
                      "the shell not set?), or leave the key out\n")  # fmt: skip
        option = known[key]
        if self._option_string_actions[option].nargs != 0:
            return [f"{option}={value}"]
        if value.lower() not in ("true", "false"):
            self.exit(FAILED, f"{self.prog}: {key}={value} must be true or false\n")
        return [option] if value.lower() == "true" else []

    def error(self, message: str) -> NoReturn:
        """End the program with exit code 2."""
        unknown = message.removeprefix("unrecognized arguments: ").split()
        if unknown != message.split() and unknown[0].startswith("-"):
            option, _, value = unknown[0].partition("=")
            known = [name for name in self._option_string_actions if name.startswith("--")]
            self.exit(FAILED, f"{self.prog}: {unknown_key(option, known, value or None)}\n")
        self.exit(FAILED, f"{self.prog}: {message}; `{self.prog} --help` lists the keys\n")


def command(program: str, *arguments: str) -> str:
    """A line that starts `python -m PROGRAM` with these arguments when it is pasted."""
    return " ".join(["python -m", program, *map(shlex.quote, arguments)])


def hydra_command(program: str, *arguments: str) -> str:
    """The same for a program that Hydra composes: values are quoted by its grammar too."""
    return command(program, *map(hydra_argument, arguments))


def hydra_word(argument: str) -> str:
    """One `key=value` of such a line, to be typed behind what was typed before."""
    return shlex.quote(hydra_argument(argument))


def hydra_argument(argument: str) -> str:
    """`key=value` with the value quoted as Hydra's grammar asks for."""
    key, _, value = argument.partition("=")
    if re.fullmatch(r"[\w./+~%@:-]+", value, re.ASCII):
        return argument
    # In double quotes a backslash counts only in front of a quote, or of the closing one.
    escaped = re.sub(r'(\\*)("|$)', lambda m: m[1] * 2 + (m[2] and '\\"'), value)
    return f'{key}="{escaped}"'


def fail(error: BaseException) -> NoReturn:
    """End the program with what was wrong: an error of the input, or of a disk."""
    told = f"{first_line(error)}: {remedy(error)}" if isinstance(error, OSError) else str(error)
    print(f"{type(error).__name__}: {told}", file=sys.stderr)
    sys.exit(FAILED)


def run_program(
    program: Callable[[list[str]], None], doc: str | None, *, bare: bool = False
) -> None:
    """Print the module's text for --help, turn input errors into one line and exit code 2.

    Args:
        bare: whether the program has something to do without any argument.
    """
    arguments = sys.argv[1:]
    if (not arguments and not bare) or arguments[:1] in (["-h"], ["--help"]):
        print((doc or "").strip())
        sys.exit(0 if arguments else FAILED)
    try:
        program(arguments)
    except BrokenPipeError:  # `… | head`
        sys.exit(1)
    except (TlxError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        sys.exit(130)
