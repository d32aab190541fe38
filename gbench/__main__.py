"""The `gbench` command, and `python -m gbench`."""

import sys


def main() -> int:
    """Run the command line of this process and return its exit code; Ctrl-C may come at once."""
    try:
        from gbench.cli.main import main as run
    except KeyboardInterrupt:
        print("gbench: interrupted", file=sys.stderr)
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
