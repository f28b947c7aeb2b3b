"""Freeze policies. A new one is a module in this folder that calls `register`, and a YAML file in
`conf/policy/`; nothing else needs to know of it."""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
