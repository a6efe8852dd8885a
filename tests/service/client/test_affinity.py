"""Which server a session's streams are sent to first."""

from collections import Counter

from service.client.addresses import Ways

SERVERS = [(number, f"server-{number}:50051") for number in range(5)]
IDS = [f"{number:08x}.secret" for number in range(500)]


def first(session_id: str, servers: list[tuple[int, str]]) -> int:
    return Ways(servers, session_id).next(elsewhere=False)[0]


def test_every_client_of_a_session_asks_the_same_server_whatever_the_order_of_its_addresses() -> None:
    for session_id in IDS[:50]:
        assert first(session_id, SERVERS) == first(session_id, SERVERS[::-1])


def test_sessions_are_spread_evenly() -> None:
    counts = Counter(first(session_id, SERVERS) for session_id in IDS)
    assert set(counts) == set(range(5))
    assert all(50 < count < 150 for count in counts.values())


def test_where_a_server_is_taken_away_only_its_sessions_go_elsewhere() -> None:
    before = {session_id: first(session_id, SERVERS) for session_id in IDS}
    after = {session_id: first(session_id, SERVERS[:-1]) for session_id in IDS}
    assert {session_id for session_id in IDS if before[session_id] != after[session_id]} == {
        session_id for session_id in IDS if before[session_id] == 4
    }


def test_the_key_is_sent_along_and_stands_in_the_id_but_the_secret_is_not_sent() -> None:
    assert Ways(SERVERS, "k3y.secret").next(elsewhere=False)[2] == "k3y"
    assert "secret" not in Ways(SERVERS, "secret").next(elsewhere=False)[2]
    fresh = Ways(SERVERS).next(elsewhere=False)[2]
    assert first(f"{fresh}.secret", SERVERS) == Ways(SERVERS, f"{fresh}.other").next(elsewhere=False)[0]


def test_a_fork_begins_where_its_session_is() -> None:
    ways = Ways(SERVERS, IDS[0])
    there = ways.next(elsewhere=True)
    fork = ways.again()
    assert fork.next(elsewhere=False) == there
    fork.next(elsewhere=True)
    assert ways.next(elsewhere=False) == there
