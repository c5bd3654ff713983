-- Webhooks that report leads' states to another system.

CREATE TABLE status_webhooks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    history_id bigint NOT NULL,
    event_id bigint NOT NULL,
    booking_id bigint,
    status text NOT NULL
        CONSTRAINT status_webhooks_status CHECK (status IN (
            'booked', 'needs_review', 'failed', 'canceled')),
    at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL
);
CREATE INDEX status_webhooks_due ON status_webhooks (due_at, id);
CREATE INDEX status_webhooks_by_event ON status_webhooks (event_id, id);

CREATE TABLE status_webhook_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint,
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    last_error text,
    paused_until timestamptz NOT NULL DEFAULT 'epoch',
    given_up bigint NOT NULL DEFAULT 0,
    given_up_at timestamptz
);
INSERT INTO status_webhook_progress DEFAULT VALUES;
