"""Exercises 15.4 and 15.5: a target for whoever is to move, and the ratings after a game."""

import torch

from course_utils.exercises.drawn import mixed, whole
from course_utils.exercises.exercise import Draw, Exercise, Mutant


def _moves(draw: Draw) -> dict:
    """Moves of a game in which some earn another one.

    Each thing that can happen does: the turn stays or changes, with and without a reward, and the game ends either way,
    on a board without a free cell or with some. The highest value often stands where nobody may move.
    """
    batch, actions = whole(draw, 9, 14), whole(draw, 2, 7)
    turn, kinds = draw.integers(0, 2, batch, 1), torch.tensor(mixed(draw, batch))[:, None]
    values, mask = 0.3 + draw.normal(batch, actions), draw.flags(0.6, batch, actions)
    mask[torch.arange(batch), draw.integers(0, actions, batch)] = True
    best = values.argmax(1)
    hidden = (kinds[:, 0] % 3 == 0) & (mask.sum(1) > 1)
    mask[hidden, best[hidden]] = False
    terminated = kinds % 4 == 3
    mask &= ~(terminated & (kinds > 4))
    reward = torch.where(draw.flags(0.7, batch, 1), draw.normal(batch, 1), torch.zeros(batch, 1))
    return {
        "reward": reward,
        "turn": turn,
        "next_turn": torch.where(kinds % 2 == 0, turn, 1 - turn),
        "next_values": values,
        "next_mask": mask,
        "terminated": terminated,
        "gamma": draw.uniform(0.5, 0.95),
    }


def _best(values, mask, fill=-torch.inf):
    return values.masked_fill(~mask, fill).amax(-1, keepdim=True)


def _total(reward, following, terminated, gamma):
    return reward + gamma * torch.where(terminated, 0.0, following)


def _signed(turn, next_turn, best):
    return torch.where(turn == next_turn, best, -best)


def _turn_target(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _total(reward, _signed(turn, next_turn, _best(next_values, next_mask)), terminated, gamma)


def _always_flipped(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _total(reward, -_best(next_values, next_mask), terminated, gamma)


def _never_flipped(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _total(reward, _best(next_values, next_mask), terminated, gamma)


def _flipped_if_it_stays(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _total(reward, -_signed(turn, next_turn, _best(next_values, next_mask)), terminated, gamma)


def _by_number(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    best = _best(next_values, next_mask)
    return _total(reward, torch.where(next_turn == 0, best, -best), terminated, gamma)


def _mask_ignored(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _total(reward, _signed(turn, next_turn, next_values.amax(-1, keepdim=True)), terminated, gamma)


def _mask_times_values(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    best = (next_values * next_mask).amax(-1, keepdim=True)
    return _total(reward, _signed(turn, next_turn, best), terminated, gamma)


def _mask_upside_down(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _total(reward, _signed(turn, next_turn, _best(next_values, ~next_mask)), terminated, gamma)


def _past_the_end(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return reward + gamma * _signed(turn, next_turn, _best(next_values, next_mask))


def _times_the_end(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return reward + gamma * _signed(turn, next_turn, _best(next_values, next_mask)) * ~terminated


def _worst_for_the_other(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    worst = next_values.masked_fill(~next_mask, torch.inf).amin(-1, keepdim=True)
    following = torch.where(turn == next_turn, _best(next_values, next_mask), worst)
    return _total(reward, following, terminated, gamma)


def _reward_flipped_too(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _turn_target(_signed(turn, next_turn, reward), turn, next_turn, next_values, next_mask, terminated, gamma)


def _no_discount(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    return _turn_target(reward, turn, next_turn, next_values, next_mask, terminated, 1.0)


def _without_keepdim(reward, turn, next_turn, next_values, next_mask, terminated, gamma):
    best = next_values.masked_fill(~next_mask, -torch.inf).amax(-1)
    return _total(reward, _signed(turn, next_turn, best), terminated, gamma)


def _games(draw: Draw) -> dict:
    """Games between players who are close or far apart, in either order, with all three outcomes."""
    games = whole(draw, 4, 9)
    first = 1500 + 200 * draw.normal(games)
    outcome = torch.tensor(mixed(draw, games)) % 3
    return {
        "first": first,
        "second": first + 300 * draw.normal(games),
        "score": outcome / 2,
        "k": draw.uniform(10, 40),
    }


def _expected(first, second, base=10.0, scale=400.0):
    return 1 / (1 + base ** ((second - first) / scale))


def _moved(first, second, gain):
    return first + gain, second - gain


def _after_game(first, second, score, k):
    return _moved(first, second, k * (score - _expected(first, second)))


def _second_after_first(first, second, score, k):
    first = first + k * (score - _expected(first, second))
    return first, second + k * (1 - score - _expected(second, first))


EXERCISES = [
    Exercise(
        number="15.4",
        tests="What follows counts for the mover if the turn stays, else against it; masked; nothing after the end.",
        draw=_moves,
        reference=_turn_target,
        mutants=[
            Mutant(
                "always flipped",
                _always_flipped,
                "Your sign flips after every move. Who moves again has the next value for itself: flip it only where "
                "`next_turn` differs from `turn`.",
            ),
            Mutant(
                "never flipped",
                _never_flipped,
                "Your sign never flips. Where the other player is to move next, its best is your worst: minus.",
            ),
            Mutant(
                "flipped if it stays",
                _flipped_if_it_stays,
                "The other way round: you flip the sign where the turn stays. It is the *other* player's value that "
                "counts against the mover.",
            ),
            Mutant(
                "by the player's number",
                _by_number,
                "You flip the sign whenever player 1 is next. Values belong to whoever is to move, not to player 0: "
                "compare `turn` with `next_turn`.",
            ),
            Mutant(
                "mask ignored",
                _mask_ignored,
                "You take the best of *all* actions. What `next_mask` forbids cannot be played, however high its value "
                "is.",
            ),
            Mutant(
                "mask times values",
                _mask_times_values,
                "A forbidden action has the value 0 in yours, and 0 is better than a negative one. Fill it with minus "
                "infinity before the maximum.",
            ),
            Mutant(
                "mask upside down",
                _mask_upside_down,
                "You take the best of the *forbidden* actions. True in `next_mask` means: may be played.",
            ),
            Mutant(
                "past the end",
                _past_the_end,
                "After the end nothing follows. Where `terminated` is True the target is the reward alone.",
            ),
            Mutant(
                "0 times infinity",
                _times_the_end,
                "Some of your targets are NaN: on a full board the maximum is minus infinity, and 0 times infinity is "
                "not a number. Choose with `torch.where` instead of multiplying.",
            ),
            Mutant(
                "worst for the other",
                _worst_for_the_other,
                "You take the *lowest* value where the other player is next. Values are the next mover's own: it takes "
                "its highest one, and you count that with a minus.",
            ),
            Mutant(
                "reward flipped, too",
                _reward_flipped_too,
                "You flip the sign of the reward as well. It is the mover's own, whoever comes next.",
            ),
            Mutant("no discount", _no_discount, "What follows is worth `gamma` times its value; yours is without."),
            Mutant(
                "without keepdim",
                _without_keepdim,
                "Your maximum has shape [batch] and meets [batch, 1]: broadcasting makes [batch, batch] of it. Use "
                "`keepdim=True`.",
            ),
        ],
    ),
    Exercise(
        number="15.5",
        tests="Each moves by k times score minus expectation, and nothing is lost between the two.",
        draw=_games,
        reference=_after_game,
        mutants=[
            Mutant(
                "expectation of the other",
                lambda first, second, score, k: _moved(first, second, k * (score - _expected(second, first))),
                "You subtract the *second* player's expected score. For the first one the exponent is "
                "`(second - first) / 400`.",
            ),
            Mutant(
                "both gain",
                lambda first, second, score, k: (
                    first + k * (score - _expected(first, second)),
                    second + k * (score - _expected(first, second)),
                ),
                "Both move in the same direction. What the first player gains the second one loses.",
            ),
            Mutant(
                "same score for both",
                lambda first, second, score, k: (
                    first + k * (score - _expected(first, second)),
                    second + k * (score - _expected(second, first)),
                ),
                "The second player is given the first one's score. Its own is `1 - score`.",
            ),
            Mutant(
                "without expectation",
                lambda first, second, score, k: _moved(first, second, k * (score - 0.5)),
                "You move the ratings as if both were equally strong. Who beats somebody weaker gains less: subtract "
                "the expected score.",
            ),
            Mutant(
                "base e",
                lambda first, second, score, k: _moved(first, second, k * (score - _expected(first, second, torch.e))),
                "Your expectation is a power of e (as `sigmoid` is). Elo's is a power of 10: 400 points more are ten "
                "to one.",
            ),
            Mutant(
                "without 400",
                lambda first, second, score, k: _moved(
                    first, second, k * (score - _expected(first, second, scale=1.0))
                ),
                "You do not divide the difference by 400: a few points more would already be a sure win.",
            ),
            Mutant(
                "second after first",
                _second_after_first,
                "You rate the second player with the first one's *new* rating. Both move by the ratings before the "
                "game.",
            ),
            Mutant(
                "draws count nothing",
                lambda first, second, score, k: _moved(
                    first, second, k * ((score == 1) * 1.0 - _expected(first, second))
                ),
                "A draw is a loss in yours. It is half a point.",
            ),
            Mutant(
                "draws change nothing",
                lambda first, second, score, k: _moved(
                    first, second, k * (score - _expected(first, second)) * (score != 0.5)
                ),
                "A draw changes nothing in yours. Who draws against somebody stronger has done better than expected, "
                "and gains.",
            ),
            Mutant(
                "the wrong way",
                lambda first, second, score, k: _moved(first, second, k * (_expected(first, second) - score)),
                "Your winners lose points. It is *score minus expected score*.",
            ),
            Mutant(
                "only the changes",
                lambda first, second, score, k: _moved(0.0, 0.0, k * (score - _expected(first, second))),
                "You return by how much the ratings change. Return the new ratings.",
            ),
        ],
    ),
]
