"""AMQP messages whose headers fill their frame: what is added finds room, and nothing of them is lost."""

from __future__ import annotations

from typing import Any

import pytest
from amqp.basic_message import Message

from workerd.source.amqp.marking import dead_message, returned_message
from workerd.source.amqp.wrapping import USUAL, WRAPPED, fits, unwrapped

MARKS = {"x-workerd-reason": "r" * 500}


def message(size: int, body: Any = b"body") -> Message:
    return Message(body, application_headers={"x": "y" * size}, content_type="text/x", priority=3)


@pytest.mark.parametrize("body", [b"body", "text", b"", ""])
def test_a_dead_letter_that_would_not_fit_has_the_message_in_its_body(body: Any) -> None:
    full = message(USUAL - 100, body)
    letter = dead_message(full, MARKS, USUAL)
    assert fits(full) and fits(letter)
    assert letter.headers == {**MARKS, WRAPPED: True}
    again = unwrapped(letter)
    assert again.properties == full.properties
    assert again.body == (body if isinstance(body, bytes) else body.encode())


def test_one_that_fits_is_as_it_came_beside_its_marks() -> None:
    letter = dead_message(message(1000), MARKS, 0)  # a broker that sets no bound
    assert letter.headers == {"x": "y" * 1000, **MARKS}
    assert unwrapped(letter) is letter


def test_what_is_given_back_stays_as_it_is_where_a_count_has_no_room() -> None:
    full = message(USUAL - 75)
    assert returned_message(full, 2, USUAL).headers == full.headers
    assert returned_message(message(10), 2, USUAL).headers["x-workerd-deaths"] == 2


@pytest.mark.parametrize("body", [b"", b"nonsense", b"\x92\xc4\x01a\xc4\x00"])
def test_a_header_that_somebody_else_has_set_is_no_wrapping(body: bytes) -> None:
    forged = Message(body, application_headers={WRAPPED: True})
    assert unwrapped(forged) is forged
