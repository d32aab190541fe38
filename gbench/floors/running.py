"""A run of a floor, from a checked config to a record: `train_floor` reads from top to bottom."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console

from gbench import environment, folders
from gbench.build import check_functions, constructed
from gbench.config.compose import Config
from gbench.config.identity import identity
from gbench.data.dataset import Dataset
from gbench.data.load import load
from gbench.data.spec import DataCard
from gbench.data.transforms.transform import transformed
from gbench.errors import UserError
from gbench.floors.answering import Answered, FloorTask
from gbench.floors.floor import Floor
from gbench.floors.shown import Shown
from gbench.folders import written_whole
from gbench.models.needs import FIELDS
from gbench.own_code.importing import own_places
from gbench.own_code.kept import at_hand
from gbench.own_code.stated import imported_versions
from gbench.peak_memory import PeakMemory, whole
from gbench.records import record as records
from gbench.records.folder import CONFIG, RECORD, claimed, config_text, failure_noted
from gbench.train.curve_file import CurveFile
from gbench.train.interrupt import stoppable
from gbench.train.loggers import make_loggers, mirrored
from gbench.train.metrics import score, scores
from gbench.train.monitor import Monitor
from gbench.train.progress import Display
from gbench.train.undefined import told as undefined_told
from gbench.train.undefined import undefined
from gbench.train.unread import NAMES
from gbench.train.unread import told as unread_told

PACKAGES = ("numpy", "scipy", "scikit-learn")  # what floors compute with


def train_floor(
    config: Config, folder: Path, console: Console, display: Display | None = None
) -> records.RunRecord:
    """Try the floor's settings, choose by validation, test once, and leave a record.

    Floors are quick: an interrupted one begins anew. Raises UserError for what the user can mend
    and Interrupted when told to stop.
    """
    started, peaks = datetime.now(UTC), PeakMemory()
    loggers = make_loggers(config, folder)  # first: a server that is not there is told at once
    floor, dataset = build_floor(at_hand(config, folder))
    card, asked = dataset.card, config["trainer"]["also"]
    name = config["model"]["name"]
    shown = Shown.of(dataset, config["seed"])
    for note in (*dataset.notes, *notes(floor, name, dataset, asked), *floor.notes(shown)):
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    candidates = [*floor.candidates(shown)]
    display = display or Display(console, f"{name} · {card.title}", card, 0)
    display.max_epochs, display.step = len(candidates), "setting"

    with claimed(folder), failure_noted(folder), mirrored(loggers, config) as mirror:
        if (folder / RECORD).exists():  # another process finished it since the caller looked
            return records.read(folder / RECORD)
        with written_whole(folder / CONFIG) as file:
            file.write(config_text(config))
        monitor = Monitor("metric", card.direction)
        curve: list[dict[str, float]] = []
        best, chosen, known = 0, candidates[0], None
        tested: FloorTask | None = None
        with display, stoppable():
            display.start()
            for number, candidate in enumerate(candidates):
                begun = time.perf_counter()
                peaks.begin("training")
                task = FloorTask(floor, dataset, candidate.fit())
                peaks.begin("validation")
                row = measured(task.answers_to(task.part("valid")), card, asked)
                row = {"epoch": number, **row, "seconds": time.perf_counter() - begun}
                curve.append(row)
                if tested is None or monitor.is_better(row["valid"], known):
                    best, chosen, tested = number, candidate, task
                    known = None if isnan(row["valid"]) else row["valid"]
                for logger in loggers:
                    told = {"setting": words(candidate.setting)}
                    logged = {**row, **(told if isinstance(logger, CurveFile) else {})}
                    del logged["epoch"]
                    logger.log_metrics(logged, step=number)
                display.epoch(row, curve[best]["valid"], best)

        assert tested is not None
        peaks.begin("test")
        test = measured(tested.answers_to(tested.part("test")), card, asked)
        seconds = [row["seconds"] for row in curve]
        also = {
            metric: {"valid": curve[best][f"valid_{metric}"], "test": test[f"valid_{metric}"]}
            for metric in asked
        }
        peak_memory = peaks.by_phase()
        record = records.RunRecord(
            run=folder.name,
            identity=identity(config),
            seed=config["seed"],
            fold=card.fold,
            num_folds=card.num_folds,
            data=card.title,
            model=name,
            task=card.task,
            split=card.split,
            selection="best-validation",
            metric=card.metric,
            direction=card.direction,
            valid=curve[best]["valid"],
            test=test["valid"],
            also=also,
            best_epoch=best + 1,
            epochs=len(curve),
            num_parameters=0,
            seconds_per_epoch=median(seconds),
            seconds_total=sum(seconds),
            items_per_second=dataset.split.train.numel() / median(seconds),
            item=card.item,
            peak_memory_mib=whole(peak_memory),
            peak_memory_by_phase=peak_memory,
            device=environment.device_name(torch.device("cpu")),
            versions=environment.versions(PACKAGES) | imported_versions(config, own_places()),
            git=environment.git_state(),
            fingerprint=dataset.fingerprint,
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            config=config,
            chosen=chosen.setting,
        )
        mirror.update(
            valid=record.valid,
            test=record.test,
            **{f"{part}_{of}": value for of, told in also.items() for part, value in told.items()},
            best_epoch=record.best_epoch,
            record=record.to_json(),
        )
        records.write(record, folder)  # last: a run is finished when its record is there
    return record


def build_floor(config: Config) -> tuple[Floor, Dataset]:
    """The floor and its dataset, with features as the files have them.

    Raises UserError for what the user can mend.
    """
    card = DataCard.from_config(config["data"])
    cache_dir = folders.cache_dir(config["cache_dir"])
    places = folders.data_dir(config["data_dir"]), cache_dir, config.get("data_source", "")
    check_functions(card, config["trainer"]["also"])
    dataset = transformed(load(card, *places), config["transform"], cache_dir)
    if card.normalize_features and config["transform"]["name"] == "none":
        stored = load(replace(card, normalize_features=False), *places)
        dataset = replace(dataset, store=replace(dataset.store, x=stored.store.x, memo={}))
    spec = replace(dataset.spec, loss=card.loss, metric=card.metric)
    dataset = replace(dataset, spec=spec)
    settings = config["model"]
    floor = constructed(settings, spec)
    if not isinstance(floor, Floor):
        raise UserError(
            f"model {settings['name']}: {settings['_target_']} is a {type(floor).__name__}, and "
            "with `is_network: false` it has to be a gbench.floors.floor.Floor"
        )
    return floor, dataset


def measured(said: Answered, card: DataCard, also: Sequence[str]) -> dict[str, float]:
    """The dataset's metric, and those of trainer.also, as a row of the curve names them."""
    value = score(card, said.logits, said.y)
    others = scores(also, said.logits, said.y)
    return {"valid": value} | {f"valid_{name}": other for name, other in others.items()}


def refitted(record: records.RunRecord, config: Config) -> FloorTask:
    """The setting that a finished run has chosen, fitted anew.

    Raises UserError where the floor has no such setting any more.
    """
    floor, dataset = build_floor(config)
    for candidate in floor.candidates(Shown.of(dataset, config["seed"])):
        if candidate.setting == record.chosen:
            return FloorTask(floor, dataset, candidate.fit())
    raise UserError(
        f"{record.run} chose {words(record.chosen)}, which {record.model} has no more: "
        "gbench train --force runs it again"
    )


def notes(floor: Floor, name: str, dataset: Dataset, also: Sequence[str]) -> list[str]:
    """What the user should know before: what is not read, and what has no value."""
    card, spec, store = dataset.card, dataset.spec, dataset.store
    has = [key for key in NAMES if getattr(spec, FIELDS[key].of_spec)]
    said = unread_told([key for key in has if key not in floor.uses], name, dataset)
    for part in ("valid", "test"):
        for metric in (card.metric, *also):
            reason = undefined(metric, store.y[getattr(dataset.split, part)])
            if reason and part == "valid" and metric == card.metric:
                said.append(
                    f"the validation part has no {metric} ({reason}): no setting is better than "
                    "another, and the first one is tested"
                )
            elif reason:
                said.append(undefined_told(metric, part, reason, ""))
    if card.parts != "disjoint":
        said.append(
            f"data.split={card.split} validates on what it tests, so that the setting of {name} is "
            "chosen by the labels of the test part, as the epoch of a network is"
        )
    return said


def words(setting: Mapping[str, Any]) -> str:
    """A floor's setting in one line: key=neighbours else=majority."""
    return " ".join(f"{key}={value}" for key, value in setting.items())
