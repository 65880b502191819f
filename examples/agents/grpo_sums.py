"""A language model taught by rewards (GRPO), from nothing to sums with a carry: lesson 17 in one file.

python grpo_sums.py --seed 3                      imitates a bad teacher, then learns from rewards; two minutes
python grpo_sums.py --exam runs/grpo_sums/agent.pt
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("RL_LOGGING_LEVEL", "WARNING")  # before the import of torchrl, which is talkative

import torch

SIGNS = "0123456789+=.#"
END, FILL, LONGEST = SIGNS.index("."), SIGNS.index("#"), 8  # the longest answer, in signs


@dataclass(frozen=True)
class Settings:
    seed: int = 0
    """Weights, questions and what is written follow from it."""
    width: int = 64
    """Numbers that stand for a sign inside the model."""
    imitation_batches: int = 600
    """Batches of 64 of the teacher's sums, before any reward."""
    imitation_rate: float = 2e-3
    """Step size of Adam while imitating."""
    rounds: int = 60
    """Rounds of questions, answers and rewards."""
    questions: int = 16
    """Different sums in a round."""
    answers: int = 16
    """Answers to each of them: a group, in which they are compared."""
    passes: int = 2
    """Steps from each round."""
    learning_rate: float = 1e-3
    """Step size of Adam in the first round; it falls in a straight line to 0."""
    clip: float = 0.2
    """How far the ratio of new and old probability of a sign may go before the incentive ends."""
    out: Path = Path("runs/grpo_sums")
    """Folder for log.csv and agent.pt."""
    exam: Path | None = None
    """An agent.pt: sit the exam with it and do not train."""


def encode(texts, length):
    return torch.tensor([[SIGNS.index(sign) for sign in text.ljust(length, "#")] for text in texts])


def decode(rows):
    return ["".join(SIGNS[number] for number in row).rstrip("#") for row in rows.tolist()]


PAIRS = [(a, b) for a in range(10, 100) for b in range(10, 100) if a % 10 + b % 10 > 9]
PAIRS = [PAIRS[place] for place in torch.randperm(len(PAIRS), generator=torch.Generator().manual_seed(0)).tolist()]
PROMPTS = encode([f"{a}+{b}=" for a, b in PAIRS], 6)
RIGHT, BOTH = [f"{a + b}." for a, b in PAIRS], [f"{a + b - 10}={a + b}." for a, b in PAIRS]
TEACHER = torch.stack([encode(way, LONGEST) for way in (RIGHT, BOTH, [f"{a + b - 10}." for a, b in PAIRS])])
SHARES = torch.tensor([0.3, 0.1, 0.6])  # how often the teacher is right, says both, forgets the ten
EXAM, LESSONS = torch.arange(500), torch.arange(500, len(PAIRS))


class LanguageModel(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.sign = torch.nn.Embedding(len(SIGNS), width)
        self.place = torch.nn.Embedding(6 + LONGEST, width)
        options = {"dropout": 0.0, "batch_first": True, "norm_first": True}
        layer = torch.nn.TransformerEncoderLayer(width, 4, 4 * width, **options)
        self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, len(SIGNS)))

    def forward(self, tokens):
        length = tokens.shape[1]
        past = torch.nn.Transformer.generate_square_subsequent_mask(length)
        text = self.sign(tokens) + self.place.weight[:length]
        return self.head(self.layers(text, mask=past, is_causal=True))


def score(model, full):
    """The log-probability of each sign; the first one counts as a draw among equals."""
    scores = torch.nn.functional.pad(model(full[:, :-1]), (0, 0, 1, 0))
    return scores.log_softmax(-1).gather(-1, full.unsqueeze(-1)).squeeze(-1)


def mask_of(full):
    """The signs of the answer, up to its end sign and with it."""
    ended = (full[:, 6:] == END).int()
    return torch.nn.functional.pad(ended.cumsum(1) - ended == 0, (6, 0))


@torch.no_grad()
def write(model, prompt, draw):
    text, writing = prompt, torch.ones(len(prompt), dtype=torch.bool)
    while writing.any() and text.shape[1] < 6 + LONGEST:
        scores = model(text)[:, -1]
        sign = torch.distributions.Categorical(logits=scores).sample() if draw else scores.argmax(-1)
        text = torch.cat([text, sign.where(writing, FILL).unsqueeze(1)], 1)
        writing = writing & (text[:, -1] != END)
    return torch.nn.functional.pad(text, (0, 6 + LONGEST - text.shape[1]), value=FILL)


def exact(full):
    """1 for each answer that is the sum and nothing else."""
    texts = zip(decode(full[:, :6]), decode(full[:, 6:]), strict=True)
    return torch.tensor([float(f"{sum(map(int, asked[:-1].split('+')))}." == written) for asked, written in texts])


def imitate(model, s: Settings):
    torch.manual_seed(s.seed)
    optimiser = torch.optim.Adam(model.parameters(), s.imitation_rate)
    for _ in range(s.imitation_batches):
        which = LESSONS[torch.randint(len(LESSONS), (64,))]
        full = torch.cat([PROMPTS[which], TEACHER[torch.multinomial(SHARES, 64, replacement=True), which]], 1)
        optimiser.zero_grad()
        imitation_loss(score(model, full), mask_of(full)).backward()
        optimiser.step()


def imitation_loss(log_prob, mask):
    return -(torch.where(mask, log_prob, 0.0).sum(-1) / mask.sum(-1)).mean()


def grpo_loss(log_prob, old, advantage, mask, clip):
    ratio = (log_prob - old)[mask].exp()
    advantage = advantage.unsqueeze(1).expand_as(mask)[mask]
    return -torch.min(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage).mean()


def reward(model, s: Settings, watch):
    """Ask, let the model answer, and make likelier what was better than the other answers of its group."""
    torch.manual_seed(s.seed)
    chance = torch.Generator().manual_seed(s.seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=s.learning_rate)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, s.rounds)
    for number in range(s.rounds):
        asked = LESSONS[torch.randint(len(LESSONS), (s.questions,), generator=chance)]
        full = write(model, PROMPTS[asked.repeat_interleave(s.answers)], draw=True)
        with torch.no_grad():
            old, mask, paid = score(model, full), mask_of(full), exact(full)
        groups = paid.view(-1, s.answers)
        better = groups - groups.mean(1, keepdim=True)
        advantage = (better / groups.std(1, keepdim=True).clamp_min(1e-6)).flatten()
        for _ in range(s.passes):
            optimiser.zero_grad()
            grpo_loss(score(model, full), old, advantage, mask, s.clip).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=1.0)
            optimiser.step()
        schedule.step()
        watch(number, paid.mean().item())


def evaluate(model, draw):
    torch.manual_seed(0)
    return exact(write(model, PROMPTS[EXAM], draw)).sum().item() / len(EXAM)


def train(s: Settings, watch):
    """Imitation, then rewards; `watch(round, share of exact answers)` is called after each round."""
    torch.manual_seed(s.seed)
    model = LanguageModel(s.width)
    imitate(model, s)
    reward(model, s, watch)
    return model


def main(s: Settings):
    torch.set_num_threads(1)  # networks this small gain nothing from more
    if s.exam is None:
        s.out.mkdir(parents=True, exist_ok=True)
        with (s.out / "log.csv").open("w", newline="") as file:
            log = csv.writer(file)
            log.writerow(["round", "exact"])
            model = train(s, lambda *row: (log.writerow(row), print(*row, sep="\t")))
        torch.save({"weights": model.state_dict(), "settings": str(s)}, s.out / "agent.pt")
    model, path = LanguageModel(s.width), s.exam or s.out / "agent.pt"
    model.load_state_dict(torch.load(path, weights_only=True)["weights"])
    print(f"{path}: 500 fresh sums, greedily {evaluate(model, False):.0%} right, drawn {evaluate(model, True):.0%}")


if __name__ == "__main__":
    try:
        import tyro
    except ImportError:
        raise SystemExit("tyro, which reads the command line, is not installed: python -m pip install tyro") from None
    main(tyro.cli(Settings, description=__doc__))
