"""Asking an endpoint: what comes back, what fails and how it says so, what it costs; nothing is asked twice."""

from __future__ import annotations

import email.utils
import json
import time
from pathlib import Path
from typing import Any

import pytest

from corpora.errors import IntegrityError, ParamsError, UserError
from generators.language.endpoint.answers import TEXT_SCHEMA
from generators.language.endpoint.cache import Request
from generators.language.endpoint.client import Client, chat_request, each
from generators.language.endpoint.meter import BudgetError, Meter, worst_cost
from generators.language.endpoint.params import Server
from generators.language.endpoint.transport import EndpointError
from tests.generators.language.endpoint.server import Answer, Endpoint, Response, completion, scripted, serving

KEY_ENV, KEY = "EMOFORGE_TEST_KEY", "sk-very-secret-0123456789"
MESSAGES = [{"role": "user", "content": "one line, please"}]


def server_of(url: str, **more: Any) -> Server:
    limits = {"backoff_s": 0.01, "timeout_s": 5.0, **more.pop("limits", {})}
    return Server(url=url, model="tiny-1", limits=limits, **more)


def request_of(server: Server, seed: int = 1) -> Request:
    return chat_request(server, MESSAGES, TEXT_SCHEMA, seed=seed, temperature=1.0, max_tokens=50)


def ask(endpoint: Endpoint, folder: Path, seed: int = 1, **more: Any) -> tuple[Any, Client, list[float]]:
    """-> the answer, the client, and the seconds that it waited between tries."""
    waited: list[float] = []
    server = server_of(endpoint.url, **more)
    with Client(server, folder, sleep=waited.append) as client:
        return client.ask(request_of(server, seed)), client, waited


def test_an_answer_comes_back_and_is_asked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    with serving(scripted(completion({"text": "so happy"}))) as endpoint:
        reply, client, _ = ask(endpoint, tmp_path, key_env=KEY_ENV)
        assert json.loads(reply.content) == {"text": "so happy"} and reply.model == "tiny-1-2024"
        assert endpoint.paths == ["/v1/chat/completions"]
        assert endpoint.headers[0]["Authorization"] == f"Bearer {KEY}"
        body = endpoint.bodies[0]
        assert body["seed"] == 1 and body["model"] == "tiny-1" and body["messages"] == MESSAGES and not body["stream"]
        assert body["response_format"]["json_schema"]["schema"] == TEXT_SCHEMA
        monkeypatch.delenv(KEY_ENV)
        again, other, _ = ask(endpoint, tmp_path, key_env=KEY_ENV)
        assert again == reply and other.asked == 0 and client.asked == 1 and len(endpoint.bodies) == 1
        assert client.meter.spent().tokens_in == 40 and client.meter.spent().tokens_out == 10
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or KEY not in path.read_text(), f"the key stands in {path}"


def test_a_seed_is_sent_in_the_range_that_servers_take(tmp_path: Path) -> None:
    server = server_of("http://localhost:1/v1")
    assert request_of(server, 2**62 + 7).body["seed"] == 7
    assert request_of(server, 1).hash != request_of(server, 2).hash
    assert request_of(server_of("http://localhost:2/v1")).hash != request_of(server).hash


def test_the_response_format_is_the_servers(tmp_path: Path) -> None:
    for form, sent in (("json_object", {"type": "json_object"}), ("none", None)):
        assert request_of(server_of("http://localhost:1/v1", response_format=form)).body.get("response_format") == sent


def test_too_many_requests_waits_as_long_as_the_server_says(tmp_path: Path) -> None:
    busy = Response({"error": {"message": "slow down"}}, 429, {"Retry-After": "7"})
    at = email.utils.formatdate(time.time() + 30, usegmt=True)
    later = Response({"error": "slow down"}, 503, {"Retry-After": at})
    with serving(scripted(busy, later, completion({"text": "a"}))) as endpoint:
        _, client, waited = ask(endpoint, tmp_path)
    assert waited[0] == 7.0 and 25.0 < waited[1] <= 30.0
    assert client.meter.spent().tokens_out == 10, "what was refused costs nothing"
    with serving(scripted(Response({}, 429, {"Retry-After": "3600"}))) as endpoint:
        with pytest.raises(EndpointError, match="wait 3600 s, longest_wait_s is 120"):
            ask(endpoint, tmp_path)
        assert len(endpoint.bodies) == 1


def test_server_errors_are_repeated_with_growing_pauses(tmp_path: Path) -> None:
    down = Response(b"<html>oops</html>", 500)
    with serving(scripted(down, down, down, down, completion({"text": "a"}))) as endpoint:
        reply, _, waited = ask(endpoint, tmp_path, limits={"backoff_s": 1.0})
        assert len(endpoint.bodies) == 5 and "a" in reply.content
    assert all(2.0**k / 2 <= pause <= 2.0**k for k, pause in enumerate(waited)), waited
    assert len({pause / 2.0**k for k, pause in enumerate(waited)}) == 4, "with jitter"
    with serving(scripted(down)) as endpoint:
        with pytest.raises(EndpointError, match="status 500: <html>oops</html> after 3 tries"):
            ask(endpoint, tmp_path, seed=2, limits={"retries": 2})
        assert len(endpoint.bodies) == 3
    assert len(list((tmp_path / "answers").rglob("*.json"))) == 1, "of a request that failed nothing is kept"


@pytest.mark.parametrize(
    ("response", "says"),
    [
        (
            Response({"error": {"message": f"wrong key {KEY}\x1b[31m"}}, 401),
            r"status 401: wrong key \*\*\* \[31m.*key_env",
        ),
        (Response({"error": {"message": "no such model"}}, 404), "no such model.*ends with the version"),
        (Response({"error": {"message": "unknown response_format"}}, 400), "json_object or none"),
        (Response({}, 307, {"Location": "http://127.0.0.1:9/elsewhere"}), "status 307.*somewhere else"),
    ],
)
def test_what_will_not_pass_is_an_error_at_once(
    response: Response, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(KEY_ENV, KEY)
    caplog.set_level("DEBUG")
    with serving(scripted(response)) as endpoint:
        with pytest.raises(EndpointError, match=says) as caught:
            ask(endpoint, tmp_path, key_env=KEY_ENV)
        assert len(endpoint.bodies) == 1
    assert KEY not in str(caught.value) and KEY not in caplog.text


@pytest.mark.parametrize(
    "response",
    [
        Response(b""),
        Response(b"not json at all"),
        Response({"choices": []}),
        Response({"choices": [{"message": {"content": 7}}]}),
        Response(["what"]),
        Response(
            b'data: {"choices": [{"delta": {"content": "a"}}]}\n\n', headers={"Content-Type": "text/event-stream"}
        ),
    ],
)
def test_junk_is_no_answer(response: Response, tmp_path: Path) -> None:
    with (
        serving(scripted(response)) as endpoint,
        pytest.raises(EndpointError, match=r"no chat completion.*after 2 tries"),
    ):
        ask(endpoint, tmp_path, limits={"retries": 1})
    assert not (tmp_path / "answers").exists()


def test_who_is_silent_or_drips_is_given_up(tmp_path: Path) -> None:
    for slow in (Response({}, delay=1.0), Response(completion({"text": "a"}).body, drip=0.05)):
        with serving(scripted(slow)) as endpoint:
            begun = time.monotonic()
            with pytest.raises(EndpointError, match=r"no whole answer within 0.3 s after 1 tries"):
                ask(endpoint, tmp_path, limits={"timeout_s": 0.3, "retries": 0})
            assert time.monotonic() - begun < 2.0
    server = server_of(endpoint.url)
    assert Meter(tmp_path, server).spent().money == 0.0


def test_an_answer_that_never_ends_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generators.language.endpoint.transport.LONGEST_REPLY", 1 << 20)
    with serving(scripted(Response(b"x" * (3 << 20)))) as endpoint:
        with pytest.raises(EndpointError, match="more than 1 MiB"):
            ask(endpoint, tmp_path)
        assert len(endpoint.bodies) == 1


def test_nobody_there_says_so(tmp_path: Path) -> None:
    with serving(scripted(completion({}))) as endpoint:
        pass
    with pytest.raises(EndpointError, match="nobody answers there"):
        ask(endpoint, tmp_path, limits={"retries": 1})


def test_a_budget_stops_before_it_is_exceeded(tmp_path: Path) -> None:
    prices = {"price_in": 10.0, "price_out": 100.0}  # a million; the answers below cost 0.0014 each
    worst = worst_cost(server_of("http://x/v1", prices=prices), request_of(server_of("http://x/v1"))).money
    budget = {**prices, "budget": worst + 2 * 0.0014}
    with serving(scripted(completion({"text": "a"}))) as endpoint:
        for seed in range(3):
            _, client, _ = ask(endpoint, tmp_path, seed, prices=budget)
        with pytest.raises(BudgetError, match=r"has cost 0.0042 of the budget"):
            ask(endpoint, tmp_path, 3, prices=budget)
        assert len(endpoint.bodies) == 3
        ask(endpoint, tmp_path, 2, prices=budget)  # what was answered is still there
        ask(endpoint, tmp_path, 3, prices={**budget, "budget": 1.0})
    assert client.meter.spent().money == pytest.approx(4 * 0.0014)


def test_a_budget_of_tokens_counts_what_may_have_been_billed(tmp_path: Path) -> None:
    worst = worst_cost(server_of("http://x/v1"), request_of(server_of("http://x/v1")))
    with serving(scripted(completion({"text": "a"}, tokens=None))) as endpoint:
        _, client, _ = ask(endpoint, tmp_path, prices={"budget_tokens": 10_000})
        assert client.meter.spent() == worst, "a server that does not count is taken at its most"
    with serving(scripted(Response({}, delay=0.5))) as endpoint:
        for _ in range(2):
            with pytest.raises((EndpointError, BudgetError)) as caught:
                ask(
                    endpoint,
                    tmp_path,
                    prices={"budget_tokens": worst.tokens_in + worst.tokens_out},
                    limits={"timeout_s": 0.1, "retries": 0},
                )
        assert caught.type is BudgetError and len(endpoint.bodies) == 1


def test_a_damaged_account_is_no_new_beginning(tmp_path: Path) -> None:
    with serving(scripted(completion({"text": "a"}))) as endpoint:
        _, client, _ = ask(endpoint, tmp_path)
        client.meter.path.write_text("{")
        with pytest.raises(IntegrityError, match="is damaged"):
            ask(endpoint, tmp_path, 2)


def test_a_damaged_answer_is_asked_for_again(tmp_path: Path) -> None:
    with serving(scripted(completion({"text": "a"}))) as endpoint:
        ask(endpoint, tmp_path)
        (path,) = (tmp_path / "answers").rglob("*.json")
        path.write_text(path.read_text().replace('\\"a\\"', '\\"b\\"'))
        reply, client, _ = ask(endpoint, tmp_path)
        assert "a" in reply.content and client.asked == 1


def test_rates_hold_over_every_client_of_a_machine(tmp_path: Path) -> None:
    now = [1000.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    server = server_of("http://x/v1", limits={"requests_per_minute": 3, "tokens_per_minute": 1000})
    meters = [Meter(tmp_path, server, clock=lambda: now[0], sleep=sleep) for _ in range(2)]
    at = []
    for k in range(7):
        meters[k % 2].admit(request_of(server, k))
        at.append(now[0] - 1000.0)
    assert at == [0.0, 0.0, 0.0, 60.0, 60.0, 60.0, 120.0]
    tokens = worst_cost(server, request_of(server))
    n = 1000 // (tokens.tokens_in + tokens.tokens_out)
    server = server_of("http://y/v1", limits={"requests_per_minute": 100, "tokens_per_minute": 1000})
    meter = Meter(tmp_path, server, clock=lambda: now[0], sleep=sleep)
    begun = now[0]
    for k in range(n + 1):
        meter.admit(request_of(server, k))
    assert now[0] == begun + 60.0
    server = server_of("http://z/v1", limits={"tokens_per_minute": 1000})
    long = chat_request(server, MESSAGES, TEXT_SCHEMA, seed=1, temperature=1.0, max_tokens=990)
    with pytest.raises(ParamsError, match="could never be sent"):
        Meter(tmp_path, server).admit(long)


def test_requests_under_way_are_bounded_and_the_first_error_ends_them(tmp_path: Path) -> None:
    with serving(lambda body: Response(completion({"text": str(body["seed"])}).body, delay=0.02)) as endpoint:
        server = server_of(endpoint.url, limits={"concurrency": 3, "requests_per_minute": 1000})
        with Client(server, tmp_path) as client:
            replies = each(lambda seed: client.ask(request_of(server, seed)), range(12), 3)
        assert [json.loads(r.content)["text"] for r in replies] == [str(k) for k in range(12)]
        assert 2 <= endpoint.busiest <= 3

    def failing(body: dict[str, Any]) -> Response:
        return Response({}, 401) if body["seed"] == 2 else Response(completion({"text": "a"}).body, delay=0.05)

    answer: Answer = failing
    with serving(answer) as endpoint:
        server = server_of(endpoint.url)
        with Client(server, tmp_path) as client, pytest.raises(EndpointError, match="401"):
            each(lambda seed: client.ask(request_of(server, seed)), range(40), 2)
        assert len(endpoint.bodies) < 10


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"url": "localhost:8000"}, "https://host/v1"),
        ({"url": "https://u:geheim@host/v1"}, "holds a user"),
        ({"url": "http://api.example.org/v1", "key_env": "KEY"}, "not encrypted"),
        ({"key_env": "sk-geheim-1"}, "NAME of an environment variable"),
        ({"prices": {"budget": 1.0}}, "without price_in"),
    ],
)
def test_a_wrong_server_is_refused_without_a_secret(wrong: dict[str, Any], says: str) -> None:
    from corpora.params import parse

    with pytest.raises(ParamsError, match=says) as caught:
        parse(Server, {"url": "http://localhost:8000/v1", "model": "m", **wrong}, "parameters")
    assert "geheim" not in str(caught.value)


def test_a_key_that_is_not_set_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY_ENV, raising=False)
    with serving(scripted(completion({}))) as endpoint:
        with pytest.raises(UserError, match=f"{KEY_ENV}.*is not set"):
            ask(endpoint, tmp_path, key_env=KEY_ENV)
        assert not endpoint.bodies
