"""The device a notebook works on: chosen, asked for, or not there."""

from __future__ import annotations

import pytest
import torch

from course_utils.machine import device


@pytest.fixture(autouse=True)
def cpu_only(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.delenv("COURSE_DEVICE", raising=False)


def with_gpus(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


def test_without_a_gpu(capsys):
    assert device.choose_device() == torch.device("cpu")
    assert capsys.readouterr().out == "Using cpu: no GPU was found.\n"


def test_with_a_gpu(monkeypatch, capsys):
    with_gpus(monkeypatch, 1)
    assert device.choose_device() == torch.device("cpu")
    assert "To try: choose_device('cuda:0')" in capsys.readouterr().out
    assert device.choose_device("cuda:0") == torch.device("cuda:0")


def test_with_a_mac(monkeypatch, capsys):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.choose_device() == torch.device("cpu")
    assert "To try: choose_device('mps')" in capsys.readouterr().out
    assert device.choose_device("mps") == torch.device("mps")


def test_the_argument_beats_the_variable_beats_the_choice(monkeypatch, capsys):
    with_gpus(monkeypatch, 2)
    monkeypatch.setenv("COURSE_DEVICE", "cuda:1")
    assert device.choose_device() == torch.device("cuda:1")
    assert device.choose_device("cpu") == torch.device("cpu")
    assert "asked for by COURSE_DEVICE" in capsys.readouterr().out


@pytest.mark.parametrize("asked", ["cuda", "cuda:7", "mps", "gpu", "tpu"])
def test_what_is_not_there_is_refused_with_what_is(asked):
    with pytest.raises(ValueError, match=f"'{asked}' .* Here there is: cpu"):
        device.choose_device(asked)


def test_a_variable_that_asks_for_what_is_not_there(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda:3")
    with_gpus(monkeypatch, 1)
    with pytest.raises(ValueError, match="COURSE_DEVICE.*cuda:0, cpu"):
        device.choose_device()
