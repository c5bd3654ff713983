"""Describe the events in the log for docs/monitoring.md. Their levels are read from the code."""

import ast
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from adapter.logs import LIBRARY_MESSAGE

PACKAGE: Final = Path(__file__).parent.parent / "adapter"

NOTHING: Final = "No action is needed."
REVIEW: Final = "Run `adapter show ID`, and fix or discard the lead."
BUG: Final = "Report this as a bug, with the log line."

#: The meaning of each event, and the action to take.
EVENTS: Final[Mapping[str, tuple[str, str]]] = {
    "alarm_not_delivered": (
        "A service in `ADAPTER_ALARMS` did not accept a message. `reason` says why.",
        "Run `adapter alarms test`, and fix the URL.",
    ),
    "attempt_not_started": ("An error prevented a POST to Propexo, so the booking is held.", BUG),
    "background_write_dropped": (
        (
            "Too many requests were rejected to save all of them, so a rejected request was "
            "counted but not saved."
        ),
        NOTHING,
    ),
    "background_write_failed": (
        "A rejected request, or the time when a secret was used, was not saved.",
        "Act only if the problem continues after `postgresql_available`.",
    ),
    "booking_booked": ("A tour or a guest card is booked in Knock.", NOTHING),
    "booking_carried_out_late": (
        "Propexo may have processed a booking after a newer one for the same person.",
        REVIEW,
    ),
    "booking_expired": ("A lead could not be sent to Knock in time.", "Call the renter."),
    "booking_failed": ("Propexo accepted a booking, but it failed in Knock.", REVIEW),
    "booking_found": ("A booking with an unclear outcome was found in Propexo.", NOTHING),
    "booking_held": (
        "Propexo accepts the API token, but rejected a booking as not authorized.",
        REVIEW,
    ),
    "booking_not_checked": (
        (
            "A booking could not be checked because of an error. The adapter will check it "
            "again in an hour."
        ),
        BUG,
    ),
    "booking_not_found": (
        "The search for an unknown booking ended without a result. `why` gives the reason.",
        "Check Knock, then run `adapter confirm ID` or `adapter release ID --not-in-knock`.",
    ),
    "booking_postponed": (
        "A booking could not be sent and will be retried. `reason` says why.",
        NOTHING,
    ),
    "booking_refused": ("Propexo rejected a booking.", REVIEW),
    "booking_submitted": ("Propexo accepted a booking. The adapter now checks its job.", NOTHING),
    "booking_unknown": (
        "A POST got no clear response, so the booking may exist in Knock.",
        (
            "Wait. The adapter searches for the booking and logs `booking_found` or "
            "`booking_not_found`."
        ),
    ),
    "check_failed": ("A check by `adapter doctor` failed with an error.", BUG),
    "clock_agrees": ("A machine's clock agrees with PostgreSQL's clock again.", NOTHING),
    "clock_differs": (
        (
            "A machine's clock and PostgreSQL's clock differ by `seconds`. "
            "If the difference exceeds 30 seconds, the machine's worker sends nothing."
        ),
        "Synchronize the clocks (NTP).",
    ),
    "clock_was_ahead": (
        "A clock was ahead or was set back. Bookings that were postponed as a result are now due.",
        "If this happens again, check the clocks.",
    ),
    "console_failed": ("A console page failed with an error.", BUG),
    "crm_model_not_readable": (
        "Propexo rejects a request for tours or guest cards, so unknown bookings cannot be found.",
        "Ask Propexo to enable the model that `model` names.",
    ),
    "database_restored": (
        "The database was restored or copied. The adapter stops sending.",
        "Run `adapter restored` ([after a restore](operations.md#after-a-restore)).",
    ),
    "database_unchecked": (
        "Propexo's write log cannot be read, so the adapter does not send bookings yet.",
        "Act only if the problem lasts for more than five minutes.",
    ),
    "dedupe_key_failed": (
        "The mapping's `dedupe` failed for a webhook. The webhook counts as a new lead.",
        BUG,
    ),
    "document_fetched": ("A document that a webhook refers to was fetched.", NOTHING),
    "encryption_key_missing": (
        "A stored request was encrypted with another key.",
        "Add the key that `reason` names to `ADAPTER_ENCRYPTION_KEYS`.",
    ),
    "erased": ("Old personal data was deleted.", NOTHING),
    "error_ignored": (
        "An error occurred while Python cleaned up an object, and Python ignored the error.",
        NOTHING,
    ),
    "event_not_mapped": ("A webhook could not be mapped because of an error, so it is held.", BUG),
    "event_settled": ("A webhook was mapped, held or ignored (`state`).", NOTHING),
    "fetch_failed": (
        "A document that a webhook refers to could not be fetched. `reason` says why.",
        ("Wait for the adapter to retry. If the problem continues, check the token and the host."),
    ),
    "forced_stop": (
        (
            "A worker did not stop in time and was killed. The worker's bookings in flight become "
            "`unknown`."
        ),
        NOTHING,
    ),
    "format_not_counted": (
        "A webhook's fields could not be counted because of an error. The lead is booked anyway.",
        BUG,
    ),
    "free_times_not_parsed": (
        (
            "Propexo's response about Knock's calendar caused an error. Tours are booked without "
            "checking their times."
        ),
        BUG,
    ),
    "free_times_unknown": (
        (
            "Propexo did not report the available times. Tours are booked without checking their "
            "times. "
            "`reason` says why."
        ),
        "Act only if the problem continues.",
    ),
    "handshake_answered": ("A sender's verification request was answered.", NOTHING),
    "invitation_mailed": ("A link to choose a tour time was emailed to a renter.", NOTHING),
    "invitation_not_mailed": (
        "The email with the link to choose a tour time could not be sent. `reason` says why.",
        "If `will_retry` is true, no action is needed. Otherwise, run `adapter doctor`.",
    ),
    "knock_status_changed": ("Knock reported a new `status` for a booked tour.", NOTHING),
    "library_message": (
        (
            "A library logged a message. `logger` and `where` show where the message came from. "
            "The message's text is left out, because it may contain personal data."
        ),
        "Ignore warnings. Report errors together with the log lines around them.",
    ),
    "mapping_version_invalid": (
        "A published mapping can no longer be loaded. The mapping file is used instead.",
        "Fix the mapping in the console, or roll it back.",
    ),
    "mappings_invalid": (
        "The mapping files are invalid. The previous mappings stay in use.",
        "Run `adapter check`, fix the files, and reload.",
    ),
    "mappings_reloaded": ("New mappings are now in use.", NOTHING),
    "outcome_returned": ("A sender that was waiting for the outcome got its response.", NOTHING),
    "outcome_waiter_disconnected": (
        (
            "The database connection that waits for outcomes was lost. The adapter reopens the "
            "connection."
        ),
        NOTHING,
    ),
    "outcome_waiter_failed": ("An error interrupted the wait for outcomes.", BUG),
    "outcome_waiters_full": (
        "Too many senders are waiting for an outcome, so a sender got its response immediately.",
        "If this happens often, raise `ADAPTER_WEB_THREADS`.",
    ),
    "note_not_processed": (
        (
            "A renter's later message could not be sent or checked because of an error. The "
            "adapter tries again."
        ),
        BUG,
    ),
    "note_not_sent": (
        (
            "A renter's later message is missing, or may be missing, from Knock. `why` is the "
            "reason code."
        ),
        "Run `adapter show ID`, and if the text is missing from the guest card in Knock, add it.",
    ),
    "note_sent": ("A renter's later message was added to their guest card as a note.", NOTHING),
    "person_erased": ("`adapter purge` deleted a renter's data.", NOTHING),
    "postgresql_available": (
        "PostgreSQL is available again. `seconds` and `failures` describe the outage.",
        NOTHING,
    ),
    "postgresql_unavailable": (
        (
            "PostgreSQL is unavailable. `reason` gives the cause and PostgreSQL's address. The "
            "event is logged immediately as a warning, and then each minute as an error."
        ),
        "Fix PostgreSQL. The processes then resume automatically.",
    ),
    "problem_began": (
        (
            "A [problem](#problems) began. `code` and `source` show which one. The level is error "
            "if the problem is `broken`, and otherwise warning."
        ),
        "See the table of problems.",
    ),
    "problem_over": ("A problem is over.", NOTHING),
    "process_crashed": ("A process or a thread has ended with an unexpected error.", BUG),
    "process_is_stuck": (
        "A worker hung and stopped itself. The supervisor restarts the worker.",
        "If this happens again, report it with the value of `part`.",
    ),
    "propexo_unreachable": (
        "Propexo has been unreachable for five minutes. `reason` says why.",
        "Check the network and Propexo's status.",
    ),
    "propexo_webhook_early": (
        "Propexo will send a webhook about a tour again, because its guest card is not known yet.",
        NOTHING,
    ),
    "propexo_webhook_rejected": (
        "A webhook from Propexo was rejected.",
        "Compare `PROPEXO_WEBHOOK_SECRET` with the secret in Propexo's dashboard.",
    ),
    "proxy_not_trusted": (
        "A request came through a proxy that is not in `ADAPTER_TRUSTED_PROXIES`.",
        "Follow the instructions in `todo`.",
    ),
    "put_in_place_loaded": (
        "Changes to mappings and community names that were made in the console are now in use.",
        NOTHING,
    ),
    "reconcile_read_failed": (
        "A search in Propexo failed. The adapter will search again.",
        NOTHING,
    ),
    "request_cut_off": (
        "A client sent its request too slowly, or did not read its response.",
        NOTHING,
    ),
    "restarting_with_new_secrets": (
        "A worker is restarting because a secret has changed.",
        NOTHING,
    ),
    "renter_form_accepted": (
        "A renter used the link to choose, move or cancel a tour.",
        NOTHING,
    ),
    "renter_form_refused": (
        (
            "The adapter could not carry out a renter's choice (`reason`). The page told the "
            "renter why."
        ),
        NOTHING,
    ),
    "renter_link_refused": (
        "A renter's link is expired, invalid or closed (`reason`). The page told the renter why.",
        NOTHING,
    ),
    "renter_page_failed": ("The page for renters failed with an error.", BUG),
    "restore_not_excluded": (
        "Propexo's write log is not available, so a copied database cannot be recognized.",
        "Make sure that no other installation uses a copy of the adapter's database.",
    ),
    "run_failed": ("An error interrupted a task. The adapter will run the task again.", BUG),
    "run_postponed": ("A task is waiting for PostgreSQL.", NOTHING),
    "secret_not_reloaded": (
        "A file with a secret cannot be read. The previous value stays in use.",
        "Fix the file that `problem` names, and reload.",
    ),
    "secret_not_trimmed": (
        "A secret has whitespace or quotes around its value.",
        "Remove the whitespace or quotes where `variable` is set.",
    ),
    "sending_resumed": ("Propexo is working again, and bookings are sent.", NOTHING),
    "sending_still_stopped": ("A test of Propexo failed. The adapter will test again.", NOTHING),
    "sending_stopped": (
        (
            "Propexo rejects the API token, or several POSTs in a row had no clear response. "
            "If Propexo cannot be reached, the event is a warning."
        ),
        'See ["Sending is stopped"](operations.md#sending-is-stopped).',
    ),
    "service_links_ignored": (
        ("Kubernetes has set variables that look like settings, and the adapter ignores them."),
        "No action is needed. To prevent this event, set `enableServiceLinks: false`.",
    ),
    "settings_invalid": (
        "Settings or secrets were invalid during a reload. The previous values stay in use.",
        "Fix what `problem` names, and reload.",
    ),
    "sign_in_refused": ("A wrong name or password was entered in the console.", NOTHING),
    "source_is_open": (
        "A source has no signature (`scheme: none`), so anyone can send leads to it.",
        "If the sender supports a signature or a token, set it in the mapping.",
    ),
    "start_failed": (
        "A web or worker process cannot start. The log contains one line for each reason.",
        "Follow the instructions in `problem`.",
    ),
    "status_read_failed": (
        "A job's status could not be read. The adapter will try again.",
        NOTHING,
    ),
    "status_webhook_failed": (
        "The receiver of status webhooks failed. The adapter sends the webhooks again.",
        "If the problem continues, check the receiver.",
    ),
    "status_webhooks_given_up": (
        "Status webhooks could not be delivered within three days.",
        "Fix the receiver, and have it read the leads from `/api/leads`.",
    ),
    "status_webhooks_recovered": ("The receiver of status webhooks is working again.", NOTHING),
    "tour_time_taken": (
        "A tour was held because its time is not available in Knock's calendar.",
        REVIEW,
    ),
    "traces_delivered": ("The collector at `ADAPTER_TRACES_URL` accepts traces again.", NOTHING),
    "traces_not_delivered": (
        "The collector at `ADAPTER_TRACES_URL` does not accept traces. Leads are not affected.",
        "Check the collector.",
    ),
    "unexpected_error": ("A request failed with an error. The sender got a 503 response.", BUG),
    "web_started": (
        "The web process started. The log line gives its version, sources and database.",
        NOTHING,
    ),
    "webhook_duplicate": ("A webhook repeats an earlier one.", NOTHING),
    "webhook_rejected": (
        "A request was rejected. `reason` says why. `source` is empty if the source is unknown.",
        "Ignore requests from strangers. For a sender's requests, see `adapter rejections`.",
    ),
    "webhook_stored": ("A webhook was stored and acknowledged.", NOTHING),
    "worker_part_failed": (
        (
            "An error interrupted one part of a process (`part` says which one). The adapter tries "
            "again."
        ),
        BUG,
    ),
    "worker_started": (
        "A worker started. The log line gives its version, sources and database.",
        NOTHING,
    ),
    "workers_not_notified": (
        (
            "Workers were not notified of a new webhook. The workers will find the webhook within "
            "half a second."
        ),
        "Ignore warnings. Report errors as bugs.",
    ),
}

#: The level of each logging function. The level of `log.log` depends on the case.
LEVELS: Final = {"exception": ["error"], "log": ["warning", "error"]}


def events_in_code() -> dict[str, set[str]]:
    """Return the levels of each event that the code logs. Raise ValueError if one has no name."""
    found: dict[str, set[str]] = defaultdict(set)
    found[LIBRARY_MESSAGE] |= {"warning", "error"}
    for file in PACKAGE.rglob("*.py"):
        for function, name in _calls(ast.parse(file.read_text())):
            found[name] |= set(LEVELS.get(function, [function]))
    return found


def _calls(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=function)):
                message = node.args[1 if function == "log" else 0]
                for name in _constants(message):
                    yield function, name


def _constants(message: ast.expr) -> list[str]:
    match message:
        case ast.Constant(value=str(name)):
            return [name]
        case ast.IfExp(body=first, orelse=second):
            return _constants(first) + _constants(second)
    raise ValueError(f"an event's name is not constant: {ast.unparse(message)}")


def events_table() -> str:
    """Return a table of all events, sorted by name."""
    rows = ["| event | level | meaning | what to do |", "|---|---|---|---|"]
    levels = events_in_code()
    for name, (meaning, action) in sorted(EVENTS.items()):
        ordered = sorted(levels[name], key=lambda one: logging.getLevelNamesMapping()[one.upper()])
        rows.append(f"| `{name}` | {', '.join(ordered)} | {meaning} | {action} |")
    return "\n".join(rows)
