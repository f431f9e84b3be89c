"""Attributes of a parent object that one of its steps puts there.

A step that requires that step finds the attribute; one that comes too early is told what to require.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

T = TypeVar("T")


class FromStep(Generic[T]):
    """Declares, in the parent's class, an attribute that the step called ``label`` sets on the instance.

    AttributeError, which says what to do, when it is read before that.  ``late`` marks those of the last
    step, which nothing can require.
    """

    def __init__(self, label: str, *, late: bool = False) -> None:
        self.label, self.late = label, late
        self.name = "?"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, parent: None, owner: type) -> FromStep[T]: ...
    @overload
    def __get__(self, parent: object, owner: type) -> T: ...
    def __get__(self, parent: object | None, owner: type) -> Any:
        # Without __set__ the instance's own attribute wins once it is there.
        if parent is None:
            return self
        do = "read it in start or later" if self.late else f'write requires = ("{self.label}",) in your step'
        raise AttributeError(
            f"{owner.__name__} has no {self.name!r} yet: its step {self.label} makes it; {do}",
            name=self.name,
            obj=parent,
        )

    if TYPE_CHECKING:

        def __set__(self, parent: object, value: T) -> None: ...
