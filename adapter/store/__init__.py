"""PostgreSQL: the schema, the statements, one module for each group of tables."""

from adapter.store.connection import OLDEST_POSTGRES, queue_pool
from adapter.store.database import RECONNECT_SECONDS, Store, check_reachable, is_reachable
from adapter.store.erasure import Erasures
from adapter.store.jobs import Task
from adapter.store.migrate import migrate
from adapter.store.notify import settlements
from adapter.store.rate_limit import GateRow
from adapter.store.rejections import NewRejection, Rejection, Rejections
from adapter.store.review_queue import MOST_COUNTED, Group, Trouble, Waiting
from adapter.store.rows import NewBooking, NewEvent, storable
from adapter.store.search import LARGEST_NUMBER, Filter
from adapter.store.source_stats import Senders, Traffic, UnknownCommunity
from adapter.store.stats import Figures, Sending
from adapter.store.transaction import Leads
from adapter.store.users import SIGN_IN_WINDOW, Act, People, User

__all__ = [
    "LARGEST_NUMBER",
    "MOST_COUNTED",
    "OLDEST_POSTGRES",
    "RECONNECT_SECONDS",
    "SIGN_IN_WINDOW",
    "Act",
    "Erasures",
    "Figures",
    "Filter",
    "GateRow",
    "Group",
    "Leads",
    "NewBooking",
    "NewEvent",
    "NewRejection",
    "People",
    "Rejection",
    "Rejections",
    "Senders",
    "Sending",
    "Store",
    "Task",
    "Traffic",
    "Trouble",
    "UnknownCommunity",
    "User",
    "Waiting",
    "check_reachable",
    "is_reachable",
    "migrate",
    "queue_pool",
    "settlements",
    "storable",
]
