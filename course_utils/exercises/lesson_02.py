"""Exercises of lesson 02."""

from itertools import pairwise

import torch
from tensordict import TensorDict, TensorDictBase

from course_utils.exercises.drawn import mixed, rollout, whole
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.records import examine_by_episode


def _falls(data):
    return data[data["next", "terminated"].squeeze(-1)]


def _full_batches(data, size):
    rows = data.reshape(-1)
    return rows[: len(rows) // size * size].split(size)


def _no_generator(pieces, inputs):
    if not isinstance(pieces, (list, tuple, TensorDictBase)):
        raise TypeError("a list or tuple is asked for")
    return pieces


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
    # Pictures with and without colours at three depths, dark ones too, beside other whole numbers and other entries of
    # four dimensions. What is a picture in one draw is none in another under that name, so that no name tells.
    frames = whole(draw, 2, 5)
    names = ["camera", "pixels", "view"]
    name, other, third = (names[place] for place in mixed(draw, len(names)))

    def picture(*shape: int, brightest: int = 255) -> torch.Tensor:
        return draw.integers(0, brightest + 1, frames, *shape).to(torch.uint8)

    inner = {name: picture(3, 4, 4), "speed": draw.normal(frames, 1), "zoomed": picture(4, 4)}
    following = {
        name: picture(3, 4, 4),
        "health": draw.integers(0, 9, frames, 1).to(torch.int32),
        "reward": draw.normal(frames, 1),
        "info": inner,
    }
    data = {
        name: picture(3, 4, 4),
        "at_night": picture(4, 4, brightest=1),
        other: 10 * draw.normal(frames, 3, 4, 4),
        third: draw.integers(0, 300, frames, 3, 4, 4),
        "goal": draw.normal(frames, 2).half(),
        "action": draw.integers(0, 5, frames, 1).to(torch.int16),
        "done": draw.flags(0.4, frames, 1),
        "next": following,
    }
    return {"data": TensorDict(data, batch_size=[frames])}


def _scale(data):
    return data.apply(lambda entry: entry.float() / 255 if entry.dtype == torch.uint8 else entry)


def _scale_levels(data, levels):
    result = data.clone()
    for key, entry in data.items():
        if isinstance(entry, torch.Tensor):
            result[key] = entry.float() / 255 if entry.dtype == torch.uint8 else entry
        elif levels > 1:
            result[key] = _scale_levels(entry, levels - 1)
    return result


def _cuts(data, key=("next", "done"), behind=1, rest=True):
    ends = data[key].squeeze(-1).nonzero().squeeze(-1) + behind
    cuts = [0, *ends.tolist()]
    return [*cuts, len(data)] if rest and cuts[-1] < len(data) else cuts


def _rows(data, cuts, longest=None):
    longest = longest or max(stop - start for start, stop in pairwise(cuts))
    rows = []
    for start, stop in pairwise(cuts):
        row = torch.zeros_like(data[:1].expand(longest))
        row[: stop - start] = data[start:stop]
        row["mask"] = torch.arange(longest) < stop - start
        rows.append(row)
    return torch.stack(rows)


def _by_episode(data):
    return _rows(data, _cuts(data))


def _mask_of_what_is_not_0(data):
    rows = _by_episode(data)
    return rows.set("mask", rows["next", "reward"].squeeze(-1) > 0)


def _last_step_again(data):
    cuts, longest = _cuts(data), _by_episode(data).shape[1]
    places = torch.stack([torch.arange(longest).clamp(max=stop - start - 1) + start for start, stop in pairwise(cuts)])
    return data[places].set("mask", _by_episode(data)["mask"])


def _padding_in_front(data):
    rows = _by_episode(data)
    return torch.stack([row[row["mask"].sort(stable=True).indices] for row in rows])


def _with_rows(change):
    def by_episode(data):
        rows = _by_episode(data)
        return change(rows)

    return by_episode


def _marks_its_input(data):
    data["step"] = torch.arange(len(data))
    return _by_episode(data).exclude("step")


_RECORD_MUTANTS = [
    Mutant(
        "the last one lost",
        lambda data: _rows(data, _cuts(data, rest=False)) if data["next", "done"].any() else data[None, :0],
        "They are an episode, too, one that is under way.",
    ),
    Mutant(
        "cuts at terminated",
        lambda data: _rows(data, _cuts(data, ("next", "terminated"))),
        "Cut at `done`, not at `terminated`.",
    ),
    Mutant(
        "looks at the root",
        lambda data: _rows(data, _cuts(data, "done")),
        'An end stands under `next`: `data["next", "done"]`; at the root it is False.',
    ),
    Mutant(
        "cuts before the last step",
        lambda data: _rows(data, _cuts(data, behind=0)),
        "A step that is `done` is the last of its episode: cut behind it.",
    ),
    Mutant(
        "an empty episode",
        lambda data: _rows(data, [*_cuts(data, rest=False), len(data)]),
        "Cut behind a `done` only where steps follow.",
    ),
    Mutant(
        "as wide as the record",
        lambda data: _rows(data, _cuts(data), len(data)),
        "It is as wide as the whole record; as wide as the longest episode is enough",
    ),
    Mutant("a list", lambda data: list(_by_episode(data)), "It has to be one TensorDict: `torch.stack` the rows."),
    Mutant(
        "no mask",
        _with_rows(lambda rows: rows.exclude("mask")),
        "The entry `mask` is missing. Nobody can tell a padded step from one in which all is 0.",
    ),
    Mutant(
        "what is 0 was not played",
        _mask_of_what_is_not_0,
        "A step in which all is 0 may have been played: count steps, and do not look at values.",
    ),
    Mutant(
        "marks the padding",
        _with_rows(lambda rows: rows.set("mask", ~rows["mask"])),
        "`mask` is the wrong way round: True is for the steps that were played, False for padding.",
    ),
    Mutant(
        "a mask like a flag",
        _with_rows(lambda rows: rows.set("mask", rows["mask"].unsqueeze(-1))),
        "It has one flag for each step",
    ),
    Mutant(
        "padding in front",
        _padding_in_front,
        "The padding stands before the steps. Each row begins with its first step.",
    ),
    Mutant(
        "the longest first",
        _with_rows(lambda rows: rows[rows["mask"].sum(1).argsort(descending=True)]),
        "Keep the order in which they were played.",
    ),
    Mutant(
        "known entries only",
        _with_rows(lambda rows: rows.select("mask", "done", "terminated", "truncated", "next")),
        "Work on the whole TensorDict, and name no entry but `done`.",
    ),
    Mutant(
        "real numbers", _with_rows(lambda rows: rows.float().set("mask", rows["mask"])), "Every entry keeps its type."
    ),
    Mutant("the last step again", _last_step_again, "Padding is to be 0 or False"),
    Mutant(
        "marks its input",
        _marks_its_input,
        "Your function adds entries to `data`, which its caller still needs. Work on a copy.",
    ),
]

EXERCISES = [
    Exercise(
        number="2.1",
        tests="Only the steps that ended with a fall are left, and each with all its entries.",
        draw=lambda draw: {"data": rollout(draw, whole(draw, 8, 16))},
        reference=_falls,
        mutants=[
            Mutant(
                "flag of the root",
                lambda data: data[data["terminated"].squeeze(-1)],
                "You read the flag at the root, which is never True: a step is only taken while the episode runs. What "
                "the step led to stands under `next`.",
            ),
            Mutant(
                "every end",
                lambda data: data[data["next", "done"].squeeze(-1)],
                "You keep every end. `done` is also True where only the clock ran out; a fall is `terminated`.",
            ),
            Mutant(
                "clock too",
                lambda data: data[data["next", "truncated"].squeeze(-1)],
                "You keep the steps on which the clock ran out (`truncated`). A fall is `terminated`.",
            ),
            Mutant(
                "falls before the clock",
                lambda data: data[(data["next", "done"] & ~data["next", "truncated"]).squeeze(-1)],
                "You leave out falls on a step on which the clock ran out, too. They led to `terminated` all the same.",
            ),
            Mutant(
                "the first fall",
                lambda data: data[data["next", "terminated"].squeeze(-1)][:1],
                "You give the first fall only. All steps that led to `terminated` are asked for: a mask keeps them.",
            ),
            Mutant(
                "the step after",
                lambda data: data[torch.cat([torch.zeros(1, dtype=torch.bool), data["next", "terminated"][:-1, 0]])],
                "You give the step *after* each fall, the first of the next episode. The flag under `next` belongs to "
                "its own row.",
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
                "two of ten",
                (2, 6, 2, 4),
                "`:3` takes three positions: 0, 1 and 2. The last one named does not count.",
            ),
            Mutant(
                "features before time",
                (2, 6, 4, 3),
                "The features come last: they are no batch dimension, and stacking does not move them.",
            ),
            Mutant(
                "cuts both",
                (2, 6, 3, 3),
                "The cut is made once, to the last *batch* dimension. The four features stay.",
            ),
            Mutant(
                "no environments",
                (2, 3, 4),
                "The six environments are missing: `many` has batch size `[6, 10]`, and stacking puts a 2 in front.",
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
            "data": rollout(draw, whole(draw, 2, 5), whole(draw, 6, 9)),
            "size": whole(draw, 2, 6),  # sometimes nothing is left over
        },
        reference=_full_batches,
        probe=_no_generator,
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
                "first environment",
                lambda data, size: [
                    data[0, first : first + size] for first in range(0, data.shape[1] - size + 1, size)
                ],
                "You take the first environment only. The steps of all environments belong into the row.",
            ),
            Mutant(
                "the first again",
                lambda data, size: [data.reshape(-1)[:size]] * (data.numel() // size),
                "All your batches are the first one. Each begins where the one before it ended.",
            ),
            Mutant(
                "one tensordict",
                lambda data, size: data.reshape(-1)[: data.numel() // size * size].reshape(-1, size),
                "The rows are right, but they are still one TensorDict of batch size `[batches, size]`. Asked for is a "
                "list of TensorDicts: `split(size)`, or `unbind(0)`.",
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
        draw=lambda draw: {"data": rollout(draw, whole(draw, 4, 9))},
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
                "positions",
                lambda data: _hide(data, where=(slice(None), [0, 2])),
                "You cleared features 0 and 2, position and angle. Counting starts at 0: the speeds are 1 and 3.",
            ),
            Mutant(
                "first speed only",
                lambda data: _hide(data, where=(slice(None), [1])),
                "You cleared the speed of the cart only. Feature 3, the speed of the pole, has to go as well.",
            ),
            Mutant(
                "slice",
                lambda data: _hide(data, where=(slice(None), slice(1, 3))),
                "`1:3` means features 1 and 2. To pick single ones give a list: `[1, 3]`.",
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
        exact_type=True,
        may_change_inputs=True,
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
                "nothing",
                lambda data: data.clone(),
                "Nothing has changed. Compare with the type itself, `entry.dtype == torch.uint8` without quotes, and "
                "return what you made.",
            ),
            Mutant(
                "whole numbers",
                lambda data: data.apply(
                    lambda entry: (
                        entry if entry.is_floating_point() or entry.dtype == torch.bool else entry.float() / 255
                    )
                ),
                "You took everything that is a whole number, actions and counts too. Ask for `torch.uint8`.",
            ),
            Mutant(
                "all but int64",
                lambda data: data.apply(
                    lambda entry: (
                        entry
                        if entry.is_floating_point() or entry.dtype in (torch.bool, torch.int64)
                        else entry.float() / 255
                    )
                ),
                "You name the types that are *not* pictures, and there are more of them: `int16` and `int32` as well. "
                "Ask for `torch.uint8`.",
            ),
            Mutant(
                "others to float",
                lambda data: data.apply(lambda e: e.float() / 255 if e.dtype == torch.uint8 else e.float()),
                "Your pictures are right, but you turn everything else into `float32`, flags and whole numbers too. "
                "All other entries stay as they are.",
            ),
            Mutant(
                "brightest",
                lambda data: data.apply(lambda e: e.float() / e.max() if e.dtype == torch.uint8 else e),
                "You divide each picture by its brightest number, so that a dark one looks as bright as the others. "
                "Divide by 255.",
            ),
            Mutant(
                "256",
                lambda data: data.apply(lambda entry: entry.float() / 256 if entry.dtype == torch.uint8 else entry),
                "You divide by 256. The brightest number is 255, and it has to become 1.",
            ),
            Mutant(
                "double",
                lambda data: data.apply(lambda entry: entry.double() / 255 if entry.dtype == torch.uint8 else entry),
                "The values are right, but they are `float64`, twice as large as networks take. Asked for is "
                "`torch.float32`: `entry.float()`.",
            ),
            Mutant(
                "two levels",
                lambda data: _scale_levels(data, 2),
                "The pictures at the top and inside `next` are right, those that lie deeper are not. `apply` goes to "
                "every depth.",
            ),
            Mutant(
                "by shape",
                lambda data: data.apply(lambda entry: entry.float() / 255 if entry.ndim == 4 else entry),
                "You take every entry of four dimensions for a picture. Some are none, and some pictures have no "
                "colours and only three: ask for `entry.dtype`.",
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
                lambda data: _scale_levels(data, 1),
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
    Build(
        number="2.6",
        tests="Episodes of any length, with any entries, lie side by side, and a mask tells steps from padding.",
        reference=_by_episode,
        examine=examine_by_episode,
        mutants=_RECORD_MUTANTS,
    ),
]
