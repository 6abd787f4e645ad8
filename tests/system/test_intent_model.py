"""The shipped intent model in a whole system: asked over HTTP, seen by ``raydesk status``, back after its death."""

import subprocess
from collections.abc import Iterator
from http import HTTPStatus

import httpx
import psutil
import pytest

from cluster.load.run.strikes import Population
from deployments.commands.own_system import OwnSystem, command, environment
from tests.waiting import wait_until

WITHIN_S = 60.0


@pytest.fixture(scope="module")
def system() -> Iterator[OwnSystem]:
    with OwnSystem({"intent": {"enabled": True}}) as system:
        yield system


def told(system: OwnSystem, *words: str) -> str:
    arguments = [*command(), *words, "--config", str(system.config)]
    return subprocess.run(arguments, env=environment(), capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def http(system: OwnSystem) -> Iterator[httpx.Client]:
    key = next(word for word in told(system, "key", "add", "tests").split() if word.startswith("rdk_"))
    with httpx.Client(base_url=system.base, headers={"authorization": f"Bearer {key}"}, timeout=30) as client:
        yield client


def test_texts_are_understood_in_both_languages(http: httpx.Client) -> None:
    texts = ["我要退款，把钱退给我", "I want my money back", "😀", "", "x" * 10_000]
    results = http.post("/v1/intent", json={"texts": texts}).json()["results"]
    assert [each.get("intent") for each in results[:2]] == ["refund", "refund"]
    assert results[3]["error"]["code"] == "bad_request"
    assert results[2]["candidates"]
    assert results[4]["candidates"]
    alone = http.post("/v1/intent", json={"text": texts[1]}).json()
    assert alone == results[1]


def test_status_shows_what_the_model_does(system: OwnSystem, http: httpx.Client) -> None:
    http.post("/v1/intent", json={"text": "hello"})
    with system.store() as store:
        population = Population(store)
        wait_until(lambda: population.reports().get("intent:0", {}).get("counts", {}).get("texts"), WITHIN_S, "texts")
    page = told(system, "status")
    assert "from cache" in page
    assert "intent 0: run" in page


def test_a_replica_that_dies_is_replaced_and_harms_only_the_questions_under_way(
    system: OwnSystem, http: httpx.Client
) -> None:
    with system.store() as store:
        (died,) = wait_until(lambda: Population(store).of("intent:0"), WITHIN_S, "a report")
    psutil.Process(died.pid).kill()

    def asked() -> bool:
        answer = http.post("/v1/intent", json={"text": "where is my order"})
        assert answer.status_code in (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
        assert "retry-after" in answer.headers or answer.is_success
        return answer.is_success

    wait_until(asked, WITHIN_S, "an answer")
    with system.store() as store:
        population = Population(store)

        def others() -> list[int]:
            return [each.pid for each in population.of("intent:0") if each.pid != died.pid]

        wait_until(others, WITHIN_S, "the next one to report")
