"""The user's account at Weights & Biases, without asking its server or the user."""

from __future__ import annotations

import os
from pathlib import Path

from gbench.errors import UserError
from gbench.mirror.wandb_private import base_url

_PATIENCE_SECONDS = 10.0


def logged_in() -> bool:
    """Whether runs are to be mirrored online: $WANDB_MODE says so, or there is a key."""
    mode = os.environ.get("WANDB_MODE")
    return has_key() if mode is None else mode == "online"


def has_key() -> bool:
    """Whether wandb would find an API key: in the environment or in the user's netrc.

    wandb's own question for it asks its server, or the user.
    """
    if os.environ.get("WANDB_API_KEY"):
        return True
    import netrc
    from urllib.parse import urlsplit

    file = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    try:
        return netrc.netrc(file).authenticators(urlsplit(base_url()).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def check_reachable() -> None:
    """Raise UserError without a key or a server: wandb itself would ask, or try for hours."""
    if not has_key():
        raise UserError(
            "no wandb login: type wandb login, or set WANDB_API_KEY; what was mirrored offline "
            "waits in the runs' folders"
        )
    import urllib.error
    import urllib.request

    url = base_url()
    try:
        urllib.request.urlopen(url, timeout=_PATIENCE_SECONDS).close()
    except urllib.error.HTTPError:
        return  # it answers
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise UserError(
            f"{url} does not answer ({reason}): nothing was uploaded, try again later"
        ) from error
