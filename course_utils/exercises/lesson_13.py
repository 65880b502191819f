"""Exercises of lesson 13."""

import difflib
from collections import Counter

import torch

from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _costs(draw: Draw) -> dict:
    ours, theirs = draw.uniform(20, 60), draw.uniform(70, 200)
    return {"env": draw.uniform(50, 5_000), "ours": ours, "theirs": theirs}


def _scripts(draw: Draw) -> dict:
    lines = ["import torch", "envs = make()", "for batch in data:", "    loss = td(batch)", "    loss.backward()"]
    lines += ["    optimiser.step()", "print(loss)", "envs.close()"]
    dropped = draw.flags(0.5, 3).tolist()
    kept = lines[:5] + [line for line, drop in zip(lines[5:], dropped, strict=True) if not drop]
    new = [f"    loss = loss + {number}" for number in (50 * torch.arange(3) + draw.integers(0, 50, 3)).tolist()]
    # What a wrong count stumbles over, each a different number of times: a line that moved, two indented comments,
    # lines that are only indented, four comments in all, five blank lines.
    deeper = ["    " + line for line in kept[:4]]
    after = ["# another", new[0], kept[-1], *deeper, "", *kept[4:-1], "", "", *new, "    # a", "    # b", "", new[0]]
    after += 2 * ["import torch"]  # more often than `before` has it
    return {"before": "\n".join(["# a script", *lines]), "after": "\n".join([*after, "", "#"])}


def _lines(text: str, *, comments: bool = False, blank: bool = False, indented: bool = False) -> list[str]:
    found = [line.rstrip() if indented else line.strip() for line in text.splitlines()]
    return [line for line in found if (blank or line) and (comments or not line.strip().startswith("#"))]


def _new_lines(before: str, after: str, **counted: bool) -> int:
    return sum((Counter(_lines(after, **counted)) - Counter(_lines(before, **counted))).values())


def _in_order(before: str, after: str) -> int:
    return sum(line.startswith("+ ") for line in difflib.ndiff(_lines(before), _lines(after)))


def _buffer(draw: Draw) -> dict:
    # Over; over by the clock alone; going on.
    dones = torch.tensor([1.0, 1, 1, 0, 0, 1, 0, 1])[:, None]
    timeouts = torch.tensor([0.0, 1, 1, 0, 0, 0, 0, 1])[:, None]
    order = draw.normal(8).argsort()
    return {
        "rewards": draw.normal(8, 1),
        "best_next": 5 + draw.normal(8, 1),
        "dones": dones[order],
        "timeouts": timeouts[order],
        "gamma": draw.uniform(0.9, 0.99),
    }


def _target(rewards, best_next, dones, timeouts, gamma):
    return rewards + gamma * best_next * (1 - dones * (1 - timeouts))


def _ends(draw: Draw) -> dict:
    over = draw.flags(0.25, 4, 12)
    over[0, 11], over[1, 3], over[2, 11] = True, True, False
    over[:, 1:] &= ~over[:, :-1].clone()  # the call after an end is a reset, which cannot end anything
    return {"over": over}


def _needs(draw: Draw) -> dict:
    has, needs = draw.flags(0.6, 4, 6), draw.flags(0.4, 6)
    has[0] |= needs  # so that there is somebody to choose,
    has[1] = ~needs  # somebody who has just what nobody asked for,
    needs[0], has[0, 0], has[1, 0] = True, True, False
    has[2] = needs  # and somebody who has nothing else
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
        ],
    ),
]
