"""What the notebooks import that is not reinforcement learning: devices, seeds, pictures, video, exercise checks.

Importing this package costs next to nothing: torch, torchrl, matplotlib and the video encoder are imported by the
functions that use them.
"""

import importlib
import os

# TorchRL writes its log to standard output unless told otherwise before its first import.
os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")
# Who draws an environment starts pygame's sound, too, and without a sound card that fills the cell with complaints.
os.environ.setdefault("SDL_AUDIODRIVER", "dummy")

_HOME = {
    "Board": "views.board",
    "BreakItLab": "views.break_it_lab",
    "DreamScrubber": "views.dream_scrubber",
    "Episode": "views.video",
    "EpisodeScrubber": "views.episode_scrubber",
    "FaultLab": "views.fault_lab",
    "LivePlot": "views.live_plot",
    "PALETTE": "views.plotting",
    "ReplayLens": "views.replay_lens",
    "TokenScrubber": "views.token_scrubber",
    "ask_for_extra": "machine.extras",
    "check": "exercises.checking",
    "check_simulator": "exercises.simulator_check",
    "choose_device": "machine.device",
    "diagnose": "machine.doctor",
    "flow": "views.key_flow",
    "forget_progress": "exercises.progress",
    "install_missing": "machine.install",
    "learning_curves": "views.plotting",
    "library_scripts": "runs.shipped",
    "load_checkpoint": "runs.checkpoint",
    "load_families": "runs.shipped",
    "load_results": "runs.shipped",
    "load_weights": "runs.shipped",
    "real_records": "runs.shipped",
    "play_page": "views.play_page",
    "read_card": "runs.agent_card",
    "record_episode": "views.video",
    "save_checkpoint": "runs.checkpoint",
    "seed_everything": "machine.seeding",
    "show": "views.tree",
    "show_figure": "views.plotting",
    "show_progress": "exercises.progress",
    "show_video": "views.video",
    "sliders": "views.sliders",
    "stop_on_nan": "runs.stop_on_nan",
    "use_course_style": "views.plotting",
    "watch_loop": "exercises.loop_watch",
    "write_card": "runs.agent_card",
}
__all__ = sorted(_HOME)


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"course_utils has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"course_utils.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
