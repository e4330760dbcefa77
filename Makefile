# Each command does the set-up that it needs, alone and in any order: `make install`, `make app`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# setuptools tells every editable installation that it is one.
PIP := $(BIN)/python -W ignore::UserWarning -m pip install --quiet

# On Linux with x86-64 the default index brings 22 CUDA packages along: PyTorch's own CPU builds, unless there is NVIDIA's driver.
# `make TORCH_INDEX=URL` takes another index, `make TORCH_INDEX=` the default one.
CPU_BUILDS := https://download.pytorch.org/whl/cpu
TORCH_INDEX ?= $(shell test "$$(uname -sm)" != "Linux x86_64" || command -v nvidia-smi >/dev/null || echo $(CPU_BUILDS))

.PHONY: install app demo load test test-fast lint clean

# Every part of the package, without what only its tests need.
install: $(VENV)/.all
	@echo "installed; to activate: . $(BIN)/activate"

# The page, from the generators in pretrained/. CYCLEGAN_HUB_MODELS=user (or a folder) takes others; GRADIO_SERVER_PORT another port.
app: $(VENV)/.app
	@echo "for the commands, in another terminal: . $(BIN)/activate"
	@$(BIN)/python app.py

# A short training on images it makes itself, resumed when run again, and how far held-out images come: red balls to striped ones and
# back, in 95 s of one core: mean colours 48 apart are 2 and 3 apart after it (AMD EPYC, n = 20 a direction, 2026-11-30). One thread:
# networks of this size gain little by a second one.
demo: export OMP_NUM_THREADS := 1
demo: $(VENV)/.train
	$(BIN)/python train/demo_data.py runs/demo-data
	$(BIN)/python train/train.py smile-compact --data runs/demo-data --labels "red ball,striped ball" \
		--out runs/demo --set width=16 --set blocks=2 --set skip=false --set discriminator=patch --set disc_channels=32,64,128 \
		--set adversarial=lsgan --set source_negatives=0 --set identity_a=5 --set identity_b=5 --set diffaugment= \
		--set epochs=3 --set snapshot_every=1
	@$(BIN)/python train/demo_result.py runs/demo runs/demo-data

# 30 clients at once, 200 requests: errors, p50 and p95.
load: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m support.page_load --clients 30 --requests 200

test: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# What can be looked at between two changes: no trainings in processes of their own, no browser.
test-fast: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -m "not slow and not browser"

# The runtime of `export --web` and the tests' axe-core, in the versions that these files name; node_modules/ is in no commit. Both
# at once: npm removes what an installation does not name.
node_modules/onnxruntime-web: cyclegan_hub/export/browser.py tests/support/axe.py
	npm install --silent --no-save --no-package-lock --ignore-scripts \
		"onnxruntime-web@$$(sed -n 's/^VERSION = "\(.*\)".*/\1/p' cyclegan_hub/export/browser.py)" \
		"axe-core@$$(sed -n 's/^VERSION = "\(.*\)".*/\1/p' tests/support/axe.py)"
	touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first, from its index; requirements.txt without the index of a Space pins everything else.
$(VENV)/.torch: requirements.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) --upgrade "pip>=24"
	@grep == requirements.txt > $(VENV)/constraints.txt
	@index="$(TORCH_INDEX)"; \
	if [ -n "$$index" ] && ! $(BIN)/python -c "import sys; from urllib.request import urlopen; urlopen(sys.argv[1], timeout=10)" "$$index/torch/" 2>/dev/null; then \
		echo "$$index cannot be reached: torch comes from the default index, perhaps with gigabytes of CUDA packages"; index=; \
	fi; \
	$(PIP) $${index:+--extra-index-url "$$index"} "$$(grep '^torch==' requirements.txt)"
	@touch $@

$(VENV)/.app: EXTRAS := space
$(VENV)/.train: EXTRAS := train
$(VENV)/.all: EXTRAS := train,space,export,video,notebook
$(VENV)/.all: COVERED := $(VENV)/.app $(VENV)/.train
$(VENV)/.dev: EXTRAS := dev
$(VENV)/.dev: COVERED := $(VENV)/.app $(VENV)/.train $(VENV)/.all
$(VENV)/.app $(VENV)/.train $(VENV)/.all $(VENV)/.dev: $(VENV)/.torch pyproject.toml
	@$(PIP) --constraint $(VENV)/constraints.txt --editable ".[$(EXTRAS)]"
	@touch $@ $(COVERED)

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
