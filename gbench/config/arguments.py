"""Which arguments of Lightning's Trainer a config may give, and what to type in place of others.

What gbench calls an epoch is not what Lightning calls one (see gbench/train/loader.py), and gbench
validates, logs, keeps weights and stops by itself. An argument that is about these is gbench's own
or refused; one that nobody has decided on is unknown, whatever the Lightning at hand would do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gbench.errors import UserError, unknown

# what gbench reads itself
OWN = frozenset(
    {
        "max_epochs",
        "also",
        "monitor",
        "ties",
        "select",
        "stop",
        "patience",
        "limit_batches",
        "matmul",
        "accumulate_grad_batches",
        "check_val_every_n_epoch",
        "cuda_graphs",
    }
)

# what goes to Lightning by its own name
PASSED = frozenset(
    {
        "accelerator",
        "devices",
        "strategy",
        "precision",
        "gradient_clip_val",
        "gradient_clip_algorithm",
        "deterministic",
        "benchmark",
        "detect_anomaly",
    }
)

_EPOCHS = (
    "count epochs with trainer.max_epochs, and optim.steps_per_epoch says how many steps each has"
)
_EACH_EPOCH = "gbench validates after each epoch, or with check_val_every_n_epoch=N each Nth"
_LIMIT = "trainer.limit_batches=N takes N batches of each part"
_OWN_WAY = "gbench brings its own"

# what is refused: why, or what to type in its place
REFUSED = {
    "limit_train_batches": _LIMIT,
    "limit_val_batches": _LIMIT,
    "limit_test_batches": _LIMIT,
    "limit_predict_batches": _LIMIT,
    "overfit_batches": f"{_LIMIT}, and a dataset of your own can hold few samples",
    "fast_dev_run": "trainer=debug trains two epochs of two batches",
    "min_epochs": "a run ends early by trainer.patience alone: make that longer, or 0",
    "min_steps": _EPOCHS,
    "max_steps": _EPOCHS,
    "max_time": "results shall not depend on a machine's speed: set trainer.max_epochs. A run "
    "that is stopped goes on with gbench resume",
    "val_check_interval": _EACH_EPOCH,
    "num_sanity_val_steps": _EACH_EPOCH,
    "num_nodes": "a run trains on the devices of one machine, trainer.devices=N; a sweep's runs go "
    "to several machines with executor=slurm",
    "sync_batchnorm": "batch norm takes the statistics of each device's share of a batch; "
    "optim.batch_size is over all devices",
    "inference_mode": "gbench evaluates without gradients by itself",
    "use_distributed_sampler": "gbench shares the batches among devices by itself",
    "reload_dataloaders_every_n_epochs": "gbench draws a new order in every epoch by itself",
    "logger": "choose a logger with logger=NAME",
    "log_every_n_steps": "gbench logs once after each epoch",
    "default_root_dir": "runs_dir=FOLDER is where runs lie",
    "callbacks": f"{_OWN_WAY}; a rule of your own is a change of gbench/train/epochs.py",
    "plugins": _OWN_WAY,
    "profiler": "python -m cProfile -m gbench train ... profiles, gbench bench train times",
    "barebones": "gbench's loop is bare already",
    "enable_checkpointing": f"{_OWN_WAY} checkpoints",
    "enable_progress_bar": f"{_OWN_WAY} progress line",
    "enable_model_summary": f"{_OWN_WAY} summary",
    "enable_autolog_hparams": "the logger gets all settings",
    "model_registry": "a run's weights are best.ckpt in its folder",
}


def check_arguments(trainer: Mapping[str, Any]) -> None:
    """Raise UserError for a key of the config's `trainer` that is neither read nor passed on."""
    for name, value in trainer.items():
        if name in REFUSED:
            raise UserError(f"trainer.{name}={value} is not for gbench: {REFUSED[name]}")
        if name not in OWN | PASSED:
            raise unknown("argument of the trainer", name, OWN | PASSED)
    _check_values(trainer)


def check_unlisted(word: str) -> None:
    """Raise UserError for `trainer.KEY=VALUE` if conf/train.yaml has no such key and Lightning has.

    Hydra takes such a word with a plus alone.
    """
    name, _, value = word.partition("=")
    name = name.removeprefix("trainer.")
    if name in REFUSED:
        check_arguments({name: value})
    if name in OWN | PASSED:
        raise UserError(f"{word}: conf/train.yaml does not list it, so write +{word}")


def _check_values(trainer: Mapping[str, Any]) -> None:
    """Values of arguments that have no default in conf/train.yaml to compare them with."""
    for name in ("detect_anomaly", "benchmark"):
        if not isinstance(trainer.get(name, False), bool):
            raise UserError(f"trainer.{name}={trainer[name]}: expected true or false")
    deterministic = trainer.get("deterministic", False)  # Lightning takes any other for true
    if not isinstance(deterministic, bool) and deterministic not in (None, "warn"):
        raise UserError(f"trainer.deterministic={deterministic}: expected true, false or warn")
    value = trainer.get("cuda_graphs", "auto")
    if not isinstance(value, bool) and value not in ("auto", "on", "off"):  # 1 equals True
        raise UserError(f"trainer.cuda_graphs={value}: expected auto, on or off")
    for name in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        count = trainer.get(name, 1)
        if type(count) is not int or count < 1:
            raise UserError(f"trainer.{name}={count}: expected a whole number, 1 or more")
    if "gradient_clip_algorithm" in trainer and not trainer["gradient_clip_val"]:
        raise UserError(
            "trainer.gradient_clip_algorithm has no effect with trainer.gradient_clip_val=0: set "
            "that as well, as in trainer.gradient_clip_val=1"
        )
    strategy = str(trainer.get("strategy", "auto"))
    spawns = strategy.endswith(("spawn", "fork", "notebook"))
    if spawns or not (strategy == "auto" or strategy.startswith("ddp")):
        raise UserError(
            f"trainer.strategy={strategy}: gbench trains a whole copy of the model in each of "
            "several processes that it starts: auto or ddp (ddp_find_unused_parameters_true)"
        )
