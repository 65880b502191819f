"""The server of examples/serving/: asked as a stranger would, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import onnxruntime
import psutil
import pytest
from conftest import ROOT
from onnx_files import balancer, put

SERVING = ROOT / "examples" / "serving"
TOKEN = "a token of thirty signs, no less"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
GOOD = {"observations": [[0.0, 0.1, 0.02, -0.1]]}


@contextlib.contextmanager
def server(model: Path, *options: str, token: str = TOKEN) -> Iterator[tuple[str, subprocess.Popen]]:
    command = [sys.executable, str(SERVING / "serve.py"), str(model), *options]
    environment = os.environ | {"AGENT_TOKEN": token, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = process.stdout.readline().split()[-1]
        assert address.startswith("http://127.0.0.1:"), address + process.stdout.read()
        yield address, process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return put(tmp_path_factory.mktemp("agent"), "balances", balancer())


@pytest.fixture(scope="module")
def served(model):
    with server(model) as (address, process):
        yield address, process


@pytest.fixture(scope="module")
def client(served):
    with httpx.Client(base_url=served[0], headers=HEADERS, timeout=30) as client:
        yield client


def test_actions_are_those_of_the_file(client, model):
    observations = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"observation": observations})
    answer = client.post("/act", json={"observations": observations.tolist()})
    assert answer.status_code == 200 and answer.json() == {"actions": wanted.tolist()}
    assert set(wanted.tolist()) == {0, 1}


BAD = {
    "three numbers": ('{"observations": [[0, 0, 0]]}', "observations[0] has 3 numbers; it should have exactly 4."),
    "five numbers": ('{"observations": [[0, 0, 0, 0], [1, 2, 3, 4, 5]]}', "observations[1] has 5 numbers"),
    "no observation": ('{"observations": []}', "observations has 0 observations; it should have at least 1."),
    "too many": (json.dumps({"observations": [[0] * 4] * 65}), "has 65 observations; it should have at most 64."),
    "NaN": ('{"observations": [[0, NaN, 0, 0]]}', "observations[0][1] is not a finite number."),
    "infinite": ('{"observations": [[0, 0, 0, -Infinity]]}', "observations[0][3] is not a finite number."),
    "too long for a float": ('{"observations": [[1e999, 0, 0, 0]]}', "observations[0][0] is not a finite number."),
    "huge": ('{"observations": [[0, 0, 1e30, 0]]}', "out of bounds: numbers are from -1e+06 to 1e+06."),
    "a number as text": ('{"observations": [["1", 0, 0, 0]]}', "observations[0][0]: Input should be a valid number."),
    "true": ('{"observations": [[true, 0, 0, 0]]}', "observations[0][0]: Input should be a valid number."),
    "nothing": ("", 'The body should be {"observations": [[...], ...]}'),
    "no JSON": ("observations=1", "The body is not JSON."),
    "cut off": ('{"observations": [[0, 0', "The body is not JSON."),
    "a list": ("[[0, 0, 0, 0]]", 'The body should be {"observations": [[...], ...]}'),
    "another name": ('{"observation": [[0, 0, 0, 0]]}', 'The body should be {"observations": [[...], ...]}'),
    "something besides": ('{"observations": [[0, 0, 0, 0]], "run": "ls"}', "'run' is not known here"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_a_request_is_said_in_a_sentence(client, name):
    body, sentence = BAD[name]
    answer = client.post("/act", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422 and sentence in answer.json()["detail"]


def test_a_body_that_only_opens_brackets_is_refused_and_harms_nobody(client):
    answer = client.post("/act", content="[" * 200_000, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422) and answer.json()["detail"]
    assert client.post("/act", json=GOOD).status_code == 200


@pytest.mark.parametrize("told", [True, False], ids=["length told", "in pieces"])
def test_a_long_body_is_not_read(client, told):
    body = b" " * 300_000
    answer = client.post("/act", content=body if told else iter([body[:200_000], body[200_000:]]))
    assert answer.status_code == 413 and answer.json()["detail"] == "The body is longer than 262144 bytes."


@pytest.mark.parametrize("said", [None, "", TOKEN, "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", "Bearer \xff"])
def test_without_the_token_nobody_gets_an_answer(served, said):
    headers = {} if said is None else {b"Authorization": said.encode("latin-1")}
    answer = httpx.post(f"{served[0]}/act", json=GOOD, headers=headers)
    assert answer.status_code == 401 and answer.json()["detail"] == "The token is missing or wrong."
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_token_is_asked_for_before_the_body_is_read(served):
    assert httpx.post(f"{served[0]}/act", content=b"[" * 300_000).status_code == 401


def test_health_is_told_to_all_and_nothing_else_is_there(served, client):
    told = httpx.get(f"{served[0]}/healthz").json()
    assert told["status"] == "ok" and told["agent"] == "balances"
    assert [client.get(path).status_code for path in ("/", "/docs", "/openapi.json", "/act")] == [404, 404, 404, 405]


def test_it_listens_to_this_machine_alone(served):
    places = [seen.laddr.ip for seen in psutil.Process(served[1].pid).net_connections("tcp") if seen.status == "LISTEN"]
    assert places == ["127.0.0.1"]


def test_an_answer_does_not_wait_for_the_network_to_fill_a_packet(client):
    """Small packets that are held back cost some 40 ms each."""
    took = []
    for _ in range(20):
        start = time.perf_counter()
        client.post("/act", json=GOOD)
        took.append(time.perf_counter() - start)
    assert min(took) < 0.03


def test_requests_that_come_together_are_decided_together_and_each_gets_its_own(model):
    observations = np.random.default_rng(1).normal(size=(24, 2, 4)).tolist()
    with server(model, "--wait", "1000", "--most", "64") as (address, _), httpx.Client(headers=HEADERS) as client:

        def ask(rows):
            return client.post(f"{address}/act", json={"observations": rows}, timeout=60).json()["actions"]

        with ThreadPoolExecutor(24) as threads:
            actions = list(threads.map(ask, observations))
        told = httpx.get(f"{address}/healthz").json()
    assert told["rows"] == 48 and told["batches"] <= 6
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    for rows, given in zip(observations, actions, strict=True):
        assert given == session.run(None, {"observation": np.array(rows, np.float32)})[0].tolist()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_who_is_waiting_gets_an_answer_before_it_stops(model, number):
    with server(model, "--wait", "1500") as (address, process):
        answers = []
        asks = threading.Thread(target=lambda: answers.append(httpx.post(f"{address}/act", json=GOOD, headers=HEADERS)))
        asks.start()
        time.sleep(0.7)
        process.send_signal(number)
        asks.join(30)
        assert process.wait(30) == 0 and process.stdout.read() == ""
    assert [answer.status_code for answer in answers] == [200]
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{address}/healthz")


def start(model: Path, token: str = "") -> subprocess.CompletedProcess:
    command = [sys.executable, str(SERVING / "serve.py"), str(model)]
    return subprocess.run(command, env=os.environ | {"AGENT_TOKEN": token}, capture_output=True, text=True, timeout=120)


def test_a_token_that_is_made_is_printed_once_and_holds(model):
    environment = {name: value for name, value in os.environ.items() if name != "AGENT_TOKEN"}
    command = [sys.executable, str(SERVING / "serve.py"), str(model)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        token = process.stdout.readline().removeprefix("Token: ").strip()
        address = process.stdout.readline().split()[-1]
        answer = httpx.post(f"{address}/act", json=GOOD, headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200 and len(token) > 40
    finally:
        process.terminate()
        assert token not in process.communicate(timeout=30)[0]


def test_what_cannot_be_served_is_said_in_a_line(model, tmp_path):
    short = start(model, token="1234")
    assert short.returncode == 1 and "should have 16 plain signs or more" in short.stderr
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(model.read_bytes())
    assert "There is no card" in start(alone, TOKEN).stderr
    broken = put(tmp_path, "broken", b"not ONNX")
    done = start(broken, TOKEN)
    assert done.returncode == 1 and done.stderr.startswith("ONNX Runtime cannot load the file")
    assert "Traceback" not in short.stderr + done.stderr


def test_the_load_script_compares_both():
    command = [sys.executable, str(SERVING / "load.py"), "--width", "16", "--clients", "8", "--requests", "32"]
    done = subprocess.run([*command, "--rounds", "2"], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["unbatched_rows"] == 1 < found["batched_rows"] <= 8
    assert min(found.values()) >= 0 and found["batched_per_second"] > 0


class TestBatcher:
    """The queue alone."""

    @pytest.fixture(autouse=True)
    def found(self, monkeypatch):
        monkeypatch.syspath_prepend(SERVING)

    @staticmethod
    def run(ask, decide=lambda rows: rows[:, 0] * 2, **settings):
        """What a coroutine function that gets a running batcher returns, and the batcher."""
        import batching

        async def all_of_it():
            batcher = batching.Batcher(decide, **{"most": 4, "wait": 0.05, "room": 100} | settings)
            running = asyncio.create_task(batcher.run())
            try:
                return await asyncio.wait_for(ask(batcher), 20), batcher
            finally:
                running.cancel()

        return asyncio.run(all_of_it())

    def test_no_batch_has_more_rows_than_it_may_and_none_is_split_or_lost(self):
        async def ask(batcher):
            rows = [np.full((count, 1), float(number)) for number, count in enumerate([1, 2, 2, 3, 4, 1, 1])]
            return await asyncio.gather(*map(batcher.act, rows))

        answers, batcher = self.run(ask)
        assert [answer.tolist() for answer in answers] == [
            [2.0 * number] * count for number, count in enumerate([1, 2, 2, 3, 4, 1, 1])
        ]
        assert batcher.sizes == {3: 2, 2: 2, 4: 1}, "1+2, 2, 3, 4, 1+1: in the order in which they came"

    def test_a_full_batch_does_not_wait(self):
        async def ask(batcher):
            start = time.perf_counter()
            await asyncio.gather(*(batcher.act(np.zeros((1, 1))) for _ in range(8)))
            return time.perf_counter() - start

        assert self.run(ask, wait=10.0)[0] < 5

    def test_one_alone_waits_no_longer_than_told(self):
        async def ask(batcher):
            start = time.perf_counter()
            await batcher.act(np.zeros((1, 1)))
            return time.perf_counter() - start

        assert 0.3 <= self.run(ask, wait=0.3)[0] < 5

    def test_a_failure_reaches_all_who_asked_and_ends_there(self):
        def decide(rows):
            if (rows < 0).any():
                raise ValueError("negative")
            return rows

        async def ask(batcher):
            asked = (batcher.act(np.full((1, 1), sign)) for sign in (1.0, -1.0))
            failed = await asyncio.gather(*asked, return_exceptions=True)
            return failed, await batcher.act(np.ones((1, 1)))

        (failed, later), _ = self.run(ask, decide)
        assert [str(error) for error in failed] == ["negative"] * 2 and later.tolist() == [[1.0]]

    def test_who_went_away_takes_nobody_along(self):
        async def ask(batcher):
            gone = asyncio.create_task(batcher.act(np.ones((1, 1))))
            stays = asyncio.create_task(batcher.act(np.ones((1, 1))))
            await asyncio.sleep(0.01)
            gone.cancel()
            return await stays

        answer, batcher = self.run(ask)
        assert answer.tolist() == [2.0] and batcher.sizes == {1: 1}

    def test_there_is_only_so_much_room(self):
        import batching

        async def ask(batcher):
            asked = (batcher.act(np.zeros((2, 1))) for _ in range(4))
            return await asyncio.gather(*asked, return_exceptions=True)

        answers, _ = self.run(ask, room=5)
        assert [isinstance(answer, batching.Busy) for answer in answers] == [False, False, True, True]


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.syspath_prepend(SERVING)
    import app

    monkeypatch.setattr(app, "MOST_SECONDS", 0.05)
    sent = []

    async def never():
        await asyncio.sleep(60)

    async def note(message):
        sent.append(message)

    scope = {"type": "http", "path": "/act", "headers": [(b"authorization", b"Bearer x")]}
    asyncio.run(app.Gate(None, "x")(scope, never, note))
    assert sent[0]["status"] == 408 and b"not there after" in sent[1]["body"]
