#!/usr/bin/env bash
# Installs the versions that were tested together into a virtual environment, as the image does:
#   install.sh dependencies VENV    everything but the package itself (a layer that changes seldom)
#   install.sh package VENV         the package from this checkout
# TORCH=cpu takes PyTorch's CPU builds, TORCH=cuda (the default) those with CUDA. EXTRA_PACKAGES names more
# packages, such as boto3 for `ray up` on AWS. Run from the root of the checkout; needs uv on the path.
set -euo pipefail

usage="usage: TORCH=cpu|cuda $0 dependencies|package VENV"
step=${1:?$usage}
venv=${2:?$usage}
torch=${TORCH:-cuda}

case $torch in
  cpu) backend=(--torch-backend cpu) ;;
  cuda) backend=() ;; # the wheels of PyPI bring CUDA along
  *) echo "TORCH=$torch: expected cpu or cuda" >&2 && exit 2 ;;
esac

case $step in
  dependencies)
    read -ra extra_packages <<<"${EXTRA_PACKAGES:-}"
    uv venv --quiet --python "${PYTHON:-python3}" "$venv"
    uv pip install --quiet --python "$venv/bin/python" --constraint constraints.txt "${backend[@]}" \
      --requirements pyproject.toml --extra cluster "${extra_packages[@]}"
    ;;
  package)
    uv pip install --quiet --python "$venv/bin/python" --build-constraint constraints.txt --no-deps .
    uv pip check --quiet --python "$venv/bin/python"
    "$venv/bin/lmc-sweep" --help >/dev/null
    "$venv/bin/ray" --version
    ;;
  *) echo "$usage" >&2 && exit 2 ;;
esac
