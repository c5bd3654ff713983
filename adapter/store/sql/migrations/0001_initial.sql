-- The first schema; ../schema.sql has the same statements with comments that explain them.

CREATE SEQUENCE lead_ids START 1001;

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
    reasons jsonb NOT NULL DEFAULT '[]',
    due_at timestamptz NOT NULL DEFAULT 'epoch',
    kept text NOT NULL DEFAULT 'all'
        CONSTRAINT events_kept CHECK (kept IN ('all', 'lead', 'nothing')),
    encryption_key text
);
CREATE INDEX events_to_map ON events (due_at, received_at) WHERE state = 'received';
CREATE INDEX events_to_erase ON events (kept, received_at)
    WHERE kept <> 'nothing' AND state <> 'received';
CREATE INDEX events_by_state ON events (state, id) WHERE state IN ('held', 'ignored', 'discarded');
CREATE INDEX events_by_source ON events (source, id);
CREATE INDEX events_by_time ON events (received_at) INCLUDE (id, source, state);

CREATE TABLE bookings (
    id bigint PRIMARY KEY DEFAULT nextval('lead_ids'),
    event_id bigint NOT NULL REFERENCES events,
    item integer NOT NULL,
    source text NOT NULL,
    kind text NOT NULL DEFAULT 'appointment'
        CONSTRAINT bookings_kind CHECK (kind IN ('appointment', 'prospect')),
    state text NOT NULL
        CONSTRAINT bookings_state CHECK (state IN (
            'pending', 'held', 'sending', 'submitted', 'booked', 'failed', 'unknown',
            'superseded', 'duplicate', 'expired', 'discarded')),
    reason text,
    community text,
    timezone text,
    starts_at timestamptz,
    appointment jsonb NOT NULL,
    reasons jsonb NOT NULL DEFAULT '[]',
    match_keys bigint[] NOT NULL DEFAULT '{}',
    item_key bigint,
    content bigint,
    is_cancellation boolean NOT NULL DEFAULT false,
    because_of bigint,
    asked_at timestamptz NOT NULL,
    job_id text,
    posted_at timestamptz,
    gone_at timestamptz,
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT bookings_one_for_each_item UNIQUE (event_id, item),
    CONSTRAINT bookings_due CHECK (
        CASE WHEN state IN ('pending', 'submitted') THEN due_at IS NOT NULL
            ELSE due_at IS NULL OR state = 'unknown' END),
    CONSTRAINT bookings_job CHECK (state <> 'submitted' OR job_id IS NOT NULL),
    CONSTRAINT bookings_time CHECK (
        CASE kind WHEN 'prospect' THEN starts_at IS NULL
            ELSE starts_at IS NOT NULL OR state <> 'pending' END)
);
CREATE INDEX bookings_pending_by_tour ON bookings (starts_at, id)
    WHERE (state = 'pending') IS TRUE AND kind = 'appointment';
CREATE INDEX bookings_pending_by_source ON bookings (source, starts_at, id)
    WHERE (state = 'pending') IS TRUE;
CREATE INDEX bookings_pending_prospects ON bookings (GREATEST(created_at, asked_at))
    WHERE (state = 'pending') IS TRUE AND kind = 'prospect';
CREATE INDEX bookings_by_match_key ON bookings USING gin (match_keys) WITH (fastupdate = off);
CREATE INDEX bookings_in_flight ON bookings (due_at, state)
    WHERE state IN ('sending', 'submitted', 'unknown');
CREATE INDEX bookings_by_job ON bookings (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX bookings_to_review ON bookings (starts_at, id)
    WHERE state IN ('held', 'failed', 'unknown', 'expired');
CREATE INDEX bookings_by_other_lead ON bookings (because_of) WHERE because_of IS NOT NULL;
CREATE INDEX bookings_decided ON bookings (updated_at)
    WHERE because_of IS NOT NULL AND state IN ('superseded', 'duplicate', 'discarded');
CREATE INDEX bookings_by_state ON bookings (state, id);
CREATE INDEX bookings_by_source ON bookings (source, id);
CREATE INDEX bookings_by_source_and_state ON bookings (source, state, id);
CREATE INDEX bookings_by_community ON bookings (community, id);
CREATE INDEX bookings_by_time ON bookings (created_at) INCLUDE (id, source, state)
    WHERE reason IS DISTINCT FROM 'replayed';
CREATE INDEX bookings_by_email ON bookings ((appointment ->> 'email_1') text_pattern_ops)
    WHERE appointment ? 'email_1';
CREATE INDEX bookings_by_phone ON bookings (reverse(appointment ->> 'phone_1') text_pattern_ops)
    WHERE appointment ? 'phone_1';
CREATE INDEX bookings_by_name ON bookings USING gin (to_tsvector('simple',
    COALESCE(appointment ->> 'first_name', '') || ' ' || COALESCE(appointment ->> 'last_name', '')))
    WHERE appointment ? 'last_name';

CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id bigint NOT NULL REFERENCES bookings,
    kind text NOT NULL DEFAULT 'appointment'
        CONSTRAINT attempts_kind CHECK (kind IN ('appointment', 'prospect')),
    request jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    lease_until timestamptz NOT NULL,
    finished_at timestamptz,
    outcome text
        CONSTRAINT attempts_outcome CHECK (outcome IN (
            'not_sent', 'rate_limited', 'not_authorized', 'refused', 'accepted', 'job_failed',
            'unknown')),
    status integer,
    answer text
);
CREATE INDEX attempts_by_booking ON attempts (booking_id, id);
CREATE UNIQUE INDEX attempts_never_two_that_may_have_booked ON attempts (booking_id)
    WHERE outcome IS NULL OR outcome IN ('accepted', 'unknown');

CREATE TABLE history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    booking_id bigint REFERENCES bookings,
    at timestamptz NOT NULL,
    from_state text,
    to_state text NOT NULL,
    why text NOT NULL,
    by text NOT NULL,
    because_of bigint
);
CREATE INDEX history_by_event ON history (event_id, id);

CREATE TABLE claims (
    source text NOT NULL,
    digest bytea NOT NULL,
    lead_id bigint NOT NULL,
    claimed_at timestamptz NOT NULL,
    content bytea,
    latest_id bigint NOT NULL,
    repeats integer NOT NULL DEFAULT 0,
    repeated_at timestamptz,
    CONSTRAINT claims_once PRIMARY KEY (source, digest)
);
CREATE INDEX claims_repeated ON claims (lead_id) WHERE repeats > 0;

CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    hash_key bytea NOT NULL,
    propexo_host text
);
INSERT INTO installation (hash_key)
    VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

CREATE TABLE rate_limit (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    theoretical_arrival_at timestamptz NOT NULL DEFAULT 'epoch',
    paused_until timestamptz NOT NULL DEFAULT 'epoch',
    stopped_for text,
    checked_at timestamptz NOT NULL DEFAULT 'epoch',
    allowed integer,
    virtual_time double precision NOT NULL DEFAULT 0
);
INSERT INTO rate_limit DEFAULT VALUES;

CREATE TABLE calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    is_read boolean NOT NULL
);
CREATE INDEX calls_at ON calls (at);

CREATE TABLE source_turns (
    source text PRIMARY KEY,
    virtual_time double precision NOT NULL DEFAULT 0
);

CREATE TABLE rejections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    received_at timestamptz NOT NULL,
    reason text NOT NULL,
    method text NOT NULL,
    url text NOT NULL,
    headers jsonb NOT NULL,
    body bytea,
    bytes bigint NOT NULL,
    sender text,
    can_retry boolean NOT NULL,
    proofs bytea[] NOT NULL,
    encryption_key text
);
CREATE INDEX rejections_by_source ON rejections (source, id);
CREATE INDEX rejections_by_time ON rejections (received_at);

CREATE TABLE rejection_counts (
    source text NOT NULL,
    reason text NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (source, reason)
);

CREATE TABLE secret_uses (
    source text NOT NULL,
    name text NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (source, name)
);

CREATE TABLE users (
    name text PRIMARY KEY,
    role text NOT NULL CONSTRAINT users_role CHECK (role IN ('read', 'operate')),
    password text NOT NULL,
    added_at timestamptz NOT NULL
);

CREATE TABLE failed_sign_ins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    who text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX failed_sign_ins_by_who ON failed_sign_ins (who, at);

CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    action text NOT NULL,
    lead_id bigint,
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_by_lead ON audit_log (lead_id, id) WHERE lead_id IS NOT NULL;
CREATE INDEX audit_log_by_user ON audit_log (by, id);

CREATE TABLE hourly_counts (
    source text NOT NULL,
    hour timestamptz NOT NULL,
    events integer NOT NULL,
    PRIMARY KEY (source, hour)
);
CREATE INDEX hourly_counts_by_time ON hourly_counts (hour);
