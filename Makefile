# The menu: `make` alone lists it. Every target first brings the environment up to date (nothing to do: milliseconds).
#
# Words used below: RECIPE (default tiny) is a name or path under recipes/ · SET="dpo.learning_rate=1e-4 seed=7" overrides
# keys · DATA=folder is where the recipe's data files lie, remembered by the run · RUNS=folder instead of runs/ ·
# FORCE=1 does a stage again · GPUS=8 processes on this machine · NNODES=2 NODE_RANK=0 MASTER=host0:29500 over several
# (docs/cluster.md). Make hands what the command line sets on in the environment.

SHELL := /bin/bash
.DEFAULT_GOAL := help

RECIPE ?= tiny
PYTHON_HERE := .venv/bin/python
STEMMA := $(PYTHON_HERE) -m stemma
OVERRIDES = $(foreach pair,$(SET),--set '$(pair)') $(if $(DATA),--set 'data.root=$(DATA)')
PLACE = $(if $(RUNS),--runs '$(RUNS)')
OTHER = $(if $(WITH),--with '$(WITH)')
OPTIONS = $(OVERRIDES) $(PLACE) $(if $(FORCE),--force)

# `eval`, `export`, `report` and `data` are also folders or words Make knows: keep them here, and write `export:` with no blank.
.PHONY: help setup doctor check show diff status preview plan rehearse schema
.PHONY: real import new
.PHONY: data base sft dpo mcq export rag eval report all compare sweep demo
.PHONY: chat search course judge verify test test-slow faults lint format ci
.PHONY: locked licences audit

##@ Start here
demo: setup            ## the whole chain on the tiny recipe: data, training, export, scores, report, answers
	$(STEMMA) demo $(PLACE)

test: setup lint       ## lint, types and the quick tests
	$(PYTHON_HERE) -m mypy
	$(PYTHON_HERE) -m pytest

help:                  ## this list
	@awk -F':.*## ' '/^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile
	@printf '\nRECIPE=tiny  SET="dpo.learning_rate=1e-4 seed=7"  DATA=folder  RUNS=folder  FORCE=1\nGPUS=8  NNODES=2 NODE_RANK=0 MASTER=host0:29500   (docs/cluster.md)\nmake all RECIPE=course-tiny DATA=folder  ·  make chat QUESTION="Which unit measures force?"\n'

setup:                 ## make the environment (.venv); does nothing when it is there
	@./setup.sh

doctor: setup          ## what this machine offers: GPU, engines, compiler, disk, key
	$(STEMMA) doctor

##@ Your own data
new: setup             ## a recipe for your own files, and a tiny one to try: NAME=physics FROM="a.csv b.csv" LIKE=gemma2b
	$(STEMMA) new $(if $(NAME),'$(NAME)') $(foreach file,$(FROM),'$(file)') $(if $(LIKE),--like '$(LIKE)') $(if $(FORCE),--force)

##@ A real model
real: setup            ## SmolLM2 135M, brought in from a GGUF, through the whole chain; DATA=folder of real data sets
	$(STEMMA) real $(if $(DATA),--data '$(DATA)') $(foreach pair,$(SET),--set '$(pair)') $(PLACE)

import: setup          ## a GGUF file becomes a base model, proven: GGUF=file TO=folder
	$(STEMMA) import $(if $(GGUF),'$(GGUF)') $(if $(TO),'$(TO)')

##@ Look before you run
check: setup           ## check every recipe, or RECIPE=…, in a second
	$(STEMMA) check $(if $(filter command line,$(origin RECIPE)),$(RECIPE) $(OVERRIDES))

show: setup            ## the resolved recipe and the Axolotl files it renders
	$(STEMMA) show $(RECIPE) $(OVERRIDES) $(PLACE)

diff: setup            ## what is new in WITH=… against RECIPE=…; or what SET=… changes
	$(STEMMA) diff $(RECIPE) $(OTHER) $(OVERRIDES)

status: setup          ## which stages are done, stale or missing, and what changed
	$(STEMMA) status $(RECIPE) $(OVERRIDES) $(PLACE)

preview: setup         ## rows of each source, or of SOURCE=…, as you read them and as tokens
	@$(STEMMA) preview $(RECIPE) $(if $(SOURCE),--source '$(SOURCE)') $(OVERRIDES) $(PLACE)

plan: setup            ## rows, steps, FLOPs, memory, disk, dollars before anything runs; TFLOPS=790 GPUS=8
	$(STEMMA) plan $(RECIPE) $(OVERRIDES) $(PLACE) $(if $(TFLOPS),--tflops $(TFLOPS)) $(if $(GPUS),--gpus $(GPUS))

##@ The stages, in order
data: setup            ## sources to rows: corpus, SFT, preference pairs, MCQ
	$(STEMMA) data $(RECIPE) $(OPTIONS)

base: setup            ## make and pretrain a base model (recipes with a `base` section)
	$(STEMMA) base $(RECIPE) $(OPTIONS)

sft: setup             ## supervised fine-tuning
	$(STEMMA) sft $(RECIPE) $(OPTIONS)

dpo: setup             ## direct preference optimisation
	$(STEMMA) dpo $(RECIPE) $(OPTIONS)

mcq: setup             ## answer multiple-choice questions with a letter
	$(STEMMA) mcq $(RECIPE) $(OPTIONS)

export: setup          ## merge; bitsandbytes and GGUF variants; parity gates
	$(STEMMA) export $(RECIPE) $(OPTIONS)

rag: setup             ## a database of passages from documents (recipes with a `rag` section; docs/retrieval.md)
	$(STEMMA) rag $(RECIPE) $(OPTIONS)

eval: setup            ## score every variant; ONLY="gguf-Q4_K_M base/mcq" measures just these, on any number of machines
	$(STEMMA) eval $(RECIPE) $(OPTIONS) $(foreach cell,$(ONLY),--only '$(cell)')

report: setup          ## tables, curves and lineage as one HTML page
	$(STEMMA) report $(RECIPE) $(OPTIONS)

all: setup             ## every stage that is not up to date
	$(STEMMA) all $(RECIPE) $(OPTIONS)

compare: setup         ## the preference training of RECIPE=… and WITH=… side by side: accuracies, margins, losses
	$(STEMMA) compare $(RECIPE) $(OTHER) $(PLACE)

rehearse: setup        ## the whole chain, small, on random weights of the true shapes: what would stop a run; LAYERS=2
	$(STEMMA) rehearse $(RECIPE) $(OVERRIDES) $(PLACE) $(if $(LAYERS),--layers $(LAYERS))

sweep: setup           ## try the values of the recipe's `sweep` section; the best by its held-out metric
	$(STEMMA) sweep $(RECIPE) $(OPTIONS)

##@ Use what came out
chat: setup            ## ask the exported model on the CPU: QUESTION="…", or a prompt without it
	@$(STEMMA) chat $(RECIPE) $(OVERRIDES) $(PLACE) $${QUESTION:+"$$QUESTION"}

search: setup          ## what the recipe's passages hold on QUESTION="…", with each arm's scores
	@$(STEMMA) search $(RECIPE) $(OVERRIDES) $(PLACE) "$$QUESTION"

course: setup          ## grade it on a course's own files: MCQ=file PREFERENCE=file TO=folder
	$(STEMMA) course $(RECIPE) $(if $(MCQ),'$(MCQ)') $(if $(PREFERENCE),'$(PREFERENCE)') $(if $(TO),--to '$(TO)') $(OVERRIDES) $(PLACE)

judge: setup           ## judge answers yourself, blind, on a local page; BY=name
	@$(STEMMA) judge $(RECIPE) $(OVERRIDES) $(PLACE) $(if $(BY),--by "$(BY)")

verify: setup          ## hash every output again and compare with the manifests; SEAL=1 for an earlier Stemma's
	$(STEMMA) verify $(RECIPE) $(PLACE) $(if $(SEAL),--seal)

##@ Work on Stemma
lint: setup            ## ruff: rules and formatting
	$(PYTHON_HERE) -m ruff check .
	$(PYTHON_HERE) -m ruff format --check .

format: setup          ## ruff: repair what can be repaired
	$(PYTHON_HERE) -m ruff check --fix .
	$(PYTHON_HERE) -m ruff format .

test-slow: setup       ## the slow tests: real engines, kills, end to end
	$(PYTHON_HERE) -m pytest -m slow

faults: setup          ## kills, full disks, damage, no network, on the demo's run: docs/reliability.md; QUICK=1 ROWS="sft and kill"
	$(PYTHON_HERE) -m tests.faults $(if $(RUNS),--runs '$(RUNS)') $(if $(QUICK),--quick) $(if $(ROWS),--rows '$(ROWS)')

schema: setup          ## write what is generated: recipes/schema.json (for editors) and docs/reference
	$(STEMMA).recipe.schema

locked: setup          ## write the sha256 of every package's file for this platform (docs/supply-chain.md)
	$(STEMMA).locked

licences: setup        ## the licence of every installed package; fails where one is not known
	@$(STEMMA).package_licences

audit: setup           ## known vulnerabilities of every installed package, by pip-audit; asks pypi.org
	.ci/audit

ci:                    ## what CI runs: setup, test, demo
	.ci/run
