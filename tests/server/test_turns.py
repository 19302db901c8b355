"""Turns: nobody waits longer because somebody else sends more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from t5music.server.turns import Turns

CLIENTS = st.lists(st.sampled_from("abcd"), max_size=30)


def filled(clients: list[str]) -> Turns[tuple[int, str]]:
    turns: Turns[tuple[int, str]] = Turns()
    for number, client in enumerate(clients):
        turns.add(client, (number, client))
    return turns


@given(CLIENTS)
def test_the_order_that_is_told_is_the_order_that_comes(clients: list[str]):
    turns = filled(clients)
    told = list(turns)
    assert [turns.take() for _ in clients] == told
    assert len(turns) == 0
    with pytest.raises(KeyError):
        turns.take()


@given(CLIENTS, st.integers(0, 29))
def test_each_client_is_served_in_its_order_and_in_turn(clients: list[str], removed: int):
    turns = filled(clients)
    if removed < len(clients):
        turns.remove(clients[removed], (removed, clients[removed]))
        turns.remove(clients[removed], (removed, clients[removed]))  # what does not wait is no error
    waiting = {client: turns.count(client) for client in "abcd"}
    assert sum(waiting.values()) == len(turns)
    served = dict.fromkeys("abcd", 0)
    order = list(turns)
    for client in "abcd":
        assert [number for number, name in order if name == client] == sorted(n for n, name in order if name == client)
    for _, client in order:
        served[client] += 1
        behind = [other for other in "abcd" if served[other] < min(served[client] - 1, waiting[other])]
        assert not behind, "somebody is served twice while another one waits for a first turn"
