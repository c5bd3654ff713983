"""Define the Procrastinate task that tells a worker to map received events at once.

It has no data. If it is lost, a worker finds the events by itself within half a second.
"""

from typing import Any

import procrastinate
import psycopg

NAME = "map_received_events"

#: It has no connection. Each call provides one.
_queue = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())


def defer(connection: psycopg.Connection[Any]) -> bool:
    """Defer the task. Return False if one waits already, which will start later than this call.

    Raise psycopg.OperationalError if the connection is lost.
    """
    task = _queue.configure_task(NAME, queueing_lock=NAME, connection=connection)
    try:
        task.defer()
    except procrastinate.exceptions.AlreadyEnqueued:
        return False
    except procrastinate.exceptions.ConnectorException as exc:
        raise exc.__cause__ or exc from None
    return True
