"""`examples/cluster/train.py` where it lives: on two nodes, losing workers, and going on from its checkpoint."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

import psutil
import pytest
import torch
from conftest import ROOT

from course_utils import load_checkpoint, save_checkpoint
from course_utils.machine.extras import extra_install, has_extra

pytestmark = pytest.mark.slow
FOLDER = ROOT / "examples" / "cluster"
STOPPED = 3
BATCH = 512
needs_ray = pytest.mark.skipif(not has_extra("ray"), reason=f"ray is not installed: {extra_install('ray')}")


def wait_until(true, what: str, seconds: float = 240):
    """What `true` returns, once it is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := true():
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {seconds:g} s")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Training:
    """The script, started in a process of its own; what it says goes to a file."""

    def __init__(self, folder: Path, *words: str, **environment: str) -> None:
        self.checkpoint, self.log = folder / "run.pt", folder / "said.txt"
        command = [sys.executable, FOLDER / "train.py", "--checkpoint", self.checkpoint, *words]
        env = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        self.process = subprocess.Popen(command, env=env, stdout=self.log.open("w"), stderr=subprocess.STDOUT)

    def said(self) -> str:
        return self.log.read_text()

    def learned(self) -> list[int]:
        """The frame after each batch that it has learned from."""
        return frames_in(self.said())

    def after(self, batches: int) -> None:
        wait_until(lambda: len(self.learned()) >= batches or self.process.poll() is not None, f"{batches} batches")
        assert self.process.poll() is None, self.said()

    def end(self, seconds: float = 240) -> int:
        try:
            return self.process.wait(seconds)
        finally:
            self.kill()

    def kill(self) -> None:
        for process in self.family():
            process.kill()

    def family(self) -> list[psutil.Process]:
        try:
            me = psutil.Process(self.process.pid)
            return [*me.children(recursive=True), me]
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """Spawned workers, without the process that keeps account of shared memory."""
        return [process for process in self.family()[:-1] if "spawn_main" in " ".join(process.cmdline())]


def frames_in(said: str) -> list[int]:
    return [int(frame) for frame in re.findall(r"^batch \d+ frame (\d+):", said, re.MULTILINE)]


@pytest.fixture
def training(tmp_path):
    started = []

    def start(*words: str, **environment: str) -> Training:
        started.append(Training(tmp_path, *words, **environment))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def goes_on_from_its_checkpoint(training, frames: int) -> None:
    """Another process, with another collector, learns on: no batch twice, none left out."""
    resumed = training("--collector", "single", "--frames", str(frames + 2 * BATCH))
    assert resumed.end() == 0, resumed.said()
    assert resumed.learned() == [frames + BATCH, frames + 2 * BATCH], resumed.said()


class TestOnOneMachine:
    def test_a_job_that_is_asked_to_leave_saves_all_it_learned_and_another_goes_on(self, training):
        run = training("--collector", "async", "--frames", "1000000", "--save-every", "1000000")
        run.after(3)
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == STOPPED, run.said()
        state = load_checkpoint(run.checkpoint)
        assert f"frame {state['frames']} is saved" in run.said()
        assert state["frames"] == run.learned()[-1], "all that was learned, and nothing twice"
        goes_on_from_its_checkpoint(training, state["frames"])

    def test_workers_that_are_killed_are_replaced_and_learning_goes_on(self, training):
        run = training("--collector", "async", "--frames", "10240", "--restarts", "1")
        run.after(2)
        run.workers()[0].kill()
        assert run.end() == 0, run.said()
        assert "Lost a worker at frame" in run.said() and "Going on with 2 new workers" in run.said()
        assert run.learned() == list(range(BATCH, 10_240 + 1, BATCH)), "no batch twice, none left out"

    def test_a_worker_that_stands_still_ends_the_run_with_a_sentence_and_a_checkpoint(self, training):
        run = training("--collector", "sync", "--frames", "1000000", "--patience", "45")
        run.after(2)
        run.workers()[0].suspend()
        assert run.end() == STOPPED, run.said()
        assert "No batch for 45 s: a worker stands still" in run.said()
        assert load_checkpoint(run.checkpoint)["frames"] == run.learned()[-1]

    def test_a_lost_worker_of_torch_distributed_ends_the_run_in_order_or_is_not_missed(self, training):
        """Whether torch.distributed notices depends on what the worker was doing; either way nothing is lost."""
        words = ["--collector", "distributed", "--port", str(free_port())]
        run = training(*words, "--frames", "20480", "--patience", "60")
        run.after(2)
        run.workers()[0].kill()
        assert run.end() in (0, STOPPED), run.said()
        assert "Done." in run.said() or "Stopped. Nothing that was learned is lost" in run.said()
        frames = run.learned()
        assert frames == list(range(BATCH, frames[-1] + 1, BATCH)), "no batch twice, none left out"
        assert load_checkpoint(run.checkpoint)["frames"] == frames[-1]

    def test_rpc_collects_as_well(self, training):
        run = training("--collector", "rpc", "--port", str(free_port()), "--frames", "2048")
        assert run.end() == 0, run.said()
        assert run.learned()[-1] >= 2_048

    @pytest.mark.parametrize("kind", ["distributed", "rpc"])
    def test_nobody_from_outside_can_reach_its_processes(self, training, kind):
        """torch's stores listen on all addresses by themselves, and its RPC runs what it is sent."""
        run = training("--collector", kind, "--port", str(free_port()), "--frames", "1000000")
        run.after(1)
        connections = [at for process in run.family() for at in process.net_connections()]
        listening = {at.laddr.ip for at in connections if at.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}


class TestCommandLine:
    """Bad orders are refused in one sentence, before anything is written."""

    @pytest.fixture
    def train(self, monkeypatch, tmp_path):
        monkeypatch.syspath_prepend(FOLDER)
        monkeypatch.chdir(tmp_path)
        import train

        monkeypatch.setattr(train, "leave", sys.exit)
        return train

    @pytest.mark.parametrize(
        "words",
        ["--workers 0", "--save-every 0", "--seed -1", "--seed 100000", "--frames 0", "--patience 0", "--patience nan"]
        + ["--patience 1e300", "--restarts -1", "--step-seconds -1", "--step-seconds inf", "--port 0", "--port 99999"]
        + ["--workers two", "--workers 1.5"],
    )
    def test_a_number_that_cannot_be(self, train, capsys, words, tmp_path):
        with pytest.raises(SystemExit):
            train.parse(words.replace(" ", "=", 1).split())
        assert re.search(r"error: argument --\S+: '\S+' is no (whole )?number (from|of) ", capsys.readouterr().err)
        assert list(tmp_path.iterdir()) == []

    def test_another_seed_than_the_checkpoints_is_refused_and_the_checkpoint_stays(self, train):
        run = train.build(7)
        train.save(run, Path("run.pt"))
        before = Path("run.pt").read_bytes()
        with pytest.raises(SystemExit, match=r"holds a run of seed 7, at frame 0, not one of seed 8.*--checkpoint"):
            train.begin(train.parse(["--seed", "8"]))
        assert Path("run.pt").read_bytes() == before
        assert train.begin(train.parse(["--seed", "7"])).seed == train.begin(train.parse([])).seed == 7
        assert train.begin(train.parse(["--seed", "8", "--checkpoint", "other.pt"])).seed == 8

    @pytest.mark.parametrize("kind", ["another network", "another program", "no checkpoint", "a link to nowhere"])
    def test_a_checkpoint_that_is_none_of_ours_is_one_sentence_and_stays(self, train, monkeypatch, capsys, kind):
        if kind == "another network":
            save_checkpoint({"seed": 0, "loss": torch.nn.Linear(2, 2).state_dict(), "optimiser": {}}, "run.pt")
        elif kind == "another program":
            save_checkpoint({"epoch": 1}, "run.pt")
        elif kind == "no checkpoint":
            Path("run.pt").write_text("my notes")
        else:
            Path("run.pt").symlink_to("nowhere.pt")
        monkeypatch.setattr(sys, "argv", ["train.py"])
        before = Path("run.pt").read_bytes() if kind != "a link to nowhere" else None
        with pytest.raises(SystemExit):
            train.main()
        said = capsys.readouterr().out
        assert "run.pt" in said and said.count("\n") == 1, said
        assert before is None or Path("run.pt").read_bytes() == before

    def test_ray_that_does_not_start_is_tried_again_and_then_one_sentence(self, train, monkeypatch, capsys):
        tries = []

        def init(**options):
            tries.append(options)
            raise RuntimeError("the head did not answer")

        ray = types.SimpleNamespace(init=init, shutdown=lambda: None)
        monkeypatch.setitem(sys.modules, "ray", ray)
        with pytest.raises(SystemExit, match="Ray did not start, 3 times .*did not answer.*--collector async"):
            train.start_ray()
        assert len(tries) == 3 and capsys.readouterr().out.count("trying again") == 2
        tries.clear()
        ray.init = lambda **options: tries.append(1) if len(tries) else init()
        train.start_ray()  # the second time it starts


@needs_ray
def test_the_readmes_command_makes_a_token_that_nobody_else_can_read(tmp_path):
    readme = (FOLDER / "README.md").read_text()
    command = re.search(r"`(\(umask 077 && ray get-auth-token --generate\))`", readme)[1]
    assert command in (FOLDER / "cluster.yaml").read_text()
    env = {**os.environ, "HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", command], env=env, check=True, capture_output=True, timeout=240)
    token = tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o077 == 0 and len(token.read_text()) >= 32


def ray_start(folder: str, env: dict, *words: str) -> None:
    command = [Path(sys.executable).with_name("ray"), "start", "--node-ip-address=127.0.0.1", *words]
    done = subprocess.run(
        [*command, "--object-store-memory=100000000", "--disable-usage-stats"],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout[-3000:]


def processes_of(folder: str, name: str = "") -> list[psutil.Process]:
    """Ray's processes that belong to the cluster in this folder."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if folder in words and name in words.split(" ")[0]:
            found.append(process)
    return found


@pytest.fixture
def cluster():
    """Two nodes on this machine; only the second one has room for simulators.

    Yields its environment, the address of its job server, and the raylet of the second node.
    """
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")  # Ray's sockets need a short path
    env = {**os.environ, "RAY_TMPDIR": folder, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    port, dashboard = free_port(), free_port()
    try:
        words = [f"--port={port}", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", "--num-cpus=1"]
        ray_start(folder, env, "--head", *words, "--ray-client-server-port", str(free_port()))
        head = {process.pid for process in processes_of(folder, "raylet")}
        resources = '--resources={"simulator": 2}'
        ray_start(folder, env, f"--address=127.0.0.1:{port}", "--num-cpus=2", resources)
        second = [process for process in processes_of(folder, "raylet") if process.pid not in head]
        yield {**env, "RAY_ADDRESS": f"127.0.0.1:{port}"}, f"http://127.0.0.1:{dashboard}", second[0]
    finally:
        for process in processes_of(folder):
            process.kill()


@needs_ray
def test_on_two_nodes_a_job_outlives_an_actor_and_leaves_a_checkpoint_when_the_node_dies(
    cluster, training, tmp_path, monkeypatch
):
    env, job_server, second_node = cluster
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, env[name])
    from ray.job_submission import JobStatus, JobSubmissionClient

    # Where another test has imported Ray before, the client no longer asks the environment for the token.
    headers = {"Authorization": f"Bearer {env['RAY_AUTH_TOKEN']}"}
    client, checkpoint = JobSubmissionClient(job_server, headers=headers), tmp_path / "run.pt"
    # On a busy machine two actors need minutes to start; a script of less patience takes them for lost, and stops.
    words = ["--collector", "ray", "--resource", "simulator", "--frames", "1000000", "--patience", "300"]
    command = [sys.executable, "train.py", *words, "--checkpoint", str(checkpoint)]

    def submitted() -> str | None:
        """The job's number; None while the cluster, seconds old, has nobody yet who takes jobs."""
        try:
            return client.submit_job(entrypoint=" ".join(command), runtime_env={"working_dir": str(FOLDER)})
        except RuntimeError as error:
            if "No available agent" not in str(error):
                raise
            return None

    job = wait_until(submitted, "somebody who takes the job")

    def logs() -> str:
        return client.get_job_logs(job)

    def actors() -> list[psutil.Process]:
        children = second_node.children(recursive=True)
        return [process for process in children if "ray::Collector" in " ".join(process.cmdline())]

    def wait_for(true, what: str) -> None:
        """As `wait_until`, but a job that has ended is not waited for, and either way what it said is told."""

        def seen() -> bool:
            ended = client.get_job_status(job).is_terminal()  # asked first: it may end between two questions
            found = true()
            assert found or not ended, f"{what}: the job has ended"
            return found

        try:
            wait_until(seen, what, seconds=600)
        except AssertionError as error:
            raise AssertionError(f"{error}. It said:\n{logs()}") from None

    wait_for(lambda: len(frames_in(logs())) >= 3, "a job that learns")
    assert len(actors()) == 2, "both actors run on the second node"
    actors()[0].kill()
    wait_for(lambda: "Going on with 2 new workers" in logs(), "new workers")
    so_far = len(frames_in(logs()))
    wait_for(lambda: len(frames_in(logs())) > so_far, "learning goes on")

    second_node.kill()
    wait_for(lambda: client.get_job_status(job) == JobStatus.FAILED, "the end of the job")
    said = logs()
    assert "Stopped. Nothing that was learned is lost" in said, said
    frames = frames_in(said)
    assert frames == list(range(BATCH, frames[-1] + 1, BATCH)), "no batch twice, none left out"
    assert load_checkpoint(checkpoint)["frames"] == frames[-1]
    goes_on_from_its_checkpoint(training, frames[-1])


def test_the_script_learns_as_the_lesson_does(monkeypatch):
    """Two copies of one learner: they must not drift apart."""
    monkeypatch.syspath_prepend(FOLDER)
    import train

    from benchmarks.groups import staleness

    lesson: dict = {"seed": 0}
    exec(staleness.code(), lesson)
    runs = [lesson["build"](0), train.build(0)]
    envs = train.make_env(0)
    with torch.no_grad():
        batch = envs.rollout(train.STEPS, runs[0].player, break_when_any_done=False)
    torch.manual_seed(1)
    lesson["learn"](runs[0], batch.clone())
    torch.manual_seed(1)
    train.learn(runs[1], batch.clone(), 0.0)
    weights = [run.loss.state_dict() for run in runs]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert runs[0].age.bias == runs[1].age.bias == 1
