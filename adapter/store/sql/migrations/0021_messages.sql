-- What a renter writes after their guest card or tour exists. It is sent to Knock as a note on the card.

CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id bigint REFERENCES bookings,
    state text NOT NULL DEFAULT 'waiting'
        CONSTRAINT messages_state CHECK (state IN (
            'waiting', 'sending', 'submitted', 'sent', 'unclear', 'failed')),
    reason text,
    asked_at timestamptz NOT NULL,
    body bytea,
    encryption_key text,
    prospect_id text,
    job_id text,
    tries integer NOT NULL DEFAULT 0,
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    posted_at timestamptz,
    CONSTRAINT messages_due CHECK ((due_at IS NOT NULL) = (state IN ('waiting', 'sending', 'submitted')))
);
CREATE INDEX messages_due ON messages (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX messages_by_booking ON messages (booking_id, id);
CREATE INDEX messages_by_prospect ON messages (prospect_id) WHERE prospect_id IS NOT NULL;
CREATE INDEX messages_by_job ON messages (job_id) WHERE job_id IS NOT NULL;
