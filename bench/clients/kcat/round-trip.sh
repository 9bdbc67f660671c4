#!/bin/sh
# kcat, which has no command that makes a topic: the broker makes it, with two partitions, when kcat asks for it.
set -eu
bootstrap=$1
records=300
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# So many records of a partition, of many lengths, the longest of several kilobytes, and worth compressing.
records_of() {
    awk -v partition="$1" -v records="$records" 'BEGIN {
        for (number = partition; number < records; number += 2) {
            value = ""
            for (times = 0; times <= number * number % 400; times++) value = value "value " number " "
            printf "key %d=%s\n", number, value
        }
    }'
}

combinations=0
for codec in none gzip snappy lz4 zstd; do
    for acks in 0 1 all; do
        topic=kcat-$codec-$acks
        for partition in 0 1; do
            records_of $partition > "$work/sent"
            kcat -P -b "$bootstrap" -t "$topic" -p $partition -z $codec -X acks=$acks -K = -l "$work/sent"
            kcat -C -b "$bootstrap" -t "$topic" -p $partition -o beginning -c $((records / 2)) -q -f '%o %k=%s\n' \
                > "$work/read"
            awk '{ print NR - 1 " " $0 }' "$work/sent" | diff - "$work/read"
        done
        combinations=$((combinations + 1))
    done
done
echo "kcat: $combinations combinations"
