"""The ranking: the course's own judge, and strangers' files that want something else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx_files
import pytest
from conftest import ROOT
from onnx import TensorProto, helper, numpy_helper
from onnx_files import balancer, model_of, put, torque

from tools import onnx_gate, ranking, ranking_exam, ranking_page
from tools.ranking import RankingError

pytestmark = pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="a ranking needs Linux or macOS")
SEED = 1_234_567_890
SCRIPT = "<script>alert(1)</script>"


def external() -> bytes:
    model = balancer()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../../../etc/passwd")
    return model.SerializeToString()


def external_in_an_attribute() -> bytes:
    tensor = numpy_helper.from_array(np.zeros((4, 2), np.float32), "inner")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    nodes = [
        helper.make_node("Constant", [], ["weight"], value=tensor),
        ("MatMul", ["observation", "weight"], ["action"]),
    ]
    return model_of(nodes, kind=TensorProto.FLOAT).SerializeToString()


def loop() -> bytes:
    """Runs for ever: its body says each time that it is to be run once more."""
    say = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [say("turn", TensorProto.INT64, []), say("go", TensorProto.BOOL, [])],
        [say("on", TensorProto.BOOL, [])],
    )
    nodes = [helper.make_node("Loop", ["", "yes"], [], body=body), *balancer().graph.node]
    return model_of(nodes, {"yes": np.array(True), "weight": onnx_files.BALANCES}).SerializeToString()


def hidden_graph() -> bytes:
    """A graph within an operator that needs none."""
    inner = helper.make_graph([], "inner", [], [])
    nodes = [helper.make_node("Identity", ["observation"], ["seen"], body=inner), ("Relu", ["seen"], ["action"])]
    return model_of(nodes, kind=TensorProto.FLOAT).SerializeToString()


def functions() -> bytes:
    model = balancer()
    made = helper.make_function("own", "Trick", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    model.functions.append(made)
    return model.SerializeToString()


def expands() -> bytes:
    """Forty gigabytes of ones, asked for by an operator that is allowed."""
    nodes = [("Expand", ["one", "size"], ["large"]), ("ReduceSum", ["large"], ["sum"])]
    nodes += [("Add", ["observation", "sum"], ["seen"])]
    nodes += [helper.make_node("ArgMax", ["seen"], ["action"], axis=1, keepdims=0)]
    weights = {"one": np.ones(1, np.float32), "size": np.array([10**10])}
    return model_of(nodes, weights).SerializeToString()


def multiplies() -> bytes:
    """Minutes of work, without any loop."""
    nodes = [("MatMul", ["weight" if turn == 0 else f"m{turn}", "weight"], [f"m{turn + 1}"]) for turn in range(450)]
    nodes += [("ReduceSum", ["m450"], ["sum"]), ("Add", ["observation", "sum"], ["seen"])]
    nodes += [helper.make_node("ArgMax", ["seen"], ["action"], axis=1, keepdims=0)]
    return model_of(nodes, {"weight": np.full((1_400, 1_400), 1e-3, np.float32)}).SerializeToString()


def never_a_number() -> bytes:
    nodes = [("Log", ["observation"], ["action"])]
    return model_of(nodes, kind=TensorProto.FLOAT).SerializeToString()


def third_action() -> bytes:
    nodes = [("Add", ["observation", "two"], ["seen"]), ("Shape", ["observation"], ["unused"])]
    nodes += [helper.make_node("ReduceSum", ["seen", "axis"], ["sum"], keepdims=0)]
    nodes += [helper.make_node("Cast", ["sum"], ["whole"], to=TensorProto.INT64), ("Abs", ["whole"], ["action"])]
    weights = {"two": np.full(4, 5, np.float32), "axis": np.array([1])}
    return model_of(nodes, weights).SerializeToString()


def with_operator(name: str, domain: str = "") -> bytes:
    model = balancer()
    model.graph.node.insert(0, helper.make_node(name, ["observation"], ["unused"], domain=domain))
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model.SerializeToString()


GATE = {
    "nothing": (b"", "its graph is empty"),
    "words": (b"I am an agent, let me in.", "not a whole ONNX file"),
    "cut off": (balancer().SerializeToString()[:-20], "not a whole ONNX file"),
    "zeros": (bytes(1_000), "not a whole ONNX file"),
    "weights elsewhere": (external(), "Its weights lie in another file"),
    "weights elsewhere, in an attribute": (external_in_an_attribute(), "Its weights lie in another file"),
    "an operator of its own": (with_operator("Trick", "own"), "operator own.Trick is not of the standard"),
    "an operator of the runtime's": (with_operator("Inverse", "com.microsoft"), "is not of the standard"),
    "an endless loop": (loop(), "operator Loop is not among those that are run"),
    "a hidden graph": (hidden_graph(), "operator Identity holds a graph of its own"),
    "functions": (functions(), "functions or training steps of its own"),
    "ConstantOfShape": (with_operator("ConstantOfShape"), "operator ConstantOfShape is not among"),
    "Tile": (with_operator("Tile"), "operator Tile is not among"),
    "an operator that is not there": (with_operator("Relu\x1b[2J" + "x" * 500), "operator Relu?[2Jxxx"),
    "too many nodes": (model_of([("Relu", ["observation"], [f"r{n}"]) for n in range(501)]), "has 501 nodes"),
    "a name used twice": (
        model_of([("Relu", ["observation"], ["action"]), ("Relu", ["observation"], ["action"])]),
        "not valid ONNX",
    ),
}


@pytest.mark.parametrize("name", GATE)
def test_a_file_that_may_not_be_run_is_refused_before_it_is(name):
    model, words = GATE[name]
    sentence = onnx_gate.refusal(model if isinstance(model, bytes) else model.SerializeToString())
    assert words in sentence and sentence.isprintable() and len(sentence) < 300


def test_what_policies_are_made_of_is_let_through():
    for model in (balancer(), torque(1.0)):
        assert onnx_gate.refusal(model.SerializeToString()) == ""
    assert not {"Loop", "If", "Scan", "SequenceMap", "Optional", "Tile", "ConstantOfShape"} & onnx_gate.ALLOWED
    for operator in onnx_gate.ALLOWED:
        __import__("onnx").defs.get_schema(operator)  # raises where the standard has no such operator


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two who play, one who does not, and everybody else."""
    folder = tmp_path_factory.mktemp("handed in")
    put(folder, "balances", balancer(), name=f"{SCRIPT}\u202e../../{'x' * 300}\n")
    flipped = balancer()
    flipped.graph.initializer[0].CopyFrom(numpy_helper.from_array(-onnx_files.BALANCES, "weight"))
    put(folder, "falls", flipped)
    put(folder, "pushes", torque(3.0), "Pendulum-v1")
    put(folder, "expands", expands())
    put(folder, "never_a_number", never_a_number())
    put(folder, "third_action", third_action())
    put(folder, "one_row", model_of(balancer().graph.node, {"weight": onnx_files.BALANCES}, batch=1))
    put(folder, "five_numbers", model_of(balancer().graph.node, {"weight": np.ones((5, 2), np.float32)}, numbers=5))
    put(folder, "elsewhere", external())
    put(folder, "other_task", balancer(), task="os.system('ls')-v0")
    put(folder, "pendulum_card", balancer(), "Pendulum-v1")
    put(folder, "other_output", balancer(), writes=["../../etc/passwd"])
    put(folder, "no_card", balancer()).with_suffix(".json").unlink()
    put(folder, "card_is_a_link", balancer()).with_suffix(".json").unlink()
    (folder / "card_is_a_link.json").symlink_to(folder / "balances.json")
    put(folder, "deep_card", balancer()).with_suffix(".json").write_text("[" * 60_000)
    put(folder, "endless_number", balancer(), exam={"mean": 10**400, "episodes": 1, "seeds": [0, 0]})
    put(folder, "huge_card", balancer()).with_suffix(".json").write_text(" " * 100_000)
    (folder / "link.onnx").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.onnx")
    (folder / "a_folder.onnx").mkdir()
    with (folder / "huge.onnx").open("wb") as file:
        file.truncate(10**12)  # a hole: it takes no room on the disk, and would take all memory if it were read
    (folder / f"{SCRIPT.replace('/', '')}.onnx").write_bytes(b"")
    (folder / "balances.py").write_text("raise SystemExit('strangers are not run')")
    return folder


@pytest.fixture(scope="module")
def ranked(folder):
    return ranking.rank(folder, SEED)


@pytest.fixture(scope="module")
def results(ranked):
    return {result["file"].removesuffix(".onnx"): result for result in ranked["results"]}


REFUSED = {
    "expands": "more memory than it may have",
    "never_a_number": "no finite number",
    "third_action": "an action that is not there",
    "one_row": "batches of 1 only; export it with a dynamic batch",
    "five_numbers": r"it is tensor\(float\) of shape \[batch, 4\]",
    "elsewhere": "Its weights lie in another file",
    "other_task": "not among those examined: CartPole-v1, Pendulum-v1",
    "pendulum_card": "reads",
    "other_output": "The card says that the file writes ../../etc/passwd; it writes action",
    "no_card": "Its card is missing: no_card.json should lie beside it",
    "card_is_a_link": "Its card is a link",
    "deep_card": "card.json is no",
    "endless_number": "card.json",
    "huge_card": "Its card has 100,000 bytes; at most 65,536 are read",
    "link": "Its file is a link",
    "pipe": "Its file is no plain file",
    "a_folder": "Its file is no plain file",
    "huge": "Its file has 1,000,000,000,000 bytes; at most 8,388,608 are read",
    SCRIPT.replace("/", ""): "Its card is missing",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_says_why(results, name):
    assert re.search(REFUSED[name], results[name]["refused"]), results[name]
    assert "mean" not in results[name]


def test_nobody_is_left_out(results, folder):
    assert set(results) == {path.stem for path in folder.glob("*.onnx")} == {*REFUSED, "balances", "falls", "pushes"}


def test_the_better_one_stands_first_and_each_has_its_numbers(ranked, results):
    assert [one["file"] for one in ranked["results"][:3]] == ["balances.onnx", "falls.onnx", "pushes.onnx"]
    assert results["balances"]["mean"] == results["balances"]["worst"] == 500 and results["balances"]["error"] == 0
    assert results["falls"]["mean"] < 20 and results["falls"]["claimed"] == 500
    assert -2_000 < results["pushes"]["worst"] < results["pushes"]["mean"] < -500
    assert ranked["seeds"] == [SEED, SEED + 99] and ranked["episodes"] == 100


def test_the_judge_is_the_one_of_the_libraries(results, monkeypatch):
    """The same policy and seeds, judged by what judges the scripts of lesson 13."""
    monkeypatch.syspath_prepend(ROOT / "examples" / "libraries")
    import judge

    def act(observations):
        return (observations @ -onnx_files.BALANCES).argmax(1)

    assert judge.mean_return(act, 100, SEED) == pytest.approx(results["falls"]["mean"])
    assert judge.EXAM_EPISODES == ranking_exam.EPISODES and ranking_page.SCALES["CartPole-v1"][2] == judge.SOLVED
    assert ranking_page.SCALES.keys() == ranking_exam.TASKS.keys()


def test_torque_beyond_the_bounds_of_the_card_is_cut(results, folder, tmp_path):
    path = put(tmp_path, "pushes", torque(2.0), "Pendulum-v1")
    assert ranking.examine(path, SEED)[0]["mean"] == pytest.approx(results["pushes"]["mean"])


def test_minutes_of_work_are_cut_off(tmp_path, monkeypatch):
    path = put(tmp_path, "multiplies", multiplies())
    assert onnx_gate.refusal(path.read_bytes()) == "", "what is forbidden does not help against it"
    monkeypatch.setattr(ranking, "CORE_SECONDS", 3)
    result, limits = ranking.examine(path, SEED)
    assert result["refused"] == "It was stopped after 3 core seconds." and "3 core seconds" in limits


def test_who_only_waits_is_stopped_by_the_clock(tmp_path, monkeypatch):
    sleeps = tmp_path / "sleeps.py"
    sleeps.write_text("import time\ntime.sleep(100)")
    monkeypatch.setattr(ranking, "EXAM", sleeps)
    assert "stopped after 1 seconds" in ranking.examine(put(tmp_path, "waits", balancer()), SEED, wall=1)[0]["refused"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import os; os.kill(os.getpid(), 11)", "broke off (signal 11)"),
        ("print('[]'); print('no JSON')", "nothing that can be read"),
        ('print(\'[]\'); print(\'{"mean": 1e999, "name": "x", "task": "CartPole-v1"}\')', "nothing that can be read"),
        ('print(\'[]\'); print(\'{"mean": "<b>", "name": "x", "task": "y"}\')', "nothing that can be read"),
        ("print('[]'); print('[' * 100000)", "nothing that can be read"),
        ("print('x' * 10**6)", "broke off"),
    ],
)
def test_what_a_taken_over_process_says_is_not_believed(tmp_path, monkeypatch, program, words):
    (tmp_path / "taken.py").write_text(program)
    monkeypatch.setattr(ranking, "EXAM", tmp_path / "taken.py")
    assert words in ranking.examine(put(tmp_path, "one", balancer()), SEED)[0]["refused"]


PROBE = """
import json, os, socket, sys
sys.path.insert(0, ROOT)
from tools import ranking_exam
words = [ranking_exam.cut_network(), *ranking_exam.limit(20, 600), *ranking_exam.no_more_processes()]
def tried(what):
    try:
        what()
        return "works"
    except BaseException as error:
        return type(error).__name__
def write():
    with open("large", "wb") as file:
        file.write(bytes(10**6))
        file.flush()
def many():
    return [open("/dev/null") for _ in range(100)]
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
print(json.dumps({
    "words": words,
    "network": tried(lambda: socket.create_connection(("127.0.0.1", PORT), 2)),
    "memory": tried(lambda: bytearray(10**9)),
    "file": tried(write),
    "files": tried(many),
    "process": tried(lambda: os.fork() or os._exit(0)),
    "secret": os.environ.get("AGENT_TOKEN", "not there"),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="Linux has all of these limits")
def test_the_limits_hold(tmp_path, monkeypatch):
    import socket

    monkeypatch.setenv("AGENT_TOKEN", "secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        program = PROBE.replace("ROOT", repr(str(ROOT))).replace("PORT", str(server.getsockname()[1]))
        (tmp_path / "probe.py").write_text(program)
        monkeypatch.setattr(ranking, "EXAM", tmp_path / "probe.py")
        code, said = ranking.run(tmp_path, SEED, 60)
    found = json.loads(said)
    assert code == 0 and found["network"] == "OSError" and found["secret"] == "not there"
    assert (found["memory"], found["file"], found["files"]) == ("MemoryError", "OSError", "OSError")
    assert "600 MiB of memory" in found["words"] and found["words"][0].startswith("no network")
    assert ("no new process or thread" in found["words"]) == (found["process"] == "BlockingIOError")


def test_without_a_namespace_python_cannot_connect_and_the_page_says_so():
    program = (
        "import ctypes, socket; from tools import ranking_exam\n"
        "ctypes.CDLL = lambda *a, **k: (_ for _ in ()).throw(OSError())\n"
        "print(ranking_exam.cut_network())\n"
        "try: socket.create_connection(('127.0.0.1', 9), 1)\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    words, refused = done.stdout.splitlines()
    assert "code outside Python is not stopped" in words and refused == "no network here"


class TestPage:
    def test_strangers_words_are_only_words(self, ranked, results):
        page = ranking_page.page(ranked)
        assert "<script" not in page and "&lt;script&gt;alert(1)" in page
        assert "\u202e" not in page and "x" * 61 not in page, "no turned line, no endless name"
        assert results["balances"]["name"].startswith(SCRIPT), "the JSON has the name as it is"
        assert "default-src 'none'" in page and "http://" not in page and "https://" not in page

    def test_it_has_both_themes_every_result_and_the_limits(self, ranked):
        page = ranking_page.page(ranked)
        assert "prefers-color-scheme: dark" in page and page.count("<tr>") == len(ranked["results"]) + 2 + 1
        assert all(words in page for words in ranked["limits"])
        assert "180 seconds by the clock" in ranked["limits"]

    def test_the_terminal_gets_no_signs_that_it_obeys(self, ranked):
        lines = ranking_page.lines(ranked)
        assert len(lines) == len(ranked["results"]) + 2 and all(line.isprintable() for line in lines)


class TestWriting:
    MADE = {"seeds": [1, 100], "episodes": 100, "limits": [], "results": []}

    def test_what_we_made_is_replaced(self, tmp_path):
        ranking.write(self.MADE, tmp_path)
        page, data = ranking.write(self.MADE | {"limits": ["new"]}, tmp_path)
        assert "new" in page.read_text() and json.loads(data.read_text())["limits"] == ["new"]
        assert sorted(path.name for path in tmp_path.iterdir()) == ["ranking.html", "ranking.json"]

    @pytest.mark.parametrize("name", ["ranking.html", "ranking.json"])
    def test_what_a_person_wrote_or_changed_stays(self, tmp_path, name):
        (tmp_path / name).write_text("my own words")
        with pytest.raises(RankingError, match="was written or changed by somebody"):
            ranking.write(self.MADE, tmp_path)
        assert (tmp_path / name).read_text() == "my own words" and len(list(tmp_path.iterdir())) == 1
        (tmp_path / name).unlink()
        ranking.write(self.MADE, tmp_path)
        with (tmp_path / name).open("a") as file:
            file.write("a remark")
        with pytest.raises(RankingError, match="changed by somebody"):
            ranking.write(self.MADE, tmp_path)
        assert (tmp_path / name).read_text().endswith("a remark")

    def test_a_link_is_not_followed(self, tmp_path):
        mine = tmp_path / "mine"
        mine.write_text("my own words")
        (tmp_path / "ranking.html").symlink_to(mine)
        with pytest.raises(RankingError):
            ranking.write(self.MADE, tmp_path)
        assert mine.read_text() == "my own words"


def test_a_folder_that_is_not_there_or_empty_is_named(tmp_path):
    with pytest.raises(RankingError, match="There is no folder"):
        ranking.rank(tmp_path / "nowhere")
    with pytest.raises(RankingError, match="holds 0 files that end in .onnx"):
        ranking.rank(tmp_path)


def test_nobody_knows_the_seeds_before(tmp_path, monkeypatch):
    put(tmp_path, "one", balancer())
    monkeypatch.setattr(ranking, "examine", lambda path, seed: ({"file": path.name, "refused": "not now"}, []))
    first, second = (ranking.rank(tmp_path)["seeds"][0] for _ in range(2))
    assert first != second and min(first, second) >= 10**9


def test_the_command_says_where_the_page_is(tmp_path):
    put(tmp_path, "falls", balancer(), reads=["observation", "memory"])
    command = [sys.executable, "-m", "tools.ranking", str(tmp_path), "--to", str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""
    assert "not examined: falls.onnx: It reads more than the observation" in done.stdout
    assert Path(done.stdout.splitlines()[-1].split()[1]).exists()
