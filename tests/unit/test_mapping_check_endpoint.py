"""Test the problems that ``adapter check`` reports about endpoint sections and TODOs."""

import shutil
from pathlib import Path

import pytest

from adapter.mapping import registry
from adapter.settings import Policy
from tests.paths import MAPPINGS

NO_NAME = "is not the name of an environment variable"


def checked(folder: Path, *sections: str, file: str = "leasebot.yaml") -> list[str]:
    """Return the problems in leasebot's mapping after replacing its signature with ``sections``."""
    shutil.copytree(MAPPINGS, folder, dirs_exist_ok=True)
    text = (MAPPINGS / "leasebot.yaml").read_text()
    start, end = text.index("signature:"), text.index("accept:")
    written = "\n".join(sections)
    (folder / file).write_text(f"{text[:start]}{written}\n{text[end:]}")
    return [str(problem) for problem in registry.check([folder], Policy())]


SIGNED = "signature: { scheme: hmac, header: X-S, secrets: [LEASEBOT_SECRET] }"


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("{ scheme: hmac, header: X-S }", "signature: the option 'secrets' is missing"),
        ("{ scheme: token, in: header, name: X-T }", "the option 'secrets' is missing"),
        ("{ scheme: basic, username: u }", "the option 'secrets' is missing"),
        ("{ preset: typeform }", "the option 'secrets' is missing"),
        ("{ scheme: none, secrets: [A] }", "secrets: scheme 'none' takes no secrets"),
        ("{ preset: typeform, secrets: [A, shh-1] }", f"signature.secrets.1: {NO_NAME}"),
        ("{ preset: typeform, secrets: [lower_case] }", f"signature.secrets.0: {NO_NAME}"),
        ("{ scheme: typeform, secrets: [A] }", "'typeform' is a preset: write 'preset: typeform'"),
    ],
)
def test_a_signature_that_cannot_start_is_reported(tmp_path: Path, block: str, words: str) -> None:
    (found,) = checked(tmp_path, f"signature: {block}")
    assert words in found


@pytest.mark.parametrize("block", ["{ scheme: none }", "{ preset: typeform, secrets: [A_1, _B] }"])
def test_a_valid_signature_block_is_accepted(tmp_path: Path, block: str) -> None:
    assert checked(tmp_path, f"signature: {block}") == []


@pytest.mark.parametrize(
    "block",
    [
        "signature: { preset: typeform, secrets: [whsec-hunter2] }",
        "signature: { preset: typeform, secrets: whsec-hunter2 }",
        "signature: whsec-hunter2",
        f"{SIGNED}\nhandshake: {{ meta: whsec-hunter2 }}",
        f"{SIGNED}\nhandshake: whsec-hunter2",
    ],
)
def test_what_may_be_a_secret_is_never_shown(tmp_path: Path, block: str) -> None:
    found = checked(tmp_path, block)
    assert len(found) == 1
    assert "hunter2" not in found[0]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("slak", "'handshake' must be slack, zoom, { meta: VARIABLE }"),
        ("{ slack: A }", "'handshake' must be slack, zoom, { meta: VARIABLE }"),
        ("{ meta: a-b }", f"handshake.meta: {NO_NAME}"),
    ],
)
def test_an_invalid_handshake_is_reported(tmp_path: Path, said: str, words: str) -> None:
    (found,) = checked(tmp_path, SIGNED, f"handshake: {said}")
    assert words in found


def test_zoom_needs_a_secret_to_validate_the_url(tmp_path: Path) -> None:
    (found,) = checked(tmp_path, "signature: { scheme: none }\nhandshake: zoom")
    assert "handshake: Zoom validates this URL with a secret" in found


@pytest.mark.parametrize("said", ["slack", "zoom", "meta", "{ meta: META_TOKEN }"])
def test_a_valid_handshake_is_accepted(tmp_path: Path, said: str) -> None:
    assert checked(tmp_path, SIGNED, f"handshake: {said}") == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("{ wait: 8 }", "respond.wait: must be seconds from 1s to 25s, such as 8s"),
        ("{ wait: 60s }", "respond.wait: must be seconds"),
        ("{ wiat: 8s }", "respond.wiat: unknown option 'wiat'; did you mean 'wait'?"),
        ("{ json: '{event}' }", "respond.json: must be an object"),
        ("{ text: [a] }", "respond.text: must be text"),
        ("{ text: a, xml: b }", "respond: has several of json, xml, text"),
        (
            "{ text: '{evnt}' }",
            "respond.text: {evnt} is not a placeholder: use one of {event}, {status}",
        ),
        ("{ json: { a: [ '{booking.}' ] } }", "respond.json: {booking.} is not a placeholder"),
        ("{ text: '{event' }", "respond.text: '{event': a single '{'"),
        ("{ text: '{event!r}' }", "respond.text: {event!r} is not a placeholder"),
        ("{ text: '{event:>9}' }", "respond.text: {event:>9} is not a placeholder"),
        (
            "{ text: '{booking.frist_name}' }",
            "respond.text: unknown field 'frist_name'; did you mean 'first_name'?",
        ),
        ("{ deadline: 5 }", "respond.deadline: must be seconds, such as 10s"),
        ("{ wait: 5s, deadline: 5s }", "respond.wait: must be shorter than 'deadline'"),
        ("{ say: hello }", "respond.say: must be lines such as 'booked:"),
        ("{ say: { boked: a } }", "respond.say.boked: unknown outcome 'boked'; did you mean"),
        ("{ say: { booked: [] } }", "respond.say.booked: must be text"),
        ("{ say: { booked: '{say}' } }", "respond.say.booked: {say} is not a placeholder"),
        ("{ text: '{request.a..b}' }", "respond.text: 'a..b' is not a path"),
        ("{ text: '{request.lead.x}' }", "respond.text: 'lead.x' is not in any sample payload"),
        ("{ text: '{request.tour.id}' }", "respond.text: 'tour' has a value for each item"),
        ("{ json: { each: { a: b } } }", "respond.json: 'each' must be the only key of a list"),
        (
            "{ json: { each_free_time: a } }",
            "respond.json: 'each_free_time' must be the only key of a list item",
        ),
        (
            "{ json: [ '{free_time_utc}' ] }",
            "{free_time_utc} has a value for each available time: use it under 'each_free_time'",
        ),
        ("{ json: [ { each: a, b: c } ] }", "respond.json: 'each' must be the only key of a list"),
        ("{ booked: hello }", "respond.booked: must be one of { json"),
        ("{ booked: { text: [] } }", "respond.booked.text: must be text"),
    ],
)
def test_an_invalid_response_template_is_reported(tmp_path: Path, said: str, words: str) -> None:
    (found,) = checked(tmp_path, SIGNED, f"respond: {said}")
    assert words in found


@pytest.mark.parametrize(
    "said",
    [
        "{ wait: 8s, json: { id: '{event}', when: '{booking.appointment_date}' } }",
        "{ wait: 4s, json: { a: [ { each_free_time: ['{free_time}', '{free_time_local}'] } ] } }",
        "{ wait: 4s, deadline: 5s, json: [ { each: { id: '{request.tour.id}', is: '{say}' } } ] }",
        "{ text: '{request.conversation.id}', say: { expired: 'too late', held: '{event}' } }",
        "{ text: 'thanks', booked: { xml: '<ok>{status}</ok>' }, held: { json: [] } }",
    ],
)
def test_a_valid_response_template_is_accepted(tmp_path: Path, said: str) -> None:
    assert checked(tmp_path, SIGNED, f"respond: {said}") == []


SCHEMES = "write hmac, hash, token or basic, or none if the sender signs nothing"


def test_each_todo_is_a_mistake_and_the_only_one_at_its_place(tmp_path: Path) -> None:
    found = checked(tmp_path, "signature: { scheme: TODO }", "description: TODO")
    assert [line.partition(": ")[2] for line in found] == [
        f"signature.scheme: fill in this TODO: {SCHEMES}; see docs/signatures.md",
        "description: fill in this TODO, or remove the line",
    ]


def test_a_todo_is_found_in_keys_and_tests_and_not_in_what_a_sender_wrote(tmp_path: Path) -> None:
    checked(tmp_path, SIGNED)
    file = tmp_path / "leasebot.yaml"
    text = file.read_text()
    file.write_text(
        text.replace("onsite: in_person", "TODO: in_person")
        .replace("held: { phone_1: ", "held: { name: TODO, phone_1: ")
        .replace("{ visitor.phone: 0000000000 }", "{ visitor.phone: TODO call }")
    )
    found = [str(problem) for problem in registry.check([file], Policy())]
    assert len(found) == 2
    assert "appointment.tour_type.table.TODO: fill in" in found[0]
    assert "tests.1.held.name: fill in" in found[1]


def test_a_file_with_another_extension_is_reported(tmp_path: Path) -> None:
    checked(tmp_path, SIGNED)
    (tmp_path / "portal.yml").write_text("")
    (found,) = (str(problem) for problem in registry.check([tmp_path], Policy()))
    assert found.endswith("portal.yml:1:1: file: is not loaded: rename it to portal.yaml")


@pytest.mark.parametrize(
    ("respond", "message"),
    [
        ("say: { es: { booked: Hola } }", "is never used: add 'language: <path"),
        ("language: contact.name\n  say: { es: { boked: Hola } }", "did you mean 'booked'?"),
        ("language: contact.name\n  say: { es: Hola }", "must be lines such as"),
        ("language: contact.name\n  say: { fr: { held: '{x}' } }", "{x} is not a placeholder"),
        ("language: contact.nmae", "'contact.nmae' is not in any sample payload; did you mean"),
        ("language: contact.name\n  say: { es: { booked: Hola }, held: Hold }", None),
    ],
)
def test_messages_in_languages_are_checked(
    tmp_path: Path, respond: str, message: str | None
) -> None:
    shutil.copytree(MAPPINGS, tmp_path / "m")
    file = tmp_path / "m/rentfeed.yaml"
    file.write_text(file.read_text() + f"\nrespond:\n  wait: 8s\n  {respond}\n")
    problems = [str(one) for one in registry.check([file], Policy())]
    assert any(message in one for one in problems) if message else problems == [], problems
