"""The `gbench` command, and `python -m gbench`."""

import os
import sys

SPINS = "1000"


def main() -> int:
    """Run the command line of this process and return its exit code; Ctrl-C may come at once."""
    wait_briefly()
    try:
        from gbench.cli.main import main as run
    except KeyboardInterrupt:
        print("gbench: interrupted", file=sys.stderr)
        return 130
    return run()


def wait_briefly() -> None:
    """Let threads that wait for others sleep soon, unless the user has said how they wait.

    torch's OpenMP, libgomp, reads this when it is loaded. By itself it looks 300,000 times whether
    the others are done, which keeps a core from them where other processes have work for it.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & {*os.environ}:
        os.environ["GOMP_SPINCOUNT"] = SPINS


if __name__ == "__main__":
    sys.exit(main())
