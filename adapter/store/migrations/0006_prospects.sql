-- A lead without a tour time may become a guest card (a prospect) in Knock.

ALTER TABLE bookings
    ADD COLUMN kind text NOT NULL DEFAULT 'appointment'
        CONSTRAINT bookings_kind CHECK (kind IN ('appointment', 'prospect')),
    -- A guest card has no time, and no appointment goes out without one.
    ADD CONSTRAINT bookings_time CHECK (
        CASE kind WHEN 'prospect' THEN starts_at IS NULL
            ELSE starts_at IS NOT NULL OR state <> 'pending' END);

-- What the POST was to make. The index that forbids a second one is the same for both.
ALTER TABLE attempts
    ADD COLUMN kind text NOT NULL DEFAULT 'appointment'
        CONSTRAINT attempts_kind CHECK (kind IN ('appointment', 'prospect'));

-- The soonest tour of all is found without the guest cards; the soonest of a source by its own
-- index, which has both: this one must not tempt the planner to read all sources' tours.
DROP INDEX bookings_pending_by_tour;
CREATE INDEX bookings_pending_by_tour ON bookings (starts_at, id)
    WHERE state = 'pending' AND kind = 'appointment';

-- Guest cards that have waited too long are found without reading the others.
CREATE INDEX bookings_pending_prospects ON bookings (GREATEST(created_at, asked_at))
    WHERE state = 'pending' AND kind = 'prospect';

-- Places that no community is known by are counted among the leads that wait for one.
CREATE INDEX bookings_without_community ON bookings (source)
    WHERE state = 'held' AND community IS NULL;
