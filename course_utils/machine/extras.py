"""The optional extras: packages that single lessons use and the course does not bring along."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

# Modules that are there where the extra is.
EXTRAS = {
    "atari": ("ale_py",),
    "deploy": ("fastapi", "onnx", "onnxruntime", "onnxscript", "tyro", "uvicorn"),
    "llm": ("requests", "tokenizers", "transformers"),
    "minari": ("minari",),
    "multiagent": ("pettingzoo",),
    "ray": ("ray",),
    "rllib": ("ray", "tree"),
    "sb3": ("stable_baselines3",),
    "tuning": ("optuna",),
}
CLONE = Path(__file__).resolve().parents[2]


def has_extra(extra: str) -> bool:
    """Is everything there that the extra stands for?"""
    return all(importlib.util.find_spec(module) is not None for module in EXTRAS[extra])


def extra_install(extra: str) -> str:
    """What installs an extra for the Python that runs this, ready to be pasted.

    In a clone a shell's command, which takes the pinned files whose hashes the course knows. Elsewhere (Colab) a cell's
    code. Neither names the course to pip: nobody holds that name on the public index, so anybody could.
    """
    pins = CLONE / "requirements" / f"{extra}.txt"
    if pins.exists():
        return (
            f'"{sys.executable}" -m pip install --no-deps --only-binary :all: --require-hashes --requirement "{pins}"'
        )
    return f'import course_utils; course_utils.install_missing("{extra}")'


def ask_for_extra(extra: str, without: str) -> bool:
    """Is an optional extra there? Where it is not, print what is missed and what installs it.

    Args:
        extra: its name, such as `minari`.
        without: what happens without it.

    Returns:
        True where it is installed.

    Raises:
        ValueError: the course has no extra of this name.
    """
    if extra not in EXTRAS:
        raise ValueError(f"There is no optional extra {extra!r}; there are: {', '.join(EXTRAS)}.")
    if has_extra(extra):
        print(f"{extra} is here.")
        return True
    print(f"{extra} is not installed: {without}.\nTo install it: {extra_install(extra)}\nThen restart the kernel.")
    return False
