"""The arguments of a retry, when some of those of the call are given anew.

What is not given anew stays.  A parameter may have come by its place and be given by its name now, or the
other way round; the new one takes the old one's place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workerd.app.running.request import Request

EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
PLACES = (inspect.Parameter.POSITIONAL_ONLY, EITHER)

Arguments = tuple[Sequence[Any], Mapping[str, Any]]


def changed(
    function: Callable[..., Any],
    request: Request,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
) -> Arguments:
    """The arguments of ``request`` with ``args`` or ``kwargs`` in their place; a wrong type is as given."""
    old_args, old_kwargs = request.args, request.kwargs
    if args is not None and kwargs is not None:
        return args, kwargs
    if args is None and kwargs is None:
        return old_args, old_kwargs
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a callable that does not tell
        return (old_args if args is None else args), (old_kwargs if kwargs is None else kwargs)
    if kwargs is None:
        return _by_place(signature, args, old_kwargs)
    return _by_name(signature, old_args, kwargs)


def _by_place(signature: inspect.Signature, args: Any, old: Mapping[str, Any]) -> Arguments:
    if not isinstance(args, (list, tuple)):
        return args, old  # the call tells what is wrong with it
    places = [parameter for parameter in signature.parameters.values() if parameter.kind in PLACES]
    taken = {parameter.name for parameter in places[: len(args)] if parameter.kind is EITHER}
    return args, {name: value for name, value in old.items() if name not in taken}


def _by_name(signature: inspect.Signature, old: Sequence[Any], kwargs: Any) -> Arguments:
    if not isinstance(kwargs, Mapping):
        return old, kwargs
    places = [parameter for parameter in signature.parameters.values() if parameter.kind in PLACES]
    args, rest = list(old), dict(kwargs)
    for place, parameter in enumerate(places[: len(args)]):
        if parameter.kind is EITHER and parameter.name in rest:
            args[place] = rest.pop(parameter.name)
    return tuple(args), rest
