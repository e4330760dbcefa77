# Two commands do all the set-up, each alone and in either order: `make app`, `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: app demo load test test-fast lint clean

# The page, from the generators in pretrained/. CYCLEGAN_HUB_MODELS=user (or a folder) takes others; GRADIO_SERVER_PORT another port.
app: $(VENV)/.app
	$(BIN)/python app.py

# A short training on images it makes itself, resumed when run again.
demo: $(VENV)/.train
	$(BIN)/python train/demo_data.py runs/demo-data --images 200
	$(BIN)/accelerate launch --quiet train/train.py smile-compact --data runs/demo-data --labels "disc,square" \
		--out runs/demo --set width=8 --set blocks=2 --set epochs=2 --set snapshot_every=1
	@echo "look at runs/demo/samples/epoch-002.png and runs/demo/losses.png"

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

# The runtime of `export --web`, in the version that cyclegan_hub/export/browser.py names; node_modules/ is in no commit.
node_modules/onnxruntime-web: cyclegan_hub/export/browser.py
	npm install --silent --no-save --no-package-lock --ignore-scripts \
		"onnxruntime-web@$$(sed -n 's/^VERSION = "\(.*\)".*/\1/p' cyclegan_hub/export/browser.py)"
	touch $@

lint: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# torch first and pinned: an unpinned one brings several GB of CUDA packages along on a machine that has no GPU.
$(VENV)/.torch: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=24"
	$(BIN)/python -m pip install --quiet "$$(grep '^torch==' requirements.txt)"
	touch $@

$(VENV)/.app: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable ".[space]"
	touch $@

$(VENV)/.train: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable ".[train]"
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet --constraint requirements.txt --editable ".[dev]"
	touch $@ $(VENV)/.app $(VENV)/.train

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
