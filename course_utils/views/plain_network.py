"""A network read out of an agent, as numbers that anything can compute with: no tensordicts, no PyTorch."""

from __future__ import annotations

import base64
import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from course_utils.views.catch_positions import SIZE

VALUES, PROBABILITIES, TORQUE = "values", "probabilities", "torque"
SUPPORTED = (
    "A page can carry what is made of Linear, ReLU, LeakyReLU, ELU, SiLU, Tanh, Sigmoid and Softplus, one after the "
    "other (nn.Sequential, MLP), of Conv2d and Flatten before them (ConvNet), and of layers of your own that only "
    "multiply and add, in a plain module, TensorDictModule, TensorDictSequential, QValueActor, Actor or "
    "ProbabilisticActor (Categorical, OneHotCategorical, TanhNormal, Normal, Delta, TanhDelta)"
)
BENDS = {
    nn.ReLU: ("relu", None),
    nn.LeakyReLU: ("leaky_relu", "negative_slope"),
    nn.ELU: ("elu", "alpha"),
    nn.SiLU: ("silu", None),
    nn.Sigmoid: ("sigmoid", None),
    nn.Softplus: ("softplus", None),
    nn.Tanh: ("tanh", None),
}
NOTHING = (nn.Identity, nn.Dropout)  # what does nothing once an agent is trained
MEMORIES = (nn.RNNBase, nn.RNNCellBase)
OTHER_FILTERS = (nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
SEEN = "Of worlds that are seen as pictures a page has lesson 11's Catch: 9 by 9 pixels, a channel for each frame"


class NotAPage(ValueError):
    """The agent cannot be carried by a page; the message says what can."""


@dataclass(frozen=True)
class Layer:
    """One thing a network does. Pictures go through it as one row of numbers: channel by channel, line by line.

    Attributes:
        kind: "linear", "filters", a name of `BENDS`, or "first", which keeps the first `count` numbers.
        weight: float32 of shape [out, in]; of filters [out, in, height, width].
        bias: float32 of shape [out]; only where there is a weight.
        setting: the slope of a LeakyReLU, the alpha of an ELU.
        count: of "first".
        shape: of the picture that filters read: channels, height, width.
        stride: of filters, down and to the right.
        padding: of filters, zeros above and below, and to the left and right.
    """

    kind: str
    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    setting: float | None = None
    count: int = 0
    shape: tuple[int, int, int] | None = None
    stride: tuple[int, int] | None = None
    padding: tuple[int, int] | None = None

    @property
    def numbers(self) -> list[np.ndarray]:
        """What was learned."""
        return [] if self.weight is None else [self.weight, self.bias]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self.kind == "linear":
            return x @ self.weight.T.astype(np.float64) + self.bias
        if self.kind == "filters":
            return self._filtered(x)
        if self.kind == "first":
            return x[..., : self.count]
        return _bent(self.kind, x, self.setting)

    def as_json(self) -> dict:
        if self.kind == "linear":
            return {"kind": "linear", "weight": packed(self.weight), "bias": packed(self.bias)}
        if self.kind == "filters":
            settings = {name: list(getattr(self, name)) for name in ("shape", "stride", "padding")}
            numbers = {"weight": packed(self.weight), "bias": packed(self.bias)}
            return {"kind": "filters", "kernel": list(self.weight.shape[2:]), **settings, **numbers}
        if self.kind == "first":
            return {"kind": "first", "count": self.count}
        return {"kind": self.kind} | ({} if self.setting is None else {"setting": self.setting})

    def _filtered(self, x: np.ndarray) -> np.ndarray:
        pictures = x.reshape(len(x), *self.shape)
        (above, left), (down, right) = self.padding, self.stride
        pictures = np.pad(pictures, ((0, 0), (0, 0), (above, above), (left, left)))
        windows = np.lib.stride_tricks.sliding_window_view(pictures, self.weight.shape[2:], (2, 3))[
            :, :, ::down, ::right
        ]
        said = np.tensordot(windows, self.weight.astype(np.float64), ([1, 4, 5], [1, 2, 3])) + self.bias
        return np.moveaxis(said, -1, 1).reshape(len(x), -1)


def _bent(kind: str, x: np.ndarray, setting: float | None) -> np.ndarray:
    with np.errstate(over="ignore"):
        return {
            "relu": lambda: np.maximum(0, x),
            "leaky_relu": lambda: np.where(x > 0, x, setting * x),
            "elu": lambda: np.where(x > 0, x, setting * np.expm1(np.minimum(x, 0))),
            "silu": lambda: x / (1 + np.exp(-x)),
            "sigmoid": lambda: 1 / (1 + np.exp(-x)),
            "softplus": lambda: np.logaddexp(0, x),
            "tanh": lambda: np.tanh(x),
        }[kind]()


def packed(numbers: np.ndarray) -> dict:
    """Numbers as base64, little-endian: of 16 bits where all of them are exact with so many, else of 32."""
    with np.errstate(over="ignore"):
        short = numbers.astype("<f2")
    bits = 16 if np.array_equal(short.astype(np.float32), numbers) else 32
    data = short if bits == 16 else numbers.astype("<f4")
    return {"bits": bits, "base64": base64.b64encode(data.tobytes()).decode()}


@dataclass
class PlainNetwork:
    """What was read out of an agent.

    Attributes:
        layers: what it does, in order.
        says: what its last numbers are: "values", "probabilities" (as scores, before the softmax) or "torque".
        key: where the agent reads; None for a module without keys.
        shape: of what it reads: how many numbers, or channels, height and width of a picture.
    """

    layers: list[Layer] = field(default_factory=list)
    says: str = ""
    key: str | None = None
    shape: tuple[int, ...] = ()

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """What the network says of states of shape [batch, *shape], computed from the numbers alone."""
        x = np.asarray(states, np.float64).reshape(len(states), -1)
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def inputs(self) -> int:
        return math.prod(self.shape)

    @property
    def outputs(self) -> int:
        return self(np.zeros((1, self.inputs))).shape[-1]

    @property
    def count(self) -> int:
        """How many numbers it has learned."""
        return sum(numbers.size for layer in self.layers for numbers in layer.numbers)

    def __str__(self) -> str:
        names = [
            f"Linear {layer.weight.shape[1]} to {layer.weight.shape[0]}"
            if layer.kind == "linear"
            else f"Conv2d {layer.weight.shape[1]} to {layer.weight.shape[0]}"
            if layer.kind == "filters"
            else f"the first {layer.count}"
            if layer.kind == "first"
            else layer.kind
            for layer in self.layers
        ]
        return ", ".join(names)


def read_network(agent: nn.Module) -> PlainNetwork:
    """Read what an agent computes without exploration out of its modules.

    Args:
        agent: a plain module that reads an observation, or an agent of TorchRL's.

    Raises:
        NotAPage: it is made of something else; the message names it, and what is supported.
    """
    if not isinstance(agent, nn.Module):
        raise NotAPage(f"An agent is a module; this is a {type(agent).__name__}. {SUPPORTED}.")
    for kind, words in ((MEMORIES, "a memory"), (OTHER_FILTERS, "filters of another kind")):
        found = next((module for module in agent.modules() if isinstance(module, kind)), None)
        if found is not None:
            raise NotAPage(
                f"This agent has {words} ({type(found).__name__}), which a page does not carry. {SUPPORTED}."
            )
    if any(isinstance(weight, nn.UninitializedParameter) for weight in agent.parameters()):
        raise NotAPage(
            "A layer of this agent has no weights yet: let it act once, or give the layer its `in_features`."
        )
    linear = next((module for module in agent.modules() if isinstance(module, nn.Linear)), None)
    if linear is None:
        raise NotAPage(f"There is no Linear layer in this {type(agent).__name__}. {SUPPORTED}.")
    reader = _Reader(_shape_read(agent, linear))
    with torch.no_grad():
        reader.read(agent)
    return reader.network


def _shape_read(agent: nn.Module, linear: nn.Linear) -> tuple[int, ...]:
    """Of the observation. How large a picture is, filters do not say: a page has one world of pictures."""
    from torchrl.modules.models.utils import SquashDims

    first = next(
        module for module in agent.modules() if isinstance(module, nn.Conv2d | nn.Flatten | SquashDims | nn.Linear)
    )
    if isinstance(first, nn.Conv2d):
        return first.in_channels, SIZE, SIZE
    looks, rest = divmod(linear.in_features, SIZE * SIZE)
    return (linear.in_features,) if first is linear or rest else (looks, SIZE, SIZE)


class _Reader:
    """Walks through an agent and notes what it does."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.network, self.follows = shape, PlainNetwork(shape=shape), None

    @property
    def width(self) -> int:
        return math.prod(self.shape)

    def read(self, module: nn.Module) -> None:
        from tensordict.nn import (
            ProbabilisticTensorDictModule,
            TensorDictModule,
            TensorDictModuleBase,
            TensorDictSequential,
        )
        from torchrl.modules import QValueModule, TanhModule

        if isinstance(module, TensorDictSequential):
            for part in module.module:
                self.read(part)
        elif isinstance(module, QValueModule):
            self._goes_on(module, module.in_keys[:1], module.out_keys[:1])
            self.network.says = VALUES
        elif isinstance(module, TanhModule):
            self._goes_on(module, module.in_keys, module.out_keys)
            low, high = (module.get_buffer(f"{self.follows}_{end}") for end in ("low", "high"))
            self._tanh(low, high)
        elif isinstance(module, ProbabilisticTensorDictModule):
            self._distribution(module)
        elif _explores(module):
            pass
        elif isinstance(module, TensorDictModule):
            self._goes_on(module, module.in_keys, module.out_keys)
            self._plain(module.module)
        elif isinstance(module, TensorDictModuleBase):
            raise NotAPage(f"A page does not carry a {type(module).__name__}. {SUPPORTED}.")
        else:
            self._plain(module)

    def _goes_on(self, module: nn.Module, in_keys: list, out_keys: list) -> None:
        """A page's network is a chain: each part reads one entry, the one that the part before has written."""
        name = type(module).__name__
        if len(in_keys) != 1 or isinstance(in_keys[0], tuple):
            raise NotAPage(f"This {name} reads {', '.join(map(repr, in_keys))}. A page hands over one observation.")
        if self.follows is None:
            self.network.key = in_keys[0]
        elif in_keys[0] != self.follows:
            raise NotAPage(f"This {name} reads {in_keys[0]!r}, and the part before writes {self.follows!r}.")
        self.follows = out_keys[0]

    def _plain(self, module: nn.Module) -> None:
        from tensordict.nn import NormalParamExtractor

        if isinstance(module, nn.Sequential):  # MLP is one
            for part in module:
                self._plain(part)
        elif type(module) is nn.Conv2d:
            self._filters(module)
        elif self._flattens(module):
            self.shape = (self.width,)
        elif type(module) is nn.Linear:
            bias = torch.zeros(module.out_features) if module.bias is None else module.bias
            self._linear(module.weight, bias)
        elif type(module) in BENDS:
            kind, setting = BENDS[type(module)]
            if kind == "softplus" and (module.beta, module.threshold) != (1, 20):
                raise NotAPage(f"A page carries Softplus as PyTorch makes it, not {module}.")
            self._add(Layer(kind, setting=getattr(module, setting) if setting else None))
        elif isinstance(module, NormalParamExtractor):  # the centre of a bell curve, then its width
            self.shape = (self.width // 2,)
            self._add(Layer("first", count=self.width))
        elif not isinstance(module, NOTHING):
            self._affine(module)

    def _flattens(self, module: nn.Module) -> bool:
        """Whether a module makes one row of numbers of each picture."""
        from torchrl.modules.models.utils import SquashDims

        if type(module) is SquashDims:
            return module.ndims_in == len(self.shape)
        ends = (1, -1), (-len(self.shape), -1), (1, len(self.shape))
        return type(module) is nn.Flatten and (module.start_dim, module.end_dim) in ends

    def _filters(self, module: nn.Conv2d) -> None:
        usual = (module.groups, module.dilation, module.padding_mode) == (1, (1, 1), "zeros")
        if not usual or module.padding == "same":
            raise NotAPage(
                f"A page carries a Conv2d with a stride and a padding of so many zeros, not {module}. {SUPPORTED}."
            )
        padding = (0, 0) if module.padding == "valid" else module.padding
        if len(self.shape) != 3 or self.shape[0] != module.in_channels:
            raise NotAPage(f"This {module} reads {module.in_channels} channels, and gets {self._what()}. {SEEN}.")
        sides = [
            (side + 2 * more - kernel) // step + 1
            for side, more, kernel, step in zip(self.shape[1:], padding, module.kernel_size, module.stride, strict=True)
        ]
        if min(sides) < 1:
            raise NotAPage(f"This {module} is larger than what it gets, {self._what()}. {SEEN}.")
        bias = torch.zeros(module.out_channels) if module.bias is None else module.bias
        numbers = _array(module.weight), _array(bias)
        self._add(Layer("filters", *numbers, shape=self.shape, stride=module.stride, padding=padding))
        self.shape = (module.out_channels, *sides)

    def _what(self) -> str:
        if len(self.shape) == 1:
            return f"{self.width} numbers"
        channels, height, width = self.shape
        return f"a picture of {channels} channel{'s' * (channels > 1)}, {height} by {width}"

    def _affine(self, module: nn.Module) -> None:
        """A layer of the learner's own, measured: what it makes of zeros, and of a one at each place."""
        name, probe = type(module).__name__, torch.cat([torch.zeros(1, self.width), torch.eye(self.width)])
        probe, shape = probe.unflatten(1, self.shape), self.shape
        try:
            place = next(iter([*module.parameters(), *module.buffers()]), probe).device
            measured = module(probe.to(place))
            shape = tuple(measured.shape[1:])
            bias, *ones = measured.flatten(1)
            weight = torch.stack(ones, 1) - bias[:, None]
            tried = 10 * torch.randn(64, self.width, generator=torch.Generator().manual_seed(0)).to(place)
            answer = module(tried.unflatten(1, self.shape)).flatten(1)
            same = torch.allclose(answer, tried @ weight.T + bias, rtol=1e-4, atol=1e-4)
        except Exception:  # it wants something else
            same = False
        if not same:
            raise NotAPage(f"A page does not carry a {name}: it does more than multiply and add. {SUPPORTED}.")
        self._multiplied(weight, bias, shape)

    def _linear(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        if len(self.shape) == 3:
            raise NotAPage(f"A Linear layer of this agent gets {self._what()}: put an nn.Flatten before it.")
        if self.width != weight.shape[1] and len(self.network.shape) == 3:
            raise NotAPage(
                f"A Linear layer of this agent reads {weight.shape[1]} numbers, and gets {self.width}. {SEEN}."
            )
        self._multiplied(weight, bias, (len(bias),))

    def _multiplied(self, weight: torch.Tensor, bias: torch.Tensor, shape: tuple[int, ...]) -> None:
        self._add(Layer("linear", *(_array(numbers) for numbers in (weight, bias))))
        self.shape = shape

    def _add(self, layer: Layer) -> None:
        self.network.layers.append(layer)

    def _tanh(self, low, high) -> None:
        self._add(Layer("tanh"))
        low, high = (_array(torch.as_tensor(end, dtype=torch.float32).expand(self.width)) for end in (low, high))
        self._add(Layer("linear", np.diag((high - low) / 2), (high + low) / 2))
        self.network.says = TORQUE

    def _distribution(self, module: nn.Module) -> None:
        """The action a distribution gives where nothing is left to chance."""
        name = getattr(module.distribution_class, "__name__", str(module.distribution_class))
        settings, keys = module.distribution_kwargs, module.in_keys
        if keys[0] != self.follows:
            raise NotAPage(f"The {name} reads {keys[0]!r}, and the part before writes {self.follows!r} first.")
        if name in ("Categorical", "OneHotCategorical") and list(module.dist_params_keys) == ["logits"]:
            self.network.says = PROBABILITIES
        elif name == "TanhNormal" and not settings.get("tanh_loc") or name == "TanhDelta":
            self._tanh(settings.get("low", -1.0), settings.get("high", 1.0))
        elif name in ("Normal", "IndependentNormal", "Delta"):
            self.network.says = TORQUE
        else:
            raise NotAPage(f"A page does not carry the distribution {name} with these settings. {SUPPORTED}.")


def _array(numbers: torch.Tensor) -> np.ndarray:
    """Numbers that training goes on with are not the page's: a copy."""
    return numbers.detach().cpu().float().numpy().copy()


def _explores(module: nn.Module) -> bool:
    from torchrl.modules import AdditiveGaussianModule, EGreedyModule, OrnsteinUhlenbeckProcessModule

    return isinstance(module, EGreedyModule | AdditiveGaussianModule | OrnsteinUhlenbeckProcessModule)


def played(agent: nn.Module, key: str | None, states: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """What the agent itself, asked through PyTorch, does in states of shape [batch, *shape], without exploration.

    Returns:
        For a module without keys, what it returns; else its action, an index where that is one-hot. And the values or
        scores of the actions, where the agent writes them.
    """
    from tensordict import TensorDict
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    training = [module for module in agent.modules() if module.training]
    place = next(iter([*agent.parameters(), *agent.buffers()]), torch.zeros(0)).device
    observation = torch.as_tensor(np.asarray(states, np.float32), device=place)
    agent.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(), set_exploration_type(ExplorationType.DETERMINISTIC):
            if key is None:
                return agent(observation).cpu().numpy(), None
            written = agent(TensorDict({key: observation}, [len(states)], device=place))
    finally:
        for module in training:
            module.training = True
    action = written["action"]
    scores = next((written[name] for name in ("action_value", "logits") if name in written), None)
    if scores is not None and action.shape == scores.shape:
        action = action.int().argmax(-1)
    return action.cpu().numpy(), None if scores is None else scores.cpu().numpy()
