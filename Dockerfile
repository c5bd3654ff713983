# The adapter without mappings: mount them at /app/mappings. The command chooses the process:
# `adapter web` (default), `adapter worker`, or `sh -c "adapter check --environment && adapter migrate"`.
# Build with `docker build -t knock-lead-adapter:0.2.0 .`; `adapter init` writes a compose.yaml.

FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements/production.txt requirements/
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --require-hashes -r requirements/production.txt
COPY pyproject.toml README.md LICENSE ./
COPY adapter adapter
COPY mappings mappings
COPY ops ops
RUN pip --python /venv/bin/python install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --no-create-home adapter
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ADAPTER_HOST=0.0.0.0
WORKDIR /app
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/readyz', timeout=4)"]
CMD ["adapter", "web"]
