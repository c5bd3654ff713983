"""Access PostgreSQL, with the schema, the SQL statements and a module per group of tables."""

from adapter.store.bookings import DueCheck
from adapter.store.connection import OLDEST_POSTGRES, address_of
from adapter.store.database import Database, check_reachable, is_reachable
from adapter.store.database_clock import DatabaseClock
from adapter.store.decided import IGNORED, DecisionCount, SharedContact
from adapter.store.encryption import Undecryptable
from adapter.store.identity import RESTORED, LastRun
from adapter.store.invitation_mails import MailFailures
from adapter.store.jobs import Task
from adapter.store.migrate import SchemaState, migrate
from adapter.store.notify import listen_for_received_events, listen_for_settled_events
from adapter.store.outage import Outage
from adapter.store.outbox import HistoryEnd, Horizon, StatusWebhook, WebhookSummary
from adapter.store.rejections import NewRejection, Rejection, RejectionSummary
from adapter.store.review_queue import MOST_COUNTED, Group, Issue, ReviewQueue
from adapter.store.rows import NewEvent, storable
from adapter.store.search import LARGEST_NUMBER, Filter, LeadCounts
from adapter.store.send_queue import Pause, scope_text
from adapter.store.server_facts import ServerFacts, server_facts
from adapter.store.stats import Sending, Traffic, UnknownCommunity
from adapter.store.transaction import Transaction
from adapter.store.users import SIGN_IN_WINDOW, AuditEntry, AuditLog, User

__all__ = [
    "IGNORED",
    "LARGEST_NUMBER",
    "MOST_COUNTED",
    "OLDEST_POSTGRES",
    "RESTORED",
    "SIGN_IN_WINDOW",
    "AuditEntry",
    "AuditLog",
    "Database",
    "DatabaseClock",
    "DecisionCount",
    "DueCheck",
    "Filter",
    "Group",
    "HistoryEnd",
    "Horizon",
    "Issue",
    "LastRun",
    "LeadCounts",
    "MailFailures",
    "NewEvent",
    "NewRejection",
    "Outage",
    "Pause",
    "Rejection",
    "RejectionSummary",
    "ReviewQueue",
    "SchemaState",
    "Sending",
    "ServerFacts",
    "SharedContact",
    "StatusWebhook",
    "Task",
    "Traffic",
    "Transaction",
    "Undecryptable",
    "UnknownCommunity",
    "User",
    "WebhookSummary",
    "address_of",
    "check_reachable",
    "is_reachable",
    "listen_for_received_events",
    "listen_for_settled_events",
    "migrate",
    "scope_text",
    "server_facts",
    "storable",
]
