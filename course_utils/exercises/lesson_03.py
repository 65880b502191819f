"""Exercises of lesson 03."""

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.modules import MLP, ProbabilisticActor

from course_utils.exercises.actors import examine_actor
from course_utils.exercises.drawn import happens, mixed, whole
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.probing import tensors

_NAMES = ["observation", "pixels", "hidden", "loc", "action", "value", "goal"]


def _chain(draw: Draw) -> dict:
    # Any chain: keys are read long after they were written, read first and written later, updated, never read.
    def some(most: int) -> list[str]:
        return [_NAMES[place] for place in mixed(draw, len(_NAMES))[: whole(draw, 1, most)]]

    return {"steps": [(some(3), some(2)) for _ in range(whole(draw, 2, 6))]}


def _as_set(value, inputs):
    # What is asked for is which keys there are; any collection of them can be compared.
    return set(value)


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


def _needed_of_later(steps):
    return {key for place, (in_keys, _) in enumerate(steps) for key in set(in_keys) - _all_written(steps[place + 1 :])}


def _writes_first(steps):
    written, asked = set(), set()
    for in_keys, out_keys in steps:
        written |= set(out_keys)
        asked |= set(in_keys) - written
    return asked


def _places(draw: Draw) -> TensorDict:
    rows = whole(draw, 2, 6)
    return TensorDict(
        {"position": draw.normal(rows, 2), "goal": draw.normal(rows, 2), "speed": draw.normal(rows)}, [rows]
    )


def _run_on_places(module, inputs):
    # The function under test takes no arguments, so the places are drawn here, from the exercise's own seed.
    return module(_places(Draw(int(torch.randint(2**31 - 1, (1,))))))


def _distance_module(function, out_key="distance", in_keys=("position", "goal")):
    return lambda: TensorDictModule(function, in_keys=list(in_keys), out_keys=[out_key])


def _distance(position, goal):
    return (position - goal).norm(dim=-1, keepdim=True)


def _size(draw: Draw) -> tuple[int, int]:
    # Rows and actions: as many rows as actions, so that a dimension mistaken for the other one broadcasts without an
    # error, or a single row, so that the two are told apart.
    actions = whole(draw, 2, 5)
    return (1 if happens(draw, 0.3) else actions), actions


def _rows(draw: Draw) -> dict:
    # The two actions of each row differ. Draws lie on both sides of `eps` and hit it.
    rows, actions = _size(draw)
    eps = whole(draw, 2, 6) / 8  # an exact number in float32, too
    greedy = draw.integers(0, actions, rows)
    random = (greedy + draw.integers(1, actions, rows)) % actions
    draws = torch.tensor([draw.uniform(0, 1) for _ in range(rows)])
    for place, value in zip(mixed(draw, rows), (eps, eps / 2, (1 + eps) / 2), strict=False):
        draws[place] = value
    one_hot = torch.nn.functional.one_hot
    return {"greedy": one_hot(greedy, actions), "random": one_hot(random, actions), "draws": draws, "eps": eps}


def _explore(greedy, random, draws, eps):
    return torch.where((draws < eps).unsqueeze(-1), random, greedy)


def _values(draw: Draw) -> dict:
    # Often some actions of a row are equally good, and often nobody takes the last one.
    rows, actions = _size(draw)
    values = draw.normal(rows, actions)
    if happens(draw, 0.75):
        values = (0.8 * values).round()
    if happens(draw, 0.6):
        values[:, -1] -= 4
    return {"values": values, "encoding": "one_hot" if happens(draw, 0.6) else "categorical"}


def _encode(index, encoding, actions):
    return index if encoding == "categorical" else torch.nn.functional.one_hot(index, actions)


def _any_of_the_best(choice, inputs):
    """Of equally good actions any will do: where one of them was chosen, the first one counts as chosen."""
    choice = tensors(choice, inputs)
    values, encoding = inputs["values"], inputs["encoding"]
    first, actions = values.argmax(-1), values.shape[-1]
    if not isinstance(choice, torch.Tensor) or choice.shape != _encode(first, encoding, actions).shape:
        return choice
    index = choice.argmax(-1) if encoding == "one_hot" else choice
    single = encoding == "categorical" or torch.equal(choice, torch.nn.functional.one_hot(index, actions))
    if not single or choice.dtype != torch.int64 or not ((index >= 0) & (index < actions)).all():
        return choice
    equal = values.gather(-1, index.unsqueeze(-1)) == values.max(-1, keepdim=True).values
    return _encode(torch.where(equal.squeeze(-1), first, index), encoding, actions)


class _Parts(torch.distributions.Distribution):
    """Several choices, drawn independently, each with logits of its own."""

    arg_constraints = {}

    def __init__(self, logits, sizes):
        self.parts = [torch.distributions.Categorical(logits=part) for part in logits.split(list(sizes), -1)]
        super().__init__(logits.shape[:-1], torch.Size([len(sizes)]), validate_args=False)

    def sample(self, shape=()):
        return torch.stack([part.sample(shape) for part in self.parts], -1)

    def log_prob(self, action):
        return sum(part.log_prob(chosen) for part, chosen in zip(self.parts, action.unbind(-1), strict=True))

    @property
    def deterministic_sample(self):
        return torch.stack([part.probs.argmax(-1) for part in self.parts], -1)


class _Eyes(torch.nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.network = MLP(in_features=sizes[0] * sizes[1] + 1, out_features=sum(sizes), num_cells=[32])

    def forward(self, picture, mirror):
        return self.network(torch.cat([picture.flatten(-3), mirror], -1))


def _actor(parts=_Parts, eyes=_Eyes, **options):
    """A `build_actor` with another distribution, network or settings."""

    def build_actor(sizes):
        return ProbabilisticActor(
            TensorDictModule(eyes(sizes), in_keys=["picture", "mirror"], out_keys=["logits"]),
            in_keys=["logits"],
            distribution_class=parts,
            distribution_kwargs={"sizes": sizes},
            **({"return_log_prob": True} | options),
        )

    return build_actor


def _other(base, **methods):
    return type(base.__name__, (base,), methods)


def _shortened(self, picture, mirror):
    return self.network(torch.cat([picture.flatten(1), mirror], -1))


_ACTOR_MUTANTS = [
    Mutant(
        "flattens from the front",
        _actor(eyes=_other(_Eyes, forward=_shortened)),
        "Keep all leading dimensions: `picture.flatten(-3)`, and join along the last one.",
    ),
    Mutant("no log-probability", _actor(return_log_prob=False), "For the log-probability: `return_log_prob=True`."),
    Mutant(
        "a log-probability for each part",
        _actor(
            _other(
                _Parts,
                log_prob=lambda self, action: torch.stack(
                    [part.log_prob(chosen) for part, chosen in zip(self.parts, action.unbind(-1), strict=True)], -1
                ),
            )
        ),
        "One number for the whole action: torch.float32 of shape",
    ),
    Mutant(
        "the first part's log-probability",
        _actor(_other(_Parts, log_prob=lambda self, action: self.parts[0].log_prob(action[..., 0]))),
        "The parts are drawn independently: *add* their log-probabilities, all of them.",
    ),
    Mutant(
        "a probability",
        _actor(_other(_Parts, log_prob=lambda self, action: _Parts.log_prob(self, action).exp())),
        "`action_log_prob` is above 0, as no logarithm of a probability is. Take the logarithm.",
    ),
    Mutant(
        "blind to mirror",
        _actor(eyes=_other(_Eyes, forward=lambda self, picture, mirror: _Eyes.forward(self, picture, 0 * mirror))),
        "Another `mirror` changes nothing: the actor does not look at it.",
    ),
    Mutant(
        "always the most likely",
        _actor(
            _other(
                _Parts,
                sample=lambda self, shape=(): self.deterministic_sample.expand(*shape, *self.batch_shape, 2),
            )
        ),
        "Under `RANDOM` the actor always does the same. It has to draw.",
    ),
    Mutant(
        "draws evenly",
        _actor(
            _other(
                _Parts,
                sample=lambda self, shape=(): torch.stack(
                    [torch.randint(part.probs.shape[-1], part.probs.shape[:-1]) for part in self.parts], -1
                ),
            ),
            eyes=_other(_Eyes, forward=lambda self, picture, mirror: 5 * _Eyes.forward(self, picture, mirror)),
        ),
        "The log-probability has to be that of the action that was drawn, from the distribution it was drawn from.",
    ),
    Mutant(
        "draws when it should not",
        _actor(_other(_Parts, deterministic_sample=property(lambda self: self.sample()))),
        "Under `DETERMINISTIC` the actor still draws. It has to give one fixed action.",
    ),
    Mutant(
        "the least likely",
        _actor(
            _other(
                _Parts,
                deterministic_sample=property(
                    lambda self: torch.stack([part.probs.argmin(-1) for part in self.parts], -1)
                ),
            )
        ),
        "Take the most likely choice of each part.",
    ),
    Mutant(
        "detached",
        _actor(_other(_Parts, log_prob=lambda self, action: _Parts.log_prob(self, action).detach())),
        "`action_log_prob` has no gradient, so nothing can be learned from it.",
    ),
]

EXERCISES = [
    Exercise(
        number="3.1",
        tests="A chain asks the world for what it reads before any of its members has written it.",
        draw=_chain,
        reference=_needed,
        probe=_as_set,
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
                "read and written",
                lambda steps: _all_read(steps) | _all_written(steps),
                "You collect what is written as well. Asked for is what has to be there before, so only what is read.",
            ),
            Mutant(
                "results nobody reads",
                lambda steps: _all_written(steps) - _all_read(steps),
                "These are the keys that are written and never read: what comes out at the end, not what goes in.",
            ),
            Mutant(
                "last module only",
                lambda steps: set(steps[-1][0]) - _all_written(steps[:-1]),
                "You look at the last module only. Earlier ones read keys as well, and they must be there, too.",
            ),
            Mutant(
                "written later",
                _needed_of_later,
                "You take away the keys that a *later* module writes. That is too late: only an earlier one helps.",
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
                "mean square",
                _distance_module(lambda position, goal: (position - goal).pow(2).mean(-1, keepdim=True).sqrt()),
                "You take the root of the *mean* square. A distance is the root of the sum of the squares.",
            ),
            Mutant(
                "another name",
                _distance_module(_distance, out_key="dist"),
                'The distance is right, but it stands under another name: `out_keys=["distance"]`.',
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
                "the wrong way round",
                (1, 1, 10),
                "It is the other way round: `DETERMINISTIC` switches exploration off.",
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
                lambda greedy, random, draws, eps: torch.where((draws < eps).unsqueeze(-1), greedy, random),
                "You explore with probability 1 - eps. A uniform draw is *below* eps with probability eps.",
            ),
            Mutant(
                "above",
                lambda greedy, random, draws, eps: torch.where((draws > eps).unsqueeze(-1), random, greedy),
                "You explore where the draw is *above* eps, so with probability 1 - eps. It is below eps with "
                "probability eps.",
            ),
            Mutant(
                "up to eps",
                lambda greedy, random, draws, eps: torch.where((draws <= eps).unsqueeze(-1), random, greedy),
                "A row whose draw is exactly eps explores with you. Only a draw *below* eps does: `<`.",
            ),
            Mutant(
                "below one minus eps",
                lambda greedy, random, draws, eps: torch.where((draws < 1 - eps).unsqueeze(-1), random, greedy),
                "You compare with `1 - eps`. A uniform draw is below eps with probability eps: compare with eps.",
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
        probe=_any_of_the_best,
        exact_type=True,
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
                "two ones",
                lambda values, encoding: (
                    values.argmax(-1)
                    if encoding == "categorical"
                    else (values == values.max(-1, keepdim=True).values).long()
                ),
                "Where actions are equally good, your vector has a one for each. An action is a single one: find its "
                "place with `argmax`, then encode it.",
            ),
            Mutant(
                "swapped",
                lambda values, encoding: _encode(
                    values.argmax(-1), "one_hot" if encoding == "categorical" else "categorical", values.shape[-1]
                ),
                "The encodings are swapped: `categorical` is the number, `one_hot` the vector.",
            ),
            Mutant(
                "from one",
                lambda values, encoding: (
                    values.argmax(-1) + 1
                    if encoding == "categorical"
                    else _encode(values.argmax(-1), encoding, values.shape[-1])
                ),
                "Your numbers are too large by one. Actions count from 0, as `argmax` does.",
            ),
            Mutant(
                "keeps the dimension",
                lambda values, encoding: (
                    values.argmax(-1, keepdim=True)
                    if encoding == "categorical"
                    else _encode(values.argmax(-1), encoding, values.shape[-1])
                ),
                "Your numbers have shape [batch, 1]. Asked for is [batch]: leave out `keepdim`.",
            ),
            Mutant(
                "as many as seen",
                lambda values, encoding: _encode(values.argmax(-1), encoding, -1),
                "Your vectors are only as long as the largest number in the batch asks for. Tell `one_hot` how many "
                "actions there are: `values.shape[-1]`.",
            ),
            Mutant(
                "the worst",
                lambda values, encoding: _encode(values.argmin(-1), encoding, values.shape[-1]),
                "You choose the action of the *lowest* value: `argmax`, not `argmin`.",
            ),
            Mutant(
                "ones as real numbers",
                lambda values, encoding: (
                    values.argmax(-1)
                    if encoding == "categorical"
                    else _encode(values.argmax(-1), encoding, values.shape[-1]).float()
                ),
                "The ones are in the right places, but as real numbers. The spec of a one-hot action is of whole "
                "numbers: `.long()`.",
            ),
        ],
    ),
    Build(
        number="3.6",
        tests="It reads both entries, draws both parts, knows their probability, and takes the best when told to.",
        reference=_actor(),
        examine=examine_actor,
        mutants=_ACTOR_MUTANTS,
    ),
]
