"""One line for the operator, and a code for scripts."""

from __future__ import annotations

import pytest

from workerd import errors
from workerd.errors import AppImportError, ExitCode, WorkerdError


def test_an_error_says_what_and_what_to_do() -> None:
    assert str(WorkerdError("the disk is full", "make room")) == "the disk is full; make room"
    assert str(WorkerdError("the disk is full")) == "the disk is full"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("WorkerdError", 1),
        ("UsageError", 2),
        ("UnavailableError", 69),
        ("StepError", 70),
        ("TakenError", 73),
        ("PermissionDeniedError", 77),
        ("ConfigError", 78),
        ("AppImportError", 78),
    ],
)
def test_the_class_decides_the_exit_code(name: str, code: int) -> None:
    assert getattr(errors, name)("what").exit_code == code


def test_work_given_back_at_the_deadline_has_a_code_of_its_own() -> None:
    assert int(ExitCode.GIVEN_BACK) == 75


def test_an_import_error_keeps_the_apps_own_traceback() -> None:
    assert AppImportError("no app", "mend it", "Traceback ...").traceback == "Traceback ..."
