"""Names that have a limit elsewhere: of folders on disk, and of what stands in Weights & Biases."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any

from gbench.errors import UserError

FOLDER_BYTES = 200  # file systems take 255, and gbench and others put words around the name
WANDB_TAG, WANDB_NAME = 64, 128  # characters
_NOT_IN_PROJECT = "/\\#?%:"
_NOT_IN_ID = re.compile(r"[:;,#?/'\s]")


def num_bytes(text: str) -> int:
    """How long a name is on disk."""
    return len(text.encode())


def shortened(text: str, limit: int, size: Callable[[str], int] = len, end: str = "") -> str:
    """`text` + `end` if that is not longer than `limit`, else with less of `text`.

    Its beginning and eight digits of its SHA-256 stand for it then, so that two long names differ
    and one is shortened alike every time.
    """
    if size(text + end) <= limit:
        return text + end
    rest = f"~{hashlib.sha256(text.encode()).hexdigest()[:8]}{end}"
    kept = text[:limit]
    while size(kept + rest) > limit:
        kept = kept[:-1]
    return kept + rest


def wandb_id(folder: str) -> str:
    """The id, and the name, of a run in this folder."""
    return shortened(_NOT_IN_ID.sub("-", folder), WANDB_NAME)


def wandb_tags(config: Mapping[str, Any]) -> list[str]:
    """Model, dataset and what the user says."""
    tags = [config["model"]["name"], config["data"]["name"], *config["logger"]["tags"]]
    return [shortened(str(tag), WANDB_TAG) for tag in tags]


def check_wandb(options: Mapping[str, Any]) -> None:
    """Raise UserError for settings of logger=wandb that wandb would refuse after the start."""
    project, tags = str(options["project"]), options["tags"]
    team, slash, name = project.partition("/")
    if slash:
        raise UserError(
            f"logger.project={project}: a project has no / in its name; the team is another "
            f"setting: logger.entity={team} logger.project={name}"
        )
    if not project or len(project) > WANDB_NAME or {*project} & {*_NOT_IN_PROJECT}:
        raise UserError(
            f"logger.project={project}: allowed is a name of at most {WANDB_NAME} characters "
            f"without {' '.join(_NOT_IN_PROJECT)}"
        )
    if not isinstance(tags, list) or not all(str(tag).strip() for tag in tags):
        raise UserError(f"logger.tags={tags}: expected a list of words, such as [first,try]")
