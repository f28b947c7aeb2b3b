"""KEY=VALUE command lines with a typed schema, for the programs that need no composition."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from tlx.errors import ConfigError, TlxError

T = TypeVar("T")


def parse(schema: type[T], arguments: list[str]) -> T:
    """Arguments `key=value` as an instance of a dataclass.

    Raises `ConfigError` for an unknown key, a wrong type or a missing value.
    """
    assert is_dataclass(schema)
    names = [f.name for f in fields(schema)]
    known = ", ".join(names)
    for argument in arguments:
        if "=" not in argument:
            raise ConfigError(f"{argument!r} is not KEY=VALUE; keys: {known}")
    pairs: dict[str, Any] = {}
    for argument in arguments:
        key, _, value = argument.partition("=")
        # Values stay text until the schema types them, so that a path may hold any character.
        pairs[key] = None if value in ("null", "") else value
    if unknown := [key for key in pairs if key not in names]:
        raise ConfigError(f"{unknown[0]} is not a key; keys: {known}")
    try:
        config = OmegaConf.merge(OmegaConf.structured(schema), pairs)
        return OmegaConf.to_object(config)  # type: ignore[return-value]
    except OmegaConfBaseException as error:
        missing = [f.name for f in fields(schema) if f.default == MISSING and f.name not in pairs]
        if missing:
            raise ConfigError(f"{missing[0]}=… is missing; keys: {known}") from error
        raise ConfigError(f"{str(error).splitlines()[0]}; keys: {known}") from error


def run_program(program: Callable[[list[str]], None], doc: str | None) -> None:
    """Print the module's text for --help, turn input errors into one line and exit code 1."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print((doc or "").strip())
        sys.exit(0 if arguments else 2)
    try:
        program(arguments)
    except TlxError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
