"""Whatever an answer does, the kernel it runs in is afterwards as it was before, and nothing of it still runs."""

from __future__ import annotations

import _thread
import math
import os
import random
import signal
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch

from course_utils import check
from course_utils.exercises import running
from course_utils.exercises.exercise import Exercise
from course_utils.exercises.judging import judge

SIMPLE = Exercise("1.1", "fine", lambda x: x + 1, lambda draw: {"x": draw.normal(3)}, [])


def state() -> dict:
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
        "default type": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "anomaly": torch.is_anomaly_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warnings": list(warnings.filters),
        "streams": (sys.stdin, sys.stdout, sys.stderr),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "depth": sys.getrecursionlimit(),
        "numpy errors": np.geterr(),
        "exit": os._exit,
    }


def test_an_answer_that_changes_everything_leaves_nothing_changed(tmp_path):
    before = state()

    def answer(x):
        random.seed(1), np.random.seed(1), torch.manual_seed(1)
        torch.set_default_dtype(torch.float64), torch.set_grad_enabled(False), torch.set_default_device("meta")
        torch.autograd.set_detect_anomaly(True), torch.use_deterministic_algorithms(True)
        warnings.simplefilter("ignore")
        np.seterr(all="ignore")
        sys.stdout = sys.stderr = None
        os.chdir(tmp_path)
        os.environ["COURSE_TEST"] = "1"
        sys.setrecursionlimit(12_345)
        return x + 1

    assert judge(SIMPLE, answer)[0] == "correct"
    after = state()
    assert [name for name in before if before[name] != after[name]] == []


def test_os_exit_does_not_end_the_kernel():
    status, words = judge(SIMPLE, lambda x: os._exit(3))
    assert status == "could not run" and "os._exit(3) would have ended the kernel" in words


def still_running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "work" in thread.name and thread.is_alive()]


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(running, "SECONDS", 0.3)


def forever(x):
    while True:
        pass


def forever_appending(x):
    grown = []
    while True:
        grown.append(x)


def forever_catching(x):
    while True:
        try:
            while True:
                pass
        except:  # noqa: E722
            pass


class Closing:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        raise RuntimeError("half closed")


def forever_in_what_fails_to_close(x):
    with Closing():
        while True:
            pass


class Endless(Exception):
    def __str__(self):
        while True:
            pass


def forever_telling_its_error(x):
    raise Endless


FOREVER = [forever, forever_appending, forever_catching, forever_in_what_fails_to_close, forever_telling_its_error]


@pytest.mark.parametrize("answer", FOREVER)
def test_an_endless_loop_ends_in_silence(answer, impatient, capfd, monkeypatch):
    escaped = []
    monkeypatch.setattr(threading, "excepthook", escaped.append)
    status, words = judge(SIMPLE, answer)
    assert status == "could not run" and "never ends" in words
    assert not still_running()
    assert capfd.readouterr() == ("", "") and not escaped


def test_an_answer_that_only_waits_is_cut_off(impatient):
    def answer(x):
        for _ in range(1000):
            time.sleep(0.02)

    began = time.monotonic()
    assert "never ends" in judge(SIMPLE, answer)[1]
    assert time.monotonic() - began < 10 and not still_running()


def test_the_stop_button_stops_the_answer(monkeypatch):
    monkeypatch.setattr(running, "SECONDS", 60)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores interrupts
    threading.Timer(1, _thread.interrupt_main).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            check("7.1", lambda reward, done: forever(reward))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not still_running()


def test_an_import_is_not_called_an_endless_loop(impatient, tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text("import time\nfor _ in range(60): time.sleep(0.02)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(running, "WAITING", 1)

    def answer(x):
        import slow_to_import  # noqa: F401

        return x + 1

    assert judge(SIMPLE, answer)[0] == "correct"


def test_what_others_were_importing_before_lengthens_no_limit(impatient, tmp_path, monkeypatch):
    go_on = tmp_path / "go on"
    (tmp_path / "somebody_imports.py").write_text(
        f"import os, time\nwhile not os.path.exists({str(go_on)!r}): time.sleep(0.01)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    somebody = threading.Thread(target=lambda: __import__("somebody_imports"))
    somebody.start()
    try:
        while "somebody_imports" not in running.imports_now():
            time.sleep(0.01)
        monkeypatch.setattr(running, "IMPORTING", math.inf)
        status, words = judge(SIMPLE, forever)[:2]
    finally:
        go_on.touch()
        somebody.join()
    assert status == "could not run" and "cut off after 0.3 seconds" in words
    assert "somebody_imports" not in running.imports_now()


def test_what_an_answer_draws_at_random_is_not_what_the_inputs_were_drawn_from():
    exercise = Exercise("1.1", "fine", lambda x: x, lambda draw: {"x": draw.normal(3)})
    assert judge(exercise, lambda x: torch.randn(3))[0] == "not yet"
