"""Exercises of lesson 13."""

import difflib
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant
from course_utils.exercises.port_written import BUILD


def _costs(draw: Draw) -> dict:
    less, more = draw.uniform(20, 60), draw.uniform(70, 200)
    ours, theirs = (less, more) if draw.turn(3) else (more, less)  # the first library may be the slower one
    return {"env": draw.uniform(50, 5_000), "ours": ours, "theirs": theirs}


def _scripts(draw: Draw) -> dict:
    lines = ["import torch", "envs = make()", "for batch in data:", "    loss = td(batch)", "    loss.backward()"]
    lines += ["    optimiser.step()", "print(loss)", "envs.close()"]
    dropped = draw.flags(0.5, 3).tolist()
    kept = lines[:5] + [line for line, drop in zip(lines[5:], dropped, strict=True) if not drop]
    new = [f"    loss = loss + {number}" for number in (50 * torch.arange(3) + draw.integers(0, 50, 3)).tolist()]
    noted = ["data = play(envs)", "lr = 1e-3", "tau = 5e-3"][: int(draw.integers(1, 4))]
    # What a wrong count stumbles over, each a different number of times: a line that moved, two indented comments,
    # lines that are only indented, four comments in all, five blank lines and some of spaces, comments behind code that
    # are a part of their line, pieces of an old line, and one that the old script has more often.
    deeper = ["    " + line for line in kept[:4]]
    after = ["# another", new[0], kept[-1], *deeper, "", *kept[4:-1], "", "", *new, "    # a", "    # b", "", new[0]]
    after += [
        *(f"{line}  # why" for line in noted),
        "clip = 1.0  # new",
        "seed = 1",
        *["   "] * int(draw.integers(2, 6)),
    ]
    after += ["    td(batch)", "step()", "print", "optimiser"][: int(draw.integers(2, 5))]
    after += 2 * ["import torch"]  # more often than `before` has it
    if draw.turn(2):
        after.insert(0, "import torch")  # the scripts begin alike
    if draw.turn(3):  # else its last line is code
        after += ["", "#"]
    return {"before": "\n".join(["# a script", *lines, *noted, *5 * ["seed = 1"]]), "after": "\n".join(after)}


def _lines(
    text: str,
    *,
    comments: bool = False,
    blank: bool = False,
    indented: bool = False,
    inline: Callable[[str], str] = lambda line: line,
) -> list[str]:
    found = [line.rstrip() if indented else inline(line.strip()) for line in text.splitlines()]
    return [line for line in found if (blank or line) and (comments or not line.strip().startswith("#"))]


def _dropped(line: str) -> str:
    return "" if "#" in line else line


def _cut_off(line: str) -> str:
    return line.split("#")[0].strip()


def _new_lines(before: str, after: str, **counted: Any) -> int:
    return sum((Counter(_lines(after, **counted)) - Counter(_lines(before, **counted))).values())


def _in_order(before: str, after: str) -> int:
    return sum(line.startswith("+ ") for line in difflib.ndiff(_lines(before), _lines(after)))


def _buffer(draw: Draw) -> dict:
    # Over; over by the clock alone; going on.
    more = int(draw.integers(0, 4))
    dones = torch.tensor([1.0, 1, 1, 0, 0, 1, 0, 1] + more * [0])[:, None]
    timeouts = torch.tensor([0.0, 1, 1, 0, 0, 0, 0, 1] + more * [0])[:, None]
    order = draw.normal(8 + more).argsort()
    return {
        "rewards": draw.normal(8 + more, 1),
        "best_next": 5 + draw.normal(8 + more, 1),
        "dones": dones[order],
        "timeouts": timeouts[order],
        "gamma": draw.uniform(0.9, 0.99),
    }


def _target(rewards, best_next, dones, timeouts, gamma):
    return rewards + gamma * best_next * (1 - dones * (1 - timeouts))


def _ends(draw: Draw) -> dict:
    # A copy that ends at the last call, one that ends early, one that never ends.
    over = draw.flags(0.25, int(draw.integers(3, 7)), int(draw.integers(8, 13)))
    over[0, -1], over[1, 3], over[2] = True, True, False
    over[:, 1:] &= ~over[:, :-1].clone()  # the call after an end is a reset, which cannot end anything
    return {"over": over}


def _needs(draw: Draw) -> dict:
    libraries, features = int(draw.integers(4, 7)), int(draw.integers(5, 9))
    has, needs = draw.flags(0.6, libraries, features), draw.flags(0.4, features)
    has[0] |= needs  # so that there is somebody to choose,
    has[1] = ~needs  # somebody who has just what nobody asked for,
    needs[0], has[0, 0], has[1, 0] = True, True, False
    has[2] = needs  # and somebody who has nothing else
    if draw.turn(3) == 0:  # nobody is left: what one feature does not rule out, another one does
        needs[-1], has[:, -1] = True, False
    return {"has": has, "needs": needs}


EXERCISES = [
    Exercise(
        number="13.1",
        tests="The whole frame counts on both sides: environment plus library.",
        draw=_costs,
        reference=lambda env, ours, theirs: (env + theirs) / (env + ours),
        mutants=[
            Mutant(
                "libraries alone",
                lambda env, ours, theirs: theirs / ours,
                "That compares the libraries alone. Your run also waits for the environment, whichever library steps "
                "it: add its time to both.",
            ),
            Mutant(
                "upside down",
                lambda env, ours, theirs: (env + ours) / (env + theirs),
                "Upside down: a result above 1 should mean that the first library is the quicker one, so the slower "
                "one's time stands on top.",
            ),
            Mutant(
                "difference",
                lambda env, ours, theirs: theirs - ours,
                "That is a difference, in microseconds. 'Times as fast' is a quotient.",
            ),
            Mutant(
                "environment once",
                lambda env, ours, theirs: (env + theirs) / ours,
                "You gave the environment's time to one side only. It is waited for under both libraries.",
            ),
            Mutant(
                "without brackets",
                lambda env, ours, theirs: env + theirs / (env + ours),
                "Python divides before it adds. Put each sum in brackets: `(env + theirs) / ...`.",
            ),
            Mutant(
                "minus one",
                lambda env, ours, theirs: (env + theirs) / (env + ours) - 1,
                "That is by what share the run is *faster*. '1.2 times as fast' is 1.2, not 0.2.",
            ),
            Mutant(
                "environment under the line",
                lambda env, ours, theirs: theirs / (env + ours),
                "The environment's time stands under the line alone. The other library waits for it as well: add it on "
                "both sides.",
            ),
            Mutant(
                "environment beside the quotient",
                lambda env, ours, theirs: env + theirs / ours,
                "You add the environment's time to the quotient. It is a part of both times: add it to each, then "
                "divide.",
            ),
            Mutant(
                "the slower by the faster",
                lambda env, ours, theirs: (env + max(ours, theirs)) / (env + min(ours, theirs)),
                "You always divide the larger time by the smaller. Where the first library is the slower one, the "
                "result is below 1.",
            ),
            Mutant(
                "share saved",
                lambda env, ours, theirs: (theirs - ours) / (env + theirs),
                "That is the share of the time that is saved. 'Times as fast' is the other time over ours.",
            ),
            Mutant(
                "frames per second",
                lambda env, ours, theirs: 1e6 / (env + ours),
                "These are frames per second with the first library. How many times those with the other one are they?",
            ),
        ],
    ),
    Exercise(
        number="13.2",
        tests="Lines of the new script that the old one cannot supply, each old line used once.",
        draw=_scripts,
        reference=_new_lines,
        mutants=[
            Mutant(
                "difference of lengths",
                lambda before, after: len(_lines(after)) - len(_lines(before)),
                "You subtract the lengths. A script can grow by nothing and still be all new: compare the lines.",
            ),
            Mutant(
                "set of lines",
                lambda before, after: len(set(_lines(after)) - set(_lines(before))),
                "A set holds each line once, so a new line that is written twice counts once. Somebody typed it twice.",
            ),
            Mutant(
                "different lines",
                lambda before, after: len(Counter(_lines(after)) - Counter(_lines(before))),
                "You count *different* new lines. One that is written twice is two lines: add up the counts.",
            ),
            Mutant(
                "gone lines too",
                lambda before, after: _new_lines(before, after) + _new_lines(after, before),
                "You also count the lines that are gone. Here we ask only what has to be written.",
            ),
            Mutant(
                "gone lines only",
                lambda before, after: _new_lines(after, before),
                "The other way round: those are the lines of `before` that `after` has no use for.",
            ),
            Mutant(
                "one line for many",
                lambda before, after: sum(line not in _lines(before) for line in _lines(after)),
                "You let one line of `before` stand in for many in `after`. It can be used once; who needs it twice "
                "has to type it again.",
            ),
            Mutant(
                "in order",
                _in_order,
                "You compare the scripts in order, so a line that only moved is new to you. A line of `before` can be "
                "used wherever it stands.",
            ),
            Mutant(
                "indentation counts",
                lambda before, after: _new_lines(before, after, indented=True),
                "A line that was only indented is new to you. Ignore indentation: `strip` each line.",
            ),
            Mutant(
                "comments too",
                lambda before, after: _new_lines(before, after, comments=True),
                "You count comments as well. Leave lines that begin with `#` out, indented ones too, in both scripts.",
            ),
            Mutant(
                "indented comments",
                lambda before, after: sum(
                    (
                        Counter(line.strip() for line in after.splitlines() if line.strip() and line[0] != "#")
                        - Counter(_lines(before))
                    ).values()
                ),
                "A comment may be indented. `strip` a line first, and look for the `#` then.",
            ),
            Mutant(
                "blank lines too",
                lambda before, after: _new_lines(before, after, blank=True),
                "You count blank lines as well. A line with nothing in it after `strip` is none.",
            ),
            Mutant(
                "comments behind code",
                lambda before, after: _new_lines(before, after, inline=_dropped),
                "You leave out every line with a `#` in it. A comment is a line that *begins* with one; code with a "
                "comment behind it is code.",
            ),
            Mutant(
                "comments behind code cut off",
                lambda before, after: _new_lines(before, after, inline=_cut_off),
                "You cut off comments behind code, so a line that got one is not new to you. Only lines that begin "
                "with `#` are left out; all others count as they are written.",
            ),
            Mutant(
                "pieces of lines",
                lambda before, after: sum(line not in before for line in _lines(after)),
                "You look for each line anywhere in the *text* of `before`, so a piece of a longer line will do. "
                "Compare whole lines; and each can be used once.",
            ),
            Mutant(
                "line by line",
                lambda before, after: (
                    sum(one != other for one, other in zip(_lines(after), _lines(before), strict=False))
                    + max(0, len(_lines(after)) - len(_lines(before)))
                ),
                "You compare the first line with the first, the second with the second. A line of `before` can be used "
                "wherever it stands.",
            ),
            Mutant(
                "lines of after",
                lambda before, after: len(_lines(after)),
                "You count all lines of `after`. Those that `before` can supply need not be written.",
            ),
            Mutant(
                "supplied lines",
                lambda before, after: (Counter(_lines(after)) & Counter(_lines(before))).total(),
                "The other way round: those are the lines that `before` *can* supply.",
            ),
            Mutant(
                "nothing ignored",
                lambda before, after: (Counter(after.split("\n")) - Counter(before.split("\n"))).total(),
                "You compare the lines as they are. Ignore indentation, blank lines and comments, in both scripts.",
            ),
            Mutant(
                "lines of spaces",
                lambda before, after: _new_lines(before, after) + after.split("\n").count("   "),
                "You count lines that hold nothing but spaces. They are blank as well: `strip` a line first, then look "
                "whether anything is left.",
            ),
            Mutant(
                "blank lines and comments",
                lambda before, after: _new_lines(before, after, blank=True, comments=True),
                "You count blank lines and comments as well. Leave both out, in both scripts.",
            ),
            Mutant(
                "only what was in before",
                lambda before, after: sum(
                    count - Counter(_lines(before))[line] for line, count in Counter(_lines(after)).items()
                ),
                "Where `before` has a line more often than `after`, you subtract the rest. It helps nobody: no line "
                "counts less than 0.",
            ),
        ],
    ),
    Exercise(
        number="13.3",
        tests="Nothing follows where an episode is over and the clock did not end it.",
        draw=_buffer,
        reference=_target,
        mutants=[
            Mutant(
                "stops at the clock too",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next * (1 - dones),
                "You stop at every end. `dones` is also 1 where only the clock ran out, and there the future goes on: "
                "what TorchRL calls `terminated` is an end that was no timeout.",
            ),
            Mutant(
                "never stops",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next,
                "You never stop, so a fallen pole is worth as much as a standing one.",
            ),
            Mutant(
                "stops at the clock only",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next * (1 - timeouts),
                "The wrong way round: you stop where the clock ran out, and go on where the pole fell.",
            ),
            Mutant(
                "looks ahead at the end",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next * dones * (1 - timeouts),
                "You found what is `terminated`, and look ahead exactly there. Nothing follows there: multiply by its "
                "opposite.",
            ),
            Mutant(
                "no reward for the last step",
                lambda rewards, best_next, dones, timeouts, gamma: (
                    (rewards + gamma * best_next) * (1 - dones * (1 - timeouts))
                ),
                "You take away the reward of the last step too. It was paid; only what would follow falls away.",
            ),
            Mutant(
                "shape [batch]",
                lambda rewards, best_next, dones, timeouts, gamma: _target(
                    rewards.squeeze(-1), best_next, dones, timeouts, gamma
                ),
                "Shapes [batch] and [batch, 1] together give a table of [batch, batch], without any error. Keep all "
                "of them at [batch, 1].",
            ),
            Mutant(
                "clock taken away twice",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next * (1 - dones - timeouts),
                "Where the clock ran out, `1 - dones - timeouts` is -1. What is `terminated` is over *and not* by the "
                "clock: `dones * (1 - timeouts)`.",
            ),
            Mutant(
                "no gamma",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + best_next * (1 - dones * (1 - timeouts)),
                "Your future counts as much as the reward now: multiply it by `gamma`.",
            ),
            Mutant(
                "looks ahead at the clock only",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next * timeouts,
                "You look ahead only where the clock ran out. Steps in the middle of an episode have a future as well.",
            ),
            Mutant(
                "looks ahead where it is over",
                lambda rewards, best_next, dones, timeouts, gamma: rewards + gamma * best_next * dones,
                "You look ahead where the episode is over, and not in the middle of one. The other way round, except "
                "where only the clock ended it.",
            ),
        ],
    ),
    Exercise(
        number="13.4",
        tests="Every call steps every copy, but the call after an end only resets that copy.",
        draw=_ends,
        reference=lambda over: over.numel() - over[:, :-1].sum(),
        mutants=[
            Mutant(
                "every step of every copy",
                lambda over: over.numel(),
                "You count every call for every copy. The call after an end only resets that copy: nothing was "
                "learned from it.",
            ),
            Mutant(
                "calls",
                lambda over: over.shape[1],
                "That is the number of calls. Each call steps all the copies.",
            ),
            Mutant(
                "all ends taken off",
                lambda over: over.numel() - over.sum(),
                "You also take off the ends in the last column. Their reset would come with the next call, which is "
                "not in this record.",
            ),
            Mutant(
                "the last copy spared",
                lambda over: over.numel() - over[:-1].sum(),
                "You leave out the last *copy*. Calls run along dimension 1: no call follows the last *column*.",
            ),
            Mutant(
                "episodes",
                lambda over: over.sum(),
                "That is the number of episodes that ended. We ask for frames.",
            ),
            Mutant(
                "the first call spared",
                lambda over: over.numel() - over[:, 1:].sum(),
                "You spare the ends of the *first* call. It is after the last call that none follows: leave out the "
                "last column.",
            ),
            Mutant(
                "one end for each copy",
                lambda over: over.numel() - over[:, :-1].any(1).sum(),
                "You take off one call for each copy that ended. A copy can end several times, and is reset each time.",
            ),
            Mutant(
                "added",
                lambda over: over.numel() + over[:, :-1].sum(),
                "You add the ends. The call after an end brings no frame: take them off.",
            ),
            Mutant(
                "resets",
                lambda over: over[:, :-1].sum(),
                "That is how many calls only reset a copy. The frames are all the others.",
            ),
            Mutant(
                "calls in which all copies go on",
                lambda over: (~over.any(0)).sum(),
                "You count calls in which no copy ended. Count transitions, copy by copy.",
            ),
            Mutant(
                "last column left out",
                lambda over: (~over[:, :-1]).sum(),
                "You leave out the last column altogether. Only its *ends* are not taken off; its transitions count.",
            ),
        ],
    ),
    Exercise(
        number="13.5",
        tests="A library is left if it has every feature that is needed; what else it has does not matter.",
        draw=_needs,
        reference=lambda has, needs: (has | ~needs).all(1),
        mutants=[
            Mutant(
                "any",
                lambda has, needs: (has & needs).any(1),
                "You ask for *one* of the needs. All of them are needed.",
            ),
            Mutant(
                "what nobody needs is missing",
                lambda has, needs: (has & needs).all(1),
                "`has & needs` is False for a feature that nobody needs, so it turns everybody away. Such a feature is "
                "fine.",
            ),
            Mutant(
                "everything",
                lambda has, needs: has.all(1),
                "You ask for every feature of the table, needed or not.",
            ),
            Mutant(
                "exactly",
                lambda has, needs: (has == needs).all(1),
                "You turn away libraries that have more than is needed.",
            ),
            Mutant(
                "counts",
                lambda has, needs: has.sum(1) >= needs.sum(),
                "You compare how *many* features there are. Another feature does not stand in for one that is missing.",
            ),
            Mutant(
                "the best",
                lambda has, needs: (has & needs).sum(1) == (has & needs).sum(1).max(),
                "You keep whoever has most of what is needed. If nobody has all of it, nobody is left.",
            ),
            Mutant(
                "any, needed or not",
                lambda has, needs: (has | ~needs).any(1),
                "You ask whether *one* feature is fine. All of them have to be: `all(1)`.",
            ),
            Mutant(
                "who has to go",
                lambda has, needs: ~(has | ~needs).all(1),
                "The other way round: you mark those that lack something.",
            ),
            Mutant(
                "which ones",
                lambda has, needs: (has | ~needs).all(1).nonzero().flatten(),
                "You return the numbers of those that are left. Return a boolean for *each* library.",
            ),
            Mutant(
                "how many",
                lambda has, needs: (has & needs).sum(1),
                "You count how many of the needs each library meets. Does it meet all of them?",
            ),
            Mutant(
                "all libraries",
                lambda has, needs: (has | ~needs).all(0),
                "You ask of each feature whether all libraries are fine. Ask of each library: dimension 1 is that of "
                "the features.",
            ),
            Mutant(
                "implication turned round",
                lambda has, needs: (~has | needs).all(1),
                "You ask that a library has nothing that you do not need. Ask that it has all you do need: `has | "
                "~needs`.",
            ),
        ],
    ),
    BUILD,
]
