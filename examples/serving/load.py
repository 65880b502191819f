"""What does batching gain? Two servers that differ in nothing else answer the same requests: `python load.py`.

Both are kept running and are asked in turns, so that whatever else the machine does falls on both. Prints one line of
JSON: requests per second and core seconds of the server for 1,000 requests, batched and unbatched, how many rows a
batch had, and the milliseconds of a client that is alone.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil

from course_utils.runs.agent_card import write_card

HERE = Path(__file__).resolve().parent
TOKEN = "only-for-this-measurement"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
QUESTION = {"observations": [[0.0, 0.1, 0.02, -0.1]]}
MODES = {"unbatched": 1, "batched": 64}


def write_network(folder: Path, width: int) -> Path:
    """A network with two hidden layers of this width and random weights, and its card."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    draw, sizes, seen, nodes, weights = np.random.default_rng(0), [4, width, width, 2], "observation", [], []
    for layer, (inner, outer) in enumerate(zip(sizes, sizes[1:], strict=False)):
        weight = (draw.standard_normal((inner, outer)) / inner**0.5).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"weight{layer}"))
        nodes.append(helper.make_node("MatMul", [seen, f"weight{layer}"], [f"sum{layer}"]))
        nodes.append(helper.make_node("Relu", [f"sum{layer}"], [seen := f"layer{layer}"]))
    nodes.append(helper.make_node("ArgMax", [f"sum{layer}"], ["action"], axis=1, keepdims=0))
    reads = helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", 4])
    writes = helper.make_tensor_value_info("action", TensorProto.INT64, ["batch"])
    del nodes[-2]  # no bend after the last layer
    graph = helper.make_graph(nodes, "policy", [reads], [writes], weights)
    path = folder / f"width_{width}.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    write_card(
        path.with_suffix(".json"),
        name=f"width {width}",
        task="CartPole-v1",
        observation=[{"name": name} for name in ("position", "velocity", "angle", "angular velocity")],
        actions=["left", "right"],
        exam={"mean": 0.0, "episodes": 1, "seeds": [0, 0]},
        licence="MIT",
    )
    return path


@contextlib.contextmanager
def server(model: Path, *options: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server while the block runs: its address and its process."""
    command = [sys.executable, str(HERE / "serve.py"), str(model), *options]
    environment = os.environ | {"AGENT_TOKEN": TOKEN, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        if "http://" not in line:
            raise RuntimeError(f"The server did not start: {line!r}")
        yield line.split()[-1], psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


async def ask(address: str, clients: int, requests: int) -> list[float]:
    """So many clients ask one question after the other; the seconds of each question.

    They write the bytes of a request themselves: on a machine of few cores a whole HTTP client needs three times what
    the server needs for a request, and would be what is measured.
    """
    took: list[float] = []
    whole = httpx.Request("POST", f"{address}/act", json=QUESTION, headers=HEADERS)
    head = "".join(f"{name}: {value}\r\n" for name, value in whole.headers.items())
    sent = f"POST /act HTTP/1.1\r\n{head}\r\n".encode() + whole.content

    async def one_client() -> None:
        reader, writer = await asyncio.open_connection(whole.url.host, whole.url.port)
        for _ in range(requests // clients):
            start = time.perf_counter()
            writer.write(sent)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", answer)[1]))
            if not answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"The server refused: {answer[:80]!r}")
            took.append(time.perf_counter() - start)
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one_client() for _ in range(clients)))
    return took


def counts(address: str) -> tuple[int, int]:
    said = httpx.get(f"{address}/healthz").json()
    return said["batches"], said["rows"]


def compare(model: Path, clients: int, requests: int, rounds: int) -> dict[str, float]:
    """Ask both servers in turns, the other one first in every other round; medians over the rounds."""
    found: dict[str, list[float]] = {}
    with contextlib.ExitStack() as stack:
        running = {mode: stack.enter_context(server(model, "--most", str(most))) for mode, most in MODES.items()}
        for address, _ in running.values():
            asyncio.run(ask(address, clients, 4 * clients))  # nobody's first request counts
        for turn in range(rounds):
            for mode in sorted(MODES, reverse=bool(turn % 2)):
                address, process = running[mode]
                batches, rows = counts(address)
                core, start = sum(process.cpu_times()[:2]), time.perf_counter()
                asyncio.run(ask(address, clients, requests))
                seconds, core = time.perf_counter() - start, sum(process.cpu_times()[:2]) - core
                after = counts(address)
                found.setdefault(f"{mode}_per_second", []).append(requests // clients * clients / seconds)
                found.setdefault(f"{mode}_core_seconds", []).append(1_000 * core / (after[1] - rows))
                found.setdefault(f"{mode}_rows", []).append((after[1] - rows) / (after[0] - batches))
                alone = 1_000 * statistics.median(asyncio.run(ask(address, 1, 15)))
                found.setdefault(f"{mode}_alone_milliseconds", []).append(alone)
    return {fact: round(statistics.median(values), 3) for fact, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="an ONNX file with its card; without it a random network is made")
    parser.add_argument("--width", type=int, default=1_024, help="of the random network")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=192, help="of each server in each round")
    parser.add_argument("--rounds", type=int, default=12)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = chosen.model or write_network(Path(folder), chosen.width)
        print(json.dumps(compare(model, chosen.clients, chosen.requests, chosen.rounds)))


if __name__ == "__main__":
    main()
