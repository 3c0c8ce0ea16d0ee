#!/usr/bin/env bash
# Build the collection that is in $1, put the archive into $2, and import it as Galaxy does. The importer exits 0 and says
# "completed successfully" also after an error, so its output is searched for one.
set -euo pipefail
output=$(mkdir -p "$2" && cd "$2" && pwd)
rm -f "$output"/*
ansible-galaxy collection build --force --output-path "$output" "$1"
cd "$output" # the importer writes its result into the current folder
python -m galaxy_importer.main ./*.tar.gz 2>&1 | tee importer.log
if grep -E '\bERROR\b|Traceback' importer.log; then
    echo "importer: the lines above are errors of galaxy-importer"
    exit 1
fi
