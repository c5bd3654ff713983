-- Background jobs.

-- name: enqueue_task
-- Enqueue a task unless one already waits for the same row.
SELECT enqueue_task(%(task)s, %(row_id)s, %(priority)s, %(lock)s, %(at)s)

-- name: notify_workers
-- Have the workers fetch jobs now.
SELECT notify_workers()
