"""Damage that nobody thought of: hypothesis makes it up. `FUZZ_EXAMPLES=5000` tries more than the suite does."""

from __future__ import annotations

import io
import os
import zipfile

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from course_utils.runs.checkpoint import CheckpointError, load_checkpoint

few = settings(
    max_examples=int(os.environ.get("FUZZ_EXAMPLES", 40)),
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def whole_checkpoint() -> bytes:
    weight = torch.arange(200.0).reshape(10, 20)
    state = {"frames": 7, "loss": {"weight": weight, "bias": weight[0] * 2}, "best": None, "log": ["a", 0.5]}
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


WHOLE = whole_checkpoint()
places = st.integers(0, len(WHOLE) - 1)
DAMAGE = {
    "cut": st.tuples(places),
    "flip": st.tuples(places, st.integers(1, 255)),
    "zero": st.tuples(places, st.integers(1, 600)),
    "repeat": st.tuples(places, st.integers(1, 600)),
    "drop": st.tuples(places, st.integers(1, 600)),
    "append": st.tuples(st.binary(min_size=1, max_size=60)),
}
damages = st.one_of(*(st.tuples(st.just(kind), values) for kind, values in DAMAGE.items()))


def damaged(content: bytes, kind: str, values: tuple) -> bytes:
    place, more = (*values, 0)[:2]
    if kind == "append":
        return content + place
    before, hit, after = content[:place], content[place : place + more], content[place + more :]
    if kind == "cut":
        return before
    if kind == "flip" and place < len(content):
        return before + bytes([content[place] ^ more]) + content[place + 1 :]
    return before + {"zero": bytes(len(hit)), "repeat": hit + hit, "drop": b""}.get(kind, hit) + after


def the_same(mine, theirs) -> bool:
    if isinstance(mine, dict):
        return mine.keys() == theirs.keys() and all(the_same(mine[key], theirs[key]) for key in mine)
    return torch.equal(mine, theirs) if isinstance(mine, torch.Tensor) else mine == theirs


@few
@given(st.lists(damages, min_size=1, max_size=4))
def test_a_damaged_checkpoint_is_refused_or_the_damage_meant_nothing(tmp_path, several):
    content = WHOLE
    for kind, values in several:
        content = damaged(content, kind, values)
    path = tmp_path / "run.pt"
    path.write_bytes(content)
    try:
        state = dict(load_checkpoint(path))
    except CheckpointError as error:
        assert "run.pt" in str(error) and "\n" not in str(error)
    else:
        path.write_bytes(WHOLE)
        assert the_same(state, dict(load_checkpoint(path)))


@few
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 255)), min_size=1, max_size=6))
def test_a_strangers_checkpoint_with_right_checksums_is_read_or_refused(tmp_path, flips):
    """What a damaged disk does not do, a stranger can: other content, and the checksums that belong to it."""
    path = tmp_path / "run.pt"
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as whole, zipfile.ZipFile(path, "w") as other:
        for entry in whole.infolist():
            content = bytearray(whole.read(entry))
            if entry.filename.endswith("data.pkl"):
                for place, bits in flips:
                    content[place % len(content)] ^= bits
            other.writestr(entry.filename, bytes(content))
    try:
        assert isinstance(load_checkpoint(path), dict)
    except CheckpointError as error:
        assert "run.pt" in str(error)


@pytest.mark.parametrize("damage", ["cut", "flip"])
def test_every_byte(tmp_path, damage):
    """One after the other; the suite takes each 29th."""
    path = tmp_path / "run.pt"
    for place in range(0, len(WHOLE), 1 if "FUZZ_EXAMPLES" in os.environ else 29):
        path.write_bytes(damaged(WHOLE, damage, (place, 0xFF)))
        try:
            state = dict(load_checkpoint(path))
        except CheckpointError:
            continue
        assert damage == "flip", f"cut after {place} bytes, and loaded"
        path.write_bytes(WHOLE)
        assert the_same(state, dict(load_checkpoint(path))), f"byte {place} was changed, and something else was loaded"
