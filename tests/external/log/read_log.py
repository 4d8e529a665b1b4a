#!/usr/bin/env python3
"""Reads a log by docs/LOG_FORMAT.md alone: prints its batches, verifies every sum, and says where
it ends and why. Ends with 1 where the server would refuse to open it.

It changes nothing. Of what it does not find it names the file and the page.
"""

import argparse
import pathlib
import struct
import sys

from xxhash import xxh3_64_intdigest as xxh3

PLACE_BYTES = 8_192
PAGE_BYTES = 4_096
PART_BYTES = PAGE_BYTES - 32
BATCH_BYTES_MAX = 262_144
SEGMENTS_MAX = 128
NUMBER_MAX = 1 << 62
ALL_ONES = (1 << 64) - 1


class Damage(Exception):
    """The server would not open this log."""


class Segment:
    """What the manifest says of one."""

    def __init__(self, entry):
        self.id, self.zeros, self.life, self.first, self.last, self.before = struct.unpack("<IIQQQQ", entry)
        self.name = f"segment-{self.id:03}"
        self.is_open = self.last == ALL_ONES


class Manifest:
    """One whole place."""

    def __init__(self, place):
        form, self.segment_pages, self.generation, self.durable, count = struct.unpack_from("<IIQQQ", place, 16)
        if form != 1:
            raise Damage(f"manifest: a newer version wrote it, in form {form}")
        if SEGMENTS_MAX < count:
            raise ValueError(f"{count} segments")
        self.segments = [Segment(place[48 + 40 * n :][:40]) for n in range(count)]
        self.check()

    def check(self):
        ids = {segment.id for segment in self.segments}
        if len(ids) < len(self.segments):
            raise ValueError("a segment stands in it twice")
        if NUMBER_MAX < max(self.durable, self.generation) or not self.segment_pages:
            raise ValueError("a number that no log has")
        following, was_open = None, False
        for segment in self.segments:
            if not segment.first:
                was_open = True
                continue
            if following not in (None, segment.first):
                raise ValueError(f"{segment.name} begins at {segment.first} and not at {following}")
            if segment.is_open:
                was_open, following = True, None
                continue
            if was_open or not segment.first <= segment.last <= self.durable:
                raise ValueError(f"{segment.name} is sealed at {segment.last}")
            following = segment.last + 1
        if self.segments and self.durable + 1 < self.segments[0].first:
            raise ValueError("batches before its first were not durable")


def read_place(place):
    """A manifest, `None` for a blank place, or why it is none."""
    if not any(place):
        return None
    if len(place) != PLACE_BYTES:
        return f"it has {len(place)} bytes"
    if place[8:16] != b"rookrlog":
        return "it has other letters"
    if int.from_bytes(place[:8], "little") != xxh3(place[8:]):
        return "its sum is wrong"
    try:
        return Manifest(place)
    except ValueError as error:
        return f"what it says is not possible: {error}"


def read_manifest(directory, out):
    path = directory / "manifest"
    content = path.read_bytes() if path.exists() else b""
    places = [read_place(content[at : at + PLACE_BYTES]) for at in (0, PLACE_BYTES)]
    for number, place in enumerate(places):
        if place is None:
            out(f"manifest, place {number}: blank")
        elif isinstance(place, str):
            out(f"manifest, place {number}: {place}")
        else:
            out(
                f"manifest, place {number}: generation {place.generation}, durable {place.durable},"
                f" {len(place.segments)} segments of {place.segment_pages} pages"
            )
    whole = [place for place in places if isinstance(place, Manifest)]
    if whole:
        # Of equal ones the first.
        return max(whole, key=lambda place: place.generation)
    if places[1] is None and not list(directory.glob("segment-*")):
        return None
    raise Damage("manifest: no place is whole")


class Page:
    """A page with a right sum."""

    def __init__(self, content):
        fields = struct.unpack_from("<HHIQQ", content, 8)
        self.number, self.pages, self.batch_bytes, self.sequence, self.mark = fields
        self.part = content[32:]

    def is_next(self, other):
        return (other.number, other.pages, other.batch_bytes, other.sequence, other.mark) == (
            self.number + 1,
            self.pages,
            self.batch_bytes,
            self.sequence,
            self.mark,
        )


def read_page(content, segment, at):
    """The page at this place, or why it is none."""
    page = content[at * PAGE_BYTES : (at + 1) * PAGE_BYTES]
    if len(page) < PAGE_BYTES:
        return "the segment ends"
    if not any(page):
        return "zeros"
    seed = (segment.life + (at + 1) * 0x9E3779B97F4A7C15) % (1 << 64)
    if int.from_bytes(page[:8], "little") != xxh3(page[8:], seed=seed):
        return "its sum is wrong, or it is of another life"
    page = Page(page)
    if not page.number < page.pages or page.pages != -(-page.batch_bytes // PART_BYTES):
        return "its head is not possible"
    return page


def read_batch(content, segment, at, sequence):
    """A batch's bytes, pages and mark if it begins here, or why it does not."""
    first = page = read_page(content, segment, at)
    if isinstance(page, str):
        return f"page {at}: {page}"
    if page.number or page.sequence != sequence:
        return f"page {at}: page {page.number} of batch {page.sequence} stands there"
    parts = [page.part]
    for number in range(1, first.pages):
        following = read_page(content, segment, at + number)
        if isinstance(following, str):
            return f"page {at + number}: {following}"
        if not page.is_next(following):
            return f"page {at + number}: page {following.number} of batch {following.sequence} stands there"
        page = following
        parts.append(page.part)
    return b"".join(parts)[: first.batch_bytes], first.pages, first.mark


def read_records(sealed, sequence, before):
    """The records of a batch, as pairs of a partition and bytes."""
    if not 40 <= len(sealed) <= BATCH_BYTES_MAX:
        raise ValueError(f"it has {len(sealed)} bytes")
    seal, named, term, own, count, form = struct.unpack_from("<QQQQII", sealed)
    if seal != xxh3(sealed[8:]):
        raise ValueError("its seal is wrong")
    if form != 1:
        raise ValueError(f"form {form}")
    if named != before:
        raise ValueError("it does not name the seal of the batch before")
    if own != sequence:
        raise ValueError(f"it says that it is batch {own}")
    records, at = [], 40
    while at < len(sealed):
        partition, length = sealed[at], int.from_bytes(sealed[at + 1 : at + 4], "little")
        at += 4 + length
        if len(sealed) < at or 64 <= partition:
            raise ValueError(f"record {len(records)} is none")
        records.append((partition, sealed[at - length : at]))
    if len(records) != count:
        raise ValueError(f"it has {len(records)} records and says {count}")
    return records, seal, term


class Reader:
    """Goes through the segments. `found` is called for each batch."""

    def __init__(self, directory, manifest, found):
        self.directory, self.manifest, self.found = directory, manifest, found
        first = manifest.segments[0] if manifest.segments else None
        self.sequence = first.first if first and first.first else manifest.durable + 1
        self.before = first.before if first else 0
        self.mark = manifest.durable
        self.end = "no segment is named"

    def segment(self, segment):
        path = self.directory / segment.name
        wanted = self.manifest.segment_pages * PAGE_BYTES
        if not path.exists() or path.stat().st_size != wanted:
            raise Damage(f"{segment.name}: it is missing, or does not have {wanted} bytes")
        content = path.read_bytes()
        at, begun, why, is_ended = 0, self.sequence, None, False
        # The first one may begin behind pages that were damaged, and count for nothing.
        is_first = segment is self.manifest.segments[0]
        while at < self.manifest.segment_pages and (segment.is_open or self.sequence <= segment.last):
            batch = why if is_ended else read_batch(content, segment, at, self.sequence)
            if isinstance(batch, str):
                # Behind the end pages count for their marks.
                why = why or batch
                is_ended = not is_first or begun < self.sequence
                page = read_page(content, segment, at)
                self.mark = max(self.mark, page.mark) if isinstance(page, Page) else self.mark
                at += 1
                continue
            at += self.take(segment, at, *batch)
        # A segment behind a cut has nothing to say of the batch that is looked for.
        if begun < self.sequence or segment.first == self.sequence:
            self.end = f"{segment.name}, {why or f'page {at}: all of it is full or sealed'}"

    def take(self, segment, at, sealed, pages, mark):
        try:
            records, self.before, term = read_records(sealed, self.sequence, self.before)
        except ValueError as error:
            place = f"{segment.name}, page {at}"
            raise Damage(f"batch {self.sequence} under right sums, {place}: {error}") from None
        self.mark = max(self.mark, mark)
        self.found(segment, at, self.sequence, term, records)
        self.sequence += 1
        return pages


def read_log(directory, found, out):
    """Reads all of it, and returns the last sequence."""
    manifest = read_manifest(directory, out)
    if manifest is None:
        out("a new log: nothing was written")
        return 0
    reader = Reader(directory, manifest, found)
    for segment in manifest.segments:
        reader.segment(segment)
    last = reader.sequence - 1
    out(f"ends behind batch {last}, mark {reader.mark}: {reader.end}")
    if last < reader.mark:
        raise Damage(f"batch {reader.sequence} was durable and is not whole: {reader.end}")
    return last


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=pathlib.Path)
    directory = parser.parse_args().directory

    def found(segment, page, sequence, term, records):
        record_bytes = sum(len(record) for _, record in records)
        place = f"{segment.name}, page {page}"
        print(f"batch {term}/{sequence}: {len(records)} records, {record_bytes} bytes; {place}")

    try:
        read_log(directory, found, print)
    except Damage as damage:
        print(f"damaged: {damage}")
        sys.exit(1)


if __name__ == "__main__":
    main()
