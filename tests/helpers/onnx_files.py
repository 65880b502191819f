"""ONNX files and cards for tests: a policy that balances, and what a stranger could hand in instead."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from course_utils.runs.agent_card import write_card

BALANCES = np.array([[-0.1, 0.1], [-0.3, 0.3], [-1, 1], [-1, 1]], np.float32)
SEES = {
    "CartPole-v1": ("position", "velocity", "angle", "angular velocity"),
    "Pendulum-v1": ("cosine", "sine", "speed"),
}


def model_of(
    nodes, weights=(), numbers=4, writes="action", kind=TensorProto.INT64, batch="batch", **more
) -> ModelProto:
    """A model that reads `observation` of shape [batch, numbers] and writes one output."""
    graph = helper.make_graph(
        [node if not isinstance(node, tuple) else helper.make_node(*node) for node in nodes],
        "policy",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, [batch, numbers])],
        [helper.make_tensor_value_info(writes, kind, ["batch"] if kind == TensorProto.INT64 else ["batch", None])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in dict(weights).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, **more)


def balancer() -> ModelProto:
    """A linear policy that balances the pole for 500 steps."""
    choose = helper.make_node("ArgMax", ["scores"], ["action"], axis=1, keepdims=0)
    return model_of([("MatMul", ["observation", "weight"], ["scores"]), choose], {"weight": BALANCES})


def torque(value: float) -> ModelProto:
    """A policy for Pendulum that always gives the same torque."""
    nodes = [("MatMul", ["observation", "zeros"], ["nothing"]), ("Add", ["nothing", "torque"], ["action"])]
    weights = {"zeros": np.zeros((3, 1), np.float32), "torque": np.array([value], np.float32)}
    return model_of(nodes, weights, numbers=3, kind=TensorProto.FLOAT)


def put(folder: Path, name: str, model: ModelProto | bytes, task: str = "CartPole-v1", /, **changed) -> Path:
    """Write a model and its card; `changed` are fields of the card that are written unseen."""
    path = folder / f"{name}.onnx"
    path.write_bytes(model if isinstance(model, bytes) else model.SerializeToString())
    actions = ["left", "right"] if task == "CartPole-v1" else [{"name": "torque", "low": -2.0, "high": 2.0}]
    card = write_card(
        folder / f"{name}.json",
        name=name,
        task=task,
        observation=[{"name": seen} for seen in SEES[task]],
        actions=actions,
        exam={"mean": 500.0, "episodes": 100, "seeds": [0, 99]},
        licence="MIT",
    )
    if changed:
        (folder / f"{name}.json").write_text(json.dumps(card | changed))
    return path
