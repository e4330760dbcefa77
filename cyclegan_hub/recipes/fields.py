"""What the fields of a recipe may hold: checked by their annotations, and set from text as `--set field=value` gives it.

This module imports no torch, as no module of this room does.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cyclegan_hub.errors import UserError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

AnyRecipe = TypeVar("AnyRecipe", bound="DataclassInstance")


class RecipeError(UserError):
    """A recipe, a field or a value that does not exist or does not fit; the message lists what does."""


def require(holds: bool, name: str, value: Any, rule: str) -> None:
    """Raises RecipeError, with the rule in words, unless it holds."""
    if not holds:
        raise RecipeError(f"{name}={value!r}: must be {rule}")


def check_types(recipe: Any) -> None:
    """Raises RecipeError unless every field holds what its annotation says."""
    for field, kind in _hints(type(recipe)).items():
        _check_type(field, kind, getattr(recipe, field))


def check_all(recipe: Any, names: Sequence[str], holds: Callable[[Any], bool], rule: str) -> None:
    """Raises RecipeError for the first of these fields that breaks the rule."""
    for name in names:
        require(holds(getattr(recipe, name)), name, getattr(recipe, name), rule)


def override(recipe: AnyRecipe, changes: dict[str, str]) -> AnyRecipe:
    """The recipe with some fields set from text, as `--set field=value` gives them.

    "none" is None, lists are separated by commas ("64,128,256"), switches are true or false.
    Raises RecipeError for a field that does not exist, listing those that do, and for a text that is not of its type.
    """
    hints = _hints(type(recipe))
    settable = [f.name for f in fields(recipe) if f.name not in ("name", "domain")]
    values = {}
    for name, text in changes.items():
        if name not in settable:
            raise RecipeError(f"{name!r} is no field of a {type(recipe).__name__}; fields: {', '.join(settable)}")
        if name == "channels" and "," in text:
            raise RecipeError(f"channels={text!r}: both sides are read alike: give 1 (both grey) or 3 (both RGB)")
        values[name] = _parse(name, hints[name], text.strip())
    return replace(recipe, **values)


def _hints(kind: type[DataclassInstance]) -> dict[str, Any]:
    """The annotation of each field, class attributes left out."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _check_type(name: str, kind: Any, value: Any) -> None:
    """Raises RecipeError unless `value` is what the annotation `kind` says."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if value is not None:
            _check_type(name, next(a for a in args if a is not type(None)), value)
    elif origin is Literal:
        require(value in args, name, value, f"one of {', '.join(map(str, args))}")
    elif origin is tuple:
        require(isinstance(value, tuple), name, value, "a tuple")
        for item in value:
            _check_type(name, args[0], item)
    elif kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        require(number and math.isfinite(value), name, value, "a finite number")
    else:
        require(type(value) is kind, name, value, {int: "a whole number", bool: "true or false", str: "a text"}[kind])


def _parse(name: str, kind: Any, text: str) -> Any:
    """`text` as a value of the annotation `kind`."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if text.lower() == "none":
            return None
        return _parse(name, next(a for a in args if a is not type(None)), text)
    if origin is Literal:
        for choice in args:
            if text == str(choice):
                return choice
        raise RecipeError(f"{name}={text!r}: must be one of {', '.join(map(str, args))}")
    if origin is tuple:
        return tuple(_parse(name, args[0], part.strip()) for part in text.split(",") if part.strip())
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise RecipeError(f"{name}={text!r}: must be true or false")
        return text.lower() == "true"
    try:
        return kind(text)
    except ValueError:
        article = {int: "a whole number", float: "a number", str: "a text"}[kind]
        raise RecipeError(f"{name}={text!r}: must be {article}") from None
