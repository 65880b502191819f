"""Run one of the scripts beside this one, with a sign of life, and print its line of JSON alone.

python watch.py rllib_dqn --seed 1
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EVERY = 10  # seconds between two signs of life
HERE = Path(__file__).resolve().parent


def main(name: str, *words: str) -> int:
    script = HERE / f"{name.removesuffix('.py')}.py"
    if not script.exists():
        print(f"There is no {script.name}; there are {', '.join(sorted(p.stem for p in HERE.glob('*_*.py')))}.")
        return 2
    start = time.monotonic()
    env = {"RL_LOGGING_LEVEL": "ERROR", **os.environ}
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([sys.executable, script, *words], env=env, stdout=said, stderr=errors)
        while True:
            try:
                code = process.wait(EVERY)
                break
            except subprocess.TimeoutExpired:
                print(f"{script.name} has been running for {time.monotonic() - start:.0f} s", file=sys.stderr)
            except KeyboardInterrupt:
                process.wait()
                return 130
        said.seek(0)
        errors.seek(0)
        if code:
            print(errors.read() or f"{script.name} ended with status {code}.", file=sys.stderr)
        else:
            print(said.read().strip().splitlines()[-1])
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) if len(sys.argv) > 1 else __doc__)
