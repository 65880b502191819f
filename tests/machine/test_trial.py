"""The trial run: passes here, and says in one line why it does not pass elsewhere."""

from __future__ import annotations

import sys

import pytest

from course_utils.machine import trial


def test_it_passes_here_whatever_lies_beside(monkeypatch, tmp_path):
    """A learner's own file in the folder counts where this process would find it first, and not else."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "random.py").write_text("raise ImportError('somebody took the name of a module')\n")
    assert trial.trial_problem() == ""
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    assert "took the name of a module" in trial.trial_problem()


@pytest.mark.parametrize(
    ("module", "text", "words"),
    [
        ("tensordict", "raise ImportError('libtorch.so: undefined symbol: _ZN3c10')", "undefined symbol: _ZN3c10"),
        ("torch", "import os; os._exit(139)", "ended with status 139 and said nothing"),
        ("torchrl", "", "No module named 'torchrl.envs'; 'torchrl' is not a package"),
    ],
)
def test_libraries_that_do_not_work(monkeypatch, tmp_path, module, text, words):
    (tmp_path / f"{module}.py").write_text(text + "\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    problem = trial.trial_problem()
    assert words in problem and "\n" not in problem


def test_libraries_that_hang(monkeypatch, tmp_path):
    (tmp_path / "torchrl.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(trial, "SECONDS", 1)
    assert trial.trial_problem() == "it did not end within 1 seconds"


@pytest.mark.filterwarnings("ignore:No target network updater")
def test_a_loss_without_a_gradient_is_a_failure(monkeypatch):
    from torchrl.objectives import DQNLoss

    monkeypatch.setattr(DQNLoss, "parameters", lambda self: iter(()))
    with pytest.raises(RuntimeError, match="reached no gradient"):
        trial.run()
