"""Run the web process for tests with signatures from another day.

Start it as ``tests.apps.timed_web:application()``. Each request sets the clock, its source and
the public URL in headers that no sender uses. They are removed before the adapter sees the
request. Everything else is unchanged.
"""

import datetime as dt
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from adapter.app import create_app
from adapter.server.web_worker import Worker
from adapter.settings import settings_from

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

#: The public URLs that the tests call, separated by commas. The mappings for each are in a
#: numbered folder.
PUBLIC_URLS = "TESTS_PUBLIC_URLS"


def application() -> Wsgi:
    """Return an adapter for each public URL."""
    Worker.max_body_bytes = settings_from().max_body_bytes  # as gunicorn_conf does
    request = threading.local()

    def clock() -> dt.datetime:
        return dt.datetime.fromtimestamp(getattr(request, "now", time.time()), dt.UTC)

    def app(number: int, url: str) -> Wsgi:
        folder = f"{os.environ['ADAPTER_MAPPINGS_DIR']}/{number}"
        changes = {"ADAPTER_PUBLIC_URL": url, "ADAPTER_MAPPINGS_DIR": folder}
        return create_app(settings_from(os.environ | changes), clock)

    apps: Mapping[str, Wsgi] = {
        url: app(number, url) for number, url in enumerate(os.environ[PUBLIC_URLS].split(","))
    }

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request.now = float(environ.pop("HTTP_X_TESTS_NOW"))
        # The routed path only: RAW_URI, which is what was signed, stays as it is.
        environ["PATH_INFO"] = "/hooks/" + environ.pop("HTTP_X_TESTS_SOURCE")
        return apps[environ.pop("HTTP_X_TESTS_PUBLIC_URL")](environ, start_response)

    return answer
