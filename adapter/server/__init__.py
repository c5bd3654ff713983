"""Run the processes, including gunicorn, the worker, the supervisor and the demo."""
