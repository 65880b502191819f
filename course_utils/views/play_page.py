"""A page in which an agent plays, and you: one file of HTML that asks nobody for anything."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from course_utils.views.board import Board
from course_utils.views.catch_positions import SIZE, catch_positions
from course_utils.views.display import View

if TYPE_CHECKING:
    from torch.nn import Module

    from course_utils.views.plain_network import PlainNetwork

PARTS = Path(__file__).parent / "page"
SCRIPTS = ("network.js", "worlds.js", "parts.js", "play.js", "board.js", "begin.js")
MARK = "made by course_utils.play_page, sha256 of what follows:"
STATES = 1_000
MOST_NUMBERS = 1_000_000
TIE = 1e-4  # below which two values are as good as equal to 32 bits
YOU = "you"
HEIGHT = 800  # pixels, of the page within a notebook


@dataclass(frozen=True)
class World:
    """What a page can play, and the states an agent is compared on: positions of games where it is seen as pictures
    (`inputs` is then the number of pixels of a frame), else random ones between these ends."""

    name: str
    inputs: int
    outputs: int
    discrete: bool
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    made_by: str = "Gymnasium"

    @property
    def pictures(self) -> bool:
        return not self.low

    def reads(self, shape: tuple[int, ...]) -> bool:
        """Whether its observations have this shape; of pictures, with any number of frames."""
        return shape[1:] == (SIZE, SIZE) if self.pictures else shape == (self.inputs,)

    def states(self, count: int, shape: tuple[int, ...], seed: int) -> np.ndarray:
        """Observations of shape [count, *shape], 32-bit."""
        if self.pictures:
            return catch_positions(count, shape[0], seed)
        states = np.random.default_rng(seed).uniform(self.low, self.high, (count, len(self.low)))
        if self.name == "Pendulum-v1":
            angle, speed = states.T
            states = np.stack([np.cos(angle), np.sin(angle), speed], 1)
        return states.astype(np.float32)


WORLDS = (
    World("CartPole-v1", 4, 2, True, (-2.4, -3.0, -0.21, -3.0), (2.4, 3.0, 0.21, 3.0)),
    World("Pendulum-v1", 3, 1, False, (-np.pi, -8.0), (np.pi, 8.0)),
    World("Catch", SIZE * SIZE, 3, True, made_by="lesson 11"),
)


class PlayPage(View):
    """The page, within a notebook as in a browser; where scripts are not shown, its words.

    Attributes:
        page: the whole of it, as HTML.
        name: the file's.
        compared: for each agent, what was found in the states it was compared in: `states`, how many; `different`, in
            how many of them its action is not the page's; `largest_difference` of two numbers that should be equal.
            Empty for a board, whose page holds the agent's own values.
    """

    def __init__(self, page: str, name: str, words: str, compared: dict[str, dict]) -> None:
        self.page, self.name, self.compared = page, name, compared
        # The frame may run its own script, and reaches nothing of the notebook around it.
        frame = (
            f'<iframe sandbox="allow-scripts" title="{escape(words.partition(".")[0])}" srcdoc="{escape(page)}" '
            f'style="width:100%;height:{HEIGHT}px;border:0"></iframe>'
        )
        super().__init__(f'<div class="course-page">{frame}<p>{escape(words)}</p></div>', words)


def play_page(agents: Module | Board | Mapping[str, Module | Board], path: str | Path, title: str = "") -> PlayPage:
    """Write a page in which agents play, and whoever opens it; and show it.

    One file holds everything: the world's physics, the agents' networks as numbers, keys and buttons. It works from a
    disk, a mail or any web server, and its own first lines forbid it to ask anybody for anything. Before it is written,
    its numbers are compared with the agents in 1,000 states.

    The page hands an agent observations as CartPole-v1 or Pendulum-v1 of Gymnasium gives them, or as lesson 11's Catch
    does behind `CatFrames`: as many frames as the agent's network has channels. What any other *transform* of the
    environment did to them in training (a normalisation, say) is not in the agent, and not in the page: put it into the
    network first, as a layer that multiplies and adds.

    Args:
        agents: an agent for CartPole (4 inputs, a value or score for each of 2 actions), for Pendulum (3 inputs, a
            torque) or for Catch (frames of 9 by 9 pixels, a value or score for each of 3 actions), or several by name,
            all for the same world: plain modules or agents of TorchRL's, made of Linear layers, of Conv2d and Flatten
            before them, and of what bends their outputs. Or one `Board`, or several, against whose agents one can play.
        path: of the file, ending in ".html".
        title: a heading; the world's name if empty.

    Raises:
        ValueError: no page can be made of the agents (the message names what is supported), the file's folder is not
            there or its name does not end in ".html".
        FileExistsError: a file is there that this function has not written, or that was changed since.
    """
    path = _writable(Path(path))
    named = dict(agents) if isinstance(agents, Mapping) else {"agent": agents}
    _check_names(named)
    if any(isinstance(agent, Board) for agent in named.values()):
        data, inside, compared = _boards(named)
    else:
        data, inside, compared = _players(named)
    world = data.get("world", "a board game")
    title = title or f"{world[0].upper()}{world[1:]}: play, or let an agent play"
    page = _filled(title, data, inside)
    _write(path, page)
    who = ", ".join(named)
    words = f"A page that plays {world}. Open {path.name} in any browser: {who}, or you. "
    words += f"{len(page) / 1000:.0f} kB, nothing else needed."
    return PlayPage(page, path.name, words, compared)


def _check_names(named: Mapping[str, Any]) -> None:
    if not named:
        raise ValueError("Give at least one agent.")
    for name in named:
        if not isinstance(name, str) or not name.strip() or name.lower() == YOU:
            raise ValueError(f"{name!r} is no name for an agent: give a few words. {YOU!r} is whoever opens the page.")


# Agents with a network


def _players(named: Mapping[str, Module]) -> tuple[dict, list[str], dict[str, dict]]:
    """The data of a page with networks, what is said of it, and how each compares with its agent."""
    from course_utils.views.plain_network import read_network

    networks = {name: read_network(agent) for name, agent in named.items()}
    worlds = {name: _world_of(network) for name, network in networks.items()}
    world = next(iter(worlds.values()))
    if len(set(worlds.values())) > 1:
        played = ", ".join(f"{name!r} {world.name}" for name, world in worlds.items())
        raise ValueError(f"The agents of a page play the same world; these do not: {played}. Write a page for each.")
    if (total := sum(network.count for network in networks.values())) > MOST_NUMBERS:
        raise ValueError(f"These networks are {total:,} numbers; a page carries {MOST_NUMBERS:,}. Train a smaller one.")
    compared = {name: _compared(name, named[name], network, world) for name, network in networks.items()}
    agents = [
        {"name": name, "says": network.says, "layers": [layer.as_json() for layer in network.layers]}
        | ({"looks": network.shape[0]} if world.pictures else {})
        for name, network in networks.items()
    ]
    states = "positions of games played at random" if world.pictures else "random states"
    inside = [
        f"{name}: {network.count:,} learned numbers ({network}). Its actions were compared with the agent's in "
        f"{STATES:,} {states} when this page was made."
        for name, network in networks.items()
    ]
    inside.append(
        f"The world is {world.name} of {world.made_by}, written again as a script. Starts are drawn by the page, so a "
        f"seed is not one of {world.made_by}'s."
    )
    return {"world": world.name, "agents": agents}, inside, compared


def _world_of(network: PlainNetwork) -> World:
    from course_utils.views.plain_network import TORQUE, VALUES, NotAPage

    outputs = network.outputs
    for world in WORLDS:
        if (
            world.reads(network.shape)
            and world.outputs == outputs
            and (not network.says or (network.says == TORQUE) != world.discrete)
        ):
            network.says = network.says or (VALUES if world.discrete else TORQUE)
            return world
    what = f" as {network.says}" if network.says else ""
    read = (
        f"{network.inputs} numbers"
        if len(network.shape) == 1
        else f"pictures of {' by '.join(map(str, network.shape))}"
    )
    raise NotAPage(
        f"This agent reads {read} and says {outputs}{what}. A page has CartPole-v1 (4, and 2 values or scores), "
        f"Pendulum-v1 (3, and 1 torque) and Catch (frames of {SIZE} by {SIZE}, and 3 values or scores); for a board "
        "game hand over a `Board`."
    )


def _compared(name: str, agent: Module, network: PlainNetwork, world: World) -> dict:
    """Compare what the numbers give with what the agent does.

    Raises:
        NotAPage: they are not the same.
    """
    from course_utils.views.plain_network import NotAPage, played

    states = world.states(STATES, network.shape, seed=19)
    if not all(np.isfinite(numbers).all() for layer in network.layers for numbers in layer.numbers):
        raise NotAPage(f"Among the weights of {name!r} are some that are NaN or infinite: it cannot act.")
    said = network(states)
    action, scores = played(agent, network.key, states)
    if network.key is None:
        action, scores = (action.argmax(-1), action) if world.discrete else (action, None)
    if world.discrete:
        ordered = np.sort(said, -1)
        different = (said.argmax(-1) != action) & (ordered[:, -1] - ordered[:, -2] > TIE)
        off = np.abs(said - scores).max() if scores is not None else 0.0
    else:
        off = np.abs(np.clip(said, -2, 2) - np.clip(action, -2, 2)).max()
        different = np.abs(np.clip(said, -2, 2) - np.clip(action, -2, 2)).max(-1) > TIE
    if different.any() or off > 1e-3 * (1 + np.abs(said).max()):
        raise NotAPage(
            f"The page would not play as {name!r} does: it differs in {different.sum():,} of {STATES:,} states, by up "
            f"to {off:.2g}. Something in its `forward` is not in its layers."
        )
    return {"states": STATES, "different": int(different.sum()), "largest_difference": float(off)}


# Agents at a board


def _boards(named: Mapping[str, Board]) -> tuple[dict, list[str], dict[str, dict]]:
    if not all(isinstance(board, Board) for board in named.values()):
        raise ValueError("A page has agents at a board or agents in a world, not both. Write a page for each.")
    sizes = {(board.empty.rows, board.empty.columns, board.empty.line) for board in named.values()}
    if len(sizes) > 1:
        raise ValueError("The boards of a page are of one size, and as many signs in a row win. Write a page for each.")
    rows, columns, line = sizes.pop()
    tables = {name: board.table() for name, board in named.items()}
    agents = [{"name": name, "table": table} for name, table in tables.items()]
    inside = [
        f"{name}: its values in all {len(table):,} positions that can come up in a game against it."
        for name, table in tables.items()
    ]
    return {"board": {"rows": rows, "columns": columns, "line": line}, "agents": agents}, inside, {}


# The file


def _filled(title: str, data: dict, inside: list[str]) -> str:
    """The page; nothing in it asks for anything else."""
    script = "\n".join((PARTS / name).read_text(encoding="utf-8") for name in SCRIPTS)
    words = {
        "title": escape(title),
        "style": (PARTS / "page.css").read_text(encoding="utf-8"),
        "inside": "\n".join(f"<p>{escape(line)}</p>" for line in inside),
        # Within a script, "<" might begin a tag that ends it.
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        "script": script,
    }
    template = (PARTS / "page.html").read_text(encoding="utf-8")
    body = re.sub(r"@(\w+)", lambda found: words.get(found[1], found[0]), template)
    return f"<!-- {MARK} {_hash(body)} -->\n{body}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _writable(path: Path) -> Path:
    """A path that may be written to.

    Raises:
        ValueError: it does not end in ".html", or its folder is not there.
        FileExistsError: what is there is not a page as it was written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"A page's name ends in .html, so that a browser opens it; this is {path.name!r}.")
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent.name!r} for {path.name}. Make it first.")
    if path.is_dir() or path.exists() and not _unchanged(path):
        raise FileExistsError(
            f"{path.name} is there already, and is no page that `play_page` wrote, or was changed since. "
            "Choose another name, or move it away."
        )
    return path


def _unchanged(path: Path) -> bool:
    text = path.read_bytes().decode("utf-8", "replace")
    first, _, body = text.partition("\n")
    return first == f"<!-- {MARK} {_hash(body)} -->"


def _write(path: Path, page: str) -> None:
    """The whole file or none of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(page.encode())
    os.replace(unfinished, path)
