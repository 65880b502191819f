"""`check_simulator(make)`: play with a simulator that somebody wrote, and say in words what is wrong with it."""

from __future__ import annotations

import contextlib
import inspect
import linecache
import sysconfig
import time
import traceback
import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import gymnasium
from torchrl.envs import EnvBase
from torchrl.envs.utils import check_env_specs

from course_utils.exercises.card import marked_up
from course_utils.exercises.running import Failure, limited
from course_utils.exercises.sim_actions import look_at_actions, look_at_speed
from course_utils.exercises.sim_case import Case, Finding, inside, settle_guess
from course_utils.exercises.sim_chance import look_at_chance
from course_utils.exercises.sim_ends import look_after_the_end, look_at_ends, play_long
from course_utils.exercises.sim_forms import Log, Theirs
from course_utils.exercises.sim_gymnasium import GymnasiumSim, PlainSim, VectorSim, form_of
from course_utils.exercises.sim_memory import look_at_resets, look_at_reuse, look_at_sharing
from course_utils.exercises.sim_places import prints, shared_places
from course_utils.exercises.sim_rows import look_at_rows
from course_utils.exercises.sim_torchrl import TorchSim
from course_utils.exercises.sim_values import look_at_values
from course_utils.exercises.undisturbed import undisturbed
from course_utils.views.display import View
from course_utils.views.palette import PALETTE

OURS = str(Path(__file__).parent)
UNFINISHED = (
    "The check ended before all was looked at: the simulator, or making it, takes much time. What stands here was seen."
)
LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


class Simulator(View):
    """What was seen of a simulator.

    `.faults` are the sentences about what is wrong, what hurts most first; `.notes` those about what may be meant so;
    `.counts` says what was played.
    """

    def __init__(self, form: str, findings: list[Finding], log: Log) -> None:
        ordered = sorted(findings, key=lambda finding: finding.rank)
        self.form = form
        self.faults = list(dict.fromkeys(finding.sentence for finding in ordered if finding.fault))
        self.notes = list(dict.fromkeys(finding.sentence for finding in ordered if not finding.fault))
        played = f"{log.resets:,} resets, {log.steps:,} steps, {log.episodes:,} episodes to their end"
        self.counts = f"{log.made} copies made, {played}"
        found = len(self.faults)
        nothing = "nothing is wrong" + (" so far" if UNFINISHED in self.notes else "")
        verdict = nothing if not found else "1 fault" if found == 1 else f"{found} faults"
        self.verdict = f"{form}: {verdict}"
        lines = [f"{'✘' if found else '✔'} {self.verdict} ({self.counts})"]
        lines += [f"- {sentence}" for sentence in self.faults] + [f"- note: {sentence}" for sentence in self.notes]
        super().__init__(self._html(), "\n".join(lines))

    def _html(self) -> str:
        colour, sign = (PALETTE["vermillion"], "✘") if self.faults else (PALETTE["green"], "✔")
        points = [marked_up(sentence) for sentence in self.faults]
        points += [f'<span style="opacity:.8"><em>note:</em> {marked_up(sentence)}</span>' for sentence in self.notes]
        items = "".join(f'<li style="margin:.3em 0;overflow-wrap:anywhere">{point}</li>' for point in points)
        return (
            f'<div role="status" style="border:1px solid {colour};border-left-width:6px;border-radius:4px;'
            'padding:.5em .9em;max-width:60em;line-height:1.5">'
            f'<div><strong><span aria-hidden="true">{sign}</span> {escape(self.verdict)}</strong> '
            f'<span style="opacity:.8;font-size:90%">({escape(self.counts)})</span></div>'
            + (f'<ul style="margin:.4em 0">{items}</ul>' if items else "")
            + "</div>"
        )


def check_simulator(make: Callable[[], Any], *, seconds: float = 20.0) -> Simulator:
    """Make copies of a simulator, play with them, and say what is wrong with it, what hurts most first.

    Args:
        make: a function or class that makes a new one at each call, without arguments: a `gymnasium.Env` (or a vector
            of them), a TorchRL `EnvBase`, batched or not, or a class with `reset` and `step`.
        seconds: of computing, after which a simulator that does not answer is cut off. The check itself plans for less
            than five.

    Returns:
        A view. `.faults` and `.notes` are lists of sentences. It never raises: what the simulator raises is told with
        its line, and what Python, NumPy and torch would draw next is as before.
    """
    case = Case(make)
    form = ["simulator"]
    with undisturbed():
        warnings.simplefilter("ignore")
        outcome = limited(lambda: examine(case, form), make, seconds)
        case.log.stopped = True
    stopped = isinstance(outcome, Failure) and "was cut off" in outcome.words
    if stopped:
        stuck(case, seconds)
    elif isinstance(outcome, Failure) and form[0] == "simulator":
        case.fault(0, f"`make` broke off: {outcome.words}.")
    elif isinstance(outcome, Failure):
        case.note(99, f"The rest could not be checked: {outcome.words}.")
    return Simulator(form[0], list(case.findings), case.log)


def stuck(case: Case, seconds: float) -> None:
    """It was stopped: by one call that did not end, or among many?"""
    now = time.monotonic(), time.process_time()
    clock, computed = (end - start for end, start in zip(now, case.log.since, strict=True))
    if computed > seconds / 10:
        case.fault(
            0,
            f"The simulator was cut off after {seconds:g} seconds, in {case.log.doing}. Is there a loop that never "
            "ends, or a step that computes for so long?",
        )
    elif clock > seconds and computed < clock / 50:
        case.fault(
            0,
            f"The simulator was cut off in {case.log.doing}: it computed nothing and waited for {clock:.0f} seconds. "
            "Does it ask for input, or listen to a program that does not answer?",
        )
    else:
        case.note(0, UNFINISHED)


def examine(case: Case, form: list[str]) -> None:
    """Find what is wrong; `form` gets the words for what was given."""
    if not opened(case, form):
        return
    for sentence in case.log.odd.values():
        case.fault(2, sentence)
    looks = (look_at_values, look_at_reuse, look_at_sharing, look_at_resets, look_at_rows, look_at_ends) + (
        look_at_actions,
        look_after_the_end,
        look_at_speed,
    )
    guarded(case, look_at_chance)
    guarded(case, play_long)
    for look in looks:
        if not case.late or look in (look_at_values, look_at_ends, look_at_speed):
            guarded(case, look)
        else:
            case.note(0, UNFINISHED)
    for sentence in case.log.odd.values():
        case.fault(2, sentence)
    if not case.late:
        guarded(case, by_the_library)


def guarded(case: Case, look: Callable[[Case], None]) -> None:
    """Look; what the simulator raises meanwhile is a finding."""
    try:
        look(case)
    except Theirs as error:
        case.fault(*broke_off(error.doing, error.cause))
    except Exception as error:
        if own_frame(error) is not None:
            case.fault(0, raised("a call", error))
        else:
            case.note(99, f"One part could not be checked ({type(error).__name__}: {str(error)[:100]}).")


def opened(case: Case, form: list[str]) -> bool:
    """Make a copy and play a first time; False where that shows that there is nothing to play with."""
    make = case.make
    if not callable(make) or isinstance(make, (EnvBase, gymnasium.Env, gymnasium.vector.VectorEnv)):
        case.fault(
            0,
            f"`check_simulator` got {form_of(make)}; it needs what *makes* a simulator, because it plays with several: "
            "`check_simulator(lambda: MySimulator())`.",
        )
        return False
    if isinstance(make, type) and (lacking := sorted(getattr(make, "__abstractmethods__", ()))):
        case.fault(
            0, f"The class has no {' and '.join(f'`{name}`' for name in lacking)} yet: `EnvBase` leaves it to you."
        )
        return False
    try:
        sim = case.new()
        if sim is not None:
            case.make, word = inside(make, sim.env)
            if word:
                sim.close()
                case.note(98, word + ".")
                sim = case.new()
    except (Exception, SystemExit) as error:
        case.fault(0, raised("calling `make`", error))
        return False
    if sim is None:
        env = case.make()
        lacking = [name for name in ("reset", "step") if not callable(getattr(env, name, None))]
        case.fault(
            0,
            f"`make` returned {form_of(env)} without {' and '.join(f'`{name}`' for name in lacking)}. It has to "
            "return a "
            "Gymnasium environment, a TorchRL environment, or an object with `reset` and `step`.",
        )
        return False
    form[0] = sim.form if not getattr(sim, "batch", ()) else f"batched {sim.form}, batch size {list(sim.batch)}"
    if type(sim) is GymnasiumSim or type(sim) is VectorSim:
        for name in ("observation_space", "action_space"):
            if not isinstance(getattr(sim.env, name, None), gymnasium.Space):
                case.fault(
                    0,
                    f"There is no `{name}`. Set it in `__init__`: "
                    + (
                        "`self.action_space = Discrete(2)` for one."
                        if "action" in name
                        else "`Box(low, high, shape)` for one."
                    ),
                )
                return False
    if type(sim) is GymnasiumSim:
        of_gymnasium(case, sim)
    if isinstance(sim, PlainSim):
        wish(case, sim)
        if (error := settle_guess(case)) is not None:
            case.fault(0, raised(error.doing, error.cause) + " (It has no `action_space`, so actions were guessed.)")
            return False
        sim = case.new()
    case.places = prints(shared_places(sim.bases()))
    trace = case.play(sim, steps=6)
    if trace.error is None:
        case.plan()
        trace = case.play(case.new())
    case.first = trace
    if trace.error is not None:
        case.fault(*broke_off(trace.error.doing, trace.error.cause))
    return bool(trace.moments) or isinstance(sim, TorchSim)


def of_gymnasium(case: Case, sim: GymnasiumSim) -> None:
    base = sim.bases()[-1]
    with contextlib.suppress(TypeError, ValueError):
        takes = inspect.signature(base.reset).parameters
        if (
            "options" not in takes
            and not any(one.kind is one.VAR_KEYWORD for one in takes.values())
            and "seed" in takes
        ):
            case.fault(
                16,
                "`reset` takes no `options`. Gymnasium's wrappers, `TimeLimit` for one, hand them on: "
                "`reset(self, *, seed=None, options=None)`.",
            )
    if getattr(base, "render_mode", None) == "human":
        case.note(84, "`render_mode` is `human`, so each step draws. Make it without for training.")


def wish(case: Case, sim: PlainSim) -> None:
    lacks = []
    if not isinstance(getattr(sim.env, "observation_space", None), gymnasium.Space):
        lacks.append("`observation_space`")
    if not isinstance(getattr(sim.env, "action_space", None), gymnasium.Space):
        lacks.append("`action_space`")
    if not sim.takes_seed():
        lacks.append("`reset(self, seed=None, options=None)` that returns `(observation, {})`")
    case.note(
        70,
        "This is no Gymnasium environment yet. It needs the base class `gymnasium.Env`, "
        + "".join(f"{one}, " for one in lacks)
        + "and a `step` that returns `(observation, reward, terminated, truncated, info)`.",
    )


def by_the_library(case: Case) -> None:
    """What the libraries' own checks say, where nothing else was found."""
    if case.faulty:
        return
    sim = case.new()
    with sim.alone():
        try:
            if isinstance(sim, TorchSim):
                check_env_specs(sim.env)
            elif type(sim) is GymnasiumSim:
                from gymnasium.utils.env_checker import check_env

                check_env(sim.env, skip_render_check=True)
        except gymnasium.error.Error:
            pass  # it reads the signature: a `reset(self, **options)` that takes a seed has been called with one
        except AssertionError as error:
            words = " ".join(str(error).split())
            case.fault(16, f"`{'check_env_specs' if isinstance(sim, TorchSim) else 'check_env'}` says: {words[:300]}")
    with contextlib.suppress(Exception):
        sim.close()


# The learner's own errors


def broke_off(doing: str, error: BaseException) -> tuple[int, str]:
    """What a library raises comes of something else, which hurts more if it is known."""
    return (0 if own_frame(error) is not None or isinstance(error, ValueError) and not error.args else 8), raised(
        doing, error
    )


def raised(doing: str, error: BaseException) -> str:
    if isinstance(error, ValueError) and not error.args:
        return doing
    words = " ".join(f"{type(error).__name__}: {error}".split())[:300].rstrip(": ")
    frame = own_frame(error)
    if frame is None:
        return f"It broke off in {doing}: {words}."
    source = linecache.getline(frame.filename, frame.lineno).strip()
    return f"It broke off in {doing}: {words}, at line {frame.lineno}" + (f": `{source}`" if source else ".")


def own_frame(error: BaseException) -> traceback.FrameSummary | None:
    """The learner's line: the last frame that is neither ours nor a library's."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [
        frame
        for frame in frames
        if not frame.filename.startswith(OURS) and not frame.filename.startswith(LIBRARIES) and frame.filename[0] != "<"
    ]
    return theirs[-1] if theirs else None
