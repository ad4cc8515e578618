# The service with everything it needs at hand: embedding model, GraphiQL's scripts, migrations
# and seeds. Nothing is downloaded when it starts.

FROM node:22.21.1-bookworm-slim AS graphiql
WORKDIR /build/ops/graphiql
COPY ops/graphiql/.npmrc ops/graphiql/package.json ops/graphiql/package-lock.json ./
RUN npm ci
COPY ops/graphiql ./
COPY assistant/api/graphiql.mjs /build/assistant/api/
RUN node build.mjs /build/graphiql

FROM python:3.11.14-bookworm AS build
WORKDIR /app
# Dependencies first: they change less often than the code.
COPY Makefile requirements.txt requirements-embedding.txt ./
RUN python -m venv .venv \
 && .venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE ./
COPY assistant assistant
RUN make .venv/runtime.done .venv/share/assistant/embedding/model.onnx \
 && .venv/bin/python -m compileall -q assistant
COPY --from=graphiql /build/graphiql .venv/share/assistant/graphiql

FROM python:3.11.14-slim-bookworm
LABEL org.opencontainers.image.title="assistant" \
      org.opencontainers.image.description="A federated GraphQL subgraph through which a company uses language models." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin assistant \
 && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/assistant
WORKDIR /app
# All of it belongs to root: the service cannot change its own code.
COPY --from=build /app /app
COPY migrations migrations
COPY seeds seeds
COPY ops/healthcheck.py ops/healthcheck.py
ENV PATH=/app/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ASSISTANT_HOST=0.0.0.0 \
    ASSISTANT_DATA_DIR=/var/lib/assistant
USER 10001:10001
EXPOSE 8090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
    CMD ["python", "/app/ops/healthcheck.py"]
ENTRYPOINT ["assistant"]
CMD ["serve"]
