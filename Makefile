# Everything a newcomer needs; `make help` lists it. A bare machine has to have python3, python3-venv and make.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
ARGS ?=
SEED ?= 0
SHIPPED := ami_robot/checkpoints
BIN := $(VENV)/bin
PACKAGES := -e . -e ros_ws/embedded -e ros_ws/src/ami_nodes
MANIFESTS := pyproject.toml setup.py constraints.txt ros_ws/embedded/pyproject.toml ros_ws/src/ami_nodes/setup.py
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --use-pep517 -c constraints.txt $(PIP_ARGS)

# The opencv-python wheel needs libGL, which a bare server lacks; the headless wheel is the same cv2 without windows.
USABLE_OPENCV = @$(BIN)/python -c "import cv2" 2> /dev/null || { \
	  echo "libGL is absent: OpenCV becomes its headless build"; \
	  $(BIN)/python -m pip uninstall --quiet --yes opencv-python opencv-python-headless && \
	  $(INSTALL) --quiet opencv-python-headless; }

# Half a minute here, once; else the first graph would take it while it starts.
COMPILED = @echo "compiling the guardrail's loops"; $(BIN)/python -c "import ami_robot.safety.rehearsal"

# Side by side on all cores, then one after the other what starts nodes or measures time. 5: ARGS has none of them.
define TESTED
OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n logical --dist loadfile -m "($(1)) and not alone" $(ARGS) || [ $$? = 5 ]
$(BIN)/python -m pytest -m "($(1)) and alone" $(ARGS) || [ $$? = 5 ]
endef

# Models: a seed has folders of its own for data and training, and ends in the folder that ships.
COLLECTED = $(BIN)/ami collect --out data/$(1)-$(SEED) --seed $(SEED) $(2)
define TRAINED
$(BIN)/ami train --config ami_robot/learning/$(1).yaml --data data/$(1)-$(SEED) --seed $(SEED) --threads $$(nproc) \
  --out data/$(1)-training-$(SEED) $(if $(wildcard data/$(1)-training-$(SEED)/training_state.safetensors),--resume)
cp $(addprefix data/$(1)-training-$(SEED)/,model.safetensors checkpoint.yaml MODEL_CARD.md) $(SHIPPED)/$(1)/
endef
CALIBRATED = $(BIN)/ami calibrate model-error $(2) --task $(1) --checkpoint $(SHIPPED)/manipulation --episodes 160 \
  --out $(SHIPPED)/manipulation/$(1)_error.yaml

.PHONY: help setup demo test test-all test-ros lint format coverage checkpoint manipulation cpu-tier bench-reach bench-safety mutation fuzz scenarios chaos soak clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

setup: $(VENV)/.ready  ## make the environment in .venv (demo and test do it by themselves)

demo: $(VENV)/.ready  ## the main job: reach 20 goals shown as pictures, write runs/latest/ (ARGS="--episodes 2 --gui")
	$(BIN)/ami demo $(ARGS)

test: $(VENV)/.ready-dev  ## all tests but some slow ones that are more of a kind (ARGS="tests/safety" for some)
	$(call TESTED,not slow)

test-all: $(VENV)/.ready-dev  ## the slow ones too
	$(call TESTED,slow or not slow)

# ROS 2 brings plugins for pytest that a newer pytest refuses (github.com/ros2/launch/issues/979): they stay out. Each file has
# a process of its own, since in rclpy a lifecycle node is in the graph for as long as anything refers to its object.
test-ros:  ## tests of nodes and of rclpy on ROS 2's own rclpy, in a shell where it and ros_ws are sourced (FILES=... for some)
	@$(PYTHON) -c "import rclpy, ami_interfaces, pytest" 2> /dev/null || { \
	  echo "test-ros: $(PYTHON) lacks rclpy, ami_interfaces or pytest: source ROS 2 and ros_ws/install/setup.bash first," \
	    "as docs/how-to/ros2.md says" >&2; exit 2; }
	printf '%s\n' $(or $(FILES),tests/nodes/test_*.py tests/embedded/test_*.py) | PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 xargs -I FILE \
	  bash -c '$(PYTHON) -m pytest -p pytest_timeout -m "not slow" FILE $(ARGS) || [ $$? = 5 ]'

lint: $(VENV)/.ready-dev  ## ruff (rules and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.ready-dev  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

coverage: $(VENV)/.ready-dev  ## all tests with line coverage, node processes included
	$(BIN)/coverage erase
	COVERAGE_FILE=$(CURDIR)/.coverage $(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine
	$(BIN)/coverage report

checkpoint: $(VENV)/.ready  ## make the shipped model of reach again from nothing: collect, train, calibrate (SEED=1: another one)
	$(call COLLECTED,reach)
	$(call TRAINED,reach)
	$(BIN)/ami calibrate model-error --episodes 160 --out $(SHIPPED)/reach/model_error.yaml

manipulation: $(VENV)/.ready  ## the same for the model of blocks
	$(call COLLECTED,manipulation,--mix manipulation --steps 60)
	$(call TRAINED,manipulation)
	rm -rf $(SHIPPED)/manipulation/error_predictor
	$(call CALIBRATED,push,push)
	$(call CALIBRATED,carry,pick_lift pick_place)
	$(BIN)/ami collect --out data/errors-$(SEED) --mix manipulation --steps 60 --seed $$(($(SEED) + 100))
	$(BIN)/ami train-error-predictor --data data/errors-$(SEED) --checkpoint manipulation --seed $(SEED) \
	  --out $(SHIPPED)/manipulation/error_predictor

cpu-tier: $(VENV)/.ready  ## both models again from nothing, timed, and then how they do at reach and push (SEED=1: other ones)
	time $(MAKE) --no-print-directory checkpoint manipulation
	$(BIN)/ami eval reach --out runs/cpu-tier-$(SEED)/reach
	$(BIN)/ami eval push --episodes 200 --out runs/cpu-tier-$(SEED)/push

bench-reach: $(VENV)/.ready  ## 100 goals, seeds 1000-1099, through the whole graph; writes benchmarks/results/reach.json
	$(BIN)/python benchmarks/reach.py $(ARGS)

bench-safety: $(VENV)/.ready-dev  ## attacked episodes, faults, search (hours, resumable); writes benchmarks/results/safety.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.safety $(ARGS)

mutation: $(VENV)/.ready-dev  ## would the guardrails' tests notice a change? (ARGS="--sample 300", ARGS=--rows)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.mutation $(ARGS)

fuzz: $(VENV)/.ready  ## a million malformed and odd inputs to the guardrail (20 min on 2 cores, resumable); writes benchmarks/results/fuzz.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.fuzz $(ARGS)

scenarios: $(VENV)/.ready  ## every story (person, knife, faults) on 50 seeds; writes benchmarks/results/scenarios.json (ARGS=--live: through the graph)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.scenarios $(ARGS)

chaos: $(VENV)/.ready  ## ten minutes of nodes that are killed, frozen and slowed; writes benchmarks/results/chaos.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.chaos $(ARGS)

soak: $(VENV)/.ready  ## an hour of the whole graph: memory, deadlines, leftovers; writes benchmarks/results/soak.json
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.soak $(ARGS)

clean:  ## remove the environment and caches; keeps runs/ and data/
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: $(MANIFESTS) | $(VENV)/bin/python
	$(INSTALL) $(PACKAGES)
	$(USABLE_OPENCV)
	$(COMPILED)
	touch $(VENV)/COLCON_IGNORE $@

$(VENV)/.ready-dev: $(VENV)/.ready
	$(INSTALL) -e ".[dev]"
	$(USABLE_OPENCV)
	touch $@
