"""Detectors. A new one is a module or a folder here that calls `register`, and a YAML file in
`conf/detector/`; nothing else needs to know of it."""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
