"""`python -m course_utils doctor`: is this machine ready for the course?"""

import argparse
import sys


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m course_utils", description="Helpers of the TorchRL course.")
    parser.add_argument("command", choices=["doctor"], help="doctor: check this machine and name what to mend")
    parser.parse_args()
    from course_utils.machine.doctor import diagnose

    report = diagnose()
    print(report)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
