-- What people look at: what waits for them, lists, searches, charts; who may look, and who did what.

-- What waits for a person, soonest tour first.
CREATE INDEX bookings_waiting ON bookings (starts_at, id)
    WHERE state IN ('held', 'failed', 'unknown', 'expired');
CREATE INDEX events_aside ON events (state, id) WHERE state IN ('held', 'ignored', 'discarded');

-- Lists: by source and state, by community, by time.
CREATE INDEX bookings_by_source_and_state ON bookings (source, state, id);
CREATE INDEX bookings_by_community ON bookings (community, id);
CREATE INDEX bookings_by_time ON bookings (created_at) INCLUDE (id, source, state)
    WHERE reason IS DISTINCT FROM 'replayed';
CREATE INDEX events_by_time ON events (received_at) INCLUDE (id, source, state);

-- Searches: the beginning of an e-mail address or of words of a name, the end of a phone number.
CREATE INDEX bookings_by_email ON bookings ((appointment ->> 'email_1') text_pattern_ops)
    WHERE appointment ? 'email_1';
CREATE INDEX bookings_by_phone ON bookings (reverse(appointment ->> 'phone_1') text_pattern_ops)
    WHERE appointment ? 'phone_1';
CREATE INDEX bookings_by_name ON bookings USING gin (to_tsvector('simple',
    COALESCE(appointment ->> 'first_name', '') || ' ' || COALESCE(appointment ->> 'last_name', '')))
    WHERE appointment ? 'last_name';

-- How often a webhook came again is asked by its event; most never do.
CREATE INDEX claims_repeated ON claims (lead_id) WHERE repeats > 0;

-- How many webhooks each source sent in each hour that is over. They tell what is usual.
CREATE TABLE hours (
    source text NOT NULL,
    hour timestamptz NOT NULL,
    events integer NOT NULL,
    PRIMARY KEY (source, hour)
);
CREATE INDEX hours_by_time ON hours (hour);

-- People who may sign in to the console, beside those of the environment.
CREATE TABLE users (
    name text PRIMARY KEY,
    role text NOT NULL CONSTRAINT users_role CHECK (role IN ('read', 'operate')),
    -- A slow hash with its salt.
    password text NOT NULL,
    added_at timestamptz NOT NULL
);

-- Sign-ins that failed lately, by name and by address (keyed hashes).
CREATE TABLE failed_sign_ins (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    who text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX failed_sign_ins_by_who ON failed_sign_ins (who, at);

-- Who looked at, released, edited, discarded, replayed and exported what. Rows are only ever added.
CREATE TABLE acts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    by text NOT NULL,
    act text NOT NULL,
    -- The event or booking that it was about, where it was one.
    lead_id bigint,
    -- What else there is to know; never anything of a payload.
    detail text NOT NULL DEFAULT ''
);
CREATE INDEX acts_of_lead ON acts (lead_id, id) WHERE lead_id IS NOT NULL;
CREATE INDEX acts_by_person ON acts (by, id);
