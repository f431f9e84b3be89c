"""The same pool in kombu's Hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from kombu.asynchronous import Hub

from tests.process.pool.conftest import Notes, spec_of
from tests.support.eventually import eventually
from workerd_pool import Job, Pool


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()
    yield hub
    hub.close()


def test_the_pool_works_reloads_and_closes_in_kombus_hub(hub: Hub) -> None:
    notes = Notes()
    pool = Pool(hub, spec_of(), notes)
    pool.start()
    pool.want(2)

    def after(fact: object) -> object:
        hub.run_once()
        return fact

    eventually(lambda: after(pool.alive) == 2, every=0.0)
    for number in range(200):
        eventually(lambda: pool.free or after(pool.free), every=0.0)
        pool.submit(Job(number, {"do": "echo"}, str(number).encode()))
    eventually(lambda: len(notes.done) == 200 or after(False), every=0.0)
    pool.submit(Job(1000, {"do": "soft", "seconds": 60}, b"", soft_limit=0.1))
    eventually(lambda: 1000 in notes.done or after(False), every=0.0)
    assert notes.done[1000][0] == {"state": "SOFT"}
    pool.reload()
    eventually(lambda: {child.generation for child in pool.children()} == {2} or after(False), every=0.0)
    pool.close()
    eventually(lambda: notes.empty or after(False), every=0.0)
    assert not hub.readers
    pool.reaper.reap()
    pool.reaper.close()
