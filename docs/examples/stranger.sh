#!/usr/bin/env bash
# What a stranger would try with curl: one line a call, with the status and the type of the error.
#
#   docs/examples/stranger.sh INFERENCE_URL MANAGEMENT_URL METRICS_URL KEY_FILE
#
# Exits with 0 if everything was refused that is marked so. The management token in KEY_FILE is used for two calls that
# have to be refused even to its owner. docs/security.md shows the output; tests/server/limits/test_stranger.py runs it.
set -uo pipefail
inference=$1 management=$2 metrics=$3 key_file=$4
key() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]]["key"])' "$key_file" "$1"; }
reader="Authorization: Bearer $(key inference)"
owner="Authorization: Bearer $(key management)"
wrong="Authorization: Bearer AAAAAAAA"
body="Content-Type: application/octet-stream"
evil=http://127.0.0.1:9/evil.mar
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
head -c 68000000 /dev/zero > "$scratch/large"
failed=0

# attempt EXPECTED WHAT CURL-ARGUMENTS...: EXPECTED is `refused` or `open`.
attempt() {
  local expected=$1 what=$2 status said verdict=refused waits=28
  shift 2
  status=$(curl --silent --output "$scratch/answer" --write-out '%{http_code}' --max-time 30 "$@")
  [[ $? == "$waits" ]] && verdict=open status=000
  said=$(grep -aoE '"(type|code)": *"([A-Za-z]+Exception|[A-Z_]+)"' "$scratch/answer" 2>/dev/null | head -1 | cut -d'"' -f4)
  [[ $status == 2* ]] && verdict=open
  [[ $verdict == "$expected" ]] || { verdict="$verdict, EXPECTED $expected"; failed=1; }
  printf '%-62s %-4s %-32s %s\n' "$what" "${status/000/-}" "$said" "$verdict"
  rm -f "$scratch/answer"
}

page=("$inference/predictions/quintet" -H "$body" --data-binary x)
attempt refused "a page without a token" "${page[@]}"
attempt refused "a page with a wrong token" "${page[@]}" -H "$wrong"
attempt refused "a page with the management token" "${page[@]}" -H "$owner"
attempt refused "health without a token" "$inference/ping"
attempt refused "models, at the inference address, with the inference token" "$inference/models" -H "$reader"
attempt refused "models without a token" "$management/models"
attempt refused "models with the inference token" "$management/models" -H "$reader"
attempt refused "new tokens with the inference token" "$management/token?type=inference" -H "$reader"
attempt refused "scaling workers with the inference token" -X PUT "$management/models/quintet?min_worker=9" -H "$reader"
attempt refused "removing the model with the inference token" -X DELETE "$management/models/quintet" -H "$reader"
attempt refused "a model by URL with the inference token" -X POST "$management/models?url=$evil" -H "$reader"
attempt refused "a model by URL with the management token" -X POST "$management/models?url=$evil" -H "$owner"
attempt refused "a workflow by URL with the inference token" -X POST "$management/workflows?url=$evil" -H "$reader"
attempt refused "a workflow by URL with the management token" -X POST "$management/workflows?url=$evil" -H "$owner"
attempt refused "a workflow by file with the management token" -X POST -H "$owner" \
  "$management/workflows?url=file:///tmp/quintet.mar"
attempt refused "a body of 68 MB with the inference token" "$inference/predictions/quintet" -H "$reader" -H "$body" \
  -H "Expect:" --data-binary "@$scratch/large"
attempt refused "path: /predictions/../models" --path-as-is "$inference/predictions/../models" -H "$reader"
attempt refused "path: /predictions/%2e%2e/%2e%2e/etc/passwd" "$inference/predictions/%2e%2e/%2e%2e/etc/passwd" -H "$reader"
attempt refused "path: /predictions/quintet/../../../../etc/passwd" --path-as-is \
  "$inference/predictions/quintet/../../../../etc/passwd" -H "$reader" -H "$body" --data-binary x
attempt refused "path: /predictions/another" "$inference/predictions/another" -H "$reader" -H "$body" --data-binary x
attempt refused "path: //predictions//quintet" --path-as-is "$inference//predictions//quintet" -H "$body" --data-binary x
outside=http://$(hostname -I 2>/dev/null | tr ' ' '\n' | grep -v : | head -1)
if [[ $outside != http:// ]]; then
  attempt refused "from outside: the inference address" "$outside:${inference##*:}/ping"
  attempt refused "from outside: the management address" "$outside:${management##*:}/models"
  attempt refused "from outside: the metrics address" "$outside:${metrics##*:}/metrics"
fi
{ printf x; sleep 6; } 2>/dev/null | attempt refused "a body that does not come, without a token" --max-time 5 -X POST -T - \
  "$inference/predictions/quintet" -H "$body"
attempt open "metrics without a token" "$metrics/metrics"
attempt open "the service's state without a token" "$inference/service"
attempt refused "the API's description without a token" -X OPTIONS "$inference/"
exit $failed
