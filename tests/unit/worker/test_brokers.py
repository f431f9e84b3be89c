"""Which URL of the broker's list is next."""

from __future__ import annotations

from workerd.worker.consumer.brokers import Brokers


def test_the_list_is_gone_through_in_its_order_again_and_again() -> None:
    brokers = Brokers(["a", "b", "c"])
    tried = []
    for _ in range(7):
        tried.append(brokers.url)
        brokers.failed()
    assert tried == ["a", "b", "c", "a", "b", "c", "a"]


def test_the_one_that_serves_stays_until_it_fails() -> None:
    brokers = Brokers(["a", "b"])
    brokers.failed()
    assert [brokers.url, brokers.url] == ["b", "b"]


def test_one_alone_is_tried_again() -> None:
    brokers = Brokers(["a"])
    brokers.failed()
    assert brokers.url == "a"
