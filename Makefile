# Which tests run when: docs/explanation/faults.md
.PHONY: test slow nightly lint docs ci
test:
	pytest
slow:
	pytest -m 'slow and not nightly' --dist worksteal
nightly:
	pytest -m '' --dist worksteal --hypothesis-profile nightly
lint:
	ruff check . && ruff format --check . && mypy && lint-imports
docs:
	python docs/generate.py
ci:
	.ci/run
