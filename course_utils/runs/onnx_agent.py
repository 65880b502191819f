"""An agent that is an ONNX file and its card: it takes raw observations and gives actions."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


class AgentError(ValueError):
    """A file cannot be used as the agent of its card, or did what it must not; the message says what was seen."""


class OnnxAgent:
    """What lets an exported policy decide: ONNX Runtime, on one core.

    Args:
        model: where the ONNX file lies, or its bytes.
        card: as `read_card` gives it. Its one key under `reads` is the file's one input.

    Raises:
        AgentError: ONNX Runtime cannot load the file, or inputs and outputs are not as the card says.
    """

    def __init__(self, model: str | Path | bytes, card: Mapping[str, Any]) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what is wrong comes as an exception
        try:
            self._session = onnxruntime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions share no class of their own
            raise AgentError(f"ONNX Runtime cannot load the file: {first_line(error)}") from error
        self.numbers = len(card["observation"])
        self.discrete = all(isinstance(action, str) for action in card["actions"])
        self.actions = len(card["actions"])
        self._loc = np.array([entry["loc"] for entry in card["observation"]], np.float32)
        self._scale = np.array([entry["scale"] for entry in card["observation"]], np.float32)
        if not self.discrete:
            ends = [(entry["low"], entry["high"]) for entry in card["actions"]]
            self._low = np.array([-np.inf if low is None else low for low, _ in ends], np.float32)
            self._high = np.array([np.inf if high is None else high for _, high in ends], np.float32)
        self._input, self._output = self._names(card)

    def _names(self, card: Mapping[str, Any]) -> tuple[str, str]:
        inputs, outputs = self._session.get_inputs(), [output.name for output in self._session.get_outputs()]
        if len(inputs) != 1 or [inputs[0].name] != list(card["reads"]):
            seen = ", ".join(entry.name for entry in inputs) or "nothing"
            raise AgentError(f"The file reads {seen}, the card says {', '.join(card['reads'])}: one input is needed.")
        if inputs[0].type != "tensor(float)" or len(inputs[0].shape) != 2 or inputs[0].shape[1] != self.numbers:
            raise AgentError(
                f"The file reads {inputs[0].type} of shape {inputs[0].shape}; by its card it is "
                f"tensor(float) of shape [batch, {self.numbers}]."
            )
        if isinstance(inputs[0].shape[0], int):
            raise AgentError(f"The file takes batches of {inputs[0].shape[0]} only; export it with a dynamic batch.")
        name = "action" if "action" in card["writes"] else card["writes"][0] if card["writes"] else "nothing"
        if name not in outputs:
            raise AgentError(f"The card says that the file writes {name}; it writes {', '.join(outputs)}.")
        return inputs[0].name, name

    def decide(self, observations: np.ndarray) -> np.ndarray:
        """Actions for raw observations, in the world's units: those of the card's `loc` and `scale` are applied here.

        Args:
            observations: of shape [rows, numbers].

        Returns:
            Of whole-numbered actions their numbers, int64 of shape [rows]; else float32 of shape [rows, actions],
            within the bounds of the card.

        Raises:
            AgentError: what the file gave is no action.
        """
        seen = (np.asarray(observations, np.float32) - self._loc) / self._scale
        try:
            (given,) = self._session.run([self._output], {self._input: seen})
        except Exception as error:
            raise AgentError(f"The file fails when it is run: {first_line(error)}") from error
        if not isinstance(given, np.ndarray) or given.dtype.kind not in "fiu" or not np.isfinite(given).all():
            raise AgentError("The file gave something that is no finite number.")
        return self._chosen(given, len(seen)) if self.discrete else self._bounded(given, len(seen))

    def _chosen(self, given: np.ndarray, rows: int) -> np.ndarray:
        if given.shape == (rows, self.actions):  # one-hot, or a value for each
            return given.argmax(-1).astype(np.int64)
        if given.shape not in [(rows,), (rows, 1)] or given.dtype.kind == "f":
            raise AgentError(
                f"For {rows} rows the file gave {given.dtype} of shape {list(given.shape)}; needed are whole numbers "
                f"of shape [{rows}], or a value for each of {self.actions} actions."
            )
        if given.min() < 0 or given.max() >= self.actions:
            raise AgentError(f"The file chose an action that is not there; there are {self.actions}, from 0 on.")
        return given.reshape(rows).astype(np.int64)

    def _bounded(self, given: np.ndarray, rows: int) -> np.ndarray:
        if given.shape != (rows, self.actions):
            raise AgentError(
                f"For {rows} rows the file gave shape {list(given.shape)}; needed is [{rows}, {self.actions}]."
            )
        return given.astype(np.float32).clip(self._low, self._high)


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
