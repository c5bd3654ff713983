"""Test emails with the link to choose a tour time, with a real SMTP server."""

import dataclasses
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapter import store
from adapter.cli.formatting import story_text
from adapter.console.story import story_of
from adapter.mapping.registry import load
from adapter.operations.check_settings import GivenSettings, mapping_findings
from adapter.operations.check_web import mail_findings
from adapter.operations.erase_personal_data import Eraser, Found
from adapter.operations.health import Problem, verdict_of
from adapter.operations.restore import Restore
from adapter.settings import EnvFile, read_settings
from tests.harness import START, Harness, settle
from tests.integration.test_invitations import PUBLIC_URL, lead, learn
from tests.integration.test_metrics import client
from tests.ports import free_port
from tests.renter import link_in
from tests.sandbox_client import SandboxClient
from tests.shell import Shell
from tests.smtp_server import SmtpCatcher, running_smtp_server


@pytest.fixture
def smtp() -> Iterator[SmtpCatcher]:
    with running_smtp_server() as smtp:
        yield smtp


@pytest.fixture
def harness(
    opened: store.Database, upstream: SandboxClient, smtp: SmtpCatcher, tmp_path: Path
) -> Harness:
    """Return a pipeline whose mappings invite renters, connected to an SMTP server."""
    learn(tmp_path)
    harness = Harness(opened, upstream, public_url=PUBLIC_URL, smtp_url=smtp.url)
    harness.pipeline.sources = load(tmp_path, harness.settings.policy)
    return harness


def send(harness: Harness) -> None:
    """Send all emails that are due."""
    assert harness.pipeline.mailer is not None
    harness.pipeline.mailer.run()


def outcome_of(harness: Harness, booking_id: int) -> tuple[str | None, bool]:
    """Return the outcome of a guest card's email, and True if the email will be tried again."""
    with harness.pipeline.store.transaction() as tx:
        row = tx.connection.execute(
            "SELECT outcome, due_at FROM invitation_mails WHERE booking_id = %s", [booking_id]
        ).fetchone()
    assert row is not None
    return row["outcome"], row["due_at"] is not None


def test_a_renter_is_emailed_the_link_once(harness: Harness, smtp: SmtpCatcher) -> None:
    (card,) = harness.mapped("bot", lead(lang="es"))
    send(harness)
    send(harness)
    (message,) = smtp.messages
    assert message["To"] == "person1@example.com"
    assert message["From"] == "tours@example.com"
    assert message["Subject"] == "Elija el horario de su visita a Maple Court"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_content()
    assert link_in(harness.booking(card.id)) in text
    assert "hasta el miércoles 1 de abril." in text
    assert "Okafor" not in text
    assert outcome_of(harness, card.id) == ("sent", False)


def test_the_email_is_in_english_by_default(harness: Harness, smtp: SmtpCatcher) -> None:
    harness.mapped("bot", lead())
    send(harness)
    (message,) = smtp.messages
    assert message["Subject"] == "Choose a time for your tour of Maple Court"
    assert "The link works until Wednesday, April 1." in message.get_content()


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA", "END"])
def test_an_email_that_was_not_accepted_is_tried_again(
    harness: Harness, smtp: SmtpCatcher, command: str
) -> None:
    (card,) = harness.mapped("bot", lead())
    smtp.responses[command] = ["451 later"]
    send(harness)
    assert outcome_of(harness, card.id)[1]
    send(harness)
    assert smtp.messages == [], "not before the pause is over"
    harness.clock.advance(61)
    send(harness)
    assert len(smtp.messages) == 1


@pytest.mark.parametrize("command", ["EHLO", "MAIL", "RCPT"])
def test_a_lost_connection_before_the_email_is_tried_again(
    harness: Harness, smtp: SmtpCatcher, command: str
) -> None:
    harness.mapped("bot", lead())
    smtp.responses[command] = [""]
    send(harness)
    harness.clock.advance(61)
    send(harness)
    assert len(smtp.messages) == 1


@pytest.mark.parametrize(
    ("command", "response", "outcome"),
    [
        ("RCPT", "550 unknown", "recipient_rejected"),
        ("END", "554 spam", "email_rejected"),
        ("END", "", "no_response"),
        ("END", "not SMTP", "no_response"),
    ],
)
def test_an_email_that_may_have_been_accepted_or_never_will_be_is_not_tried_again(
    harness: Harness, smtp: SmtpCatcher, command: str, response: str, outcome: str
) -> None:
    (card,) = harness.mapped("bot", lead())
    smtp.responses[command] = [response]
    send(harness)
    assert outcome_of(harness, card.id) == (outcome, False)


def test_a_server_that_is_down_delays_no_booking(
    harness: Harness, upstream: SandboxClient, smtp: SmtpCatcher
) -> None:
    (card,) = harness.mapped("bot", lead())
    smtp.responses["EHLO"] = smtp.responses["HELO"] = ["421 busy"] * 100
    for _ in range(40):
        send(harness)
        settle(harness)
        harness.clock.advance(3600)
    assert len(upstream.cards()) == 1
    assert outcome_of(harness, card.id)[1] is False, "it is given up after a day"


def test_a_renter_who_has_a_tour_or_was_erased_gets_no_email(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    (first,) = harness.mapped("bot", lead(1))
    repairs = harness.repairs
    repairs.release(first.id, {"starts_at": "2026-03-14T14:30"}, by="ana")
    (second,) = harness.mapped("bot", lead(2))
    eraser = Eraser(harness.settings, harness.pipeline.store, harness.clock)
    eraser.erase(Found(events=(second.event_id,), rejections=()), by="ana")
    send(harness)
    assert smtp.messages == []
    assert outcome_of(harness, first.id) == outcome_of(harness, second.id) == ("not_needed", False)


def test_a_webhook_that_is_mapped_again_sends_no_second_email(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    (card,) = harness.mapped("bot", lead())
    send(harness)
    replays = harness.replays
    replays.replay(card.event_id, by="ana", dry_run=False)
    assert len(harness.story(card.event_id).bookings) == 2
    send(harness)
    assert len(smtp.messages) == 1


# --- what is missing


def test_an_email_that_may_have_been_sent_after_the_backup_is_not_sent_again(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    (card,) = harness.mapped("bot", lead())
    settle(harness)
    send(harness)
    with harness.pipeline.store.transaction() as tx:  # as it was at the time of the backup
        tx.connection.execute(
            "UPDATE invitation_mails SET attempts = 0, outcome = NULL, due_at = created_at"
        )
    pipeline = harness.pipeline
    parts = (harness.settings, pipeline.store, pipeline.sources, pipeline.propexo, harness.clock)
    restore = Restore(*parts, harness.clock.advance)
    restore.stop()
    restore.apply(restore.survey(START - dt.timedelta(minutes=1)), by="ana")
    send(harness)
    assert len(smtp.messages) == 1
    assert outcome_of(harness, card.id) == ("restored", False)


def test_doctor_says_whether_the_smtp_server_works(smtp: SmtpCatcher) -> None:
    environ = {"ADAPTER_PUBLIC_URL": PUBLIC_URL, "ADAPTER_SMTP_URL": smtp.url}
    settings, faults = read_settings(environ)
    assert faults == []
    assert [one.status for one in mail_findings(settings)] == ["ok"]
    smtp.responses["EHLO"] = smtp.responses["HELO"] = ["554 no"] * 2
    (finding,) = mail_findings(settings)
    assert (finding.status, finding.text) == ("fault", "127.0.0.1 cannot be reached: SMTP 554")
    closed = f"smtp://127.0.0.1:{free_port()}?from=a@example.com"
    settings, _ = read_settings(environ | {"ADAPTER_SMTP_URL": closed})
    (finding,) = mail_findings(settings)
    assert finding.text == "127.0.0.1 cannot be reached: Connection refused"


def test_doctor_says_that_the_sign_in_or_the_sender_is_rejected(smtp: SmtpCatcher) -> None:
    smtp.extensions = ["AUTH PLAIN"]
    url = smtp.url.replace("//", "//tours:secret@")
    settings, _ = read_settings({"ADAPTER_PUBLIC_URL": PUBLIC_URL, "ADAPTER_SMTP_URL": url})
    smtp.responses = {"AUTH": ["535 no"] * 9}
    (finding,) = mail_findings(settings)
    assert finding.text == "127.0.0.1 rejects the user or the password: SMTP 535"
    smtp.responses = {"MAIL": ["553 no"]}
    (finding,) = mail_findings(settings)
    assert finding.text == "127.0.0.1 rejects the sender's address: SMTP 553"


# --- emails that keep failing


def test_emails_that_keep_failing_are_a_problem_until_one_is_accepted(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    harness.mapped("bot", lead())
    smtp.responses["MAIL"] = ["553 not your address"] * 3
    for pause in (61, 121):
        send(harness)
        assert "invitations_failing" not in problems(harness)
        harness.clock.advance(pause)
    send(harness)
    problem = problems(harness)["invitations_failing"]
    assert problem.sentence == (
        "No invitation has been emailed since 18:00 UTC (3 min ago): "
        "127.0.0.1 rejects the sender's address: SMTP 553. 1 email is waiting."
    )
    assert "ADAPTER_SMTP_URL" in problem.next_step
    web = client(harness, metrics_token="open sesame", smtp_url=smtp.url)
    with web.application.extensions["pipeline"].store:
        text = web.get("/metrics").text
    assert 'adapter_problem{code="invitations_failing",source=""} 1.0' in text
    harness.clock.advance(241)
    send(harness)
    assert len(smtp.messages) == 1
    assert "invitations_failing" not in problems(harness)


def test_the_problem_ends_a_day_after_the_last_failure(harness: Harness, smtp: SmtpCatcher) -> None:
    harness.mapped("bot", lead())
    smtp.responses["EHLO"] = smtp.responses["HELO"] = ["421 busy"] * 100
    for _ in range(40):
        send(harness)
        harness.clock.advance(3600)
    assert "invitations_failing" in problems(harness)
    harness.clock.advance(24 * 3600)
    assert "invitations_failing" not in problems(harness)


def test_one_renter_whose_address_is_rejected_again_and_again_is_no_problem(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    harness.mapped("bot", lead())
    smtp.responses["RCPT"] = ["450 later"] * 6
    for pause in (61, 121, 241, 481, 961, 1921):
        send(harness)
        harness.clock.advance(pause)
    assert "invitations_failing" not in problems(harness)


def test_if_all_addresses_are_rejected_the_server_is_the_problem(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    smtp.responses["RCPT"] = ["554 relay access denied"] * 3
    for number in range(1, 4):
        harness.mapped("bot", lead(number))
        send(harness)
        harness.clock.advance(61)
    problem = problems(harness)["invitations_failing"]
    assert "rejects the renter's address: SMTP 554. 0 emails are waiting" in problem.sentence


def problems(harness: Harness) -> dict[str, Problem]:
    settings = dataclasses.replace(harness.settings, database_url=harness.pipeline.store.url)
    verdict = verdict_of(harness.pipeline.store, (), settings, harness.clock())
    return {one.code: one for one in verdict.problems}


# --- addresses with letters that are not ASCII


def test_the_domain_of_an_address_is_encoded_for_any_server(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    harness.mapped("bot", lead(email="dana@münchen.example"))
    send(harness)
    (message,) = smtp.messages
    assert message["To"] == "dana@xn--mnchen-3ya.example"


def test_an_address_with_other_letters_needs_a_server_that_supports_it(
    harness: Harness, smtp: SmtpCatcher
) -> None:
    smtp.extensions = ["8BITMIME", "SMTPUTF8"]
    harness.mapped("bot", lead(email="josé@münchen.example"))
    send(harness)
    (message,) = smtp.messages
    assert message["To"] == "josé@xn--mnchen-3ya.example"
    assert "rcpt TO:<josé@xn--mnchen-3ya.example>" in smtp.commands
    assert any("SMTPUTF8" in one for one in smtp.commands if one.startswith("mail"))


@pytest.mark.parametrize(
    ("address", "outcome"),
    [
        ("josé@example.com", "address_not_supported"),
        ("dana@straße.example", "address_invalid"),  # it could reach strasse.example
        ("=?utf-8?q?a?=@example.com", "address_invalid"),  # it would reach a@example.com
        ("dana@\u2100.example", "address_invalid"),  # IDNA encodes the letter as a/c
    ],
)
def test_a_renter_who_cannot_be_emailed_is_named_in_the_leads_story(
    harness: Harness, smtp: SmtpCatcher, address: str, outcome: str
) -> None:
    (card,) = harness.mapped("bot", lead(email=address))
    send(harness)
    assert smtp.messages == []
    assert outcome_of(harness, card.id) == (outcome, False)
    (line,) = [one.text for one in story_of(harness.story(card.event_id)) if "email" in one.text]
    assert line.startswith("We couldn't email the renter a link to choose a time: ")
    assert line.endswith("Call or text them. The guest card's notes in Knock contain the link.")
    assert "invitations_failing" not in problems(harness)


def test_the_story_says_that_the_renter_was_emailed(harness: Harness, smtp: SmtpCatcher) -> None:
    (card,) = harness.mapped("bot", lead())
    smtp.responses["MAIL"] = ["421 later"]
    send(harness)
    story = harness.story(card.event_id)
    assert story_of(story)[-1].text.endswith("We'll try again.")
    assert "email with a link: will be sent at" in story_text(story, (), {}, None)
    harness.clock.advance(61)
    send(harness)
    story = harness.story(card.event_id)
    assert story_of(story)[-1].text == "We emailed the renter a link to choose a time."
    assert "email with a link: sent at 2026-03-02T18:01:01Z" in story_text(story, (), {}, None)


@pytest.mark.parametrize(
    "url", ["smtp://mail.example.com", "https://x?from=a@b.c", "smtp://?from=a@b.c", "x"]
)
def test_an_invalid_smtp_url_is_reported_without_its_value(url: str) -> None:
    _, faults = read_settings({"ADAPTER_PUBLIC_URL": PUBLIC_URL, "ADAPTER_SMTP_URL": url})
    (fault,) = faults
    assert fault.startswith("ADAPTER_SMTP_URL must be smtps://USER:PASSWORD@HOST")


def test_check_and_doctor_say_what_invitations_lack(tmp_path: Path) -> None:
    learn(tmp_path, tour_hours={"sun": "closed"})
    result = Shell()("check", str(tmp_path))
    assert "bot.yaml: renters get no links, because ADAPTER_PUBLIC_URL is not set" in result
    assert "renters at maple-court get no link to choose a time: add its tour_hours" in result
    settings, _ = read_settings({"ADAPTER_MAPPINGS_DIR": str(tmp_path), "RENTFEED_SECRET": "s"})
    settings = dataclasses.replace(settings, smtp_url="smtp://localhost?from=a@example.com")
    given = GivenSettings(settings, [], EnvFile(None, frozenset()))
    texts = [one.text for one in mapping_findings(given) if one.status == "warning"]
    assert any("ADAPTER_PUBLIC_URL is not set" in text for text in texts)
    assert "ADAPTER_SMTP_URL is not used, because ADAPTER_PUBLIC_URL is not set" in texts
