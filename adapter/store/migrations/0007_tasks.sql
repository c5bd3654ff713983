-- How tasks are put: as rows of Procrastinate's, written by us. This file and `insert_events` are the
-- places that know their shape; tests/integration/test_tasks.py tells when a newer Procrastinate differs.

-- Wakes the workers when the transaction commits.
CREATE FUNCTION wake_workers() RETURNS void LANGUAGE sql AS $$
    SELECT pg_notify('procrastinate_any_queue_v1', '{"type": "job_inserted", "job_id": 0}')
$$;

-- Puts a task unless its row has one that waits, and wakes the workers when it can run now.
CREATE FUNCTION put_task(task text, row_id bigint, priority integer, lock text, at timestamptz)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO procrastinate_jobs
        (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
    VALUES (
        'default', put_task.task, put_task.priority, put_task.lock,
        put_task.task || ':' || put_task.row_id,
        jsonb_build_object('row_id', put_task.row_id), put_task.at)
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO NOTHING;
    IF FOUND AND (at IS NULL OR at <= now()) THEN
        PERFORM wake_workers();
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
