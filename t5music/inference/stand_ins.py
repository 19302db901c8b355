"""Stand-ins: instruments that a model has never heard are read and written as those that it knows.

A model that was trained on voices, pianos and strings has never seen the word of a guitar or a synthesizer. Its
embedding is where chance put it, so music for such instruments is noise to it, and what it writes is noise, too. So an
instrument that it knows stands in: the one of the same family that comes nearest by its General MIDI program, or else
the nearest of all; one that the music does not have, as long as there is one.

What a model reads to classify or to embed it is given to it as music for the instruments that stand in (`familiar`).
Where it writes, the words of both instruments change places in embedding and head (`with_stand_ins`): prompts, answers,
and all that new notes are bound to keep the person's programs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable

import jax.numpy as jnp
import numpy as np
from flax import nnx

from t5music.inference.trained_model import TrainedModel
from t5music.model import parameters
from t5music.music import encodings
from t5music.music.instruments import FAMILY_SIZE, instrument_name
from t5music.music.score import DRUMS, Score


def stand_ins(programs: Iterable[int], known: Collection[int]) -> dict[int, int]:
    """Which known program stands in for each that is not known; {} where all are known, or none is.

    Args:
        programs: of the music and of what is asked for; percussion has no stand-in.
        known: that the model has learned.
    """
    pitched, shared = set(programs) - {DRUMS}, set(known) - {DRUMS}
    free = shared - pitched
    chosen: dict[int, int] = {}
    for program in sorted(pitched - shared) if shared else ():
        chosen[program] = min(free or shared, key=lambda other: _distance(program, other))
        free.discard(chosen[program])
    return chosen


def _distance(program: int, other: int) -> tuple[bool, int, int]:
    return other // FAMILY_SIZE != program // FAMILY_SIZE, abs(other - program), other


def familiar(trained: TrainedModel, score: Score) -> Score:
    """The music as a model is to read it: with instruments that it knows, as far as it is known which."""
    programs = np.unique(score.notes["program"]).tolist()
    chosen = {} if trained.programs is None else stand_ins(programs, trained.programs)
    if not chosen:
        return score
    notes = score.notes.copy()
    for program, other in chosen.items():
        notes["program"][score.notes["program"] == program] = other
    return score.with_notes(notes)


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
    row_of = {program: int(ids[words.index(f"Program_{program}")]) for program in {*chosen, *chosen.values()}}
    rows = np.arange(trained.model.config.vocab_size)  # of embedding and head: the row whose numbers each gets
    for program, other in chosen.items():
        rows[row_of[program]] = row_of[other]
        if other not in programs and rows[row_of[other]] == row_of[other]:
            rows[row_of[other]] = row_of[program]  # so that no probability is shared
    arrays = nnx.to_pure_dict(nnx.state(trained.model))
    arrays["embedding"] = jnp.asarray(np.asarray(arrays["embedding"])[rows])  # [vocab_size, d_model]
    if not trained.model.config.tied:
        arrays["head"] = jnp.asarray(np.asarray(arrays["head"])[:, rows])  # [d_model, vocab_size]
    graphdef, state = parameters.abstract(trained.model.config)
    nnx.replace_by_pure_dict(state, arrays)
    remarks = [
        f"{instrument_name(program)} is new to the model, which reads and writes it as {instrument_name(other)}"
        for program, other in chosen.items()
    ]
    return dataclasses.replace(trained, model=nnx.merge(graphdef, state)), remarks
