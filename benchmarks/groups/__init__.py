"""One file a group of measurements, or a family of groups that one function measures; found by being in this folder."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from benchmarks.group import Group


@functools.cache
def groups() -> dict[str, Group]:
    """All groups by name, in the order in which `make bench` runs them and the page shows them.

    Raises:
        ValueError: two groups have the same name.
    """
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Group)]
    names = [group.name for group in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ValueError(f"Two groups in benchmarks/groups/ are called {' and '.join(sorted(twice))}; rename one.")
    return {group.name: group for group in sorted(found, key=lambda group: (group.order, group.name))}
