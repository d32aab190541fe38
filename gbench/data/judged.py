"""Whether what a dataset's YAML says of loss, metric and direction goes together.

Reads gbench/losses.py and gbench/metrics.py; needs no torch, so that a slip is told before a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from gbench import losses, metrics
from gbench.errors import UserError


def check_judged(data: Mapping[str, Any]) -> None:
    """Raise UserError for a loss or a metric that is not there, or does not fit the labels."""
    for fact in ("loss", "metric"):
        if not isinstance(data[fact], str):
            raise UserError(f"data.{fact}={data[fact]}: expected a name")
    options = data.get("loss_options", {})
    if not isinstance(options, Mapping):
        raise UserError(f"data.loss_options={options}: expected a group of options, name: value")
    try:
        loss = losses.find(data["loss"], data.get("loss_labels", ""))
    except UserError as error:
        raise UserError(f"data.loss={data['loss']}: {error}") from error
    try:
        losses.check_options(loss, options)
    except UserError as error:
        raise UserError(f"data.{error}") from error
    if data["level"] == "link" and loss.labels == "classes":
        fits = [name for kind in ("tasks", "numbers") for name in losses.fitting(kind)]
        raise UserError(
            f"data.loss={loss.name}: it is for classes, and {data['name']} is link-level, for "
            f"which there are {', '.join(fits)}"
        )
    metric = _metric("data.metric", data["metric"], data)
    if data["direction"] not in (allowed := get_args(metrics.Direction)):
        raise UserError(f"data.direction={data['direction']}: allowed is {' or '.join(allowed)}")
    if not metric.is_own and data["direction"] != metric.direction:
        raise UserError(
            f"data.direction={data['direction']}: it would choose the worst {metric.name} for "
            f"{data['name']}: write direction: {metric.direction}, or leave it out"
        )


def check_also(names: Sequence[Any], data: Mapping[str, Any]) -> None:
    """Raise UserError for metrics of `trainer.also` that a dataset's labels cannot be judged by."""
    for place, name in enumerate(names):
        if not isinstance(name, str) or isinstance(names, str):
            raise UserError(f"trainer.also={names}: expected names of metrics, as in [ece,mcc]")
        _metric("trainer.also", name, data)
        if name == data["metric"] or name in names[:place]:
            raise UserError(
                f"trainer.also={name}: it is tracked already"
                + (f", as the metric of {data['name']}" if name == data["metric"] else "")
            )


def with_direction(data: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a dataset, with the direction of its metric where they do not say it."""
    if "direction" in data or not isinstance(data.get("metric"), str):
        return dict(data)
    try:
        metric = metrics.find(data["metric"])
    except UserError:  # told with the other facts
        return dict(data)
    return dict(data) if metric.is_own else {**data, "direction": metric.direction}


def _metric(setting: str, name: str, data: Mapping[str, Any]) -> metrics.Metric:
    try:
        metric = metrics.find(name)
    except UserError as error:
        raise UserError(f"{setting}={name}: {error}") from error
    loss = losses.find(data["loss"], data.get("loss_labels", ""))
    labels: metrics.Labels = "links" if data["level"] == "link" else loss.labels
    if labels not in metric.labels:
        found = "links" if labels == "links" else f"those of loss {loss.name}, {labels}"
        raise UserError(
            f"{setting}={name}: it is for {' or '.join(metric.labels)}, and the labels of "
            f"{data['name']} are {found}, for which there are {', '.join(metrics.fitting(labels))}"
        )
    return metric
