"""What the settings of a protocol ask of each other: who reads a setting, and what a rule needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from gbench.errors import UserError
from gbench.limits import Interval, OneOf
from gbench.schedules import readers

# setting: the one that decides whether it is read, and the words with which it is
_READ_BY = {
    "optim.momentum": ("optim.optimizer", ("asam",)),
    "optim.rho": ("optim.optimizer", ("asam",)),
    "optim.eta": ("optim.optimizer", ("asam",)),
    "optim.min_lr": ("optim.schedule", ("plateau", "cosine")),
    **{
        f"optim.{name}": ("optim.schedule", readers(name))
        for name in ("lr_factor", "lr_every", "lr_patience", "plateau_on")
    },
}

# of one-cycle alone: a schedule of the user's own may mean something else by these
_CYCLE: dict[str, Interval | OneOf] = {
    "pct_start": Interval(0, 1),
    "div_factor": Interval(0, low_open=True),
    "final_div_factor": Interval(0, low_open=True),
    "anneal_strategy": OneOf(("cos", "linear")),
}


def check_typed(typed: Iterable[str], flat: Mapping[str, Any]) -> None:
    """Raise UserError for a setting that was typed and that nothing will read.

    `flat` is the whole config by dotted names.
    """
    for key in typed:
        error = _unread(key, flat)
        if error is not None:
            raise error
        if key == "optim.decay_of_others" and not flat["optim.decay_prefix"]:
            raise UserError(
                f"{key} has no effect without optim.decay_prefix: optim.weight_decay is for all "
                "parameters"
            )
        if key == "trainer.stop" and not flat["trainer.patience"] and "." not in flat[key]:
            raise UserError(
                f"trainer.stop={flat[key]} has no effect with trainer.patience=0, by which "
                "all epochs are run: leave it out, or say after how many, as in "
                "trainer.patience=100"
            )


def unread(key: str, given: Mapping[str, Any], usual: Mapping[str, Any]) -> UserError | None:
    """What is wrong with a setting of `optim` in a file whose own words leave it unread.

    `given` is what the file sets in `optim`; what it repeats of the usual values is no matter, but
    beside an optimizer of its choice, which may have an argument of that name that no option sets.
    """
    name = key.rpartition(".")[2]
    decider = _READ_BY.get(key, ("", ()))[0].rpartition(".")[2]
    if decider not in given:
        return None
    chooses = decider == "optimizer" and given[decider] != usual[decider]
    is_meant = chooses and name not in (given.get("options") or {})
    if given[name] == usual[name] and not is_meant:
        return None
    return _unread(key, {f"optim.{said}": value for said, value in given.items()})


def _unread(key: str, flat: Mapping[str, Any]) -> UserError | None:
    decider, words = _READ_BY.get(key, ("", ()))
    if not decider or flat[decider] in words:
        return None
    if decider == "optim.schedule" and "." in flat[decider]:  # it asks for what it reads
        return None
    if decider == "optim.optimizer" and flat[decider] != "adam":
        option = key.replace("optim.", "optim.options.")
        return UserError(
            f"{key} is of optim.optimizer=asam alone: what {flat[decider]} takes by this "
            f"name is {option}={flat[key]}"
        )
    return UserError(
        f"{key} has no effect with {decider}={flat[decider]}: leave it out, or add "
        f"{' or '.join(f'{decider}={word}' for word in words)}"
    )


def check_protocol(flat: Mapping[str, Any]) -> None:
    """Raise UserError for rules that do not go together, or not with the data."""
    name, level = flat["data.name"], flat["data.level"]
    is_one = level == "node" and flat.get("data.statistics.num_graphs", 1) == 1
    is_one_batch = is_one and "batching._target_" not in flat
    if flat["trainer.select"] == "best-mean-epoch":
        _check_best_mean_epoch(flat)
    if flat["optim.optimizer"] == "asam" and flat["trainer.precision"] == "16-mixed":
        raise UserError(
            "optim.optimizer=asam computes two gradients in a step, which the scaling of "
            "trainer.precision=16-mixed does not allow: take bf16-mixed or 32-true"
        )
    if flat["optim.optimizer"] == "asam" and flat.get("trainer.accumulate_grad_batches", 1) != 1:
        raise UserError(
            "optim.optimizer=asam computes two gradients of one batch in a step: leave out "
            "trainer.accumulate_grad_batches"
        )
    if flat.get("trainer.accumulate_grad_batches", 1) != 1 and is_one_batch:
        raise UserError(
            f"trainer.accumulate_grad_batches has no effect: {name} is one graph, and an epoch of "
            "it is one batch. Leave it out, or take batching=neighbours"
        )
    if flat.get("trainer.check_val_every_n_epoch", 1) != 1:
        _check_validated_now_and_then(flat)
    _check_warmup(flat)
    _check_cycle(flat)
    if flat["optim.steps_per_epoch"] and is_one:
        raise UserError(
            "optim.steps_per_epoch counts batches drawn from many graphs or links, and "
            f"{name} is node-level: leave it at 0"
        )


def _check_warmup(flat: Mapping[str, Any]) -> None:
    epochs, steps = flat["optim.warmup_epochs"], flat["optim.warmup_steps"]
    if epochs and steps:
        raise UserError(
            f"optim.warmup_epochs={epochs:g} and optim.warmup_steps={steps} are one length, said "
            "twice: set one of them to 0"
        )
    if epochs >= flat["trainer.max_epochs"]:
        raise UserError(
            f"optim.warmup_epochs={epochs:g} takes the whole run: trainer.max_epochs="
            f"{flat['trainer.max_epochs']}. Set optim.warmup_epochs=0, or a number below it"
        )


def _check_cycle(flat: Mapping[str, Any]) -> None:
    for name, allowed in _CYCLE.items():
        key = f"optim.schedule_options.{name}"
        if flat["optim.schedule"] == "one-cycle" and key in flat and flat[key] not in allowed:
            raise UserError(f"{key}={flat[key]}: allowed is {allowed}")


def _check_validated_now_and_then(flat: Mapping[str, Any]) -> None:
    windows = flat["trainer.stop"] in ("window", "late-window") and flat["trainer.patience"]
    readers = {
        f"trainer.stop={flat['trainer.stop']}": windows,
        "optim.schedule=plateau": flat["optim.schedule"] == "plateau",
        "trainer.select=best-mean-epoch": flat["trainer.select"] == "best-mean-epoch",
    }
    for reader, is_there in readers.items():
        if is_there:
            raise UserError(
                f"{reader} reads the validation of every epoch: leave out "
                "trainer.check_val_every_n_epoch"
            )


def _check_best_mean_epoch(flat: Mapping[str, Any]) -> None:
    wanted = "trainer.select=best-mean-epoch"
    if flat.get("data.parts") != "valid-is-test":
        raise UserError(
            f"{wanted} chooses the epoch on the test part, which data.split={flat['data.split']} "
            f"of {flat['data.name']} keeps from all choices: take a split that says "
            "selects-on-test, or trainer.select=best"
        )
    own = "." in flat["trainer.stop"]
    if flat["trainer.patience"] or own or flat["optim.schedule"] == "plateau":
        raise UserError(
            f"{wanted} compares all runs epoch by epoch, so that all must run as long: "
            "set trainer.patience=0, no trainer.stop of your own and no optim.schedule=plateau"
        )
