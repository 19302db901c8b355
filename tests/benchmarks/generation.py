"""Writing tokens: t5music beside Hugging Face's `T5ForConditionalGeneration.generate()`, and with a grammar or without.

    make peers
    python tests/benchmarks/generation.py [--size small tiny] [--batch 1 8 32] [--rounds 5] [--threads 2]
    python tests/benchmarks/generation.py --grammar tx1 tx2 performance remi [--batch 1 8 32]
    python tests/benchmarks/generation.py --promises [--size small] [--batch 1 8]
    python tests/benchmarks/generation.py --dtype auto --peer_dtype float32 bfloat16
    python tests/benchmarks/generation.py --device gpu --size base --batch 64 --dtype bfloat16 --peer_dtype bfloat16

Both sides have the same random weights of T5 v1.1 over t5music's vocabulary, read prompts of 256 tokens and write 128,
greedily; neither may stop early, for no token is EOS. They take turns; of several rounds the best counts. In float32
they must write the same tokens, but where two logits are as good as equal. Wanted on a CPU: small at least 2.5, 2
and 1.5 times as fast at batch 1, 8, 32, tiny at least 8 times at batch 1; on a GPU at least 10 times at batch 64. A
grammar may cost a tenth; all promises together, 15 % of a step of small with the grammar alone. Measured on two cores
(AMD EPYC): small 2.10, 1.50 and 1.40, tiny 20; promises with small, batch 1, 9 %.

`--clock cpu` counts the processor's seconds instead of the clock's: with `--threads 1` that is the comparison to read
where the machine has other work. `--threads` binds both sides to so many cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from common import PEERS, table

HERE = Path(__file__).resolve().parent
TIE = 1e-3  # logits of random weights have a standard deviation of about 1

Seconds = dict[str, float]  # by clock, "wall" and "cpu"
Writer = Callable[[np.ndarray], tuple[Seconds, np.ndarray]]  # int [batch, source] -> seconds, int [batch, new]


def build(size: str, dtype: str = "float32") -> Any:
    """A v1.1 model of that size with random weights that never write EOS: its logit is 0, and others are above."""
    import jax
    from flax import nnx

    from t5music.data.vocabulary import EOS_ID, default
    from t5music.model import parameters
    from t5music.model.config import named

    model = nnx.merge(
        *parameters.initialise(named("v1.1", size, vocab_size=default().rows, dtype=dtype), jax.random.key(0))
    )
    model.head[...] = model.head[...].at[:, EOS_ID].set(0.0)
    return model


def clocked(work: Callable[[], np.ndarray]) -> tuple[Seconds, np.ndarray]:
    """The work's seconds by both clocks, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}, result


def ours(model: Any, new: int, **how: Any) -> Writer:
    """t5music, greedy; `how` as in `decoding.generate`."""
    from t5music.model import decoding

    return lambda prompts: clocked(lambda: np.asarray(decoding.generate(model, prompts, max_length=new, **how)))


@contextmanager
def hugging_face(model: Any, new: int, python: Path, device: str, threads: int, dtype: str) -> Iterator[Writer]:
    """The same model in PyTorch, in the Python that has it."""
    from flax import nnx

    from t5music.model.huggingface import to_huggingface

    config = model.config
    arguments = {
        "vocab_size": config.vocab_size,
        "d_model": config.d_model,
        "d_kv": config.d_kv,
        "d_ff": config.d_ff,
        "num_layers": config.num_encoder_layers,
        "num_decoder_layers": config.num_decoder_layers,
        "num_heads": config.num_heads,
        "feed_forward_proj": "gated-gelu",
        "tie_word_embeddings": False,
    }
    with tempfile.TemporaryDirectory() as folder:
        weights, settings = Path(folder) / "weights.npz", Path(folder) / "config.json"
        np.savez(weights, **to_huggingface(nnx.state(model), config))
        settings.write_text(json.dumps(arguments))
        command = [python, HERE / "generation_peer.py", weights, settings, device, dtype, threads]
        process = subprocess.Popen(list(map(str, command)), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin is not None
        assert process.stdout is not None
        read_from, write_to = process.stdout, process.stdin

        def write(prompts: np.ndarray) -> tuple[Seconds, np.ndarray]:
            write_to.write(json.dumps({"prompts": prompts.tolist(), "new": new}) + "\n")
            write_to.flush()
            answer = json.loads(read_from.readline())
            return {clock: answer[clock] for clock in ("wall", "cpu")}, np.asarray(answer["tokens"])

        try:
            yield write
        finally:
            write_to.close()
            process.wait()
            read_from.close()


def rows_that_differ(model: Any, prompts: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> int:
    """How many rows differ, at first, in a token whose logit is not as good as the other's."""
    import jax
    from flax import nnx

    graphdef, params = nnx.split(model)
    apply = jax.jit(lambda params, *tokens: nnx.merge(graphdef, params)(*tokens))
    logits = np.asarray(apply(params, prompts, np.pad(mine[:, :-1], ((0, 0), (1, 0)))))
    count = 0
    for row in np.flatnonzero((mine != theirs).any(axis=1)):
        first = int(np.argmax(mine[row] != theirs[row]))
        count += abs(logits[row, first, mine[row, first]] - logits[row, first, theirs[row, first]]) > TIE
    return count


def take_turns(writers: Sequence[Writer], prompts: np.ndarray, rounds: int) -> tuple[list[Seconds], list[np.ndarray]]:
    """Each writer's best seconds by either clock, after a first round that compiles, and its tokens."""
    tokens = [write(prompts)[1] for write in writers]
    best: list[Seconds] = [{"wall": float("inf"), "cpu": float("inf")} for _ in writers]
    for _ in range(rounds):
        for write, seconds in zip(writers, best, strict=True):
            for clock, value in write(prompts)[0].items():
                seconds[clock] = min(seconds[clock], value)
    return best, tokens


def random_prompts(batch: int, length: int, rows: int) -> np.ndarray:
    """int32 [batch, length], any ids but padding and EOS."""
    return np.random.default_rng(batch).integers(2, rows, (batch, length)).astype(np.int32)


def against_hugging_face(options: argparse.Namespace) -> str:
    """A Markdown table: sizes and batches, milliseconds for each new token, ratios. Raises where tokens differ."""
    rows = []
    for size in options.size:
        model = build(size, options.dtype)
        device = "cuda" if options.device == "gpu" else options.device
        with ExitStack() as stack:
            peers = [
                stack.enter_context(hugging_face(model, options.new, options.peers, device, options.threads, dtype))
                for dtype in options.peer_dtype
            ]
            for batch in options.batch:
                prompts = random_prompts(batch, options.prompt, model.config.vocab_size)
                best, (mine, *others) = take_turns([ours(model, options.new), *peers], prompts, options.rounds)
                for dtype, tokens in zip(options.peer_dtype, others, strict=True):
                    exact = dtype == options.dtype == "float32"
                    if exact and rows_that_differ(model, prompts, mine, tokens):
                        raise AssertionError(f"{size}, batch {batch}: the two sides write different tokens")
                fast, *slow = (1000 * seconds[options.clock] / options.new for seconds in best)
                figures = [f"{milliseconds:.2f}" for milliseconds in (fast, *slow)]
                rows.append((f"{size}, batch {batch}", *figures, f"{min(slow) / fast:.2f}"))
    names = [f"Hugging Face {dtype}, ms a step" for dtype in options.peer_dtype]
    return table(("model", f"t5music {options.dtype}, ms a step", *names, "times as fast as the best"), rows)


def with_grammar(options: argparse.Namespace) -> str:
    """A Markdown table: encodings, sizes and batches, milliseconds a step without the grammar and with it."""
    from t5music.data import answer_formats
    from t5music.data.vocabulary import default

    rows = []
    for size in options.size:
        model = build(size, options.dtype)
        for batch in options.batch:
            prompts = random_prompts(batch, options.prompt, model.config.vocab_size)
            for encoding in options.grammar:
                form = answer_formats.Music(default(), encoding, fill=True)
                free = ours(model, options.new, allowed=default().event_mask(encoding))
                bound = ours(model, options.new, grammar=(form, form.start(prompts, options.new)))
                best, tokens = take_turns([free, bound], prompts, options.rounds)
                steps = [(written != 0).sum(axis=1).max() for written in tokens]  # a grammar may end a little earlier
                without, within = (1000 * best[i][options.clock] / steps[i] for i in range(2))
                name = f"{encoding}, {size}, batch {batch}"
                rows.append((name, f"{without:.2f}", f"{within:.2f}", f"{within / without:.3f}"))
    return table(("encoding and model", "without, ms a step", "with, ms a step", "times as long"), rows)


def with_promises(options: argparse.Namespace) -> str:
    """A Markdown table: sizes and batches, milliseconds a step in remi with the grammar alone and within promises."""
    from t5music.data import answer_formats
    from t5music.data.examples import Improvise
    from t5music.data.vocabulary import default
    from t5music.inference import bounds
    from t5music.inference.promises import Promises
    from t5music.music.score import NOTE, Score

    task, silence = Improvise("pop", "remi"), Score(480, np.empty(0, NOTE))
    programs = (0, 32, 40, 42, 128)  # as the file of a band has them
    promises = Promises.from_text(
        key="C major", range="C2-C6", polyphony="6", grid="1/16", density="2-16", chords="| C | Am F |", length="phrase"
    )
    rows = []
    for size in options.size:
        model = build(size, options.dtype)
        for batch in options.batch:
            prompts = random_prompts(batch, options.prompt, model.config.vocab_size)
            form = answer_formats.Music(default(), "remi", fill=True)
            rules, limits = bounds.of_answers(promises, task, silence, programs, room=options.new)
            promised = answer_formats.Music(default(), "remi", fill=True, promised=rules)
            states = form.start(prompts, options.new), promised.start(prompts, options.new, bounds=limits * batch)
            writers = [ours(model, options.new, grammar=pair) for pair in zip((form, promised), states, strict=True)]
            best, tokens = take_turns(writers, prompts, options.rounds)
            steps = [(written != 0).sum(axis=1).max() for written in tokens]
            without, within = (1000 * best[i][options.clock] / steps[i] for i in range(2))
            rows.append((f"{size}, batch {batch}", f"{without:.2f}", f"{within:.2f}", f"{within / without:.3f}"))
    return table(("model", "the grammar alone, ms a step", "within promises, ms a step", "times as long"), rows)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", default=["small", "tiny"], help="of T5 v1.1")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8, 32])
    parser.add_argument("--prompt", type=int, default=256, help="tokens of a prompt")
    parser.add_argument("--new", type=int, default=128, help="tokens to write")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--dtype", default="float32", help="of ours, as in T5Config.dtype")
    parser.add_argument("--peer_dtype", nargs="+", choices=("float32", "bfloat16"), default=["float32"])
    parser.add_argument("--grammar", nargs="+", metavar="ENCODING", help="measure these grammars, and no peer")
    parser.add_argument("--promises", action="store_true", help="measure promises beside the grammar, and no peer")
    parser.add_argument("--peers", type=Path, default=PEERS, help="Python of the environment that has PyTorch")
    return parser.parse_args(arguments)


def main() -> None:
    options = parse()
    os.environ["JAX_PLATFORMS"] = "cuda" if options.device == "gpu" else "cpu"
    if options.device == "cpu" and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    if options.device == "cpu":
        from t5music.devices import platforms

        platforms.prepare("cpu")
    measure = with_promises if options.promises else with_grammar if options.grammar else against_hugging_face
    print(measure(options))
    print(f"\n{options.prompt} tokens of prompt, {options.new} written, best of {options.rounds} rounds, ", end="")
    print(f"{options.clock} time, {options.device}, {options.dtype}, {options.threads} threads")


if __name__ == "__main__":
    main()
