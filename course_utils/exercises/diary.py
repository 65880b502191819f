"""What all who watch a loop write into, and what they know of its parts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torchrl.objectives import LossModule

from course_utils.exercises.inside_parts import held_by, target_weights, values_of
from course_utils.exercises.notes import Note, Watched

Wrapper = tuple[type, str, Callable[[Callable], Callable]]  # a base class, a method of it, and what to put around it


class Diary:
    """The notes of one thread, the parts they are about, and the weights of those."""

    def __init__(self) -> None:
        self.seen = Watched()
        self.thread, self.open = threading.get_ident(), True
        self.parts: dict[int, Any] = {}  # kept alive, so that no two get the same `id`
        self.weights: dict[int, torch.Tensor] = {}
        self.known_values: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}  # by loss module: online, target

    def here(self) -> bool:
        return self.open and threading.get_ident() == self.thread

    def note(self, kind: str, part: Any = None, **facts: Any) -> Note:
        self.parts.setdefault(id(part), part)
        self.seen.notes.append(Note(kind, part, **facts))
        return self.seen.notes[-1]

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
