"""What lesson 03 says of TorchRL is so."""

from __future__ import annotations

import inspect

import pytest
import torch
from tensordict.nn import NormalParamExtractor, TensorDictModule
from torchrl.collectors import Collector
from torchrl.data import OneHot
from torchrl.envs import ExplorationType, GymEnv, TicTacToeEnv, set_exploration_type
from torchrl.modules import (
    MLP,
    EGreedyModule,
    MaskedCategorical,
    OrnsteinUhlenbeckProcessModule,
    ProbabilisticActor,
    QValueActor,
    TanhNormal,
)


@pytest.fixture(scope="module")
def actor():
    body = torch.nn.Sequential(MLP(in_features=3, out_features=2, num_cells=[8]), NormalParamExtractor())
    return ProbabilisticActor(
        TensorDictModule(body, ["observation"], ["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        distribution_kwargs={"low": -2.0, "high": 2.0},
    )


@pytest.mark.parametrize(
    ("options", "draws"), [({}, True), ({"exploration_type": ExplorationType.DETERMINISTIC}, False)]
)
def test_a_collector_draws_unless_it_is_told_otherwise_itself(actor, options, draws):
    env, frames = GymEnv("Pendulum-v1"), {"frames_per_batch": 20, "total_frames": 20}
    collector = Collector(env, actor, **frames, auto_register_policy_transforms=True, **options)
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        played = next(iter(collector))
        fixed = actor(played.clone())["action"]
    collector.shutdown()
    assert bool((fixed - played["action"]).abs().gt(1e-5).any()) == draws


def test_an_actors_default_decides_where_nothing_is_set():
    default = inspect.signature(ProbabilisticActor).parameters
    assert "default_interaction_type" in default or any(it.kind == it.VAR_KEYWORD for it in default.values())
    actor = ProbabilisticActor(
        TensorDictModule(lambda x: x, ["x"], ["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        default_interaction_type=ExplorationType.RANDOM,
    )
    from tensordict import TensorDict

    drawn = {actor(TensorDict(x=torch.zeros(50)))["action"].item() for _ in range(20)}
    assert len(drawn) > 1


def test_what_an_actor_hands_over_is_named_as_the_distribution_names_it(actor):
    def renamed(in_keys):
        body = TensorDictModule(lambda x: (x, x.exp()), ["x"], ["centre", "width"])
        return ProbabilisticActor(body, in_keys=in_keys, distribution_class=TanhNormal)(x=torch.zeros(1))

    with pytest.raises(TypeError, match="unexpected keyword argument 'centre'"):
        renamed(["centre", "width"])
    assert renamed({"loc": "centre", "scale": "width"}) is not None


def test_epsilon_stays_at_its_end_and_cannot_rise():
    module = EGreedyModule(OneHot(2), 1.0, 0.1, annealing_num_steps=200)
    for frames, expected in [(100, 0.55), (100, 0.1), (50, 0.1)]:
        module.step(frames)
        assert module.eps.item() == pytest.approx(expected, abs=1e-4)
    with pytest.raises(RuntimeError, match="eps should decrease over time or be constant"):
        EGreedyModule(OneHot(2), 0.1, 0.5, annealing_num_steps=200)


def test_between_the_layers_of_an_mlp_stands_a_tanh():
    assert any(isinstance(layer, torch.nn.Tanh) for layer in MLP(3, 2, num_cells=[8]))


def test_ornstein_uhlenbecks_step_is_a_hundredth_unless_said_otherwise():
    assert inspect.signature(OrnsteinUhlenbeckProcessModule).parameters["dt"].default == 0.01


def test_masks_keep_forbidden_actions_out():
    env, network = TicTacToeEnv(), MLP(in_features=9, out_features=9, num_cells=[8])

    def values(board):
        return network(board.flatten(-2).float())

    greedy = QValueActor(values, in_keys=["board"], spec=env.action_spec, action_mask_key="mask")
    drawing = ProbabilisticActor(
        TensorDictModule(values, ["board"], ["logits"]),
        in_keys={"logits": "logits", "mask": "mask"},
        distribution_class=MaskedCategorical,
    )
    for policy in (greedy, drawing):
        with set_exploration_type(ExplorationType.RANDOM):
            played = env.rollout(9, policy)
        assert played["mask"].gather(-1, played["action"].unsqueeze(-1)).all()
    blind = env.rollout(9, QValueActor(values, in_keys=["board"], spec=env.action_spec))
    assert not blind["mask"].gather(-1, blind["action"].unsqueeze(-1)).all()
