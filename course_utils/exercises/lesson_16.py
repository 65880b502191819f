"""Exercises of lesson 16."""

import torch

from course_utils.exercises import grid_planning
from course_utils.exercises.exercise import Build, Draw, Exercise, Mutant


def _network(draw: Draw) -> torch.nn.Module:
    network = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(draw.normal(*weight.shape))
    return network.requires_grad_(False)


def _step(draw: Draw) -> dict:
    batch = int(draw.integers(5, 9))
    inputs = {"network": _network(draw), "state": draw.normal(batch, 3), "action": draw.normal(batch, 1)}
    return inputs | {"scale": 0.3 + draw.normal(3).abs()}


def _asked(network, state, action):
    return network(torch.cat([state, action], -1))


def _road(draw: Draw) -> dict:
    batch, steps = int(draw.integers(5, 8)), int(draw.integers(9, 12))
    return {"network": _network(draw), "state": draw.normal(batch, 3), "actions": draw.normal(steps, batch, 1)}


def _unroll(network, state, actions, step=lambda state, change: state + change):
    states = []
    for action in actions:
        state = step(state, _asked(network, state, action))
        states.append(state)
    return torch.stack(states)


def _said(draw: Draw) -> dict:
    members, batch = 4 + draw.turn(3), int(draw.integers(8, 12))
    return {"said": draw.normal(1, batch, 3) + 0.5 * draw.normal(members, batch, 3)}


def _tries(draw: Draw) -> dict:
    starts, candidates, steps = int(draw.integers(4, 6)), int(draw.integers(9, 13)), int(draw.integers(6, 8))
    actions, returns = draw.normal(starts, candidates, steps), 3 * draw.normal(starts, candidates)
    return {"actions": actions, "returns": returns, "elites": int(draw.integers(3, 5))}


def _refit(actions, returns, elites, best=lambda returns, elites: returns.topk(elites, 1).indices, unbiased=True):
    rows = best(returns, elites).unsqueeze(-1).expand(-1, -1, actions.shape[-1])
    chosen = actions.gather(1, rows)
    return chosen.mean(1), chosen.std(1, unbiased=unbiased)


def _branch(draw: Draw) -> dict:
    steps, branches = int(draw.integers(4, 6)), int(draw.integers(12, 16))
    terminated = draw.flags(0.15, steps, branches)
    terminated[:, 0], terminated[-1, 1], terminated[1, 2] = False, True, True
    rewards, value = 1 + draw.normal(steps, branches), 4 + draw.normal(branches)
    return {"rewards": rewards, "value": value, "terminated": terminated, "gamma": draw.uniform(0.8, 0.95)}


def _worth(rewards, value, terminated, gamma):
    worth = value
    for reward, over in zip(rewards.flip(0), terminated.flip(0), strict=True):
        worth = reward + gamma * worth * ~over
    return worth


def _only_the_value_is_cut(rewards, value, terminated, gamma):
    never = torch.zeros_like(terminated)
    return _worth(rewards, value * ~terminated.any(0), never, gamma)


EXERCISES = [
    Exercise(
        number="16.1",
        tests="What the network says is scaled back and added to the state.",
        draw=_step,
        reference=lambda network, state, action, scale: state + scale * _asked(network, state, action),
        mutants=[
            Mutant(
                "the change alone",
                lambda network, state, action, scale: scale * _asked(network, state, action),
                "That is the change. The next state is the state *plus* the change.",
            ),
            Mutant(
                "not scaled",
                lambda network, state, action, scale: state + _asked(network, state, action),
                "What the network says is the change *divided by* `scale`: multiply before you add.",
            ),
            Mutant(
                "divided again",
                lambda network, state, action, scale: state + _asked(network, state, action) / scale,
                "You divide by `scale` once more. The network's answer is divided already: multiply.",
            ),
            Mutant(
                "scales all",
                lambda network, state, action, scale: scale * (state + _asked(network, state, action)),
                "You scale the state, too. It has its own units already: only the change is in those of the network.",
            ),
            Mutant(
                "subtracted",
                lambda network, state, action, scale: state - scale * _asked(network, state, action),
                "You subtract the change. It leads from this state to the next: add it.",
            ),
        ],
    ),
    Exercise(
        number="16.2",
        tests="Each step starts where the one before it ended, and all states after a step are there.",
        draw=_road,
        reference=_unroll,
        mutants=[
            Mutant(
                "always from the start",
                lambda network, state, actions: torch.stack(
                    [state + _asked(network, state, action) for action in actions]
                ),
                "Every step of yours starts from the *first* state. Feed back what the model said.",
            ),
            Mutant(
                "the change is the state",
                lambda network, state, actions: _unroll(network, state, actions, lambda _, change: change),
                "You take the change for the next state. Add it to the state.",
            ),
            Mutant(
                "with the start",
                lambda network, state, actions: torch.cat([state[None], _unroll(network, state, actions)]),
                "The start is among your states. Return those *after* each step, as many as there are actions.",
            ),
            Mutant(
                "before each step",
                lambda network, state, actions: torch.cat([state[None], _unroll(network, state, actions)[:-1]]),
                "Your states are those *before* each step, the start first. Note the state after the step was made.",
            ),
            Mutant(
                "only the end",
                lambda network, state, actions: _unroll(network, state, actions)[-1],
                "That is the last state alone. Keep the one after each step, and stack them.",
            ),
            Mutant(
                "first action only",
                lambda network, state, actions: _unroll(network, state, actions[:1].expand_as(actions)),
                "Every step of yours makes the *first* action. Each step has its own.",
            ),
            Mutant(
                "batch first",
                lambda network, state, actions: _unroll(network, state, actions).transpose(0, 1),
                "The values are right, but the batch comes first. Steps are dimension 0 here.",
            ),
            Mutant(
                "in the past",
                lambda network, state, actions: _unroll(network, state, actions.flip(0)),
                "You make the actions from the last to the first.",
            ),
        ],
    ),
    Exercise(
        number="16.3",
        tests="The standard deviation over the members, then the mean over the three numbers.",
        draw=_said,
        reference=lambda said: said.std(0).mean(-1),
        mutants=[
            Mutant(
                "over the numbers",
                lambda said: said.std(-1).mean(0),
                "You compare the three numbers of one answer: cosine, sine and speed always differ. Compare the "
                "*members*, dimension 0.",
            ),
            Mutant(
                "over the batch",
                lambda said: said.std(1).mean(-1),
                "You compare different states with each other. Compare what the *members* say of the same one.",
            ),
            Mutant(
                "variance",
                lambda said: said.var(0).mean(-1),
                "That is the variance. Its root, the standard deviation, has the units of the state.",
            ),
            Mutant(
                "of the mean number",
                lambda said: said.mean(-1).std(0),
                "You take the mean over the numbers *first*: members that differ in opposite ways then seem to agree.",
            ),
            Mutant(
                "sum",
                lambda said: said.std(0).sum(-1),
                "You add up over the three numbers. Take the mean.",
            ),
            Mutant(
                "worst number",
                lambda said: said.std(0).amax(-1),
                "You take the number of which they disagree most. Take the mean of the three.",
            ),
            Mutant(
                "each number",
                lambda said: said.std(0),
                "There are three numbers for each state. One is asked for: their mean.",
            ),
            Mutant(
                "range",
                lambda said: (said.amax(0) - said.amin(0)).mean(-1),
                "That is how far the two most extreme members are apart. Take the standard deviation over all.",
            ),
        ],
    ),
    Exercise(
        number="16.4",
        tests="Each start has its own elites, those with the highest returns; their mean and spread, step by step.",
        draw=_tries,
        reference=_refit,
        mutants=[
            Mutant(
                "the worst",
                lambda actions, returns, elites: _refit(
                    actions, returns, elites, lambda returns, elites: returns.topk(elites, 1, largest=False).indices
                ),
                "Your elites are those with the *lowest* return.",
            ),
            Mutant(
                "all",
                lambda actions, returns, elites: (actions.mean(1), actions.std(1)),
                "You take all candidates. Then nothing is learned from their returns: take the best `elites`.",
            ),
            Mutant(
                "the first ones",
                lambda actions, returns, elites: (actions[:, :elites].mean(1), actions[:, :elites].std(1)),
                "You take the first candidates, whatever their returns are.",
            ),
            Mutant(
                "one start's elites for all",
                lambda actions, returns, elites: _refit(
                    actions,
                    returns,
                    elites,
                    lambda returns, elites: returns[:1].topk(elites, 1).indices.expand(len(returns), -1),
                ),
                "You take the candidates that are best for the *first* start, in all of them. Each start has its own.",
            ),
            Mutant(
                "best on average",
                lambda actions, returns, elites: _refit(
                    actions,
                    returns,
                    elites,
                    lambda returns, elites: (
                        returns.mean(0, keepdim=True).topk(elites, 1).indices.expand(len(returns), -1)
                    ),
                ),
                "You take the mean of the returns over the starts. Each start has its own elites.",
            ),
            Mutant(
                "over time",
                lambda actions, returns, elites: tuple(each.mean(-1) for each in _refit(actions, returns, elites)),
                "You take a mean over the steps, too. A plan has a mean and a spread for *each* step.",
            ),
            Mutant(
                "variance",
                lambda actions, returns, elites: (
                    _refit(actions, returns, elites)[0],
                    _refit(actions, returns, elites)[1] ** 2,
                ),
                "Your spread is the variance. The next round multiplies noise by the standard deviation, its root.",
            ),
            Mutant(
                "the best one",
                lambda actions, returns, elites: (
                    actions[torch.arange(len(actions)), returns.argmax(1)],
                    _refit(actions, returns, elites)[1],
                ),
                "You return the single best candidate. Its luck is part of it: take the mean of the elites.",
            ),
            Mutant(
                "spread of all",
                lambda actions, returns, elites: (_refit(actions, returns, elites)[0], actions.std(1)),
                "Your spread is that of all candidates, so the search never narrows. Take that of the elites.",
            ),
        ],
    ),
    Exercise(
        number="16.5",
        tests="The rewards up to an end, and the critic's value where dreaming merely stopped.",
        draw=_branch,
        reference=_worth,
        mutants=[
            Mutant(
                "no value at the end",
                lambda rewards, value, terminated, gamma: _worth(rewards, value * 0, terminated, gamma),
                "You treat the end of the branch as the end of the world. Only dreaming stopped: add the value.",
            ),
            Mutant(
                "never ends",
                lambda rewards, value, terminated, gamma: _worth(rewards, value, torch.zeros_like(terminated), gamma),
                "You go on after `terminated`. After such a step there is nothing: no reward, no value.",
            ),
            Mutant(
                "only the value is cut",
                _only_the_value_is_cut,
                "After a `terminated` step you leave out the value, but still count rewards. They count for nothing.",
            ),
            Mutant(
                "the end is unpaid",
                lambda rewards, value, terminated, gamma: _worth(rewards * ~terminated, value, terminated, gamma),
                "You leave out the reward of the step that terminates. It was earned: only what follows falls away.",
            ),
            Mutant(
                "value not discounted",
                lambda rewards, value, terminated, gamma: _worth(
                    rewards, value / gamma ** len(rewards), terminated, gamma
                ),
                "The value is not discounted. It lies as many steps ahead as the branch is long.",
            ),
            Mutant(
                "value discounted once",
                lambda rewards, value, terminated, gamma: _worth(
                    rewards, value / gamma ** (len(rewards) - 1), terminated, gamma
                ),
                "You discount the value by one step only. It lies as many steps ahead as the branch is long.",
            ),
            Mutant(
                "no discount",
                lambda rewards, value, terminated, gamma: _worth(rewards, value, terminated, 1.0),
                "Nothing is discounted. Each step counts `gamma` times the one before it.",
            ),
            Mutant(
                "first reward discounted",
                lambda rewards, value, terminated, gamma: gamma * _worth(rewards, value, terminated, gamma),
                "You discount one time too often: the first reward counts in full.",
            ),
            Mutant(
                "inverted",
                lambda rewards, value, terminated, gamma: _worth(rewards, value, ~terminated, gamma),
                "Your flag is the wrong way round: you go on after an end, and stop everywhere else.",
            ),
            Mutant(
                "backwards",
                lambda rewards, value, terminated, gamma: _worth(rewards.flip(0), value, terminated.flip(0), gamma),
                "You go through the steps from the wrong end. The value belongs to the *last* one.",
            ),
        ],
    ),
    Build(
        number="16.6",
        tests="In small fresh worlds each copy takes the first action of a best sequence, up to the end.",
        reference=grid_planning.plan,
        examine=grid_planning.examine,
        mutants=grid_planning.MUTANTS,
    ),
]
