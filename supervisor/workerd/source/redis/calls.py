"""Commands and scripts over a RedisLink, where an error answer means that the link is of no use.

READONLY, OOM, LOADING, MISCONF and the like are a server's state, not a message's fault: the link is lost
with that reason, and the next one is tried after a backoff.  NOSCRIPT is mended on the spot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from workerd.source.redis.scripts import Script
from workerd.transport.redis import Command, RedisLink, Replies, ReplyError, Word, error_in
from workerd.transport.refusals import refusal


class Calls:
    """Sends; ``then`` gets replies without errors, or is never called."""

    def __init__(self, link: RedisLink) -> None:
        self.link = link

    def send(self, commands: Sequence[Command], then: Replies | None = None) -> None:
        self.link.send(commands, partial(self._check, then))

    def attempt(self, commands: Sequence[Command], then: Replies | None = None) -> None:
        """Like ``send``, but error answers are for ``then`` to judge."""
        self.link.send(commands, then)

    def script(
        self,
        script: Script,
        keys: Sequence[str],
        args: Sequence[Word],
        then: Replies | None = None,
        reads: Sequence[Command] = (),
        refused: Callable[[ReplyError], bool] | None = None,
    ) -> None:
        """Run ``script`` and then ``reads`` in one pipeline; the script's answer is the first reply.

        ``refused`` is asked whether an error of the script is no reason to lose the link.
        """
        call = (len(keys), *keys, *args)

        def answered(replies: list[Any]) -> None:
            # No script has errors inside its answer, which may hold hundreds of messages.
            for reply in replies:
                if isinstance(reply, ReplyError):
                    failed(replies)
                    return
            if then is not None:
                then(replies)

        def failed(replies: list[Any]) -> None:
            if isinstance(replies[0], ReplyError) and str(replies[0]).startswith("NOSCRIPT"):
                self.link.send([("EVAL", script.text, *call), *reads], judged)
            else:
                judged(replies)

        def judged(replies: list[Any]) -> None:
            error = replies[0]
            if refused is None or not isinstance(error, ReplyError) or not refused(error):
                self._check(then, replies)

        self.link.send([("EVALSHA", script.sha, *call), *reads], answered)

    def _check(self, then: Callable[[list[Any]], object] | None, replies: list[Any]) -> None:
        error = error_in(replies)
        if error is not None:
            self.link.lose(refusal(self.link.address.shown, error))
        elif then is not None:
            then(replies)
