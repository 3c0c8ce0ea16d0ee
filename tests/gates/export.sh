#!/usr/bin/env bash
# Copy the working tree (what Git tracks or would track) to $1/ansible_collections/spot/platform, with the collections
# that galaxy.yml depends on beside it, and print that path. ansible-test refuses a checkout behind a symbolic link, and lists files by the nearest Git repository.
set -euo pipefail
cd "$(dirname "$0")/../.."
neighbours=$1/ansible_collections
collection=$neighbours/spot/platform
rm -rf "$collection"
mkdir -p "$collection"
git ls-files -z --cached --others --exclude-standard --deduplicate |
    while IFS= read -r -d '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
    tar --create --null --files-from=- | tar --extract --directory="$collection"
git init --quiet "$collection"
bundle=$(python -c 'import ansible_collections; print(*ansible_collections.__path__)')
sed -n '/^dependencies:/,/^[a-z]*:$/s/^  \([a-z_.]*\):.*/\1/p' galaxy.yml | while IFS=. read -r namespace name; do
    mkdir -p "$neighbours/$namespace"
    ln -sfn "$bundle/$namespace/$name" "$neighbours/$namespace/$name"
done
echo "$collection"
