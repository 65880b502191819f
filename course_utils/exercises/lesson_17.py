"""Exercises of lesson 17."""

import re

import torch

from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.sorting_exam import examine
from course_utils.exercises.sorting_worlds import MUTANTS, Sorting


def _mask(draw: Draw, answers: int, length: int) -> torch.Tensor:
    """A question of some tokens, then answers of different lengths, of at least one token and never all alike."""
    asked = int(draw.integers(2, 4))
    long = draw.integers(1, length - asked, answers)
    long[0], long[1] = 1, length - asked
    places = torch.arange(length)
    return (places >= asked) & (places < asked + long.unsqueeze(1))


def _noted(draw: Draw) -> dict:
    # Where nothing counts there are other numbers, and on every second sample NaN as well.
    answers, length = int(draw.integers(3, 6)), int(draw.integers(7, 11))
    mask, log_probs = _mask(draw, answers, length), -draw.normal(answers, length).abs()
    if draw.turn(2):
        log_probs[:, 0] = torch.nan
    return {"log_probs": log_probs, "mask": mask}


def _summed(log_probs, mask):
    return torch.where(mask, log_probs, 0.0).sum(-1)


def _rewards(draw: Draw) -> dict:
    # Right or wrong on every second sample, any number on the others; in one group all are paid alike.
    questions, answers = int(draw.integers(4, 7)), int(draw.integers(7, 10))
    if draw.turn(2):
        reward = 1 + 2 * draw.normal(questions, answers)
    else:
        reward = draw.flags(0.4, questions, answers).float()
        reward[:, 0], reward[:, 1] = 0.0, 1.0
    reward[int(draw.integers(0, questions))] = float(draw.integers(0, 2))
    return {"reward": reward}


def _relative(reward):
    return (reward - reward.mean(1, keepdim=True)) / reward.std(1, keepdim=True).clamp_min(1e-6)


def _others(reward):
    return (reward.sum(1, keepdim=True) - reward) / (reward.shape[1] - 1)


def _moved(draw: Draw) -> dict:
    # Ratios on both sides of both limits, for good and for bad answers.
    answers, length = int(draw.integers(4, 7)), int(draw.integers(8, 12))
    log_prob = -0.5 - draw.normal(answers, length).abs()
    advantage = draw.normal(answers)
    advantage[0], advantage[1] = -1 - advantage[0].abs(), 1 + advantage[1].abs()
    return {
        "log_prob": log_prob,
        "old_log_prob": log_prob + 0.4 * draw.normal(answers, length),
        "advantage": advantage,
        "mask": _mask(draw, answers, length),
        "eps": draw.uniform(0.1, 0.3),
    }


def _token_losses(log_prob, old_log_prob, advantage, eps, pick=torch.min):
    ratio, advantage = (log_prob - old_log_prob).exp(), advantage.unsqueeze(1)
    return -pick(ratio * advantage, ratio.clamp(1 - eps, 1 + eps) * advantage)


def _token_loss(log_prob, old_log_prob, advantage, mask, eps):
    return _token_losses(log_prob, old_log_prob, advantage, eps)[mask].mean()


def _by_answer(values, mask):
    return ((values * mask).sum(1) / mask.sum(1)).mean()


def _whole_answers(log_prob, old_log_prob, advantage, mask, eps):
    ratio = ((log_prob - old_log_prob) * mask).sum(1).exp()
    return -torch.min(ratio * advantage, ratio.clamp(1 - eps, 1 + eps) * advantage).mean()


def _two_models(draw: Draw) -> dict:
    answers, length = int(draw.integers(4, 7)), int(draw.integers(8, 12))
    log_prob = -0.5 - draw.normal(answers, length).abs()
    return {
        "log_prob": log_prob,
        "ref_log_prob": log_prob + 0.6 * draw.normal(answers, length),
        "mask": _mask(draw, answers, length),
    }


def _k3(gap):
    return gap.exp() - 1 - gap


def _distance(log_prob, ref_log_prob, mask):
    return _k3((ref_log_prob - log_prob)[mask]).mean()


def _answers(draw: Draw) -> dict:
    """Every kind of answer to questions of its own, in a random order."""
    kinds = [
        "{right}.",
        "{right}.",
        "{wrong}={right}.",
        "{a}={b}={right}.",
        "{wrong}.",
        "{right}={wrong}.",
        "{right}",
        "{right}.=",
        "{right}={right}",
        "0{right}.",
        "+{right}.",
        "1{right}.",
        "{right}0.",
        "{a}+{b}.",
        "{right}..",
        ".",
        "",
        "={right}.{wrong}.",
    ]
    asked, written = [], []
    for place in torch.randperm(len(kinds), generator=torch.Generator().manual_seed(int(draw.integers(0, 10_000)))):
        a, b = (int(number) for number in draw.integers(10, 100, 2))
        asked.append(f"{a}+{b}=")
        written.append(kinds[place].format(a=a, b=b, right=a + b, wrong=a + b - 10))
    return {"asked": asked, "written": written}


def _sum_of(question: str) -> int:
    a, b = question.removesuffix("=").split("+")
    return int(a) + int(b)


def _paid(accepts):
    """A reward for lists, of what it accepts of one sum (as text) and one answer."""

    def verified(asked, written):
        return [float(accepts(str(_sum_of(q)), answer)) for q, answer in zip(asked, written, strict=True)]

    return verified


def _computed(right: str, answer: str) -> bool:
    said = answer.split("=")[-1]
    try:
        return said.endswith(".") and eval(said.removesuffix("."), {}) == int(right)
    except Exception:  # what is no expression has no value
        return False


def _as_a_number(right: str, answer: str) -> bool:
    said = answer.split("=")[-1]
    try:
        return said.endswith(".") and int(said.removesuffix(".")) == int(right)
    except ValueError:
        return False


EXERCISES = [
    Exercise(
        number="17.1",
        tests="The log-probabilities of the answer's tokens are added up, and nothing else counts, not even NaN.",
        draw=_noted,
        reference=_summed,
        mutants=[
            Mutant(
                "question too",
                lambda log_probs, mask: log_probs.sum(-1),
                "You add up *all* tokens: the question, which nobody chose, and the filling too. Ask `mask`.",
            ),
            Mutant(
                "multiplied",
                lambda log_probs, mask: (log_probs * mask).sum(-1),
                "Without NaN this is right. But NaN times 0 is NaN: use `torch.where`.",
            ),
            Mutant(
                "mean",
                lambda log_probs, mask: _summed(log_probs, mask) / mask.sum(-1),
                "You take the mean of the tokens. Probabilities are multiplied, so their logarithms are added.",
            ),
            Mutant(
                "probability",
                lambda log_probs, mask: _summed(log_probs, mask).exp(),
                "That is the probability of each answer. Its logarithm is asked for: leave `exp` out.",
            ),
            Mutant(
                "the others",
                lambda log_probs, mask: _summed(log_probs, ~mask),
                "You add up where the mask is False. It is True at the tokens of the answer.",
            ),
            Mutant(
                "all answers",
                lambda log_probs, mask: torch.where(mask, log_probs, 0.0).sum(),
                "That is one number for all answers together. Each answer has its own: add up over the last dimension.",
            ),
            Mutant(
                "over answers",
                lambda log_probs, mask: torch.where(mask, log_probs, 0.0).sum(0),
                "You add up over the *answers*, place by place. Tokens are the last dimension.",
            ),
            Mutant(
                "last token",
                lambda log_probs, mask: log_probs.gather(
                    1, (mask * torch.arange(mask.shape[1])).argmax(1, keepdim=True)
                ).squeeze(1),
                "You return the log-probability of the last token alone. All tokens of the answer were chosen.",
            ),
        ],
    ),
    Exercise(
        number="17.2",
        tests="Each answer is compared with its own group, in units of the group's spread; alike is 0, never NaN.",
        draw=_rewards,
        reference=_relative,
        mutants=[
            Mutant(
                "across questions",
                lambda reward: (reward - reward.mean(0)) / reward.std(0).clamp_min(1e-6),
                "You compare answers to *different* questions. A group is a row: dimension 1.",
            ),
            Mutant(
                "whole batch",
                lambda reward: (reward - reward.mean()) / reward.std(),
                "You compare with all answers of all questions. Then an easy question looks good, whatever was said; "
                "take the mean and the spread of each row.",
            ),
            Mutant(
                "not divided",
                lambda reward: reward - reward.mean(1, keepdim=True),
                "The mean is right. Divide by the spread of the group, too.",
            ),
            Mutant(
                "NaN",
                lambda reward: (reward - reward.mean(1, keepdim=True)) / reward.std(1, keepdim=True),
                "Where all answers are paid alike you divide 0 by 0, which is NaN, and one NaN ends a training. "
                "`clamp_min(1e-6)` on the spread.",
            ),
            Mutant(
                "spread of all",
                lambda reward: (reward - reward.mean(1, keepdim=True)) / reward.std(),
                "The mean is that of the group, but the spread is that of all answers. Take the group's.",
            ),
            Mutant(
                "population",
                lambda reward: (
                    (reward - reward.mean(1, keepdim=True)) / reward.std(1, keepdim=True, correction=0).clamp_min(1e-6)
                ),
                "Your spread divides by the number of answers. TorchRL's is that of a sample, as `reward.std` has it "
                "without further arguments.",
            ),
            Mutant(
                "variance",
                lambda reward: (reward - reward.mean(1, keepdim=True)) / reward.var(1, keepdim=True).clamp_min(1e-6),
                "You divide by the variance. The spread is its root, `std`.",
            ),
            Mutant(
                "the others",
                lambda reward: reward - _others(reward),
                "You subtract the mean of the *others* and do not divide. That is a method too (RLOO), but here the "
                "whole group is the measure, its mean and its spread.",
            ),
            Mutant(
                "worse is better",
                lambda reward: -_relative(reward),
                "The sign is wrong: better than the group has to be above 0.",
            ),
            Mutant(
                "rewards",
                lambda reward: reward,
                "You return the rewards. Subtract what is usual in the group.",
            ),
        ],
    ),
    Exercise(
        number="17.3",
        tests="Each token is clipped by itself, the smaller one counts, and the mean is over the answers' tokens.",
        draw=_moved,
        reference=_token_loss,
        gradient=("log_prob",),
        mutants=[
            Mutant(
                "question too",
                lambda log_prob, old_log_prob, advantage, mask, eps: _token_losses(
                    log_prob, old_log_prob, advantage, eps
                ).mean(),
                "Your mean is over all places, those of the question and of the filling too. Pick with `mask`.",
            ),
            Mutant(
                "divided by all places",
                lambda log_prob, old_log_prob, advantage, mask, eps: (
                    _token_losses(log_prob, old_log_prob, advantage, eps) * mask
                ).mean(),
                "What does not count is 0, but it is still counted: you divide by all places. Divide by how many "
                "tokens the answers have.",
            ),
            Mutant(
                "answer by answer",
                lambda log_prob, old_log_prob, advantage, mask, eps: _by_answer(
                    _token_losses(log_prob, old_log_prob, advantage, eps), mask
                ),
                "You take a mean for each answer, then the mean of those, so a token of a short answer counts more. "
                "(GRPO's paper does so, and TorchRL with `aggregation='prompt_mean'`.) Here: one mean over all tokens.",
            ),
            Mutant(
                "ratio of whole answers",
                _whole_answers,
                "You have one ratio for a whole answer. Here every token has its own, and is clipped by itself.",
            ),
            Mutant(
                "not clipped",
                lambda log_prob, old_log_prob, advantage, mask, eps: (
                    -(((log_prob - old_log_prob).exp() * advantage.unsqueeze(1))[mask].mean())
                ),
                "Nothing is clipped. Compare with the clipped ratio, and take the smaller one.",
            ),
            Mutant(
                "only clipped",
                lambda log_prob, old_log_prob, advantage, mask, eps: (
                    -(((log_prob - old_log_prob).exp().clamp(1 - eps, 1 + eps) * advantage.unsqueeze(1))[mask].mean())
                ),
                "Only the clipped ratio counts, so a step in the wrong direction cannot be undone. Take the smaller "
                "one of clipped and unclipped.",
            ),
            Mutant(
                "larger",
                lambda log_prob, old_log_prob, advantage, mask, eps: _token_losses(
                    log_prob, old_log_prob, advantage, eps, torch.max
                )[mask].mean(),
                "You take the larger one of clipped and unclipped. It is the smaller one, the careful one.",
            ),
            Mutant(
                "sign",
                lambda log_prob, old_log_prob, advantage, mask, eps: (
                    -_token_loss(log_prob, old_log_prob, advantage, mask, eps)
                ),
                "The sign is wrong: a loss is made small, so good answers have to make it smaller.",
            ),
            Mutant(
                "upside down",
                lambda log_prob, old_log_prob, advantage, mask, eps: _token_loss(
                    old_log_prob, log_prob, advantage, mask, eps
                ),
                "Your ratio is upside down: it is the *new* probability over the old one.",
            ),
            Mutant(
                "sum",
                lambda log_prob, old_log_prob, advantage, mask, eps: _token_losses(
                    log_prob, old_log_prob, advantage, eps
                )[mask].sum(),
                "You add the tokens up. Take their mean, or longer answers take longer steps.",
            ),
        ],
    ),
    Exercise(
        number="17.4",
        tests="The mean of exp(d) - 1 - d over the answers' tokens, never below 0.",
        draw=_two_models,
        reference=_distance,
        gradient=("log_prob",),
        tolerance=1e-4,
        mutants=[
            Mutant(
                "k1",
                lambda log_prob, ref_log_prob, mask: (log_prob - ref_log_prob)[mask].mean(),
                "That is `k1`: right in the mean, but it can be below 0, and no distance is. `k3` mends that.",
            ),
            Mutant(
                "k2",
                lambda log_prob, ref_log_prob, mask: (log_prob - ref_log_prob)[mask].square().mean() / 2,
                "That is half the square of the difference (`k2`), close to `k3` only where both models nearly agree.",
            ),
            Mutant(
                "the other way round",
                lambda log_prob, ref_log_prob, mask: _distance(ref_log_prob, log_prob, mask),
                "Your `d` has the wrong sign. It is the reference's log-probability minus the new one.",
            ),
            Mutant(
                "question too",
                lambda log_prob, ref_log_prob, mask: _k3(ref_log_prob - log_prob).mean(),
                "Your mean is over all places, those of the question too. Pick with `mask`.",
            ),
            Mutant(
                "divided by all places",
                lambda log_prob, ref_log_prob, mask: (_k3(ref_log_prob - log_prob) * mask).mean(),
                "You divide by all places (as TorchRL does). Here the mean is over the tokens of the answers alone.",
            ),
            Mutant(
                "answer by answer",
                lambda log_prob, ref_log_prob, mask: _by_answer(_k3(ref_log_prob - log_prob), mask),
                "You take a mean for each answer, then the mean of those. One mean over all tokens.",
            ),
            Mutant(
                "sum",
                lambda log_prob, ref_log_prob, mask: _k3((ref_log_prob - log_prob)[mask]).sum(),
                "You add up. Take the mean over the tokens.",
            ),
            Mutant(
                "minus 1 forgotten",
                lambda log_prob, ref_log_prob, mask: (_k3((ref_log_prob - log_prob)[mask]) + 1).mean(),
                "For a model that has not moved yours says 1. Its distance is 0: subtract the 1.",
            ),
        ],
    ),
    Exercise(
        number="17.5",
        tests="Only what stands after the last `=` is paid, and only if it is the sum, sign for sign, and the end.",
        draw=_answers,
        reference=_paid(lambda right, answer: answer.split("=")[-1] == f"{right}."),
        mutants=[
            Mutant(
                "anywhere",
                _paid(lambda right, answer: right in re.findall(r"\d+", answer)),
                "You pay wherever the right number occurs. Whoever writes all numbers is always paid: only what stands "
                "after the last `=` counts.",
            ),
            Mutant(
                "no thinking",
                _paid(lambda right, answer: answer == f"{right}."),
                "You pay nothing for `75=85.`: what stands before the last `=` is thinking, and allowed.",
            ),
            Mutant(
                "first number",
                _paid(lambda right, answer: answer.split("=")[0].removesuffix(".") == right),
                "You judge the first number. The last one counts, after the last `=`.",
            ),
            Mutant(
                "ends with",
                _paid(lambda right, answer: answer.endswith(f"{right}.")),
                "`185.` ends in `85.` as well, and you pay for it. Compare the *whole* of what follows the last `=`.",
            ),
            Mutant(
                "begins with",
                _paid(lambda right, answer: answer.split("=")[-1].startswith(right)),
                "`850.` begins with `85` as well, and you pay for it. Compare *all* that follows the last `=`.",
            ),
            Mutant(
                "end not needed",
                _paid(lambda right, answer: answer.split("=")[-1].removesuffix(".") == right),
                "You pay for answers without an end sign. A model that is paid for them stops writing it.",
            ),
            Mutant(
                "any number of ends",
                _paid(lambda right, answer: answer[-1:] == "." and answer.split("=")[-1].strip(".") == right),
                "`strip` takes all end signs away, so `85..` is paid. One sum, one end sign.",
            ),
            Mutant(
                "computed",
                _paid(_computed),
                "You compute what was written, so `37+48.` is paid: the question, copied. (And `eval` runs whatever a "
                "model writes.) Compare texts.",
            ),
            Mutant(
                "as a number",
                _paid(_as_a_number),
                "`int` reads `085` and `+85` as 85, so you pay for them. Compare sign for sign.",
            ),
        ],
    ),
    Build(
        number="17.6",
        tests="Groups share a question, questions vary and follow the seed, and only the sorted digits are paid.",
        reference=Sorting,
        examine=examine,
        mutants=MUTANTS,
    ),
]
