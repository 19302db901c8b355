"""The stage `sample`: what a model writes, as MIDI and piano rolls, and what that is like beside held-out music.

Two kinds of samples: "improv", from nothing, and "primed", which go on from how held-out pieces begin. A language model
(`<corpus>_language_model` and the like) gives both: from the empty input that it was trained with, alone or with a
piece's first words written for it. The tasks `_continue` and `_improvise` give one kind each, by their prompts.

Nothing keeps the model from writing what is not legal, so that it shows; only the words of other encodings, and an end
before the given length, are out of reach.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from t5music.analysis.descriptors import describe
from t5music.data.examples import Continue, Improvise, Pieces
from t5music.data.objectives.language_model import LanguageModel
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import EOS_ID, PAD_ID, Ids, Vocabulary
from t5music.errors import ConfigError, DataError
from t5music.inference import trained_model
from t5music.model import decoding
from t5music.music import encodings, midi, pianoroll
from t5music.runs.stores import open_stores
from t5music.training.checkpoints import selection

Events = NDArray[np.int32]


class Asked(NamedTuple):
    """Samples to be written, one a row.

    Attributes:
      group: their name.
      encoding: name of the encoding.
      inputs: ids of each input, without EOS.
      before: the events that each sample goes on from; empty ones where it begins the music.
      written: whether `before` is written for the model, and not in its input.
    """

    group: str
    encoding: str
    inputs: list[Ids]
    before: list[Events]
    written: bool = False


class Music(NamedTuple):
    """The events that a sample or a held-out piece adds to those before it."""

    before: Events
    after: Events


def sample(
    mixture_or_task_name: str,
    model_dir: str,
    output_dir: str,
    split: str = "test",
    count: int = 4,
    prompt_words: int = 128,
    words: int = 512,
    temperature: float = 1.0,
    top_p: float = 0.95,
    seed: int = 0,
    checkpoint: str | int = selection.LATEST,
) -> dict[str, dict[str, float]]:
    """Writes samples of a model for every task of a mixture into a folder, and describes them.

    Args:
      mixture_or_task_name: language models of music, `_continue` or `_improvise` tasks; the model need not have been
        trained on each of them.
      model_dir: the run.
      output_dir: where `<group>_<number>.mid` and `.png` go.
      split: whose pieces are gone on from and compared with.
      count: samples of each group, of different pieces.
      prompt_words: how much of a piece a language model is given.
      words: length of a sample without its prompt, in event words; more than the rows of training had is possible, for
        positions are relative.
      temperature, top_p, seed: see `decoding.generate`; every group has the same seed, whatever model writes.
      checkpoint: of the run: "latest", "best" or a step.

    Returns:
      group -> figures, means over its samples: those of `descriptors.describe`; "illegal", the share of words that
      the encoding's grammar does not allow where they are; "samples". The groups are "improv_<encoding>" of language
      models, "primed_<task>", "improv_<task>", and, of the same lengths from the pieces themselves, "held_out_<task>".

    Raises:
      ConfigError: a task that gives no such samples, or a number that cannot be.
      DataError: no piece of the split is long enough.
    """
    for name, value, least in (("count", count, 1), ("words", words, 1), ("prompt_words", prompt_words, 1)):
        if value < least:
            raise ConfigError(f"sample.{name} must be at least {least}, not {value}")
    if not temperature > 0:
        raise ConfigError(f"sample.temperature must be above 0, not {temperature}: samples are drawn")
    stores = [store for store, _ in open_stores(mixture_or_task_name)]
    trained = trained_model.load(model_dir, str(checkpoint))
    vocab = trained.vocabulary
    made: dict[str, dict[str, float]] = {}
    for store in stores:
        for asked, held_out in _requests(store, split, vocab, count, prompt_words, words):
            if asked.group in made:
                continue  # from nothing, a language model writes the same whatever the corpus
            answers = _write(trained, asked, words, temperature, top_p, seed)
            for number, music in enumerate(answers, 1):
                _keep(music, asked.encoding, Path(output_dir) / f"{asked.group}_{number}")
            made[asked.group] = figures(answers, asked.encoding)
            made.setdefault(f"held_out_{store.name}", figures(held_out, asked.encoding))
    for group, found in made.items():
        print(f"{group}: " + ", ".join(f"{name} {value:.3g}" for name, value in found.items()), flush=True)
    return made


def _requests(
    store: TokenStore, split: str, vocab: Vocabulary, count: int, prompt_words: int, words: int
) -> Iterator[tuple[Asked, list[Music]]]:
    """What to ask for a task, each with the music of held-out pieces in the same place."""
    task, encoding = store.kind, store.encoding
    steps = store.objectives
    nothing = np.empty(0, np.int32)

    def events(ids: Ids) -> Events:
        return vocab.decode_events(encoding, ids)

    if isinstance(task, Pieces) and steps and isinstance(steps[-1], LanguageModel):
        found = [events(example["targets"]) for example in _held_out(store, split, count, prompt_words + words)]
        parts = [Music(piece[:prompt_words], piece[prompt_words : prompt_words + words]) for piece in found]
        none = [nothing] * len(found)
        yield Asked(f"improv_{encoding}", encoding, none, none), parts
        yield Asked(f"primed_{store.name}", encoding, none, [part.before for part in parts], written=True), parts
    elif isinstance(task, Continue | Improvise):
        pairs = _held_out(store, split, count, 1)
        inputs = [pair["inputs"] for pair in pairs]
        parts = [Music(events(pair["inputs"]), events(pair["targets"])[:words]) for pair in pairs]
        kind = "primed" if isinstance(task, Continue) else "improv"
        yield Asked(f"{kind}_{store.name}", encoding, inputs, [part.before for part in parts]), parts
    else:
        raise ConfigError(
            f"sample: {store.name} asks for no music from its beginning: "
            "name language models of music, or tasks that continue or improvise"
        )


def _held_out(store: TokenStore, split: str, count: int, words: int) -> list[Mapping[str, Ids]]:
    """An example of so many pieces of a split, the first of each whose targets have so many words; evenly spread."""
    source = store.split(split)
    first: dict[str, int] = {}
    for index in range(len(source)):
        example = source[index]
        if example["piece"] not in first and len(example["targets"]) >= words:
            first[example["piece"]] = index
    if len(first) < count:
        raise DataError(
            f"{store.name}: {len(first)} pieces of split {split!r} have an example of {words} words, and sample.count "
            f"is {count}: ask for fewer samples or words"
        )
    places = np.linspace(0, len(first) - 1, count).round().astype(int)
    return [source[index] for index in np.array(list(first.values()))[places]]


def _write(
    trained: trained_model.TrainedModel, asked: Asked, words: int, temperature: float, top_p: float, seed: int
) -> list[Music]:
    """The model's samples."""
    vocab = trained.vocabulary
    ids = vocab.event_ids(asked.encoding)
    prefix = _padded([ids[before] for before in asked.before]) if asked.written else None
    given = 0 if prefix is None else prefix.shape[1]
    written = decoding.generate(
        trained.model,
        _padded([np.append(ids_in, np.int32(EOS_ID)) for ids_in in asked.inputs]),
        max_length=given + words,
        temperature=temperature,
        top_p=top_p,
        key=jax.random.key(seed),
        allowed=vocab.event_mask(asked.encoding),
        prefix=prefix,
    )
    rows = [vocab.decode_events(asked.encoding, row) for row in np.asarray(written)[:, given:]]
    return [Music(before, row) for before, row in zip(asked.before, rows, strict=True)]


def _padded(rows: Sequence[Ids]) -> Ids:
    """int32 [rows, longest]."""
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row)), constant_values=PAD_ID) for row in rows]).astype(np.int32)


def figures(pieces: Sequence[Music], encoding_name: str) -> dict[str, float]:
    """What `sample` says of a group."""
    encoding = encodings.get(encoding_name)
    found = []
    for before, after in pieces:
        whole = np.concatenate([before, after])
        times = encoding.times(whole)
        found.append(describe(encoding.decode(whole).score, float(times[len(before)]), float(times[-1])))
    rules = encodings.grammar_of(encoding_name, complete=False, inside=True)
    reports = rules.check([piece.after for piece in pieces], [piece.before for piece in pieces])
    means = {name: _mean([each[name] for each in found]) for name in found[0]}
    return means | {"illegal": _mean([1 - report.share for report in reports]), "samples": len(pieces)}


def _mean(values: Sequence[float]) -> float:
    """Of those that are numbers; nan where none is."""
    known = [value for value in values if not math.isnan(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _keep(music: Music, encoding_name: str, path: Path) -> None:
    """Writes a sample as MIDI and, where it has notes, as a piano roll."""
    encoding = encodings.get(encoding_name)
    score = encoding.decode(np.concatenate(music)).score
    path.parent.mkdir(parents=True, exist_ok=True)
    midi.write(score, path.with_suffix(".mid"))
    if len(score.notes):
        prompt = float(encoding.times(music.before)[-1]) if len(music.before) else None
        pianoroll.draw(score, path.with_suffix(".png"), prompt_seconds=prompt, title=path.name)
