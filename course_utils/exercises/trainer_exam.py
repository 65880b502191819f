"""Exercise 19.6: a hook of a trainer that examines the agent and disturbs nothing."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch

from course_utils.exercises.drawn import whole
from course_utils.exercises.exercise import Draw, Mutant

BATCHES = 10


def make_agent(draw: Draw) -> torch.nn.Module:
    """A network with a dropout that drops, and one that its owner switched off for good."""
    on, off = torch.nn.Dropout(0.5), torch.nn.Dropout(0.5).eval()
    agent = torch.nn.Sequential(torch.nn.Linear(3, 4), on, torch.nn.Linear(4, 1), off)
    with torch.no_grad():
        for weight in agent.parameters():
            weight.copy_(draw.normal(*weight.shape))
    return agent


class Player:
    """Stands for a collector: batches of random states. Notes how it finds the world before each batch."""

    init_random_frames = 0

    def __init__(self, batch: int, count: int) -> None:
        self.batch, self.count = batch, count
        self.played, self.exploration = 0, []

    def __iter__(self):
        from tensordict import TensorDict
        from torchrl.envs.utils import exploration_type

        for _ in range(self.count):
            self.played += 1
            self.exploration.append(exploration_type())
            yield TensorDict({"state": torch.randn(self.batch, 3)}, [self.batch])

    def shutdown(self, *words: Any, **options: Any) -> None:
        pass


@dataclass
class Seen:
    """When a judge was asked, and what it saw of the agent."""

    frames: int
    flags: list[bool]
    exploration: Any
    gradients: bool
    weights: dict


@dataclass
class Judge:
    """Gives the next score of a list, draws random numbers, and notes what it sees."""

    scores: list[float]
    player: Player | None = None
    seen: list[Seen] = field(default_factory=list)

    def __call__(self, agent: torch.nn.Module) -> float:
        from torchrl.envs.utils import exploration_type

        torch.rand(7)
        flags = [module.training for module in agent.modules()]
        weights = {name: weight.detach().clone() for name, weight in agent.state_dict().items()}
        frames = self.player.played * self.player.batch
        self.seen.append(Seen(frames, flags, exploration_type(), torch.is_grad_enabled(), weights))
        return self.scores[min(len(self.seen), len(self.scores)) - 1]


@dataclass
class Trained:
    """A run: the agent, the player, and after each batch the frames, the weights and the flags."""

    agent: torch.nn.Module
    player: Player
    frames: list[int] = field(default_factory=list)
    weights: list[dict] = field(default_factory=list)
    flags: list[list[bool]] = field(default_factory=list)


def train(draw: Draw, batch: int, hook: Any = None) -> Trained:
    """Learn from ten batches in a real trainer; `hook(agent, player)` gives an exam that registers itself."""
    from tensordict import TensorDict
    from torchrl.trainers import DefaultOptimizationStepper, Trainer

    agent = make_agent(draw)
    run = Trained(agent, Player(batch, BATCHES))

    def loss(states: TensorDict) -> TensorDict:
        return TensorDict({"loss": (agent(states["state"]) - 1).square().mean()})

    def note(*_: Any) -> None:
        run.frames.append(trainer.collected_frames)
        run.weights.append({name: weight.clone() for name, weight in agent.state_dict().items()})
        run.flags.append([module.training for module in agent.modules()])

    options = {"frame_skip": 1, "optim_steps_per_batch": 1, "progress_bar": False}
    trainer = Trainer(
        collector=run.player,
        total_frames=batch * BATCHES,
        loss_module=loss,
        optimizer=torch.optim.SGD(agent.parameters(), lr=0.01),  # with 0.05, one draw in thirty ends in NaN
        optimization_stepper=DefaultOptimizationStepper(),
        **options,
    )
    if hook:
        hook(agent, run.player).register(trainer)
    # Whatever stage the exam chose, its turn comes before this one, the last of a batch.
    trainer.register_op("post_steps_log", note)
    torch.manual_seed(0)
    trainer.train()
    return run


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def examine(Exam: Any, draw: Draw) -> str:
    """The first thing that is wrong with an exam as exercise 19.6 asks for it; empty where nothing is."""
    batch, seed = 2 * whole(draw, 10, 20), whole(draw, 0, 10_000)
    scores = [-40.0 + whole(draw, 0, 5), -12.0 + whole(draw, 0, 5), -30.0, -25.0]

    def held(every: int, stop_at: float) -> tuple[Any, Judge, Trained]:
        judge, made = Judge(scores), []

        def hook(agent: torch.nn.Module, player: Player) -> Any:
            judge.player = player
            made.append(Exam(agent, judge, every, stop_at))
            return made[0]

        run = train(Draw(seed), batch, hook)
        return made[0], judge, run

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = train(Draw(seed), batch)
        every = 5 * batch // 2  # between two batches: due at every third
        exam, judge, run = held(every, 1_000.0)
        wrong = _when(judge, run, every, plain) or _how(judge) or _after(judge, run, plain)
        wrong = wrong or _kept(exam, judge, run)
        if wrong:
            return wrong
        _, judge, run = held(3 * batch, 1_000.0)
        if wrong := _when(judge, run, 3 * batch, plain):
            return wrong
        for stop_at in (scores[1] - 0.5, scores[1]):
            exam, judge, run = held(every, stop_at)
            if wrong := _stop(judge, run, stop_at):
                return wrong
        if _kept(exam, judge, run):  # what held where no score ended training
            return (
                "The exam that ended training was not kept: its score and its weights count, too, and are often the "
                "best. Keep them before you ask for the end."
            )
    return ""


def _due(frames: list[int], every: int) -> list[int]:
    due, last = [], 0
    for now in frames:
        if now - last >= every:
            due.append(now)
            last = now
    return due


def _when(judge: Judge, run: Trained, every: int, plain: Trained) -> str:
    if run.player.played < BATCHES:
        return f"Training ended after {run.player.played} of {BATCHES} batches, though no score had reached `stop_at`."
    if not judge.seen:
        return (
            "The judge was never asked. `register(trainer)` has to hook the exam in, such as by "
            '`trainer.register_op("post_steps_log", self)`, whose hooks are called with the batch.'
        )
    due, asked = _due(plain.frames, every), [seen.frames for seen in judge.seen]
    if asked != due:
        told = (
            f"With every={every} and batches of {run.player.batch} frames exams are due at frames {due}; yours were "
            f"held at {asked}. "
        )
        if all(frames % every == 0 for frames in asked):
            return told + "Batches seldom end at a multiple of `every`: compare a difference, with `>=`."
        return told + "Count the frames since the last exam, by `trainer.collected_frames`."
    first = judge.seen[0]
    if same(first.weights, plain.weights[plain.frames.index(first.frames) - 1]):
        return (
            f"The exam of frame {first.frames} saw the weights from *before* the updates of that batch. Hook it in at "
            "a stage that comes after them: `post_steps` or `post_steps_log`."
        )
    return ""


def _how(judge: Judge) -> str:
    from torchrl.envs import ExplorationType

    for seen in judge.seen:
        if seen.exploration in (ExplorationType.RANDOM, None):  # all others are ways not to explore
            return (
                "The agent explored while it was judged. Ask the judge within "
                "`set_exploration_type(ExplorationType.DETERMINISTIC)`."
            )
        if any(seen.flags):
            return "The agent was judged in training mode: its dropout dropped. Put it into `eval()` for the exam."
        if seen.gradients:
            return "Gradients were recorded during the exam. Nothing is learned from it: `torch.no_grad()`."
    return ""


def _after(judge: Judge, run: Trained, plain: Trained) -> str:
    flags = plain.flags[0]
    if any(found != flags for found in run.flags):
        found = next(found for found in run.flags if found != flags)
        return (
            f"Before the exam the parts' training flags were {flags}, after it {found}. Note each part's flag, and "
            "give it back: neither `train()` nor `eval()` for all knows which part was off."
        )
    if any(kind != plain.player.exploration[0] for kind in run.player.exploration):
        return "After the exam the exploration type is another than before: the player no longer explores as it did."
    for seen in judge.seen:
        if not same(run.weights[run.frames.index(seen.frames)], seen.weights):
            return f"At frame {seen.frames} the exam gave the agent other weights. It only looks; training goes on."
    pairs = zip(plain.weights, run.weights, strict=True)
    at = next((place for place, both in enumerate(pairs) if not same(*both)), None)
    if at is None:
        return ""
    return (
        f"At frame {plain.frames[at]} training is another than without the exam, whose judge draws random numbers. "
        "Note torch's random state before the exam, and set it again after."
    )


def _kept(exam: Any, judge: Judge, run: Trained) -> str:
    scores = judge.scores[: len(judge.seen)]
    wanted = [(seen.frames, score) for seen, score in zip(judge.seen, scores, strict=True)]
    try:
        kept = [tuple(map(float, pair)) for pair in exam.scores]
    except TypeError:  # no pairs
        kept = None
    if kept != wanted:
        return f"`scores` is {exam.scores}; the exams were {wanted}: pairs of frames and score, in order."
    best = max(scores)
    if exam.best_score is None or float(exam.best_score) != best:
        return (
            f"The scores were {scores}, and `best_score` is {exam.best_score}, not {best:g}. Scores may all be below "
            "0, and the last one is seldom the best."
        )
    twin = deepcopy(run.agent)
    try:
        twin.load_state_dict(exam.best_weights)
    except (AttributeError, TypeError, RuntimeError):
        return f"`agent.load_state_dict(exam.best_weights)` fails: it holds {type(exam.best_weights).__name__}."
    if same(twin.state_dict(), judge.seen[scores.index(best)].weights):
        return ""
    if same(twin.state_dict(), run.weights[-1]):
        return (
            "`best_weights` moved on with training: a `state_dict()` holds the weights themselves, no copies. Copy "
            "them, such as with `deepcopy`."
        )
    return f"`best_weights` are not those of the exam with the score {best:g}."


def _stop(judge: Judge, run: Trained, stop_at: float) -> str:
    if len(judge.seen) == 2 and run.player.played * run.player.batch == judge.seen[1].frames:
        return ""
    told = (
        f"The second exam's score {judge.scores[1]:g} reached stop_at={stop_at:g}, and training ended after "
        f"{run.player.played} of {BATCHES} batches, not right there. "
    )
    if judge.scores[1] == stop_at:
        return told + "A score that equals `stop_at` is enough: compare with `>=`."
    return told + "Ask `trainer.request_stop(...)` for it."


class Exam:
    """A right answer."""

    stage = "post_steps_log"

    def __init__(self, agent, judge, every, stop_at):
        self.agent, self.judge, self.every, self.stop_at = agent, judge, every, stop_at
        self.scores, self.best_score, self.best_weights, self.last = [], float("-inf"), None, 0

    def register(self, trainer):
        self.trainer = trainer
        trainer.register_op(self.stage, self)

    def due(self, frames):
        return frames - self.last >= self.every

    def __call__(self, batch=None):
        frames = self.trainer.collected_frames
        if self.due(frames):
            self.last = frames
            self.keep(frames, self.ask())

    def ask(self):
        from torchrl.envs import ExplorationType, set_exploration_type

        flags = {module: module.training for module in self.agent.modules()}
        state = torch.get_rng_state()
        self.agent.eval()
        with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
            score = self.judge(self.agent)
        for module, flag in flags.items():
            module.training = flag
        torch.set_rng_state(state)
        return score

    def keep(self, frames, score):
        self.scores.append((frames, score))
        if score > self.best_score:
            self.best_score, self.best_weights = score, self.copied()
        if score >= self.stop_at:
            self.trainer.request_stop("good enough")

    def copied(self):
        return deepcopy(self.agent.state_dict())


class EveryBatch(Exam):
    def due(self, frames):
        return True


class AtMultiples(Exam):
    def due(self, frames):
        return frames % self.every == 0


class BeforeTheUpdates(Exam):
    stage = "pre_steps_log"


class Exploring(Exam):
    def ask(self):
        flags, state = [(m, m.training) for m in self.agent.modules()], torch.get_rng_state()
        self.agent.eval()
        with torch.no_grad():
            score = self.judge(self.agent)
        for module, flag in flags:
            module.training = flag
        torch.set_rng_state(state)
        return score


def _asked(exam: Exam, gradients: bool = False) -> float:
    from torchrl.envs import ExplorationType, set_exploration_type

    with torch.set_grad_enabled(gradients), set_exploration_type(ExplorationType.DETERMINISTIC):
        return exam.judge(exam.agent)


class InTrainingMode(Exam):
    def ask(self):
        state = torch.get_rng_state()
        score = _asked(self)
        torch.set_rng_state(state)
        return score


class WithGradients(Exam):
    def ask(self):
        flags, state = [(m, m.training) for m in self.agent.modules()], torch.get_rng_state()
        self.agent.eval()
        score = _asked(self, gradients=True)
        for module, flag in flags:
            module.training = flag
        torch.set_rng_state(state)
        return score


class AllInTrainingMode(Exam):
    def ask(self):
        state = torch.get_rng_state()
        self.agent.eval()
        score = _asked(self)
        self.agent.train()
        torch.set_rng_state(state)
        return score


class Disturbing(Exam):
    def ask(self):
        flags = [(m, m.training) for m in self.agent.modules()]
        self.agent.eval()
        score = _asked(self)
        for module, flag in flags:
            module.training = flag
        return score


class NotCopied(Exam):
    def copied(self):
        return self.agent.state_dict()


class FromZero(Exam):
    def __init__(self, *words):
        super().__init__(*words)
        self.best_score = 0.0


class GoesOn(Exam):
    def keep(self, frames, score):
        self.stop_at = float("inf")
        super().keep(frames, score)


class OnlyAbove(Exam):
    def __init__(self, agent, judge, every, stop_at):
        super().__init__(agent, judge, every, stop_at + 1e-9)


class EndsFirst(Exam):
    def keep(self, frames, score):
        if score >= self.stop_at:
            self.trainer.request_stop("good enough")
        else:
            super().keep(frames, score)


class GivesUp(Exam):
    def keep(self, frames, score):
        worse = score < self.best_score
        super().keep(frames, score)
        if worse:
            self.trainer.request_stop("it got worse")


class BackToTheBest(Exam):
    def keep(self, frames, score):
        super().keep(frames, score)
        self.agent.load_state_dict(self.best_weights)


class Unregistered(Exam):
    def register(self, trainer):
        self.trainer = trainer


MUTANTS = [
    Mutant("not hooked in", Unregistered, "The judge was never asked."),
    Mutant("after every batch", EveryBatch, "Count the frames since the last exam"),
    Mutant("at multiples", AtMultiples, "Batches seldom end at a multiple of `every`"),
    Mutant("before the updates", BeforeTheUpdates, "saw the weights from *before* the updates of that batch"),
    Mutant("exploring", Exploring, "The agent explored while it was judged."),
    Mutant("in training mode", InTrainingMode, "The agent was judged in training mode: its dropout dropped."),
    Mutant("with gradients", WithGradients, "Gradients were recorded during the exam."),
    Mutant("train() for all", AllInTrainingMode, "neither `train()` nor `eval()` for all knows which part was off"),
    Mutant("draws from training's numbers", Disturbing, "whose judge draws random numbers"),
    Mutant("back to the best", BackToTheBest, "the exam gave the agent other weights"),
    Mutant("no copy", NotCopied, "`best_weights` moved on with training"),
    Mutant("nothing below 0", FromZero, "Scores may all be below 0, and the last"),
    Mutant("never stops", GoesOn, "Ask `trainer.request_stop(...)` for it."),
    Mutant("only above", OnlyAbove, "A score that equals `stop_at` is enough"),
    Mutant("ends before it keeps", EndsFirst, "The exam that ended training was not kept"),
    Mutant("gives up", GivesUp, "though no score had reached `stop_at`"),
]
