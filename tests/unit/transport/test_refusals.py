"""A server's refusals in words."""

from __future__ import annotations

import pytest

from workerd.transport.refusals import refusal

SCRIPT = "a" * 40


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            f"READONLY You can't write against a read only replica. script: {SCRIPT}, on @user_script:2.",
            "redis://h is a read-only replica (READONLY You can't write against a read only replica)",
        ),
        (
            f"ERR Error running script (call to f_{SCRIPT}): @user_script:2: @user_script: 2: "
            "-READONLY You can't write against a read only replica.",
            f"redis://h is a read-only replica (ERR Error running script (call to f_{SCRIPT}): "
            "@user_script:2: @user_script: 2: -READONLY You can't write against a read only replica)",
        ),
        (
            "LOADING Redis is loading the dataset in memory",
            "redis://h is still loading its data (LOADING Redis is loading the dataset in memory)",
        ),
        (
            "MISCONF Redis is configured so, but it can't. Commands are disabled. Please check the logs.",
            "redis://h cannot write its data to disk and takes no changes "
            "(MISCONF Redis is configured so, but it can't)",
        ),
        ("ERR unknown command 'X'", "redis://h refused: ERR unknown command 'X'"),
        ("ERR MISCONFIGURED", "redis://h refused: ERR MISCONFIGURED"),
    ],
)
def test_the_meaning_comes_first_and_the_servers_words_after_it(error: str, told: str) -> None:
    assert refusal("redis://h", error) == told
