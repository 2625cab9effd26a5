PYTHON ?= python3
PORT ?= 8000
bin = .venv/bin
serve = OMNIDESK_ENV=$${OMNIDESK_ENV:-development} PORT=$(PORT)

# What ruff's S105, S108, S311 and S608 check too, where each exception has its reason.
known = B105,B108,B311,B608

.PHONY: run install test needs lint format bench clean

run: .venv/runtime  ## Serve the demo on 127.0.0.1:8000
	@$(serve) $(bin)/flask --app wsgi init-db --demo
	@echo "API docs:  http://127.0.0.1:$(PORT)/api/docs"
	@echo "Log in as: admin, user1 or agent2, each with the password secret"
	@$(serve) exec $(bin)/gunicorn wsgi:app

install: .venv/runtime  ## Make .venv with what the server needs

test: needs lint .venv/bench  ## Check everything, on SQLite and PostgreSQL, through nginx
	$(bin)/pytest --numprocesses 2 --dist worksteal

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

.venv/runtime: requirements.txt
	@.ci/need run
	$(PYTHON) -m venv .venv
	$(bin)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/bench: benchmarks/requirements.txt .venv/runtime
	$(PYTHON) -m venv .venv/peers
	.venv/peers/bin/pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime
	$(bin)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@
