"""Files over real HTTP and sockets: in, brought by a message, out again, and everything that must not work."""

import http.client
import json
import os
import struct
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from cluster.store import keys
from deployments.file_sweep import sweep_all
from deployments.http.files import disposition
from models.domain.commands import Receive
from models.domain.ids import contact_id
from tests.gateway_client import Socket, said_by
from tests.waiting import wait_until
from tests.web.local import ACCOUNT, PASSWORD, LocalSystem

pytestmark = pytest.mark.system
MAX = 400_000
PNG = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 4, 4) + b"\x08\x06\0\0\0"


@pytest.fixture(scope="module")
def local() -> Iterator[LocalSystem]:
    limits = {"logins_per_minute": 10_000, "file_bytes": MAX, "files_per_minute": 1_000}
    inboxes = {
        "demo-web": {"account": ACCOUNT, "channel": "web"},
        "strict": {"account": ACCOUNT, "channel": "web", "origins": "https://shop.example"},
        "shop": {"account": ACCOUNT, "channel": "api"},
    }
    with LocalSystem(limits=limits, inboxes=inboxes) as local:
        yield local


@pytest.fixture(autouse=True)
def _clear(local: LocalSystem) -> None:
    local.clear()


class Person:
    """An agent or a visitor, by HTTP and by socket."""

    def __init__(self, local: LocalSystem, token: str) -> None:
        self.http = httpx.Client(base_url=local.base, headers={"authorization": f"Bearer {token}"})
        self.token = token

    def send_in(self, body: bytes, name: str = "a.bin", **headers: str) -> httpx.Response:
        return self.http.post("/v1/files", content=body, headers={"x-file-name": name} | headers)

    def proof(self, body: bytes = b"hello", name: str = "a.bin") -> str:
        answer = self.send_in(body, name)
        assert answer.status_code == 201, answer.text
        return answer.json()["proof"]

    def get(self, file: str) -> httpx.Response:
        return self.http.get(f"/v1/files/{file}")


def agent(local: LocalSystem, name: str = "alice") -> Person:
    body = {"account": ACCOUNT, "name": name, "password": PASSWORD}
    return Person(local, httpx.post(f"{local.base}/v1/login", json=body).raise_for_status().json()["token"])


def rpc(person: Person, method: str, **params: Any) -> dict[str, Any]:
    answer = person.http.post("/rpc", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
    return answer.raise_for_status().json()


def say(person: Person, conversation: str, *proofs: str, text: str = "", **more: Any) -> dict[str, Any]:
    return rpc(
        person,
        "message.send",
        conversation=conversation,
        client_id=uuid.uuid4().hex,
        text=text,
        attachments=list(proofs),
        **more,
    )


class Visitor(Person):
    """A visitor with an open socket."""

    def __init__(self, local: LocalSystem, inbox: str = "demo-web", token: str | None = None) -> None:
        body = {"inbox": inbox} | ({"token": token} if token else {})
        seat = httpx.post(f"{local.base}/v1/connect", json=body).raise_for_status().json()
        super().__init__(local, seat["token"])
        self.contact, self.visitor_id, self._gateway = seat["contact"], seat["visitor_id"], seat["gateway"]

    @contextmanager
    def socket(self) -> Iterator[Socket]:
        with connect(self._gateway) as connection:
            socket = Socket(connection)
            self.opened = socket.call("visit.open", token=self.token)
            yield socket

    def write(self, socket: Socket, *proofs: str, text: str = "", client_id: str = "") -> dict[str, Any]:
        name = uuid.uuid4().hex
        params = {"client_id": client_id or name, "text": text, "attachments": list(proofs)}
        call = {"jsonrpc": "2.0", "id": name, "method": "message.send", "params": params}
        socket.connection.send(json.dumps(call))
        while (frame := json.loads(socket.connection.recv(socket.within_s))).get("id") != name:
            socket.take(frame)
        return frame


def file_of(local: LocalSystem, conversation: str, number: int = -1) -> dict[str, Any]:
    (attachment,) = json.loads(local.stored(conversation)[number])["attachments"]
    return attachment


def bytes_on_disk(local: LocalSystem) -> set[str]:
    return {path.name for path in (local.folder / "files").rglob("*") if path.is_file()}


def test_a_visitors_picture_reaches_the_agent_and_comes_out_as_it_went_in(local):
    visitor, body = Visitor(local), PNG + os.urandom(MAX - len(PNG))
    taken = visitor.send_in(body, "%E5%8F%91%E7%A5%A8.png").json()
    assert (taken["kind"], taken["name"], taken["bytes"]) == ("image", "发票.png", MAX)
    with visitor.socket() as socket:
        assert visitor.opened["file_bytes"] == MAX
        receipt = visitor.write(socket, taken["proof"], text="my invoice")["result"]
    attachment = file_of(local, receipt["conversation"])
    assert attachment == {"kind": "image", "title": "发票.png", "file": taken["id"], "bytes": MAX}
    link = agent(local).get(taken["id"]).json()
    read = httpx.get(local.base + link["path"])
    assert read.content == body
    assert read.headers["content-type"] == "image/png"
    assert read.headers["x-content-type-options"] == "nosniff"
    assert read.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert read.headers["cross-origin-resource-policy"] == "same-origin"
    assert read.headers["content-disposition"].startswith("attachment;")
    assert "filename*=UTF-8''%E5%8F%91%E7%A5%A8.png" in read.headers["content-disposition"]
    assert "no-store" in read.headers["cache-control"]
    assert visitor.token not in link["path"]


def test_an_agents_file_reaches_the_visitor_and_nobody_else(local):
    visitor, stranger, alice = Visitor(local), Visitor(local), agent(local)
    with visitor.socket() as socket:
        conversation = socket.write("I need a form")
        receipt = say(agent(local, "carol"), conversation, alice.proof(b"form", "form.pdf"))
        assert "result" in receipt, receipt
        event = socket.until(said_by("agent"))
    attachment = event["message"]["attachments"][0]
    assert (attachment["kind"], attachment["title"]) == ("file", "form.pdf")
    read = httpx.get(local.base + visitor.get(attachment["file"]).json()["path"])
    assert (read.content, read.headers["content-type"]) == (b"form", "application/octet-stream")
    assert stranger.get(attachment["file"]).status_code == 404
    again = Visitor(local, token=visitor.token)
    assert again.get(attachment["file"]).status_code == 200


def test_a_note_brings_a_file_that_the_contact_may_not_read(local):
    visitor, carol = Visitor(local), agent(local, "carol")
    with visitor.socket() as socket:
        conversation = socket.write("hello")
    proof = carol.proof(b"secret", "plan.txt")
    rpc(carol, "conversation.note", conversation=conversation, client_id="n-1", text="", attachments=[proof])
    file = file_of(local, conversation)["file"]
    assert visitor.get(file).status_code == 404
    assert agent(local).get(file).status_code == 200
    with local.store() as store:
        assert store.zscore(keys.files_unsent(ACCOUNT), file) is None


def test_nobody_sends_what_another_sent_in(local):
    mei, other, alice = Visitor(local), Visitor(local), agent(local, "carol")
    theirs, ours = mei.proof(), alice.proof()
    with other.socket() as socket:
        for proof in (theirs, ours, "x" + theirs, alice.token):
            assert other.write(socket, proof)["error"]["data"]["name"] == "not_found"
        assert other.write(socket)["error"]["code"] == -32602
        assert other.write(socket, *["x"] * 11)["error"]["code"] == -32602
        conversation = other.write(socket, text="hello")["result"]["conversation"]
    assert say(alice, conversation, theirs)["error"]["data"]["name"] == "not_found"
    assert "result" in say(alice, conversation, ours)
    assert len(local.stored(conversation)) == 2


def test_a_proof_of_another_account_is_worth_nothing(local):
    mei = Visitor(local)
    with mei.socket() as socket:
        conversation = socket.write("hello")
    record = local.do(local.files.take("other", "agent:alice", "a", _chunks(b"x")))
    proof = local.file_signer.proof("other", record, 2**31)
    assert say(agent(local, "carol"), conversation, proof)["error"]["data"]["name"] == "not_found"
    assert agent(local).get(record.id).status_code == 404


async def _chunks(*parts: bytes) -> Any:
    for part in parts:
        yield part


def test_a_session_is_no_pass_and_a_pass_is_no_session(local):
    alice = agent(local)
    taken = alice.send_in(b"x").json()
    path = alice.get(taken["id"]).json()["path"]
    assert httpx.get(local.base + path).status_code == 200
    token = path.rpartition("/")[2]
    for wrong in (alice.token, taken["proof"], token[:-2] + "xx", "nothing", "..%2f..%2fetc%2fpasswd"):
        assert httpx.get(f"{local.base}/files/{wrong}").status_code == 404
    for wrong in (token, taken["proof"], "nothing"):
        headers = {"authorization": f"Bearer {wrong}"}
        assert httpx.get(f"{local.base}/v1/files/{taken['id']}", headers=headers).status_code == 401
        assert httpx.post(f"{local.base}/v1/files", content=b"x", headers=headers).status_code == 401


def test_a_pass_and_a_proof_end(local):
    record = local.do(local.files.take(ACCOUNT, "agent:carol", "a", _chunks(b"x")))
    token, _ = local.file_signer.reading_pass(ACCOUNT, record.id, 1_000)
    assert httpx.get(f"{local.base}/files/{token}").status_code == 404
    mei = Visitor(local)
    with mei.socket() as socket:
        conversation = socket.write("hello")
    ended = local.file_signer.proof(ACCOUNT, record, 1_000)
    assert say(agent(local, "carol"), conversation, ended)["error"]["data"]["name"] == "not_found"


@pytest.mark.parametrize("name", ["<svg onload=alert(1)>.svg", "page.html", "a%E2%80%AEgpj.exe", "..%2f..%2fx.html"])
def test_what_could_run_in_a_browser_is_only_ever_something_to_save(local, name):
    body = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    alice = agent(local)
    taken = alice.send_in(body, name, **{"content-type": "image/svg+xml"}).json()
    assert taken["kind"] == "file"
    assert not set(taken["name"]) & set("/\\<>\u202e")
    read = httpx.get(local.base + alice.get(taken["id"]).json()["path"])
    assert read.headers["content-type"] == "application/octet-stream"
    assert read.headers["content-disposition"].startswith("attachment;")
    assert read.content == body


def test_a_part_of_a_file_can_be_asked_for(local):
    alice = agent(local)
    path = alice.get(alice.send_in(b"0123456789").json()["id"]).json()["path"]
    part = httpx.get(local.base + path, headers={"range": "bytes=2-4"})
    assert (part.status_code, part.content) == (206, b"234")


@pytest.mark.parametrize(("body", "status"), [(b"", 422), (b"x" * (MAX + 1), 413)])
def test_what_is_empty_or_too_large_is_refused(local, body, status):
    before = bytes_on_disk(local)
    answer = agent(local).send_in(body)
    assert answer.status_code == status
    assert bytes_on_disk(local) == before


def test_a_file_without_a_length_is_refused_at_the_byte_that_is_too_many(local):
    before = bytes_on_disk(local)

    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    try:
        answer = agent(local).http.post("/v1/files", content=endless())
        assert answer.status_code == 413
    except (httpx.WriteError, httpx.ReadError):
        pass  # the connection may be closed before all that it sent was read
    wait_until(lambda: bytes_on_disk(local) == before, 5, "nothing to be left")


def test_an_upload_that_is_cut_in_the_middle_leaves_nothing(local):
    before = bytes_on_disk(local)
    connection = http.client.HTTPConnection("127.0.0.1", local.port)
    connection.putrequest("POST", "/v1/files")
    connection.putheader("authorization", f"Bearer {agent(local).token}")
    connection.putheader("content-length", str(MAX))
    connection.endheaders()
    connection.send(b"x" * 300_000)
    wait_until(lambda: len(bytes_on_disk(local)) == len(before) + 1, 5, "the upload to begin")
    connection.close()
    wait_until(lambda: bytes_on_disk(local) == before, 5, "nothing to be left")


def test_a_message_with_a_file_comes_through_when_the_router_dies_and_is_taken_once(local):
    visitor = Visitor(local)
    proof, client_id = visitor.proof(PNG, "a.png"), uuid.uuid4().hex
    with visitor.socket() as socket:
        local.router.down = True
        up_again = threading.Timer(1.0, lambda: setattr(local.router, "down", False))
        up_again.start()
        first = visitor.write(socket, proof, client_id=client_id)
        up_again.join()
        again = visitor.write(socket, proof, client_id=client_id)["result"]
    assert again["duplicate"] or "error" in first
    assert len(local.stored(again["conversation"])) == 1
    assert agent(local).get(file_of(local, again["conversation"])["file"]).status_code == 200


def test_a_file_is_swept_once_it_is_old_and_not_when_a_message_brought_it(local):
    visitor = Visitor(local)
    sent, unsent = visitor.send_in(b"sent").json(), visitor.send_in(b"unsent").json()
    with visitor.socket() as socket:
        visitor.write(socket, sent["proof"])
    with local.store() as store:
        assert store.zscore(keys.files_unsent(ACCOUNT), sent["id"]) is None
        store.zadd(keys.files_unsent(ACCOUNT), {unsent["id"]: 1})
    local.do(sweep_all(local.files, local.directory))
    assert visitor.get(unsent["id"]).status_code == 404
    assert visitor.get(sent["id"]).status_code == 200


def test_who_a_file_was_sent_to_reads_it_after_a_log_in_too(local):
    visitor, carol = Visitor(local), agent(local, "carol")
    with visitor.socket() as socket:
        conversation = socket.write("hello")
        mine = visitor.send_in(b"mine").json()
        visitor.write(socket, mine["proof"])
    say(carol, conversation, carol.proof(b"ours"))
    ours = file_of(local, conversation)["file"]
    body = {"inbox": "demo-web", "token": visitor.token, **local.vouched("mei")}
    known = httpx.post(f"{local.base}/v1/connect", json=body).raise_for_status().json()
    assert known["contact"] != visitor.contact
    user = Person(local, known["token"])
    assert user.get(ours).status_code == 200
    assert user.get(mine["id"]).status_code == 200
    elsewhere = httpx.post(f"{local.base}/v1/connect", json={"inbox": "demo-web", **local.vouched("kim")}).json()
    assert Person(local, elsewhere["token"]).get(ours).status_code == 404


def test_a_channel_that_cannot_carry_files_refuses_them_plainly(local):
    local.do(
        local.client.receive(
            Receive(
                account=ACCOUNT,
                contact=contact_id(ACCOUNT, "wechat", "wx", "o-1"),
                channel="wechat",
                inbox="wx",
                external_id="o-1",
                source_id=uuid.uuid4().hex,
                text="hello",
                received_at_ms=1,
            )
        )
    )
    with local.store() as store:
        found = store.lindex(keys.cases(ACCOUNT, contact_id(ACCOUNT, "wechat", "wx", "o-1")), 0)
    carol = agent(local, "carol")
    refused = say(carol, found.decode(), carol.proof())["error"]
    assert "files cannot be sent on channel wechat" in refused["message"]
    assert len(local.stored(found.decode())) == 1
    assert rpc(carol, "account.about")["result"]["files"] == {"bytes": MAX, "most": 10, "channels": ["api", "web"]}


def test_a_page_of_another_origin_sends_in_only_where_the_inbox_allows_it(local):
    visitor = Visitor(local, "strict")
    for origin, status in (("https://evil.example", 403), ("https://shop.example", 201)):
        assert visitor.send_in(b"x", origin=origin).status_code == status
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    asked["access-control-request-headers"] = "authorization,x-file-name"
    answer = httpx.options(f"{local.base}/v1/files", headers=asked)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers
    large = visitor.send_in(b"x" * (MAX + 1), origin="https://shop.example")
    assert (large.status_code, large.headers["access-control-allow-origin"]) == (413, "*")
    file = visitor.send_in(b"x", origin="https://shop.example").json()["id"]
    link = visitor.http.get(f"/v1/files/{file}", headers={"origin": "https://shop.example"})
    assert link.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in httpx.get(local.base + link.json()["path"]).headers


def test_an_api_key_reads_the_files_of_its_account(local):
    alice = agent(local)
    file = alice.send_in(b"x").json()["id"]
    for account, status in ((ACCOUNT, 200), ("other", 404)):
        key, _ = local.do(local.directory.create_key(account, "test"))
        assert Person(local, key).get(file).status_code == status
        assert Person(local, key).send_in(b"x").status_code == 401


def test_who_sends_in_too_many_is_told_to_wait(local):
    with LocalSystem(limits={"files_per_minute": 2}) as small:
        visitor = Visitor(small)
        answers = [visitor.send_in(b"x") for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert int(answers[2].headers["retry-after"]) >= 1


def test_a_system_without_a_folder_says_that_it_takes_no_files(local):
    with LocalSystem(limits={"file_bytes": 0}) as none:
        visitor = Visitor(none)
        assert visitor.send_in(b"x").status_code == 413
        assert visitor.get("f" * 33).status_code == 403
        with visitor.socket():
            assert visitor.opened["file_bytes"] == 0


@pytest.mark.parametrize("name", ["a.txt", 'quo"te\\.txt', "发票.pdf", "100%.txt", "a;b='c'.txt"])
def test_a_name_in_a_header_stays_one_name(name):
    header = disposition(name)
    assert header.isascii()
    assert "\n" not in header
    fallback = header.split('"')[1]
    assert header.count('"') == 2
    assert len(fallback) == len(name)
