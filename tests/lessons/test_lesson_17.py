"""What lesson 17 says of TorchRL's parts for language models, of its task, and of its results is so."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from tensordict import TensorDict
from torchrl.envs import ExplorationType, check_env_specs, set_exploration_type
from torchrl.objectives.llm import GRPOLoss, MCAdvantage, SFTLoss

from benchmarks import store
from benchmarks.groups import language
from benchmarks.lesson_code import code_cells, run_code
from course_utils.machine.extras import extra_install, has_extra

needs_llm = pytest.mark.skipif(not has_extra("llm"), reason=f"llm is not installed: {extra_install('llm')}")


@pytest.fixture(scope="module")
def lesson():
    return run_code(language.code(), 0)


@pytest.fixture(scope="module")
def arms():
    return store.read_group(store.RESULTS, "17_language_models", "language")[1]


@pytest.fixture
def model(lesson):
    torch.manual_seed(3)
    return lesson["LanguageModel"]()


def written(lesson, model, kind=ExplorationType.RANDOM, questions=3):
    """A round of answers, paid at random, so that there are advantages."""
    world = lesson["Sums"](questions, lesson["ANSWERS"], lesson["exact"])
    world.set_seed(1)
    torch.manual_seed(1)
    with torch.no_grad(), set_exploration_type(kind):
        batch = world.rollout(1, lesson["Writer"](model))[:, 0]
    batch["next", "reward"] = (torch.rand(len(batch), 1) < 0.4).float()
    batch["advantage"] = lesson["group_advantage"](batch)
    return batch


def moved(model, by=0.3):
    torch.manual_seed(4)
    with torch.no_grad():
        for weights in model.parameters():
            weights += by * weights.std().nan_to_num() * torch.randn_like(weights)
    return model


class TestTheTask:
    def test_its_specs_hold_and_rows_of_a_group_share_a_question(self, lesson):
        world = lesson["Sums"](3, 4, lesson["exact"])
        check_env_specs(world)
        prompts = world.reset()["tokens", "prompt"].view(3, 4, 6)
        assert (prompts == prompts[:, :1]).all() and len(prompts[:, 0].unique(dim=0)) == 3

    def test_the_exam_is_never_asked(self, lesson):
        exam = {tuple(row) for row in lesson["PROMPTS"][lesson["EXAM"]].tolist()}
        lessons = {tuple(row) for row in lesson["PROMPTS"][lesson["LESSONS"]].tolist()}
        assert len(exam) == 500 and not exam & lessons and lesson["LESSONS"].min() == 500

    def test_what_the_two_rewards_pay(self, lesson):
        answers = ["85.", "75.", "75=85.", "85", "085.", "851."]
        assert [lesson["exact"]("37+48=", answer) for answer in answers] == [1, 0, 0, 0, 0, 0]
        assert [lesson["lenient"]("37+48=", answer) for answer in answers] == [1, 0, 1, 1, 0, 0]

    def test_a_token_is_scored_by_what_stands_before_it(self, lesson, model):
        text = lesson["encode"](["37+48=85."], 14)
        changed = text.clone()
        changed[0, 8] = lesson["NUMBER"]["3"]
        before, after = lesson["score"](model, text), lesson["score"](model, changed)
        assert torch.allclose(before[:, 1:8], after[:, 1:8]) and not torch.allclose(before[:, 8], after[:, 8])

    def test_scores_noted_while_writing_are_those_read_afterwards(self, lesson, model):
        batch = written(lesson, model)
        assert torch.allclose(batch["log_probs", "full"], lesson["score"](model, batch["tokens", "full"]), atol=1e-5)


class TestLosses:
    def test_grpo_loss_is_the_formula_to_a_millionth(self, lesson, model):
        batch = written(lesson, model)
        now = moved(model)
        found = GRPOLoss(lesson["Writer"](now), clip_epsilon=0.2, entropy_bonus=False)(batch)
        mask = batch["masks", "all_assistant_mask"]
        ratio = (lesson["score"](now, batch["tokens", "full"]) - batch["log_probs", "full"])[mask].exp()
        advantage = batch["advantage"].squeeze(-1)[mask]
        gain = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        assert ((ratio - 1).abs() > 0.2).float().mean() > 0.1, "some are clipped"
        assert found.loss_objective.item() == pytest.approx(-gain.mean().item(), abs=1e-6)

    def test_its_clip_fraction_and_distances_are_means_over_all_places(self, lesson, model):
        """Those of the question and of the filling are counted, with nothing in them."""
        batch = written(lesson, model)
        torch.manual_seed(9)
        reference = lesson["LanguageModel"]()
        batch["next", "ref_log_probs", "full"] = lesson["score"](reference, batch["tokens", "full"]).detach()
        now = moved(model)
        loss = GRPOLoss(lesson["Writer"](now), clip_epsilon=0.2, entropy_bonus=False, kl_to_ref_coeff=1.0)
        found = loss(batch)
        mask = batch["masks", "all_assistant_mask"]
        log_prob = lesson["score"](now, batch["tokens", "full"])
        outside = ((log_prob - batch["log_probs", "full"]).exp() - 1).abs() > 0.2
        gap = batch["next", "ref_log_probs", "full"] - log_prob
        k3 = gap.exp() - 1 - gap
        share = mask.float().mean()
        assert found.clip_fraction.item() == pytest.approx((outside[mask].float().mean() * share).item(), rel=1e-4)
        assert found.kl_to_ref.item() == pytest.approx((k3[mask].mean() * share).item(), rel=1e-4)
        assert share < 0.6

    def test_sft_loss_is_minus_the_mean_over_the_tokens_of_each_answer(self, lesson, model):
        response = lesson["TEACHER"][0, :5]
        full = torch.cat([lesson["PROMPTS"][:5], response], 1)
        mask = lesson["full_mask"](response)
        masks = {"all_assistant_mask": mask, "all_attention_mask": torch.ones_like(mask)}
        reader = lesson["TensorDictModule"](
            lambda text: lesson["score"](model, text), [("tokens", "full")], [("log_probs", "full")]
        )
        loss = SFTLoss(reader, tokenizer="none is asked")
        loss.set_keys(history=("tokens", "full"))
        found = loss(TensorDict({"tokens": {"full": full}, "masks": masks}, [5])).loss_sft
        log_probs = lesson["score"](model, full)
        by_hand = -torch.stack([row[here].mean() for row, here in zip(log_probs, mask, strict=True)]).mean()
        assert found.item() == pytest.approx(by_hand.item(), abs=1e-6)

    def test_mc_advantage_gives_the_advantages_of_the_group(self, lesson, model):
        batch = written(lesson, model)
        grouping = MCAdvantage(grpo_size=lesson["ANSWERS"], prompt_key="query")
        single = batch.select("query", ("next", "reward"), ("next", "done")).unsqueeze(1)
        theirs = grouping.inv(single)["advantage"].flatten()
        assert torch.allclose(theirs, batch["advantage"][:, 0, 0], atol=1e-5)


class TestTheTrap:
    def test_greedy_answers_of_a_group_are_alike_and_nothing_is_learned(self, lesson, model):
        kept = {name: weights.clone() for name, weights in model.state_dict().items()}
        largest = []
        lesson["train"](
            model,
            0,
            rounds=2,
            draw=ExplorationType.DETERMINISTIC,
            watch=lambda _, batch: largest.append(batch["advantage"].abs().max().item()),
        )
        assert largest == [0, 0]
        assert all(torch.equal(weights, kept[name]) for name, weights in model.state_dict().items())

    def test_without_a_word_about_exploration_a_rollout_is_greedy(self, lesson, model):
        world = lesson["Sums"](2, 4, lesson["exact"])
        with torch.no_grad():
            answers = world.rollout(1, lesson["Writer"](model))["tokens", "response"].view(2, 4, -1)
        assert (answers == answers[:, :1]).all()


class TestResults:
    def test_four_of_five_learn_from_what_imitation_left_below_40_percent(self, arms):
        assert len(arms[language.GRPO]) >= 5
        assert all(run["drawn"] <= 0.4 and run["greedy"] <= 0.4 for run in arms[language.IMITATED].values())
        learned = [language.learned(run) for run in arms[language.GRPO].values()]
        assert sum(learned) >= 0.8 * len(learned)

    def test_more_imitation_does_not_pass_the_teacher(self, arms):
        """Three in ten of whose answers are right; of 500 questions chance makes a few hundredths."""
        assert all(run["drawn"] <= 0.38 for run in arms[language.LONGER].values())

    def test_every_run_with_the_hole_is_paid_well_and_is_wrong(self, arms):
        for run in arms[language.HOLE].values():
            assert run["curve"][-1] > 0.85 and run["drawn"] < 0.1


def test_the_measured_code_needs_neither_transformers_nor_tokenizers():
    """So the lesson runs where the extra is not installed."""
    script = (
        "import sys; sys.modules.update(transformers=None, tokenizers=None)\n"
        "from benchmarks.groups import language\n"
        "from benchmarks.lesson_code import run_code\n"
        "lesson = run_code(language.code(), 0)\n"
        "model = lesson['LanguageModel']()\n"
        "lesson['teach'](model, 1, 0)\n"
        "lesson['train'](model, 0, rounds=1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def space(lesson):
    """The cells of the section on TorchRL's wrapper, run."""
    sources = [cell.source for cell in code_cells("17_language_models")]
    first = next(n for n, source in enumerate(sources) if "ask_for_extra(" in source)
    last = next(n for n, source in enumerate(sources) if "llama_reads = " in source)
    space = dict(lesson)
    for source in sources[first : last + 1]:
        exec(source, space)
    return space


@needs_llm
class TestTheWrapper:
    def test_what_is_noted_while_writing_is_not_enough(self, space):
        written, read = space["written"], space["read"]
        assert written["log_probs"].full is None and written["masks"].all_assistant_mask is None
        assert (written["log_probs"].response[:, 0] == 0).all(), "the first token is noted as certain"
        first = read["log_probs"].full[:, 6]
        assert (first < -1).all(), "which it is not"

    def test_what_is_read_afterwards_is_whole(self, space):
        written, read = space["written"], space["read"]
        assert torch.equal(read["tokens"].full, written["tokens"].full)
        mask = read["masks"].all_assistant_mask
        assert not mask[:, :6].any() and mask[:, 6].all()
        with torch.no_grad():
            logits = space["llama"](read["tokens"].full).logits
        by_hand = logits.log_softmax(-1)[:, :-1].gather(-1, read["tokens"].full[:, 1:, None]).squeeze(-1)
        assert torch.allclose(by_hand[mask[:, 1:]], read["log_probs"].full[mask], atol=1e-4)

    def test_grpo_loss_takes_it(self, space):
        read = space["read"].copy()
        read["advantage"] = torch.tensor([2.0, -1.0, 0.5, -0.5]).view(4, 1, 1)
        loss = GRPOLoss(space["llama_reads"], masking_strategy="rlhf", entropy_bonus=False)
        mask = read["masks"].all_assistant_mask
        by_hand = -read["advantage"].expand(*mask.shape, 1).squeeze(-1)[mask].mean()
        assert loss(read).loss_objective.item() == pytest.approx(by_hand.item(), abs=1e-6)
