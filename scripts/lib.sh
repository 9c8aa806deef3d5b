# Shared by the scripts beside it; to be sourced. Sets ROOT and goes there, so that every script works from any folder.
# shellcheck shell=bash

set -euo pipefail

ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
cd -- "$ROOT"

say() { printf '%s\n' "${0##*/}: $*" >&2; }
die() {
  say "error: $*"
  exit 1
}

# usage_from FILE: prints the comment at the head of a script, which is its help.
usage_from() { sed -n '2,/^[^#]/{/^#/!d;s/^# \{0,1\}//;p}' -- "$1"; }

# How many compilers side by side: one per core, but no more than the memory carries at 1.5 GiB each.
jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/^MemAvailable:/ {print int($2 / 1572864)}' /proc/meminfo)
  ((memory >= 1)) || memory=1
  printf '%s\n' "$((cores < memory ? cores : memory))"
}

# quietly NAME COMMAND...: keeps the output in build/log/NAME.log and shows it only where the command fails.
quietly() {
  local name=$1 log status=0
  shift
  mkdir -p build/log
  log=build/log/$name.log
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if ((status)); then
    tail -n 60 -- "$log" >&2
    say "failed (exit $status): $*; the whole output is in $log"
  fi
  return "$status"
}
