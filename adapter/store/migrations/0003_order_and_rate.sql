-- One tour for one person, in the order of asking, within Propexo's rate.

-- Who asks for which community, as keyed hashes of e-mail and phone; and when they asked.
ALTER TABLE bookings
    ADD COLUMN person_keys bigint[] NOT NULL DEFAULT '{}',
    ADD COLUMN asked_at timestamptz,
    -- When the sender called it off; it is then not sent again.
    ADD COLUMN cancelled_at timestamptz;
UPDATE bookings SET asked_at = events.received_at FROM events WHERE events.id = bookings.event_id;
ALTER TABLE bookings ALTER COLUMN asked_at SET NOT NULL;
CREATE INDEX bookings_by_person ON bookings USING gin (person_keys);

-- An unknown booking is looked for on a schedule of its own, until a person takes it over.
ALTER TABLE bookings DROP CONSTRAINT bookings_due;
ALTER TABLE bookings ADD CONSTRAINT bookings_due CHECK (
    CASE WHEN state IN ('pending', 'submitted') THEN due_at IS NOT NULL
         ELSE due_at IS NULL OR state = 'unknown' END);
-- A booking may be seen in Knock without anybody knowing its job.
ALTER TABLE bookings DROP CONSTRAINT bookings_job;
ALTER TABLE bookings ADD CONSTRAINT bookings_job CHECK (
    state <> 'submitted' OR job_id IS NOT NULL);

-- The most urgent one is found without reading the others.
CREATE INDEX bookings_pending_by_tour ON bookings (starts_at, id) WHERE state = 'pending';
CREATE INDEX bookings_pending_by_source ON bookings (source, starts_at, id) WHERE state = 'pending';

-- One rate limit for all workers: every call to Propexo passes it.
CREATE TABLE rate_limit (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- When the next call would come if all came evenly (GCRA's theoretical arrival time).
    even_at timestamptz NOT NULL DEFAULT 'epoch',
    -- Nothing is called before this.
    paused_until timestamptz NOT NULL DEFAULT 'epoch',
    -- Nothing is sent while this is set, until somebody mends it: not_authorised.
    stopped_for text,
    checked_at timestamptz NOT NULL DEFAULT 'epoch',
    -- Calls a minute that Propexo last said it allows.
    allowed integer,
    -- The turn of the source that was served last.
    turn double precision NOT NULL DEFAULT 0
);
INSERT INTO rate_limit DEFAULT VALUES;

-- The calls of the last minute.
CREATE TABLE calls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    is_read boolean NOT NULL
);
CREATE INDEX calls_at ON calls (at);

-- Whose turn it is among the sources: the smallest goes first.
CREATE TABLE turns (
    source text PRIMARY KEY,
    turn double precision NOT NULL DEFAULT 0
);
INSERT INTO turns (source) SELECT DISTINCT source FROM bookings;
