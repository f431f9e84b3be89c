"""From a call and its options to a draft of its message.

Units:   seconds; a number in ``expires`` counts from now.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any

from workerd.app.sending.call import CallOptions, call_arguments, plain
from workerd.app.settings.conf import Conf
from workerd.protocol.moment import parse_moment, written, zone_of
from workerd.protocol.outgoing import Draft

if TYPE_CHECKING:
    from workerd.app.base import App


def naive_zone(conf: Conf) -> tzinfo:
    """The zone of times without an offset: as Celery sends and reads them, the app's own, else UTC."""
    return zone_of(conf.timezone) if conf.timezone else UTC


def draft_of(app: App, task: str, args: Sequence[Any], kwargs: Mapping[str, Any], call: CallOptions) -> Draft:
    """The message of one call; inside a running task it is that call's child."""
    args, kwargs = call_arguments(args, kwargs)
    assert call.task_id is not None
    if app.conf.task_routes is not None:
        app.router.give(call, task, args, kwargs, app.tasks.get(task))
    now, zone = time.time(), countdown_zone(app.conf)
    parent = app.frames.sender
    if parent is not None:
        call.root_id = call.root_id or parent.root_id or parent.id
        call.parent_id = call.parent_id or parent.id
        if call.priority is None and app.conf.task_inherit_parent_priority:
            call.priority = parent.delivery_info.get("priority")
    # A countdown of 0 is no countdown, as clients have always had it.
    eta = written(call.countdown or call.eta or None, now, zone)
    expires = written(call.expires, now, zone)
    return Draft(
        id=call.task_id,
        task=task,
        args=args,
        kwargs=kwargs,
        eta=eta,
        expires=expires,
        lifetime=_lifetime(expires, now, app.conf),
        retries=call.retries,
        timelimit=(call.time_limit, call.soft_time_limit),
        group=call.group_id,
        group_index=call.group_index,
        root_id=call.root_id,
        parent_id=call.parent_id,
        shadow=call.shadow,
        ignore_result=call.ignore_result,
        replaced_task_nesting=call.replaced_task_nesting,
        stamped_headers=call.stamped_headers,
        stamps=call.stamps or {},
        headers=call.headers or {},
        callbacks=call.signatures("link"),
        errbacks=call.signatures("link_error"),
        chain=plain(call.chain),
        chord=plain(call.chord),
        reply_to=call.reply_to or reply_queue(app),
        correlation_id=call.correlation_id,
        repr_levels=app.conf.task_repr_maxlevels,
    )


def reply_queue(app: App) -> str | None:
    """The queue for results, where they are messages; what a task sends answers to who has called it."""
    if not app.results_home.by_message:
        return None
    sender = app.frames.sender
    return sender.reply_to if sender is not None and app.frames.in_child else app.results_home.reply_to()


def countdown_zone(conf: Conf) -> tzinfo:
    """The zone in which a countdown is written."""
    if conf.enable_utc:
        return UTC
    if conf.timezone:
        return zone_of(conf.timezone)
    return datetime.now().astimezone().tzinfo or UTC


def _lifetime(expires: str | None, now: float, conf: Conf) -> float | None:
    moment = parse_moment(expires, naive_zone(conf))
    return None if moment is None else max(moment - now, 0.0)
