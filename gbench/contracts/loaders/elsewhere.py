"""Load a dataset in a process of its own and print its fingerprint: see subject.py."""

from __future__ import annotations

import json
import sys

from gbench.contracts.loaders.subject import Loader
from gbench.own_code import importing


def main() -> None:
    """Read the config from stdin."""
    asked = json.load(sys.stdin)
    importing.use(asked["config"]["config_dirs"])
    print(Loader.of(asked["config"]).load(asked["seed"]).fingerprint)


if __name__ == "__main__":
    main()
