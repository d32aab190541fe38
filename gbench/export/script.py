"""A finished run as one Python script: data, model, order, rules and test, with nothing hidden.

The script imports gbench's loaders, models, losses and metrics, and says the rest itself. On a CPU
with as many threads as the run had it reaches the recorded metric bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gbench.config.identity import decisive
from gbench.errors import UserError
from gbench.export import script_training as training
from gbench.export.script_literal import literal
from gbench.export.script_own import own_code, standard_imports, with_kept_files
from gbench.figures import metric_text
from gbench.records.record import RunRecord

# Settings that the script acts on, with the values that it can act on where these are not all.
_KNOWN: dict[str, dict[str, tuple[Any, ...]]] = {
    "trainer": {
        "max_epochs": (),
        "monitor": (),
        "ties": (),
        "select": ("best", "last"),
        "stop": ("patience", "window", "late-window"),
        "patience": (),
        "limit_batches": (0,),
        "accelerator": (),
        "devices": (1, "auto"),
        "strategy": ("auto",),
        "precision": ("32-true",),
        "gradient_clip_val": (),
        "deterministic": (),
        "detect_anomaly": (),
    },
    "optim": {
        "optimizer": ("adam",),
        "lr": (),
        "momentum": (),
        "rho": (),
        "eta": (),
        "weight_decay": (),
        "decay_prefix": (),
        "decay_of_others": (),
        "schedule": ("constant", "step", "plateau", "cosine"),
        "plateau_on": (),
        "lr_factor": (),
        "lr_every": (),
        "lr_patience": (),
        "min_lr": (),
        "batch_size": (),
        "steps_per_epoch": (),
    },
}


def script(record: RunRecord, config: Mapping[str, Any], folder: Path) -> str:
    """The script's text; `folder` is the run's, which keeps the code of the user's own.

    Raises UserError for what it has no words for: parts of a big graph, links, patches, several
    devices, mixed precision, another optimizer than Adam, an epoch chosen over several runs.
    """
    _check(config)
    config = with_kept_files(config, folder)
    data, model, encoding = config["data"], config["model"], config["encoding"]
    optim, trainer = config["optim"], config["trainer"]
    lines = [
        *_head(record, config, folder),
        f"SEED = {config['seed']}",
        f"DATA = {literal(data)}",
        *([f"ENCODING = {literal(encoding)}"] if "_target_" in encoding else []),
        *([f"OPTIM = {literal(optim)}"] if optim["schedule"] != "constant" else []),
        "",
        *_dataset(config),
        "",
        "random.seed(SEED)",
        "numpy.random.seed(SEED)",
        "torch.manual_seed(SEED)",
        *_model(model),
        *training.optimizer(optim),
        "",
        "",
        *training.order(data, optim, encoding),
        "",
        "",
        *training.EVALUATION.splitlines(),
        "",
        "",
        *training.loop(optim, trainer, data),
        "",
        *_test(record, trainer),
    ]
    return "\n".join(lines) + "\n"


def _check(config: Mapping[str, Any]) -> None:
    cannot = []
    for section, known in _KNOWN.items():
        for key, value in decisive(config)[section].items():
            allowed = known.get(key, (None,))
            if allowed and value not in allowed:
                cannot.append(f"{section}.{key}={value}")
    if "_target_" in config["batching"]:
        cannot.append(f"batching={config['batching']['name']}")
    if config["data"]["level"] == "link":
        cannot.append(f"data={config['data']['name']}, which is link-level")
    if "num_patches" in config["model"]:
        cannot.append(f"model={config['model']['name']}, which reads patches")
    target = config["model"]["_target_"]
    if not all(part.isidentifier() for part in target.split(".")):
        cannot.append(f"model._target_={target}")
    if cannot:
        raise UserError(
            f"gbench export has no words for {'; '.join(cannot)}. The run is repeated exactly by "
            "gbench train with the settings of its config.yaml"
        )


def _head(record: RunRecord, config: Mapping[str, Any], folder: Path) -> list[str]:
    value = metric_text(record.metric, record.test)
    title = f"{record.model} on {record.data}, seed {record.seed}: test {record.metric} {value}."
    return [
        f'"""{_plain(title)}',
        "",
        f"Written by `gbench export {_plain(record.run)}`.",
        "It trains the same model on the same data in the same order, and tests it once.",
        '"""',
        "",
        *_imports(config, folder),
        "",
    ]


def _imports(config: Mapping[str, Any], folder: Path) -> list[str]:
    optim, trainer, encoding = config["optim"], config["trainer"], config["encoding"]
    module, _, name = config["model"]["_target_"].rpartition(".")
    model, own = f"from {module} import {name}", own_code(config, folder)
    standard = ["import random", *standard_imports(config)]
    ours = [
        "from gbench import folders",
        "from gbench.data.load import load",
        "from gbench.data.spec import DataCard",
        "from gbench.train.losses import loss_of",
        "from gbench.train.metrics import score",
    ]
    if training.keeps_best(trainer):
        standard.append("import math")
    if not own:
        ours.append(model)
    if "_target_" in encoding:
        names = "encoded, with_random_signs" if encoding.get("random_signs") else "encoded"
        ours.append(f"from gbench.data.encodings.encode import {names}")
    if trainer["monitor"] == "objective":
        ours.append("from gbench.train.optimizer import decay_penalty")
    if optim["schedule"] != "constant":
        ours.append("from gbench.train.schedule import Schedule")
    return [
        *sorted(standard),
        *(["from statistics import fmean"] if "window" in training.stop(trainer) else []),
        "",
        "import numpy",
        "import torch",
        "",
        *sorted(ours),
        *([*own, model] if own else []),
    ]


def _plain(text: str) -> str:
    """Without what could end a docstring, from a record edited by hand."""
    return "".join(c for c in text if c.isprintable() and c not in '"\\{}')


def _dataset(config: Mapping[str, Any]) -> list[str]:
    data_dir, cache_dir, source = (config[k] for k in ("data_dir", "cache_dir", "data_source"))
    device = {"cpu": '"cpu"', "gpu": '"cuda"', "cuda": '"cuda"'}.get(
        config["trainer"]["accelerator"], '"cuda" if torch.cuda.is_available() else "cpu"'
    )
    place = f", {literal(source)}" if source else ""
    lines = [
        *(
            ["torch.use_deterministic_algorithms(True)"]
            if config["trainer"]["deterministic"]
            else []
        ),
        f"device = torch.device({device})",
        "card = DataCard.from_config(DATA)",
        f"cache_dir = folders.cache_dir({literal(cache_dir)})",
        f"dataset = load(card, folders.data_dir({literal(data_dir)}), cache_dir{place})",
    ]
    if "_target_" in config["encoding"]:
        lines.append("dataset = encoded(dataset, ENCODING, cache_dir)")
    if "loss_options" in config["data"]:
        lines.append("card = dataset.card  # with the weights of its training classes")
    return [*lines, "dataset = dataset.to(device)"]


def _model(model: Mapping[str, Any]) -> list[str]:
    name = model["_target_"].rpartition(".")[2]
    settings = {k: v for k, v in model.items() if k not in ("name", "_target_", "levels")}
    arguments = (f"    {key}={literal(value)}," for key, value in settings.items())
    return [f"model = {name}(", "    dataset.spec,", *arguments, ").to(device)"]


def _test(record: RunRecord, trainer: Mapping[str, Any]) -> list[str]:
    chosen = (
        ["if best_weights is not None:", "    model.load_state_dict(best_weights)"]
        if trainer["select"] == "best"
        else []
    )
    return [
        *chosen,
        "test = score(card, *predict(dataset.split.test))",
        f'print(f"{record.epochs} epochs in the run, {{len(curve)}} here")',
        f'print(f"test {_plain(record.metric)} {record.test} in the run, {{test}} here")',
    ]
