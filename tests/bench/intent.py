"""The intent model through its deployment, beside the bare graph and three other batching servers, in one run.

``python -m tests.bench.intent`` makes texts as long as Chinese customers' messages (``intent_texts``), turns the
cache off, and lets several callers ask at once: lists of 64 texts, as a busy router asks, lists of 16, single texts.
It prints texts a second, latency of a call, batch times and padding, and at last the latency at 100 texts a second.

Everything runs on one machine, callers too. Our deployment and the one with ``@serve.batch`` are called by Serve
handle, mosec and LitServe over their own HTTP servers (MessagePack and JSON, connections kept open). All use the same
artefact, run as many batches at once, a core each, and may join as many texts. The bare graph is the limit: batches
made beforehand, of about one length, no tokenizer, nobody to answer; once one batch after the other on all cores, and
once as many batches at once as the others run. The rounds go through all of them in turn; medians are printed.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import aiohttp
import msgspec
import numpy as np
from ray import serve

from cluster.settings import Settings
from deployments.commands.own_system import free_ports
from models.intent.classifier import SHIPPED, Classifier
from tests.bench.intent_rivals import ServeBatch
from tests.bench.intent_system import alone, deployed, restart_with_flags, then_shut_down, told
from tests.bench.intent_texts import make_texts

#: (name, callers, texts in a call)
SHAPES = (("lists of 64", 8, 64), ("lists of 16", 8, 16), ("single texts", 64, 1))
#: Texts that a rival may join; the best of 16, 32, 64 and 128 for them on the machine this was written on.
_JOINED = 32
_WAIT_MS = 10_000
Ask = Callable[[list[str]], Awaitable[Any]]


class Row(NamedTuple):
    """What one contestant did in one round."""

    per_s: float
    p50_ms: float
    p99_ms: float


async def saturate(ask: Ask, texts: list[str], callers: int, size: int, seconds: float) -> Row:
    """Let callers ask one call after the other; returns what was answered after a second of warming up."""
    lists = itertools.cycle([texts[at : at + size] for at in range(0, len(texts) - size + 1, size)])
    took: list[float] = []
    begin = time.perf_counter() + 1.0
    end = begin + seconds

    async def call() -> None:
        while (now := time.perf_counter()) < end:
            await ask(next(lists))
            done = time.perf_counter()
            if begin <= now and done <= end:
                took.append(done - now)

    await asyncio.gather(*(call() for _ in range(callers)))
    return Row(len(took) * size / seconds, *(np.percentile(took, [50, 99]) * 1000).tolist())


async def steady(ask: Ask, texts: list[str], rate: float, seconds: float) -> Row:
    """Ask single texts at fixed times, whether or not the last was answered; latency counts from the time planned."""
    took: list[float] = []

    async def call(text: str, at: float) -> None:
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        await ask([text])
        took.append(time.perf_counter() - at)

    begin = time.perf_counter() + 0.5
    count = int(rate * seconds)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(call(texts[number % len(texts)], begin + number / rate))
    return Row(rate, *(np.percentile(took, [50, 99]) * 1000).tolist())


def bare(texts: list[str], budget: int, seconds: float, *, workers: int, threads: int) -> Row:
    """Run the graph alone on batches of about one length, within the token budget, ``workers`` batches at once."""
    classifier = Classifier.load(threads=threads)
    encoded = sorted(classifier.encode(texts), key=len)
    batches: list[list[list[int]]] = [[]]
    for each in encoded:
        if (len(batches[-1]) + 1) * len(each) > budget:
            batches.append([])
        batches[-1].append(each)
    end = time.perf_counter() + seconds

    def work(worker: int) -> list[tuple[int, float]]:
        done: list[tuple[int, float]] = []
        for index in itertools.cycle(np.random.default_rng(worker).permutation(len(batches)).tolist()):
            started = time.perf_counter()
            if started > end:
                break
            classifier.outputs(batches[index])
            done.append((len(batches[index]), time.perf_counter() - started))
        return done

    with ThreadPoolExecutor(workers) as pool:
        done = [each for found in pool.map(work, range(workers)) for each in found]
    took = [seconds for _, seconds in done]
    return Row(sum(size for size, _ in done) / seconds, *(np.percentile(took, [50, 99]) * 1000).tolist())


@contextlib.asynccontextmanager
async def rival(kind: str, joined: int, workers: int) -> AsyncIterator[Ask]:
    """Run one of the others; yields how it is asked."""
    if kind == "@serve.batch":
        with serve_batch(joined, workers) as ask:
            yield ask
    else:
        async with server(kind, joined, workers) as ask:
            yield ask


@contextlib.asynccontextmanager
async def server(kind: str, joined: int, workers: int) -> AsyncIterator[Ask]:
    """Run mosec or LitServe in a process of its own; yields how it is asked."""
    port = free_ports(1)
    arguments = [str(port), str(joined), str(workers), str(SHIPPED)]
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    said = tempfile.TemporaryFile()  # noqa: SIM115 - it goes with the process
    process = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs in this loop now
        [sys.executable, "-m", f"tests.bench.intent_{kind}", *arguments],
        env=environment,
        stdout=said,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/" + ("inference" if kind == "mosec" else "predict")
    pack, form = (msgspec.msgpack.encode, "msgpack") if kind == "mosec" else (msgspec.json.encode, "json")
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

            async def ask(texts: list[str]) -> None:
                body = pack(texts if kind == "mosec" else {"texts": texts})
                headers = {"content-type": f"application/{form}"}
                async with session.post(url, data=body, headers=headers) as response:
                    if response.status != 200:
                        raise RuntimeError(f"{kind} answered {response.status}")
                    await response.read()

            try:
                await _until_answers(ask)
            except TimeoutError:
                said.seek(0)
                print(said.read().decode(errors="replace")[-2000:])
                raise
            yield ask
    finally:
        _end(process)


async def _until_answers(ask: Ask) -> None:
    said = ""
    for _ in range(100):
        try:
            return await ask(["hello"])
        except (aiohttp.ClientError, RuntimeError) as error:
            said = str(error)
        await asyncio.sleep(0.2)
    raise TimeoutError(f"a rival did not start within a minute: {said}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, which we started."""
    import psutil

    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for each in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.terminate()
    _, left = psutil.wait_procs(family, timeout=5)
    for each in left:
        each.kill()
    process.wait()


async def measure(arguments: argparse.Namespace, settings: Settings) -> None:
    """Run all rounds and print the table."""
    encode = Classifier.load().encode
    texts = make_texts(encode, 4_096)
    lengths = [len(each) for each in encode(texts)]
    print(
        f"{len(texts)} texts of {statistics.mean(lengths):.1f} tokens on average; {arguments.threads} batches at once, "
        f"token budget {settings.intent.token_budget}, {arguments.rounds} rounds of {arguments.seconds:.0f} s\n"
    )
    rows: dict[tuple[str, str], list[Row]] = {}
    async with contextlib.AsyncExitStack() as stack:
        client = stack.enter_context(deployed(settings))

        async def ours(each: list[str]) -> None:
            await client.understand(each, _WAIT_MS)

        for _ in range(arguments.rounds):
            budget, cores = settings.intent.token_budget, arguments.threads
            limits = {
                "bare graph": bare(texts, budget, arguments.seconds, workers=1, threads=cores),
                f"bare, {cores} at once": bare(texts, budget, arguments.seconds, workers=cores, threads=1),
            }
            for shape, callers, size in SHAPES:
                load = (texts, callers, size, arguments.seconds)
                for name, limit in limits.items():
                    rows.setdefault((shape, name), []).append(limit)
                rows.setdefault((shape, "raydesk"), []).append(await saturate(ours, *load))
                for kind in ("@serve.batch", "mosec", "litserve"):
                    # not left running: idle workers cost time too
                    async with rival(kind, max(1, _JOINED // size), arguments.threads) as ask:
                        rows.setdefault((shape, kind), []).append(await saturate(ask, *load))
        _print_rows(rows)
        _print_report(told(settings))
        steadily = await steady(ours, texts, 100.0, arguments.seconds * 2)
        print(f"at 100 texts/s, single: p50 {steadily.p50_ms:.1f} ms, p99 {steadily.p99_ms:.1f} ms")


@contextlib.contextmanager
def serve_batch(joined: int, workers: int) -> Iterator[Ask]:
    """Run the deployment that batches with Serve's decorator; yields how it is asked."""
    deployment = serve.deployment(ServeBatch).options(
        name=f"ServeBatch{joined}", max_ongoing_requests=1_000, ray_actor_options={"num_cpus": 0.1}
    )
    handle = serve.run(deployment.bind(str(SHIPPED), workers, joined), name=f"rival{joined}", route_prefix=None)

    async def ask(texts: list[str]) -> None:
        await handle.remote(texts)

    try:
        yield ask
    finally:
        serve.delete(f"rival{joined}")


def _print_report(report: dict[str, Any]) -> None:
    counts, stages = report["counts"], report["stages"]
    waste = 1 - counts["real_tokens"] / counts["padded_tokens"]
    print(
        f"\nraydesk, all rounds: {counts['batches']} batches of {counts['rows'] / counts['batches']:.1f} texts, "
        f"run p50 {stages['run']['p50_ms']:.1f} p99 {stages['run']['p99_ms']:.1f} ms, "
        f"wait p99 {stages['wait']['p99_ms']:.1f} ms, padding {waste:.1%}, cache hits {counts['hits']}"
    )


def _print_rows(rows: dict[tuple[str, str], list[Row]]) -> None:
    for shape, *_ in SHAPES:
        print(f"\n{shape:<16}{'texts/s':>10}{'of bare':>9}{'raydesk is':>12}{'p50 ms':>9}{'p99 ms':>9}")
        middle = {
            name: [statistics.median(each) for each in zip(*found, strict=True)]
            for (at, name), found in rows.items()
            if at == shape
        }
        for name, (per_s, p50_ms, p99_ms) in middle.items():
            print(
                f"{name:<16}{per_s:>10,.0f}{per_s / middle['bare graph'][0]:>9.2f}"
                f"{middle['raydesk'][0] / per_s:>11.2f}x{p50_ms:>9.1f}{p99_ms:>9.1f}"
            )


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--token-budget", type=int, default=None)
    arguments = parser.parse_args()
    restart_with_flags("tests.bench.intent")
    chosen: dict[str, Any] = {"cache_texts": 0, "threads": arguments.threads}
    if arguments.token_budget:
        chosen["token_budget"] = arguments.token_budget
    with alone(chosen) as settings:
        asyncio.run(then_shut_down(measure(arguments, settings)))


if __name__ == "__main__":
    main()
