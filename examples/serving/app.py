"""What the server answers, and what it refuses: POST /act for who has the token, GET /healthz for all."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from typing import Annotated

import numpy as np
from batching import Batcher, Busy
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, create_model

from course_utils.runs.onnx_agent import AgentError, OnnxAgent

MOST_BYTES = 256 * 1024  # of a request's body
MOST_SECONDS = 10  # in which a body has to be there
HUGE = 1e6  # no world of the course has larger numbers
MOST_OBSERVATIONS = 64  # of one request
Number = Annotated[float, Field(allow_inf_nan=False, ge=-HUGE, le=HUGE)]


class Question(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)  # strict: "1.0" is no number, and neither is true


def question_for(numbers: int, most: int) -> type[Question]:
    """What a request has to look like: a batch of observations of so many numbers each."""
    row = Annotated[list[Number], Field(min_length=numbers, max_length=numbers)]
    batch = Annotated[list[row], Field(min_length=1, max_length=most)]
    return create_model("Question", __base__=Question, observations=(batch, ...))


def sentence(error: dict) -> str:
    """What is wrong with a request, from the first thing that pydantic found."""
    parts = [part for part in error["loc"] if part != "body"]
    place = "".join(f"[{part}]" if isinstance(part, int) else str(part) for part in parts) or "The body"
    told = error.get("ctx", {})
    match error["type"]:
        case "json_invalid":
            return "The body is not JSON."
        case "missing" | "model_attributes_type":
            return 'The body should be {"observations": [[...], ...]}, sent as application/json.'
        case "extra_forbidden":
            return f"{place[:40]!r} is not known here; send observations alone."
        case "too_short" | "too_long":
            bound = told.get("min_length", told.get("max_length"))
            what = "numbers" if len(parts) > 1 else "observations"
            word = "at least" if error["type"] == "too_short" else "at most"
            word = "exactly" if what == "numbers" else word
            return f"{place} has {told['actual_length']} {what}; it should have {word} {bound}."
        case "finite_number":
            return f"{place} is not a finite number."
        case "greater_than_equal" | "less_than_equal":
            return f"{place} is out of bounds: numbers are from {-HUGE:g} to {HUGE:g}."
        case _:
            return f"{place}: {error['msg']}."


class Gate:
    """Before anything is read: the token is right, and the body is neither too long nor too slow.

    Args:
        app: what is behind the gate (ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html).
        token: of whoever may ask.
    """

    def __init__(self, app, token: str) -> None:
        self.app, self.wanted = app, f"Bearer {token}".encode()

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http" or scope["path"] == "/healthz":
            return await self.app(scope, receive, send)
        headers = dict(scope["headers"])
        # Compared in the same time, however much of it is right.
        if not secrets.compare_digest(headers.get(b"authorization", b""), self.wanted):
            refusal = JSONResponse({"detail": "The token is missing or wrong."}, 401, {"WWW-Authenticate": "Bearer"})
            return await refusal(scope, receive, send)
        length = headers.get(b"content-length", b"0")
        body = None if not length.isdigit() or int(length) > MOST_BYTES else await read(receive)
        if not isinstance(body, bytes):
            said, status = body or (f"The body is longer than {MOST_BYTES} bytes.", 413)
            return await JSONResponse({"detail": said}, status, {"Connection": "close"})(scope, receive, send)
        whole = [{"type": "http.request", "body": body}]

        async def again():
            return whole.pop() if whole else await receive()

        await self.app(scope, again, send)


async def read(receive) -> bytes | tuple[str, int]:
    """A body, or why it is not read to its end, with the status."""
    body = b""
    try:
        async with asyncio.timeout(MOST_SECONDS):
            while True:
                part = await receive()
                if part["type"] == "http.disconnect":
                    return "The client has gone.", 400
                body += part.get("body", b"")
                if len(body) > MOST_BYTES:
                    return f"The body is longer than {MOST_BYTES} bytes.", 413
                if not part.get("more_body"):
                    return body
    except TimeoutError:
        return f"The body was not there after {MOST_SECONDS} seconds.", 408


def make_app(agent: OnnxAgent, name: str, token: str, most: int, wait: float) -> FastAPI:
    """The server's pages.

    Args:
        agent: who decides.
        name: of the agent, shown by /healthz.
        token: of whoever may ask.
        most: rows of a batch; 1 lets every request be decided alone.
        wait: seconds that the first request of a batch waits for others.
    """
    batcher = Batcher(agent.decide, most, wait, room=64 * MOST_OBSERVATIONS)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        deciding = asyncio.create_task(batcher.run())
        yield
        deciding.cancel()  # uvicorn has answered what it had accepted

    # Its pages of documentation would load scripts from elsewhere.
    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    question = question_for(agent.numbers, MOST_OBSERVATIONS)

    @app.exception_handler(RequestValidationError)
    async def refuse(request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": sentence(error.errors()[0])}, 422)

    @app.exception_handler(Busy)
    async def busy(request, error: Busy) -> JSONResponse:
        return JSONResponse({"detail": "Too many are waiting. Try again."}, 503, {"Retry-After": "1"})

    @app.exception_handler(AgentError)
    async def failed(request, error: AgentError) -> JSONResponse:
        return JSONResponse({"detail": "The agent gave no usable action."}, 500)

    @app.post("/act")
    async def act(asked: question) -> JSONResponse:
        actions = await batcher.act(np.array(asked.observations, np.float32))
        return JSONResponse({"actions": actions.tolist()})

    @app.get("/healthz")
    async def healthz() -> dict:
        batches = sum(batcher.sizes.values())
        rows = sum(size * count for size, count in batcher.sizes.items())
        return {"status": "ok", "agent": name, "batches": batches, "rows": rows}

    app.add_middleware(Gate, token=token)
    return app
