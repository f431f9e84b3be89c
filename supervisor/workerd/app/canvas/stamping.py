"""Stamps: headers that go through a whole workflow, to tell its calls by, or to revoke them by.

A stamp is an option of its signature, and ``stamped_headers`` lists the names of all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workerd.app.canvas.chord import Chord
    from workerd.app.canvas.group import Group
    from workerd.app.canvas.signature import Signature

NAMES = "stamped_headers"


class StampingVisitor(ABC):
    """Chooses the stamps of each part of a workflow; each method returns a mapping of them."""

    @abstractmethod
    def on_signature(self, sig: Signature, **headers: Any) -> dict[str, Any]:
        """Of one call."""

    def on_group_start(self, group: Group, **headers: Any) -> dict[str, Any]:
        """Of all members of a group."""
        return {}

    def on_group_end(self, group: Group, **headers: Any) -> None:  # noqa: B027 (a hook)
        """The members of the group have been stamped."""

    def on_chain_start(self, chain: Signature, **headers: Any) -> dict[str, Any]:
        """Of all steps of a chain."""
        return {}

    def on_chain_end(self, chain: Signature, **headers: Any) -> None:  # noqa: B027 (a hook)
        """The steps of the chain have been stamped."""

    def on_chord_header_start(self, sig: Chord, **headers: Any) -> dict[str, Any]:
        """Of all members of a chord's header; as of a group's, by default."""
        return self.on_group_start(sig.header_group(), **headers)

    def on_chord_header_end(self, sig: Chord, **headers: Any) -> None:
        """The header has been stamped."""
        self.on_group_end(sig.header_group(), **headers)

    def on_chord_body(self, sig: Chord, **headers: Any) -> dict[str, Any]:
        """Of a chord's body."""
        return {}

    def on_callback(self, callback: Signature, **headers: Any) -> dict[str, Any]:
        """Of what follows a success."""
        return {}

    def on_errback(self, errback: Signature, **headers: Any) -> dict[str, Any]:
        """Of what follows a failure."""
        return {}


def merged(
    own: Mapping[str, Any], seen: Mapping[str, Any] | None, append: bool, stamps: Mapping[str, Any]
) -> dict[str, Any]:
    """Stamps from the call of ``stamp``, from a visitor (``seen``) and of the signature's own options."""
    found = {name: value for name, value in stamps.items() if name != NAMES}
    names = [*stamps.get(NAMES, found)]
    if seen is not None:
        _add(found, {k: v for k, v in seen.items() if k != NAMES}, append)
        names += seen.get(NAMES, seen)
    names += own.get(NAMES) or ()
    _add(found, {name: own[name] for name in names if name in own}, append)
    names = list(dict.fromkeys(names))
    return {**{name: found[name] for name in names if name in found}, NAMES: names}


def stamp_links(
    signature: Signature, visitor: StampingVisitor | None, append: bool, stamps: Mapping[str, Any]
) -> None:
    """Stamp the callbacks and errbacks of ``signature``."""
    _stamp_each(signature, "link", visitor.on_callback if visitor else None, visitor, append, stamps)
    _stamp_each(signature, "link_error", visitor.on_errback if visitor else None, visitor, append, stamps)


def _stamp_each(
    signature: Signature, option: str, chosen: Any, visitor: Any, append: bool, stamps: Mapping[str, Any]
) -> None:
    # A signature knows this module.
    from workerd.app.canvas.signature import maybe_signature, several  # noqa: PLC0415

    if option not in signature.options:
        return
    items = [maybe_signature(item, signature.app) for item in several(signature.options[option])]
    signature.options[option] = items
    for item in items:
        seen = chosen(item, **stamps) if chosen is not None else None
        item.stamp(visitor, append, **merged({}, seen, append, stamps))


def _add(found: dict[str, Any], more: Mapping[str, Any], append: bool) -> None:
    for name, value in more.items():
        if name not in found:
            found[name] = value
        elif append:
            found[name] = [*_listed(found[name]), *_listed(value)]


def _listed(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple, set)) else [value]
