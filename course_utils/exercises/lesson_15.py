"""Exercises of lesson 15."""

import torch

from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant
from course_utils.exercises.group_teams import MUTANTS, Team
from course_utils.exercises.groups_exam import examine
from course_utils.exercises.play_15 import EXERCISES as PLAY


def _rewards(draw: Draw) -> dict:
    copies, time, agents = int(draw.integers(4, 7)), int(draw.integers(7, 10)), 2 + draw.turn(2)
    return {"reward": 1 + draw.normal(copies, time, agents, 1)}


def _team_reward(reward):
    return reward.mean(-2, keepdim=True).expand_as(reward)


def _distances(draw: Draw) -> dict:
    copies, agents, posts = int(draw.integers(5, 9)), 3 + draw.turn(2), int(draw.integers(5, 7))
    return {"distance": 0.2 + draw.normal(copies, agents, posts).abs()}


def _team(distance):
    return -distance.min(1).values.mean(1)


def _without(distance, team=_team):
    agents = range(distance.shape[1])
    return torch.stack([team(distance[:, [mate for mate in agents if mate != one]]) for one in agents], 1).unsqueeze(-1)


def _credit(distance, team=_team):
    return team(distance)[:, None, None] - _without(distance, team)


def _losses(draw: Draw) -> dict:
    # Those who have left hold large numbers, and on every second sample NaN as well. In some rows all are there.
    frames, agents = int(draw.integers(12, 20)), 3 + draw.turn(2)
    mask = draw.flags(0.6, frames, agents)
    mask[0], mask[1], mask[2, 0], mask[2, 1:] = True, False, True, False
    loss = draw.normal(frames, agents, 1) + 1
    loss[~mask] = 20 + 5 * draw.normal(int((~mask).sum()), 1)
    if draw.turn(2):
        loss[1, 0], loss[2, 1] = torch.nan, torch.nan
    return {"loss": loss, "mask": mask}


def _filled(loss, mask):
    return torch.where(mask.unsqueeze(-1), loss, 0.0)


EXERCISES = [
    Exercise(
        number="15.1",
        tests="Each agent gets the mean over the agents of its own copy and step, and the shape stays.",
        draw=_rewards,
        reference=_team_reward,
        mutants=[
            Mutant(
                "sum",
                lambda reward: reward.sum(-2, keepdim=True).expand_as(reward),
                "You add the agents' rewards up, so a larger team is paid more. Take the mean.",
            ),
            Mutant(
                "over time",
                lambda reward: reward.mean(-3, keepdim=True).expand_as(reward),
                "Your mean is over *time*, so each step is paid for all others as well. The agents are dimension -2.",
            ),
            Mutant(
                "over copies",
                lambda reward: reward.mean(0, keepdim=True).expand_as(reward),
                "Your mean is over the *copies*, which have nothing to do with one another. Agents are dimension -2.",
            ),
            Mutant(
                "last dimension",
                lambda reward: reward.mean(-1, keepdim=True).expand_as(reward),
                "Your mean is over the last dimension, which has one entry only: nothing changes. The agents are the "
                "last dimension *but one*.",
            ),
            Mutant(
                "one reward for the team",
                lambda reward: reward.mean(-2),
                "The values are right, but there is one a team. Each agent needs its own: keep the dimension and "
                "stretch it with `expand_as`.",
            ),
            Mutant(
                "kept but not stretched",
                lambda reward: reward.mean(-2, keepdim=True),
                "The dimension of the agents is there, but has one entry. `expand_as(reward)` gives the mean to each.",
            ),
            Mutant(
                "mean of all",
                lambda reward: reward.mean().expand_as(reward),
                "You take one mean over everything: all copies, all steps. It is over the agents alone.",
            ),
            Mutant(
                "of the others",
                lambda reward: (reward.sum(-2, keepdim=True) - reward) / (reward.shape[-2] - 1),
                "You give each agent the mean of the *others*. Its own reward is a part of the team's.",
            ),
            Mutant(
                "worst",
                lambda reward: reward.min(-2, keepdim=True).values.expand_as(reward),
                "You give everybody the smallest of the rewards. Take the mean.",
            ),
            Mutant(
                "best",
                lambda reward: reward.max(-2, keepdim=True).values.expand_as(reward),
                "You give everybody the largest of the rewards. Take the mean.",
            ),
        ],
    ),
    Exercise(
        number="15.2",
        tests="The team's reward, minus what the others would have got alone.",
        draw=_distances,
        reference=_credit,
        mutants=[
            Mutant(
                "sign",
                lambda distance: -_credit(distance),
                "You subtract the wrong way round: with me minus without me. Nobody can hurt this team, so no credit "
                "is below 0.",
            ),
            Mutant(
                "the others' reward",
                _without,
                "That is what the others would have got alone. The credit is the team's reward *minus* that.",
            ),
            Mutant(
                "the team's reward",
                lambda distance: _team(distance)[:, None, None].expand(-1, distance.shape[1], 1),
                "You give each agent the team's reward. Subtract what the others would have got without this one: "
                "leave its row out (with distances of 0 it would stand at every post).",
            ),
            Mutant(
                "own reward",
                lambda distance: -distance.min(2, keepdim=True).values,
                "That is each agent's own reward, the post closest to *it*. Here the team's reward is compared with "
                "and without the agent.",
            ),
            Mutant(
                "post closest to each agent",
                lambda distance: _credit(distance, lambda some: -some.min(2).values.mean(1)),
                "Your team's reward looks for the post closest to each agent. It is the other way round: for each post "
                "the *agent* that is closest, dimension 1.",
            ),
            Mutant(
                "sum over posts",
                lambda distance: _credit(distance, lambda some: -some.min(1).values.sum(1)),
                "You add up over the posts. The team's reward is the *mean* over them.",
            ),
            Mutant(
                "alone",
                lambda distance: -distance.mean(2, keepdim=True),
                "That is what the team would get if *only* this agent existed. Leave this agent out, and keep the "
                "others.",
            ),
            Mutant(
                "shares",
                lambda distance: _credit(distance) / distance.shape[1],
                "You divide by the number of agents. The credit is the whole difference that this agent makes.",
            ),
            Mutant(
                "one dimension too few",
                lambda distance: _credit(distance).squeeze(-1),
                "The values are right, but their shape is [copies, agents]. A reward ends in a dimension of 1.",
            ),
        ],
    ),
    Exercise(
        number="15.3",
        tests="The mean over those who are there; the others count for nothing, not even as NaN.",
        draw=_losses,
        reference=lambda loss, mask: loss[mask].mean(),
        gradient=("loss",),
        mutants=[
            Mutant(
                "everybody",
                lambda loss, mask: loss.mean(),
                "You take the mean over everybody. Rows of agents that have left hold filling: pick with `mask` first.",
            ),
            Mutant(
                "those who left",
                lambda loss, mask: loss[~mask].mean(),
                "You take the mean over those who are *not* there: `mask` is True where an agent is present.",
            ),
            Mutant(
                "multiplied",
                lambda loss, mask: (loss * mask.unsqueeze(-1)).sum() / mask.sum(),
                "Without NaN this is right. But NaN times 0 is NaN: one agent that left spoils the whole loss. Pick, "
                "or use `torch.where`.",
            ),
            Mutant(
                "zeros that count",
                lambda loss, mask: _filled(loss, mask).mean(),
                "You divide by the number of all rows, so those who left count as losses of 0. Divide by how many are "
                "there.",
            ),
            Mutant(
                "sum",
                lambda loss, mask: loss[mask].sum(),
                "You add up. With more agents the loss would be larger: take the mean over those who are there.",
            ),
            Mutant(
                "only NaN left out",
                lambda loss, mask: loss.nanmean(),
                "`nanmean` leaves out NaN, but not the other filling: who has left may hold any number. Ask `mask`.",
            ),
            Mutant(
                "frame by frame",
                lambda loss, mask: (_filled(loss, mask).sum((1, 2)) / mask.sum(1).clamp(min=1)).mean(),
                "You take a mean for each frame, then the mean of those: an agent that is alone counts more than one "
                "in company, and empty frames count as 0. One mean over all pairs.",
            ),
            Mutant(
                "agent by agent",
                lambda loss, mask: (_filled(loss, mask).sum((0, 2)) / mask.sum(0).clamp(min=1)).mean(),
                "You take a mean for each agent, then the mean of those: who leaves early counts more for each of its "
                "frames. One mean over all pairs.",
            ),
            Mutant(
                "frames without a gap",
                lambda loss, mask: loss[mask.all(1)].mean(),
                "You keep only frames in which *all* agents are there. Where one has left, those who stayed count.",
            ),
        ],
    ),
    *PLAY,
    Build(
        number="15.6",
        tests="Every group acts by its own observations, learns from its own reward alone, and earns more than before.",
        reference=Team,
        examine=examine,
        mutants=MUTANTS,
        seconds=40.0,
    ),
]
