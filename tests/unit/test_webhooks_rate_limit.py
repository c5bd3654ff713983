"""Test rate limits and trusted proxies."""

import threading

import pytest

from adapter.exceptions import ConfigurationError, LimitReached
from adapter.settings import Proxies, read_proxies, settings_from
from adapter.webhooks.client_ip import client_ip, rate_limit_key
from adapter.webhooks.limits import MAX_KEYS, RequestLimit


class Clock:
    """A monotonic clock that tests can advance."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def taken(limit: RequestLimit, key: str, tries: int) -> int:
    count = 0
    for _ in range(tries):
        try:
            limit.take(key)
        except LimitReached:
            continue
        count += 1
    return count


def test_a_minutes_tokens_may_come_at_once_and_no_more() -> None:
    limit = RequestLimit(30, clock=Clock())

    assert taken(limit, "a", 100) == 30
    assert taken(limit, "b", 1) == 1, "another key has its own"


def test_tokens_come_back_evenly() -> None:
    clock = Clock()
    limit = RequestLimit(30, clock=clock)
    taken(limit, "a", 30)

    clock.at += 2  # 30 a minute is one every two seconds
    assert taken(limit, "a", 10) == 1
    clock.at += 3600
    assert taken(limit, "a", 100) == 30, "never more than a minute's"


def test_it_says_how_long_to_wait() -> None:
    clock = Clock()
    limit = RequestLimit(30, clock=clock)
    taken(limit, "a", 30)

    clock.at += 0.5  # a quarter of a token is left, so the wait is three quarters of two seconds
    with pytest.raises(LimitReached) as refused:
        limit.take("a")
    assert refused.value.retry_after_seconds == pytest.approx(1.5)


def test_returned_tokens_are_available_again() -> None:
    limit = RequestLimit(3, clock=Clock())
    for _ in range(100):
        limit.take("a")
        limit.give_back("a")

    limit.give_back("a")
    assert taken(limit, "a", 10) == 3, "and there is no saving up"


def test_memory_is_limited() -> None:
    limit = RequestLimit(1, clock=Clock())
    limit.take("first")
    for number in range(MAX_KEYS):
        limit.take(str(number))

    assert len(limit._buckets) == MAX_KEYS
    assert taken(limit, "first", 1) == 1, "the quietest was forgotten"


def test_threads_share_one_count() -> None:
    limit, counts = RequestLimit(500, clock=Clock()), []
    threads = [
        threading.Thread(target=lambda: counts.append(taken(limit, "a", 200))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(counts) == 500


NETWORKS = read_proxies("10.0.0.0/8, fd00::/8")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "trusted", "expected"),
    [
        ("192.0.2.1", "", 0, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", 0, "192.0.2.1"),  # no proxy is trusted
        ("10.0.0.1", "198.51.100.7", 1, "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", 1, "198.51.100.7"),  # the first is forged
        ("10.0.0.1", "203.0.113.9,198.51.100.7, 10.0.0.2", 2, "198.51.100.7"),
        ("192.0.2.1", "", 1, "192.0.2.1"),  # it bypassed the proxy
        ("192.0.2.1", "203.0.113.9", 2, "192.0.2.1"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", NETWORKS, "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7, 10.9.9.9", NETWORKS, "198.51.100.7"),
        (
            "192.0.2.1",
            "203.0.113.9",
            NETWORKS,
            "192.0.2.1",
        ),  # not one of our proxies
        ("fd00::1", "2001:db8::5", NETWORKS, "2001:db8::5"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", NETWORKS, "10.0.0.3"),
        ("10.0.0.1", "198.51.100.7:4711", 1, "198.51.100.7"),
        ("10.0.0.1", "[2001:db8::5]:4711", 1, "2001:db8::5"),
        ("::ffff:192.0.2.1", "", 0, "192.0.2.1"),
        ("10.0.0.1", "unknown", 1, None),
        ("10.0.0.1", "x" * 5000, NETWORKS, None),
        ("10.0.0.1", " , ,", 1, "10.0.0.1"),
        ("", "198.51.100.7", 1, "198.51.100.7"),  # a Unix socket
        (None, "", 0, None),
    ],
)
def test_the_address_is_what_a_trusted_proxy_saw(
    peer: str | None, forwarded_for: str, trusted: Proxies, expected: str | None
) -> None:
    assert client_ip(peer, forwarded_for, trusted) == expected


def test_an_ipv6_sender_is_counted_by_its_network() -> None:
    assert (
        rate_limit_key("2001:db8:1:2::5")
        == rate_limit_key("2001:db8:1:2:ffff::9")
        == "2001:db8:1:2::/64"
    )
    assert rate_limit_key("2001:db8:1:3::5") != rate_limit_key("2001:db8:1:2::5")
    assert rate_limit_key("192.0.2.1") == "192.0.2.1"
    assert rate_limit_key(None) == "None"


@pytest.mark.parametrize("text", ["many", "-1", "10", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/8,,"])
def test_an_invalid_proxy_setting_prevents_startup(text: str) -> None:
    with pytest.raises(ConfigurationError, match="ADAPTER_TRUSTED_PROXIES must be a number up to"):
        settings_from({"ADAPTER_TRUSTED_PROXIES": text})
