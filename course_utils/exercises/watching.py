"""Note what a training loop does, from outside: when it collects, stores, samples and learns, and with which objects.

TorchRL's and torch's own classes are at work. While a loop runs, their methods pass by a note taker, by torch's hooks
where it has some and else by wrappers around the methods of the classes; afterwards every wrapper and hook is gone.
So parts that the loop makes itself are seen as well as those it was given. Other threads are not noted.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import ProbabilisticTensorDictModule
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torchrl.collectors import BaseCollector
from torchrl.data import ReplayBuffer
from torchrl.envs import EnvBase
from torchrl.objectives import LossModule
from torchrl.objectives.utils import TargetNetUpdater

from course_utils.exercises.inside_parts import (
    NOISE,
    Rows,
    count_frames,
    draws_now,
    empty,
    entries_inside,
    held_by,
    rows_of,
    target_weights,
    values_of,
)


@dataclass
class Entry:
    """What became of one entry of a loss: the factor by which each `backward` reached it."""

    asks: bool  # does it ask for a gradient?
    value: float
    factors: list[float] = field(default_factory=list)


@dataclass(eq=False)
class Note:
    """One thing that happened.

    Attributes:
        kind: collect, evaluate, store, sample, loss, zero_grad, backward, clip, step, target, epsilon, sync, shutdown.
        part: what did it: the collector or environment, buffer, loss module, optimiser ...
        frames: how many frames it was about; for `epsilon`, how many frames it was told of.
        rows: one number for each frame, the same for the same observation; None where frames have none.
        items: how many items of a buffer they made; one may be a whole sequence of frames.
        size: of a buffer: how many items it held before a sample, and after a store.
        players: names (addresses) of the weights that chose the actions.
        weights: a sum of the players' values, to see whether they have moved.
        explores: random numbers took part in choosing the actions.
        entries: of a loss, by name.
        trained: addresses of the weights that a step moved, or that a `backward` reached.
        held: addresses of all weights that an optimiser holds.
        stale: a `backward` added to gradients that a step had used already.
        idle: a step found no gradient at all; a target update or a `backward` changed nothing.
        by_hand: noticed afterwards, by its effect.
        wrong: what an attempt failed with, such as a sample from an empty buffer.
        single: a frame that the loop stepped itself; such frames are put together where nothing was learned between.
        place: among all notes.
        turn: how many batches had been collected by then.
    """

    kind: str
    part: Any = None
    frames: int = 0
    rows: Rows | None = None
    items: int = 0
    size: int = 0
    players: frozenset[int] = frozenset()
    weights: float | None = None
    explores: bool = False
    entries: dict[str, Entry] = field(default_factory=dict)
    trained: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    stale: bool = False
    idle: bool = False
    by_hand: bool = False
    wrong: str = ""
    single: bool = False
    place: int = 0
    turn: int = 0


@dataclass
class Watched:
    """What a watch has seen.

    Attributes:
        notes: what happened, in order.
        names: of weights, by address, as their loss module calls them.
        online: the weights that each loss module trains, by its `id`; those that never ask for a gradient left out.
        targets: the weights of its target networks, likewise.
        noise: the modules whose noise chose actions while frames were collected.
        copies: the collectors that made a policy of their own, by a factory.
    """

    notes: list[Note] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    online: dict[int, frozenset[int]] = field(default_factory=dict)
    targets: dict[int, frozenset[int]] = field(default_factory=dict)
    noise: list[Any] = field(default_factory=list)
    copies: list[Any] = field(default_factory=list)

    def of(self, *kinds: str) -> list[Note]:
        return [note for note in self.notes if note.kind in kinds]

    def rows_used(self) -> set[int]:
        """The frames that were stored, or that a loss has seen."""
        return {row for note in self.of("store", "loss") if not note.idle for row in note.rows or ()}


@contextmanager
def watching(parts: Iterable[Any] = ()) -> Iterator[Watched]:
    """Note what happens in this thread until the end of the block.

    Args:
        parts: modules, loss modules and optimisers that are there already, so that their weights are known from the
            first moment on. Others are met when they are used.
    """
    taker = NoteTaker()
    for part in parts:
        taker.meet(part)
    with ExitStack() as stack:
        stack.callback(taker.end)
        taker.put_hooks(stack)
        for base, name, make in taker.wrappers():
            for kind in family(base):
                if name in vars(kind):
                    wrap(kind, name, make, stack)
        wrap(torch.autograd, "backward", taker.around_backward, stack)
        for name in ("clip_grad_norm_", "clip_grad_value_"):
            wrap(torch.nn.utils, name, taker.around_clip, stack)
        yield taker.seen


def family(base: type) -> list[type]:
    """A class and all classes made of it."""
    found = {base: None}
    for kind in base.__subclasses__():
        found |= dict.fromkeys(family(kind))
    return list(found)


def wrap(owner: Any, name: str, make: Callable[[Callable], Callable], stack: ExitStack) -> None:
    original = vars(owner)[name]
    stack.callback(setattr, owner, name, original)
    setattr(owner, name, functools.wraps(original)(make(original)))


class NoteTaker:
    """Takes the notes of one thread."""

    def __init__(self) -> None:
        self.seen = Watched()
        self.thread, self.active = threading.get_ident(), True
        self.parts: dict[int, Any] = {}  # kept alive, so that no two get the same `id`
        self.weights: dict[int, torch.Tensor] = {}
        self.collecting = self.storing = self.sampling = 0
        self.following = False
        self.running: list[int] = []  # modules in whose forward we are, by `id`
        self.in_loss = 0
        self.players: dict[int, torch.Tensor] = {}  # weights of the modules that ran since the last frame
        self.noisy = False
        self.used: set[int] = set()  # weights whose gradient a step has used
        self.after_step: dict[int, torch.Tensor] = {}
        self.known_values: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by loss module: online, target
        self.handles: list[Any] = []

    def here(self) -> bool:
        return self.active and threading.get_ident() == self.thread

    def end(self) -> None:
        if self.active:
            self.changed_after_step()
            for module in [part for part in self.parts.values() if isinstance(part, LossModule)]:
                self.moved_by_hand(module)
        self.active = False
        for handle in self.handles:
            handle.remove()
        self.tell_evaluations()
        self.seen.notes[:] = put_together(self.seen.notes)
        turn = 0
        for place, note in enumerate(self.seen.notes):
            turn += note.kind == "collect"
            note.place, note.turn = place, turn

    def tell_evaluations(self) -> None:
        """Frames that were neither stored nor learned from were played to judge, unless a collector played them."""
        used = self.seen.rows_used()
        for note in self.seen.of("collect"):
            if used and used.isdisjoint(note.rows or ()) and not isinstance(note.part, BaseCollector):
                if not note.players:
                    self.seen.notes.remove(note)  # an environment that tries itself out while it is built
                elif note.rows:
                    note.kind = "evaluate"

    def note(self, kind: str, part: Any = None, **facts: Any) -> Note:
        self.parts.setdefault(id(part), part)
        self.seen.notes.append(Note(kind, part, **facts))
        return self.seen.notes[-1]

    # Whom we know

    def meet(self, part: Any) -> None:
        """Remember the weights of a part, once."""
        if isinstance(part, torch.optim.Optimizer):
            for weight in held_by(part):
                self.weights.setdefault(id(weight), weight)
        if not isinstance(part, torch.nn.Module) or id(part) in self.parts:
            self.parts.setdefault(id(part), part)
            return
        self.parts[id(part)] = part
        if isinstance(part, LossModule):
            self.meet_loss(part)
        for name, weight in part.named_parameters():
            self.weights.setdefault(id(weight), weight)
            if not isinstance(part, LossModule):
                self.seen.names.setdefault(weight.data_ptr(), name)

    def meet_loss(self, module: LossModule) -> None:
        targets = target_weights(module)
        far = {weight.data_ptr() for weight in targets}
        online = [
            (name, weight)
            for name, weight in module.named_parameters()
            if weight.requires_grad and weight.data_ptr() not in far
        ]
        self.seen.names |= {weight.data_ptr(): name.replace("_params.", ".") for name, weight in online}
        near = frozenset(weight.data_ptr() for _, weight in online)
        self.seen.online[id(module)], self.seen.targets[id(module)] = near, frozenset(far - near)
        self.known_values[id(module)] = values_of(module)

    # Collect

    def around_making(self, original: Callable) -> Callable:
        def __init__(collector: BaseCollector, *args: Any, **options: Any) -> None:
            if self.here():
                self.parts.setdefault(id(collector), collector)
            if self.here() and options.get("policy_factory") is not None:
                self.seen.copies.append(collector)
            original(collector, *args, **options)

        return __init__

    def around_batches(self, original: Callable) -> Callable:
        def batches(collector: BaseCollector) -> Iterator[Any]:
            if not self.here() or self.collecting:
                yield from original(collector)
                return
            inner = original(collector)
            while True:
                place = len(self.seen.notes)
                with self.playing():
                    try:
                        batch = next(inner)
                    except StopIteration:
                        return
                self.collected(collector, batch, place)
                yield batch

        return batches

    def around_rollout(self, original: Callable) -> Callable:
        def rollout(env: EnvBase, *args: Any, **options: Any) -> Any:
            if not self.here() or self.collecting:
                return original(env, *args, **options)
            place = len(self.seen.notes)
            with self.playing():
                batch = original(env, *args, **options)
            self.collected(env, batch, place)
            return batch

        return rollout

    def around_env_step(self, original: Callable) -> Callable:
        def step(env: EnvBase, *args: Any, **options: Any) -> Any:
            if not self.here() or self.collecting:
                return original(env, *args, **options)
            players, noisy = self.players, self.noisy
            with self.playing():
                result = original(env, *args, **options)
            self.players, self.noisy = players, noisy  # of those who ran between the steps
            frame = result[0] if isinstance(result, tuple) else result
            self.collected(env, frame, len(self.seen.notes))
            self.seen.notes[-1].single = True
            self.players, self.noisy = {}, False
            return result

        return step

    @contextmanager
    def playing(self) -> Iterator[None]:
        self.collecting += 1
        self.players, self.noisy = {}, False
        try:
            yield
        finally:
            self.collecting -= 1

    def collected(self, part: Any, batch: Any, place: int) -> None:
        stored = [note for note in self.seen.notes[place:] if note.kind == "store"]  # by the collector itself
        frames = sum(note.frames for note in stored) if batch is None else count_frames(batch)
        rows = tuple(row for note in stored for row in note.rows or ()) if batch is None else rows_of(batch)
        policy = getattr(part, "policy", None) if isinstance(part, BaseCollector) else None
        if not self.players and isinstance(policy, torch.nn.Module) and "Multi" not in type(part).__name__:
            self.players = {weight.data_ptr(): weight for weight in policy.parameters()}
        note = Note("collect", part, frames, rows, explores=self.noisy)
        note.players = frozenset(address for address, weight in self.players.items() if weight.requires_grad)
        note.weights = float(sum(weight.detach().double().sum() for weight in self.players.values()))
        self.parts.setdefault(id(part), part)
        self.seen.notes.insert(place, note)
        self.players, self.noisy = {}, False

    # Store and sample

    def around_store(self, original: Callable) -> Callable:
        def store(buffer: ReplayBuffer, data: Any, *args: Any, **options: Any) -> Any:
            if not self.here() or self.storing:
                return original(buffer, data, *args, **options)
            rows, frames = rows_of(data), count_frames(data)
            before = len(buffer)
            self.storing += 1
            try:
                result = original(buffer, data, *args, **options)
            finally:
                self.storing -= 1
            last = self.seen.notes[-1] if self.seen.notes else None
            if self.collecting and last is not None and last.kind == "store" and last.part is buffer:
                last.frames, last.rows = last.frames + frames, (last.rows or ()) + (rows or ())
                last.size, last.items = len(buffer), last.items + len(buffer) - before
            else:
                grown = len(buffer) - before
                self.note("store", buffer, frames=frames, rows=rows, size=len(buffer), items=grown)
            return result

        return store

    def around_sample(self, original: Callable) -> Callable:
        def sample(buffer: ReplayBuffer, *args: Any, **options: Any) -> Any:
            if not self.here() or self.sampling:
                return original(buffer, *args, **options)
            self.sampling += 1
            note = self.note("sample", buffer, size=len(buffer))
            try:
                result = original(buffer, *args, **options)
            except Exception as error:
                note.wrong = f"{type(error).__name__}: {error}"
                raise
            finally:
                self.sampling -= 1
            data = result[0] if isinstance(result, tuple) else result
            note.frames, note.rows = count_frames(data), rows_of(data)
            return result

        return sample

    # Learn

    def before_forward(self, module: torch.nn.Module, inputs: Any) -> None:
        if not self.here():
            return
        if isinstance(module, LossModule) and not self.in_loss:
            self.meet(module)
            self.changed_after_step()
            self.moved_by_hand(module)
        elif not self.running and not self.in_loss:
            self.meet(module)
            if self.collecting or not torch.is_grad_enabled() or not isinstance(module, torch.nn.modules.loss._Loss):
                self.players |= {weight.data_ptr(): weight for weight in module.parameters()}
        if isinstance(module, (*NOISE, ProbabilisticTensorDictModule)):
            self.noisy |= draws_now(module)
            if isinstance(module, NOISE) and draws_now(module) and not any(module is one for one in self.seen.noise):
                self.seen.noise.append(module)
        self.running.append(id(module))
        self.in_loss += isinstance(module, LossModule)

    def after_forward(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if not self.here() or id(module) not in self.running:
            return
        while self.running.pop() != id(module):
            pass
        if isinstance(module, LossModule):
            self.in_loss -= 1
            if not self.in_loss:
                self.loss_came_out(module, inputs, output)

    def loss_came_out(self, module: LossModule, inputs: Any, output: Any) -> None:
        if output is None:  # it raised
            return
        batch = inputs[0] if inputs else None
        inner = entries_inside(output) if isinstance(output, TensorDictBase) else set()
        note = self.note("loss", module, frames=count_frames(batch), rows=rows_of(batch))
        for name, value in output.items() if isinstance(output, TensorDictBase) else ():
            if isinstance(value, torch.Tensor) and name not in inner:
                entry = note.entries[name] = Entry(value.requires_grad, float(value.detach().sum()))
                if value.requires_grad:
                    add = functools.partial(lambda entry, gradient: entry.factors.append(float(gradient.sum())), entry)
                    self.handles.append(value.register_hook(add))
        note.idle = not any(entry.asks for entry in note.entries.values())

    def around_backward(self, original: Callable) -> Callable:
        def backward(*args: Any, **options: Any) -> Any:
            if not self.here():
                return original(*args, **options)
            self.changed_after_step()
            before = {name: weight.grad.clone() for name, weight in self.weights.items() if not empty(weight.grad)}
            self.used &= before.keys()
            try:
                result = original(*args, **options)
            except Exception as error:
                self.note("backward", idle=True, wrong=f"{type(error).__name__}: {error}")
                raise
            reached = [
                weight
                for name, weight in self.weights.items()
                if not empty(weight.grad) and not (name in before and torch.equal(before[name], weight.grad))
            ]
            stale = any(id(weight) in self.used for weight in reached)
            trained = frozenset(weight.data_ptr() for weight in reached)
            self.note("backward", trained=trained, stale=stale, idle=not reached)
            return result

        return backward

    def around_zero(self, original: Callable) -> Callable:
        def zero_grad(part: Any, *args: Any, **options: Any) -> Any:
            if self.here():
                self.meet(part)
                self.changed_after_step()
                weights = held_by(part) if isinstance(part, torch.optim.Optimizer) else list(part.parameters())
                trained = frozenset(weight.data_ptr() for weight in weights if not empty(weight.grad))
                self.note("zero_grad", part, trained=trained, held=frozenset(weight.data_ptr() for weight in weights))
            return original(part, *args, **options)

        return zero_grad

    def around_clip(self, original: Callable) -> Callable:
        def clip(*args: Any, **options: Any) -> Any:
            if self.here():
                self.note("clip")
                self.after_step = {}
            return original(*args, **options)

        return clip

    def around_add_group(self, original: Callable) -> Callable:
        def add_param_group(optimiser: torch.optim.Optimizer, *args: Any, **options: Any) -> None:
            original(optimiser, *args, **options)
            if self.here():
                self.meet(optimiser)

        return add_param_group

    def before_step(self, optimiser: torch.optim.Optimizer, args: Any, options: Any) -> None:
        if self.here():
            self.meet(optimiser)
            self.changed_after_step()
            self.before = {id(weight): weight.detach().clone() for weight in held_by(optimiser)}

    def stepped(self, optimiser: torch.optim.Optimizer, args: Any, options: Any) -> None:
        if not self.here():
            return
        held = held_by(optimiser)
        graded = [weight for weight in held if not empty(weight.grad)]
        moved = [weight for weight in held if not torch.equal(self.before[id(weight)], weight.detach())]
        self.used |= {id(weight) for weight in graded}
        self.after_step = {id(weight): weight.grad.clone() for weight in graded}
        addresses = frozenset(weight.data_ptr() for weight in moved)
        everything = frozenset(weight.data_ptr() for weight in held)
        self.note("step", optimiser, trained=addresses, held=everything, idle=not graded)
        self.remember_values()

    def changed_after_step(self) -> None:
        """Note a clip that came too late, by its effect."""
        for name, gradient in self.after_step.items():
            now = self.weights[name].grad
            if not empty(now) and not torch.equal(now, gradient):
                self.note("clip", by_hand=True)
                break
        self.after_step = {}

    # Follow

    def around_target(self, original: Callable) -> Callable:
        def step(updater: TargetNetUpdater, *args: Any, **options: Any) -> Any:
            if not self.here() or self.following:
                return original(updater, *args, **options)
            self.meet(updater.loss_module)
            self.changed_after_step()
            before = values_of(updater.loss_module)[1]
            self.following = True
            try:
                result = original(updater, *args, **options)
            finally:
                self.following = False
            self.note("target", updater, idle=torch.equal(before, values_of(updater.loss_module)[1]))
            self.remember_values()
            return result

        return step

    def remember_values(self) -> None:
        for name in self.known_values:
            self.known_values[name] = values_of(self.parts[name])

    def moved_by_hand(self, module: LossModule) -> None:
        """Note a step, or a target update, that no optimiser and no updater made."""
        online, target = values_of(module)
        old_online, old_target = self.known_values[id(module)]
        if online.shape == old_online.shape and not torch.equal(online, old_online):
            trained = self.seen.online[id(module)]
            self.note("step", by_hand=True, trained=trained, held=trained)
        if target.shape == old_target.shape and not torch.equal(target, old_target):
            self.note("target", by_hand=True)
        self.remember_values()

    def around_epsilon(self, original: Callable) -> Callable:
        def step(module: Any, frames: int = 1) -> Any:
            if self.here():
                self.note("epsilon", module, frames=int(frames))
            return original(module, frames)

        return step

    def around(self, kind: str) -> Callable[[Callable], Callable]:
        """A wrapper that only notes that a method was called."""

        def make(original: Callable) -> Callable:
            def method(part: Any, *args: Any, **options: Any) -> Any:
                last = self.seen.notes[-1] if self.seen.notes else None
                known = id(part) in self.parts  # else an old collector, which Python clears away just now
                if self.here() and known and not self.collecting and (last is None or last.kind != kind):
                    self.note(kind, part)
                return original(part, *args, **options)

            return method

        return make

    # Where to look

    def wrappers(self) -> Iterator[tuple[type, str, Callable]]:
        """Base class, method and wrapper: for every class of the family that has a method of its own."""
        yield BaseCollector, "__init__", self.around_making
        yield BaseCollector, "__iter__", self.around_batches
        yield EnvBase, "rollout", self.around_rollout
        yield EnvBase, "step", self.around_env_step
        yield EnvBase, "step_and_maybe_reset", self.around_env_step
        yield ReplayBuffer, "extend", self.around_store
        yield ReplayBuffer, "add", self.around_store
        yield ReplayBuffer, "sample", self.around_sample
        yield torch.optim.Optimizer, "zero_grad", self.around_zero
        yield torch.optim.Optimizer, "add_param_group", self.around_add_group
        yield torch.nn.Module, "zero_grad", self.around_zero
        yield TargetNetUpdater, "step", self.around_target
        for kind in NOISE:
            yield kind, "step", self.around_epsilon
        yield BaseCollector, "update_policy_weights_", self.around("sync")
        yield BaseCollector, "shutdown", self.around("shutdown")

    def put_hooks(self, stack: ExitStack) -> None:
        for handle in (
            register_module_forward_pre_hook(self.before_forward),
            register_module_forward_hook(self.after_forward, always_call=True),
            register_optimizer_step_pre_hook(self.before_step),
            register_optimizer_step_post_hook(self.stepped),
        ):
            stack.callback(handle.remove)


def put_together(notes: list[Note]) -> list[Note]:
    """One note for the frames that a loop stepped one by one, with what it stored and told of meanwhile."""
    found: list[Note] = []
    run: dict[tuple[str, int], Note] = {}
    for note in notes:
        key = (note.kind, id(note.part))
        if note.single and (key not in run or not run[key].single):
            run = {key: note}
        elif key in run:
            one = run[key]
            one.frames, one.rows = one.frames + note.frames, (one.rows or ()) + (note.rows or ())
            one.size, one.explores = note.size, one.explores or note.explores
            one.players, one.weights = one.players | note.players, note.weights
            continue
        elif run and note.kind in ("store", "epsilon"):
            run[key] = note
        else:
            run = {}
        found.append(note)
    return found
