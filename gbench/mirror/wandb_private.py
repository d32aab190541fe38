"""What wandb tells by a private name only, and how to learn it where that name is gone."""

from __future__ import annotations


def base_url() -> str:
    """The server that wandb would talk to, by its environment variables and files.

    Without the private name wandb starts its helping process to tell it.
    """
    try:
        from wandb.sdk.wandb_setup import singleton
    except ImportError:
        from wandb import setup as singleton
    return str(singleton().settings.base_url)
