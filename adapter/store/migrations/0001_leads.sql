-- Events, claims, bookings, attempts and the history of all of them.

-- One sequence numbers events and bookings, so that an id names one thing.
CREATE SEQUENCE lead_ids START 1001;

-- One webhook request, stored once, as it came.
CREATE TABLE events (
    id bigint PRIMARY KEY DEFAULT nextval('lead_ids'),
    source text NOT NULL,
    state text NOT NULL DEFAULT 'received'
        CONSTRAINT events_state CHECK (state IN ('received', 'mapped', 'ignored', 'held', 'discarded')),
    received_at timestamptz NOT NULL,
    content_type text NOT NULL,
    headers jsonb NOT NULL,
    query text NOT NULL,
    body bytea NOT NULL,
    mapping_hash text,
    reasons jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX events_waiting ON events (received_at) WHERE state = 'received';
CREATE INDEX events_by_source ON events (source, id);

-- What has been seen: one row for each delivery and each item of one, as keyed hashes.
-- Outlives the event's body, so that a late repeat does not bring an erased person back.
CREATE TABLE claims (
    source text NOT NULL,
    digest bytea NOT NULL,
    lead_id bigint NOT NULL,
    claimed_at timestamptz NOT NULL,
    -- Hash of what came under this digest first: the same again, or something else?
    content bytea,
    repeats integer NOT NULL DEFAULT 0,
    repeated_at timestamptz,
    CONSTRAINT claims_once PRIMARY KEY (source, digest)
);

-- The key of those hashes: one for each installation.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    hash_key bytea NOT NULL
);
INSERT INTO installation (hash_key)
    VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

-- One appointment to be made.
CREATE TABLE bookings (
    id bigint PRIMARY KEY DEFAULT nextval('lead_ids'),
    event_id bigint NOT NULL REFERENCES events,
    item integer NOT NULL,
    source text NOT NULL,
    state text NOT NULL
        CONSTRAINT bookings_state CHECK (state IN (
            'pending', 'held', 'sending', 'submitted', 'booked', 'failed', 'unknown',
            'superseded', 'duplicate', 'expired', 'discarded')),
    community text,
    timezone text,
    starts_at timestamptz,
    appointment jsonb NOT NULL,
    reasons jsonb NOT NULL DEFAULT '[]',
    job_id text,
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    reason text,
    CONSTRAINT bookings_one_for_each_item UNIQUE (event_id, item),
    CONSTRAINT bookings_due CHECK ((state IN ('pending', 'submitted')) = (due_at IS NOT NULL)),
    CONSTRAINT bookings_job CHECK (state NOT IN ('submitted', 'booked') OR job_id IS NOT NULL)
);
CREATE INDEX bookings_due_at ON bookings (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX bookings_sending ON bookings (id) WHERE state = 'sending';
CREATE INDEX bookings_by_state ON bookings (state, id);
CREATE INDEX bookings_by_source ON bookings (source, id);
CREATE INDEX bookings_by_job ON bookings (job_id) WHERE job_id IS NOT NULL;

-- One POST to Propexo, committed before its first byte leaves.
CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id bigint NOT NULL REFERENCES bookings,
    request jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    -- After this the sender is taken for dead and the outcome for unknown.
    lease_until timestamptz NOT NULL,
    finished_at timestamptz,
    outcome text
        CONSTRAINT attempts_outcome CHECK (outcome IN (
            'not_sent', 'rate_limited', 'not_authorised', 'refused', 'accepted', 'job_failed',
            'unknown')),
    status integer,
    -- What Propexo said, as it said it; cut when long.
    answer text
);
CREATE INDEX attempts_by_booking ON attempts (booking_id, id);

-- No blind re-post: while an attempt may have booked something, there cannot be another one.
CREATE UNIQUE INDEX attempts_never_two_that_may_have_booked ON attempts (booking_id)
    WHERE outcome IS NULL OR outcome IN ('accepted', 'unknown');

-- Each change of state: when, from, to, why, by whom. Rows are only ever added.
CREATE TABLE history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    booking_id bigint REFERENCES bookings,
    at timestamptz NOT NULL,
    from_state text,
    to_state text NOT NULL,
    why text NOT NULL,
    by text NOT NULL
);
CREATE INDEX history_by_event ON history (event_id, id);
