"""Sample: the stage that writes music as MIDI and piano rolls, and compares its descriptors with held-out music's.

There are two kinds of samples: "improv" samples begin from nothing, "primed" samples continue the beginnings of
held-out pieces. A language model (`<corpus>_language_model` and the like) gives both: its input is empty, as in
training, and its output may begin with the first words of a piece. The tasks `_continue` and `_improvise` give one kind
each, by their prompts.

The model may write words that are illegal where they stand, so that the stage can count them. It cannot write words of
other encodings, or an end before the given length.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from numpy.typing import NDArray

from t5music import files
from t5music.data.examples import Continue, Improvise, Pieces
from t5music.data.objectives.language_model import LanguageModel
from t5music.data.store.token_store import TokenStore
from t5music.data.vocabulary import EOS_ID, PAD_ID, Ids, Vocabulary
from t5music.errors import ConfigError, DataError
from t5music.inference import trained_model
from t5music.model import decoding
from t5music.music import encodings, midi, roll_svg
from t5music.music.texture import describe
from t5music.runs.stores import open_stores
from t5music.storage import path_of
from t5music.training.checkpoints import selection

Events = NDArray[np.int32]


class Request(NamedTuple):
    """Samples to write, one for each row of the inputs.

    Attributes:
        group: the name of the samples.
        encoding: name of the encoding.
        inputs: ids of each input, without EOS.
        prompts: the events that each sample continues; empty where the sample begins the music.
        in_output: whether the model's output begins with the prompts; otherwise its input has them.
    """

    group: str
    encoding: str
    inputs: list[Ids]
    prompts: list[Events]
    in_output: bool = False


class Music(NamedTuple):
    """The events of a sample or of a held-out piece.

    Attributes:
        prompt: the events before.
        continuation: the events that follow.
    """

    prompt: Events
    continuation: Events


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
        output_dir: where `<group>_<number>.mid` and `.svg`, its piano roll, go.
        split: the split whose pieces are continued and compared with.
        count: number of samples in each group, each from a different piece.
        prompt_words: length of a language model's prompt, in event words.
        words: length of a sample without its prompt, in event words. It may exceed that of the rows in training,
            because positions are relative.
        temperature: see `decoding.generate`.
        top_p: see `decoding.generate`.
        seed: of the sampling; the same for every group.
        checkpoint: "latest", "best" or a step.

    Returns:
        group -> means over its samples: the figures of `descriptors.describe`; "illegal", the share of words that the
        encoding's grammar does not allow where they are; and "samples", their number. The groups are
        "improv_<encoding>" of language models, "primed_<task>" and "improv_<task>"; and "held_out_<task>", of the same
        places in the pieces themselves.

    Raises:
        ConfigError: a task that has no such samples, or a number out of range.
        DataError: too few pieces of the split are long enough.
    """
    for name, value, least in (("count", count, 1), ("words", words, 1), ("prompt_words", prompt_words, 1)):
        if value < least:
            raise ConfigError(f"sample.{name} must be at least {least}, not {value}")
    if not temperature > 0:
        raise ConfigError(f"sample.temperature must be above 0, not {temperature}: samples are drawn")
    stores = [store for store, _ in open_stores(mixture_or_task_name)]
    trained = trained_model.load(model_dir, str(checkpoint))
    vocab = trained.vocabulary
    groups: dict[str, dict[str, float]] = {}
    for store in stores:
        for request, held_out in _requests(store, split, vocab, count, prompt_words, words):
            if request.group in groups:
                continue  # from nothing, a language model writes the same for every corpus
            samples = _write(trained, request, words, temperature, top_p, seed)
            for number, music in enumerate(samples, 1):
                _save(music, request.encoding, path_of(output_dir) / f"{request.group}_{number}")
            groups[request.group] = figures(samples, request.encoding)
            groups.setdefault(f"held_out_{store.name}", figures(held_out, request.encoding))
    for group, means in groups.items():
        print(f"{group}: " + ", ".join(f"{name} {value:.3g}" for name, value in means.items()), flush=True)
    return groups


def _requests(
    store: TokenStore, split: str, vocab: Vocabulary, count: int, prompt_words: int, words: int
) -> Iterator[tuple[Request, list[Music]]]:
    """Yields the requests of a task, each with the music of held-out pieces in the same places."""
    task, encoding = store.kind, store.encoding
    steps = store.objectives
    nothing = np.empty(0, np.int32)

    def events(ids: Ids) -> Events:
        return vocab.decode_events(encoding, ids)

    if isinstance(task, Pieces) and steps and isinstance(steps[-1], LanguageModel):
        pieces = [events(example["targets"]) for example in _held_out(store, split, count, prompt_words + words)]
        parts = [Music(piece[:prompt_words], piece[prompt_words : prompt_words + words]) for piece in pieces]
        empty = [nothing] * len(pieces)
        prompts = [part.prompt for part in parts]
        yield Request(f"improv_{encoding}", encoding, empty, empty), parts
        yield Request(f"primed_{store.name}", encoding, empty, prompts, in_output=True), parts
    elif isinstance(task, Continue | Improvise):
        pairs = _held_out(store, split, count, 1)
        inputs = [pair["inputs"] for pair in pairs]
        parts = [Music(events(pair["inputs"]), events(pair["targets"])[:words]) for pair in pairs]
        kind = "primed" if isinstance(task, Continue) else "improv"
        yield Request(f"{kind}_{store.name}", encoding, inputs, [part.prompt for part in parts]), parts
    else:
        raise ConfigError(
            f"sample.mixture_or_task_name: {store.name} does not generate music from left to right: "
            "name language models of music, or tasks that continue or improvise"
        )


def _held_out(store: TokenStore, split: str, count: int, words: int) -> list[Mapping[str, Ids]]:
    """Examples of `count` pieces of a split, evenly spread: of each piece the first whose targets have enough words."""
    source = store.split(split)
    first: dict[str, int] = {}  # piece -> index of its first example that is long enough
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
    trained: trained_model.TrainedModel, request: Request, words: int, temperature: float, top_p: float, seed: int
) -> list[Music]:
    """Samples from the model."""
    vocab = trained.vocabulary
    ids = vocab.event_ids(request.encoding)
    prefix = _padded([ids[prompt] for prompt in request.prompts]) if request.in_output else None  # [rows, prefix]
    prefix_length = 0 if prefix is None else prefix.shape[1]
    outputs = decoding.generate(
        trained.model,
        _padded([np.append(row, np.int32(EOS_ID)) for row in request.inputs]),
        max_length=prefix_length + words,
        temperature=temperature,
        top_p=top_p,
        key=jax.random.key(seed),
        allowed=vocab.event_mask(request.encoding),
        prefix=prefix,
    )  # [rows, prefix + words]
    events = [vocab.decode_events(request.encoding, row) for row in np.asarray(outputs)[:, prefix_length:]]
    return [Music(prompt, row) for prompt, row in zip(request.prompts, events, strict=True)]


def _padded(rows: Sequence[Ids]) -> Ids:
    """The rows in one array, int32 [rows, longest row]."""
    width = max(map(len, rows))
    return np.stack([np.pad(row, (0, width - len(row)), constant_values=PAD_ID) for row in rows]).astype(np.int32)


def figures(pieces: Sequence[Music], encoding_name: str) -> dict[str, float]:
    """The figures of a group that `sample` returns."""
    encoding = encodings.get(encoding_name)
    descriptions = []
    for prompt, continuation in pieces:
        events = np.concatenate([prompt, continuation])
        times = encoding.times(events)
        descriptions.append(describe(encoding.decode(events).score, float(times[len(prompt)]), float(times[-1])))
    rules = encodings.grammar_of(encoding_name, complete=False, inside=True)
    reports = rules.check([piece.continuation for piece in pieces], [piece.prompt for piece in pieces])
    means = {name: _mean([description[name] for description in descriptions]) for name in descriptions[0]}
    return means | {"illegal": _mean([1 - report.share for report in reports]), "samples": len(pieces)}


def _mean(values: Sequence[float]) -> float:
    """The mean of the values that are not NaN; NaN if all are."""
    numbers = [value for value in values if not math.isnan(value)]
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def _save(music: Music, encoding_name: str, path: Path) -> None:
    """Writes a sample as MIDI and, if it has notes, as a piano roll."""
    encoding = encodings.get(encoding_name)
    score = encoding.decode(np.concatenate(music)).score
    midi.write(score, path.with_suffix(".mid"))
    if len(score.notes):
        prompt_seconds = float(encoding.times(music.prompt)[-1]) if len(music.prompt) else 0.0
        is_new = score.seconds(score.notes["onset"]) >= prompt_seconds
        files.write_text(path.with_suffix(".svg"), roll_svg.document(score, is_new=is_new, title=path.name))
