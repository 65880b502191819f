"""Where a simulator keeps what it remembers: its attributes, those of its class, globals, and values of defaults."""

from __future__ import annotations

import hashlib
import random
import sys
import types
from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

GENERATORS = (np.random.Generator, np.random.RandomState, torch.Generator, random.Random)
DATA = (int, float, complex, str, bool, np.ndarray, np.generic, torch.Tensor, list, dict, set, deque, *GENERATORS)
FEW = 2_000  # entries of a container that are looked at


def fingerprint(value: Any, depth: int = 0) -> Any:
    """Something that is equal exactly where two pieces of data are; None for what is no data."""
    if isinstance(value, GENERATORS):
        return state_of(value)
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy() if value.numel() < 1_000_000 else None
    if isinstance(value, (np.ndarray, np.generic)):
        array = np.asarray(value)
        content = array.tobytes() if array.dtype != object else repr(array).encode()
        return array.shape, str(array.dtype), hashlib.sha1(content).hexdigest()
    if isinstance(value, (int, float, complex, str, bool, type(None))):
        return value if value == value else "nan"
    if depth > 3:
        return None
    if isinstance(value, (list, tuple, deque)):
        return type(value).__name__, len(value), tuple(fingerprint(one, depth + 1) for one in list(value)[:FEW])
    if isinstance(value, dict):
        pairs = list(value.items())[:FEW]
        return "dict", len(value), tuple((repr(key)[:80], fingerprint(one, depth + 1)) for key, one in pairs)
    if isinstance(value, (set, frozenset)):
        return "set", len(value), tuple(sorted(repr(one)[:80] for one in list(value)[:FEW]))
    if is_own(type(value)) and hasattr(value, "__dict__"):
        return type(value).__name__, tuple((key, fingerprint(one, depth + 1)) for key, one in vars(value).items())
    return None


def state_of(generator: Any) -> Any:
    if isinstance(generator, np.random.Generator):
        return repr(generator.bit_generator.state)
    if isinstance(generator, np.random.RandomState):
        return hashlib.sha1(repr(generator.get_state()[1:3]).encode() + generator.get_state()[1].tobytes()).hexdigest()
    if isinstance(generator, torch.Generator):
        return hashlib.sha1(generator.get_state().numpy().tobytes()).hexdigest()
    return hash(generator.getstate())


def begin_anew(generator: Any, seed: int) -> None:
    """Set a generator to where one of this seed begins."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = type(generator.bit_generator)(seed).state
    elif isinstance(generator, torch.Generator):
        generator.manual_seed(seed)
    else:
        generator.seed(seed)


def is_own(kind: type) -> bool:
    """Did somebody write this class in a notebook, a script or a test, and no library?"""
    module = sys.modules.get(kind.__module__)
    file = getattr(module, "__file__", None) or ""
    if kind.__module__ in ("__main__", "__mp_main__"):
        return True
    if kind.__module__ == "builtins" or (module is not None and not file):
        return kind.__module__ not in sys.builtin_module_names and kind.__module__ != "builtins"
    return "site-packages" not in file and "/lib/python" not in file


def own_classes(bases: Iterable[Any]) -> list[type]:
    return [kind for base in bases for kind in type(base).__mro__ if is_own(kind)]


def attributes(bases: Iterable[Any]) -> dict[str, Any]:
    """{name: value} of the data that the objects themselves hold, and those that they hold: "steps", "drone.rng"."""
    found: dict[str, Any] = {}
    for base in bases:
        if is_own(type(base)):
            gather(base, "", found, depth=0)
    return found


def gather(holder: Any, before: str, found: dict[str, Any], depth: int) -> None:
    for name, value in vars(holder).items():
        if isinstance(value, DATA):
            found[before + name] = value
        elif depth < 3 and is_own(type(value)) and hasattr(value, "__dict__"):
            gather(value, f"{before}{name}.", found, depth + 1)


def shared_places(bases: Iterable[Any]) -> dict[str, Any]:
    """{words: value} of the data that all copies have in common."""
    found: dict[str, Any] = {}
    for kind in own_classes(bases):
        for name, value in vars(kind).items():
            if isinstance(value, DATA) and not name.startswith("__"):
                found[f"the class's attribute `{name}`"] = value
            function = getattr(value, "__func__", value)
            if isinstance(function, types.FunctionType):
                found.update(of_function(function, set()))
    return found


def of_function(function: types.FunctionType, known: set[types.FunctionType]) -> dict[str, Any]:
    known.add(function)
    code, found = function.__code__, {}
    names = code.co_varnames[: code.co_argcount][::-1]
    defaults = dict(zip(names, reversed(function.__defaults__ or ()), strict=False)) | (function.__kwdefaults__ or {})
    for name, value in defaults.items():
        if isinstance(value, (list, dict, set, np.ndarray, torch.Tensor, deque, *GENERATORS)):
            found[f"the default of the parameter `{name}` of `{function.__name__}`"] = value
    for name in names_in(code):
        value = function.__globals__.get(name)
        if isinstance(value, DATA):
            found[f"the global variable `{name}`"] = value
        elif isinstance(value, types.FunctionType) and value not in known and value.__module__ == function.__module__:
            found.update(of_function(value, known))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=False):
        try:
            value = cell.cell_contents
        except ValueError:
            continue
        if isinstance(value, DATA):
            found[f"the variable `{name}` around the class"] = value
    return found


def names_in(code: types.CodeType) -> set[str]:
    inner = [one for one in code.co_consts if isinstance(one, types.CodeType)]
    return set(code.co_names).union(*(names_in(one) for one in inner)) if inner else set(code.co_names)


def prints(places: dict[str, Any]) -> dict[str, Any]:
    return {name: fingerprint(value) for name, value in places.items()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    return [name for name in after if name in before and before[name] != after[name]]
