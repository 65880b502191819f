"""Exercises of lesson 02."""

import torch
from tensordict import TensorDict

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _transitions(draw: Draw, *batch: int) -> TensorDict:
    """Transitions with falls, clocks that ran out, and steps that ended nothing; `next` differs from the root."""
    terminated, truncated = draw.flags(0.3, *batch, 1), draw.flags(0.3, *batch, 1)
    terminated.view(-1)[:3] = torch.tensor([True, False, False])
    truncated.view(-1)[:3] = torch.tensor([False, True, False])
    after = {"terminated": terminated, "truncated": truncated, "done": terminated | truncated}
    before = {name: flag.view(-1).roll(1).view(*batch, 1) for name, flag in after.items()}
    after |= {"observation": draw.normal(*batch, 4), "reward": draw.normal(*batch, 1)}
    before |= {"observation": draw.normal(*batch, 4), "action": draw.integers(0, 2, *batch)}
    return TensorDict({**before, "next": after}, batch_size=batch)


def _falls(data):
    return data[data["next", "terminated"].squeeze(-1)]


def _full_batches(data, size):
    rows = data.reshape(-1)
    return rows[: len(rows) // size * size].split(size)


def _hide(data, root=True, following=True, where=(slice(None), [1, 3])):
    result = data.clone()
    if root:
        result["observation"][where] = 0
    if following:
        result["next", "observation"][where] = 0
    return result


def _drop_speeds(data):
    result = data.clone()
    result["observation"] = data["observation"][:, [0, 2]]
    result["next", "observation"] = data["next", "observation"][:, [0, 2]]
    return result


def _pictures(draw: Draw) -> dict:
    # The names differ from draw to draw, so that an answer cannot rely on them.
    name = ["pixels", "camera", "view"][int(draw.integers(0, 3, 1))]
    data = {
        name: draw.integers(0, 256, 6, 3, 4, 4).to(torch.uint8),
        "action": draw.integers(0, 5, 6, 1),
        "done": draw.flags(0.4, 6, 1),
        "speed": 10 * draw.normal(6, 2),
        "next": {name: draw.integers(0, 256, 6, 3, 4, 4).to(torch.uint8), "reward": draw.normal(6, 1)},
    }
    return {"data": TensorDict(data, batch_size=[6])}


def _scale(data):
    return data.apply(lambda entry: entry.float() / 255 if entry.dtype == torch.uint8 else entry)


def _scale_top_level(data):
    result = data.clone()
    for key, entry in data.items():
        if isinstance(entry, torch.Tensor) and entry.dtype == torch.uint8:
            result[key] = entry.float() / 255
    return result


EXERCISES = [
    Exercise(
        number="2.1",
        tests="Only the steps that ended with a fall are left, and each with all its entries.",
        draw=lambda draw: {"data": _transitions(draw, 12)},
        reference=_falls,
        mutants=[
            Mutant(
                "flag of the root",
                lambda data: data[data["terminated"].squeeze(-1)],
                "You ask whether the episode was over *before* the step. What the step led to stands under `next`.",
            ),
            Mutant(
                "every end",
                lambda data: data[data["next", "done"].squeeze(-1)],
                "You keep every end. `done` is also True where only the clock ran out; a fall is `terminated`.",
            ),
            Mutant(
                "the others",
                lambda data: data[~data["next", "terminated"].squeeze(-1)],
                "These are the steps that did *not* end in a fall. A mask keeps the rows where it is True.",
            ),
            Mutant(
                "one entry",
                lambda data: data["observation"][data["next", "terminated"].squeeze(-1)],
                "You give the observations alone. Put the mask on the TensorDict itself, and all entries come along.",
            ),
            Mutant(
                "only next",
                lambda data: data["next"][data["next", "terminated"].squeeze(-1)],
                "The rows are right, but you cut only `data['next']`: the observation and the action before the fall "
                "are lost. Put the mask on `data`.",
            ),
        ],
    ),
    Exercise(
        number="2.2",
        tests="Stacking adds a batch dimension in front, `[..., :3]` cuts the last *batch* dimension, features follow.",
        reference=(2, 6, 3, 4),
        mutants=[
            Mutant(
                "cuts the features",
                (2, 6, 10, 3),
                "You cut the features. Positions of a TensorDict count batch dimensions only, and the last one of "
                "`[2, 6, 10]` is time.",
            ),
            Mutant(
                "concatenates",
                (12, 3, 4),
                "That is `cat`: it lengthens a dimension. `stack` makes a new one, in front unless told otherwise.",
            ),
            Mutant(
                "stacks second",
                (6, 2, 3, 4),
                "The new dimension stands in front: `torch.stack` uses dimension 0 unless you name another one.",
            ),
            Mutant(
                "batch size",
                (2, 6, 3),
                "That is the batch size. The `observation` has its four features on top.",
            ),
            Mutant(
                "cuts the first",
                (2, 3, 10, 4),
                "You cut the environments. `...` stands for all batch dimensions but the last, so `:3` is about time.",
            ),
            Mutant(
                "cuts nothing",
                (2, 6, 10, 4),
                "The stack is right, but `[..., :3]` still has to cut its last batch dimension.",
            ),
        ],
    ),
    Exercise(
        number="2.3",
        tests="All steps in one row, environment after environment, in batches of equal size.",
        draw=lambda draw: {
            "data": _transitions(draw, 3, int(draw.integers(7, 11, 1))),
            "size": int(draw.integers(3, 6, 1)),  # 3 leaves no rest
        },
        reference=_full_batches,
        mutants=[
            Mutant(
                "keeps the rest",
                lambda data, size: data.reshape(-1).split(size),
                "Your last batch can be shorter than `size`. Leave out the steps that do not fill one.",
            ),
            Mutant(
                "time first",
                lambda data, size: _full_batches(data.transpose(0, 1), size),
                "You take the first step of all environments, then the second. Lay environment after environment: "
                "`reshape(-1)` of the data as they come.",
            ),
            Mutant(
                "each environment alone",
                lambda data, size: [piece for row in data for piece in row.split(size) if len(piece) == size],
                "You cut each environment on its own and lose a rest in each. Make one row of all steps first.",
            ),
            Mutant(
                "number of pieces",
                lambda data, size: data.reshape(-1).chunk(size),
                "`chunk(size)` makes `size` pieces. You want pieces *of* `size` steps: `split(size)`.",
            ),
            Mutant(
                "no reshape",
                lambda data, size: data.split(size),
                "You split the first dimension, the environments. Make one row of all steps first: `reshape(-1)`.",
            ),
            Mutant(
                "one too few",
                lambda data, size: data.reshape(-1).split(size)[:-1],
                "You always drop the last piece, also when it is full. Drop it only where steps are missing.",
            ),
        ],
    ),
    Exercise(
        number="2.4",
        tests="Both observations lost their speeds, and the original kept them.",
        draw=lambda draw: {"data": _transitions(draw, 6)},
        reference=_hide,
        mutants=[
            Mutant(
                "forgets next",
                lambda data: _hide(data, following=False),
                "The speeds can still be read in `('next', 'observation')`. Hide them there too.",
            ),
            Mutant(
                "next only",
                lambda data: _hide(data, root=False),
                "You hid them in `next` only. Do the same with the `observation` at the top.",
            ),
            Mutant(
                "rows",
                lambda data: _hide(data, where=([1, 3],)),
                "You cleared *steps* 1 and 3, all features of them. Rows come first, features second: `[:, [1, 3]]`.",
            ),
            Mutant(
                "drops columns",
                _drop_speeds,
                "You removed the two features. A network that expects four numbers still wants four: set them to 0.",
            ),
            Mutant(
                "clears a copy",
                lambda data: data.clone(),
                "Nothing has changed. Indexing with a list makes a copy, so `[:, [1, 3]].zero_()` clears that copy; "
                "and an entry replaced in a slice is lost with the slice. Assign in place: `tensor[:, [1, 3]] = 0`.",
            ),
            Mutant(
                "everything",
                lambda data: _hide(data, where=slice(None)),
                "You cleared all four features. Only the speeds, features 1 and 3, are to go.",
            ),
        ],
    ),
    Exercise(
        number="2.5",
        tests="Pictures became numbers from 0 to 1, at every depth, and nothing else was touched.",
        draw=_pictures,
        reference=_scale,
        mutants=[
            Mutant(
                "everything to float",
                lambda data: data.float(),
                "`float()` converts every entry, flags and whole actions too, and divides nothing. Choose by "
                "`entry.dtype`.",
            ),
            Mutant(
                "no division",
                lambda data: data.apply(lambda entry: entry.float() if entry.dtype == torch.uint8 else entry),
                "The type is right, but your pictures go from 0 to 255. Divide by 255.",
            ),
            Mutant(
                "divides everything",
                lambda data: data.float() / 255,
                "You divide every entry by 255, rewards and flags too. Only `torch.uint8` entries are pictures.",
            ),
            Mutant(
                "all that is not float",
                lambda data: data.apply(lambda entry: entry if entry.is_floating_point() else entry.float() / 255),
                "You took everything that is not floating-point, so also actions (`int64`) and flags (`bool`). Ask for "
                "`torch.uint8`.",
            ),
            Mutant(
                "top level only",
                _scale_top_level,
                "The pictures at the top are right, those inside `next` are not: a loop over `items()` stays at the "
                "top level. `apply` goes to every depth.",
            ),
            Mutant(
                "only the pictures",
                lambda data: data.named_apply(
                    lambda key, entry: entry.float() / 255 if entry.dtype == torch.uint8 else None
                ),
                "The other entries are gone: where the function returns None, the entry is left out. Return "
                "it as it is.",
            ),
        ],
    ),
]
