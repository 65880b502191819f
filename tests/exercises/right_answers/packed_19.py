"""Right answers to lesson 19, part four, written in other ways than the lesson's."""

from copy import deepcopy

import torch


def by_counting_down_saved_at(batch, total, interval):
    at, left, saved = 0, interval, set()
    while True:
        at, left = at + batch, left - batch
        if left < 0:
            saved, left = saved | {at}, interval
        if at >= total:
            return sorted(saved | {at})


class OnATwinExam:
    """Judges a copy of the agent, in another random world: what is trained is not touched at all."""

    def __init__(self, agent, judge, every, stop_at):
        self.agent, self.judge, self.every, self.stop_at = agent, judge, every, stop_at
        self.scores, self.best_score, self.best_weights, self.next = [], None, None, every

    def register(self, trainer):
        trainer.register_op("post_steps", lambda: self.look(trainer))

    def look(self, trainer):
        from torchrl.envs import ExplorationType, set_exploration_type

        now = trainer.collected_frames
        if now < self.next:
            return
        self.next = now + self.every
        twin = deepcopy(self.agent).eval().requires_grad_(False)
        greedily = set_exploration_type(ExplorationType.DETERMINISTIC)
        with torch.random.fork_rng(), torch.inference_mode(), greedily:
            score = float(self.judge(twin))
        self.scores.append([now, score])
        if self.best_score is None or score > self.best_score:
            self.best_score = score
            self.best_weights = {name: weight.clone() for name, weight in self.agent.state_dict().items()}
        if score >= self.stop_at:
            trainer.request_stop()


def of_functions_exam(agent, judge, every, stop_at):
    """No class of its own: a namespace and two functions, with torchrl's names for what is done."""
    from types import SimpleNamespace

    from torchrl.envs.utils import ExplorationType, set_exploration_type

    exam = SimpleNamespace(scores=[], best_score=-torch.inf, best_weights=None)

    def register(trainer):
        def look(batch):
            since = trainer.collected_frames - (exam.scores[-1][0] if exam.scores else 0)
            if since >= every:
                switched_on = [part for part in agent.modules() if part.training]
                random_state = torch.random.get_rng_state()
                try:
                    agent.train(False)
                    with set_exploration_type(ExplorationType.MODE), torch.no_grad():
                        found = judge(agent)
                finally:
                    for part in switched_on:
                        part.training = True
                    torch.random.set_rng_state(random_state)
                exam.scores.append((trainer.collected_frames, found))
                if found > exam.best_score:
                    exam.best_score = found
                    exam.best_weights = deepcopy(dict(agent.named_parameters()))
                if exam.best_score >= stop_at:
                    trainer.request_stop("solved")

        trainer.register_op("post_steps_log", look)

    exam.register = register
    return exam


class AsATorchRLHookExam:
    """TorchRL's own base class, whose `register` takes a name, and which is saved along with the trainer."""

    def __new__(cls, agent, judge, every, stop_at):
        from torchrl.envs import ExplorationType, set_exploration_type
        from torchrl.trainers.trainers import TrainerHookBase

        class Hook(TrainerHookBase):
            def __init__(self):
                self.scores, self.best_score, self.best_weights = [], float("-inf"), {}

            def __call__(self, batch):
                if self.trainer.collected_frames - self.last() >= every:
                    self.examine(self.trainer.collected_frames)

            def last(self):
                return max((frames for frames, _ in self.scores), default=0)

            @torch.no_grad()
            @set_exploration_type(ExplorationType.DETERMINISTIC)
            def examine(self, frames):
                before, state = {name: part.training for name, part in agent.named_modules()}, torch.get_rng_state()
                agent.eval()
                self.scores.append((frames, judge(agent)))
                torch.set_rng_state(state)
                for name, part in agent.named_modules():
                    part.training = before[name]
                best = max(score for _, score in self.scores)
                if best > self.best_score:
                    self.best_score = best
                    self.best_weights = {name: value.detach().clone() for name, value in agent.state_dict().items()}
                if best >= stop_at:
                    self.trainer.request_stop("good enough")

            def state_dict(self):
                return {"scores": self.scores, "best": self.best_weights}

            def load_state_dict(self, state_dict):
                self.scores, self.best_weights = state_dict["scores"], state_dict["best"]

            def register(self, trainer, name="exam"):
                self.trainer = trainer
                trainer.register_module(name, self)
                trainer.register_op("post_steps_log", self)

        return Hook()


OTHERWISE = {
    "19.5": by_counting_down_saved_at,
    "19.6": [OnATwinExam, of_functions_exam, AsATorchRLHookExam],
}
