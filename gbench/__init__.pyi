# What `import gbench` offers, for type checkers; __init__.py imports it when it is used.

from gbench.audits.fact import Audit as Audit
from gbench.errors import UserError as UserError
from gbench.interface.auditing import audit as audit
from gbench.interface.leaderboard import leaderboard as leaderboard
from gbench.interface.run import Run as Run
from gbench.interface.run import load as load
from gbench.interface.running import Failed as Failed
from gbench.interface.running import run as run
from gbench.interface.runs import Runs as Runs

__version__: str
