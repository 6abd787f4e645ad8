"""Tokens: what is signed comes back, and nothing else is believed."""

import base64
import json

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.domain.errors import Unauthorized
from models.security.tokens import AgentClaims, TokenSigner, VisitorClaims

SECRET = "s" * 32
NOW = 1_800_000_000
AGENT = AgentClaims(account="demo", agent="ann", role="agent", session_started_s=NOW - 60, expires_s=NOW + 900)
VISITOR = VisitorClaims(
    account="demo", inbox="shop", contact="c" + "0" * 24, channel="web", external_id="vabc", expires_s=NOW + 900
)
signer = TokenSigner(SECRET)


def raw(payload: dict[str, object], *, key: str = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(payload, key, algorithm)


def unsigned(header: object, payload: object) -> str:
    parts = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (header, payload))
    return ".".join((*parts, ""))


def agent_payload(**changes: object) -> dict[str, object]:
    return {
        "aud": "raydesk/agent",
        "exp": NOW + 900,
        "acc": "demo",
        "sub": "ann",
        "role": "admin",
        "ses": NOW,
    } | changes


def test_claims_come_back_as_they_were_signed() -> None:
    assert signer.verify_agent(signer.sign(AGENT), NOW) == AGENT
    assert signer.verify_visitor(signer.sign(VISITOR), NOW) == VISITOR


def test_another_implementation_reads_the_token() -> None:
    read = jwt.decode(
        signer.sign(AGENT), SECRET, algorithms=["HS256"], audience="raydesk/agent", options={"verify_exp": False}
    )
    assert read["sub"] == "ann"
    assert jwt.get_unverified_header(signer.sign(AGENT)) == {"alg": "HS256", "typ": "JWT"}


def test_a_token_is_valid_until_its_last_second_and_not_at_its_expiry() -> None:
    token = signer.sign(AGENT)
    assert signer.verify_agent(token, AGENT.expires_s - 0.001) == AGENT
    with pytest.raises(Unauthorized, match="expired"):
        signer.verify_agent(token, AGENT.expires_s)


def test_a_visitor_is_no_agent_and_an_agent_no_visitor() -> None:
    with pytest.raises(Unauthorized, match="another kind"):
        signer.verify_agent(signer.sign(VISITOR), NOW)
    with pytest.raises(Unauthorized, match="another kind"):
        signer.verify_visitor(signer.sign(AGENT), NOW)


def test_the_audience_alone_keeps_kinds_apart() -> None:
    with pytest.raises(Unauthorized, match="another kind"):
        signer.verify_agent(raw(agent_payload(aud="raydesk/visitor")), NOW)


def test_no_algorithm_is_no_signature() -> None:
    for algorithm in ("none", "None", "NONE", ""):
        with pytest.raises(Unauthorized, match="not one of ours"):
            signer.verify_agent(unsigned({"alg": algorithm, "typ": "JWT"}, agent_payload()), NOW)


def test_another_algorithm_under_the_same_key_is_refused() -> None:
    with pytest.raises(Unauthorized, match="not one of ours"):
        signer.verify_agent(raw(agent_payload(), key="s" * 64, algorithm="HS512"), NOW)
    with pytest.raises(Unauthorized, match="not one of ours"):
        TokenSigner("s" * 64).verify_agent(raw(agent_payload(), key="s" * 64, algorithm="HS512"), NOW)


def test_a_token_of_another_secret_is_refused() -> None:
    with pytest.raises(Unauthorized, match="not one of ours"):
        TokenSigner("t" * 32).verify_agent(signer.sign(AGENT), NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "root"},
        {"exp": str(NOW + 900)},
        {"exp": NOW + 900.5},
        {"exp": True},
        {"sub": None},
        {"acc": 1},
        {"aud": ["raydesk/agent"]},
    ],
)
def test_a_signed_claim_of_a_wrong_type_is_refused(changes: dict[str, object]) -> None:
    body = msgspec.json.encode(agent_payload(**changes))
    token = jwt.PyJWS().encode(body, SECRET.encode(), "HS256")
    with pytest.raises(Unauthorized):
        signer.verify_agent(token, NOW)


def test_a_missing_expiry_is_refused() -> None:
    payload = agent_payload()
    del payload["exp"]
    with pytest.raises(Unauthorized):
        signer.verify_agent(raw(payload), NOW)


@given(place=st.integers(min_value=0), char=st.characters(codec="ascii"))
def test_a_token_with_one_character_changed_is_refused(place: int, char: str) -> None:
    token = signer.sign(AGENT)
    place %= len(token)
    forged = token[:place] + char + token[place + 1 :]
    if forged == token:
        return
    with pytest.raises(Unauthorized):
        signer.verify_agent(forged, NOW)


@given(st.text() | st.text("eyJ.-_=", min_size=3))
def test_any_text_is_refused_as_unauthorized_and_nothing_else(text: str) -> None:
    with pytest.raises(Unauthorized):
        signer.verify_agent(text, NOW)


def test_a_huge_token_is_refused() -> None:
    with pytest.raises(Unauthorized, match="not one of ours"):
        signer.verify_agent("a." * 1_000_000, NOW)


def test_a_refusal_tells_nothing_of_the_token() -> None:
    token = signer.sign(AGENT)
    with pytest.raises(Unauthorized) as refused:
        signer.verify_agent(token[:-2] + "AA", NOW)
    assert token[:20] not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        TokenSigner("short")


def test_a_renewal_never_outlives_the_session() -> None:
    renewed = signer.renew(AGENT, NOW, token_lifetime_s=900, session_lifetime_s=3600)
    assert renewed.expires_s == NOW + 900
    assert renewed.session_started_s == AGENT.session_started_s
    late = AGENT.session_started_s + 3599
    assert signer.renew(AGENT, late, token_lifetime_s=900, session_lifetime_s=3600).expires_s == late + 1
    with pytest.raises(Unauthorized, match="session is over"):
        signer.renew(AGENT, late + 1, token_lifetime_s=900, session_lifetime_s=3600)
