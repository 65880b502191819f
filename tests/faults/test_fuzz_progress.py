"""Whatever stands in progress.json, a check answers, and what could be read of it is kept."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import chdir
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from course_utils import check, show_progress
from course_utils.exercises import progress

few = settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", 40)), deadline=None, database=None)

days = st.none() | st.just("2026-03-02") | st.text(max_size=12)
entries = st.fixed_dictionaries({"status": st.text(max_size=8), "tries": st.integers(0, 10**9 - 2), "solved": days})
progresses = st.dictionaries(st.sampled_from(["0.1", "1.1", "99.9"]) | st.text(max_size=5), entries, max_size=4)
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
any_json = st.recursive(
    values | entries,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("0.1"), inner, max_size=3)
    ),
    max_leaves=9,
)
damages = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3)


def wrong(returns):
    return returns.max() >= 475


def after_a_check(content: bytes) -> tuple[dict, list[bytes]]:
    """Progress as it is after a check and a look at it, and the files that were set aside."""
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path(progress.COPIES_RECORD).write_text("{}")
        Path(progress.FILE).write_bytes(content)
        show_progress()
        assert check("0.1", wrong).status == "not yet"
        show_progress()
        aside = [path.read_bytes() for path in Path().glob(f"{progress.FILE}.*")]
        return json.loads(Path(progress.FILE).read_text(encoding="utf-8")), aside


def holds(content: bytes) -> None:
    """What could be read stands in the new file, or the file is set aside as it was."""
    after, aside = after_a_check(content)
    assert progress.is_progress(after) and after["0.1"]["tries"] >= 1
    if aside:
        assert aside == [content] and set(after) == {"0.1"}
        return
    before = json.loads(content.decode("utf-8"))
    assert progress.is_progress(before)
    for number, entry in before.items():
        if number != "0.1":
            assert after[number] == entry
    known = before.get("0.1", {"tries": 0, "solved": None})
    assert after["0.1"]["tries"] == known["tries"] + 1 and after["0.1"]["solved"] == known["solved"]


@few
@given(st.binary(max_size=300))
@example(b'{"0.1": {"status": "not yet", "solved": null, "tries": ' + b"9" * 4300 + b"}}")  # one more cannot be written
@example(b"[" * 100_000)
@example(b'{"0.1": {"status": "\\ud800", "solved": "\\ud800", "tries": 1}}')
def test_any_bytes(content):
    holds(content)


@few
@given(any_json)
def test_any_json(found):
    holds(json.dumps(found).encode())


@few
@given(progresses, damages, st.integers(0, 400))
def test_a_progress_that_was_cut_or_changed(found, flips, end):
    content = bytearray(json.dumps(found, ensure_ascii=False).encode(errors="surrogatepass"))
    for place, bits in flips:
        if content:
            content[place % len(content)] ^= bits
    holds(bytes(content[:end] if end < len(content) else content))


@few
@given(progresses)
def test_one_that_is_whole_stays_whole(found):
    content = json.dumps(found).encode()
    after, aside = after_a_check(content)
    assert not aside and found.keys() <= after.keys()
    holds(content)
