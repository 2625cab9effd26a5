PYTHON ?= python3
PORT ?= 8000
MINUTES ?= 20
bin = .venv/bin
pip = $(bin)/pip --disable-pip-version-check --quiet
bind = $(PYTHON) -c "import socket; socket.create_server(('127.0.0.1', $(PORT)))"
is_busy = $(shell $(bind) 2>&1 | grep 'Address already in use')
serve = OMNIDESK_ENV=$${OMNIDESK_ENV:-development} PORT=$(PORT)

# What ruff's S105, S108, S311, S606 and S608 check too, where each exception has its reason.
known = B105,B108,B311,B606,B608

# uv takes seconds where pip takes a minute; where it reaches no index, pip may, as it is set up.
sync = $(bin)/uv pip install --quiet --system-certs --compile-bytecode --python $(1) -r $(2) || \
	$(pip) --python $(1) install -r $(2)

# The system's certificates, for npm too, which has its own.
ca = /etc/ssl/certs/ca-certificates.crt

.PHONY: run demo install test test-clients test-faults test-bench soak needs lint format bench clean

run: .venv/runtime  ## Serve the demo on 127.0.0.1:8000, and send messages
	$(if $(is_busy),$(error Port $(PORT) is in use. Choose another, such as: make run PORT=8001))
	@$(serve) $(bin)/flask --app wsgi init-db --demo
	@echo "API docs:  http://127.0.0.1:$(PORT)/api/docs"
	@echo "Log in as: admin, user1 or agent2, each with the password secret"
	@$(serve) exec deploy/run

demo: .venv/runtime  ## Delete all rows, and add the demo data again
	@$(serve) $(bin)/flask --app wsgi init-db --demo --reset

install: .venv/runtime  ## Make .venv with what the server needs
	@$(bin)/python -m compileall -q -o 0 -o 2 .venv/lib config.py omnidesk || true  # the worker's is 2

test: needs lint  ## Check everything, on SQLite and PostgreSQL, through nginx
	$(bin)/pytest --numprocesses 2 --dist worksteal

test-clients: .venv/clients  ## Check with headless Chromium, and clients and requests made from the document
	$(bin)/pytest tests/clients

test-faults: .venv/faults  ## Check with real faults, and with servers and databases that start, stop and move
	$(bin)/pytest --numprocesses 2 --dist loadfile tests/faults

test-bench: .venv/bench  ## Check that every benchmark runs, in small
	@.ci/need bench
	$(bin)/pytest tests/benchmarks

soak: .venv/dev  ## Read and write for 20 minutes: memory stays flat, nothing breaks; or MINUTES=1
	@.ci/need soak
	$(bin)/python -m tests.soak $(MINUTES)

needs:
	@.ci/need test

lint: .venv/dev  ## Check format, lint, security and types
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/bandit --quiet --recursive --skip $(known) omnidesk config.py wsgi.py gunicorn.conf.py
	$(bin)/mypy

bench: .venv/runtime .venv/bench  ## Measure, against others too, and write docs/benchmarks.md; half an hour
	@.ci/need bench
	.venv/peers/bin/python -m benchmarks

format: .venv/dev  ## Lay the code out
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

clean:  ## Remove what was made, but for the databases
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis

.venv/bin/pip:
	@.ci/need run
	@echo "Installing into .venv, which takes a minute or two."
	$(PYTHON) -m venv .venv

.venv/runtime: requirements.txt | .venv/bin/pip
	$(pip) install -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt requirements.txt | .venv/bin/pip
	$(pip) install "$$(grep -o '^uv==[0-9.]*' requirements-dev.txt)"
	$(call sync,$(bin)/python,requirements-dev.txt)
	@touch .venv/runtime $@

.venv/clients: tests/clients/requirements.txt tests/clients/package-lock.json .venv/dev
	@.ci/need clients
	$(call sync,$(bin)/python,tests/clients/requirements.txt)
	NODE_EXTRA_CA_CERTS=$${NODE_EXTRA_CA_CERTS:-$(ca)} npm --prefix tests/clients ci --no-fund --no-audit
	@touch $@

.venv/faults: tests/faults/requirements.txt .venv/dev
	@.ci/need faults
	$(PYTHON) -m venv --without-pip .venv/patroni
	$(call sync,.venv/patroni/bin/python,tests/faults/requirements.txt)
	@touch $@

.venv/bench: benchmarks/requirements.txt .venv/dev
	$(PYTHON) -m venv --without-pip .venv/peers
	$(call sync,.venv/peers/bin/python,benchmarks/requirements.txt)
	@touch $@
