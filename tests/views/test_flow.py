"""`flow`: which keys the modules of a chain or a loss read and write, and which are missing."""

from __future__ import annotations

import warnings

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.data import Bounded, Categorical
from torchrl.envs import GymEnv
from torchrl.modules import MLP, Actor, LSTMModule, ProbabilisticActor, QValueActor, ValueOperator
from torchrl.objectives import ClipPPOLoss, DDPGLoss, DQNLoss

from course_utils.views.key_flow import INSIDE, Column, flow, trace

ENCODER = TensorDictModule(torch.nn.Linear(3, 8), in_keys=["observation"], out_keys=["hidden"])
ACTOR = TensorDictModule(torch.nn.Linear(8, 1), in_keys=["hidden"], out_keys=["action"])
SLIP = TensorDictModule(torch.nn.Linear(8, 1), in_keys=["hiden"], out_keys=["action"])
Q_ACTOR = QValueActor(MLP(in_features=4, out_features=2), spec=Categorical(2))


def double(x):
    return 2 * x


class TestChains:
    def test_a_chain_is_a_column_for_each_module(self):
        found = trace(TensorDictSequential(ENCODER, ACTOR))
        assert found.columns == (
            Column("Linear", ("observation",), ("hidden",)),
            Column("Linear", ("hidden",), ("action",)),
        )
        assert found.keys == ["observation", "hidden", "action"] and found.outside == ("observation",)
        assert not found.missing

    def test_chains_within_chains_are_taken_apart_unless_they_have_a_name(self):
        inner = TensorDictSequential(ENCODER, ACTOR)
        assert len(trace(TensorDictSequential(inner, Q_ACTOR)).columns) == 4
        named = trace(
            TensorDictSequential({"policy": inner, "critic": ValueOperator(MLP(in_features=3, out_features=1))})
        )
        assert [column.name for column in named.columns] == ["policy", "critic"]

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            (TensorDictModule(double, ["x"], ["y"]), "double"),
            (TensorDictModule(lambda x: x, ["x"], ["y"]), "lambda"),
            (ENCODER, "Linear"),
            (LSTMModule(input_size=4, hidden_size=2, in_key="observation", out_key="x"), "LSTMModule"),
        ],
    )
    def test_a_module_goes_by_the_name_of_what_it_computes(self, module, name):
        assert [column.name for column in trace(module).columns] == [name]

    def test_a_q_value_actor_reads_and_writes_its_values(self):
        network, choice = trace(Q_ACTOR).columns
        assert network == Column("MLP", ("observation",), ("action_value",))
        assert choice.reads == ("action_value",) and {"action", "chosen_action_value"} <= set(choice.writes)

    def test_a_draw_is_named_after_its_distribution(self):
        policy = ProbabilisticActor(
            TensorDictModule(MLP(in_features=4, out_features=2), ["observation"], ["logits"]),
            in_keys=["logits"],
            distribution_class=torch.distributions.Categorical,
        )
        assert [column.name for column in trace(policy).columns] == ["MLP", "draw: Categorical"]


class TestMissing:
    def test_a_misspelt_key_is_found_and_the_right_one_named(self):
        found = trace(TensorDictSequential(ENCODER, SLIP))
        assert found.outside == ("observation", "hiden") and found.missing == {"hiden": "hidden"}

    def test_with_data_every_absent_key_is_missing(self):
        data = TensorDict({"pixels": torch.zeros(2, 3)}, [2])
        assert trace(TensorDictSequential(ENCODER, ACTOR), data).missing == {"observation": None}
        assert trace(TensorDictSequential(ENCODER, ACTOR), ["observation"]).missing == {}

    def test_an_environment_says_what_it_gives(self):
        env = GymEnv("Pendulum-v1")
        assert trace(TensorDictSequential(ENCODER, ACTOR), env).missing == {}
        assert trace(TensorDictSequential(ENCODER, SLIP), env).missing == {"hiden": "hidden"}

    def test_a_memory_carried_over_under_next_is_no_slip(self):
        lstm = LSTMModule(input_size=4, hidden_size=2, in_key="observation", out_key="features")
        assert trace(lstm).missing == {}

    def test_what_available_may_be(self):
        with pytest.raises(TypeError, match="available is a str; give a TensorDict, an environment or a list of keys"):
            flow(ENCODER, "observation")


class TestLosses:
    @pytest.fixture(autouse=True)
    def quiet(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # no target updater: nothing is trained here
            yield

    def test_dqn_asks_the_delayed_copy_about_the_next_state(self):
        online, target, loss = trace(DQNLoss(Q_ACTOR, delay_value=True)).columns
        assert online == Column("value_network", ("observation",), (INSIDE,))
        assert target == Column("target_value_network", (("next", "observation"),), (INSIDE,))
        assert set(loss.reads) == {INSIDE, "action", ("next", "reward"), ("next", "done"), ("next", "terminated")}
        assert loss.writes == ("loss",)

    def test_without_a_delayed_copy_the_network_looks_ahead_itself(self):
        network, _ = trace(DQNLoss(Q_ACTOR, delay_value=False)).columns
        assert network.reads == ("observation", ("next", "observation"))

    def test_ddpg_needs_only_what_a_rollout_of_its_environment_has(self):
        env = GymEnv("Pendulum-v1")
        actor = Actor(MLP(in_features=3, out_features=1), spec=Bounded(-2, 2, shape=(1,)))
        critic = ValueOperator(MLP(in_features=4, out_features=1), in_keys=["observation", "action"])
        found = trace(DDPGLoss(actor, critic, delay_actor=True, delay_value=True), env.rollout(3))
        assert [column.name for column in found.columns] == [
            "actor_network", "target_actor_network", "value_network", "target_value_network", "DDPGLoss"
        ]  # fmt: skip
        assert found.missing == {} and "action" in found.columns[2].reads

    def test_ppo_reads_the_noted_probability(self):
        policy = ProbabilisticActor(
            TensorDictModule(MLP(in_features=4, out_features=2), ["observation"], ["logits"]),
            in_keys=["logits"],
            distribution_class=torch.distributions.Categorical,
            return_log_prob=True,
        )
        actor, critic, loss = trace(ClipPPOLoss(policy, ValueOperator(MLP(in_features=4, out_features=1)))).columns
        assert actor.reads == ("observation",) and critic.reads == ("observation", ("next", "observation"))
        assert "action_log_prob" in loss.reads and "loss_objective" in loss.writes


class TestDrawing:
    def test_alternative_text_and_text_twin_tell_the_whole_flow(self):
        view = flow(TensorDictSequential(ENCODER, SLIP))
        for words in ("reads 'observation' and writes 'hidden'", "MISSING: 'hiden'", "did you mean 'hidden'?"):
            assert words in view.text
        assert "MISSING: &#x27;hiden&#x27;" in view.html

    def test_it_is_a_valid_drawing_with_a_mark_for_each_read_and_write(self):
        from xml.etree import ElementTree

        from course_utils.views.key_flow import _svg

        root = ElementTree.fromstring(_svg(trace({"a<b": ENCODER, "target_value_network": SLIP})))
        space = "{http://www.w3.org/2000/svg}"
        assert len(root.findall(f"{space}circle")) == 2 and len(root.findall(f"{space}rect")) == 1 + 2
        words = [text.text for text in root.iter(f"{space}text")]
        assert {"a<b", "target_value_", "network", "missing: hidden?"} <= set(words)

    @pytest.mark.parametrize(
        ("name", "lines"),
        [
            ("MLP", ["MLP"]),
            ("target_value_network", ["target_value_", "network"]),
            ("AdditiveGaussianModule", ["Additive", "GaussianModule"]),
            ("abcdefghijklmnopqrstuvw", ["abcdefghijklmno", "pqrstuvw"]),
        ],
    )
    def test_a_long_name_is_cut_between_words(self, name, lines):
        from course_utils.views.key_flow import _wrapped

        assert _wrapped(name) == lines

    def test_what_has_no_keys_is_refused_with_the_fix(self):
        with pytest.raises(TypeError, match="a Linear and has no in_keys .* Wrap it: TensorDictModule"):
            flow(torch.nn.Linear(3, 1))
