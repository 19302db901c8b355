"""What a test of the bridge declares in seqio's registries is gone after it: others look at all that is declared."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def clean_registries() -> Iterator[None]:
    seqio = pytest.importorskip("seqio")
    registries = (seqio.MixtureRegistry, seqio.TaskRegistry)
    names = [set(registry.names()) for registry in registries]
    yield
    for registry, before in zip(registries, names, strict=True):
        for name in set(registry.names()) - before:
            registry.remove(name)
