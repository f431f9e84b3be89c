"""The settings as a JSON Schema, for editors that check a TOML file while it is written.

It knows what kinds of values a setting takes and says what each means, in the words of the model.  What it
lets pass is still read by ``load``, which is stricter.

Source: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import Any

import msgspec

from workerd.config.model import SECRET, URLS, Config, PoolConfig
from workerd.config.parsers import PARSERS
from workerd.config.periodic import KEYS as PERIODIC
from workerd.config.periodic import SCHEDULE

_TEXT = {"type": "string"}
_NUMBER = {"type": "number", "minimum": 0}
_TEXTS = {"type": "array", "items": _TEXT}
_SPELT: dict[str, list[dict[str, Any]]] = {
    "parse_size": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\s*\d+(-\d+)?\s*$"}],
    "parse_flag": [{"type": "boolean"}],
    "parse_text": [_TEXT, {"type": "integer", "minimum": 0}],
}
"""How what these parsers read is written; what others read is a number or a text with a unit."""

_ELSEWHERE = {
    "type": "object",
    "properties": {"file": _TEXT, "credential": _TEXT},
    "minProperties": 1,
    "maxProperties": 1,
    "additionalProperties": False,
}


def schema() -> dict[str, Any]:
    """The schema of a settings file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of a workerd daemon",
        **_table(Config),
    }


def _table(model: type[msgspec.Struct], prefix: str = "") -> dict[str, Any]:
    told = _meanings(model)
    found = {}
    for field in msgspec.structs.fields(model):
        key = f"{prefix}{field.name}"
        if field.name == "pools":
            value: dict[str, Any] = {"type": "object", "additionalProperties": _table(PoolConfig)}
        elif isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            value = _table(field.type, f"{key}.")
        else:
            value = _value(key, field.type)
        found[field.name] = {"description": told[field.name], **value} if field.name in told else value
    return {"type": "object", "properties": found, "additionalProperties": False}


def _value(key: str, kind: Any) -> dict[str, Any]:
    if key == SCHEDULE:
        row = {"type": "object", "properties": {name: {} for name in PERIODIC}, "required": ["task"]}
        return {"type": "object", "additionalProperties": {**row, "additionalProperties": False}}
    ways = [*_ways(key, kind), *([_ELSEWHERE] if key in SECRET | URLS else [])]
    return ways[0] if len(ways) == 1 else {"anyOf": ways}


def _ways(key: str, kind: Any) -> list[dict[str, Any]]:
    if kind is str and key not in PARSERS:
        return [_TEXT]
    spelt = msgspec.json.schema(kind)
    if "enum" in spelt:
        return [{"enum": spelt["enum"]}]
    if kind == tuple[str, ...]:
        return [_TEXTS, _TEXT]
    parser = PARSERS.get(key)
    if parser is not None and parser.__name__ in _SPELT:
        return _SPELT[parser.__name__]
    return [_NUMBER, _TEXT] if parser is not None else [spelt]


def _meanings(model: type[msgspec.Struct]) -> dict[str, str]:
    """What the text below each field says, those of its bases included."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if one in (object, msgspec.Struct) or not issubclass(one, msgspec.Struct):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(one))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(words))):
                    found[name] = " ".join(words.split())
    return found
