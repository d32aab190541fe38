"""What the names of splits mean: `conf/splits.yaml`, one sentence and its source each."""

from __future__ import annotations

from gbench.choices import PACKAGED, read_yaml
from gbench.data.spec import DataCard

MEANINGS = PACKAGED / "splits.yaml"


def meaning(split: str, data: str) -> str:
    """A sentence on a split of a dataset of gbench's, with its source; empty if there is none."""
    stated = read_yaml(MEANINGS).get(split)
    entries = stated if isinstance(stated, list) else [stated] if stated else []
    fitting = [entry for entry in entries if data in entry.get("of", [data])]
    return f"{fitting[0]['means']} ({fitting[0]['source']})" if fitting else ""


def meanings(card: DataCard) -> dict[str, str]:
    """Every split that the dataset has, with its meaning; one's own may mean anything."""
    names = list(card.splits) or [card.split]
    if not card._target_.startswith("gbench."):
        return dict.fromkeys(names, "")
    return {name: meaning(name, card.name) for name in names}
