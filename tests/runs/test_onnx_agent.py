"""An ONNX file and its card: raw observations in, actions out."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_files import BALANCES, balancer, model_of, put, torque

from course_utils.runs.agent_card import read_card
from course_utils.runs.onnx_agent import AgentError, OnnxAgent

ROWS = np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)


@pytest.fixture
def agent(tmp_path):
    """A function that makes an agent of a model; `changed` are fields of its card."""

    def make(model, task="CartPole-v1", **changed) -> OnnxAgent:
        path = put(tmp_path, "agent", model, task, **changed)
        return OnnxAgent(path, read_card(path.with_suffix(".json")))

    return make


def scores() -> list:
    return [("MatMul", ["observation", "weight"], ["action"])]


def test_a_number_or_a_value_for_each_action_is_the_same_choice(agent):
    wanted = (ROWS @ BALANCES).argmax(1)
    values = model_of(scores(), {"weight": BALANCES}, kind=TensorProto.FLOAT)
    for model in (balancer(), values):
        given = agent(model).decide(ROWS)
        assert given.dtype == np.int64 and given.tolist() == wanted.tolist()


def test_the_scale_of_the_card_is_applied(agent):
    names = ("position", "velocity", "angle", "angular velocity")
    scaled = [{"name": name, "low": None, "high": None, "loc": 0.5, "scale": 4.0} for name in names]
    given = agent(balancer(), observation=scaled).decide(ROWS)
    wanted = (((ROWS - 0.5) / 4) @ BALANCES).argmax(1)
    assert given.tolist() == wanted.tolist() != (ROWS @ BALANCES).argmax(1).tolist()


def test_real_actions_stay_within_the_bounds_of_the_card(agent):
    for value, wanted in [(0.5, 0.5), (9.0, 2.0), (-9.0, -2.0)]:
        given = agent(torque(value), "Pendulum-v1").decide(ROWS[:, :3])
        assert given.dtype == np.float32 and given.shape == (9, 1) and (given == wanted).all()


def test_a_model_may_be_its_bytes(tmp_path):
    path = put(tmp_path, "agent", balancer())
    card = read_card(path.with_suffix(".json"))
    assert (OnnxAgent(path.read_bytes(), card).decide(ROWS) == OnnxAgent(path, card).decide(ROWS)).all()


def floats_for_numbers():
    nodes = [helper.make_node("ReduceSum", ["observation"], ["action"], keepdims=0)]
    return model_of(nodes, kind=TensorProto.FLOAT)


@pytest.mark.parametrize(
    ("model", "changed", "words"),
    [
        (b"nothing", {}, "ONNX Runtime cannot load the file"),
        (balancer(), {"reads": ["pixels"]}, "The file reads observation, the card says pixels"),
        (balancer(), {"reads": ["observation", "memory"]}, "one input is needed"),
        (balancer(), {"writes": ["torque"]}, "The card says that the file writes torque; it writes action"),
        (balancer(), {"writes": []}, "writes nothing"),
        (balancer(), {"observation": [{"name": "x", "loc": 0, "scale": 1}]}, r"by its card it is .*\[batch, 1\]"),
        (model_of(balancer().graph.node, {"weight": BALANCES}, batch=2), {}, "batches of 2 only"),
        (balancer(), {"actions": ["left"]}, "an action that is not there; there are 1"),
        (floats_for_numbers(), {}, r"gave float32 of shape \[\]; needed are whole numbers"),
        (model_of([("Sqrt", ["observation"], ["action"])], kind=TensorProto.FLOAT), {}, "no finite number"),
        (model_of(scores(), {"weight": np.ones((4, 3), np.float32)}, kind=TensorProto.FLOAT), {}, r"shape \[9, 3\]"),
        (
            model_of(scores(), {"weight": np.ones((5, 2), np.float32)}, kind=TensorProto.FLOAT),
            {},
            "fails when|cannot load",
        ),
    ],
)
def test_what_is_no_agent_of_its_card_says_why(agent, model, changed, words):
    with pytest.raises(AgentError, match=words):
        agent(model, **changed).decide(ROWS)


def test_real_actions_of_another_shape_are_refused(agent):
    nodes = [("Abs", ["observation"], ["action"])]
    model = model_of(nodes, numbers=3, kind=TensorProto.FLOAT)
    with pytest.raises(AgentError, match=r"gave shape \[9, 3\]; needed is \[9, 1\]"):
        agent(model, "Pendulum-v1").decide(ROWS[:, :3])
