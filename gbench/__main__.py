"""`python -m gbench` is the `gbench` command."""

import sys

from gbench.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
