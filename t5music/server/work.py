"""Work: what the server has a model do, and what it tells of it: the same as `t5music.load()` gives."""

from __future__ import annotations

import base64
import binascii
import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from t5music.errors import ConfigError, MidiError
from t5music.inference.bars import Bars
from t5music.inference.given_music import GivenMusic, given_music
from t5music.inference.model import Model
from t5music.inference.player import page
from t5music.inference.promises import PROMISES
from t5music.inference.result import SUFFIXES, Result
from t5music.inference.sampling_settings import NAMES as SAMPLING
from t5music.inference.sampling_settings import require_one_variant
from t5music.music import engraving, roll_svg
from t5music.server.jobs import Job
from t5music.server.limits import Limits
from t5music.sound import sound_files

TYPES = {
    ".mid": "audio/midi",
    ".midi": "audio/midi",
    ".musicxml": "application/vnd.recordare.musicxml+xml",
    ".xml": "application/vnd.recordare.musicxml+xml",
    ".mxl": "application/vnd.recordare.musicxml",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".pdf": "application/pdf",
}
KEPT_BYTES = 1_000_000  # of a file that is made once
_RENDERING = threading.Lock()  # sound and sheet music take all of a core


def formats() -> list[str]:
    """The endings of the files that can be had of a result here."""
    return [
        suffix
        for suffix in SUFFIXES
        if suffix in TYPES
        and (suffix not in engraving.SUFFIXES or engraving.is_installed())
        and (suffix not in sound_files.SUFFIXES or sound_files.can_write(suffix))
    ]


def read(fields: Mapping[str, Any], limits: Limits) -> GivenMusic:
    """The music of a request.

    Raises:
        ConfigError: it is not base64.
        MidiError: a file that cannot be read, or that is larger than a limit.
    """
    name = fields.get("name") or "the music"
    try:
        data = base64.b64decode(fields["music"], validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError("music: must be the bytes of a file in base64") from None
    if len(data) > limits.megabytes * 1e6:
        raise MidiError(f"{name}: larger than {limits.megabytes:g} MB, more than this server takes")
    given = given_music(data, name)
    if len(given.score.notes) > limits.notes:
        raise MidiError(
            f"{given.name}: has {len(given.score.notes):,} notes; this server takes {limits.notes:,}: cut it"
        )
    if given.score.duration_seconds > 60 * limits.minutes:
        minutes = given.score.duration_seconds / 60
        raise MidiError(f"{given.name}: lasts {minutes:.0f} minutes; this server takes {limits.minutes:g}: cut it")
    return given


def look(given: GivenMusic) -> dict[str, Any]:
    """What a person sees of their own music: its piano roll, and how long it is."""
    roll = roll_svg.draw(given.score)
    return {
        "roll": roll.svg,
        "legend": roll.legend,
        "notes": len(given.score.notes),
        "bars": given.score.bar_count,
        "seconds": round(given.score.duration_seconds, 3),
    }


class Worker:
    """Does jobs with a model, within limits; `sound_font` plays."""

    def __init__(self, model: Model, limits: Limits, sound_font: str | None = None) -> None:
        self._model, self._limits, self._sound_font = model, limits, sound_font

    def __call__(self, job: Job, changed: Callable[[], None], is_stopped: Callable[[], bool]) -> None:
        """Fills in a job; see `Jobs`."""
        fields = dict(job.fields)
        given = read(fields, self._limits) if "music" in fields else None
        if job.ability == "classify":
            assert given is not None
            job.labels = self._model.classify(given.source, fields.get("task"), name=given.name)
        elif job.ability == "label":
            assert given is not None
            job.results.append(self._model.label(given.source, fields.get("task"), name=given.name))
        else:
            self._write(job, given, changed, is_stopped)

    def _write(
        self, job: Job, given: GivenMusic | None, changed: Callable[[], None], is_stopped: Callable[[], bool]
    ) -> None:
        fields = job.fields
        region = tuple(fields["region"]) if "region" in fields else None
        if region is not None and not region[0] < region[1]:
            raise ConfigError("region: must be begin and end in seconds, the begin first")
        caption = fields.get("caption")
        question = self._model.ask(
            None if given is None else given.source,
            task=job.ability if given is not None else self._model.composing(caption),
            region=region,
            parts=fields.get("parts"),
            caption=caption,
            style=fields.get("style"),
            name=None if given is None else given.name,
            **{promise.name: fields[promise.name] for promise in PROMISES if promise.name in fields},
        )
        sampling = {name: fields[name] for name in SAMPLING if name in fields}
        variants, seed = fields.get("variants", 1), fields.get("seed", 0)
        require_one_variant(variants, sampling)
        if sampling.get("beams", 1) > 1:  # which know no bar before all are written
            job.results = [question.write(seed=seed, **sampling)]
            return
        for number in range(variants):
            bars = Bars(question, seed=seed + number, is_stopped=is_stopped, **sampling)
            if not self._written(job, number, bars, changed, is_stopped):
                return
        job.results = question.ranked(job.results)
        changed()

    def _written(
        self, job: Job, number: int, bars: Bars, changed: Callable[[], None], is_stopped: Callable[[], bool]
    ) -> bool:
        """Writes one variant, bar by bar. Returns whether it is whole."""
        job.bars = 0
        while True:
            bar = next(bars, None)
            if is_stopped():
                return False
            if bars.result is not None:
                job.results[number:] = [bars.result]
            job.words = bars.words, bars.words_at_most
            job.bars = bar.number if bar is not None else job.bars
            changed()
            if bar is None:
                return True

    def file(self, job: Job, number: int, suffix: str) -> bytes:
        """The bytes of a file of a result; for `.html`, of a page with all of them.

        Raises T5MusicError where it cannot be made.
        """
        if suffix == ".html":
            return self._once(job, suffix, lambda: page.to_page(job.results, font=self._sound_font).html.encode())
        return self._once(
            job,
            f"{number}{suffix}",
            lambda: job.results[number].to_bytes(f"music{suffix}", sound_font=self._sound_font),
        )

    def page_sound(self, job: Job, number: int) -> tuple[bytes, str]:
        """The sound of a result for the page, small, and its MIME type."""
        content = self._once(job, f"{number}sound", lambda: job.results[number].page_sound(self._sound_font)[0])
        return content, TYPES[".mp3" if sound_files.can_write(".mp3") else ".wav"]

    def _once(self, job: Job, name: str, make: Callable[[], bytes]) -> bytes:
        """A file, kept for the next time where the job is over and the file is small."""
        with _RENDERING:
            is_last = job.is_over  # before that, results still change, and their order
            content = job.files.get(name) or make()
            if is_last and len(content) <= KEPT_BYTES:
                job.files[name] = content
            return content


def without_dashes(words: str) -> str:
    """Words that name flags, for who has controls instead."""
    return re.sub(r"--(?=\w)", "", words)


def about_result(result: Result) -> dict[str, Any]:
    """A result as JSON."""
    begin = result.score.seconds(int(result.notes["onset"][0])) if len(result.notes) else 0.0
    return {
        "facts": page.facts(result),
        "remarks": [without_dashes(remark) for remark in result.remarks],
        "legend": result.roll.legend,
        "notes": len(result.score.notes),
        "new": 0 if result.is_new is None else int(result.is_new.sum()),
        "seconds": round(result.seconds, 3),
        "seed": result.seed,
        "rank": _about_rank(result),
        "begin": round(float(begin), 3),
        "stem": f"{result.stem}_{result.kind}",
    }


def _about_rank(result: Result) -> dict[str, Any] | None:
    """A result's place among its variants, with the figures that it goes by; None for an answer that is the only one.

    What cannot be measured is None.
    """
    if result.rank is None:
        return None
    bits, closeness = result.rank.bits_per_note, result.rank.closeness
    return {
        "place": result.rank.place,
        "variants": result.rank.variants,
        "bits_per_note": round(bits, 3) if math.isfinite(bits) else None,
        "closeness": None if closeness is None else round(closeness, 3),
    }
