"""What judges a collector that a learner has written: a tiny world and a tiny policy that note what is done with them.

The policy's action *is* its weights, so a batch tells which weights played each of its frames; the world's observation
is its row, its episode and its step, so a batch tells whether a frame is missing, doubled or from another episode.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

from course_utils.exercises.exercise import Draw

if TYPE_CHECKING:
    from tensordict import TensorDictBase

ROWS, STEPS, BATCHES = 3, 4, 6
WEIGHTS = ["`weight`", "`bias`", "`frozen`, which asks for no gradient", "`offset`, a buffer"]


class Notes:
    """What happened to the parts of one watched collector; copies of a part write into the same notes."""

    def __init__(self) -> None:
        self.steps, self.closed = 0, 0
        self.cut_short = []  # rows that were reset in the middle of an episode
        self.after_the_end, self.after_closing = False, False
        self.mode = self.gradients, self.greedy = False, False  # of the policy's last call; and of any that was played

    def __deepcopy__(self, memo: dict) -> Notes:
        return self


class Weights(torch.nn.Module):
    """Its output is its weights: a trained layer's two, a frozen one and a buffer, for each row of what it sees."""

    def __init__(self, notes: Notes) -> None:
        super().__init__()
        self.notes, self.layer = notes, torch.nn.Linear(1, 1)
        self.frozen = torch.nn.Parameter(torch.zeros(1), requires_grad=False)
        self.register_buffer("offset", torch.zeros(1))

    def forward(self, observation: torch.Tensor) -> torch.Tensor:
        from torchrl.envs import ExplorationType, exploration_type

        self.notes.mode = torch.is_grad_enabled(), exploration_type() != ExplorationType.RANDOM
        numbers = torch.cat([self.layer.weight[0], self.layer.bias, self.frozen, self.offset])
        return numbers.expand(*observation.shape[:-1], 4)

    def become(self, number: float) -> None:
        """In place, as an optimiser's step is."""
        with torch.no_grad():
            for place, tensor in enumerate([self.layer.weight, self.layer.bias, self.frozen, self.offset]):
                tensor.fill_(number + place / 10)

    def numbers(self) -> list[float]:
        return [each.item() for each in (self.layer.weight, self.layer.bias, self.frozen, self.offset)]


def expected(number: float) -> torch.Tensor:
    return torch.tensor([number + place / 10 for place in range(4)])


@cache
def world_class() -> type:
    """Rows whose episodes have lengths of their own; an observation is `[row, episode, step]`."""
    from torchrl.data import Binary, Composite, Unbounded
    from torchrl.envs import EnvBase

    class World(EnvBase):
        def __init__(self, notes: Notes, lengths: torch.Tensor) -> None:
            super().__init__(batch_size=[ROWS])
            self.notes, self.lengths, self.is_closed = notes, lengths, False
            self.episode, self.count, self.over = torch.zeros(ROWS), torch.zeros(ROWS), torch.zeros(ROWS) > 1
            self.observation_spec = Composite(observation=Unbounded((ROWS, 3)), shape=[ROWS])
            self.action_spec, self.reward_spec = Unbounded((ROWS, 4)), Unbounded((ROWS, 1))
            flags = {name: Binary(1, shape=(ROWS, 1), dtype=torch.bool) for name in ("done", "terminated")}
            self.done_spec = Composite(**flags, shape=[ROWS])

        def look(self) -> torch.Tensor:
            return torch.stack([torch.arange(ROWS), self.episode, self.count], -1).float()

        def _reset(self, tensordict: TensorDictBase | None = None, **options: Any) -> TensorDictBase:
            from tensordict import TensorDict

            rows = torch.ones(ROWS, dtype=torch.bool)
            asked = None if tensordict is None else tensordict.get("_reset", None)
            if asked is not None:
                rows = asked.reshape(ROWS).clone()
            if self.notes.steps:  # before its first step a world may be reset as often as one likes
                self.notes.cut_short += (rows & ~self.over).nonzero().flatten().tolist()
                self.episode = self.episode + rows
            self.count = torch.where(rows, 0, self.count)
            self.over = self.over & ~rows
            flags = {name: torch.zeros(ROWS, 1, dtype=torch.bool) for name in ("done", "terminated")}
            return TensorDict({"observation": self.look(), **flags}, [ROWS])

        def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
            from tensordict import TensorDict

            self.notes.after_closing |= self.notes.closed > 0
            self.notes.after_the_end |= bool(self.over.any())
            self.notes.steps += 1
            gradients, greedy = self.notes.mode
            self.notes.gradients |= gradients
            self.notes.greedy |= greedy
            self.count = self.count + 1
            self.over = self.count >= self.lengths
            flags = {name: self.over[:, None].clone() for name in ("done", "terminated")}
            after = {"observation": self.look(), "reward": self.count[:, None].clone(), **flags}
            return TensorDict(after, [ROWS])

        def _set_seed(self, seed: int | None) -> None:
            pass

        def close(self, **options: Any) -> None:
            self.notes.closed += 1
            self.is_closed = True

        def __del__(self) -> None:  # one that is dropped was not closed by anybody
            pass

    return World


def make_policy(notes: Notes):
    from tensordict.nn import TensorDictModule

    return TensorDictModule(Weights(notes), in_keys=["observation"], out_keys=["action"])


class Watched:
    """A learner's collector, built of parts that take notes."""

    def __init__(self, build: Callable, draw: Draw, batches: int = BATCHES) -> None:
        self.notes = Notes()
        self.lengths = 2 + torch.arange(ROWS)[draw.normal(ROWS).argsort()]  # in one row episodes end where batches do
        self.env = world_class()(self.notes, self.lengths)
        self.policy = make_policy(self.notes)
        self.start = 10.0 * int(draw.integers(1, 9))
        self.become(self.start)
        frames = ROWS * STEPS
        self.collector = build(self.env, self.policy, frames_per_batch=frames, total_frames=batches * frames)

    def become(self, number: float) -> None:
        self.policy.module.become(number)

    def frames(self, first: int, last: int) -> torch.Tensor:
        """The observations `[ROWS, last - first, 3]` of these steps, if every row plays its episodes to their ends."""
        steps = torch.arange(first, last).expand(ROWS, -1)
        lengths = self.lengths[:, None]
        rows = torch.arange(ROWS)[:, None].expand_as(steps)
        return torch.stack([rows, steps // lengths, steps % lengths], -1).float()


def examine(build: Callable, draw: Draw) -> str:
    """The first thing that is wrong with a collector, or "".

    Args:
        build: the learner's class, or what else makes a collector of
            `(env, policy, frames_per_batch=..., total_frames=...)`.
        draw: the source of episode lengths and weights.
    """
    return _whole_run(build, draw) or _broken_off(build, draw)


def _whole_run(build: Callable, draw: Draw) -> str:
    from torchrl.envs import exploration_type

    watched = Watched(build, draw)
    lacking = [
        name for name in ("__iter__", "update_policy_weights_", "shutdown") if not hasattr(watched.collector, name)
    ]
    if lacking:
        return (
            f"Your collector has no `{lacking[0]}`. A `for` loop, `update_policy_weights_` and `shutdown` are "
            "asked for."
        )
    stream = iter(watched.collector)
    if not hasattr(stream, "__next__"):
        return "`iter(collector)` gives nothing that `next` can be asked of. Let `__iter__` `yield` batches."
    other = make_policy(watched.notes)
    now = watched.start
    # Before each batch: what the learner's network becomes, and which network is sent (twice, before the fourth).
    plan = [
        (now + 1, []),
        (now + 1, [watched.policy]),
        (now + 2, []),
        (now + 3, [watched.policy, watched.policy]),
        (now + 4, [other]),
        (now + 5, []),
    ]
    plays, versions = [now, now + 1, now + 1, now + 3, now + 4.5, now + 4.5], [0, 1, 1, 3, 4, 4]
    kept, mode = [], exploration_type()
    for number, (becomes, sent) in enumerate(plan):
        watched.become(becomes)
        other.module.become(becomes + 0.5)
        for policy in sent:
            watched.collector.update_policy_weights_(policy)
        if sent:
            other.module.become(becomes + 6)  # what is sent is sent: later changes are not
            watched.become(becomes + 7)
        before = watched.policy.module.numbers()
        batch = next(stream, None)
        if watched.notes.steps > (number + 1) * STEPS and tuple(getattr(batch, "shape", ())) == (ROWS, STEPS):
            return (
                f"When batch {number} was handed over, {watched.notes.steps} steps had been played, {STEPS} for "
                "each batch. "
                "Do not play ahead: new weights may come in between, and those frames would be of old ones."
            )
        if wrong := _modes(mode, stream) or _batch(watched, batch, number, plays, versions):
            return wrong
        if watched.policy.module.numbers() != before:
            return (
                "The learner's network has changed while your collector played. It has to leave that alone: "
                "the optimiser holds it."
            )
        kept.append((batch, batch.clone()))
        for place, (old, was) in enumerate(kept[:-1]):
            if not bool((old == was).all()):
                return (
                    f"Batch {place} has changed while batch {number} was played. Hand over new tensors each "
                    "time: a replay buffer may hold the old ones."
                )
    if next(stream, None) is not None:
        return (
            f"`total_frames` was {BATCHES * ROWS * STEPS}, and after as many frames your collector hands over "
            "another batch."
        )
    steps = BATCHES * STEPS
    if watched.notes.steps != steps:
        return (
            f"{steps} steps of the environment (of {ROWS} rows each) make `total_frames`; your collector has "
            f"played {watched.notes.steps}."
        )
    return _closing(watched)


def _batch(watched: Watched, batch: Any, number: int, plays: list[float], versions: list[int]) -> str:
    from tensordict import TensorDictBase

    if batch is None:
        return (
            f"Your collector ended after {number} batches; `total_frames` asks for {BATCHES}. A step of {ROWS} "
            f"rows is {ROWS} frames."
        )
    if not isinstance(batch, TensorDictBase):
        return f"A batch has to be a tensordict, and yours is a {type(batch).__name__}."
    if tuple(batch.shape) != (ROWS, STEPS):
        return (
            f"With {ROWS} rows and `frames_per_batch={ROWS * STEPS}` a batch has shape [{ROWS}, {STEPS}]; batch "
            f"{number} "
            f"has {list(batch.shape)}. (A step of {ROWS} rows is {ROWS} frames, and a batch does not end where an "
            "episode does.)"
        )
    for key in ["observation", "action", "version", ("next", "observation"), ("next", "reward"), ("next", "done")]:
        if batch.get(key, None) is None:
            return f"A frame has to hold {key!r}, and those of batch {number} do not."
    if watched.notes.after_the_end:
        return "A row was stepped after its episode was over. Reset it first: `env.step_and_maybe_reset` does."
    if wrong := _episodes(watched, batch, number):
        return wrong
    if wrong := _weights(batch["action"], number, plays):
        return wrong
    if wrong := _version(batch["version"], number, versions):
        return wrong
    if batch["action"].is_inference():
        return (
            "Your batches were made in inference mode, and no learner can differentiate through such tensors: "
            "`torch.no_grad()`."
        )
    if watched.notes.gradients:
        return (
            "Your collector plays with gradients on, and so keeps what nobody will differentiate: `with "
            "torch.no_grad()`."
        )
    if watched.notes.greedy:
        return (
            "The policy was asked for its best action, not for one that is drawn. TorchRL's collectors play inside "
            "`set_exploration_type(ExplorationType.RANDOM)`; else an actor never explores."
        )
    return ""


def _episodes(watched: Watched, batch: TensorDictBase, number: int) -> str:
    if watched.notes.cut_short:
        return (
            f"Rows {sorted(set(watched.notes.cut_short))} were reset in the middle of an episode. Reset a row when its "
            "episode is over, and no other one; the next batch goes on where the last one stopped."
        )
    wanted = watched.frames(number * STEPS, (number + 1) * STEPS)
    if not torch.equal(batch["observation"], wanted):
        row = int((batch["observation"] != wanted).any(-1).any(-1).nonzero()[0])
        seen = [f"{int(e)}.{int(s)}" for _, e, s in batch["observation"][row].tolist()]
        should = [f"{int(e)}.{int(s)}" for _, e, s in wanted[row].tolist()]
        return (
            f"Frames are missing, doubled or out of order. Row {row} of batch {number}, as episode.step: "
            f"{', '.join(seen)}; "
            f"it should be {', '.join(should)}."
        )
    after = wanted + torch.tensor([0.0, 0.0, 1.0])
    if not torch.equal(batch["next", "observation"], after):
        return (
            "The next observation of a frame has to be the one that its own step led to, in the last frame of an "
            "episode too. "
            "Yours is of another step."
        )
    over = after[..., 2] == watched.lengths[:, None]
    if not torch.equal(batch["next", "done"].reshape(ROWS, STEPS), over):
        return '("next", "done") has to be True where an episode ended in this step, and nowhere else.'
    return ""


def _weights(action: torch.Tensor, number: int, plays: list[float]) -> str:
    wanted = expected(plays[number])
    if torch.allclose(action.detach(), wanted.expand_as(action)):
        return ""
    off = ((action.detach() - wanted).abs() > 1e-3).flatten(0, 1).any(0)
    parts = ", ".join(name for name, wrong in zip(WEIGHTS, off.tolist(), strict=True) if wrong)
    all_of_it = "all of its weights" if off.all() else parts
    sent = number > 0 and plays[number] != plays[number - 1]
    previous = expected(plays[number - 1]) if number else None
    if sent and torch.allclose(action.detach()[..., off], previous[off].expand_as(action[..., off])):
        return (
            f"New weights were sent before batch {number}, and it was played with old ones: {all_of_it}. All that a "
            "`state_dict` holds has to arrive, before the next frame is played."
        )
    if number == 0 or not sent:
        return (
            f"Nothing was sent before batch {number}, only the learner's network was trained on; yet your collector's "
            f"has changed: {all_of_it}. It needs tensors of its own, after weights were sent as well."
        )
    return (
        f"Batch {number} was not played with the weights that were sent last: {all_of_it}. `update_policy_weights_` "
        "takes over those of the network it is given, as they are at that moment."
    )


def _version(version: torch.Tensor, number: int, versions: list[int]) -> str:
    if version.numel() != ROWS * STEPS:
        return f"`version` is a number for each frame, shape [{ROWS}, {STEPS}]; yours has shape {list(version.shape)}."
    seen = sorted(set(version.reshape(-1).tolist()))
    if seen == [versions[number]]:
        return ""
    return (
        f"Batch {number} was played after {versions[number]} deliveries of weights, so each of its frames is of "
        "version "
        f"{versions[number]}; yours say {', '.join(f'{each:g}' for each in seen)}. Every call of "
        "`update_policy_weights_` counts."
    )


def _modes(mode: Any, stream: Any) -> str:
    from torchrl.envs import exploration_type

    if torch.is_grad_enabled() and exploration_type() == mode:
        return ""
    what = "how actions are chosen" if torch.is_grad_enabled() else "that gradients are off"
    if hasattr(stream, "close"):
        stream.close()  # a generator leaves its `with`
    return (
        f"After a batch was handed over, your collector's `with` still decides {what}, also for the learner that works "
        "on the batch. Leave the `with` before you `yield`."
    )


def _closing(watched: Watched) -> str:
    for _ in range(2):
        watched.collector.shutdown()
    if watched.notes.closed != 1:
        return (
            f"`shutdown` was called twice, and the environment was closed {watched.notes.closed} times. It has "
            "to be once."
        )
    return ""


def _broken_off(build: Callable, draw: Draw) -> str:
    watched = Watched(build, draw)
    stream = iter(watched.collector)
    next(stream)
    watched.collector.shutdown()
    steps = watched.notes.steps
    try:
        more = next(stream, None)
    except RuntimeError:  # a sentence of the learner's own; it does not play on
        more = None
    if more is not None or watched.notes.after_closing or watched.notes.steps != steps:
        return "After `shutdown` your collector plays on, in an environment that is closed. Its loop has to end."
    return _closing(watched)
