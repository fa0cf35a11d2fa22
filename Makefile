SHELL := /bin/bash
UV := .venv/bin/uv
PY := .venv/bin/python
EXTRA := $(if $(filter 1,$(GPU)),gpu,$(shell [ -e /proc/driver/nvidia/version ] && echo gpu || echo cpu))
