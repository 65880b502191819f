"""The section of lesson 17 about models of a real size: what it only shows as text has to exist."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
import sys
from types import SimpleNamespace

import jupytext
import pytest
import torch
from conftest import ROOT

LESSON = ROOT / "lessons" / "17_language_models.py"
ABSENT = {"peft"}  # the lesson says that it is not installed, and that its text is not checked


def section() -> list:
    """The cells from the section's heading to the next heading of its kind."""
    cells = jupytext.read(LESSON, fmt="py:percent").cells
    heads = [number for number, cell in enumerate(cells) if cell.source.startswith("## ")]
    start = next(number for number in heads if cells[number].source.startswith("## A model of a real size"))
    end = next((number for number in heads if number > start), len(cells))
    return cells[start:end]


def shown() -> list[str]:
    """The code that the section shows as text."""
    prose = "\n".join(cell.source for cell in section() if cell.cell_type == "markdown")
    return re.findall(r"```python\n(.*?)```", prose, re.DOTALL)


def wrong(source: str) -> list[str]:
    """What it imports that is not there, and the calls of it that the real thing would refuse."""
    tree, there, faults = ast.parse(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] not in ABSENT:
            for name in node.names:
                value = getattr(importlib.import_module(node.module), name.name, None)
                there[name.asname or name.name] = value
                faults += [f"{node.module} has no {name.name}"] * (value is None)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and there.get(node.func.id) is not None:
            given = {word.arg: None for word in node.keywords}
            try:
                inspect.signature(there[node.func.id]).bind(*[None] * len(node.args), **given)
            except TypeError as error:
                faults.append(f"{node.func.id}: {error}")
    return faults


def test_all_that_is_only_shown_exists_and_takes_what_it_is_given():
    assert len(shown()) >= 4
    assert [fault for source in shown() for fault in wrong(source)] == []


@pytest.mark.parametrize(
    "source, fault",
    [
        ("from torchrl.modules.llm import VLLMRapper", "torchrl.modules.llm has no VLLMRapper"),
        ("from torchrl.weight_update.llm import VLLMWeightSyncScheme\nVLLMWeightSyncScheme(gpus=1)", "'gpus'"),
        ("from torchrl.collectors.llm import RayLLMCollector\nRayLLMCollector(env)", "'dialog_turns_per_batch'"),
    ],
)
def test_a_wrong_name_and_a_wrong_argument_are_found(source, fault):
    assert fault in wrong(source)[0]


def test_methods_that_are_shown_exist():
    from torchrl.weight_update.llm import VLLMWeightSyncScheme, get_model_metadata

    sender = VLLMWeightSyncScheme(gpus_per_replica=1, num_replicas=2).create_sender()
    calls = {name for source in shown() for name in re.findall(r"\bsender\.(\w+)\(", source)}
    assert {"register_model", "init_all_workers_group", "update_weights"} <= calls
    assert all(callable(getattr(sender, name)) for name in calls)
    inspect.signature(sender.init_all_workers_group).bind({}, vllm_engine=None)
    wrapped = torch.nn.ModuleDict({"model": torch.nn.Linear(1, 1)})  # as a wrapper holds its model
    assert list(get_model_metadata(wrapped)) == ["model.weight", "model.bias"]


def test_what_is_said_to_be_absent_is_absent():
    prose = "\n".join(cell.source for cell in section() if cell.cell_type == "markdown")
    assert "It is not installed here, and so not checked" in " ".join(prose.split())
    assert not [name for name in (*ABSENT, "vllm") if importlib.util.find_spec(name)]


def run(**names) -> SimpleNamespace:
    """The names that the section's code leaves."""
    for cell in section():
        if cell.cell_type == "code":
            exec(compile(cell.source, str(LESSON), "exec"), names)
    return SimpleNamespace(**names)


def test_without_the_extra_the_section_shows_nothing_and_stops_nobody(monkeypatch, capsys):
    from course_utils.machine import extras

    monkeypatch.setattr(extras, "has_extra", lambda name: False)
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    run(torch=torch, seed=0)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("llm is not installed") and said[-1] == "Then restart the kernel." and len(said) == 3


@pytest.fixture(scope="module")
def ran() -> SimpleNamespace:
    return run(torch=torch, seed=0)


class TestCells:
    def test_memory_adds_up(self, ran):
        parts = ran.memory(ran.SIZES["7B"])
        weights = ran.count_weights(ran.SIZES["7B"])
        assert 7e9 < weights < 8e9 and parts["weights"] + parts["gradients"] + parts["Adam"] == 16 * weights
        assert 16 * weights > 80e9, "more than a card of 80 GB holds"
        assert 8e9 < sum(ran.memory(ran.SIZES["0.5B"]).values()) < 16e9, "one card of 16 GB, barely"
        assert parts["Adam"] > sum(parts.values()) / 2

    def test_a_tokens_cache_is_as_large_as_a_real_one(self, ran):
        config = ran.SIZES["tiny"]
        model = ran.LlamaForCausalLM(config).bfloat16()
        cache = model(torch.zeros(3, 5, dtype=torch.long), use_cache=True).past_key_values
        stored = sum(
            part.numel() * part.element_size() for layer in cache.layers for part in (layer.keys, layer.values)
        )
        assert stored == ran.memory(config, answers=3, tokens=5)["KV cache"]

    def test_lora_counts_what_it_makes(self, ran):
        made = sum(weight.numel() for weight in ran.small.parameters() if weight.requires_grad)
        assert made == ran.trained == ran.lora_weights(ran.SIZES["tiny"], rank=4)

    def test_lora_learns_and_leaves_the_rest_alone(self, ran):
        frozen = {name: weight.clone() for name, weight in ran.small.named_parameters() if not weight.requires_grad}
        ups = [weight for weight in ran.small.parameters() if weight.requires_grad]
        ran.small(ran.letters).logits.square().sum().backward()
        torch.optim.SGD(ups, 0.01).step()
        assert not torch.equal(ran.small(ran.letters).logits, ran.before)
        assert all(torch.equal(weight, frozen[name]) for name, weight in ran.small.named_parameters() if name in frozen)

    def test_the_writer_has_the_learners_weights(self, ran):
        pairs = zip(ran.learner_model.parameters(), ran.writer_model.parameters(), strict=True)
        assert all(torch.equal(mine, theirs) for mine, theirs in pairs)

    def test_the_buffer_has_groups_with_advantages_of_mean_zero(self, ran):
        advantages = ran.batch["advantage"].view(4, 8)
        assert len(set(ran.batch["query"])) == 4 and advantages.mean(1).abs().max() < 1e-5
        assert ran.batch["next", "policy_version"].view(4, 8)[:, 0].tolist() == [0, 1, 2, 3]
