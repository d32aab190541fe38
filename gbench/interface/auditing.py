"""`gbench.audit`: the facts of a dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gbench import folders
from gbench.audits.fact import Audit
from gbench.config.compose import find_own_code
from gbench.console import stages
from gbench.data import manage
from gbench.interface.calling import unchanged


def audit(
    name: str | Path,
    split: str = "",
    *,
    config_dir: str | Path | Sequence[str | Path] | None = (),
    data_dir: str | Path | None = None,
    cache_dir: str | Path | None = None,
    source: str = "",
    quiet: bool = False,
) -> Audit:
    """All facts of a dataset, as `gbench data audit` tells them: kept ones, or computed and kept.

        gbench.audit("cora").frame()
        gbench.audit("chameleon").find("nodes")

    `name` is a dataset's name or a folder of your own, `split` another of its protocols. Progress
    is printed unless `quiet`. Raises UserError as the command does.
    """
    own = [config_dir] if isinstance(config_dir, str | Path) else config_dir
    dirs = [Path(folder).expanduser() for folder in own or ()]
    with unchanged(quiet):
        from gbench.audits.audit import audit as audited

        find_own_code(dirs)
        card = manage.card_of(str(name), dirs, split)
        data = folders.data_dir(str(data_dir) if data_dir is not None else None)
        cache = folders.cache_dir(str(cache_dir) if cache_dir is not None else None)
        with stages() as tell:
            return audited(card, data, cache, source, tell)
