-- How tasks are put: by Procrastinate's own function, from within our statements. This file is the
-- one place that knows its shape; tests/test_tasks.py tells when a newer Procrastinate differs.

-- Puts a task; a unique_violation of the queueing lock says that the row has one that waits.
CREATE FUNCTION defer_task(task text, row_id bigint, priority integer, lock text, at timestamptz)
RETURNS bigint[] LANGUAGE sql AS $$
    SELECT procrastinate_defer_jobs_v1(ARRAY[ROW(
        'default', task, priority, lock, task || ':' || row_id,
        jsonb_build_object('row_id', row_id), at)::procrastinate_job_to_defer_v1])
$$;

-- Wakes the workers when the transaction commits.
CREATE FUNCTION wake_workers() RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 0}')
$$;

-- Puts a task unless its row has one that waits, and wakes the workers when it can run now.
CREATE FUNCTION put_task(task text, row_id bigint, priority integer, lock text, at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    violated text;
BEGIN
    PERFORM defer_task(task, row_id, priority, lock, at);
    IF at IS NULL OR at <= now() THEN
        PERFORM wake_workers();
    END IF;
EXCEPTION WHEN unique_violation THEN
    GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
    IF violated <> 'procrastinate_jobs_queueing_lock_idx_v1' THEN
        RAISE;
    END IF;
END
$$;

-- PostgreSQL lets one transaction at a time commit a NOTIFY, and each waits for the disk. An event's
-- transaction therefore has none: the web process wakes the workers after it.
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1;

-- Nobody reads the history that Procrastinate keeps of its tasks: ours is that of the rows.
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_status_events_insert_v1;
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_status_events_update_v1;
ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_trigger_scheduled_events_v1;
