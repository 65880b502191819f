"""`flow`: which keys the modules of a chain or a loss read and write, and which are missing."""

from __future__ import annotations

import re
import warnings

import pytest
import torch
from tensordict import TensorDict, lazy_stack
from tensordict.nn import CompositeDistribution, NormalParamExtractor, TensorDictModule, TensorDictSequential
from torchrl.data import Bounded, Categorical, Composite, LazyTensorStorage, TensorDictReplayBuffer, Unbounded
from torchrl.envs import (
    Compose,
    EnvBase,
    GymEnv,
    RewardSum,
    StepCounter,
    TransformedEnv,
    UnsqueezeTransform,
    check_env_specs,
)
from torchrl.modules import (
    MLP,
    Actor,
    ActorCriticOperator,
    LSTMModule,
    ProbabilisticActor,
    QMixer,
    QValueActor,
    QValueModule,
    TanhNormal,
    ValueOperator,
)
from torchrl.objectives import (
    A2CLoss,
    ClipPPOLoss,
    CQLLoss,
    DDPGLoss,
    DiscreteSACLoss,
    DQNLoss,
    IQLLoss,
    PPOLoss,
    REDQLoss,
    ReinforceLoss,
    SACLoss,
    TD3Loss,
)
from torchrl.objectives.multiagent import MAPPOLoss, QMixerLoss

from course_utils.views.display import FOLLOWS_THEME
from course_utils.views.key_flow import INSIDE, Column, _svg, flow, trace

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


class TestNestedKeys:
    """Policies and losses whose keys stand in groups or Dict observations."""

    def composite_actor(self, head: str = "logits") -> ProbabilisticActor:
        network = TensorDictModule(torch.nn.Linear(4, 4), ["observation"], [("params", "move", head)])
        return ProbabilisticActor(
            network,
            in_keys=["params"],
            distribution_class=CompositeDistribution,
            distribution_kwargs={"distribution_map": {"move": torch.distributions.Categorical}},
        )

    def test_a_written_part_is_enough_for_what_it_is_a_part_of(self):
        actor = self.composite_actor()
        assert "move" in actor(GymEnv("CartPole-v1").reset())  # it does run
        found = trace(actor, GymEnv("CartPole-v1"))
        assert found.outside == ("observation",) and not found.missing and found.origin("params") == 0
        view = flow(actor)
        assert "'params' holds ('params', 'move', 'logits')" in view.text
        assert "hollow square: writes a part of it" in _svg(found)

    def test_and_what_is_written_as_a_whole_for_its_parts(self):
        whole = TensorDictModule(lambda x: TensorDict({"a": x}), ["observation"], ["made"])
        part = TensorDictModule(double, [("made", "a")], ["action"])
        assert not trace(TensorDictSequential(whole, part), ["observation"]).missing

    def test_with_data_a_part_is_enough_and_a_tensor_has_no_parts(self):
        reader = TensorDictModule(double, ["agents"], ["y"])
        assert not trace(reader, TensorDict({"agents": {"x": torch.zeros(2)}})).missing
        deeper = TensorDictModule(double, [("x", "y")], ["z"])
        assert ("x", "y") in trace(deeper, TensorDict({"x": torch.zeros(2)})).missing
        assert not trace(deeper, ["x"]).missing

    def test_a_nested_slip_is_found(self):
        reader = TensorDictModule(double, [("agents", "observaton")], ["y"])
        data = TensorDict({"agents": {"observation": torch.zeros(3, 4)}})
        assert trace(reader, data).missing == {("agents", "observaton"): ("agents", "observation")}

    def test_agents_that_differ_offer_what_any_of_them_has(self):
        agents = lazy_stack([TensorDict({"x": torch.zeros(n + 1), f"own{n}": torch.zeros(2)}) for n in range(3)])
        reader = TensorDictModule(double, [("agents", "x"), ("agents", "own2")], ["y"])
        assert not trace(reader, TensorDict({"agents": agents})).missing

    def test_states_and_specs_of_an_environment_are_there(self):
        from torchrl.envs import PendulumEnv

        reader = TensorDictModule(double, [("params", "g"), "th"], ["y"])
        assert not trace(reader, PendulumEnv()).missing
        assert "action" in trace(TensorDictModule(double, ["action"], ["y"]), PendulumEnv()).missing

    def test_what_is_thrown_away_is_not_drawn(self):
        assert trace(TensorDictModule(double, ["x"], ["_"])).columns[0].writes == ()

    def test_a_module_that_stands_twice_in_a_chain_is_drawn_twice(self):
        again = TensorDictModule(torch.nn.Linear(3, 3), ["x"], ["x"])
        assert len(trace(TensorDictSequential(again, ACTOR, again)).columns) == 3

    def test_after_a_function_that_tells_no_keys_nothing_is_called_missing(self):
        def fill(td):
            return td.set("hiden", td["hidden"])

        found = trace(TensorDictSequential(ENCODER, fill, SLIP), ["observation"])
        assert not found.missing and "fill reads what it does not tell" in flow(TensorDictSequential(fill, SLIP)).text

    @pytest.mark.parametrize("key", ["observation", ("agents", "observation"), ("a", "b", "c")])
    def test_the_target_network_keeps_its_column(self, key):
        q_actor = QValueActor(MLP(in_features=4, out_features=2), in_keys=[key], spec=Categorical(2))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = trace(DQNLoss(q_actor, delay_value=True))
        ahead = ("next", key) if isinstance(key, str) else ("next", *key)
        assert found.columns[1] == Column("target_value_network", (ahead,), (INSIDE,))
        assert ahead not in found.columns[2].reads

    def test_keys_that_were_set(self):
        loss = DQNLoss(Q_ACTOR, delay_value=False)
        loss.set_keys(reward=("agents", "reward"), done=("agents", "done"), terminated=("agents", "terminated"))
        assert ("next", "agents", "reward") in trace(loss).columns[-1].reads


def categorical_actor(keys=("observation",), **options) -> ProbabilisticActor:
    return ProbabilisticActor(
        TensorDictModule(MLP(in_features=4, out_features=2), list(keys), ["logits"]),
        in_keys=["logits"],
        distribution_class=torch.distributions.Categorical,
        return_log_prob=True,
        **options,
    )


def normal_actor() -> ProbabilisticActor:
    network = torch.nn.Sequential(MLP(in_features=3, out_features=2), NormalParamExtractor())
    return ProbabilisticActor(
        TensorDictModule(network, ["observation"], ["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=TanhNormal,
        return_log_prob=True,
    )


def critic(out_key: str, width: int = 4, outputs: int = 1, keys=("observation",)) -> TensorDictModule:
    return TensorDictModule(MLP(in_features=width, out_features=outputs), list(keys), [out_key])


SPEC = Bounded(-1, 1, (1,))
LOSSES = {
    "PPO": ("state_value", lambda key: PPOLoss(categorical_actor(), critic(key))),
    "A2C": ("state_value", lambda key: A2CLoss(categorical_actor(), critic(key))),
    "Reinforce": ("state_value", lambda key: ReinforceLoss(categorical_actor(), critic(key))),
    "DDPG": (
        "state_action_value",
        lambda key: DDPGLoss(
            Actor(MLP(in_features=3, out_features=1), spec=SPEC), critic(key, keys=["observation", "action"])
        ),
    ),
    "TD3": (
        "state_action_value",
        lambda key: TD3Loss(
            Actor(MLP(in_features=3, out_features=1), spec=SPEC),
            critic(key, keys=["observation", "action"]),
            action_spec=SPEC,
        ),
    ),
    "SAC": (
        "state_action_value",
        lambda key: SACLoss(normal_actor(), critic(key, keys=["observation", "action"]), action_spec=SPEC),
    ),
    "REDQ": (
        "state_action_value",
        lambda key: REDQLoss(normal_actor(), critic(key, keys=["observation", "action"]), action_spec=SPEC),
    ),
    "CQL": (
        "state_action_value",
        lambda key: CQLLoss(normal_actor(), critic(key, keys=["observation", "action"]), action_spec=SPEC),
    ),
    "IQL": (
        "state_value",
        lambda key: IQLLoss(
            normal_actor(), critic("state_action_value", keys=["observation", "action"]), critic(key, width=3)
        ),
    ),
    "discrete SAC": (
        "action_value",
        lambda key: DiscreteSACLoss(
            categorical_actor(), critic(key, outputs=2), action_space=Categorical(2), num_actions=2
        ),
    ),
}


class TestKeysInside:
    """What a loss wants of its networks, and does not find where it looks."""

    def data(self, loss, name: str) -> TensorDict:
        wide = 4 if name in ("PPO", "A2C", "Reinforce", "discrete SAC") else 3
        td = TensorDict(
            {"observation": torch.randn(6, wide), "action": torch.zeros(6, 1), "loc": torch.zeros(6, 1)}, [6]
        )
        if wide == 4:
            td["action"] = torch.zeros(6, dtype=torch.int64)
            td["action_log_prob"] = torch.zeros(6)
        flags = {key: torch.zeros(6, 1, dtype=torch.bool) for key in ("done", "terminated")}
        td["next"] = TensorDict({"observation": torch.randn(6, wide), "reward": torch.zeros(6, 1), **flags}, [6])
        return td.exclude("loc")

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize("name", LOSSES)
    def test_it_is_named_where_the_loss_fails_and_only_there(self, name):
        wanted, make = LOSSES[name]
        right, wrong = make(wanted), make("judgement")
        data = self.data(right, name)
        data = data.set("action_log_prob", torch.zeros(6)) if name == "REDQ" else data  # it says that it reads it
        right(data.clone())
        assert not trace(right, data).missing
        with pytest.raises((KeyError, RuntimeError, AttributeError, TypeError)):
            wrong(data.clone())
        assert trace(wrong, data).missing == {wanted: "judgement"}
        assert f"MISSING: '{wanted}', which nobody writes (did you mean 'judgement'?)" in flow(wrong).text

    @pytest.mark.filterwarnings("ignore")
    @pytest.mark.parametrize(
        "out_keys", [["action", "action_value", "best"], ["action", "values", "chosen_action_value"]]
    )
    def test_dqn_wants_two(self, out_keys):
        network = TensorDictModule(MLP(in_features=4, out_features=2), ["observation"], [out_keys[1]])
        values = QValueModule(action_value_key=out_keys[1], out_keys=out_keys, spec=Categorical(2))
        loss = DQNLoss(TensorDictSequential(network, values), delay_value=True, action_space="categorical")
        with pytest.raises((KeyError, AttributeError)):
            loss(self.data(loss, "PPO"))
        assert set(trace(loss).missing) == {"action_value", "chosen_action_value"} - set(out_keys)

    @pytest.mark.filterwarnings("ignore")
    def test_the_head_of_an_actor_critic_operator_for_ppo(self):
        common = TensorDictModule(torch.nn.Linear(4, 8), ["observation"], ["hidden"])
        actor = ProbabilisticActor(
            TensorDictModule(torch.nn.Linear(8, 2), ["hidden"], ["logits"]),
            in_keys=["logits"],
            distribution_class=torch.distributions.Categorical,
            return_log_prob=True,
        )
        head = TensorDictModule(MLP(in_features=9, out_features=1), ["hidden", "action"], ["state_action_value"])
        both = ActorCriticOperator(common, actor, head)
        loss = ClipPPOLoss(both.get_policy_operator(), both.get_critic_operator())
        assert trace(loss).missing == {"state_value": "state_action_value"}
        loss.set_keys(value="state_action_value")
        assert not trace(loss).missing

    @pytest.mark.filterwarnings("ignore")
    def test_losses_of_several_agents(self):
        group = lambda *names: [("agents", name) for name in names]  # noqa: E731
        actor = ProbabilisticActor(
            TensorDictModule(MLP(in_features=4, out_features=2), group("observation"), group("logits")),
            in_keys=group("logits"),
            out_keys=group("action"),
            distribution_class=torch.distributions.Categorical,
            return_log_prob=True,
            log_prob_key=("agents", "action_log_prob"),
        )
        loss = MAPPOLoss(
            actor, TensorDictModule(MLP(in_features=4, out_features=1), *map(group, ("observation", "value")))
        )
        assert trace(loss).missing == {"state_value": ("agents", "value")}
        loss.set_keys(value=("agents", "value"))
        assert not trace(loss).missing
        local = TensorDictSequential(
            TensorDictModule(MLP(in_features=4, out_features=2), group("observation"), group("action_value")),
            QValueModule(
                action_value_key=("agents", "action_value"),
                out_keys=group("action", "action_value", "chosen_action_value"),
                spec=Categorical(2, shape=(3,)),
            ),
        )
        mixer = QMixer(state_shape=(4,), mixing_embed_dim=8, n_agents=3, device="cpu")
        for out_key, missing in (("chosen_action_value", {}), ("value", {"chosen_action_value": "value"})):
            mixing = TensorDictModule(mixer, [*group("chosen_action_value"), "state"], [out_key])
            found = trace(QMixerLoss(local, mixing, delay_value=True, action_space="categorical"))
            assert found.missing == missing
            assert "target_local_value_network" in [column.name for column in found.columns]


class TestShapes:
    class Height(EnvBase):
        """An observation of shape [], which passes `check_env_specs`."""

        def __init__(self, batch_size=()):
            super().__init__(batch_size=batch_size)
            self.observation_spec = Composite(height=Unbounded(batch_size), shape=batch_size)
            self.action_spec, self.reward_spec = Categorical(2, shape=batch_size), Unbounded((*batch_size, 1))

        def _reset(self, td):
            return TensorDict({"height": torch.zeros(self.batch_size)}, self.batch_size)

        def _step(self, td):
            flags = {"done": torch.zeros(*self.batch_size, 1, dtype=torch.bool)}
            return TensorDict(
                {"height": torch.zeros(self.batch_size), "reward": torch.zeros(*self.batch_size, 1), **flags},
                self.batch_size,
            )

        def _set_seed(self, seed):
            pass

    @pytest.mark.parametrize("batch_size", [(), (5,)])
    def test_an_observation_without_features_is_named(self, batch_size):
        env = self.Height(batch_size)
        check_env_specs(env)
        for network in (
            torch.nn.Linear(1, 2),
            MLP(in_features=1, out_features=2),
            torch.nn.Sequential(torch.nn.Linear(1, 2)),
        ):
            policy = TensorDictSequential(TensorDictModule(network, ["height"], ["logits"]))
            with pytest.raises(RuntimeError):
                policy(env.reset())
            words = flow(policy, env).text
            assert (
                "NO FEATURES: 'height': it has shape []" in words
                and "UnsqueezeTransform(-1, in_keys=['height'])" in words
            )
            unsqueezed = TransformedEnv(env, UnsqueezeTransform(-1, in_keys=["height"]))
            assert not trace(policy, unsqueezed).shapeless
            assert policy(unsqueezed.reset())["logits"].shape == (*batch_size, 2)

    def test_also_in_a_loss_and_below_next(self):
        data = TensorDict({"x": torch.zeros(5), "next": {"x": torch.zeros(5)}}, [5])
        loss = DQNLoss(QValueActor(torch.nn.Linear(1, 2), in_keys=["x"], spec=Categorical(2)), delay_value=True)
        assert set(trace(loss, data).shapeless) == {"x", ("next", "x")}

    def test_a_network_that_may_add_the_dimension_itself(self):
        class Careful(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(1, 2)

            def forward(self, x):
                return self.layer(x.unsqueeze(-1))

        assert "unless it adds one itself" in flow(TensorDictModule(Careful(), ["height"], ["y"]), self.Height()).text

    def test_an_embedding_takes_a_single_number(self):
        assert not trace(TensorDictModule(torch.nn.Embedding(2, 3), ["height"], ["y"]), self.Height()).shapeless


class TestWhatInstead:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: Compose(StepCounter(), RewardSum()), r"a Compose: transforms run inside .* flow\(policy, env\)"),
            (StepCounter, r"a StepCounter: transforms run inside"),
            (lambda: GymEnv("CartPole-v1"), r"an environment, a GymEnv.* flow\(policy, env\)"),
            (lambda: TransformedEnv(GymEnv("CartPole-v1"), StepCounter()), "an environment, a TransformedEnv"),
            (lambda: double, r"a plain function, double: .* TensorDictModule\(double, in_keys"),
            (lambda: TensorDict({"x": torch.zeros(1)}), r"data, a TensorDict\. .* flow\(module, td\), or show\(td\)"),
            (lambda: [ENCODER, ACTOR], r"a list\. .* TensorDictSequential\(\*modules\)"),
            (lambda: QValueActor, r"the class QValueActor .* Make one first: QValueActor\("),
            (lambda: torch.optim.Adam(ENCODER.parameters()), r"of type Adam: it changes parameters"),
            (lambda: TensorDictReplayBuffer(storage=LazyTensorStorage(3)), r"ReplayLens\(buffer\)"),
            (lambda: Categorical(2), "a spec, Categorical"),
            (lambda: torch.zeros(3), "a tensor"),
            (lambda: None, r"a NoneType and has no in_keys"),
            (lambda: {"policy": torch.nn.Linear(1, 1)}, "policy is a Linear and has no in_keys"),
        ],
    )
    def test_a_thing_without_keys_is_named_with_what_to_give(self, make, words):
        with pytest.raises(TypeError, match=words):
            flow(make())

    def test_nothing_to_draw(self):
        with pytest.raises(ValueError, match="nothing to draw"):
            flow({})


class TestOneByOne:
    def test_each_key_can_be_followed_without_a_script(self):
        html = flow(TensorDictSequential(ENCODER, SLIP)).html
        assert "<script" not in html and "<style" not in html.removeprefix(FOLLOWS_THEME)
        names = re.findall(r'<details name="(flow-\w+)"', html)
        assert len(names) == 4 and len(set(names)) == 1  # one open at a time
        for words in (
            "hidden: is written by Linear, and is read by none of these.",
            "observation: comes from outside, and is read by Linear.",
            "hiden: is missing, and is read by Linear.",
        ):
            assert html.count(words) == 2  # to read, and as alternative text

    def test_a_strip_shows_the_one_key(self):
        strip = _svg(trace(TensorDictSequential(ENCODER, ACTOR)), "hidden")
        assert strip.count("<circle") == 1 and strip.count("<rect x") == 1 and "observation" not in strip


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
