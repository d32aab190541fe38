"""gbench: train graph neural networks to the paper's protocol and compare the runs.

From Python it is `gbench.run`, `gbench.load`, `gbench.leaderboard` and `gbench.audit`. Each name is
imported when it is first used, so that `import gbench` costs nothing.
"""

from importlib import import_module
from typing import Any

from gbench.deferred import defer

__version__ = "0.1.0"

_PLACES = {  # of each name the module that has it; __init__.pyi says the same to type checkers
    "Audit": "gbench.audits.fact",
    "Failed": "gbench.interface.running",
    "Run": "gbench.interface.run",
    "Runs": "gbench.interface.runs",
    "UserError": "gbench.errors",
    "audit": "gbench.interface.auditing",
    "leaderboard": "gbench.interface.leaderboard",
    "load": "gbench.interface.run",
    "run": "gbench.interface.running",
}
__all__ = ["__version__", *_PLACES]

defer()


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'gbench' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
