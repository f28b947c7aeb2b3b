"""Parts of one kind by name, those of plug-ins included."""

from __future__ import annotations

from typing import TypeVar

from tlx.common.errors import ConfigError
from tlx.common.plugins import HINT, load_installed
from tlx.common.typos import nearest, unknown_choice

T = TypeVar("T")


class Registry(dict[str, T]):
    """Name -> part.

    Args:
        key: of the configuration that names a part, for messages.
    """

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key
        self._homes: dict[str, str] = {}

    def add(self, name: str, part: T, home: str) -> T:
        """Make a part known; `home` is the module that it was written in.

        Raises:
            ConfigError: one of another module has this name: which is meant could not be told.
        """
        if (other := self._homes.setdefault(name, home)) != home:
            raise ConfigError(
                f"{self.key}={name} is registered by {other} and by {home}: give yours another name"
            )
        self[name] = part
        return part

    def find(self, name: str, *, beside: tuple[str, ...] = ()) -> T:
        """The part of this name.

        Args:
            beside: choices of the key that are no parts, for the message.

        Raises:
            ConfigError: there is none; it names the nearest one.
        """
        if name not in self:
            load_installed()
        if name not in self:
            known = [*self, *beside]
            told = unknown_choice(self.key, name, known)
            raise ConfigError(told if nearest(name, known) else f"{told}; {HINT}")
        return self[name]
