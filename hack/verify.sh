#!/usr/bin/env bash
# Regenerates everything and fails when that changes a file, when Go code is not
# formatted, or when a go.mod is not tidy. It compares copies, so it also works on a
# tree with uncommitted changes. Arguments: the directories of all Go modules.
set -euo pipefail
cd "$(dirname "$0")/.."

generated=(api config/crd/bases config/rbac/role.yaml charts/cargoship/files docs/api.md docs/metrics.md docs/schemas/crd)
before=$(mktemp -d)
trap 'rm -rf "$before"' EXIT
failed=0

echo 'verify: generated files' >&2
for path in "${generated[@]}"; do
  mkdir -p "$before/$(dirname "$path")"
  cp -r "$path" "$before/$path"
done
make generate manifests docs >/dev/null
for path in "${generated[@]}"; do
  diff -ru "$before/$path" "$path" || failed=1
done
if [ "$failed" = 1 ]; then
  echo 'verify: generated files were stale; they are regenerated now' >&2
fi

echo 'verify: formatting' >&2
unformatted=$(gofmt -l api bench cmd controllers hack internal lab test)
if [ -n "$unformatted" ]; then
  printf 'verify: not formatted with gofmt:\n%s\n' "$unformatted" >&2
  failed=1
fi

for module in "$@"; do
  echo "verify: go mod tidy in $module" >&2
  (cd "$module" && go mod tidy -diff) || failed=1
done
exit "$failed"
