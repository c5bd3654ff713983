-- The line of those that wait, found by these indexes alone. A condition in `IS TRUE` is served by no
-- other index: the planner's statistics do not know a line that grew in the last minutes, and it
-- would read and sort all of it for each booking that is taken.
DROP INDEX bookings_pending_by_tour, bookings_pending_by_source, bookings_pending_prospects;
CREATE INDEX bookings_pending_by_tour ON bookings (starts_at, id)
    WHERE (state = 'pending') IS TRUE AND kind = 'appointment';
CREATE INDEX bookings_pending_by_source ON bookings (source, starts_at, id)
    WHERE (state = 'pending') IS TRUE;
CREATE INDEX bookings_pending_prospects ON bookings (GREATEST(created_at, asked_at))
    WHERE (state = 'pending') IS TRUE AND kind = 'prospect';

-- New entries went into a list that each search reads from end to end, up to 4 MB, and the planner
-- would rather read the table. Sorted in at once they cost some 7 µs for each booking.
ALTER INDEX bookings_by_person SET (fastupdate = off);
SELECT gin_clean_pending_list('bookings_by_person');
