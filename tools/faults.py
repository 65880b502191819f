"""Which of the faults that the lessons tell of TorchRL are still there? `python -m tools.faults`.

A lesson that warns of a fault teaches something wrong from the release on that mends it. Each warning stands here with
the test that looks for the fault in whatever release is installed; where the test fails, this names the sentence to
read again. `make canary` tries the lessons with the newest releases; this tells what in their words is then too old.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from dataclasses import dataclass

import pytest

from tools.course import LESSONS, ROOT

LIBRARIES = ("torch", "torchrl", "tensordict", "gymnasium")
HERE = "test_faults_of_the_library.py"


@dataclass(frozen=True)
class Fault:
    """What a lesson says of the library, and how to see whether it is true.

    Attributes:
        what: the fault, in a few words.
        lesson: the number of the lesson that tells of it.
        sentence: words of the lesson that are wrong once it is mended.
        probe: the test in tests/lessons/ that passes as long as the fault is there.
    """

    what: str
    lesson: str
    sentence: str
    probe: str


FAULTS = [
    Fault(
        "GymWrapper refuses Gymnasium's own way of resetting",
        "01",
        "in the step after the end, whose action does nothing | refused, with an error |",
        "test_lesson_01.py::test_only_two_modes_of_autoreset_are_taken",
    ),
    Fault(
        "a plain number in info stops it",
        "01",
        "a plain Python number raises an `AttributeError`",
        "test_lesson_01.py::test_info_is_kept_where_it_is_asked_for_and_made_of_arrays",
    ),
    Fault(
        "HardUpdate copies one call late",
        "04",
        "in this version `HardUpdate` waits for the given number of calls and copies at the one after",
        "test_lesson_04.py::test_a_hard_update_copies_at_the_call_after_the_interval",
    ),
    Fault(
        "a Collector warns until it is told about transforms",
        "05",
        "TorchRL 0.14 wants to be told whether the collector is to add the transforms",
        f"{HERE}::test_a_collector_warns_of_what_it_will_do_from_the_next_release_on",
    ),
    Fault(
        "the compiled extension does not load",
        "05",
        "That compiled part does not load beside every release of PyTorch.",
        f"{HERE}::test_prioritized_replay_of_its_own_does_not_load",
    ),
    Fault(
        "priorities are dropped in silence where the sampler is another class",
        "05",
        "If it is not, it does nothing, and raises no error.",
        f"{HERE}::test_priorities_for_a_sampler_of_ones_own_are_dropped_in_silence",
    ),
    Fault(
        "a memory that was loaded has forgotten its device",
        "07",
        "A memory that was loaded has forgotten its device, in TorchRL 0.14.",
        f"{HERE}::test_a_memory_that_was_loaded_has_forgotten_its_device",
    ),
    Fault(
        "MinariExperienceReplay hands out zeros",
        "10",
        "what it hands out has the right shapes, and every number in it is zero",
        "test_lesson_10.py::test_torchrls_own_reader_still_hands_out_zeros",
    ),
    Fault(
        "BCLoss wants whole-number actions as logits",
        "10",
        "for whole-number actions release 0.14.1 wants a module that writes logits under `action`",
        f"{HERE}::test_cloning_whole_number_actions_wants_logits_under_action",
    ),
    Fault(
        "DiscreteCQLLoss does not use its target network",
        "10",
        "it builds a target network and does not use it",
        "test_lesson_10.py::test_torchrls_cql_still_takes_its_targets_from_the_network_in_training",
    ),
    Fault(
        "FrameSkipTransform steps on after the end",
        "11",
        "it does not look at `done` and steps on after the end",
        "test_lesson_11.py::test_the_transform_that_skips_frames_steps_on_after_the_end",
    ),
    Fault(
        "VTrace asks about another action",
        "12",
        "it asks how likely the actor's *favourite* action is",
        "test_lesson_12.py::test_torchrls_module_still_asks_about_another_action",
    ),
    Fault(
        "GymWrapper does not take Gymnasium's fast CartPole",
        "14",
        '(`"vector_entry_point"`); TorchRL\'s wrapper does not take it',
        f"{HERE}::test_the_wrapper_does_not_take_the_cartpole_that_computes_all_copies_at_once",
    ),
    Fault(
        "planners have no memory and one first spread",
        "16",
        "no memory: each search begins at mean 0, spread 1",
        "test_lesson_16.py::TestPlannersOfTheLibrary::test_a_search_starts_at_nothing_and_remembers_nothing",
    ),
    Fault(
        "MPPI's temperature makes NaN of ordinary returns",
        "16",
        "returns of -200 give $e^{-200}$, 0/0, NaN",
        "test_lesson_16.py::TestPlannersOfTheLibrary::test_mppi_needs_advantages_near_zero",
    ),
    Fault(
        "a done resets within a plan",
        "16",
        "a `done` makes `_reset` run in a plan",
        "test_lesson_16.py::TestPlannersOfTheLibrary::test_what_comes_after_done_does_not_count",
    ),
    Fault(
        "TransformersWrapper notes no mask while it writes",
        "17",
        "What is noted while writing is not enough in this release: no mask, nothing for the whole text",
        "test_lesson_17.py::TestTheWrapper::test_what_is_noted_while_writing_is_not_enough",
    ),
    Fault(
        "a trade of FinancialRegimeEnv costs a share of the price and earns a share of one",
        "18",
        "Two units are added up, and a trade costs more than it can bring.",
        "test_lesson_18_worlds.py::TestMarket::test_who_does_nothing_gets_nothing_and_who_buys_pays_a_thousandth_of_the_price",
    ),
    Fault(
        "ToyVLAEnv knows no truncation",
        "18",
        "`ToyVLAEnv` has no `truncated` at all: whoever asks for it gets a `KeyError`.",
        "test_lesson_18_worlds.py::TestSmallWorlds::test_the_toy_of_robots_knows_no_truncation",
    ),
    Fault(
        "GymEnv writes its own frame skip over the game's",
        "18",
        "`GymEnv` hands its own `frame_skip`, 1 unless told, to the game, over whatever `frameskip` you write",
        "test_lesson_18_worlds.py::TestPong::test_how_many_frames_a_step_has_depends_on_who_makes_the_game",
    ),
    Fault(
        "a dataset class calls a time limit terminated",
        "18",
        "the class calls each end `terminated`, a time limit too",
        "test_lesson_18_records.py::TestRecords::test_every_end_is_called_terminated",
    ),
    Fault(
        "flattening marks every step as truncated",
        "19",
        "*All* steps are marked.",
        "test_lesson_19_packed.py::test_flattening_marks_every_step_as_truncated",
    ),
    Fault(
        "an update that was called off is counted",
        "19",
        "an update that `StopIteration` called off has been counted.",
        "test_lesson_19_packed.py::test_packed_it_is_the_same_loop_and_counts_three_updates_too_many",
    ),
    Fault(
        "a trainer's checkpoint leaves out what it was not given",
        "19",
        "Not the memory; not the target updater's count; not epsilon; not the random numbers",
        "test_lesson_19_packed.py::test_what_a_trainer_saves_and_what_it_does_not",
    ),
    Fault(
        "a trainer's exam explores, against its documentation",
        "19",
        "explores unless told otherwise (its documentation says the opposite)",
        "test_lesson_19_packed.py::test_defaults_that_surprise",
    ),
]


class Outcomes:
    """Notes what came of each test: `passed`, `failed` or `skipped`, by its id without parameters."""

    def __init__(self) -> None:
        self.found: dict[str, set[str]] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            name = report.nodeid.partition("[")[0].removeprefix("tests/lessons/")
            self.found.setdefault(name, set()).add(report.outcome)


def words_of(lesson: str) -> str:
    """All text of a lesson in one line, without the marks of comments."""
    (path,) = LESSONS.glob(f"{lesson}_*.py")
    return " ".join(re.sub(r"^# ?", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE).split())


def look_for(faults: list[Fault]) -> dict[Fault, set[str]]:
    """What came of each fault's test with the releases that are installed; nothing where it could not even start."""
    outcomes = Outcomes()
    probes = [str(ROOT / "tests" / "lessons" / fault.probe) for fault in faults]
    pytest.main([*probes, "--rootdir", str(ROOT), "-p", "no:terminal", "-p", "no:cacheprovider"], plugins=[outcomes])
    return {fault: outcomes.found.get(fault.probe, set()) for fault in faults}


def told(fault: Fault, outcomes: set[str]) -> str:
    """One line, or two where there is something to do."""
    where = f"{fault.lesson}  {fault.what}"
    if not outcomes or outcomes == {"skipped"}:
        return f"not tried  {where} (its test did not run)"
    if "failed" not in outcomes:
        return f"there      {where}"
    return (
        f"GONE?      {where}\n"
        f"           read {fault.probe}, which no longer holds; if it was mended, delete from lesson {fault.lesson}:\n"
        f"           {fault.sentence}"
    )


def main() -> None:
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES))
    found = look_for(FAULTS)
    for fault, outcomes in found.items():
        print(told(fault, outcomes))
    gone = sum("failed" in outcomes for outcomes in found.values())
    print(f"{len(FAULTS) - gone} of {len(FAULTS)} sentences of lessons about faults stand.")
    sys.exit(1 if gone else 0)


if __name__ == "__main__":
    main()
