"""`watch_loop(my_loop)`: run a training loop, show what it did in order, and say what it does wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from course_utils.exercises.fault import Asked, Fault
from course_utils.exercises.loop_faults import faults
from course_utils.exercises.notes import Note, Watched
from course_utils.exercises.running import Failure, limited
from course_utils.exercises.tiny_parts import TinyParts
from course_utils.exercises.undisturbed import undisturbed
from course_utils.exercises.watching import watching
from course_utils.views.display import View
from course_utils.views.timeline import Moment, timeline

COUNTED = ("collect", "evaluate", "store", "sample", "epsilon")


class Loop(View):
    """What was seen of a loop.

    `.faults` are the sentences, what hurts most first; `.notes` is what happened, `.rows` the
    picture as text.
    """

    def __init__(self, notes: list[Note], found: Sequence[Fault], stopped: str = "") -> None:
        self.notes, self.faults = notes, [fault.sentence for fault in found]
        wrong = {id(note) for fault in found for note in fault.notes}
        moments = [Moment(note.kind, words_of(note), "wrong" if id(note) in wrong else "") for note in notes]
        missing = [fault.missing for fault in found if fault.missing and fault.missing not in {n.kind for n in notes}]
        picture = timeline(moments, [*filter(None, [stopped]), *self.faults], missing)
        super().__init__(picture.html, picture.text)
        self.rows = picture.text.split("\n- ")[0]


def words_of(note: Note) -> str:
    words = f"{note.kind} {note.frames}" if note.kind in COUNTED else note.kind
    return f"{words} (by hand)" if note.by_hand and note.kind != "clip" else words


def watch_loop(loop: Callable[..., Any], *, seconds: float = 60.0, **parts: Any) -> Loop:
    """Run a training loop once, watch it from outside, and show what it did and what it does wrong.

    The loop is called with the parts that its parameters name: `env`, `actor`, `egreedy`, `policy`, `collector`,
    `buffer`, `loss_module`, `optimiser`, `target_updater`, and the numbers `updates`, `blocks`, `frames_per_batch`,
    `total_frames`, `batch_size`. Those that are not given are real but tiny: DQN on a walk of a few steps. Parts that
    the loop makes or finds itself are watched, too. What a loop has no need for, such as a target update where there
    is no target network, is not asked of it.

    Args:
        loop: the function that trains.
        seconds: of computing, after which it is cut off.
        parts: your own, by the name of the parameter that takes them: `watch_loop(my_loop, env=my_env)`.

    Raises:
        TypeError: `loop` is no function.
        ValueError: the loop has a parameter for which there is no part.
    """
    if not callable(loop):
        raise TypeError(f"watch_loop needs the function itself, without calling it; this is a {type(loop).__name__}.")
    tiny = TinyParts(parts)
    arguments = tiny.arguments(loop)
    given = {name: part for name, part in tiny.parts.items() if any(part is one for one in arguments.values())}
    with undisturbed():
        warnings.filterwarnings("ignore", "No target network updater")  # the watch says it, in place
        seen, stopped = run_watched(loop, arguments, list(tiny.parts.values()), seconds)
    found = faults(seen, Asked(given))
    if stopped:
        found = [fault for fault in found if fault.certain]
    return Loop(seen.notes, found, stopped)


def run_watched(
    loop: Callable[..., Any], arguments: dict[str, Any], parts: list[Any], seconds: float
) -> tuple[Watched, str]:
    """What was seen, and why the loop did not come to its end; empty where it did."""
    kept: list[Watched] = []

    def work() -> None:
        with watching(parts) as seen:
            kept.append(seen)
            loop(**arguments)

    outcome = limited(work, loop, seconds)
    return kept[0] if kept else Watched(), outcome.words if isinstance(outcome, Failure) else ""
