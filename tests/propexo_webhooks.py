"""Pass Propexo's webhooks to a receiver in this process, without an HTTP server."""

import dataclasses
import json
from typing import Any

import flask
from flask.testing import FlaskClient

from adapter import signatures
from adapter.models import WebhookRequest
from adapter.webhooks import error_handlers, propexo_views
from tests.harness import Harness

SECRET = "a-secret-of-propexo"


class PropexoWebhooks:
    """Sends signed webhooks to a harness's receiver."""

    def __init__(self, harness: Harness) -> None:
        app = flask.Flask("notices")
        error_handlers.register_error_handlers(app)
        harness.pipeline.follower.settings = dataclasses.replace(
            harness.settings, public_url="https://a.example.com"
        )
        app.register_blueprint(propexo_views.blueprint(harness.pipeline.follower, SECRET))
        app.extensions["pipeline"] = harness.pipeline
        self.app = app
        self.client: FlaskClient = app.test_client()

    def post(self, body: bytes, secret: str = SECRET) -> int:
        """Post a body as Propexo does, and return the status of the response."""
        request = WebhookRequest(
            method="POST", url="https://a.example.com/propexo/webhooks", headers={}, body=body
        )
        signed = signatures.sign({"preset": "propexo"}, secret, request, 0)
        answer = self.client.post("/propexo/webhooks", data=body, headers=dict(signed.headers))
        return int(answer.status_code)

    def data(self, model: str, record: dict[str, Any], event: str = "DATA_NEW") -> int:
        """Post a webhook about a record that has the same format as in Propexo's lists."""
        return self.post(data_webhook(model, record, event))


def data_webhook(model: str, record: dict[str, Any], event: str = "DATA_NEW") -> bytes:
    """Return the body of a webhook about a record. An update contains only the changes."""
    ids = {key: record[key] for key in ("integration_id",)}
    values = {key: value for key, value in record.items() if key != "id"}
    changed = {"diff": {"new": values, "previous": {}}}
    data = {
        "event": event,
        "object": model,
        "record_id": record["id"],
        "vendor": "KNOCK",
        "job_type": "READ_CRM_EVENTS",
        "job_id": "job_read",
        "root_job_id": "job_read",
        **ids,
        **({"payload": values} if event == "DATA_NEW" else changed),
        "context": {},
    }
    return json.dumps({"trigger": event, "data": data, "meta": ids | {"object": model}}).encode()
