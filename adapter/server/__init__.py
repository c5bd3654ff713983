"""Run the processes: gunicorn, the worker, the supervisor and the demo."""
