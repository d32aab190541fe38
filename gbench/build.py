"""From a config to the things that train: dataset, model and task."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.pytorch import seed_everything
from torch import nn

from gbench import folders
from gbench.config.compose import Config
from gbench.data.bag_memory import bagged
from gbench.data.dataset import Dataset
from gbench.data.encodings.encode import encoded
from gbench.data.load import load
from gbench.data.pair_memory import with_pairs_told
from gbench.data.patches.patching import patched
from gbench.data.spec import DataCard, DataSpec
from gbench.data.statistics import asked, with_statistics
from gbench.data.taught import Taught, with_teacher
from gbench.data.transforms.transform import transformed
from gbench.errors import UserError, unknown
from gbench.limits import check_limits
from gbench.locate import locate
from gbench.metrics import is_dotted
from gbench.models.edge_weights import check_weights
from gbench.models.link_predictor import LinkPredictor
from gbench.models.needs import check_needs, reads
from gbench.named_runs import is_run
from gbench.train.labelled_graphs import LabelledGraphs
from gbench.train.layerwise import layer_wise
from gbench.train.optimizer import optimizer_class
from gbench.train.parts import Cutter
from gbench.train.schedule import Schedule
from gbench.train.sources import Graphs, Pairs, Parts, Source, WholeGraph
from gbench.train.stopping import Stopping
from gbench.train.task import Task

NOT_HYPERPARAMETERS = ("name", "_target_", "levels", "is_network")


def build_task(config: Config, teaching: Taught | None = None) -> Task:
    """The dataset, loaded; the model, initialised from the seed; both in one task.

    `teaching` is what the run's teacher says (see gbench/teaching.py). Raises UserError for what
    the user can mend.
    """
    card = DataCard.from_config(config["data"])
    cache_dir = folders.cache_dir(config["cache_dir"])
    data_dir, source = folders.data_dir(config["data_dir"]), config.get("data_source", "")
    # what is wrong with these is told before data is loaded
    optimizer_class(config["optim"])
    Schedule.from_config(config["optim"], config["trainer"]["max_epochs"], card.direction)
    Stopping.from_config(config["trainer"])
    check_functions(card, config["trainer"].get("also", ()))
    dataset = laid_out(load(card, data_dir, cache_dir, source), config, cache_dir)
    if teaching is not None:
        dataset = with_teacher(dataset, teaching)
    dataset = described(dataset, config["model"])
    kind = locate(config["model"]["_target_"])
    check_needs(kind, config["model"]["name"], card.title, dataset.spec)
    seed_everything(config["seed"], verbose=False)
    if card.level == "link" and "predictor" in config:  # else the model answers pairs itself
        predictor = config["predictor"]
        spec = replace(dataset.spec, level="node", num_outputs=predictor["hidden_dim"])
        model: nn.Module = LinkPredictor(build_model(config["model"], spec), **predictor)
    else:
        model = build_model(config["model"], dataset.spec)
    check_weights(model, config["model"]["name"], dataset)
    if teaching is not None and not reads(model, "teacher"):
        raise UserError(
            f"{teaching.other.setting}: model {config['model']['name']} has no use for a teacher; "
            'a model of your own that reads batch.teacher says uses = ("teacher",) in its class'
        )
    return task_of(model, dataset, config, cache_dir)


def laid_out(dataset: Dataset, config: Config, cache_dir: Path) -> Dataset:
    """The dataset after the transforms of the config, and with its encodings.

    Raises UserError as these do.
    """
    dataset = transformed(dataset, config["transform"], cache_dir)
    return encoded(dataset, config["encoding"], cache_dir)


def task_of(model: nn.Module, dataset: Dataset, config: Config, cache_dir: Path) -> Task:
    """A model and a dataset, with what the model asks for in its batches, in one task."""
    dataset = with_pairs_told(dataset, config["optim"]["batch_size"])
    patching = getattr(model, "patching", None)  # of a model that reads batch.patches
    if patching is not None:
        dataset = patched(dataset, patching, cache_dir)
    bagging = getattr(model, "bagging", None)  # of a model that reads batch.bag
    if bagging is not None:
        dataset = bagged(dataset, bagging, config["optim"]["batch_size"])
    return Task(
        model,
        dataset,
        config["optim"],
        build_source(config, dataset, model, cache_dir),
        seed=config["seed"],
        limit=config["trainer"]["limit_batches"],
        accumulate=config["trainer"].get("accumulate_grad_batches", 1),
    )


def described(dataset: Dataset, settings: Mapping[str, Any]) -> Dataset:
    """The dataset with all in its spec that a model of these settings is built from.

    That is the loss, the metric, and the statistics of the training part that its class asks for.
    Raises UserError as `with_statistics` does.
    """
    card = dataset.card
    spec = replace(dataset.spec, loss=card.loss, metric=card.metric)
    names = asked(locate(settings["_target_"]))
    return with_statistics(replace(dataset, spec=spec), names)


def check_functions(card: DataCard, also: Sequence[str]) -> None:
    """Raise UserError for a metric or loss of the user's own that is not there, or takes others."""
    asked = [("metric", card.metric), ("loss", card.loss), *(("trainer.also", n) for n in also)]
    for setting, name in asked:
        if is_dotted(name):
            options = card.loss_options if setting == "loss" else {}
            signature = inspect.signature(locate(name, setting))
            try:
                signature.bind(None, None, **options)
            except TypeError as error:
                words = ["logits", "y", *(f"{key}={value}" for key, value in options.items())]
                said = f"{setting}: {name} is called with ({', '.join(words)}): {error}"
                raise UserError(said) from error


def build_source(config: Config, dataset: Dataset, model: nn.Module, cache_dir: Path) -> Source:
    """Where the task's batches come from. Raises UserError as `build_cutter` does."""
    if "_target_" in config["batching"]:
        kind: Any = locate(config["batching"]["_target_"])
        if isinstance(kind, type) and issubclass(kind, Source):  # it makes batches by itself
            options = {k: v for k, v in config["batching"].items() if k not in NOT_HYPERPARAMETERS}
            made: Source = locate(config["batching"]["_target_"])(dataset, **options)
            return made
        cutter = build_cutter(config, dataset, model, cache_dir)
        return Parts(cutter, config["batching"]["workers"])
    rules = (config["optim"]["batch_size"], config["optim"]["steps_per_epoch"])
    if dataset.spec.level == "node":
        is_one = dataset.store.num_graphs == 1
        return WholeGraph() if is_one else LabelledGraphs.of(dataset, *rules)
    return (Graphs if dataset.spec.level == "graph" else Pairs)(*rules)


def build_cutter(config: Config, dataset: Dataset, model: nn.Module, cache_dir: Path) -> Cutter:
    """What cuts the one graph into batches.

    Raises UserError for a model or a dataset that cannot be trained on parts of a graph.
    """
    settings = config["batching"]
    spec = dataset.spec
    if dataset.store.num_graphs > 1:
        raise UserError(
            f"batching={settings['name']} cuts one graph into batches, and {dataset.card.name} has "
            f"{dataset.store.num_graphs}: take batching=full, whose batches are optim.batch_size "
            "graphs"
        )
    if spec.edge_categories is not None or spec.edge_dim or spec.has_edge_weight:
        what = "edge weights" if spec.has_edge_weight else "edge features"
        raise UserError(
            f"batching={settings['name']}: {dataset.card.name} has {what}, and only "
            "batching=full knows what to do with them"
        )
    steps = layer_wise(model, config["model"]["name"]).steps()
    reach = max(1, len(steps))  # a part has a graph, even where no layer looks at it
    options = {k: v for k, v in settings.items() if k not in (*NOT_HYPERPARAMETERS, "workers")}
    cutter: Cutter = locate(settings["_target_"])(dataset, reach, cache_dir, **options)
    return cutter


def build_model(settings: Mapping[str, Any], spec: DataSpec) -> nn.Module:
    """The model of these settings. Raises UserError as `constructed` does, and for what is none."""
    model = constructed(settings, spec)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"model {settings['name']}: {settings['_target_']} returned {type(model).__name__}, "
            "which is no torch.nn.Module"
        )
    _check_trainable(model, settings)
    return model


def constructed(settings: Mapping[str, Any], spec: DataSpec) -> Any:
    """`_target_(spec, **hyperparameters)`, each one of its own and within gbench/limits.py.

    The limits are those of the parameter's name, whoever wrote the model. Raises UserError.
    """
    target = locate(settings["_target_"])
    hyperparameters = {k: v for k, v in settings.items() if k not in NOT_HYPERPARAMETERS}
    legal = inspect.signature(target).parameters
    if is_run("model.teacher", settings.get("teacher")) and "teacher" not in legal:
        del hyperparameters["teacher"]  # its answers come with the batch
    first = next(iter(legal.values()), None)
    if first is None or first.kind in (first.KEYWORD_ONLY, first.VAR_KEYWORD):
        raise UserError(
            f"model {settings['name']}: {settings['_target_']} has no place for what is known of "
            "the data, its first argument: def __init__(self, spec, *, ...)"
        )
    if not any(p.kind is p.VAR_KEYWORD for p in legal.values()):
        for name in hyperparameters:
            if name not in legal:
                raise unknown(f"setting of model {settings['name']}", name, [*legal][1:])
        for name, parameter in [*legal.items()][1:]:
            if parameter.default is parameter.empty and name not in hyperparameters:
                raise UserError(f"model {settings['name']} needs model.{name}: its YAML has none")
    check_limits({f"model.{name}": value for name, value in hyperparameters.items()})
    return target(spec, **hyperparameters)


def _check_trainable(model: nn.Module, settings: Mapping[str, Any]) -> None:
    """Raise UserError without a parameter, or without a `forward` that takes one batch."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UserError(f"model {settings['name']}: {settings['_target_']} has nothing to train")
    if type(model).forward is nn.Module.forward:
        raise UserError(
            f"model {settings['name']}: {settings['_target_']} has no method forward: "
            "def forward(self, batch)"
        )
    try:
        inspect.signature(model.forward).bind(None)
    except TypeError as error:
        raise UserError(
            f"model {settings['name']}: {settings['_target_']}.forward is called with one "
            f"argument, the batch ({error}): def forward(self, batch)"
        ) from error
