"""Keep other packages' tips and notices away from the user; --debug lets them through."""

from __future__ import annotations

import logging
import warnings


def silence() -> None:
    """Only gbench speaks: Lightning's tips, device reports and worker warnings stay unsaid."""
    import lightning.pytorch  # noqa: F401 - sets its loggers' levels when first imported

    for name in ("lightning", "lightning.pytorch", "lightning.fabric", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"(?!gbench)")
