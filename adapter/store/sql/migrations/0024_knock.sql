-- Tours that Knock moved to another time, notes that wait while Propexo does not respond to them, and slow
-- answers about free times.

ALTER TABLE bookings
    -- The tour's start in Knock, if Knock moved it, and since when its record has it.
    ADD COLUMN moved_to timestamptz,
    ADD COLUMN moved_at timestamptz;

ALTER TABLE rate_limit
    -- The number of consecutive POSTs of notes without a clear response. After one, no POST of a note
    -- begins before `note_retry_at`.
    ADD COLUMN note_failures integer NOT NULL DEFAULT 0,
    ADD COLUMN note_retry_at timestamptz NOT NULL DEFAULT 'epoch';

ALTER TABLE free_times
    -- When the last slow answer arrived. For a few seconds, bookings that have waited do not wait for another.
    ADD COLUMN slow_at timestamptz;
