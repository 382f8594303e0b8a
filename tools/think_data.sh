# think_data.sh — the data of recipes/think-small.toml, made once; sourced by tools/check_long: POSIX sh.
# shellcheck shell=sh

# think_data_ensure NAUTILE FOLDER: prose from NAUTILE_TEST_DATA (default ../shared), problems
# generated, tokenizer and shards in FOLDER; prints the shards' folder.
think_data_ensure() {
  if [ ! -f "$2/data/index.json" ]; then
    think_books=$(realpath "${NAUTILE_TEST_DATA:-../shared}")/data/stories_pd
    rm -rf "$2"
    mkdir -p "$2/prose"
    for think_book in "$think_books"/*.txt; do
      case $think_book in
        *wind-in-the-willows*) ;;  # held out
        *) ln -s "$think_book" "$2/prose/" ;;
      esac
    done
    "$1" data generate all --count 20000 --seed 9 --format text --out "$2/problems.txt" >&2
    "$1" tokenizer train "$2/problems.txt" "$2"/prose/*.txt --vocab 512 --out "$2/tokenizer" >&2
    sed "s|\.\./runs/think/|$2/|" recipes/think-small-data.toml >"$2/data.toml"
    "$1" data build "$2/data.toml" --out "$2/data" >&2
  fi
  printf '%s' "$2/data"
}
