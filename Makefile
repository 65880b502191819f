# The course's commands; `make help` lists them.
PYTHON ?= python3
PORT ?= 8888
COURSE := .venv/bin/python
# What a library is going to take away is an error where a notebook's cell asks for it.
DEPRECATED_CALLS := error::DeprecationWarning:__main__,error::PendingDeprecationWarning:__main__,error::FutureWarning:__main__

.DEFAULT_GOAL := help
.PHONY: help setup lab slides site student answers ranking wheelhouse wheel extras publish colab check lint test lesson notebooks lock canary lowest coverage bench bench-page setup-dev setup-tools python

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@echo "Variables: PYTHON=python3.12 (which Python makes .venv), PORT=8888 (where JupyterLab answers)"

lab: setup  ## install what is missing and open the course in JupyterLab
	@$(COURSE) -P tools/lab.py --port "$(PORT)"

setup: python  ## install the pinned course into .venv
	@"$(PYTHON)" -I tools/setup.py --wheelhouse "$(WHEELHOUSE)"

# Three processes for two cores, because many tests wait (for Ray, a browser, pip); tests/conftest.py sets the order.
test: lint  ## everything the project's checks run, the slow ones too, and what each cost; sets up all it needs
	@$(COURSE) -m tools.browser
	@$(COURSE) tests/lessons/claims.py
	@OMP_NUM_THREADS=1 PYTHONWARNINGS=$(DEPRECATED_CALLS) $(COURSE) -m pytest --nbval-lax --nbval-current-env \
	  -p tools.costs -p tools.second_try -r fER --numprocesses 3 --dist loadfile --no-loadscope-reorder build/claimed tests

check: lint  ## the fast part: lint, unit tests, notebooks equal to lessons
	@OMP_NUM_THREADS=1 $(COURSE) -m pytest -m "not slow" --numprocesses 2

lesson: setup-dev  ## does one lesson hold? its notebook with its claims, built if it changed, and its tests (N=09)
	@PYTHONWARNINGS=$(DEPRECATED_CALLS) $(COURSE) -m tools.lesson $(N)

lint: setup-dev
	@$(COURSE) -m ruff check .
	@$(COURSE) -m ruff format --check .

notebooks: setup-dev  ## rebuild and execute the notebooks whose lesson changed (FORCE=1: all)
	@force="$(FORCE)"; $(COURSE) -m tools.notebooks $${force:+--force}

bench: setup-dev  ## measure what docs/benchmark.md shows; two to three hours (ARGS='--groups time --seeds 2': a part)
	@$(COURSE) -m benchmarks $(ARGS)

bench-page: setup-dev  ## write docs/benchmark.md anew from the stored results
	@$(COURSE) -m benchmarks.page

slides: setup-tools  ## build the workshop decks into build/slides: HTML and PDF with notes
	@$(COURSE) -m tools.slides

site: setup-tools  ## build the course as web pages into build/site: lessons, guides, decks, search
	@$(COURSE) -m tools.site

student: setup-tools  ## notebooks for a class into build/student: no solutions, no outputs; and a zip
	@$(COURSE) -m tools.copies student

answers: setup-tools  ## notebooks with their solutions open into build/answers; and a zip
	@$(COURSE) -m tools.copies answers

ranking: python  ## examine the agents that a class handed in, and rank them on one page (FOLDER=agents)
	@test -n "$(FOLDER)" || { echo "Say where they lie: make ranking FOLDER=agents" >&2; exit 1; }
	@"$(PYTHON)" -I tools/setup.py deploy
	@$(COURSE) -m tools.ranking "$(FOLDER)"

wheel: setup  ## the course as one file, to put beside a notebook on Colab
	@$(COURSE) -m tools.wheel

extras: python  ## install what single lessons use besides (NAME=minari, or atari, deploy, llm, multiagent, ray, rllib, sb3, tuning)
	@test -n "$(NAME)" || { echo "Name one: make extras NAME=minari" >&2; exit 1; }
	@"$(PYTHON)" -I tools/setup.py $(NAME)

publish: setup-tools  ## once you have a public repository: let all links and set-up cells lead there (ADDRESS=https://...)
	@$(COURSE) -m tools.publish "$(ADDRESS)"

colab: setup-dev  ## run the course with what Colab carries; 5 GB, half an hour (LIST=file: with a newer list of Colab's)
	@list="$(LIST)"; $(COURSE) -m tools.colab $${list:+--list "$$list"}

wheelhouse: setup  ## all wheels for this platform into build/wheelhouse; then, offline: make lab WHEELHOUSE=dir
	@$(COURSE) -m tools.wheelhouse

lock: setup-tools  ## pin again from pyproject.toml (UPGRADE=1: move to the newest releases)
	@upgrade="$(UPGRADE)"; $(COURSE) -m tools.lock $${upgrade:+--upgrade}

coverage: setup-dev  ## the lines of course_utils that no test and no notebook runs; fails under 95 %
	@rm -rf build/coverage
	@$(COURSE) -m coverage run -m pytest -m "not slow" --numprocesses 2
	@OMP_NUM_THREADS=1 $(COURSE) -m coverage run -m tools.run_notebooks notebooks/*.ipynb
	@$(COURSE) -m coverage combine --quiet
	@$(COURSE) -m coverage report

canary: setup-dev  ## run the lessons with the newest releases, upper bounds left out (TORCH=2.13.0: hold torch; WORLDS=1: the worlds)
	@torch="$(TORCH)"; if test -n "$(WORLDS)"; then $(COURSE) -m tools.worlds newest; \
	else $(COURSE) -m tools.drift newest $${torch:+--torch "$$torch"}; fi

lowest: setup-dev  ## run the lessons with the lowest releases that pyproject.toml allows
	@$(COURSE) -m tools.drift lowest

setup-tools: python  # what builds copies, pages and decks of notebooks that are there, and no lesson's extras
	@"$(PYTHON)" -I tools/setup.py dev

setup-dev: python  # with the extras of lessons and benchmark, so that their tests have all of it
	@"$(PYTHON)" -I tools/setup.py dev atari deploy llm minari multiagent ray rllib sb3 tuning

python:
	@command -v "$(PYTHON)" > /dev/null || { echo "$(PYTHON) was not found. Install Python 3.11, or name yours: make lab PYTHON=/path/to/python" >&2; exit 1; }
