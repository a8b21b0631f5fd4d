#!/usr/bin/env bash
# Simulates with a constant of internal/coordination set to something else; changes no file.
#   hack/ablate.sh activeGrowth=4 --scenario internal/sim/fleets
set -euo pipefail
cd "$(dirname "$0")/.."

name=${1%%=*} value=${1#*=}
shift
pattern="^([[:space:]]*(const )?$name( [A-Za-z.]+)?[[:space:]]*=).*"
file=$(grep -rlE "$pattern" internal/coordination --include='*.go' --exclude='*_test.go') || true
if [ ! -f "$file" ]; then
  echo "ablate: $name is not one constant of internal/coordination" >&2
  exit 2
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed -E "s#$pattern#\1 $value#" "$file" >"$work/changed.go"
printf '{"Replace": {"%s": "%s"}}' "$PWD/$file" "$work/changed.go" >"$work/overlay.json"
go run -overlay "$work/overlay.json" ./bench/simulate "$@"
