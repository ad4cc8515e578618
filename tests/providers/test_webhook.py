"""The webhook: signed as the specification says, and honest about whether it was taken."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID

import pytest
import pytest_asyncio

from assistant.adapters.providers.http import HttpClient
from assistant.adapters.webhook import AlertWebhook, payload
from assistant.domain.webhook_signature import signature, signing_key
from assistant.errors import AssistantError, ProviderTimeout, ProviderUnavailable
from assistant.settings import SettingsError, load_settings
from tests.providers.fake_receiver import SECRET, FakeReceiver
from tests.providers.fake_server import closed_url
from tests.unit.budget_alerts import BUDGET, an_alert
from tests.unit.fakes import FakeClock

ID = UUID("0198f2c4-0000-7000-8000-00000000000a")
URL = "https://example.com/hook"


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[FakeReceiver]:
    async with FakeReceiver() as running:
        yield running


async def tell(url: str, clock: FakeClock | None = None) -> bool:
    async with HttpClient() as http:
        webhook = AlertWebhook(http, url, signing_key(SECRET), clock or FakeClock())
        return await webhook.tell(ID, an_alert())


def test_the_signature_is_that_of_the_published_example() -> None:
    """As the package standardwebhooks 1.1.0 signs it, with the secret of its own tests."""
    signed = signature(
        signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "1614265330",
        b'{"test": 2432232314}',
    )

    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_may_come_without_its_prefix() -> None:
    assert signing_key(SECRET) == signing_key(SECRET.removeprefix("whsec_"))


@pytest.mark.parametrize("secret", ["", "whsec_", "no base64!", "c2hvcnQ=", "YQ==" * 30, "A" * 92])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="24 to 64 bytes in base64") as raised:
        signing_key(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(raised.value)


async def test_a_receiver_gets_the_alert_signed_under_its_id(receiver: FakeReceiver) -> None:
    clock = FakeClock()
    assert await tell(receiver.url, clock)

    (received,) = receiver.received
    assert received.target == "/hook/?key=of-theirs"
    assert received.is_genuine
    assert received.id == str(ID)
    assert received.headers["webhook-timestamp"] == str(int(clock.now().timestamp()))
    assert received.headers["content-type"] == "application/json"
    assert received.json == {
        "type": "budget.alert",
        "timestamp": "2026-03-14T15:09:26.535000Z",
        "data": {
            "tenantId": "acme",
            "budgetId": str(BUDGET),
            "scope": "USER",
            "subject": "alice",
            "window": "MONTH",
            "step": "0.8",
            "spent": "8.0000125",
            "limit": "10",
            "currency": "USD",
            "startsAt": "2026-03-01T00:00:00Z",
            "resetsAt": "2026-04-01T00:00:00Z",
        },
    }


async def test_a_changed_body_id_or_time_is_not_genuine(receiver: FakeReceiver) -> None:
    await tell(receiver.url)
    (received,) = receiver.received

    for changed in (
        replace(received, body=received.body + b" "),
        replace(received, headers=received.headers | {"webhook-id": "x"}),
        replace(received, headers=received.headers | {"webhook-timestamp": "1"}),
    ):
        assert not changed.is_genuine


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_every_2xx_is_a_delivery(receiver: FakeReceiver, status: int) -> None:
    receiver.answers = [status]
    assert await tell(receiver.url)


async def test_410_means_that_it_is_not_wanted(receiver: FakeReceiver) -> None:
    receiver.answers = [410]
    assert not await tell(receiver.url)


@pytest.mark.parametrize("answer", [301, 307, 400, 401, 404, 429, 500, 503, "cut"])
async def test_everything_else_is_to_be_tried_again(
    receiver: FakeReceiver, answer: int | str
) -> None:
    receiver.answers = [answer]
    receiver.location = receiver.url

    with pytest.raises(ProviderUnavailable) as raised:
        await tell(receiver.url)

    assert len(receiver.received) == 1, "a redirect is not followed"
    assert "of-theirs" not in str(raised.value)


async def test_what_a_receiver_asks_to_wait_is_passed_on(receiver: FakeReceiver) -> None:
    receiver.answers = [503]
    receiver.retry_after = "90"

    with pytest.raises(ProviderUnavailable) as raised:
        await tell(receiver.url)

    assert raised.value.retry_after_s == 90


async def test_a_receiver_that_is_late_or_away_is_to_be_tried_again(
    receiver: FakeReceiver,
) -> None:
    for url in (closed_url(), receiver.url):
        receiver.delay_s = 60
        async with HttpClient() as http:
            webhook = AlertWebhook(http, url, signing_key(SECRET), FakeClock(), timeout_s=0.2)
            with pytest.raises(AssistantError) as raised:
                await webhook.tell(ID, an_alert())
        assert isinstance(raised.value, ProviderUnavailable | ProviderTimeout)
    receiver.delay_s = 0


def test_the_whole_tenants_alert_has_no_subject() -> None:
    data = payload(an_alert(subject=None))["data"]
    assert isinstance(data, dict)
    assert data["subject"] is None


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"URL": URL}, "ASSISTANT_ALERT_WEBHOOK_SECRET: .*set both"),
        ({"SECRET": SECRET}, "^ASSISTANT_ALERT_WEBHOOK_SECRET: goes with .*set both"),
        ({"URL": URL, "SECRET": "too short"}, "ASSISTANT_ALERT_WEBHOOK_SECRET: .*24 to 64 bytes"),
        (
            {"URL": "not a url", "SECRET": SECRET},
            "^ASSISTANT_ALERT_WEBHOOK_URL: must be an address, as in https://example.com/alerts$",
        ),
    ],
)
def test_settings_that_do_not_go_together_stop_the_start(
    given: dict[str, str], problem: str
) -> None:
    environment = {f"ASSISTANT_ALERT_WEBHOOK_{name}": value for name, value in given.items()}

    with pytest.raises(SettingsError, match=problem) as raised:
        load_settings(environment)

    assert SECRET not in str(raised.value)
    assert "too short" not in str(raised.value)


def test_both_settings_or_neither_are_fine() -> None:
    assert load_settings({}).alert_webhook_url is None
    settings = load_settings(
        {"ASSISTANT_ALERT_WEBHOOK_URL": URL, "ASSISTANT_ALERT_WEBHOOK_SECRET": SECRET}
    )
    assert SECRET not in repr(settings)
