"""A system in this one process, for tests of a page: everything is real but Ray, so it is up in a second.

Store, gateway, dispatcher, ingress, the router's core, the bot's rules and the intent model are those of a whole
system; only the walls between the processes are missing. `tests/web/room.py` has the whole one, for what crosses them.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from argon2 import PasswordHasher
from redis import Redis

from cluster.bot import make_bot
from cluster.budgets import reply_budgets
from cluster.clients import RouterClient
from cluster.codec import encode_desk_report, encode_placements
from cluster.gateways import LiveGateways
from cluster.settings import Settings
from cluster.store import keys
from cluster.store.about import AboutStore
from cluster.store.directory import Directory
from cluster.store.embedded import EmbeddedStore
from cluster.store.files import make_file_store
from cluster.store.reading import Reading
from cluster.store.timeline import TimelineStore
from cluster.store.valkey import connect
from deployments.attaching import Attaching
from deployments.desk_about import make_desk_about
from deployments.desk_methods import DeskMethods
from deployments.dispatcher import DispatcherActor
from deployments.gateway import GatewayActor
from deployments.http.parts import IngressParts
from deployments.ingress import build_ingress
from models.channels.budget import Budget
from models.domain.agent import User
from models.domain.commands import AnyCommand, AnyReply, Receipt, Receive, Resolve, Understood
from models.domain.errors import RaydeskError
from models.domain.ids import contact_id
from models.domain.message import Attachment
from models.intent.classifier import Classifier
from models.routing.desk_reports import OpenDesks
from models.security.file_tokens import FileSigner
from models.security.tokens import TokenSigner
from models.security.vouch import vouch_user
from models.timeline.bot_part import BotPart
from models.timeline.shard import Shard
from tests.fakes import LocalRouter

ACCOUNT = "demo"
PASSWORD = "correct horse"
_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
_UP_WITHIN_S = 20.0
#: Messages that wait for the router together.
_AT_ONCE = 500


class TellingRouter(LocalRouter):
    """A local router that tells a dispatcher of changes and has texts understood, as the router actor does."""

    def __init__(
        self, redis: Any, bot: BotPart, budgets: dict[str, Budget], answer_within_s: Callable[[str], float]
    ) -> None:
        super().__init__(redis)
        self._store = TimelineStore(redis, log_entries=1000, answer_within_s=answer_within_s)
        self._bot = bot
        self._budgets = budgets
        self._core = self._new_core()
        self._classifier = Classifier.load()
        self.dispatcher: DispatcherActor | None = None

    def _new_core(self) -> Shard:
        return Shard(entropy=os.urandom, bot=self._bot, budgets=self._budgets)

    async def _decided(self, commands: list[AnyCommand]) -> list[AnyReply]:
        await self._claim({command.account for command in commands})
        self._core.learn(await self._store.load(self._core.missing(commands)))
        self.commands.extend(commands)
        outcome = self._core.apply(commands, time.time_ns() // 1_000_000)
        for account, changes in outcome.changes.items():
            if not changes.empty:
                await self._store.append(account, self._epoch, changes)
        if outcome.placements and self.dispatcher is not None:
            await self.dispatcher.place(encode_placements(outcome.placements))
        if outcome.questions:
            asyncio.get_running_loop().call_soon(self._understand, outcome.questions)
        return [await self._completed(*each) for each in zip(commands, outcome.replies, strict=True)]

    def _understand(self, questions: list[Any]) -> None:
        texts = [question.text for question in questions]
        found = self._classifier.classify(self._classifier.encode(texts))
        commands = [
            Understood(
                account=question.account,
                conversation=question.conversation,
                seq=question.seq,
                text=question.text,
                understanding=understanding,
            )
            for question, understanding in zip(questions, found, strict=True)
        ]
        self._task = asyncio.ensure_future(self.apply(list(commands)))


class Cable:
    """A TCP relay before the gateway, which a test can cut: what is cut swallows bytes and closes nothing."""

    def __init__(self, port: int, target: int) -> None:
        self._port = port
        self._target = target
        self.whole = asyncio.Event()
        self.whole.set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self._port)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self.whole.wait()
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers.add(inner_writer)
            await asyncio.gather(self._pump(reader, inner_writer), self._pump(inner_reader, writer))
        except OSError:
            pass
        finally:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65_536):
                if self.whole.is_set():
                    writer.write(chunk)
                    await writer.drain()
        except (OSError, ConnectionError):
            pass
        finally:
            writer.close()

    def mend(self) -> None:
        """Let bytes through again; connections that lost some are of no use any more, and end."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self.whole.set()


class LocalSystem:
    """One system; ``port`` is that of HTTP, the two behind it are the gateway's and the cable's.

    Args:
        port: the first of three free ports; 0 finds them.
        capacity: of each agent.
        options: more settings.
    """

    def __init__(self, port: int = 0, *, capacity: int = 50, **options: Any) -> None:
        self.port = port or _free_ports(3)
        self.folder = Path(tempfile.mkdtemp(prefix="rd-"))
        self._capacity = capacity
        self._options = options
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def base(self) -> str:
        """Where the pages are."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "LocalSystem":
        self._thread.start()
        if not self._ready.wait(_UP_WITHIN_S) or self._error:
            raise RuntimeError("the system did not come up") from self._error
        return self

    def __exit__(self, *_: object) -> None:
        if self._loop and self._stop:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20.0)
        shutil.rmtree(self.folder, ignore_errors=True)

    def do(self, work: Awaitable[Any]) -> Any:
        """Run a coroutine in the system and return its result."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(90.0)  # type: ignore[arg-type]

    # -- life -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with EmbeddedStore(self.folder) as store:
                asyncio.run(self._serve(store.url))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            self._error = error
            self._ready.set()

    async def _serve(self, store_url: str) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self.settings = settings = self._settings(store_url)
        self.redis = redis = connect(settings.store)
        self.directory = Directory(redis, hasher=_HASHER)
        await self._people()
        bot = BotPart(answers=make_bot(settings.bot, settings.intent))
        self.router = TellingRouter(redis, bot, reply_budgets(settings), settings.answer_within_s)
        client = RouterClient(self.router.carry, shards=1, batch_bytes=80_000, queue_limit=10_000, deadline_s=5.0)
        self.client = client
        self.dispatcher = self.router.dispatcher = DispatcherActor(settings, router=client, superseded=lambda: None)
        self.gateway = self._new_gateway()
        self.cable = Cable(self.port + 2, self.port + 1)
        await self.cable.start()
        parts = self._parts(settings, client)
        self.ingress = build_ingress(parts)
        server = uvicorn.Server(
            uvicorn.Config(self.ingress, host="127.0.0.1", port=self.port, log_level="warning", lifespan="on")
        )
        serving = asyncio.ensure_future(server.serve())
        while not (server.started and await self.gateway.ready() and await self.dispatcher.ready()):
            await asyncio.sleep(0.02)
        while not await LiveGateways(redis, monotonic=time.monotonic)():
            await asyncio.sleep(0.02)
        self._ready.set()
        await self._stop.wait()
        server.should_exit = True
        await serving
        await self.gateway.drain()
        await self.dispatcher.drain()
        await client.aclose()

    def _new_gateway(self) -> GatewayActor:
        return GatewayActor(self.settings, 0, router=self.client, dispatcher=_Calls(self.dispatcher))

    def restart_gateway(self) -> None:
        """Close every socket, as a gateway that restarts does, and let another one take its place."""

        async def work() -> None:
            before, self.gateway.router = (
                self.gateway,
                RouterClient(self.router.carry, shards=1, batch_bytes=1, queue_limit=1, deadline_s=1.0),
            )
            await before.drain()
            self.gateway = self._new_gateway()
            while not await self.gateway.ready():
                await asyncio.sleep(0.02)

        self.do(work())

    def _settings(self, store_url: str) -> Settings:
        return Settings.model_validate(
            {
                "accounts": {ACCOUNT: {"vouch_secret": "v" * 40}},
                "inboxes": {
                    "demo-web": {"account": ACCOUNT, "channel": "web"},
                    "shop": {"account": ACCOUNT, "channel": "api"},
                    "wx": {
                        "account": ACCOUNT,
                        "channel": "wechat",
                        "app_id": "wx0",
                        "token": "t",
                        "app_secret": "s",
                        "mode": "plain",
                    },
                },
                "security": {"secret_key": "k" * 40},
                "store": {"url": store_url, "files_dir": str(self.folder / "files")},
                "http": {"port": self.port},
                "gateway": {"port": self.port + 1, "public_url": f"ws://127.0.0.1:{self.port + 2}"},
                "limits": {"logins_per_minute": 10_000},
            }
            | self._options
        )

    def _parts(self, settings: Settings, client: RouterClient) -> IngressParts:
        methods = DeskMethods(
            router=client,
            set_presence=self.dispatcher.set_presence,
            reading=Reading(self.redis),
            about=make_desk_about(settings, self.redis, self.dispatcher.here),
            attaching=Attaching(self._signer(settings), time.time),
            text_bytes=settings.limits.text_bytes,
        )
        self.files = make_file_store(settings, self.redis)
        self.file_signer = FileSigner(self._signer(settings))
        return IngressParts(
            settings=settings,
            redis=self.redis,
            router=client,
            directory=self.directory,
            signer=self._signer(settings),
            gateways=LiveGateways(self.redis, monotonic=time.monotonic),
            rpc=methods.rpc,
            files=self.files,
            here=self.dispatcher.here,
        )

    def _signer(self, settings: Settings) -> TokenSigner:
        return TokenSigner(settings.security.secret_key.get_secret_value())

    async def _people(self) -> None:
        await self.directory.add_account(ACCOUNT)
        for user in (
            User(name="alice", skills=("orders", "returns"), capacity=self._capacity),
            User(name="bob", skills=("returns",), capacity=self._capacity),
            User(name="carol", role="supervisor", capacity=self._capacity),
        ):
            await self.directory.add(ACCOUNT, user, PASSWORD)

    # -- contacts -------------------------------------------------------------------------------------

    def write(self, who: str, text: str, *, channel: str = "web", attachments: tuple[Attachment, ...] = ()) -> str:
        """Have a contact write; returns the SessionID."""
        return self.write_many([(who, text)], channel=channel, attachments=attachments)[-1]

    def write_many(
        self, lines: list[tuple[str, str]], *, channel: str = "web", attachments: tuple[Attachment, ...] = ()
    ) -> list[str]:
        """Have contacts write, in order; returns the SessionIDs."""
        inbox = {"web": "demo-web", "api": "shop", "wechat": "wx"}[channel]

        async def work() -> list[str]:
            messages = [
                Receive(
                    account=ACCOUNT,
                    contact=contact_id(ACCOUNT, "web", "demo-web", who),
                    channel=channel,
                    inbox=inbox,
                    external_id=who,
                    source_id=uuid.uuid4().hex,
                    text=text,
                    received_at_ms=time.time_ns() // 1_000_000,
                    attachments=attachments,
                )
                for who, text in lines
            ]
            found: list[str] = []
            for start in range(0, len(messages), _AT_ONCE):
                for receipt in await self.client.receive_many(messages[start : start + _AT_ONCE]):
                    assert isinstance(receipt, Receipt), receipt
                    found.append(receipt.conversation)
            return found

        return self.do(work())

    def ask(self, command: AnyCommand) -> AnyReply:
        """Give the router a command."""
        return self.do(self.client.ask(command))

    def try_to(self, command: AnyCommand) -> None:
        """Give the router a command that it may refuse."""
        with contextlib.suppress(RaydeskError):
            self.ask(command)

    @contextlib.contextmanager
    def open_desk(self, name: str) -> Iterator[None]:
        """Have a desk of an agent open, without a page."""

        desks = OpenDesks("test", time.time_ns())

        async def report() -> None:
            desks.heard(known=await self.dispatcher.report_desks(encode_desk_report(desks.report())))

        stopped = threading.Event()

        def go_on_reporting() -> None:
            while not stopped.wait(1.0):
                self.do(report())

        desks.open((ACCOUNT, name))
        self.do(report())
        reporting = threading.Thread(target=go_on_reporting, daemon=True)
        reporting.start()
        try:
            yield
        finally:
            stopped.set()
            reporting.join()
            desks.close((ACCOUNT, name))
            self.do(report())

    def store(self) -> Redis:
        """Return a blocking client of the store."""
        return Redis.from_url(self.settings.store.url)

    def record(self, conversation: str) -> dict[str, Any]:
        """Return a conversation's record; what has its default is filled in where tests look at it."""
        with self.store() as store:
            found = store.get(keys.conversation(ACCOUNT, conversation))
        return {"agent": "", "excluded": []} | json.loads(found)  # type: ignore[arg-type]

    def stored(self, conversation: str) -> list[bytes]:
        """Return the JSON of a conversation's messages, oldest first."""
        with self.store() as store:
            return store.lrange(keys.session(ACCOUNT, conversation), 0, -1)[::-1]  # type: ignore[index]

    def vouched(self, user: str) -> dict[str, str]:
        """Return what the shop's page shows for a user."""
        secret = self.settings.accounts[ACCOUNT].vouch_secret.get_secret_value()
        return {"user_id": user, "user_hash": vouch_user(secret, user)}

    def can(self, name: str, text: str) -> None:
        """Keep a canned answer."""
        self.do(AboutStore(self.redis).put_canned(ACCOUNT, name, text, "lea"))

    def clear(self) -> None:
        """Resolve every open conversation, and have everybody online."""
        with self.store() as store:
            names = [*store.zrange(keys.waiting(ACCOUNT), 0, -1), *store.zrange(keys.snoozed(ACCOUNT), 0, -1)]  # type: ignore[misc]
            names += store.hkeys(keys.held(ACCOUNT))  # type: ignore[operator]
        for name in names:
            self.ask(Resolve(account=ACCOUNT, conversation=name.decode(), by="carol", role="supervisor"))
        for name in ("alice", "bob", "carol"):
            self.do(self.dispatcher.set_presence(ACCOUNT, name, "online"))

    def cut(self) -> None:
        """Cut the cable between desks and gateway: nothing comes through, and nothing is closed."""
        self._now(self.cable.whole.clear)

    def mend(self) -> None:
        """Mend it."""
        self._now(self.cable.mend)

    def _now(self, act: Callable[[], None]) -> None:
        async def work() -> None:
            act()

        self.do(work())


class _Calls:
    """Calls an actor that is here."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def call(self, method: str, *args: Any) -> Any:
        return await getattr(self._actor, method)(*args)


def _free_ports(count: int) -> int:
    for first in range(23_000, 23_990, count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports")
