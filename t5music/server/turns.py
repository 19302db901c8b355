"""Turns: who waits is served in turn, one request of each client after another, whoever sends how many."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Turns(Generic[Item]):
    """A queue in which clients take turns. Not safe for threads by itself."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, deque[Item]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def count(self, client: str) -> int:
        """How many items of a client wait."""
        return len(self._waiting.get(client, ()))

    def add(self, client: str, item: Item) -> None:
        """Puts an item behind the client's others; a client without any comes last."""
        self._waiting.setdefault(client, deque()).append(item)

    def take(self) -> Item:
        """Takes the next item; its client comes last then. Raises KeyError where nothing waits."""
        client, items = self._waiting.popitem(last=False)
        item = items.popleft()
        if items:
            self._waiting[client] = items
        return item

    def remove(self, client: str, item: Item) -> None:
        """Takes an item out, if it waits."""
        items = self._waiting.get(client)
        if items is not None and item in items:
            items.remove(item)
            if not items:
                del self._waiting[client]

    def __iter__(self) -> Iterator[Item]:
        """The items in the order in which they will be taken if no others come."""
        rounds = [list(items) for items in self._waiting.values()]
        for number in range(max(map(len, rounds), default=0)):
            yield from (items[number] for items in rounds if number < len(items))
