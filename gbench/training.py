"""One run, from a checked config to a record: `train` reads from top to bottom."""

from __future__ import annotations

from datetime import UTC, datetime
from math import nan
from pathlib import Path

from rich.console import Console

from gbench import environment, heap
from gbench.build import build_task
from gbench.config.compose import Config
from gbench.config.floors import is_floor
from gbench.config.identity import identity
from gbench.floors.running import train_floor
from gbench.folders import written_whole
from gbench.kernels.cpu import ways
from gbench.own_code.importing import own_places
from gbench.own_code.kept import at_hand
from gbench.own_code.stated import imported_versions
from gbench.peak_memory import PeakMemory, whole
from gbench.records import record as records
from gbench.records.folder import (
    BEST,
    CONFIG,
    LAST,
    RECORD,
    claimed,
    config_text,
    failure_noted,
)
from gbench.teaching import begin_from, keep, taught
from gbench.train.checkpoint import save_weights
from gbench.train.epochs import Epochs
from gbench.train.interrupt import stoppable
from gbench.train.loggers import make_loggers, mirrored
from gbench.train.matmul import matmul_precision
from gbench.train.metrics import score, scores
from gbench.train.progress import Display
from gbench.train.rounds import Rounds
from gbench.train.shortage import advised
from gbench.train.threads import as_fed
from gbench.train.trainer import make_trainer
from gbench.train.unread import unread

# how a record calls what trainer.select says
SELECTIONS: dict[str, records.Selection] = {
    "best": "best-validation",
    "last": "last-epoch",
    "best-mean-epoch": "best-mean-epoch",
}


def train(
    config: Config, folder: Path, console: Console, display: Display | None = None
) -> records.RunRecord | None:
    """Train, choose weights by validation, test once, and leave a record in the run's folder.

    Continues from the folder's last checkpoint if an earlier attempt was interrupted. Returns None
    in the helping processes of a multi-device run. Raises UserError for what the user can mend and
    Interrupted when told to stop.
    """
    if is_floor(config["model"]):
        return train_floor(config, folder, console, display)
    started, peaks = datetime.now(UTC), PeakMemory()
    ways.begin()
    settings = config["trainer"]
    loggers = make_loggers(config, folder)  # first: a server that is not there is told at once
    with advised(folder):
        teaching = taught(config, folder)
        task = build_task(at_hand(config, folder), teaching)
    card, limit = task.dataset.card, settings["limit_batches"]
    asked = settings.get("also", ())
    left = unread(task.model, config["model"]["name"], task.dataset, task.source)
    for note in (*task.dataset.notes, *left, *task.undefined(settings["monitor"], asked)):
        console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    last = folder / LAST
    if not last.exists():
        for note in begin_from(task, config):
            console.print(f"note: {note}", style="yellow", markup=False, soft_wrap=True)
    title = f"{config['model']['name']} · {card.title}"
    display = display or Display(console, title, card, settings["max_epochs"])
    epochs = Epochs(config, card, last_checkpoint=last, display=display, peaks=peaks)
    rounds = Rounds(epochs, settings)
    trainer = make_trainer(settings, [epochs, rounds], loggers)
    task.is_resumed = last.exists()

    with (
        claimed(folder),
        failure_noted(folder),
        advised(folder),
        matmul_precision(settings),
        as_fed(task),
        heap.kept(),
        mirrored(loggers, config) as mirror,
    ):
        if (folder / RECORD).exists():  # another process finished it since the caller looked
            return records.read(folder / RECORD)
        with written_whole(folder / CONFIG) as file:
            file.write(config_text(config))
        keep(teaching, config, folder)
        with display, stoppable():
            trainer.fit(task, ckpt_path=last if last.exists() else None, weights_only=True)

        peaks.begin("test")
        select = settings["select"]
        if select == "best" and not epochs.best_weights:  # no epoch's value was a number
            select = "last"
        if select == "best":
            task.model.load_state_dict(epochs.best_weights)
        task.to(trainer.strategy.root_device)
        logits, y = task.answers("test", trainer.precision_plugin.val_step_context())
        test, others = score(card, logits, y), scores(asked, logits, y)
        if trainer.global_rank != 0:
            return None
        tested = epochs.best_epoch if select == "best" else len(epochs.curve) - 1
        assert task.batches is not None
        also = {
            name: {"valid": epochs.curve[tested].get(f"valid_{name}", nan), "test": value}
            for name, value in others.items()
        }
        peak_memory = peaks.by_phase()
        record = records.RunRecord(
            run=folder.name,
            identity=identity(config),
            seed=config["seed"],
            fold=card.fold,
            num_folds=card.num_folds,
            data=card.title,
            model=config["model"]["name"],
            task=card.task,
            split=card.split if not limit else f"{card.split}, {limit} batches of each part",
            selection=SELECTIONS[select],
            metric=card.metric,
            direction=card.direction,
            valid=epochs.curve[tested]["valid"],
            test=test,
            also=also,
            best_epoch=tested + 1,
            epochs=len(epochs.curve),
            num_parameters=sum(p.numel() for p in task.model.parameters()),
            seconds_per_epoch=epochs.seconds_per_epoch,
            seconds_total=sum(row["seconds"] for row in epochs.curve),
            items_per_second=task.batches.items_per_epoch / epochs.train_seconds_per_epoch,
            item=card.item,
            peak_memory_mib=whole(peak_memory),
            peak_memory_by_phase=peak_memory,
            dense_products=ways.used(),
            device=environment.device_name(task.device),
            versions=environment.versions() | imported_versions(config, own_places()),
            git=environment.git_state(),
            fingerprint=task.dataset.fingerprint,
            started=started.isoformat(timespec="seconds"),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            config=config,
            curve=[row["valid"] for row in epochs.curve] if select == "best-mean-epoch" else [],
            trials=config.get("trials", 1),  # older configs do not say
            captured=rounds.is_captured,
            statistics=dict(task.dataset.spec.statistics),
        )
        save_weights(task.model.state_dict(), folder / BEST)
        mirror.update(
            valid=record.valid,
            test=test,
            **{f"{part}_{name}": also[name][part] for name in also for part in also[name]},
            best_epoch=record.best_epoch,
            record=record.to_json(),
        )
        records.write(record, folder)  # last: a run is finished when its record is there
        last.unlink(missing_ok=True)
    return record
