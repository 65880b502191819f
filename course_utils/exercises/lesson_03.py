"""Exercises of lesson 03."""

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule

from course_utils.exercises.exercise import Draw, Exercise, Mutant

_NAMES = ["observation", "pixels", "hidden", "loc", "scale", "action", "value", "goal"]


def _chain(draw: Draw) -> dict:
    # Every chain holds a key that is read first and written later (`first`), one that a module updates (`late`), and
    # one that is read two steps after it was written (`inner`), and one that only a later module reads (`beside`): each
    # tells one misconception from the others.
    order = [_NAMES[place] for place in torch.argsort(draw.normal(len(_NAMES))).tolist()]
    outside, beside, late, inner, first, extra, other, last = order
    steps = [
        ([outside, first], [inner]),
        ([inner, first], [extra, first]),
        ([extra, inner, late, beside], [other, late]),
        ([other, inner], [last]),
    ]
    keep = 3 + int(draw.integers(0, 2, 1))
    return {"steps": steps[:keep]}


def _needed(steps):
    written, asked = set(), set()
    for in_keys, out_keys in steps:
        asked |= set(in_keys) - written
        written |= set(out_keys)
    return asked


def _all_read(steps):
    return {key for in_keys, _ in steps for key in in_keys}


def _all_written(steps):
    return {key for _, out_keys in steps for key in out_keys}


def _needed_of_neighbours(steps):
    before, asked = set(), set()
    for in_keys, out_keys in steps:
        asked |= set(in_keys) - before
        before = set(out_keys)
    return asked


def _writes_first(steps):
    written, asked = set(), set()
    for in_keys, out_keys in steps:
        written |= set(out_keys)
        asked |= set(in_keys) - written
    return asked


def _places(draw: Draw) -> TensorDict:
    return TensorDict({"position": draw.normal(6, 2), "goal": draw.normal(6, 2)}, [6])


def _run_on_places(module, inputs):
    # The function under test takes no arguments, so the places are drawn here, from the exercise's own seed.
    return module(_places(Draw(int(torch.randint(2**31 - 1, (1,))))))


def _distance_module(function, out_key="distance", in_keys=("position", "goal")):
    return lambda: TensorDictModule(function, in_keys=list(in_keys), out_keys=[out_key])


def _distance(position, goal):
    return (position - goal).norm(dim=-1, keepdim=True)


def _rows(draw: Draw) -> dict:
    # As many rows as actions: a condition of the wrong shape then broadcasts without an error. Row 0 explores, row 1
    # does not, and the two actions of each row differ.
    actions, eps = 4, draw.uniform(0.3, 0.7)
    greedy = draw.integers(0, actions, actions)
    random = (greedy + draw.integers(1, actions, actions)) % actions
    draws = torch.tensor([draw.uniform(0, 1) for _ in range(actions)])
    draws[0], draws[1] = eps * 0.5, eps + (1 - eps) * 0.5
    one_hot = torch.nn.functional.one_hot
    return {"greedy": one_hot(greedy, actions), "random": one_hot(random, actions), "draws": draws, "eps": eps}


def _explore(greedy, random, draws, eps):
    return torch.where((draws < eps).unsqueeze(-1), random, greedy)


def _values(draw: Draw) -> dict:
    # As many rows as actions, so that an argmax over the wrong dimension has the right shape.
    return {"values": draw.normal(4, 4), "encoding": ["categorical", "one_hot"][int(draw.integers(0, 2, 1))]}


def _encode(index, encoding, actions):
    return index if encoding == "categorical" else torch.nn.functional.one_hot(index, actions)


EXERCISES = [
    Exercise(
        number="3.1",
        tests="A chain asks the world for what it reads before any of its members has written it.",
        draw=_chain,
        reference=_needed,
        mutants=[
            Mutant(
                "everything read",
                _all_read,
                "You collect every key that is read. Those that an earlier module writes are made inside the chain and "
                "need not be there before.",
            ),
            Mutant(
                "first module only",
                lambda steps: set(steps[0][0]),
                "You look at the first module only. A later one may read a key that nobody before it writes.",
            ),
            Mutant(
                "ignores the order",
                lambda steps: _all_read(steps) - _all_written(steps),
                "You take away every key that is written *somewhere*. A key that is read first and written later must "
                "be there from the start.",
            ),
            Mutant(
                "last module before only",
                _needed_of_neighbours,
                "You remember only what the module just before has written. A key stays in the TensorDict: all later "
                "modules can read it. Collect what has been written so far.",
            ),
            Mutant(
                "writes before it reads",
                _writes_first,
                "You count a module's own outputs as written before it reads. It reads first: a module that updates a "
                "key needs the old one.",
            ),
        ],
    ),
    Exercise(
        number="3.2",
        tests="It reads two keys, writes one of shape [batch, 1], and leaves the others alone.",
        draw=lambda draw: {},
        reference=_distance_module(_distance),
        probe=_run_on_places,
        mutants=[
            Mutant(
                "lost dimension",
                _distance_module(lambda position, goal: (position - goal).norm(dim=-1)),
                "Your distance has shape [batch], asked for is [batch, 1]. Keep the dimension: `keepdim=True`.",
            ),
            Mutant(
                "overwrites",
                _distance_module(_distance, out_key="position"),
                "You write the distance over `position`, which is lost then. Write to a key of its own: "
                '`out_keys=["distance"]`.',
            ),
            Mutant(
                "difference",
                _distance_module(lambda position, goal: position - goal),
                "You write the difference, one number per coordinate. A distance is one number per row: the length of "
                "the difference.",
            ),
            Mutant(
                "squared",
                _distance_module(lambda position, goal: (position - goal).pow(2).sum(-1, keepdim=True)),
                "This is the *squared* distance. Take its square root.",
            ),
            Mutant(
                "city blocks",
                _distance_module(lambda position, goal: (position - goal).abs().sum(-1, keepdim=True)),
                "You add up the absolute differences, the way along the streets. Asked for is the straight line: "
                "square, add, take the root.",
            ),
        ],
    ),
    Exercise(
        number="3.3",
        tests="An exploration module acts unless DETERMINISTIC is set.",
        reference=(10, 10, 1),
        mutants=[
            Mutant(
                "as the actor that draws",
                (10, 1, 1),
                "That is what a `ProbabilisticActor` does. An exploration module goes by another rule when nothing "
                "is set: run it and see.",
            ),
            Mutant(
                "never stops",
                (10, 10, 10),
                "You let it explore always. `DETERMINISTIC` switches exploration modules off, or one could never judge "
                "the policy itself.",
            ),
            Mutant(
                "never explores",
                (1, 1, 1),
                "With epsilon 1 every action is replaced where the module acts, so at least one of the three must "
                "give ten different actions.",
            ),
            Mutant(
                "counts no repeats",
                (10, 10, 0),
                "Ten equal actions are one different action, not none.",
            ),
        ],
    ),
    Exercise(
        number="3.4",
        tests="One decision per row, and it holds for the whole row.",
        draw=_rows,
        reference=_explore,
        mutants=[
            Mutant(
                "decides by column",
                lambda greedy, random, draws, eps: torch.where(draws < eps, random, greedy),
                "Your condition of shape [batch] lines up with the *columns*, since batch and actions happen to be "
                "equally many. Rows are torn apart and are no longer one-hot. Make the condition [batch, 1]: "
                "`unsqueeze(-1)`.",
            ),
            Mutant(
                "the wrong way round",
                lambda greedy, random, draws, eps: torch.where((draws > eps).unsqueeze(-1), random, greedy),
                "You explore with probability 1 - eps. A uniform draw is *below* eps with probability eps.",
            ),
            Mutant(
                "one decision for all",
                lambda greedy, random, draws, eps: random if draws[0] < eps else greedy,
                "You decide once for the whole batch. Each row has its own draw and its own decision.",
            ),
            Mutant(
                "blends",
                lambda greedy, random, draws, eps: eps * random + (1 - eps) * greedy,
                "You mix the two actions in proportion. An action is taken whole: each row is the one or the other.",
            ),
        ],
    ),
    Exercise(
        number="3.5",
        tests="The same choice in both encodings: as a number, or as a vector with a single one.",
        draw=_values,
        reference=lambda values, encoding: _encode(values.argmax(-1), encoding, values.shape[-1]),
        mutants=[
            Mutant(
                "always a number",
                lambda values, encoding: values.argmax(-1),
                "You return numbers whatever the encoding. A one-hot environment would take each of them for action 0, "
                "without a word.",
            ),
            Mutant(
                "always a vector",
                lambda values, encoding: _encode(values.argmax(-1), "one_hot", values.shape[-1]),
                "You return one-hot vectors whatever the encoding. For `categorical` give the number of the action, "
                "shape [batch].",
            ),
            Mutant(
                "over the batch",
                lambda values, encoding: _encode(values.argmax(0), encoding, values.shape[-1]),
                "You look for the best *row* of each action: `argmax(0)` runs over the batch. Actions are the last "
                "dimension: `argmax(-1)`.",
            ),
            Mutant(
                "values instead of places",
                lambda values, encoding: (
                    values.max(-1).values
                    if encoding == "categorical"
                    else _encode(values.argmax(-1), encoding, values.shape[-1])
                ),
                "For `categorical` you return the best *value*. The environment wants to know which action: its place, "
                "`argmax`.",
            ),
            Mutant(
                "ones as real numbers",
                lambda values, encoding: (
                    values.argmax(-1)
                    if encoding == "categorical"
                    else (values == values.max(-1, keepdim=True).values).float()
                ),
                "The ones are in the right places, but as real numbers. The spec of a one-hot action is of whole "
                "numbers: `.long()`.",
            ),
        ],
    ),
]
