"""From a message to the request of one run.

Errors:  those of ``protocol.incoming``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workerd.app.running.request import Request
from workerd.protocol.incoming import Incoming


def with_arguments(
    bare: Request, incoming: Incoming, job: Mapping[str, Any], accept: Iterable[str]
) -> Request:
    """The whole request; ``bare`` is what was known of it before the body was read."""
    headers = incoming.headers
    args, kwargs, embed = incoming.load(accept)
    # The body of protocol 1 holds headers as well.
    request = bare if incoming.headers is headers else bare_request(incoming, job)
    request.args, request.kwargs = args, kwargs
    given = embed.get
    request.callbacks, request.errbacks = given("callbacks"), given("errbacks")
    request.chain, request.chord = given("chain"), given("chord")
    return request


def bare_request(incoming: Incoming, job: Mapping[str, Any]) -> Request:
    """The request that ``incoming`` asks for, without its arguments, which need not be readable.

    ``job`` is what the supervisor knows of the delivery.
    """
    headers, properties = incoming.headers, incoming.properties
    hard, soft = headers.get("timelimit") or (None, None)
    return Request(
        id=headers.get("id"),
        task=headers.get("task"),
        retries=headers.get("retries") or 0,
        eta=headers.get("eta"),
        expires=headers.get("expires"),
        called_directly=False,
        headers=incoming.custom_headers(),
        properties=properties,
        delivery_info={
            "exchange": incoming.exchange,
            "routing_key": incoming.routing_key,
            "priority": properties.get("priority"),
            "redelivered": bool(job.get("redelivered", incoming.redelivered)),
        },
        hostname=job.get("hostname"),
        origin=headers.get("origin"),
        reply_to=properties.get("reply_to"),
        correlation_id=properties.get("correlation_id"),
        root_id=headers.get("root_id"),
        parent_id=headers.get("parent_id"),
        group=headers.get("group"),
        group_index=headers.get("group_index"),
        timelimit=(hard, soft),
        ignore_result=headers.get("ignore_result"),
        replaced_task_nesting=headers.get("replaced_task_nesting") or 0,
        shadow=headers.get("shadow"),
        argsrepr=headers.get("argsrepr") or "",
        kwargsrepr=headers.get("kwargsrepr") or "",
        stamped_headers=headers.get("stamped_headers"),
        stamps=headers.get("stamps") or {},
        utc=bool(headers.get("utc", True)),
        deaths=int(job.get("deaths") or 0),
    )
