-- The current schema, with the content and purpose of each table. The files in migrations/ create the
-- database; each runs once, in order. A test compares the results.

-- Events, bookings and attempts: received webhooks, their bookings, and POSTs to Propexo.

-- One sequence for events and bookings, so that every ID is unique across both.
CREATE SEQUENCE lead_ids START 1001;

-- A verified webhook request, stored once, as received.
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
    -- When to map the event while it is received: immediately, or later if its mapping is missing.
    due_at timestamptz NOT NULL DEFAULT 'epoch',
    -- The data that is left. all: everything; lead: the bookings without the payload; nothing: only IDs,
    -- states and times.
    kept text NOT NULL DEFAULT 'all'
        CONSTRAINT events_kept CHECK (kept IN ('all', 'lead', 'nothing')),
    -- ID of the key that encrypted headers, query and body, which are all in `body`; `headers` then holds
    -- only the sender's delivery IDs. NULL: not encrypted.
    encryption_key text,
    -- The documents fetched for a webhook that contains only IDs (`fetch:` in its mapping), as JSON. They are
    -- encrypted and erased together with the body.
    fetched text
);
CREATE INDEX events_to_map ON events (due_at, received_at) WHERE state = 'received';
CREATE INDEX events_to_erase ON events (kept, received_at)
    WHERE kept <> 'nothing' AND state <> 'received';
CREATE INDEX events_by_state ON events (state, id) WHERE state IN ('held', 'ignored', 'discarded');
CREATE INDEX events_by_source ON events (source, id);
CREATE INDEX events_by_time ON events (received_at) INCLUDE (id, source, state);

-- An appointment or guest card (a prospect) for one item of an event.
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
    -- Why the booking is in that state: a reason code, or a user's text.
    reason text,
    community text,
    timezone text,
    starts_at timestamptz,
    appointment jsonb NOT NULL,
    reasons jsonb NOT NULL DEFAULT '[]',
    -- Keyed hashes that related requests share: of the person's email and phone at the community, and of
    -- the sender's own key for the lead (item_key).
    match_keys bigint[] NOT NULL DEFAULT '{}',
    item_key bigint,
    -- Keyed hash of all mapped fields, which distinguishes a repeat from a change.
    content bigint,
    is_cancellation boolean NOT NULL DEFAULT false,
    -- The other lead that caused this state. `reason` contains the rule that was applied.
    because_of bigint,
    -- When the renter made the request.
    asked_at timestamptz NOT NULL,
    job_id text,
    -- When the last POST for the booking began.
    posted_at timestamptz,
    -- When a user reported that the booking no longer exists in Knock.
    gone_at timestamptz,
    -- When to send or check the booking next. An unknown booking is searched for until this is NULL, when a
    -- user takes over.
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- The tour's local time as sent, if its time zone is unknown.
    wall_time timestamp,
    -- The lead is hidden from the review queue until this time.
    snoozed_until timestamptz,
    -- The user who takes care of the lead.
    assigned_to text,
    -- Available times to offer if the tour's own time is taken.
    free_times timestamptz[] NOT NULL DEFAULT '{}',
    -- Propexo's ID of the renter's guest card.
    prospect_id text,
    -- Propexo's ID of the tour's event record.
    tour_id text,
    -- When Knock's own records confirmed the tour.
    confirmed_at timestamptz,
    -- The tour's status in Knock, and the time from which its record has this status.
    knock_status text
        CONSTRAINT bookings_knock_status CHECK (knock_status IN (
            'waiting', 'booked', 'canceled', 'visited', 'no_show')),
    knock_status_at timestamptz,
    -- The tour's start in Knock, if Knock moved it, and the time from which its record has it.
    moved_to timestamptz,
    moved_at timestamptz,
    CONSTRAINT bookings_one_for_each_item UNIQUE (event_id, item),
    CONSTRAINT bookings_due CHECK (
        CASE WHEN state IN ('pending', 'submitted') THEN due_at IS NOT NULL
            ELSE due_at IS NULL OR state = 'unknown' END),
    -- A booking found in Knock may be booked without a known job.
    CONSTRAINT bookings_job CHECK (state <> 'submitted' OR job_id IS NOT NULL),
    -- A guest card has no time, and an appointment is never sent without one.
    CONSTRAINT bookings_time CHECK (
        CASE kind WHEN 'prospect' THEN starts_at IS NULL
            ELSE starts_at IS NOT NULL OR state <> 'pending' END)
);
-- The send queue uses only these three indexes. The planner's statistics do not cover a queue that has
-- grown in the last few minutes, so it would read and sort the whole queue for each booking. A condition
-- with `IS TRUE` matches only indexes that repeat it.
CREATE INDEX bookings_pending_by_tour ON bookings (starts_at, id)
    WHERE (state = 'pending') IS TRUE AND kind = 'appointment';
CREATE INDEX bookings_pending_by_source ON bookings (source, starts_at, id)
    WHERE (state = 'pending') IS TRUE;
-- Bookings that a user has released go first.
CREATE INDEX bookings_pending_released ON bookings (due_at)
    WHERE (state = 'pending') IS TRUE AND reason = 'released';
CREATE INDEX bookings_pending_prospects ON bookings (GREATEST(created_at, asked_at))
    WHERE (state = 'pending') IS TRUE AND kind = 'prospect';
-- With fastupdate, new entries would go to a list of up to 4 MB that each search reads completely.
-- Direct inserts cost about 7 µs per booking.
CREATE INDEX bookings_by_match_key ON bookings USING gin (match_keys) WITH (fastupdate = off);
-- For recovery, which finds expired attempts, and for checks that are due.
CREATE INDEX bookings_in_flight ON bookings (due_at, state)
    WHERE state IN ('sending', 'submitted', 'unknown');
CREATE INDEX bookings_by_job ON bookings (job_id) WHERE job_id IS NOT NULL;
-- Find the bookings that a record in Knock may belong to.
CREATE INDEX bookings_by_prospect ON bookings (prospect_id) WHERE prospect_id IS NOT NULL;
CREATE INDEX bookings_by_tour ON bookings (tour_id) WHERE tour_id IS NOT NULL;
-- The review queue.
CREATE INDEX bookings_to_review ON bookings (starts_at, id)
    WHERE state IN ('held', 'failed', 'unknown', 'expired');
CREATE INDEX bookings_to_review_by_wall_time ON bookings (wall_time, id)
    WHERE state IN ('held', 'failed', 'unknown', 'expired') AND starts_at IS NULL;
-- Automatic decisions, by the lead that caused them, and by time for the report.
CREATE INDEX bookings_by_other_lead ON bookings (because_of) WHERE because_of IS NOT NULL;
CREATE INDEX bookings_decided ON bookings (updated_at)
    WHERE because_of IS NOT NULL AND state IN ('superseded', 'duplicate', 'discarded');
-- Lists by state, source, community and time.
CREATE INDEX bookings_by_state ON bookings (state, id);
CREATE INDEX bookings_by_source ON bookings (source, id);
CREATE INDEX bookings_by_source_and_state ON bookings (source, state, id);
CREATE INDEX bookings_by_community ON bookings (community, id);
CREATE INDEX bookings_by_time ON bookings (created_at) INCLUDE (id, source, state)
    WHERE reason IS DISTINCT FROM 'replayed';
-- Searches by the beginning of an email address, the end of a phone number, or the beginnings of words in a
-- name.
CREATE INDEX bookings_by_email ON bookings ((appointment ->> 'email_1') text_pattern_ops)
    WHERE appointment ? 'email_1';
CREATE INDEX bookings_by_phone ON bookings (reverse(appointment ->> 'phone_1') text_pattern_ops)
    WHERE appointment ? 'phone_1';
CREATE INDEX bookings_by_name ON bookings USING gin (to_tsvector('simple',
    COALESCE(appointment ->> 'first_name', '') || ' ' || COALESCE(appointment ->> 'last_name', '')))
    WHERE appointment ? 'last_name';
-- The planner does not use the statistics of a partial index. Without these, it would read all leads with a
-- common name to find the newest ones.
CREATE STATISTICS bookings_name_words ON (to_tsvector('simple',
    COALESCE(appointment ->> 'first_name', '') || ' ' || COALESCE(appointment ->> 'last_name', '')))
    FROM bookings;

-- Text that a renter writes after their guest card or tour has been created. It is sent to Knock as a note on the
-- guest card.
CREATE TABLE messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- The request whose text is sent. It was merged with a booking or replaced by it. NULL: its webhook was
    -- lost in a restore.
    booking_id bigint REFERENCES bookings,
    state text NOT NULL DEFAULT 'waiting'
        CONSTRAINT messages_state CHECK (state IN (
            'waiting', 'sending', 'submitted', 'sent', 'unclear', 'failed')),
    -- The reason code for the state.
    reason text,
    -- When the renter wrote it. A person's messages are sent in this order.
    asked_at timestamptz NOT NULL,
    -- The text. NULL before its new part is determined, and after it was erased.
    body bytea,
    -- ID of the key that encrypted `body`. NULL: not encrypted.
    encryption_key text,
    -- Propexo's ID of the guest card, and of the job that added the note.
    prospect_id text,
    job_id text,
    tries integer NOT NULL DEFAULT 0,
    -- When to send or check it next. While it is being sent, the time when its process is presumed dead.
    due_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- When the last POST began.
    posted_at timestamptz,
    CONSTRAINT messages_due CHECK ((due_at IS NOT NULL) = (state IN ('waiting', 'sending', 'submitted')))
);
CREATE INDEX messages_due ON messages (due_at, id) WHERE due_at IS NOT NULL;
CREATE INDEX messages_by_booking ON messages (booking_id, id);
CREATE INDEX messages_by_prospect ON messages (prospect_id) WHERE prospect_id IS NOT NULL;
CREATE INDEX messages_by_job ON messages (job_id) WHERE job_id IS NOT NULL;

-- A POST to Propexo, committed before its first byte is sent.
CREATE TABLE attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    booking_id bigint NOT NULL REFERENCES bookings,
    kind text NOT NULL DEFAULT 'appointment'
        CONSTRAINT attempts_kind CHECK (kind IN ('appointment', 'prospect')),
    request jsonb NOT NULL,
    started_at timestamptz NOT NULL,
    -- After this time, the sending process is presumed dead and the outcome unknown.
    lease_until timestamptz NOT NULL,
    finished_at timestamptz,
    outcome text
        CONSTRAINT attempts_outcome CHECK (outcome IN (
            'not_sent', 'rate_limited', 'not_authorized', 'refused', 'accepted', 'job_failed',
            'unknown')),
    status integer,
    -- Propexo's response, truncated if it is long.
    answer text
);
CREATE INDEX attempts_by_booking ON attempts (booking_id, id);
-- Prevent a blind second POST. While an attempt may have succeeded, another attempt cannot be inserted.
CREATE UNIQUE INDEX attempts_never_two_that_may_have_booked ON attempts (booking_id)
    WHERE outcome IS NULL OR outcome IN ('accepted', 'unknown');

-- Every state change of an event or booking, with its time, its reason and its author. Append-only.
CREATE TABLE history (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id bigint NOT NULL REFERENCES events,
    booking_id bigint REFERENCES bookings,
    at timestamptz NOT NULL,
    from_state text,
    to_state text NOT NULL,
    why text NOT NULL,
    by text NOT NULL,
    -- The other lead that caused the change.
    because_of bigint
);
CREATE INDEX history_by_event ON history (event_id, id);

-- Deduplication.

-- A used dedupe key, as a keyed hash. The row outlives the event's body, so that a late repeat does not
-- restore an erased person's data.
CREATE TABLE claims (
    source text NOT NULL,
    digest bytea NOT NULL,
    lead_id bigint NOT NULL,
    claimed_at timestamptz NOT NULL,
    -- Hash of the latest content with this key, which distinguishes a repeat from a change, and its event.
    content bytea,
    latest_id bigint NOT NULL,
    repeats integer NOT NULL DEFAULT 0,
    repeated_at timestamptz,
    CONSTRAINT claims_once PRIMARY KEY (source, digest)
);
-- Find the repeats of an event. Most events have none.
CREATE INDEX claims_repeated ON claims (lead_id) WHERE repeats > 0;

-- The key for all keyed hashes and the host of the API, in one row that is created with the database.
CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    hash_key bytea NOT NULL,
    -- The API host through which a tour was first booked in Knock, or null.
    propexo_host text
);
INSERT INTO installation (hash_key)
    VALUES (sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));

-- The identity of this database: cluster, timeline and OID. NULL after any error, because each POST depends on
-- this function.
CREATE FUNCTION current_identity() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()));
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- The database that workers last used: one row, written by the first worker. A restored database
-- differs from it.
CREATE TABLE database_identity (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    identity text,
    -- The transaction that wrote the row. If pg_restore has copied the row, xmin differs.
    written_by xid8 NOT NULL,
    -- When a worker last ran.
    seen_at timestamptz NOT NULL
);

-- Sending: Propexo's rate limit, and fairness among sources.

-- The rate limit that all workers share, in one row that every call to Propexo locks.
CREATE TABLE rate_limit (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- GCRA's theoretical arrival time: the time of the next call if calls were evenly spaced.
    theoretical_arrival_at timestamptz NOT NULL DEFAULT 'epoch',
    -- No calls are made before this time.
    paused_until timestamptz NOT NULL DEFAULT 'epoch',
    -- The reason that sending is suspended, or NULL: not_authorized, no_clear_answer, wrong_path, unreachable or
    -- restored.
    stopped_for text,
    -- When a worker last checked whether the cause is fixed.
    checked_at timestamptz NOT NULL DEFAULT 'epoch',
    -- The number of calls per minute that Propexo allows, as last reported.
    allowed integer,
    -- Virtual time for fair queuing: the virtual time of the source that was served last.
    virtual_time double precision NOT NULL DEFAULT 0,
    -- Since when sending has been suspended, or had failed before it was suspended.
    stopped_at timestamptz,
    -- The number of consecutive POSTs without a clear response since sending last worked.
    failures integer NOT NULL DEFAULT 0,
    -- After several such POSTs, no POST begins before this time.
    retry_at timestamptz NOT NULL DEFAULT 'epoch',
    -- The last error, while sending is suspended.
    stopped_why text,
    -- The number of consecutive POSTs of notes without a clear response. After one, no POST of a note
    -- begins before `note_retry_at`.
    note_failures integer NOT NULL DEFAULT 0,
    note_retry_at timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO rate_limit DEFAULT VALUES;

-- The permission to send bookings. stopped_for: the reason that sending is stopped until someone fixes it.
-- is_unchecked: no worker ran for a while, and this database has not yet been compared with Propexo's records.
CREATE VIEW gate AS
SELECT COALESCE(r.stopped_for, CASE WHEN NOT i.is_own THEN 'restored' END) AS stopped_for,
    COALESCE(i.seen_at <= now() - interval '2 minutes', false) AS is_unchecked
FROM rate_limit r LEFT JOIN (
    SELECT seen_at, xmin = xid(written_by)
        AND COALESCE(identity = current_identity(), true) AS is_own
    FROM database_identity) i ON true;

-- The access to Knock's tours and guest cards through Propexo, by integration and model. The customer must
-- enable each model. If a model cannot be read, a search without results proves nothing.
CREATE TABLE crm_models (
    integration_id text NOT NULL,
    -- crm_events or crm_prospects.
    model text NOT NULL,
    -- readable: the list has records. empty: it never had any. off: Propexo rejects the request.
    state text NOT NULL CONSTRAINT crm_models_state CHECK (state IN ('readable', 'empty', 'off')),
    -- When Propexo last answered a request for the list, and last sent a webhook about a record.
    checked_at timestamptz NOT NULL,
    heard_at timestamptz,
    PRIMARY KEY (integration_id, model)
);

-- Calls to Propexo in the last minute.
CREATE TABLE calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    is_read boolean NOT NULL
);
CREATE INDEX calls_at ON calls (at);

-- The available times in Knock that Propexo last reported for a community. All processes use them for a minute.
CREATE TABLE free_times (
    integration_id text NOT NULL,
    community_id text NOT NULL,
    -- APPOINTMENT or SELF_GUIDED_TOUR.
    appointment_type text NOT NULL,
    -- When the last request began. Other processes wait a few seconds for the response.
    asked_at timestamptz NOT NULL,
    -- When the response arrived. NULL: no response yet, or a booking has been sent since.
    answered_at timestamptz,
    times timestamptz[] NOT NULL DEFAULT '{}',
    -- True if a time that is not listed is not free.
    is_complete boolean NOT NULL DEFAULT false,
    -- The reason code if the last response was unusable, or NULL.
    problem text,
    -- The keys and types in the last response, without values, and when it arrived.
    shape text,
    shape_at timestamptz,
    -- When the last slow response arrived. For a few seconds, bookings that have waited do not wait again.
    slow_at timestamptz,
    PRIMARY KEY (integration_id, community_id, appointment_type)
);

-- Weighted fair queuing. The source with the smallest virtual time is served next.
CREATE TABLE source_turns (
    source text PRIMARY KEY,
    virtual_time double precision NOT NULL DEFAULT 0
);

-- Pauses set by users. The paused bookings are stored but not sent.
CREATE TABLE pauses (
    -- The source and community of the paused bookings. Empty: every source, or every community.
    source text NOT NULL DEFAULT '',
    community text NOT NULL DEFAULT '',
    reason text NOT NULL,
    by text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (source, community)
);

-- Rejected requests, and the use of the sources' secrets.

-- A request that failed verification, without credentials. Stored separately from events, with
-- limits on number and bytes per source.
CREATE TABLE rejections (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL,
    received_at timestamptz NOT NULL,
    reason text NOT NULL,
    method text NOT NULL,
    -- The URL as received, with its query string.
    url text NOT NULL,
    headers jsonb NOT NULL,
    -- The body, or NULL if it was not kept because it may contain a secret or was too long.
    body bytea,
    -- The size that counts against the limit.
    bytes bigint NOT NULL,
    -- Short keyed hash of the client's IP address, just long enough to distinguish clients.
    sender text,
    -- False if too little was kept to verify the request again.
    can_retry boolean NOT NULL,
    -- Keyed hashes of each spelling of the request's token or password.
    proofs bytea[] NOT NULL,
    -- ID of the key that encrypted URL, headers and body, which are all in `body`. NULL: not encrypted.
    encryption_key text
);
CREATE INDEX rejections_by_source ON rejections (source, id);
CREATE INDEX rejections_by_time ON rejections (received_at);

-- Number of rejected requests per source since the database was created. Source '' means an unknown source.
CREATE TABLE rejection_counts (
    source text NOT NULL,
    reason text NOT NULL,
    requests bigint NOT NULL,
    PRIMARY KEY (source, reason)
);

-- When each secret last verified a request. Contains names of environment variables, never secrets.
CREATE TABLE secret_uses (
    source text NOT NULL,
    name text NOT NULL,
    used_at timestamptz NOT NULL,
    PRIMARY KEY (source, name)
);

-- Changes that users made in the console, in addition to the files.

-- Another name that a source uses for a community.
CREATE TABLE community_aliases (
    source text NOT NULL,
    -- The normalized name, for comparisons.
    key text NOT NULL,
    name text NOT NULL,
    community text NOT NULL,
    -- The source's attribution at this community, if the file has none.
    attribution_id text,
    by text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (source, key)
);

-- A community that communities.yaml does not list.
CREATE TABLE added_communities (
    key text PRIMARY KEY,
    name text NOT NULL,
    integration_id text NOT NULL,
    community_id text NOT NULL,
    timezone text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL,
    -- Its options, as in communities.yaml.
    tour_hours jsonb NOT NULL DEFAULT '{}',
    check_availability boolean NOT NULL DEFAULT false,
    pms text NOT NULL DEFAULT ''
);

-- Each mapping that a user saved in the console. Append-only: the newest version of a source is used.
CREATE TABLE mapping_versions (
    source text NOT NULL,
    number integer NOT NULL,
    -- NULL: the file is used again.
    text text,
    -- SHA-256 of the mapping file that it replaces. It is not used with any other file.
    file_hash text NOT NULL,
    reason text NOT NULL,
    by text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (source, number)
);

-- The number of changes to these tables, in one row, so that processes notice them. No row: 0.
CREATE TABLE put_in_place (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    changes bigint NOT NULL DEFAULT 0
);

-- The console: its users, the audit log and the statistics.

-- Console users, in addition to those in ADAPTER_USERS.
CREATE TABLE users (
    name text PRIMARY KEY,
    role text NOT NULL CONSTRAINT users_role CHECK (role IN ('read', 'operate')),
    -- A slow, salted hash.
    password text NOT NULL,
    added_at timestamptz NOT NULL
);

-- Recent failed sign-ins by name and by IP address (keyed hashes), to limit further attempts.
CREATE TABLE failed_sign_ins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    who text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX failed_sign_ins_by_who ON failed_sign_ins (who, at);

-- User actions: views, releases, edits, discards, replays and exports. Append-only.
CREATE TABLE audit_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    action text NOT NULL,
    -- The ID of the event or booking, if any.
    lead_id bigint,
    -- Details, which never come from a payload.
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX audit_log_by_lead ON audit_log (lead_id, id) WHERE lead_id IS NOT NULL;
CREATE INDEX audit_log_by_user ON audit_log (by, id);

-- Number of webhooks per source and past hour, to compute the usual volume.
CREATE TABLE hourly_counts (
    source text NOT NULL,
    hour timestamptz NOT NULL,
    events integer NOT NULL,
    PRIMARY KEY (source, hour)
);
CREATE INDEX hourly_counts_by_time ON hourly_counts (hour);

-- Monitoring.

-- The running processes. All times are the database's. Rows of ended processes are deleted after a day,
-- except the latest of each kind.
CREATE TABLE processes (
    -- A random ID that each process chooses when it starts.
    id text PRIMARY KEY,
    kind text NOT NULL CONSTRAINT processes_kind CHECK (kind IN ('web', 'worker')),
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    -- Its latest heartbeat.
    seen_at timestamptz NOT NULL,
    -- When a worker last looked for due rows.
    looked_at timestamptz,
    -- How far its clock is ahead of the database's.
    clock_ahead_seconds double precision NOT NULL,
    -- Since when the mapping files differ from the mappings that it uses.
    outdated_since timestamptz,
    -- The median duration of its heartbeats' writes in the last two minutes, or NULL if there are too few.
    write_seconds double precision,
    -- True if a worker waits because another version has migrated the database.
    is_waiting boolean NOT NULL DEFAULT false
);

-- Problems that people are notified of. Deleted 90 days after their end.
CREATE TABLE alarms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL,
    -- The source concerned, or empty.
    source text NOT NULL,
    level text NOT NULL,
    sentence text NOT NULL,
    next_step text NOT NULL,
    began_at timestamptz NOT NULL,
    -- When a process last noticed the problem.
    seen_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- When people were last notified of it.
    sent_at timestamptz,
    -- A process may be sending a notification about it until this time.
    claimed_until timestamptz NOT NULL DEFAULT 'epoch',
    -- True if the problem has ended, and its end was announced or the problem never was.
    is_closed boolean NOT NULL DEFAULT false,
    acknowledged_by text,
    snoozed_until timestamptz
);
CREATE UNIQUE INDEX alarms_open ON alarms (code, source) WHERE NOT is_closed;

-- Webhooks that report leads' states to another system (ADAPTER_STATUS_WEBHOOK_URL).

-- A state change to report, queued from the history. Deleted when it is delivered or given up.
CREATE TABLE status_webhooks (
    -- An event's webhooks are delivered in this order.
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    history_id bigint NOT NULL,
    event_id bigint NOT NULL,
    -- NULL for a webhook without bookings.
    booking_id bigint,
    status text NOT NULL
        CONSTRAINT status_webhooks_status CHECK (status IN (
            'booked', 'needs_review', 'failed', 'canceled')),
    at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    -- When to try next. While a worker delivers it, the time when another worker may try.
    due_at timestamptz NOT NULL
);
CREATE INDEX status_webhooks_due ON status_webhooks (due_at, id);
CREATE INDEX status_webhooks_by_event ON status_webhooks (event_id, id);

-- The progress of reading the history, and the state of the receiver, in one row.
CREATE TABLE status_webhook_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- ID of the last entry in the history that was read, or NULL before the first time.
    position bigint,
    -- The number of failed attempts since the last successful one, and the time of the first.
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    -- The last error, which contains nothing from the response except its status.
    last_error text,
    -- Nothing is delivered before this time.
    paused_until timestamptz NOT NULL DEFAULT 'epoch',
    -- Number of webhooks that could not be delivered in time, and when the last one was given up.
    given_up bigint NOT NULL DEFAULT 0,
    given_up_at timestamptz
);
INSERT INTO status_webhook_progress DEFAULT VALUES;

-- Metrics.

-- Counters and histograms of all processes, since the database was created.
CREATE TABLE metric_values (
    metric text NOT NULL,
    -- The values of its labels, one per line.
    labels text NOT NULL,
    -- Empty for a counter. For a histogram, `sum` or the upper limit of a bucket. A bucket does not include
    -- smaller buckets.
    sample text NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (metric, labels, sample)
);

-- The last entry in the history whose change was counted, in one row.
CREATE TABLE metric_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO metric_progress (position) VALUES (0);

-- Statistics about the format of each source's webhooks: names of keys and numbers, never their values.

-- The number of webhooks counted, and the number that the mapping accepted.
CREATE TABLE format_counts (
    source text PRIMARY KEY,
    events bigint NOT NULL,
    accepted bigint NOT NULL,
    -- The mapping that was in use when the latest webhook was counted.
    mapping_hash text NOT NULL
);

-- How often a feature of a source's webhooks occurs. At most 500 per source.
CREATE TABLE format_features (
    source text NOT NULL,
    -- accepted, path, leaf, field or value.
    kind text NOT NULL,
    -- A path or a field.
    name text NOT NULL,
    -- For a value: its keyed hash.
    value text NOT NULL,
    seen bigint NOT NULL,
    -- The numbers, among the source's accepted webhooks, of the first and the last one with the feature.
    first bigint NOT NULL,
    last bigint NOT NULL,
    longest_gap bigint NOT NULL,
    -- The first webhook without the feature since the last webhook with it.
    missed_at timestamptz,
    missed_event bigint,
    first_at timestamptz,
    first_event bigint,
    PRIMARY KEY (source, kind, name, value)
);

-- The format changes that are still in effect.
CREATE TABLE format_changes (
    source text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    since timestamptz NOT NULL,
    first_event bigint NOT NULL,
    -- How many of the webhooks since then are affected.
    affected bigint NOT NULL,
    of bigint NOT NULL,
    -- New paths that appeared at the same time, with the number of webhooks for each.
    new_paths jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (source, kind, name, value)
);

-- The last event that was counted, in one row.
CREATE TABLE format_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO format_progress (position) VALUES (0);

-- Emails with a link to choose a tour time, one for each invited guest card.
CREATE TABLE invitation_mails (
    booking_id bigint PRIMARY KEY REFERENCES bookings,
    language text NOT NULL,
    created_at timestamptz NOT NULL,
    -- When to send it. NULL: it was sent or given up, or is being sent.
    due_at timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    -- sent, not_needed, restored, or the code of the problem in the last attempt.
    outcome text,
    -- When the last attempt ended.
    tried_at timestamptz
);
CREATE INDEX invitation_mails_due ON invitation_mails (due_at) WHERE due_at IS NOT NULL;

-- The failures since the last accepted email, in one row, or no row if there are none.
CREATE TABLE invitation_mail_failures (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    failures integer NOT NULL,
    failing_since timestamptz NOT NULL,
    failed_at timestamptz NOT NULL,
    last_error text NOT NULL
);
