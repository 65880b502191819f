"""Every dataset class of TorchRL, run through its own loading code: the scripts of examples/datasets/.

Each is a process of its own; where a family needs packages that the course does not bring, in an environment of its own
that sees the course's packages and has those on top.
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from benchmarks.group import Group
from benchmarks.section import Arms, Section, counted, table
from benchmarks.store import ROOT

SCRIPTS = ROOT / "examples" / "datasets"
ENVIRONMENTS = ROOT / "build" / "records"


@dataclass(frozen=True)
class Family:
    """A dataset class, and what was looked up about its collection.

    Attributes:
        title: as its makers call it.
        cls: TorchRL's class.
        needs: what has to be installed for it, as pip is told.
        pins: exact releases that are put on top of the course's in an environment of its own.
        holds, weighs, licence: of the real collection; `not found` where no source says it.
        sources: addresses that say so.
        around: how to live with what its faults are.
    """

    title: str
    cls: str
    needs: tuple[str, ...]
    holds: str
    weighs: str
    licence: str
    sources: tuple[str, ...]
    around: str
    pins: tuple[str, ...] = ()


HUB = "https://huggingface.co/datasets"
GITHUB = "https://github.com"
FAMILIES = {
    "minari": Family(
        "Minari",
        "MinariExperienceReplay",
        ("minari[hdf5,hf]",),
        "The tasks of D4RL, remade with Gymnasium, and others; `D4RL/door/human` is 25 episodes, 6,729 steps.",
        "not found",
        "not found",
        ("https://minari.farama.org/main/datasets/door/human/", f"{GITHUB}/Farama-Foundation/Minari"),
        "The loader fills its memory and then saves an empty copy of its shapes: "
        "`patch.object(TensorDict, 'memmap_like', TensorDict.memmap)` around the call keeps what was filled. "
        "Lesson 10 reads Minari's own episodes instead.",
    ),
    "d4rl": Family(
        "D4RL",
        "D4RLExperienceReplay",
        ("h5py",),
        "Mazes, MuJoCo's walkers, a hand, a kitchen: one file a task, by policies of several strengths or by people.",
        "`door-human-v0`: 3 MiB; `walker2d-expert-v0`: 78 MiB",
        "CC BY 4.0, unless noted otherwise; code Apache 2.0",
        (
            f"{GITHUB}/Farama-Foundation/D4RL",
            "https://www.tensorflow.org/datasets/catalog/d4rl_adroit_door",
            "https://www.tensorflow.org/datasets/catalog/d4rl_mujoco_walker2d",
        ),
        "Value targets do not look behind `terminated`; after `truncated` they do, at zeros: leave those steps out. "
        "Call the last row an end, as the script does, before you sample slices.",
    ),
    "vd4rl": Family(
        "V-D4RL",
        "VD4RLExperienceReplay",
        ("h5py", "huggingface_hub"),
        "Pictures of dm_control (walker, cheetah, humanoid): 64 px for DreamerV2 as .npz, 84 px for DrQ as .hdf5.",
        "not found",
        "MIT",
        (f"{HUB}/conglu/vd4rl", f"{GITHUB}/conglu1997/v-d4rl"),
        "Move action, reward and ends up by one row and leave the last row of each episode out, as the script does. "
        "Only 64 px files have ends: those of 84 px hold `step_type`, which the class leaves in `state`.",
    ),
    "gen_dgrl": Family(
        "Gen-DGRL (Procgen)",
        "GenDGRLExperienceReplay",
        ("requests",),
        "16 games of Procgen by PPO, expert and mixed: 1, 10 or 25 million steps a game, and 100,000 of few levels.",
        "not found",
        "code mostly CC BY-NC; of the data: not found",
        (f"{GITHUB}/facebookresearch/gen_dgrl",),
        "Sample from the rows that were filled alone. Its files are pickles, which run code when they are read: "
        "read none whose source you do not trust.",
    ),
    "roboset": Family(
        "RoboSet (RoboHive)",
        "RobosetExperienceReplay",
        ("h5py", "huggingface_hub"),
        "Simulated arms and hands: a kitchen, doors, hammers; by people and by trained experts.",
        "not found",
        "MIT",
        (f"{GITHUB}/vikashplus/robohive/wiki/7.-Datasets", f"{HUB}/jdvakil/RoboSet_Sim"),
        "Take `next > done` as the end of a slice, and do not use the last step of an episode for a value target. "
        "For `split_trajs`, make the object a second time.",
    ),
    "openx": Family(
        "Open X-Embodiment",
        "OpenXExperienceReplay",
        ("datasets<4", "pillow"),
        "Demonstrations by many robots, with pictures and sentences; `cmu_stretch` is 135 episodes.",
        "`cmu_stretch`: 535 MB; `toto`: many files of 750 MB each",
        "CC BY 4.0, and what each of the collections says",
        (
            f"{GITHUB}/google-deepmind/open_x_embodiment",
            f"{HUB}/jxu124/OpenX-Embodiment",
            f"{HUB}/WeiChow/VLATrainingDataset",
        ),
        "It needs `datasets` below 4, which still runs scripts of a collection, and so runs code of others. Pictures "
        "want torchvision for one function; the script gives it one of its own.",
        pins=(
            *("datasets==3.6.0", "dill==0.3.8", "multiprocess==0.70.16", "xxhash==4.1.0"),
            *("fsspec==2025.3.0", "huggingface_hub==0.36.2"),
        ),
    ),
    "openml": Family(
        "OpenML",
        "OpenMLExperienceReplay",
        ("scikit-learn", "pandas"),
        "Seven tables of a class by numbers: adult, mushroom, covertype, shuttle, magic.",
        "`magic` as CSV: 1 MB",
        "each table's own; not found for these",
        (f"{HUB}/inria-soda/tabular-benchmark",),
        "`OpenMLEnv` makes a bandit of it: a row is the observation, a class the action, a right one a reward of 1.",
        pins=("scikit-learn==1.9.1", "joblib==1.6.0", "threadpoolctl==3.8.0", "narwhals==2.29.0"),
    ),
    "atari_dqn": Family(
        "DQN Replay (Atari)",
        "AtariDQNExperienceReplay",
        (),
        "What DQN saw in five trainings on each of 60 games: 50 million steps each, 84 by 84 pixels.",
        "not found",
        "not found",
        (
            f"{GITHUB}/google-research/batch_rl",
            "https://docs.pytorch.org/rl/stable/reference/generated/torchrl.data.datasets.AtariDQNExperienceReplay.html",
        ),
        "Count episodes by `data.episodes - terminated` and give that to `SliceSampler(trajectories=...)`. Make one "
        "batch of one part only where its order counts. It needs the command `gsutil`; TorchRL itself warns that the "
        "collection is no longer to be had.",
    ),
    "lerobot": Family(
        "LeRobot",
        "LeRobotExperienceReplay",
        ("datasets", "huggingface_hub"),
        "Robots' records by their owners, in one format; `lerobot/pusht` is 206 episodes, 25,650 frames, with a film.",
        "`lerobot/pusht`: tables under 1 MB, and the film",
        "each record's own; `lerobot/pusht`: MIT",
        (f"{HUB}/lerobot/pusht",),
        "`rehydrate=True` makes next observations. Films need torchcodec, or ten lines with PyAV, as in the script. "
        "Whether an end was a fall or a time limit is yours to know.",
        pins=("datasets==5.2.0", "dill==0.4.1", "multiprocess==0.70.19", "xxhash==4.1.0"),
    ),
}


def python_for(family: str) -> Path:
    """The interpreter for a family: the course's own, or one of an environment that is made here.

    Raises:
        subprocess.CalledProcessError: it cannot be made, say for want of a network.
    """
    pins = FAMILIES[family].pins
    if not pins:
        return Path(sys.executable)
    folder = ENVIRONMENTS / family
    python = folder / "bin" / "python"
    quiet = {"check": True, "capture_output": True, "text": True}
    subprocess.run([sys.executable, "-m", "uv", "venv", "--clear", "--python", sys.executable, folder], **quiet)
    install = [sys.executable, "-m", "uv", "pip", "install", "--no-deps", "--only-binary", ":all:", "--python", python]
    subprocess.run([*install, *pins], **quiet)
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], **quiet
    ).stdout.strip()
    theirs = sysconfig.get_path("purelib")
    (Path(own) / "course.pth").write_text(f"import site; site.addsitedir({theirs!r})\n")
    return python


def measure(arm: str, key: int) -> dict[str, dict]:
    """What the family's script says, and what its packages weigh; its first error where it did not run."""
    try:
        python = python_for(arm)
        weighed = json.loads(run([python, "-m", "benchmarks.weigh", *FAMILIES[arm].needs]))
        return {arm: {"ran": True} | json.loads(run([python, SCRIPTS / f"read_{arm}.py"])) | weighed}
    except subprocess.CalledProcessError as error:
        return {arm: {"ran": False, "error": (error.stderr.strip().splitlines() or ["no word"])[-1][:300]}}


def run(command: list) -> str:
    """The last line that a command prints."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.strip().splitlines()[-1]


def tell(section: Section, arms: Arms) -> None:
    found = {family: next(iter(runs.values())) for family, runs in arms.items()}
    ran = {family: result for family, result in found.items() if result["ran"]}
    rows = [
        [
            FAMILIES[family].title,
            *(("yes", str(len(result["equal"])), str(len(result["faults"])), f"{result['megabytes']:g}")),
        ]
        if result["ran"]
        else [FAMILIES[family].title, result["error"], "", "", ""]
        for family, result in found.items()
    ]
    faults = sum(sum(result["faults"].values()) for result in ran.values())
    section.answer(
        f"{len(ran)} of {counted(len(found), 'family')} ran".replace("familys", "families")
        + f"; {counted(faults, 'trap')} met. [The guide to records](records.md) has a card for each."
    )
    section.say(table(["", "ran", "keys equal to what was written", "traps", "MB of packages"], rows))
    section.measured(
        "The scripts of examples/datasets/, each in a process of its own: a few episodes of ours in the family's own "
        "format, behind a server on this machine or where the loader keeps what it has, read by TorchRL's class."
    )
    section.limits(
        "Records of ours are tiny and whole. What a real collection holds beside them (other keys, damaged files, "
        "names that changed) is not tried."
    )
    section.files["records.md"] = guide(found, section.stamp).encode()


def guide(found: dict[str, dict], stamp) -> str:
    """docs/records.md: a card a family."""
    parts = [
        "<!-- Made by `make bench-page` from benchmarks/results/ and benchmarks/groups/records.py; do not edit. -->",
        "# Records of all kinds",
        f"TorchRL {stamp['torchrl']} has {len(found)} classes for records that others have made. Each was run here "
        "through its own loading code, on a record of ours in the family's own format: a few episodes of CartPole, "
        "laid behind a server on this machine. What came out was compared value by value with what was written. The "
        "scripts are [a folder of examples](../examples/datasets/README.md), one a family; "
        "[the benchmark](benchmark.md) says when and with what they ran.",
        "A trap below is a fact of this release that the script proves. When one is mended, a test fails, and the "
        "sentence goes. Next to each family stands what its real collection holds; `not found` means that no source "
        "was found that says it.",
        table(
            ["family", "class", "install", "MB on top", "compared equal", "traps"],
            [line_of(family, result) for family, result in found.items()],
        ),
        *(card(family, result) for family, result in found.items()),
    ]
    return "\n\n".join(parts) + "\n"


def collections(arms: Arms) -> str:
    """The table of lesson 18: what the real collections are, as far as a source says it."""
    rows = [
        [f"`{known.cls.removesuffix('ExperienceReplay')}...`", known.holds, known.weighs, known.licence]
        for known in (FAMILIES[family] for family in arms)
    ]
    return table(["class", "holds", "weighs", "licence"], rows)


def line_of(family: str, result: dict) -> list[str]:
    known = FAMILIES[family]
    install = f"`{' '.join(known.needs)}`" if known.needs else "the command `gsutil`"
    title = f"[{known.title}](#{family.replace('_', '-')})"
    if not result["ran"]:
        return [title, f"`{known.cls}`", install, "did not run", "", ""]
    measured = [f"{result['megabytes']:g}", str(len(result["equal"])), str(len(result["faults"]))]
    return [title, f"`{known.cls}`", install, *measured]


def card(family: str, result: dict) -> str:
    known = FAMILIES[family]
    sources = ", ".join(f"[{number}]({address})" for number, address in enumerate(known.sources, 1))
    lines = [
        f"({family.replace('_', '-')})=\n## {known.title}",
        f"**The real one.** {known.holds} Weighs: {known.weighs}. Licence: {known.licence}. Sources: {sources}.",
    ]
    if not result["ran"]:
        return "\n\n".join([*lines, f"**It did not run here.** {result['error']}"])
    packages = ", ".join(f"{name} {version}" for name, version in result["packages"].items())
    lines += [
        f"**Read by** `{known.cls}`, in `examples/datasets/read_{family}.py`: {result['steps']} steps were written, "
        f"{result['rows']} rows came out. On top of the course it needs "
        + (f"{packages}." if packages else "no package."),
        table(["key", "dtype and shape of a row"], [[f"`{key}`", said] for key, said in result["keys"].items()]),
        f"**Equal to what was written:** {', '.join(f'`{key}`' for key in result['equal'])}.",
        f"**Slices:** {result['slices']}. **A transform that matters:** {result['transform']}.",
        "**Traps:**\n\n" + "\n".join(f"- {name}" for name, there in result["faults"].items() if there),
        f"**Around them.** {known.around}",
    ]
    return "\n\n".join(lines)


GROUP = Group(
    name="records",
    order=172,
    question="Records of others: which of TorchRL's dataset classes read what was written?",
    tell=tell,
    file="18_records",
    jobs=lambda count: [(family, 0) for family in FAMILIES],
    measure=measure,
    arms=lambda: list(FAMILIES),
    code=lambda: "\n".join(path.read_text() for path in sorted(SCRIPTS.glob("*.py"))),
    repeats=1,
    lesson_table=collections,
)
