"""What the notebooks import that is not reinforcement learning: devices, seeds, pictures, video, exercise checks.

Importing this package costs next to nothing: torch, torchrl, matplotlib and the video encoder are imported by the
functions that use them.
"""

import importlib
import os

# TorchRL writes its log to standard output unless told otherwise before its first import.
os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")

_HOME = {
    "BreakItLab": "lab",
    "EpisodeScrubber": "scrubber",
    "LivePlot": "live",
    "ReplayLens": "lens",
    "check": "exercises",
    "choose_device": "device",
    "diagnose": "doctor",
    "flow": "key_flow",
    "forget_progress": "progress",
    "install_missing": "colab",
    "learning_curves": "plotting",
    "library_scripts": "scripts",
    "load_checkpoint": "checkpoint",
    "load_results": "stored",
    "record_episode": "video",
    "save_checkpoint": "checkpoint",
    "seed_everything": "seeding",
    "show": "tree",
    "show_figure": "plotting",
    "show_progress": "progress",
    "show_video": "video",
    "sliders": "knobs",
    "stop_on_nan": "finite",
    "use_course_style": "plotting",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"course_utils has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"course_utils.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
