"""Stand-ins: instruments that a model has never heard are read and written as those that it knows.

A model that was trained on voices, pianos and strings has never seen the word of a guitar or a synthesizer. Its
embedding is where chance put it, so music for such instruments is noise to it, and what it writes is noise, too. Here
the words of these instruments get the numbers, in embedding and head, of an instrument that it knows: the one of the
same family that comes nearest by its General MIDI program, or else the nearest of all; one that the music does not
have, as long as there is one. The music itself, and all that new notes are bound to, keep their own programs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from t5music.inference.trained_model import TrainedModel
from t5music.music import encodings
from t5music.music.instruments import FAMILY_SIZE, instrument_name
from t5music.music.score import DRUMS


def stand_ins(programs: Iterable[int], known: Collection[int]) -> dict[int, int]:
    """Which known program stands in for each that is not known; {} where all are known, or none is.

    Args:
        programs: of the music and of what is asked for; percussion has no stand-in.
        known: that the model has learned.
    """
    pitched = sorted({int(program) for program in programs} - {DRUMS})
    free = sorted(set(known) - {DRUMS} - set(pitched))
    shared = sorted(set(known) - {DRUMS})
    chosen: dict[int, int] = {}
    for program in pitched:
        if program in known or not shared:
            continue

        def distance(other: int, program: int = program) -> tuple[bool, int, int]:
            return other // FAMILY_SIZE != program // FAMILY_SIZE, abs(other - program), other

        chosen[program] = min(free or shared, key=distance)
        free = [other for other in free if other != chosen[program]]
    return chosen


def with_stand_ins(trained: TrainedModel, programs: Iterable[int]) -> tuple[TrainedModel, list[str]]:
    """The model with what stands in for instruments that it does not know, and a remark for each of these.

    Args:
        trained: the model.
        programs: of the music and of what is asked for.

    Returns:
        The model itself where it knows all of them, or where it is not known what it knows.
    """
    chosen = {} if trained.programs is None else stand_ins(programs, trained.programs)
    if not chosen:
        return trained, []
    words, ids = encodings.get("remi").words, trained.vocabulary.event_ids("remi")  # others say no programs

    def rows(numbers: Iterable[int]) -> list[int]:
        return [int(ids[words.index(f"Program_{number}")]) for number in numbers]

    strange, familiar = rows(chosen), rows(chosen.values())
    graphdef, state = nnx.split(trained.model)
    arrays = nnx.to_pure_dict(state)
    embedding = np.array(arrays["embedding"])  # [vocab_size, d_model]
    embedding[strange] = embedding[familiar]
    arrays["embedding"] = jnp.asarray(embedding)
    if not trained.model.config.tied:
        head = np.array(arrays["head"])  # [d_model, vocab_size]
        head[:, strange] = head[:, familiar]
        arrays["head"] = jnp.asarray(head)
    other_state = jax.tree.map(lambda array: array, state)
    nnx.replace_by_pure_dict(other_state, arrays)
    model = nnx.merge(graphdef, other_state)
    remarks = [
        f"{instrument_name(program)} is new to the model, which reads and writes it as {instrument_name(other)}"
        for program, other in chosen.items()
    ]
    return dataclasses.replace(trained, model=model), remarks
