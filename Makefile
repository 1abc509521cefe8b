.PHONY: test slow lint docs ci
test:
	pytest
slow:
	pytest -m slow
lint:
	ruff check . && ruff format --check . && mypy && lint-imports
docs:
	python docs/generate.py
ci:
	.ci/run
