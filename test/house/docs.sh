#!/bin/sh
# SPDX-License-Identifier: MIT
# The texts quote programs that are compiled and run: a code block that stands below a line
#     <!-- docs/snippets/NAME.c -->
# must be found in that file, as it is, as consecutive lines; every C block of README and guide has such a line.
# And links to files of the project lead somewhere.
set -eu
cd "$1"

awk '
    function flush_block(   text, line, ok) {
        blocks++
        if (source == "") {
            if (lang == "c") complain("a block of C that names no file above it")
            return
        }
        text = ""
        while ((getline line < source) > 0) text = text line "\n"
        ok = text != ""
        close(source)
        if (!ok) complain(source " is not there")
        else if (index("\n" text, "\n" block) == 0) complain("this block is not in " source)
    }
    function complain(what) {
        printf "%s:%d: %s\n", FILENAME, start, what
        bad = 1
    }
    FNR == 1 { source = ""; inside = 0 }
    !inside && /^<!-- .* -->$/ { source = $2; next }
    !inside && /^```/ { inside = 1; start = FNR; lang = substr($0, 4); block = ""; next }
    inside && /^```$/ { inside = 0; flush_block(); source = ""; next }
    inside { block = block $0 "\n"; next }
    $0 != "" { source = "" }
    END {
        if (blocks == 0) { print "no code block was looked at"; bad = 1 }
        exit bad
    }
' README.md docs/guide.md

bad=0
for text in README.md CHANGELOG.md docs/*.md; do
    dir=$(dirname "$text")
    for target in $(grep -o '](\([^)#]*\)' "$text" | sed 's/^](//' | grep -v '^http' || true); do
        if [ ! -e "$dir/$target" ]; then
            echo "$text: no file $target"
            bad=1
        fi
    done
done
exit $bad
