"""Stand-ins: small programs that speak a simulator's interface, so that TorchRL's wrapper can be run without it.

Each is written from the simulator's public documentation. None simulates anything: what a card says of specs and keys
is TorchRL's doing, what it says of physics, pictures or speed of the real thing is nothing. A script imports its
stand-in before TorchRL, which looks at its own import whether a simulator is there.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType


def put(name: str, **content: object) -> ModuleType:
    """Make a module importable under this name, its parents too.

    Raises:
        ImportError: the real one is there.
    """
    parent, _, last = name.rpartition(".")
    module = sys.modules.get(name)
    if module is None:
        module = ModuleType(name, "A stand-in.")
        module.__spec__, module.__path__ = ModuleSpec(name, None, is_package=True), []
        module.stand_in = True
        sys.modules[name] = module
    elif not getattr(module, "stand_in", False):
        raise ImportError(f"{name} is really there; its stand-in stays away.")
    vars(module).update(content)
    if parent:
        setattr(put(parent), last, module)
    return module
