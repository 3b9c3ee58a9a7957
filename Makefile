# Short names for what stands in scripts/; a machine without make runs those as they are.
.PHONY: setup check format test slow zoo test-gpu bench bench-gpu demo clean

setup:
	scripts/setup

check: setup
	scripts/check

format: setup
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

test:
	scripts/test

slow:
	scripts/test -m slow

zoo:
	scripts/test -p tests.progress_bar -n 2 -m zoo

test-gpu:
	VENV=.venv-gpu RUNTIME=gpu scripts/test -rs -m gpu

bench: setup
	.venv/bin/python benchmarks/build.py
	.venv/bin/python benchmarks/latency.py
	.venv/bin/python benchmarks/closure.py
	.venv/bin/python benchmarks/honesty.py

bench-gpu:
	.venv-gpu/bin/python benchmarks/gpu.py

demo:
	scripts/demo

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find convc tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
