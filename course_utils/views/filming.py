"""The world a film is shot in: the one the agent learned in, with whatever the agent needs and a camera."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict, TensorDictBase

from course_utils.views.frames import as_array

Env = Any  # a name, a gymnasium.Env or a torchrl EnvBase: neither library is imported for a type
OWN = {"next", "reward", "done", "terminated", "truncated"}  # entries that every environment of TorchRL writes
GIVE_IT = "Give `record_episode` the environment the agent learned in, transforms included, in place of the name"


def is_torchrl(env: Env) -> bool:
    """Is it one of TorchRL's environments?"""
    from torchrl.envs import EnvBase

    return isinstance(env, EnvBase)


def base_of(world: Env) -> Env:
    """The environment below all transforms."""
    from torchrl.envs import TransformedEnv

    while isinstance(world, TransformedEnv):
        world = world.base_env
    return world


def gymnasium_of(world: Env):
    """The Gymnasium environment at the bottom; None where there is another simulator."""
    from torchrl.envs.gym_like import GymLikeEnv

    base = base_of(world)
    return base._env if isinstance(base, GymLikeEnv) and hasattr(base._env, "action_space") else None


def world_of(env: Env, policy) -> Env:
    """A TorchRL environment to play in: the given one, or what a name or a Gymnasium environment is to TorchRL.

    What an agent with a memory reads (`is_init`, its states) is added where it is missing.

    Raises:
        ValueError: the environment does not draw, or cannot be the one the policy was made for.
    """
    world = env if is_torchrl(env) else _wrapped(env, policy)
    return _with_memory(world, policy)


def _wrapped(env: Env, policy) -> Env:
    import gymnasium as gym
    from torchrl.envs import DoubleToFloat, GymWrapper, TransformedEnv

    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # draw without a display
    if isinstance(env, str):
        name, env = env, gym.make(env, render_mode="rgb_array")
    elif isinstance(env, gym.Env):
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        if env.render_mode != "rgb_array":
            raise ValueError(
                f"This environment has render_mode={env.render_mode!r} and cannot be recorded. "
                "Make it with gym.make(name, render_mode='rgb_array'), or pass its name."
            )
    else:
        raise TypeError(
            f"An environment is a name, a Gymnasium environment or one of TorchRL's; this is a {type(env).__name__}."
        )
    shared = _entries(env.observation_space, "observation") & _entries(env.action_space, "action")
    if shared:
        raise ValueError(
            f"In {name} an observation and an action are both called {', '.join(map(repr, sorted(shared)))}: one would "
            "be written over the other. Rename one: gymnasium.wrappers has TransformObservation and TransformAction."
        )
    taken = (_entries(env.observation_space, "observation") | _entries(env.action_space, "action")) & OWN
    if taken:
        raise ValueError(
            f"In {name} a part of a space is called {', '.join(map(repr, sorted(taken)))}, as an entry that TorchRL "
            "writes itself. Rename it: gymnasium.wrappers has TransformObservation and TransformAction."
        )
    try:
        world = GymWrapper(_in_plain_spaces(env), categorical_action_encoding=not _speaks_one_hot(policy))
    except Exception as error:
        raise ValueError(
            f"TorchRL cannot wrap {name}: observations {env.observation_space}, actions {env.action_space}. "
            "Give it plainer spaces: gymnasium.wrappers has FlattenObservation and TransformAction."
        ) from error
    _same_actions(policy, world, name)
    doubles = [key for key, spec in world.observation_spec.items(True, True) if spec.dtype == torch.float64]
    return TransformedEnv(world, DoubleToFloat(in_keys=doubles)) if doubles else world


def _in_plain_spaces(env):
    """The same environment in spaces that TorchRL can read.

    A Tuple becomes a Dict (parts `observation_0`, ...), a Discrete counts from 0, a MultiDiscrete has one dimension.
    """
    import gymnasium as gym

    seen, acts = env.observation_space, env.action_space
    if (plain := _plain(seen, "observation")) != seen:
        env = gym.wrappers.TransformObservation(env, lambda value: _to_plain(seen, value, "observation"), plain)
    # TorchRL hands over a single part of a Dict, and an array of one number where a Box is a number.
    changed = isinstance(acts, gym.spaces.Dict) or (isinstance(acts, gym.spaces.Box) and acts.shape == ())
    if (plain := _plain(acts, "action")) != acts or changed:
        env = gym.wrappers.TransformAction(env, lambda value: _from_plain(acts, value, "action"), plain)
    return env


def _parts(space, name: str) -> dict | None:
    """The parts of a space: {name: (key in its value, space)}; None for a space without parts."""
    from gymnasium import spaces

    if isinstance(space, spaces.Tuple):
        return {f"{name}_{number}": (number, part) for number, part in enumerate(space.spaces)}
    if isinstance(space, spaces.Dict):
        return {key: (key, part) for key, part in space.spaces.items()}
    return None


def _entries(space, name: str) -> set[str]:
    """Under which names TorchRL writes a space."""
    return set(_parts(space, name) or {name: space})


def _plain(space, name: str):
    from gymnasium import spaces

    parts = _parts(space, name)
    if parts is not None:
        return spaces.Dict({label: _plain(part, label) for label, (_, part) in parts.items()})
    if isinstance(space, spaces.Discrete) and space.start:
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete) and (space.nvec.ndim > 1 or space.start.any()):
        return spaces.MultiDiscrete(space.nvec.reshape(-1))
    return space


def _to_plain(space, value, name: str):
    from gymnasium import spaces

    parts = _parts(space, name)
    if parts is not None:
        return {label: _to_plain(part, value[key], label) for label, (key, part) in parts.items()}
    if isinstance(space, spaces.Discrete):
        return value - space.start
    if isinstance(space, spaces.MultiDiscrete):
        return np.reshape(value - space.start, -1)
    return value


def _from_plain(space, value, name: str):
    from gymnasium import spaces

    parts = _parts(space, name)
    if parts is not None:
        if not isinstance(value, dict):  # of a single part, TorchRL hands over the part
            value = dict.fromkeys(parts, value)
        whole = {key: _from_plain(part, value[label], label) for label, (key, part) in parts.items()}
        return tuple(whole.values()) if isinstance(space, spaces.Tuple) else whole
    if isinstance(space, spaces.Text):
        return str(value)
    if isinstance(space, spaces.Discrete):
        return int(value) + int(space.start)
    if isinstance(space, spaces.MultiDiscrete):
        return np.asarray(value, space.dtype).reshape(space.shape) + space.start
    return np.asarray(value, space.dtype).reshape(space.shape)


def _modules(policy) -> Iterator:
    return policy.modules() if isinstance(policy, torch.nn.Module) else iter(())


def _action_spec_of(policy):
    """The spec of the actions a policy was made for; None where it carries none."""
    from torchrl.data import Composite

    for module in _modules(policy):
        spec = getattr(module, "spec", None)
        spec = spec.get("action", None) if isinstance(spec, Composite) else None
        if spec is not None:
            return spec
    return None


def _speaks_one_hot(policy) -> bool:
    from torchrl.data import MultiOneHot, OneHot

    if isinstance(_action_spec_of(policy), OneHot | MultiOneHot):
        return True
    for module in _modules(policy):
        kind = getattr(module, "distribution_class", None)
        if getattr(module, "action_space", None) in ("one_hot", "mult_one_hot") or "OneHot" in str(kind):
            return True
    return False


def _limits(policy) -> tuple | None:
    """The range of a policy's actions, from its spec or its distribution."""
    spec = _action_spec_of(policy)
    if spec is not None and hasattr(spec.space, "low"):
        return spec.space.low, spec.space.high
    for module in _modules(policy):
        if "Tanh" in str(getattr(module, "distribution_class", "")):
            given = getattr(module, "distribution_kwargs", {})
            return torch.as_tensor(given.get("low", -1.0)), torch.as_tensor(given.get("high", 1.0))
    return None


def _same_actions(policy, world, name: str) -> None:
    """Refuse a policy whose actions are not this environment's.

    Raises:
        ValueError: the policy says of itself that it was made for others.
    """
    spec = _action_spec_of(policy)
    ours = world.full_action_spec.get("action", None)
    if ours is None or policy is None:
        return
    count, wanted = getattr(getattr(spec, "space", None), "n", None), getattr(ours.space, "n", None)
    if count is not None and wanted is not None and count != wanted:
        raise ValueError(f"The policy chooses among {count} actions, {name} has {wanted}. {GIVE_IT}.")
    limits = _limits(policy)
    if limits is None or not hasattr(ours.space, "low"):
        return
    (low, high), (least, most) = limits, (ours.space.low, ours.space.high)
    finite = torch.isfinite(least).all() and torch.isfinite(most).all()
    try:
        same = torch.allclose(low.cpu() + 0 * least, least) and torch.allclose(high.cpu() + 0 * most, most)
    except RuntimeError:  # shapes that do not fit are another world too
        same = False
    if finite and not same:
        raise ValueError(
            f"The policy's actions go from {float(low.min()):g} to {float(high.max()):g}, those of {name} from "
            f"{float(least.min()):g} to {float(most.max()):g}: it seems to have learned behind a transform such as "
            f"ActionScaling, and here it would be filmed in another world. {GIVE_IT}; if it did learn in this one, "
            f"give GymEnv({name!r})."
        )


def _with_memory(world: Env, policy) -> Env:
    from torchrl.envs import InitTracker, TransformedEnv
    from torchrl.modules.utils import get_primers_from_module

    def known() -> set:
        specs = (world.observation_spec, world.full_state_spec)
        return {key for spec in specs for key in (spec.keys(True, True) if spec is not None else ())}

    reads = [key for key in getattr(policy, "in_keys", ()) if key not in known()]
    # auto_unwrap would take the transforms of the learner's environment apart.
    if any((key if isinstance(key, str) else key[-1]) == "is_init" for key in reads):
        world = TransformedEnv(world, InitTracker(), auto_unwrap=False)
    remembers = any(hasattr(module, "make_tensordict_primer") for module in _modules(policy))
    if remembers and any(key not in known() for key in reads):
        world = TransformedEnv(world, get_primers_from_module(policy), auto_unwrap=False)
    return world


class NoPicture(Exception):
    """Why the world could not be drawn."""


def _why(error: Exception, lent: bool) -> str:
    library = "pyglet's " if type(error).__module__.startswith("pyglet") else ""
    words = " ".join(f"{library}{type(error).__name__}: {error}".split()).removesuffix(".")
    if lent and "render_mode" not in words:  # not every environment can be given a picture after it was made
        words += "; make the environment with render_mode='rgb_array'"
    return words


def _simulator_of(world: Env):
    """What TorchRL's wrapper holds: an environment of Gymnasium, PettingZoo, VMAS or another library; or None."""
    return vars(base_of(world)).get("_env")  # getattr would ask each member of a batch of environments


@contextmanager
def camera(world: Env) -> Iterator[Callable[[TensorDictBase], Any]]:
    """A function that takes a picture of the world as it is, given the tensordict that was last seen.

    An environment of Gymnasium or PettingZoo that was made without a picture gets one for as long as the film is shot.

    Raises:
        NoPicture: from that function; it says why, and what to do.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    simulator = gymnasium_of(world)
    inner = getattr(_simulator_of(world), "unwrapped", None)
    before = getattr(inner, "render_mode", None)
    modes = (getattr(inner, "metadata", None) or {}).get("render_modes", ())
    lent = inner is not None and before is None and "rgb_array" in modes
    if lent:
        inner.render_mode = "rgb_array"

    def take(seen: TensorDictBase) -> np.ndarray:
        try:
            return picture(_picture(world, simulator, seen))
        except Exception as error:  # a renderer can fail in many ways
            raise NoPicture(_why(error, lent)) from error

    try:
        yield take
    finally:
        if lent:
            inner.render_mode = before


def _picture(world: Env, simulator, seen: TensorDictBase):
    base = base_of(world)
    if simulator is not None:
        picture = simulator.render()
    elif hasattr(type(base), "render"):
        picture = _call_render(base.render)
    elif callable(render := getattr(_simulator_of(world), "render", None)):
        picture = _call_render(render)
    else:
        picture = _pixels(world, seen)
    if isinstance(picture, list | tuple):
        picture = picture[-1 if simulator is not None and simulator.render_mode == "rgb_array_list" else 0]
    return picture


def picture(shown) -> np.ndarray:
    """What a renderer gave, as an array.

    Raises:
        ValueError: it gave nothing, or text.
    """
    if shown is None or isinstance(shown, str):
        kind = "nothing" if shown is None else "text"
        raise ValueError(f"the renderer gave {kind}, not a picture; make the environment with render_mode='rgb_array'")
    return as_array(shown)


def _call_render(render: Callable):
    import inspect

    modes = {"mode": "rgb_array"} if "mode" in inspect.signature(render).parameters else {}
    return render(**modes)


def _pixels(world: Env, seen: TensorDictBase):
    from torchrl.envs import ParallelEnv, SerialEnv

    for key in seen.keys(True, True):
        if (key if isinstance(key, str) else key[-1]) == "pixels":
            return first_copy(seen.get(key), world)
    base = base_of(world)
    several = isinstance(base, SerialEnv | ParallelEnv)
    fix = "; give `record_episode` one of the environments it is made of" if several else ""
    raise RuntimeError(
        f"{type(base).__name__} does not draw: it has no method `render` and writes no entry `pixels`{fix}"
    )


def first_copy(value, world: Env):
    """What belongs to the first copy of a batched environment."""
    return value[(0,) * len(world.batch_size)] if world.batch_size else value


def reset(world: Env, seed: int) -> TensorDictBase:
    """Start an episode that the seed decides."""
    simulator = gymnasium_of(world)
    if simulator is None:
        world.set_seed(seed)
        return world.reset()
    simulator.action_space.seed(seed)
    return world.reset(seed=seed)


def player(policy, world: Env) -> Callable[[TensorDictBase], TensorDictBase]:
    """A function that lets the policy write the next action into what is seen, in the form the world takes.

    Raises:
        ValueError: the policy cannot read what the world shows, or writes no action it takes; the message names the
            fix.
    """
    if policy is None:
        return lambda seen: _random(seen, world)
    device = next((tensor.device for tensor in policy.parameters()), None) if hasattr(policy, "parameters") else None

    def decide(seen: TensorDictBase) -> TensorDictBase:
        missing = [key for key in getattr(policy, "in_keys", ()) if key not in seen.keys(True)]
        if missing:
            raise ValueError(
                f"The policy reads {', '.join(map(repr, missing))}, which {title(world)} does not write; it writes "
                f"{_shown(seen, world)}. {GIVE_IT}: TransformedEnv(GymEnv(name), ...)."
            )
        given = seen.to(device) if device is not None else seen
        try:
            written = _ask(policy, given)
        except (RuntimeError, TypeError) as error:
            raise ValueError(
                f"The policy cannot act on what {title(world)} shows it: {_shown(seen, world)}. {GIVE_IT}; what the "
                f"policy itself complains about stands above ({type(error).__name__})."
            ) from error
        if isinstance(written, TensorDictBase):
            seen.update(written.to(world.device) if world.device is not None else written.cpu())
        elif written is not None:
            seen.set("action", torch.as_tensor(written))
        return _fitting(seen, world)

    return decide


def _ask(policy, given: TensorDictBase):
    if isinstance(policy, torch.nn.Module) and not hasattr(policy, "in_keys"):
        return policy(given["observation"])  # a bare network reads tensors
    return policy(given)


def _random(seen: TensorDictBase, world: Env) -> TensorDictBase:
    simulator = gymnasium_of(world)
    if simulator is None or world is not base_of(world):  # a transform may change or forbid actions
        return world.rand_action(seen)
    encoded = world.action_spec.encode(simulator.action_space.sample())
    return seen.update(encoded) if isinstance(encoded, TensorDictBase) else seen.set(world.action_key, encoded)


def _shown(seen: TensorDictBase, world: Env) -> str:
    ends = set(world.done_keys)
    parts = [
        f"{_words(key)} ({str(value.dtype).removeprefix('torch.')} {list(value.shape)})"
        for key, value in seen.items(True, True)
        if key not in ends and isinstance(value, torch.Tensor)
    ]
    return ", ".join(parts) or "nothing"


def _words(key) -> str:
    return key if isinstance(key, str) else ".".join(key)


def _fitting(seen: TensorDictBase, world: Env) -> TensorDictBase:
    """The action as the world takes it: an index where it wants one, one-hot where it wants that."""
    for key in world.action_keys:
        action, spec = seen.get(key, None), world.full_action_spec[key]
        if action is None:
            raise ValueError(f"The policy writes no {_words(key)!r}, which {title(world)} needs at every step.")
        if action.shape != spec.shape or action.dtype != spec.dtype:
            seen.set(key, _translated(action, spec, world))
    return seen


def _translated(action: torch.Tensor, spec, world: Env) -> torch.Tensor:
    from torchrl.data import Categorical, MultiCategorical, MultiOneHot, OneHot

    parts = spec.nvec.reshape(-1).tolist() if isinstance(spec, MultiOneHot | MultiCategorical) else []
    if action.shape.numel() == spec.shape.numel():
        if action.is_floating_point() and not spec.dtype.is_floating_point and (action != action.round()).any():
            raise ValueError(f"{title(world)} takes whole numbers as actions; the policy wrote {action.tolist()}.")
        return action.reshape(spec.shape).to(spec.dtype)
    if isinstance(spec, OneHot) and action.numel() == 1:
        return spec.encode(action.reshape(()))
    if isinstance(spec, Categorical) and action.numel() == spec.space.n:
        return action.int().argmax().reshape(spec.shape).to(spec.dtype)
    if isinstance(spec, MultiOneHot) and action.numel() == len(parts):
        return spec.encode(action.reshape(-1))
    if isinstance(spec, MultiCategorical) and action.numel() == sum(parts):
        pieces = action.reshape(-1).int().split(parts)
        return torch.stack([piece.argmax() for piece in pieces]).reshape(spec.shape).to(spec.dtype)
    raise ValueError(
        f"The policy's action has shape {list(action.shape)}, {title(world)} takes {list(spec.shape)}. {GIVE_IT}."
    )


def ended(stepped: TensorDictBase, world: Env) -> tuple[bool, bool, bool]:
    """Has the first copy's episode ended, and was it terminated, truncated? With several agents: all of them."""
    following = first_copy(stepped["next"], world)

    def all_of(name: str) -> bool:
        flags = [following.get(key) for key in world.done_keys if (key if isinstance(key, str) else key[-1]) == name]
        root = following.get(name, None)
        return bool(root.any()) if root is not None else bool(flags) and all(bool(flag.all()) for flag in flags)

    done, truncated = all_of("done"), all_of("truncated")
    return done, all_of("terminated") or (done and not truncated), truncated


def title(world: Env) -> str:
    """What the world is called: a Gymnasium id, a VMAS scenario, a PettingZoo task, or the name of its class."""
    simulator, base = gymnasium_of(world), base_of(world)
    if simulator is None:
        names = (vars(base).get("scenario_name"), _metadata(world).get("name"))
        return next((name for name in names if isinstance(name, str)), type(base).__name__)
    spec = getattr(simulator, "spec", None)
    return spec.id if spec else type(simulator.unwrapped).__name__


def fps_of(world: Env) -> int:
    """Frames per second at which the world is meant to be shown; 30 where it does not say."""
    seconds = getattr(getattr(_simulator_of(world), "world", None), "dt", None)  # VMAS says how long a step is
    return int(_metadata(world).get("render_fps") or (seconds and 1 / seconds) or 30)


def _metadata(world: Env) -> dict:
    found = getattr(_simulator_of(world), "metadata", None)
    return found if isinstance(found, dict) else {}


def reward_of(stepped: TensorDictBase, world: Env) -> float:
    """The reward of a step; of several agents, their sum."""
    following = first_copy(stepped["next"], world)
    return float(sum(np.asarray(following.get(key).cpu().double()).sum() for key in world.reward_keys))


def no_steps(world: Env) -> TensorDict:
    """A rollout of no step."""
    one = world.fake_tensordict()
    return first_copy(one, world).cpu().unsqueeze(0)[:0]
