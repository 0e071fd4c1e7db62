#!/bin/bash
# Measures on this machine, section by section: docs/GPU-DAY.md.
#
#     run.sh [--small] [--out FOLDER] [SECTION …]
#
# Each section ends at its limit at the latest, and whatever happens to it, the next one runs. The
# folder gets results.jsonl, to which a line is added as soon as it is measured, and log.txt.
# GPU_DAY_LIMIT: seconds for each section instead of its own limit.

here=$(cd "$(dirname "$0")" && pwd)
out=$here/results
small=
chosen=()
while [ $# -gt 0 ]; do
  case $1 in
    --small) small=--small ;;
    --out) out=$2; shift ;;
    *) chosen+=("$1") ;;
  esac
  shift
done
mkdir -p "$out"
results=$out/results.jsonl
log=$out/log.txt

# Compilers of drivers keep what they compiled, and we measure how long they compile.
export __GL_SHADER_DISK_CACHE=0 MESA_SHADER_CACHE_DISABLE=true

# The libraries that came along are for a machine without them.
PATH=$PATH:/sbin:/usr/sbin
lent=$(mktemp -d)
trap 'rm -r "$lent"' EXIT
for library in "$here"/lib/*; do
  ldconfig -p | grep -qF "$(basename "$library") " || ln -s "$library" "$lent" 2>>"$log"
done
export LD_LIBRARY_PATH=$LD_LIBRARY_PATH${LD_LIBRARY_PATH:+:}$lent

# The loader looks for drivers in two folders; containers have them elsewhere.
if [ -z "$VK_DRIVER_FILES$VK_ICD_FILENAMES" ]; then
  found=$(ls /usr/local/share/vulkan/icd.d/*.json /usr/local/*/share/vulkan/icd.d/*.json \
    /opt/*/share/vulkan/icd.d/*.json 2>/dev/null | paste -sd:)
  if [ -n "$(ls /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json 2>/dev/null)" ]; then
    if [ -n "$found" ]; then export VK_ADD_DRIVER_FILES=$found; fi
  else
    if [ -z "$found" ]; then
      found=$lent/nvidia_icd.json
      echo '{"file_format_version":"1.0.0","ICD":{"library_path":"libGLX_nvidia.so.0","api_version":"1.3.0"}}' >"$found"
    fi
    export VK_DRIVER_FILES=$found VK_ICD_FILENAMES=$found
  fi
fi

# What turns the output of programs into lines of results: those that are JSON, and tests.
json='s/^{/{"section":"NAME",/p'
tests='s/^test \(.*\) \.\.\. \(ok\|FAILED\|ignored\).*$/{"section":"NAME","what":"test","test":"\1","result":"\2"}/p'

# section NAME SECONDS FILTER COMMAND …
section() {
  local name=$1 limit=${GPU_DAY_LIMIT:-$2} filter=${3//NAME/$1} start status
  shift 3
  if [ ${#chosen[@]} -gt 0 ] && [[ " ${chosen[*]} " != *" $name "* ]]; then return; fi
  echo "== $name: $*" >>"$log"
  start=$(date +%s%N)
  timeout -k 2 "$limit" "$@" 2>>"$log" | tee -a "$log" | sed -un "$filter" >>"$results"
  status=${PIPESTATUS[0]}
  # a line that was cut off ends here
  printf '\n{"section":"%s","what":"end","seconds":%d.%03d,"limit":%d,"status":%d}\n' "$name" \
    $((($(date +%s%N) - start) / 1000000000)) $((($(date +%s%N) - start) / 1000000 % 1000)) "$limit" "$status" >>"$results"
  echo "$name: status $status after $((($(date +%s%N) - start) / 1000000000)) of $limit s"
}

# bench SECTION SECONDS MODEL
bench() {
  local sizes=(--position 0,4096,32768 --prompt-tokens 512 --gen-tokens 64)
  if [ -n "$small" ]; then sizes=(--layers 2 --position 0,128 --prompt-tokens 32 --gen-tokens 4); fi
  section "$1" "$2" "$json" "$here/weft" bench --device gpu --synthetic "$3" --type q4_k_m "${sizes[@]}" --json
}

command -v nvidia-smi >/dev/null && nvidia-smi >>"$log" 2>&1
# The limits add up to less than ten minutes; a software adapter needs others.
if [ -n "$small" ]; then tuner=100 tiny=150; else tuner=40 tiny=50; fi
section device 20 "$json" "$here/gpu-day" device
section latencies 60 "$json" "$here/gpu-day" latencies $small
if [ -z "$small" ]; then bench bench-8b 110 llama-8b; fi
section tuner $tuner "$json" "$here/gpu-day" tuner $small
section kernels 150 "$json" "$here/gpu-day" kernels $small
bench bench-0.6b $tiny qwen3-0.6b
if [ -z "$small" ]; then bench bench-3b 60 llama-3b; fi
cases=(ops:: attention:: shaders:: self_test:: sample::)
if [ -n "$small" ]; then cases=(sample::); fi
section correctness 90 "$tests" "$here/tests" "${cases[@]}"
