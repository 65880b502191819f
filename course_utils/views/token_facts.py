"""What there is to say about the tokens of answers: whose they are, their advantage, their probability in training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from course_utils.views.finite import in_words

# A token's change is a sign: from which factor on its probability is said to have changed a little, much, very much.
FACTORS = (1.05, 2.0, 10.0)
ROUNDING = 1e-3  # so far above 0 a log-probability of few bits may come out


@dataclass(frozen=True)
class Answers:
    """Answers of a language model, their advantage, and how probable each token was at each checkpoint of training.

    Attributes:
        tokens: of each answer its tokens, the prompt's among them.
        own: for each token whether the model wrote it and learns from it; False for those of the prompt and for masked
            ones.
        advantage: of each token, NaN where it is not the model's own.
        log_probs: of shape [checkpoints] of lists as `tokens`, natural logarithms, NaN where it is not the model's own.
        checkpoints: their names.
    """

    tokens: list[list[str]]
    own: list[np.ndarray]
    advantage: list[np.ndarray]
    log_probs: list[list[np.ndarray]]
    checkpoints: list[str]

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def starts(self) -> list[int]:
        """Where each answer's own tokens begin: what comes before is its prompt."""
        return [int(own.argmax()) if own.any() else len(own) for own in self.own]

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """The answers by their prompt."""
        found: dict[str, list[int]] = {}
        for number, (tokens, start) in enumerate(zip(self.tokens, self.starts, strict=True)):
            found.setdefault("".join(tokens[:start]), []).append(number)
        return found

    def change(self, checkpoint: int, answer: int) -> np.ndarray:
        """By how much each token's log-probability has grown since the first checkpoint; NaN where none is known."""
        with np.errstate(invalid="ignore"):  # two that are infinite have no difference
            return self.log_probs[checkpoint][answer] - self.log_probs[0][answer]

    def whole(self, checkpoint: int, answer: int) -> float:
        """The log-probability of the whole answer: the sum over the model's own tokens."""
        return float(self.log_probs[checkpoint][answer][self.own[answer]].sum())

    @cached_property
    def doubts(self) -> list[str]:
        """How many of the own tokens' numbers are NaN or infinite; empty where all are finite."""
        total = sum(int(own.sum()) for own in self.own)
        named = [("advantages", self.advantage)]
        named += [(f"log-probabilities at {c}", rows) for c, rows in zip(self.checkpoints, self.log_probs, strict=True)]
        doubts = []
        for what, rows in named:
            values = np.concatenate([row[own] for row, own in zip(rows, self.own, strict=True)] or [np.zeros(0)])
            counts = {"NaN": int(np.isnan(values).sum()), "inf": int(np.isinf(values).sum())}
            if words := in_words({name: count for name, count in counts.items() if count}, total):
                doubts.append(f"{words} {what}")
        return doubts


def read(tokens, advantage, log_probs, mask=None, checkpoints: Sequence[str] = ()) -> Answers:
    """Check what is given, and put it in order.

    Args:
        tokens: for each answer the list of its tokens, strings.
        advantage: of shape [answers] or [answers, tokens], or either with a last dimension of 1.
        log_probs: of shape [checkpoints, answers, tokens], or with a last dimension of 1; what stands behind an
            answer's last token is not looked at.
        mask: bool of shape [answers, tokens], True where the model wrote the token and learns from it; all by default.
        checkpoints: a name for each.

    Raises:
        TypeError, ValueError: something is not of that shape, or no log-probability; the message names the fix.
    """
    lists = _token_lists(tokens)
    lengths, most = [len(row) for row in lists], max(map(len, lists))
    numbers = _array(log_probs, "log_probs")
    if numbers.ndim == 4 and numbers.shape[-1] == 1:
        numbers = numbers[..., 0]
    if numbers.ndim == 2:
        raise ValueError(
            f"log_probs has shape {list(numbers.shape)}, and the first of its three dimensions should be the "
            "checkpoints. For a single one: log_probs[None]; for several: torch.stack([...])."
        )
    if numbers.ndim != 3:
        raise ValueError(f"log_probs should be [checkpoints, answers, tokens]; it has shape {list(numbers.shape)}.")
    if not len(numbers):
        raise ValueError("log_probs has no checkpoint. Score the answers at least once.")
    _fits("log_probs", numbers.shape[1:], len(lists), most)
    names = [str(name) for name in checkpoints] or [f"checkpoint {number}" for number in range(len(numbers))]
    if len(names) != len(numbers):
        raise ValueError(f"There are {len(names)} names of checkpoints, and log_probs has {len(numbers)} of them.")
    own = np.ones((len(lists), most), bool) if mask is None else _array(mask, "mask")
    if own.ndim == 3 and own.shape[-1] == 1:
        own = own[..., 0]
    if own.ndim != 2 or not np.isin(own, (0, 1)).all():
        raise ValueError(
            f"mask should be bool of shape [answers, tokens], True where the model wrote the token; it has shape "
            f"{list(own.shape)} and values from {own.min():g} to {own.max():g}."
        )
    _fits("mask", own.shape, len(lists), most)
    owns = [row[:length].astype(bool) for row, length in zip(own, lengths, strict=True)]
    if not any(row.any() for row in owns):
        raise ValueError("The mask leaves no token: nowhere is it True. Is it True where the *prompt* is? Give ~mask.")
    kept = [[_where(rows[i], owns[i]) for i in range(len(lists))] for rows in numbers]
    highest = max((float(np.nanmax(row)) for rows in kept for row in rows if not np.isnan(row).all()), default=-1.0)
    if highest > ROUNDING and math.isfinite(highest):
        raise ValueError(
            f"A log-probability is the logarithm of a number up to 1, so it is 0 or less; log_probs has {highest:.4g}. "
            "Are these probabilities (take log()) or logits (take log_softmax())?"
        )
    return Answers(lists, owns, _advantages(advantage, owns, most), kept, names)


def _token_lists(tokens) -> list[list[str]]:
    if isinstance(tokens, str):
        raise TypeError("tokens is one string; give a list of answers, each a list of its tokens: [['1', '+', '2']].")
    lists = []
    for number, row in enumerate(tokens):
        if isinstance(row, str):
            raise TypeError(f"tokens[{number}] is the string {row!r}; give the list of its tokens: {list(row)[:3]}.")
        lists.append(list(row))
        for token in lists[-1]:
            if not isinstance(token, str):
                raise TypeError(
                    f"tokens[{number}] holds a {type(token).__name__}; tokens are strings. From their numbers: "
                    "[tokenizer.decode([number]) for number in ids]."
                )
    if not lists or not max(map(len, lists)):
        raise ValueError("There is no token to show: give one answer at least.")
    return lists


def _array(values, name: str) -> np.ndarray:
    """The values as numpy has them, whatever held them."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        values = (values.float() if values.is_floating_point() else values).numpy()
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} should be a tensor of numbers, rows of one length (padded): {error}.") from None


def _fits(name: str, shape: Sequence[int], answers: int, most: int) -> None:
    if shape[0] != answers:
        raise ValueError(f"There are {answers} answers in tokens, and {name} has {shape[0]} of them.")
    if shape[1] < most:
        raise ValueError(f"The longest answer has {most} tokens, and {name} has room for {shape[1]} only.")


def _advantages(advantage, owns: list[np.ndarray], most: int) -> list[np.ndarray]:
    values = _array(advantage, "advantage")
    if values.ndim == 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2:
        raise ValueError(f"advantage should be [answers] or [answers, tokens]; it has shape {list(values.shape)}.")
    if values.shape[1] == 1:
        values = np.repeat(values, most, axis=1)
    _fits("advantage", values.shape, len(owns), most)
    return [_where(row[: len(own)], own) for row, own in zip(values, owns, strict=True)]


def _where(values: np.ndarray, own: np.ndarray) -> np.ndarray:
    return np.where(own, values[: len(own)], math.nan)


# --------------------------------------------------------------------------------- in words
def strength(change: float) -> int:
    """-3 to 3: how much more, or less, probable a token has become; 0 within 5 per cent, and where it is unknown."""
    if math.isnan(change):
        return 0
    reached = sum(abs(change) >= math.log(factor) for factor in FACTORS)
    return reached if change > 0 else -reached


def visible(token: str) -> str:
    """The token with its blanks and control characters made visible."""
    seen = {" ": "␣", "\n": "⏎", "\t": "⇥", "": "∅"}
    return seen.get(token) or "".join(seen.get(c, c if c.isprintable() else repr(c)[1:-1]) for c in token)


def probability(log_prob: float) -> str:
    """A probability, from its logarithm, in three digits; what is not finite by its name."""
    if math.isnan(log_prob):
        return "NaN"
    if log_prob == math.inf:
        return "inf"
    return f"{math.exp(min(log_prob, 0.0)):.3g}"


def plain(number: float) -> str:
    return "NaN" if math.isnan(number) else f"{round(number, 2) + 0.0:.2f}"  # + 0.0 makes -0 a 0


def signed(number: float) -> str:
    return "NaN" if math.isnan(number) else f"{number:+.3g}" if number else "0"


def factor(change: float) -> str:
    """By what the probability was multiplied."""
    if math.isnan(change):
        return "by an unknown factor"
    if abs(change) > 300 or abs(strength(change)) == 0:
        return "unchanged within 5 %" if strength(change) == 0 else f"{change:+.3g} in its logarithm"
    return f"times {math.exp(change):.3g}"


def token_words(answers: Answers, answer: int, token: int, checkpoint: int) -> str:
    """All there is to say of one token, in a sentence or two."""
    name = f"Token {token + 1} of {len(answers.tokens[answer])}, {visible(answers.tokens[answer][token])!r}"
    if not answers.own[answer][token]:
        if token < answers.starts[answer]:
            return f"{name}, belongs to the prompt: it was given, and the model does not learn from it."
        return f"{name}, is masked: the model does not learn from it."
    then, now = (answers.log_probs[number][answer][token] for number in (0, checkpoint))
    change, advantage = answers.change(checkpoint, answer)[token], answers.advantage[answer][token]
    first, here = answers.checkpoints[0], answers.checkpoints[checkpoint]
    words = f"{name}: probability {probability(then)} at {first}"
    if checkpoint:
        words += f", {probability(now)} at {here} ({factor(change)}; log-probability {plain(then)}, then {plain(now)})"
    else:
        words += f" (log-probability {plain(then)})"
    return f"{words}. Its advantage is {signed(advantage)}{_verdict(change, advantage) if checkpoint else ''}."


def _verdict(change: float, advantage: float) -> str:
    if not math.isfinite(change) or not math.isfinite(advantage) or not strength(change) or not advantage:
        return ""
    way = "more" if change > 0 else "less"
    return f": it became {way} probable, " + ("as that asks" if (change > 0) == (advantage > 0) else "against that")


def tally(answers: Answers, checkpoint: int, chosen: Sequence[int]) -> str:
    """How many tokens went the way of their advantage, among the chosen answers."""
    told = []
    for sign, name in ((1, "positive"), (-1, "negative")):
        moved = [
            None if math.isnan(change) else strength(change)
            for answer in chosen
            for change, advantage in zip(answers.change(checkpoint, answer), answers.advantage[answer], strict=True)
            if advantage * sign > 0
        ]
        if moved:
            known = [level for level in moved if level is not None]
            ways = {
                "became more probable": sum(level > 0 for level in known),
                "less probable": sum(level < 0 for level in known),
                "stayed within 5 %": known.count(0),
                "unknown": moved.count(None),
            }
            tokens = "token" if len(moved) == 1 else "tokens"
            words = ", ".join(f"{count} {way}" for way, count in ways.items() if count)
            told.append(f"of {len(moved)} {tokens} with a {name} advantage {words}")
    if not told:
        return "No token has an advantage other than 0: there is nothing to learn from these answers."
    return f"Since {answers.checkpoints[0]}: {'; '.join(told)}."
