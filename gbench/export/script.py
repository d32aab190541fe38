"""A finished run as one Python script: data, model, order, rules and test, with nothing hidden.

The script is the template with the run's settings. It imports what a run imports (the loaders, the
model, the rules by which epochs are compared and ended) and says the loop itself. On a CPU with as
many threads as the run had it reaches the recorded metric bit for bit.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gbench.config.floors import is_floor
from gbench.config.identity import decisive
from gbench.errors import UserError
from gbench.export.fill import filled
from gbench.export.literal import literal
from gbench.export.own import kept_code, with_kept_files
from gbench.figures import metric_text
from gbench.locate import locate
from gbench.records.record import RunRecord

TEMPLATE = Path(__file__).with_name("template.py")
CUDA = '"cuda" if torch.cuda.is_available() else "cpu"'
# of the trainer: what the script reads, and what else it acts on
READ = (
    "max_epochs",
    "monitor",
    "ties",
    "stop",
    "patience",
    "limit_batches",
    "gradient_clip_val",
    "accumulate_grad_batches",
)
ACTED_ON = ("select", "accelerator", "deterministic", "detect_anomaly", "matmul")
# of other settings of the trainer, those that change nothing where one process trains in float32
WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "devices": (1, "auto"),
    "strategy": ("auto",),
    "precision": ("32-true",),
}


def script(record: RunRecord, config: Mapping[str, Any], folder: Path) -> str:
    """The script's text; `folder` is the run's, which keeps the code of the user's own.

    Raises UserError for what it has no words for: parts of a big graph, links, patches, several
    devices, mixed precision, an epoch chosen over several runs.
    """
    _check(config)
    config = with_kept_files(config, folder)
    trainer, code = config["trainer"], kept_code(config, folder)
    settings = {
        "SEED": config["seed"],
        "DATA": config["data"],
        "TRANSFORM": config["transform"],
        "ENCODING": config["encoding"],
        "MODEL": config["model"],
        "OPTIM": config["optim"],
        "TRAINER": {key: trainer[key] for key in READ if key in trainer},
        "ALSO": trainer.get("also", []),
        "MATMUL": trainer.get("matmul", "highest"),
        "DATA_DIR": config["data_dir"],
        "CACHE_DIR": config["cache_dir"],
        "DATA_SOURCE": config.get("data_source", ""),
        "EPOCHS": record.epochs,
        "TEST": record.test,
        "OWN_FOLDERS": code.folders,
    }
    values = {name: literal(value) for name, value in settings.items()}
    kind = locate(config["model"]["_target_"])

    def has(method: str) -> bool:
        return inspect.isfunction(inspect.getattr_static(kind, method, None))

    devices = {"cpu": '"cpu"', "gpu": '"cuda"', "cuda": '"cuda"'}
    values["DEVICE"] = devices.get(trainer["accelerator"], CUDA)
    values["OWN_CODE"] = code.texts
    holds = {
        "transform": config["transform"]["name"] != "none",
        "encoding": config["encoding"]["name"] != "none",
        "own code": code.texts,
        "own folders": code.folders,
        "sys": code.texts or code.folders,
        "also": trainer.get("also"),
        "own rule": "." in trainer["stop"] or "." in config["optim"]["schedule"],
        "best": trainer["select"] == "best",
        "own loss": has("loss"),
        "fit": has("fit"),
        "clip": trainer["gradient_clip_val"],
        "deterministic": trainer["deterministic"],
        "matmul": trainer.get("matmul", "highest") != "highest",
        "anomaly": trainer.get("detect_anomaly"),
    }
    template = TEMPLATE.read_text(encoding="utf-8")
    return filled(template, _title(record), values, {word for word, true in holds.items() if true})


def _check(config: Mapping[str, Any]) -> None:
    if is_floor(config["model"]):
        raise UserError(
            f"model={config['model']['name']} is no network: there is no training to write as a "
            "script. gbench train repeats it with the settings of its config.yaml"
        )
    cannot = [
        f"trainer.{key}={value}"
        for key, value in decisive(config)["trainer"].items()
        if key not in (*READ, *ACTED_ON) and value not in (None, *WITHOUT_EFFECT.get(key, ()))
    ]
    if config["trainer"]["select"] not in ("best", "last"):
        cannot.append(f"trainer.select={config['trainer']['select']}")
    if "_target_" in config["batching"]:
        cannot.append(f"batching={config['batching']['name']}")
    if config["data"]["level"] == "link":
        cannot.append(f"data={config['data']['name']}, which is link-level")
    if "num_patches" in config["model"]:  # cut by processes that would run the script again
        cannot.append(f"model={config['model']['name']}, which reads patches")
    if config["model"].get("share", 1) < 1:
        cannot.append(f"model={config['model']['name']}, which draws copies for each batch")
    cannot += [f"{key}, another run" for key in config.get("runs", {})]
    if cannot:
        raise UserError(
            f"gbench export has no words for {'; '.join(cannot)}. The run is repeated exactly by "
            "gbench train with the settings of its config.yaml"
        )


def _title(record: RunRecord) -> str:
    value = metric_text(record.metric, record.test)
    reached = f"seed {record.seed}: test {record.metric} {value}."
    return (
        f"{_plain(f'{record.model} on {record.data}, {reached}')}\n\n"
        f"Written by `gbench export {_plain(record.run)}`.\n"
        "It trains the same model on the same data in the same order, and tests it once.\n"
    )


def _plain(text: str) -> str:
    """Without what could end a docstring, from a record edited by hand."""
    return "".join(c for c in text if c.isprintable() and c not in '"\\')
