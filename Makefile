# Every target sets up what it needs in .venv. PYTHON chooses the interpreter to start from.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := setup.py pyproject.toml $(wildcard fastdl/kernels/*/*.pyx fastdl/kernels/*/*.pxd fastdl/kernels/*/*.h)

.PHONY: help train test test-reference bench bench-peers bench-report proof learning bench-save bench-compare \
	instructions instructions-save docs docs-serve docs-check docs-links lint debug fuzz sanitize stress wheel clean
help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-18s %s\n", $$1, $$2}' Makefile

$(STAMP): $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet "setuptools>=77" "cython>=3.2" "numpy>=2.0"
	$(BIN)/python -m pip install --quiet --no-build-isolation --editable ".[dev,train,plot,bench]"
	touch $@

train: $(STAMP)  ## Train a character model on real text (about a minute), then write with it
	$(BIN)/fastdl train text --out runs/text --epochs 8
	$(BIN)/fastdl generate runs/text --length 400 --temperature 0.7 --prompt "The "

test: $(STAMP)  ## Run the tests and the doctests
	$(BIN)/python -m pytest

test-reference: $(STAMP)  ## Run the tests on the NumPy reference, but for those of kernels alone
	FASTDL_TEST_BACKEND=reference $(BIN)/python -m pytest tests

bench: $(STAMP)  ## Run the benchmarks; peers are compared where they are installed
	$(BIN)/python -m pytest bench --benchmark-enable --benchmark-only -q -s

PEERS ?= pytorch jax keras thinc sklearn
THREADS ?= $(shell nproc)
bench-peers: SECONDS ?= 2
bench-peers: $(STAMP)  ## The same work in other libraries, each in an environment of its own (PEERS="pytorch jax")
	PYTHONPATH=bench $(BIN)/python -m peers $(PEERS) --seconds $(SECONDS) --threads $(THREADS)

# 15 minutes on two cores with SECONDS=0.03; goes on where it was stopped. SECONDS=0.3 measures rows longer, FRESH=1 all
# anew, QUICK=1 a few, to see whether it works; RECORDS="a.jsonl b.jsonl" takes the records of several machines instead.
REPORT := PYTHONPATH=bench $(BIN)/python -m report
PAGE := $(if $(QUICK),build/report/quick/performance,docs/performance)
MEASURED := build/report/$(if $(QUICK),quick,records).jsonl
bench-report: SECONDS ?= $(if $(QUICK),0.02,0.1)
bench-report: $(STAMP)  ## Measure every kernel, write docs/performance.md with its pictures and the README's rows of speed
	$(if $(RECORDS),,$(REPORT).gather --out $(MEASURED) --seconds $(SECONDS) $(if $(FRESH),--fresh) $(if $(QUICK),--quick))
	$(REPORT).pages $(or $(RECORDS),$(MEASURED)) --page $(PAGE).md $(if $(QUICK),,--readme README.md)

# QUICK=1 takes three minutes, keeps nothing and fails where a figure is below its floor. FRESH=1 runs again what is kept.
TASK ?=
proof: $(STAMP)  ## Every example on real data, seed by seed: docs/proof.md (TASK=speech SEEDS=3 FRESH=1, or QUICK=1)
	PYTHONPATH=bench $(BIN)/python -m proof $(TASK) --threads $(THREADS) $(if $(SEEDS),--seeds $(SEEDS)) \
		$(if $(FRESH),--fresh) $(if $(QUICK),--quick)

TASKS ?=
learning: SEEDS ?= 12
MINUTES ?= 60
JOBS ?= 2
learning: $(STAMP)  ## Learn small lessons from every kind of initial weights (TASKS=copying SEEDS=3 MINUTES=10): docs/initial-weights.md
	$(BIN)/python bench/learning.py --tasks $(TASKS) --seeds $(SEEDS) --minutes $(MINUTES) --jobs $(JOBS)

BASE ?=
CASES ?=
STORE ?= build/bench
bench-save: $(STAMP)  ## Store a run of every case, with machine, build and commit, in STORE (build/bench)
	$(BIN)/python -m pytest bench/bench_table.py -k "medium and $(or $(CASES),medium)" --benchmark-enable --benchmark-only \
		--benchmark-autosave --benchmark-storage=$(STORE) --benchmark-quiet -q -s

bench-compare: $(STAMP)  ## Time the working tree against BASE=<ref> (the last commit), CASES=<part> of the cases
	$(BIN)/python bench/compare.py --base "$(or $(BASE),HEAD)" --cases "$(CASES)"

instructions: $(STAMP)  ## Count instructions under valgrind against the kept numbers, or against BASE=<ref>
	$(BIN)/python bench/instructions.py --base "$(BASE)" --cases "$(CASES)"

instructions-save: $(STAMP)  ## Keep this tree's numbers of instructions
	$(BIN)/python bench/instructions.py --save

lint: $(STAMP)  ## ruff, cython-lint and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/cython-lint fastdl/kernels
	$(BIN)/mypy

DOCS_STAMP := $(VENV)/.installed-docs
$(DOCS_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

# LINKS=1 tries the links to the network too. Kept from one build to the next: what notebooks and examples gave (build/docs).
docs: $(DOCS_STAMP)  ## The site, in build/docs/html: a warning or a dead link fails (LINKS=1 tries the network's too)
	rm -rf build/docs/html build/docs/doctrees docs/api/generated
	$(BIN)/python -m sphinx -j 2 -q --fail-on-warning --keep-going -d build/docs/doctrees docs build/docs/html
	$(BIN)/python docs/check/links.py build/docs/html
	$(if $(LINKS),$(MAKE) docs-links)

docs-links: $(DOCS_STAMP)  ## Try the site's links to the network
	$(BIN)/python -m sphinx -j 2 -q -b linkcheck -d build/docs/doctrees docs build/docs/links

PORT ?= 8000
docs-serve: docs  ## Build the site and serve it on PORT (8000)
	$(BIN)/python -m http.server --directory build/docs/html --bind 127.0.0.1 $(PORT)

docs-check: docs  ## Read the site in a real browser (needs chromium): errors, pictures, search, widths, dark and light
	$(BIN)/python -m pip install --quiet "playwright>=1.45"
	$(BIN)/python docs/check/browser.py build/docs/html --pictures build/docs/pictures

debug:  ## The tests on a build with bounds checks and undefined-behaviour traps, in a folder of its own
	test -x build/debug/bin/python || $(PYTHON) -m venv build/debug
	build/debug/bin/python -m pip install --quiet --upgrade pip "setuptools>=77" "cython>=3.2" "numpy>=2.0"
	rm -rf build/debug/src && mkdir -p build/debug/src
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory build/debug/src
	cd build/debug/src && FASTDL_DEBUG=1 ../bin/python -m pip install --quiet --no-build-isolation --editable ".[test,train,plot]"
	cd build/debug/src && ../bin/python -m pytest

SEED ?= 0
fuzz: SECONDS ?= 60
fuzz: $(STAMP)  ## Call everything that is public with arguments that are wrong (SEED=1 SECONDS=600): docs/fuzzing.md
	PYTHONPATH=bench:. $(BIN)/python -m fuzz --seed $(SEED) --seconds $(SECONDS)

stress: $(STAMP)  ## Kill a process in 1,000 of its saves, and read 200,000 hostile files (two minutes)
	$(BIN)/python tests/stress/files.py --kills 1000 --files 200000

# TESTS="tests/test_dense.py" chooses. SANITIZER=thread looks for races, and needs clang and its OpenMP (docs/fuzzing.md).
TESTS ?= tests/faults/test_kernel_doors.py $(addprefix tests/test_,arrays.py dense.py recurrent.py recurrent_options.py \
	sequence.py random.py dropout.py dropout_variants.py norms.py norms_calculus.py optim.py optim_rows.py curvature.py)
SANITIZER ?= address,undefined
CLANG ?= clang
SANITIZED := build/sanitize$(if $(filter thread,$(SANITIZER)),-thread)
sanitize: export FASTDL_SANITIZE := $(SANITIZER)
sanitize: export CC := $(if $(filter thread,$(SANITIZER)),$(CLANG),gcc)
sanitize: export FASTDL_LEVELS ?= baseline avx2$(if $(shell grep avx512vl /proc/cpuinfo), avx512)
sanitize: SECONDS ?= 120
sanitize:  ## The kernel tests and the fuzz under the address and undefined-behaviour sanitizers, in a folder of its own
	test -x $(SANITIZED)/bin/python || $(PYTHON) -m venv $(SANITIZED)
	$(SANITIZED)/bin/python -m pip install --quiet --upgrade pip "setuptools>=77" "cython>=3.2" "numpy>=2.0"
	rm -rf $(SANITIZED)/src && mkdir -p $(SANITIZED)/src
	git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents --target-directory $(SANITIZED)/src
	cd $(SANITIZED)/src && ../bin/python -m pip install --quiet --no-build-isolation --editable ".[test,train,plot]"
	cd $(SANITIZED)/src && sh fuzz/sanitized.sh ../bin/python -m pytest -q -p no:faulthandler --capture=sys $(TESTS)
	cd $(SANITIZED)/src && PYTHONPATH=bench:. sh fuzz/sanitized.sh ../bin/python -m fuzz --seed $(SEED) --seconds $(SECONDS)

wheel: $(STAMP)  ## The sdist, and the wheel built from it
	$(BIN)/python -m build --outdir dist .

clean:  ## Remove what was built
	rm -rf $(VENV) build dist fastdl.egg-info fastdl/kernels/*.c fastdl/kernels/*/*.c fastdl/kernels/*.so fastdl/kernels/*/*.so
