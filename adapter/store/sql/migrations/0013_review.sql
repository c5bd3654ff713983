-- The console's list of leads that need a person.

ALTER TABLE bookings
    -- The tour's local time as sent, if its time zone is unknown.
    ADD COLUMN wall_time timestamp,
    -- The lead is not shown among those that need a person before this time.
    ADD COLUMN snoozed_until timestamptz,
    -- The user who takes care of the lead.
    ADD COLUMN assigned_to text;
CREATE INDEX bookings_to_review_by_wall_time ON bookings (wall_time, id)
    WHERE state IN ('held', 'failed', 'unknown', 'expired') AND starts_at IS NULL;
CREATE INDEX bookings_pending_released ON bookings (due_at)
    WHERE (state = 'pending') IS TRUE AND reason = 'released';
