"""Note how a loop learns: losses, gradients, clips and steps of optimisers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from tensordict import TensorDictBase
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from torchrl.objectives import LossModule

from course_utils.exercises.diary import Diary, Wrapper
from course_utils.exercises.inside_parts import count_frames, empty, entries_inside, held_by, rows_of
from course_utils.exercises.notes import Entry
from course_utils.exercises.watch_playing import Playing


class Learning:
    """Watches loss modules, `backward` and optimisers."""

    def __init__(self, diary: Diary, playing: Playing) -> None:
        self.diary, self.playing = diary, playing
        self.running: list[int] = []  # modules in whose forward we are, by `id`
        self.in_loss = 0
        self.used: set[int] = set()  # weights whose gradient a step has used
        self.after_step: dict[int, torch.Tensor] = {}
        self.handles: list[Any] = []

    def wrappers(self) -> Iterator[Wrapper]:
        yield torch.optim.Optimizer, "zero_grad", self.around_zero
        yield torch.optim.Optimizer, "add_param_group", self.around_add_group
        yield torch.nn.Module, "zero_grad", self.around_zero

    def hooks(self) -> Iterator[Any]:
        """What torch hands out for the hooks it has put up; `remove()` takes one down."""
        yield register_module_forward_pre_hook(self.before_forward)
        yield register_module_forward_hook(self.after_forward, always_call=True)
        yield register_optimizer_step_pre_hook(self.before_step)
        yield register_optimizer_step_post_hook(self.stepped)

    def end(self) -> None:
        if self.diary.open:
            self.changed_after_step()
            for module in [part for part in self.diary.parts.values() if isinstance(part, LossModule)]:
                self.diary.moved_by_hand(module)
        for handle in self.handles:
            handle.remove()

    def before_forward(self, module: torch.nn.Module, inputs: Any) -> None:
        if not self.diary.here():
            return
        loss = isinstance(module, LossModule) and not self.in_loss
        if loss:
            self.diary.meet(module)
            self.changed_after_step()
            self.diary.moved_by_hand(module)
        self.playing.ran(module, outermost=not (loss or self.running or self.in_loss))
        self.running.append(id(module))
        self.in_loss += isinstance(module, LossModule)

    def after_forward(self, module: torch.nn.Module, inputs: Any, output: Any) -> None:
        if not self.diary.here() or id(module) not in self.running:
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
        note = self.diary.note("loss", module, frames=count_frames(batch), rows=rows_of(batch))
        for name, value in output.items() if isinstance(output, TensorDictBase) else ():
            if isinstance(value, torch.Tensor) and name not in inner:
                entry = note.entries[name] = Entry(value.requires_grad, float(value.detach().sum()))
                if value.requires_grad:
                    add = functools.partial(lambda entry, gradient: entry.factors.append(float(gradient.sum())), entry)
                    self.handles.append(value.register_hook(add))
        note.idle = not any(entry.asks for entry in note.entries.values())

    def around_backward(self, original: Callable) -> Callable:
        def backward(*args: Any, **options: Any) -> Any:
            if not self.diary.here():
                return original(*args, **options)
            self.changed_after_step()
            before = {
                name: weight.grad.clone() for name, weight in self.diary.weights.items() if not empty(weight.grad)
            }
            self.used &= before.keys()
            try:
                result = original(*args, **options)
            except Exception as error:
                self.diary.note("backward", idle=True, wrong=f"{type(error).__name__}: {error}")
                raise
            reached = [
                weight
                for name, weight in self.diary.weights.items()
                if not empty(weight.grad) and not (name in before and torch.equal(before[name], weight.grad))
            ]
            stale = any(id(weight) in self.used for weight in reached)
            trained = frozenset(weight.data_ptr() for weight in reached)
            self.diary.note("backward", trained=trained, stale=stale, idle=not reached)
            return result

        return backward

    def around_grad(self, original: Callable) -> Callable:
        """Gradients that are handed out count as a `backward`, if they are those of weights."""

        def grad(outputs: Any, inputs: Any, *args: Any, **options: Any) -> Any:
            result = original(outputs, inputs, *args, **options)
            if self.diary.here():
                asked = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
                reached = [
                    weight
                    for weight, gradient in zip(asked, result, strict=True)
                    if isinstance(weight, torch.nn.Parameter) and not empty(gradient)
                ]
                if any(isinstance(weight, torch.nn.Parameter) for weight in asked):
                    self.changed_after_step()
                    trained = frozenset(weight.data_ptr() for weight in reached)
                    self.diary.note("backward", trained=trained, idle=not reached)
            return result

        return grad

    def around_zero(self, original: Callable) -> Callable:
        def zero_grad(part: Any, *args: Any, **options: Any) -> Any:
            if self.diary.here():
                self.diary.meet(part)
                self.changed_after_step()
                weights = held_by(part) if isinstance(part, torch.optim.Optimizer) else list(part.parameters())
                trained = frozenset(weight.data_ptr() for weight in weights if not empty(weight.grad))
                self.diary.note(
                    "zero_grad", part, trained=trained, held=frozenset(weight.data_ptr() for weight in weights)
                )
            return original(part, *args, **options)

        return zero_grad

    def around_clip(self, original: Callable) -> Callable:
        def clip(*args: Any, **options: Any) -> Any:
            if self.diary.here():
                self.diary.note("clip")
                self.after_step = {}
            return original(*args, **options)

        return clip

    def around_add_group(self, original: Callable) -> Callable:
        def add_param_group(optimiser: torch.optim.Optimizer, *args: Any, **options: Any) -> None:
            original(optimiser, *args, **options)
            if self.diary.here():
                self.diary.meet(optimiser)

        return add_param_group

    def before_step(self, optimiser: torch.optim.Optimizer, args: Any, options: Any) -> None:
        if self.diary.here():
            self.diary.meet(optimiser)
            self.changed_after_step()
            self.before = {id(weight): weight.detach().clone() for weight in held_by(optimiser)}

    def stepped(self, optimiser: torch.optim.Optimizer, args: Any, options: Any) -> None:
        if not self.diary.here():
            return
        held = held_by(optimiser)
        graded = [weight for weight in held if not empty(weight.grad)]
        moved = [weight for weight in held if not torch.equal(self.before[id(weight)], weight.detach())]
        self.used |= {id(weight) for weight in graded}
        self.after_step = {id(weight): weight.grad.clone() for weight in graded}
        addresses = frozenset(weight.data_ptr() for weight in moved)
        everything = frozenset(weight.data_ptr() for weight in held)
        self.diary.note("step", optimiser, trained=addresses, held=everything, idle=not graded)
        self.diary.remember_values()

    def changed_after_step(self) -> None:
        """Note a clip that came too late, by its effect."""
        for name, gradient in self.after_step.items():
            now = self.diary.weights[name].grad
            if not empty(now) and not torch.equal(now, gradient):
                self.diary.note("clip", by_hand=True)
                break
        self.after_step = {}
