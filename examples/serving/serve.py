"""Serve one agent on this machine: `python serve.py agent.onnx`, with its card agent.json beside it.

The token of those who may ask is taken from the variable AGENT_TOKEN; without one it is made and printed once.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import uvicorn
from app import make_app

from course_utils.runs.agent_card import CardError, read_card
from course_utils.runs.onnx_agent import AgentError, OnnxAgent

SHORTEST_TOKEN = 16


def token_of(environment: dict[str, str]) -> str:
    """The token, printed if it had to be made.

    Raises:
        SystemExit: the one from the environment is so short that it can be guessed.
    """
    token = environment.get("AGENT_TOKEN", "")
    if not token:
        token = secrets.token_urlsafe(32)
        print(f"Token: {token}", flush=True)
    elif len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        sys.exit(f"AGENT_TOKEN should have {SHORTEST_TOKEN} plain signs or more; without it one is made.")
    return token


def listen(port: int) -> socket.socket:
    """Listen to this machine alone; port 0 is a free one.

    The protocol has to be named: only then does asyncio switch off the delay of small packets (TCP_NODELAY), and
    without that each answer takes some 40 ms more.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":  # elsewhere it would let another program listen to the same port
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.1", port))
    return listening


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="the ONNX file; its card has the same name and ends in .json")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--most", type=int, default=64, help="rows that are decided together; 1: each request alone")
    parser.add_argument("--wait", type=float, default=2.0, help="milliseconds that the first of a batch waits")
    chosen = parser.parse_args()
    try:
        card = read_card(chosen.model.with_suffix(".json"))
        agent = OnnxAgent(chosen.model, card)
    except (CardError, AgentError) as error:
        sys.exit(str(error))
    app = make_app(agent, card["name"], token_of(dict(os.environ)), chosen.most, chosen.wait / 1_000)
    # uvicorn stops gracefully at these signals, and then sends them once more to who was there before it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    listening = listen(chosen.port)
    print(f"{card['name']} answers at http://127.0.0.1:{listening.getsockname()[1]}", flush=True)
    settings = uvicorn.Config(
        app,
        log_level="warning",
        limit_concurrency=512,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(settings).run(sockets=[listening])


if __name__ == "__main__":
    main()
