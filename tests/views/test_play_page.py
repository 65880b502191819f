"""The page that plays: what it carries is the agent, its world is Gymnasium's, and anybody can play with it."""

from __future__ import annotations

import functools
import re

import gymnasium
import numpy as np
import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from lab_page import running_chromium
from playwright.sync_api import expect
from tensordict import TensorDict
from tensordict.nn import NormalParamExtractor, TensorDictModule, TensorDictSequential
from torch import nn
from torchrl.data import Bounded, Categorical, OneHot
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import (
    MLP,
    Actor,
    AdditiveGaussianModule,
    ConvNet,
    EGreedyModule,
    GRUModule,
    OneHotCategorical,
    ProbabilisticActor,
    QValueActor,
    TanhModule,
    TanhNormal,
)

from benchmarks.lesson_code import code_cells, run_code
from course_utils import Board, load_weights, play_page
from course_utils.views.catch_positions import catch_positions
from course_utils.views.plain_network import read_network

TORQUE = Bounded(-2.0, 2.0, shape=(1,))
STEPS = 500
GAMES = 500  # of Catch


class Scale(nn.Module):
    """Lesson 07's own layer."""

    def __init__(self, factors):
        super().__init__()
        self.register_buffer("factors", torch.tensor(factors))

    def forward(self, inputs):
        return inputs * self.factors


def mlp(inputs: int, outputs: int, bend=nn.ReLU, width: int = 16) -> MLP:
    return MLP(in_features=inputs, out_features=outputs, num_cells=[width, width], activation_class=bend)


def q_agent(spec, bend=nn.ReLU) -> QValueActor:
    return QValueActor(mlp(4, 2, bend), in_keys=["observation"], spec=spec)


def shipped_agent() -> QValueActor:
    """The agent of lesson 07 that comes with the course."""
    network = nn.Sequential(Scale((1.0, 1.0, 5.0, 1.0)), mlp(4, 2, width=256))
    network.load_state_dict(load_weights("07_agent")["network"])
    return QValueActor(network, in_keys=["observation"], spec=Categorical(2))


def drawn(inputs: int, outputs: int, distribution, *extractor, keys=("logits",), **options) -> ProbabilisticActor:
    body = TensorDictModule(nn.Sequential(mlp(inputs, outputs, nn.Tanh), *extractor), ["observation"], list(keys))
    return ProbabilisticActor(body, in_keys=list(keys), distribution_class=distribution, **options)


def bell_curve() -> ProbabilisticActor:
    limits = {"low": -2.0, "high": 2.0}
    keys = ("loc", "scale")
    return drawn(3, 2, TanhNormal, NormalParamExtractor(), keys=keys, distribution_kwargs=limits)


def pressed() -> TensorDictSequential:
    """Lesson 09's actor."""
    network = TensorDictModule(mlp(3, 1), ["observation"], ["raw"])
    return TensorDictSequential(network, TanhModule(in_keys=["raw"], out_keys=["action"], spec=TORQUE))


CARTPOLES = {
    "Q, one number": lambda: q_agent(Categorical(2)),
    "Q, one-hot, ELU": lambda: q_agent(OneHot(2), nn.ELU),
    "Q, explores": lambda: TensorDictSequential(q_agent(Categorical(2), nn.SiLU), EGreedyModule(Categorical(2))),
    "Q, own scale": shipped_agent,
    "scores": lambda: drawn(4, 2, OneHotCategorical),
    "plain": lambda: nn.Sequential(
        *(nn.Linear(4, 8), nn.LeakyReLU(0.2), nn.Dropout(), nn.Linear(8, 8, bias=False), nn.Softplus()),
        *(nn.Linear(8, 8), nn.Sigmoid(), nn.Identity(), nn.Linear(8, 2)),
    ),
}
PENDULUMS = {
    "bell curve": bell_curve,
    "pressed": pressed,
    "with noise": lambda: TensorDictSequential(pressed(), AdditiveGaussianModule(TORQUE)),
    "raw": lambda: Actor(mlp(3, 1, nn.ELU), in_keys=["observation"]),
}


@functools.cache
def lesson_11() -> dict:
    """What lesson 11's cells about Catch define."""
    begins = (
        "from tensordict import TensorDict",
        "class Catch",
        "def fly",
        "def caught",
        "def make_catch",
        "def make_eyes",
    )
    cells = [
        cell.source for cell in code_cells("11_memory_and_pixels") if any(words in cell.source for words in begins)
    ]
    needed = """import torch
from torchrl.data import Categorical
from torchrl.envs import TransformedEnv
from torchrl.modules import MLP, QValueActor
device = torch.device("cpu")
"""
    return run_code(needed + "\n".join(cells), 0)


def wide_eyes() -> TensorDictSequential:
    """A network with everything that filters may have: four looks, zeros around, sides that differ, own layers."""
    eyes = ConvNet(in_features=4, num_cells=[5, 6], kernel_sizes=[(3, 2), 4], strides=[(1, 2), 2], paddings=[(0, 1), 2])
    layers = [Shade(), eyes, nn.Dropout(), nn.LazyLinear(3)]
    network = nn.Sequential(*layers)
    network(torch.zeros(2, 4, 9, 9))
    body = TensorDictModule(network, ["pixels"], ["logits"])
    return ProbabilisticActor(body, in_keys=["logits"], distribution_class=OneHotCategorical)


class Shade(nn.Module):
    """Makes a picture darker."""

    def forward(self, pixels):
        return pixels / 2 - 0.1


def follower() -> nn.Sequential:
    """Plays as lesson 11's player by hand: it stands below the ball."""
    columns = torch.arange(9.0)
    ball = torch.cat([columns.repeat(8), -columns / 3])  # the ball's column less the paddle's
    layer = nn.Linear(81, 3)
    layer.load_state_dict({"weight": ball * torch.tensor([[-1.0], [0], [1]]), "bias": torch.tensor([0, 0.5, 0])})
    return nn.Sequential(nn.Flatten(), layer)


CATCHES = {
    "one look": lambda: lesson_11()["seeing_agent"](1),
    "two looks": lambda: lesson_11()["seeing_agent"](2),
    "four looks": wide_eyes,
    "follower": follower,
}
LOOKS = {"one look": 1, "two looks": 2, "four looks": 4, "follower": 1}


def catchers() -> dict:
    """Agents whose weights nobody trained, but which do not always do the same."""
    torch.manual_seed(4)
    agents = {name: make() for name, make in CATCHES.items()}
    for name in ("one look", "two looks", "four looks"):
        last = [module for module in agents[name].modules() if isinstance(module, nn.Linear)][-1]
        with torch.no_grad():
            said = read_network(agents[name])(catch_positions(400, LOOKS[name], 1))
            last.bias -= torch.as_tensor(np.median(said, 0), dtype=torch.float32)
    return agents


def made(kinds: dict) -> dict:
    """Agents whose weights nobody trained, but which do not always do the same."""
    torch.manual_seed(3)
    agents = {name: make() for name, make in kinds.items()}
    if plain := agents.get("plain"):
        with torch.no_grad():
            plain[-1].bias -= plain.eval()(torch.randn(1_000, 4)).median(0).values
    return agents


def asked(agent, states: np.ndarray) -> np.ndarray:
    """What an agent does, asked as in a rollout without exploration; not the way the page's maker asks it."""
    with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
        if isinstance(agent, nn.Sequential):
            return agent.eval()(torch.as_tensor(states)).argmax(-1).numpy()
        action = agent(TensorDict({"observation": torch.as_tensor(states)}, [len(states)]))["action"]
    return (action.int().argmax(-1) if action.shape[-1:] == (2,) else action.reshape(-1)).numpy()


def forgetful(board, mask):
    """An agent at a board that likes the first cells."""
    return torch.arange(len(mask), 0, -1.0)


def clever(board, mask):
    """An agent that looks one move ahead: it wins where it can, and else forbids a win."""
    lines = [*(slice(3 * row, 3 * row + 3) for row in range(3)), *(slice(column, 9, 3) for column in range(3))]
    lines += [slice(0, 9, 4), slice(2, 8, 2)]
    cells, values = board.flatten(), torch.tensor([3, 2, 3, 2, 4, 2, 3, 2, 3.0])
    for line in lines:
        for player, worth in ((1, 100.0), (0, 50.0)):
            if (cells[line] == player).sum() == 2:
                values[torch.arange(9)[line]] += worth
    return values


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def agents():
    return {"CartPole-v1": made(CARTPOLES), "Pendulum-v1": made(PENDULUMS), "Catch": catchers()}


@pytest.fixture(scope="module")
def pages(folder, agents):
    """The files, and what `play_page` returned."""
    boards = {"forgetful": Board(forgetful), "clever": Board(clever)}
    return {name: play_page(some, folder / f"{name}.html") for name, some in [*agents.items(), ("Board", boards)]}


@pytest.fixture(scope="module")
def chromium():
    with running_chromium() as running:
        yield running


@pytest.fixture
def opened(chromium, folder, pages):
    """A function that opens a page where nothing but its file may be asked for, and where time stands still."""
    opened, wrong, elsewhere = [], [], []

    def let(route):
        if route.request.url.startswith(folder.as_uri()):
            route.continue_()
        else:
            elsewhere.append(route.request.url)
            route.abort()

    def open_page(name, theme="light", width=760, motion="no-preference", moves=False):
        page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=theme, reduced_motion=motion)
        page.route("**/*", let)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda said: wrong.append(said.text))
        if not moves:
            page.add_init_script("window.requestAnimationFrame = () => 0")
        page.goto((folder / f"{name}.html").as_uri())
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert (wrong, elsewhere) == ([], [])


@pytest.mark.slow
class TestAgent:
    @pytest.mark.parametrize("world", ["CartPole-v1", "Pendulum-v1"])
    def test_in_1000_states_the_page_does_what_the_agent_does(self, opened, agents, world):
        seed = np.random.default_rng(7)
        states = seed.uniform(-1, 1, (1_000, 4)) * (2.4, 3, 0.21, 3) if world == "CartPole-v1" else None
        if states is None:
            angle, spin = seed.uniform(-np.pi, np.pi, 1_000), seed.uniform(-8, 8, 1_000)
            states = np.stack([np.cos(angle), np.sin(angle), spin], 1)
        states = states.astype(np.float32)
        page = opened(world)
        # The page is handed an observation here, so that rounding a state is not in the way.
        said = page.evaluate(
            """states => { const game = course.game; game.world = {...game.world, observe: seen => seen};
               const done = agent => states.map(state => game.opinion(agent, state).action);
               return game.agents.map(agent => [agent.name, done(agent)]); }""",
            states.tolist(),
        )
        assert {name for name, _ in said} == agents[world].keys()
        for name, actions in said:
            wanted = asked(agents[world][name], states)
            if world == "CartPole-v1":
                assert actions == wanted.tolist(), name
                assert len(set(actions)) == 2, f"{name} always does the same: that proves little"
            else:
                assert np.abs(np.array(actions) - wanted.clip(-2, 2)).max() < 1e-5, name
                assert np.std(actions) > 0.01

    def test_a_good_agent_stays_up_for_500_steps(self, opened):
        page = opened("CartPole-v1")
        played = """() => { const game = course.game;
            game.choose(game.agents.find(agent => agent.name === "Q, own scale"));
            return [1, 2, 3].map(seed => { game.start(seed); while (!game.over) game.step(); return game.total; }); }"""
        assert page.evaluate(played) == [STEPS] * 3
        page.evaluate("course.game.draw()")
        expect(page.locator(".facts")).to_contain_text("step 500 of 500, return 500")

    def test_what_the_maker_compared_is_told(self, pages):
        compared = pages["CartPole-v1"].compared
        assert compared.keys() == CARTPOLES.keys()
        assert all(found["states"] == 1_000 and found["different"] == 0 for found in compared.values())
        assert max(found["largest_difference"] for found in compared.values()) < 1e-4


@pytest.mark.slow
class TestWorld:
    """The physics is Gymnasium's."""

    def both(self, page, name: str, actions: list[float], seed: int = 5):
        """Gymnasium's states and rewards, and the page's: from the same start, and each step from Gymnasium's state."""
        env = gymnasium.make(name, max_episode_steps=STEPS).unwrapped
        env.reset(seed=seed)
        states, rewards = [[float(x) for x in env.state]], []
        for action in actions:
            given = int(action) if name == "CartPole-v1" else np.array([action], np.float32)
            rewards.append(float(env.step(given)[1]))
            states.append([float(x) for x in env.state])
        run, single, earned = page.evaluate(
            """([states, actions]) => { const { world } = course.game; let state = states[0];
               const run = [state], single = [state], earned = [];
               actions.forEach((action, at) => { state = world.step(state, action).state; run.push(state);
                 const one = world.step(states[at], action); single.push(one.state); earned.push(one.reward); });
               return [run, single, earned]; }""",
            [states, actions],
        )
        return np.array(states), np.array(rewards), np.array(run), np.array(single), np.array(earned)

    def test_cartpole(self, opened):
        """An agent that keeps the pole up chooses what is done, so that all 500 steps are played."""
        agent, actions = shipped_agent(), []
        env = gymnasium.make("CartPole-v1")
        seen, _ = env.reset(seed=5)
        while len(actions) < STEPS:
            actions.append(int(asked(agent, seen[None])[0]))
            seen, _, terminated, _, _ = env.step(actions[-1])
            assert not terminated
        states, rewards, run, single, earned = self.both(opened("CartPole-v1"), "CartPole-v1", actions)
        assert np.abs(states - single).max() < 1e-12 and (rewards == earned).all()
        assert np.abs(states - run).max() < 1e-6

    def test_pendulum(self, opened):
        actions = np.random.default_rng(2).uniform(-2.5, 2.5, STEPS).round(3).tolist()
        states, rewards, run, single, earned = self.both(opened("Pendulum-v1"), "Pendulum-v1", actions)
        assert np.abs(states - single).max() < 1e-12 and np.abs(rewards - earned).max() < 1e-6
        assert np.abs(states - run).max() < 1e-6

    def test_an_episode_ends_where_gymnasium_ends_it(self, opened):
        page = opened("CartPole-v1")
        ends = {
            "in": [2.39, 0, 0.209, 0],
            "right": [2.41, 0, 0, 0],
            "left": [-2.41, 0, 0, 0],
            "fallen": [0, 0, -0.21, 0],
        }
        for name, state in ends.items():
            env = gymnasium.make("CartPole-v1").unwrapped
            env.reset()
            env.state = np.array(state)
            wanted = env.step(1)[2]
            assert page.evaluate("state => course.game.world.step(state, 1).terminated", state) == wanted, name

    def test_what_an_agent_sees_is_what_gymnasium_shows(self, opened):
        env = gymnasium.make("Pendulum-v1")
        seen, _ = env.reset(seed=1)
        state = env.unwrapped.state.tolist()
        said = opened("Pendulum-v1").evaluate("state => course.game.world.observe(state)", state)
        assert np.abs(np.array(said) - seen).max() < 1e-7

    def test_a_seed_repeats_a_start_and_another_one_does_not(self, opened):
        starts = opened("CartPole-v1").evaluate(
            "() => [7, 7, 8].map(seed => { course.game.start(seed); return course.game.state; })"
        )
        assert starts[0] == starts[1] != starts[2] and np.abs(starts).max() <= 0.05


@pytest.fixture(scope="module")
def catch_games():
    """Games of the lesson behind its stack of frames, at random and, each second one, by who knows the drift."""
    lesson = lesson_11()
    games = lesson["make_catch"](GAMES, 7, 4)
    seen = games.reset()
    game = games.base_env
    starts = torch.stack([game.column, game.paddle, game.drift], 1).tolist()
    pictures, actions, rewards, ends = [seen["pixels"]], [], [], []
    for step in range(8):
        aim = lesson["landing"](game, 8 - step)
        action = (aim - game.paddle).sign() + 1
        action[::2] = torch.randint(3, (GAMES // 2,), generator=torch.Generator().manual_seed(step))
        seen = games.step(seen.set("action", action))["next"]
        pictures.append(seen["pixels"])
        actions.append(action)
        rewards.append(seen["reward"][:, 0])
        ends.append(seen["terminated"][:, 0])
    stacked = (torch.stack(numbers, 1) for numbers in (pictures, actions, rewards, ends))
    return starts, *(numbers.numpy() for numbers in stacked)


@pytest.mark.slow
class TestCatch:
    """Lesson 11's game, its frames and its agents."""

    def test_its_rules_and_its_frames_are_the_lessons(self, opened, catch_games):
        starts, pictures, actions, rewards, ends = catch_games
        found = opened("Catch").evaluate(
            """([starts, actions]) => { const { world } = course.game;
               return starts.map(([column, paddle, drift], at) => {
                 let state = { column, drift, seen: [{ row: 0, column, paddle }] };
                 const pictures = [world.observe(state, 4).join("")], rewards = [], ends = [];
                 for (const action of actions[at]) { const step = world.step(state, action); state = step.state;
                   pictures.push(world.observe(state, 4).join(""));
                   rewards.push(step.reward); ends.push(step.terminated); }
                 return [pictures, rewards, ends]; }); }""",
            [starts, actions.tolist()],
        )
        assert [rewards for _, rewards, _ in found] == rewards.tolist()
        assert [ends for _, _, ends in found] == ends.tolist()
        # All looks are in the four: what fewer see are the newest of them.
        shown = np.array([[list(map(int, picture)) for picture in game] for game, _, _ in found], np.float32)
        assert (shown.reshape(pictures.shape) == pictures).all()
        assert set(rewards[::2, -1]) == {-1, 1} and (rewards[1::2, -1] == 1).all(), "who knows the drift catches all"

    def test_the_page_draws_starts_as_the_lesson_does(self, opened):
        starts = opened("Catch").evaluate(
            """() => Array.from({ length: 500 }, (_, seed) => {
               const { column, drift, seen } = course.game.world.reset(dice(seed));
               return [column, drift, seen[0].paddle, seen.length, seen[0].row]; })"""
        )
        column, drift, paddle, length, row = (set(numbers) for numbers in zip(*starts, strict=True))
        assert (column, drift, paddle) == (set(range(9)), set(range(-2, 3)), set(range(1, 8)))
        assert (length, row) == ({1}, {0})

    def test_in_1000_positions_the_page_does_what_the_agent_does(self, opened, agents, catch_games):
        pictures = catch_games[1][:, :-1].reshape(-1, 4, 9, 9)[::4]
        assert len(pictures) == 1_000
        page = opened("Catch")
        page.evaluate(
            "() => { course.game.world = {...course.game.world, observe: (seen, looks) => seen.slice(-81 * looks)} }"
        )
        said = page.evaluate(
            """states => { const act = (agent, state) => course.game.opinion(agent, [...state].map(Number)).action;
               return course.game.agents.map(agent =>
                 [agent.name, agent.looks, states.map(state => act(agent, state))]); }""",
            ["".join(map(str, picture.astype(int).ravel())) for picture in pictures],
        )
        assert {name: looks for name, looks, _ in said} == LOOKS
        for name, looks, actions in said:
            agent, seen = agents["Catch"][name].eval(), torch.as_tensor(pictures[:, -looks:])
            with torch.no_grad(), set_exploration_type(ExplorationType.DETERMINISTIC):
                if isinstance(agent, nn.Sequential):
                    wanted = agent(seen).argmax(-1)
                else:
                    wanted = agent(TensorDict({"pixels": seen}, [1_000]))["action"]
            wanted = wanted.int().argmax(-1) if wanted.ndim > 1 else wanted  # one-hot
            assert actions == wanted.tolist(), name
            assert len(set(actions)) == 3, f"{name} does not do all there is: that proves little"

    def test_an_agent_catches_as_it_does_in_the_lesson(self, opened, catch_games):
        """The same games, the same player: as many are caught, and the page counts them."""
        lesson, starts = lesson_11(), catch_games[0]
        page = opened("Catch")
        caught = page.evaluate(
            """starts => { const game = course.game; game.choose(game.agents.find(({ name }) => name === "follower"));
               return starts.map(([column, paddle, drift]) => { game.start(0);
                 game.state = { column, drift, seen: [{ row: 0, column, paddle }] };
                 while (!game.over) game.step(); game.draw(); return game.total; }); }""",
            starts,
        )
        games, agent = lesson["Catch"](GAMES, 7), follower()
        seen = games.reset()
        for _ in range(8):
            seen = games._step(seen.set("action", agent(seen["pixels"]).argmax(-1)))
        assert caught == seen["reward"][:, 0].tolist()
        expect(page.locator("body")).to_contain_text(f"Caught so far: follower {caught.count(1)} of {GAMES}.")
        assert caught.count(1) > 0.6 * GAMES

    def test_by_hand_with_time_a_tap_is_a_step_and_in_a_pause_a_key_is_one(self, opened):
        page = opened("Catch")
        page.get_by_role("button", name="you", exact=True).click()
        page.evaluate("() => { course.game.state.seen[0].paddle = 4; }")
        step = "() => { course.game.step(); return course.game.done; }"
        page.keyboard.press("ArrowRight")  # let go before the step
        assert [page.evaluate(step) for _ in range(2)] == [2, 1]
        page.get_by_role("button", name="◀ left").click()
        assert page.evaluate(step) == 0
        page.keyboard.down("ArrowRight")
        assert [page.evaluate(step) for _ in range(2)] == [2, 2]
        page.keyboard.up("ArrowRight")
        assert page.evaluate(step) == 1
        page.locator("#stage").focus()
        page.keyboard.press(" ")
        page.keyboard.press("ArrowDown")
        expect(page.locator(".facts")).to_contain_text("step 7 of 8")
        expect(page.locator("#said")).to_contain_text("ball in row 8 of 9")
        page.get_by_role("button", name="stay").click()
        expect(page.locator("#said")).to_contain_text(re.compile("(Caught|Missed): 8 steps, return -?1"))
        page.keyboard.press("ArrowLeft")
        expect(page.locator(".facts")).to_contain_text("step 0 of 8")

    def test_what_the_maker_compared_is_told(self, pages):
        compared = pages["Catch"].compared
        assert compared.keys() == CATCHES.keys()
        assert all(found["states"] == 1_000 and found["different"] == 0 for found in compared.values())

    @pytest.mark.parametrize("looks", [1, 2, 4])
    def test_positions_for_comparing_are_those_of_the_lessons_game(self, looks):
        """The ball's ways and the paddle's are all that the lesson's games show, and no others."""
        lesson = lesson_11()["make_catch"](1_000, 3, looks).rollout(8)["pixels"].flatten(0, 1).numpy()
        ours = catch_positions(8_000, looks, 5)
        for part in (slice(8), slice(8, 9)):
            ways = [{picture.tobytes() for picture in pictures[:, :, part]} for pictures in (ours, lesson)]
            assert ways[0] == ways[1] and len(ways[0]) > 6


@pytest.mark.slow
class TestPlayed:
    """By hand, from the keyboard, with a mouse and by touch."""

    def steps(self, page, count):
        return page.evaluate(
            "count => { for (let i = 0; i < count; i++) course.game.step(); return course.game.done; }", count
        )

    def test_arrow_keys_push_and_space_pauses(self, opened):
        page = opened("CartPole-v1")
        page.get_by_role("button", name="you", exact=True).click()
        expect(page.locator("#stage")).to_be_focused()
        expect(page.locator("#said")).to_contain_text("You play. Arrow keys push the cart.")
        page.keyboard.down("ArrowRight")
        assert self.steps(page, 2) == 1
        page.keyboard.up("ArrowRight")
        page.keyboard.down("ArrowLeft")
        assert self.steps(page, 2) == 0
        page.keyboard.up("ArrowLeft")
        assert {self.steps(page, 1), self.steps(page, 1)} == {0, 1}, "no key: to both sides by turns"
        expect(page.get_by_role("button", name="Pause")).to_be_visible()
        page.keyboard.press(" ")
        expect(page.get_by_role("button", name="Play")).to_be_visible()
        page.keyboard.press(" ")
        expect(page.get_by_role("button", name="Pause")).to_be_visible()

    def test_buttons_push_while_they_are_held(self, opened):
        page = opened("Pendulum-v1")
        push = page.get_by_role("button", name="right ▶")
        expect(push).to_be_hidden()
        page.get_by_role("button", name="you", exact=True).click()
        push.hover()
        page.mouse.down()
        assert self.steps(page, 1) == -2
        page.mouse.up()
        assert self.steps(page, 1) == 0

    def test_the_end_of_what_a_person_plays_is_said(self, opened):
        page = opened("CartPole-v1")
        page.get_by_role("button", name="you", exact=True).click()
        page.keyboard.down("ArrowRight")
        page.evaluate("() => { while (!course.game.over) course.game.step(); course.game.draw(); }")
        expect(page.locator("#said")).to_contain_text(re.compile(r"The pole fell.*: \d+ steps, return \d+"))
        expect(page.locator("body")).to_contain_text(re.compile(r"Best return so far: you \d+"))

    def test_an_agent_that_goes_on_alone_says_nothing(self, opened):
        page = opened("CartPole-v1")
        page.evaluate("() => { while (!course.game.over) course.game.step(); }")
        assert page.locator("#said").inner_text() == ""

    def test_a_seed_begins_an_episode_and_one_step_is_one(self, opened):
        page = opened("CartPole-v1")
        page.get_by_label("seed").fill("41")
        page.get_by_label("seed").press("Enter")
        page.get_by_role("button", name="One step").click()
        expect(page.locator(".facts")).to_contain_text("step 1 of 500")
        page.get_by_role("button", name="New episode").click()
        assert page.get_by_label("seed").input_value() == "42"
        expect(page.locator(".facts")).to_contain_text("step 0 of 500")

    def test_values_stand_as_numbers_beside_their_bars(self, opened, agents):
        page = opened("CartPole-v1")
        for name in ("Q, one number", "scores"):
            page.get_by_role("button", name=name, exact=True).click()
            numbers = [float(words) for words in page.locator(".bar output").all_inner_texts()]
            state = np.float32([page.evaluate("course.game.state")])
            wanted = read_network(agents["CartPole-v1"][name])(state)[0]
            wanted = np.exp(wanted) / np.exp(wanted).sum() if name == "scores" else wanted
            assert np.abs(numbers - wanted).max() < 6e-4, name
            assert page.locator(".bar").nth(int(wanted.argmax())).get_attribute("class") == "bar taken"

    def test_slow_motion_is_slower(self, opened):
        page = opened("CartPole-v1")
        page.evaluate("() => course.game.choose(course.game.agents[3])")
        counts = {}
        for words, speed in [("full speed", 1), ("a tenth", 0.1)]:
            page.get_by_role("button", name=words).click()
            # A second of time, in frames of a sixtieth.
            counts[speed] = page.evaluate(
                """() => { const game = course.game; game.start(1); game.saved = 0; game.last = 0;
                   for (let i = 1; i <= 60; i++) game.frame(i * 1000 / 60); return game.steps; }"""
            )
        assert counts[1] in (49, 50) and counts[0.1] in (4, 5)

    def test_it_moves_by_itself_unless_less_motion_is_asked_for(self, opened):
        page = opened("Pendulum-v1", moves=True)
        expect(page.locator(".facts")).to_contain_text(re.compile("step [1-9]"))
        still = opened("Pendulum-v1", moves=True, motion="reduce")
        still.wait_for_timeout(300)
        expect(still.locator(".facts")).to_contain_text("step 0 of")
        expect(still.locator("#said")).to_contain_text("your system asks for less motion")
        still.get_by_role("button", name="Play").click()
        expect(still.locator(".facts")).to_contain_text(re.compile("step [1-9]"))


@pytest.mark.slow
class TestBoard:
    def test_the_agents_moves_are_its_own_and_the_game_ends(self, opened):
        page = opened("Board")
        board, cells = Board(forgetful), page.locator(".cells button")
        position = board.empty
        for cell in (4, 6, 2):
            cells.nth(cell).click()
            position = board._answered(position.after(cell), 0)
            labels = [cells.nth(place).get_attribute("aria-label") for place in range(9)]
            shown = [{"X": 0, "O": 1, "free": -1}[label.split(": ")[1]] for label in labels]
            assert shown == position.cells
        expect(page.locator("#said")).to_have_text("You have won.")
        cells.nth(8).click()
        expect(page.locator("#said")).to_have_text("The game is over. Begin a new one.")

    def test_it_plays_with_the_keyboard_alone_and_says_what_it_thinks(self, opened):
        page = opened("Board")
        page.get_by_role("button", name="clever").click()
        page.get_by_role("button", name="the agent begins").click()
        expect(page.locator("#said")).to_have_text("clever plays row 2, column 2. Your turn, with O.")
        page.get_by_role("button", name="show what the agent thinks").click()
        assert page.locator(".cells button").all_inner_texts() == [
            "3.00",
            "2.00",
            "3.00",
            "2.00",
            "X",
            *["2.00", "3.00", "2.00", "3.00"],
        ]
        page.locator(".cells button").first.focus()
        for key in ("ArrowDown", "Enter"):
            page.keyboard.press(key)
        expect(page.locator(".cells button").nth(3)).to_have_text("O")
        page.locator(".cells button").nth(4).click()
        expect(page.locator("#said")).to_have_text("row 2, column 2 is taken. Choose a free cell.")

    def test_the_table_holds_every_position_of_a_game_against_it(self):
        board = Board(clever)
        table = board.table()
        for yours in (0, 1):
            for position in board._reached(yours):
                key = "".join("-" if owner < 0 else str(owner) for owner in position.cells)
                assert position.over or table[key][position.free[0]] == board.values(position)[position.free[0]]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CartPole-v1", "Pendulum-v1", "Catch", "Board"])
@pytest.mark.parametrize(("theme", "width"), [("light", 760), ("dark", 360)])
def test_it_is_accessible_and_fits(opened, name, theme, width):
    page = opened(name, theme, width)
    page.locator("details").evaluate("fold => { fold.open = true; }")
    if name != "Board":
        page.get_by_role("button", name="you", exact=True).click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = Axe().run(page, options={"preload": False, "resultTypes": ["violations"]}).response["violations"]
    assert not found, [(item["id"], node["html"][:200]) for item in found for node in item["nodes"]]


@pytest.mark.slow
def test_it_plays_in_a_frame_that_may_do_nothing_but_run_its_script(chromium, pages):
    """As a notebook shows it."""
    page = chromium.new_page()
    elsewhere = []
    page.on("request", lambda request: elsewhere.append(request.url))
    page.set_content(f"<main>{pages['Pendulum-v1'].html}</main>")
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("button", name="bell curve")).to_have_attribute("aria-pressed", "true")
    frame.get_by_role("button", name="raw").click()
    expect(frame.locator("#said")).to_have_text("raw plays.")
    page.close()
    assert [address for address in elsewhere if not address.startswith(("about:", "data:"))] == []


class TestWritten:
    """What needs no browser."""

    def test_it_says_what_it_wrote(self, tmp_path):
        page = play_page(nn.Linear(4, 2), tmp_path / "one.html", title="Ours & <mine>")
        assert (tmp_path / "one.html").read_text() == page.page
        assert str(tmp_path) not in page.html + page.text and "Open one.html in any browser" in page.text
        assert "<h1>Ours &amp; &lt;mine&gt;</h1>" in page.page and 'sandbox="allow-scripts"' in page.html

    def test_it_asks_nobody(self, pages):
        for page in pages.values():
            assert "default-src 'none'" in page.page
            code = re.sub(r"//.*|https://gymnasium\S+", "", page.page)
            assert not re.search(r"https?:|\bfetch\(|XMLHttpRequest|\bimport\b|@import|url\(|src=", code)

    def test_a_name_cannot_end_the_script(self, tmp_path):
        page = play_page({"</script><b>": nn.Linear(4, 2)}, tmp_path / "one.html").page
        assert page.count("</script>") == 2

    def test_numbers_that_are_exact_in_16_bits_take_16(self, tmp_path):
        layer = nn.Linear(4, 2)
        long = play_page(layer, tmp_path / "one.html").page
        layer.load_state_dict({key: value.half().float() for key, value in layer.state_dict().items()})
        short = play_page(layer, tmp_path / "one.html").page
        assert '"bits": 32' in long and '"bits": 16' in short and '"bits": 32' not in short

    def test_its_own_page_is_written_anew(self, tmp_path):
        for title in ("first", "second"):
            play_page(nn.Linear(4, 2), tmp_path / "one.html", title=title)
        assert "second" in (tmp_path / "one.html").read_text()

    @pytest.mark.parametrize("change", ["someone else's", "changed", "empty"])
    def test_what_it_did_not_write_stays(self, tmp_path, change):
        path = tmp_path / "one.html"
        page = play_page(nn.Linear(4, 2), path).page
        text = {"someone else's": "<p>mine</p>", "changed": page.replace("<h1>", "<h1>My "), "empty": ""}[change]
        path.write_text(text)
        with pytest.raises(FileExistsError, match="one.html is there already.*Choose another name"):
            play_page(nn.Linear(4, 2), path)
        assert path.read_text() == text and [file.name for file in tmp_path.iterdir()] == ["one.html"]

    def test_an_agent_in_training_goes_on_training(self, tmp_path):
        agent = q_agent(Categorical(2))
        explorer = TensorDictSequential(agent, EGreedyModule(Categorical(2)))
        explorer.train()
        before, weights = torch.random.get_rng_state(), [weight.clone() for weight in agent.parameters()]
        play_page(explorer, tmp_path / "one.html")
        assert explorer.training and agent.training and torch.equal(before, torch.random.get_rng_state())
        assert all(torch.equal(old, new) for old, new in zip(weights, agent.parameters(), strict=True))


class Bent(nn.Module):
    def forward(self, x):
        return x.clamp(-1, 1)


class Hidden(nn.Sequential):
    """Does in its `forward` what its layers do not show."""

    def forward(self, x):
        return super().forward(-x)


def gru() -> TensorDictSequential:
    memory = GRUModule(input_size=4, hidden_size=4, in_keys=["observation", "h", "is_init"], out_keys=["x", "h"])
    return TensorDictSequential(memory, TensorDictModule(nn.Linear(4, 2), ["x"], ["action_value"]))


BAD = {
    "no module": (lambda: lambda td: td, "An agent is a module; this is a function. A page can carry"),
    "memory": (gru, r"has a memory \(GRU\), which a page does not carry"),
    "other filters": (
        lambda: nn.Sequential(nn.Conv1d(4, 4, 3), nn.Flatten(), nn.Linear(4, 2)),
        r"filters of another kind \(Conv1d\)",
    ),
    "dilated": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3, dilation=2), nn.Flatten(), nn.Linear(100, 3)),
        "a Conv2d with a stride and a padding of so many zeros, not Conv2d.*dilation",
    ),
    "other pictures": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(256, 3)),
        "reads 256 numbers, and gets 196. Of worlds that are seen as pictures a page has lesson 11's Catch",
    ),
    "large filters": (
        lambda: nn.Sequential(nn.Conv2d(4, 4, 12), nn.Flatten(), nn.Linear(256, 3)),
        "larger than what it gets, a picture of 4 channels, 9 by 9",
    ),
    "channels": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(100, 3)),
        "reads 2 channels, and gets a picture of 4 channels, 7 by 7",
    ),
    "not flat": (lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.Linear(7, 3)), "put an nn.Flatten before it"),
    "other moves": (
        lambda: nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(196, 4)),
        "reads pictures of 2 by 9 by 9 and says 4. A page has CartPole-v1",
    ),
    "no layer": (lambda: nn.Sequential(nn.ReLU()), "There is no Linear layer in this Sequential"),
    "lazy": (lambda: nn.LazyLinear(2), "has no weights yet: let it act once"),
    "bends": (
        lambda: nn.Sequential(Bent(), nn.Linear(4, 2)),
        "does not carry a Bent: it does more than multiply and add",
    ),
    "GELU": (
        lambda: nn.Sequential(nn.Linear(4, 4), nn.GELU(), nn.Linear(4, 2)),
        "does not carry a GELU.*ReLU, LeakyReLU",
    ),
    "hidden": (lambda: Hidden(nn.Linear(4, 2)), "would not play as 'agent' does: it differs in .* of 1,000 states"),
    "sizes": (lambda: nn.Linear(2, 3), "reads 2 numbers and says 3. A page has CartPole-v1"),
    "torque": (lambda: drawn(3, 1, torch.distributions.Categorical), "reads 3 numbers and says 1 as probabilities"),
    "two inputs": (lambda: TensorDictModule(MLP(in_features=4, out_features=2), ["a", "b"], ["c"]), "reads 'a', 'b'"),
    "chain": (
        lambda: TensorDictSequential(
            TensorDictModule(nn.Linear(4, 4), ["observation"], ["x"]), TensorDictModule(nn.Linear(4, 2), ["y"], ["z"])
        ),
        "reads 'y', and the part before writes 'x'",
    ),
    "NaN": (lambda: nn.Linear(4, 2).apply(lambda layer: nn.init.constant_(layer.bias, torch.nan)), "NaN or infinite"),
    "large": (lambda: nn.Sequential(nn.Linear(4, 300_000), nn.Linear(300_000, 2)), "numbers; a page carries 1,000,000"),
    "none": (dict, "Give at least one agent"),
    "you": (lambda: {"You": nn.Linear(4, 2)}, "'You' is no name for an agent"),
    "two worlds": (lambda: {"a": nn.Linear(4, 2), "b": nn.Linear(3, 1)}, "'a' CartPole-v1, 'b' Pendulum-v1"),
    "mixed": (lambda: {"a": nn.Linear(4, 2), "b": Board(forgetful)}, "at a board or agents in a world, not both"),
    "large board": (lambda: Board(forgetful, 4, 4), "too many games on 4 x 4 cells"),
    "silent": (lambda: Board(lambda board, mask: torch.full((9,), torch.nan)), "cannot say what it would do"),
    "boards": (lambda: {"a": Board(forgetful), "b": Board(forgetful, 2, 2, 2)}, "boards of a page are of one size"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_page_is_said_and_nothing_is_written(tmp_path, name):
    make, words = BAD[name]
    with pytest.raises(ValueError, match=words):
        play_page(make(), tmp_path / "one.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("path", "words"), [("one.txt", "ends in .html"), ("nowhere/one.html", "no folder 'nowhere'")])
def test_a_path_that_cannot_be_is_said(tmp_path, path, words):
    with pytest.raises(ValueError, match=words):
        play_page(nn.Linear(4, 2), tmp_path / path)
