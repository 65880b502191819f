"""`python -m course_utils doctor`, `... certificate`: what is asked of the course in a terminal."""

import argparse
import sys

COMMANDS = {
    "doctor": "check this machine and name what to mend",
    "certificate": "run answers again, and write a page of what is solved; also: verify FILE, class FOLDER",
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m course_utils", description="Helpers of the TorchRL course.")
    lines = "; ".join(f"{name}: {what}" for name, what in COMMANDS.items())
    parser.add_argument("command", choices=COMMANDS, help=lines)
    options, words = parser.parse_known_args(sys.argv[1:2])
    if options.command == "certificate":
        from course_utils.exercises.certificate_command import main as certificate

        return certificate(sys.argv[2:])
    if len(sys.argv) > 2:
        parser.error(f"doctor takes no more words: {' '.join(sys.argv[2:])}")
    from course_utils.machine.doctor import diagnose

    report = diagnose()
    print(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
