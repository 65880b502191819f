"""Measure what is not measured yet, then write docs/benchmark.md.

Each run is stored as soon as it is finished; stop it whenever you like, the same command goes on from there.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from benchmarks import page, runner, store
from benchmarks.groups import groups


def command_for(name: str, count: int | None) -> str:
    """What to type to measure one group again."""
    return f"make bench ARGS={shlex.quote(f'--groups {name}' + (f' --seeds {count}' if count else ''))}"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = list(groups())
    parser.add_argument("--groups", nargs="+", choices=names, default=names, metavar="GROUP", help=" ".join(names))
    parser.add_argument("--seeds", type=int, help="seeds or repeats of each group; without it each group's own number")
    parser.add_argument("--fresh", action="store_true", help="measure these groups anew, whatever is stored")
    parser.add_argument("--workers", type=int, help="processes side by side, where seconds are not what is measured")
    parser.add_argument(
        "--results", type=Path, default=store.RESULTS, help="where results go; no page if not the default"
    )
    chosen = parser.parse_args(arguments)
    if any(number is not None and number < 1 for number in (chosen.seeds, chosen.workers)):
        parser.error("--seeds and --workers have to be 1 or more")
    return chosen


def main() -> None:
    chosen = parse()
    os.environ.update(runner.ENVIRONMENT)
    failed = []
    try:
        for name in chosen.groups:
            results = store.Store(chosen.results / f"{groups()[name].file}.json")
            command = command_for(name, chosen.seeds)
            failed += runner.run(
                groups, name, results, chosen.seeds, command=command, fresh=chosen.fresh, workers=chosen.workers
            )
    except KeyboardInterrupt:
        print("\nStopped. What is finished is stored; the same command goes on from there.")
        sys.exit(130)
    if chosen.results == store.RESULTS:
        page.write(chosen.results, page.DOCS)
    if failed:
        sys.exit("\nThese runs failed; the same command tries them again:\n" + "\n".join(failed))


if __name__ == "__main__":
    main()
