"""Methods that a model may have besides `forward`: `loss`, `fit`, `parameter_groups`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from gbench import folders
from gbench.errors import UserError
from gbench.models.link_predictor import LinkPredictor


def model_of(model: nn.Module) -> Any:
    """The model itself, where a link predictor stands around it."""
    return model.encoder if isinstance(model, LinkPredictor) else model


def own_method(model: nn.Module, name: str, *arguments: str) -> Callable[..., Any] | None:
    """The method `name` that the model's class has, or the model within a link predictor has.

    An attribute that is no method of the class, as a layer called `loss`, is none. Raises UserError
    for a method that cannot be called with the arguments.
    """
    model = model_of(model)
    function = inspect.getattr_static(type(model), name, None)
    if not inspect.isfunction(function):
        return None
    method: Callable[..., Any] = getattr(model, name)
    try:
        inspect.signature(method).bind(*(None for _ in arguments))
    except TypeError as error:
        words = ", ".join(("self", *arguments))
        raise UserError(f"{place(method)}: {error}; it is called as {name}({words})") from error
    return method


def place(method: Callable[..., Any]) -> str:
    """`MyModel.loss (mine/mymodel.py, line 12)`."""
    try:
        file, line = inspect.getsourcefile(method), inspect.getsourcelines(method)[1]
    except (TypeError, OSError):
        return method.__qualname__
    return f"{method.__qualname__} ({folders.near(file or '')}, line {line})"
