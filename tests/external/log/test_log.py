"""The reader of docs/LOG_FORMAT.md on logs that the server's own code wrote, and that code's word on
each log that was changed."""

import pathlib
import random
import shutil
import struct
import subprocess
import sys

import pytest
import read_log

TOP = pathlib.Path(__file__).parents[3]
PROGRAM = TOP / "target/debug/examples/log_form"
PAGE_BYTES = read_log.PAGE_BYTES


def program(action, directory):
    run = subprocess.run([PROGRAM, action, directory], check=True, capture_output=True, text=True)
    return run.stdout.splitlines()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A log, and what its writer said of each batch."""
    directory = tmp_path_factory.mktemp("log") / "log"
    return directory, program("write", directory)


@pytest.fixture
def copied(written, tmp_path):
    return pathlib.Path(shutil.copytree(written[0], tmp_path / "log"))


def read(directory):
    """Batches with their places, what is said, and what is damaged."""
    batches, said, damage = [], [], None

    def found(segment, page, sequence, term, records):
        batches.append((sequence, segment.name, page, term, records))

    try:
        read_log.read_log(directory, found, said.append)
    except read_log.Damage as error:
        damage = str(error)
    return batches, said, damage


def flip(path, at, bit):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def test_every_batch_is_read_as_it_was_written(written):
    directory, lines = written
    first, last = (int(word) for word in lines[-1].split()[1:])
    batches, said, damage = read(directory)
    assert damage is None and 1 < first
    assert [sequence for sequence, *_ in batches] == list(range(first, last + 1))
    assert len({name for _, name, *_ in batches}) >= 3
    by_reader = [
        f"batch {term}/{sequence}: {len(records)} records, {sum(len(one) for _, one in records)} bytes"
        for sequence, _, _, term, records in batches
    ]
    # Batches of the log's own, which carry marks, are not the writer's.
    assert [line for line in lines if line.startswith("batch")][-len(by_reader) :] == by_reader
    for sequence, _, _, _, records in batches:
        for number, (partition, record) in enumerate(records):
            assert partition == sequence % 64
            assert record == bytes((sequence * 31 + at + number) % 256 for at in range(len(record)))
    assert said[-1].startswith(f"ends behind batch {last}, mark {last - 1}: ")
    # The segment was used before.
    assert said[-1].endswith("its sum is wrong, or it is of another life")


def test_the_command_prints_what_it_reads_and_ends_with_1_for_damage(copied):
    def run():
        command = [sys.executable, read_log.__file__, copied]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    whole = run()
    assert whole.returncode == 0, whole.stdout
    assert "ends behind batch" in whole.stdout.splitlines()[-1]
    sequence, name, page, *_ = read(copied)[0][5]
    flip(copied / name, page * PAGE_BYTES + 50, 3)
    damaged = run()
    assert damaged.returncode == 1
    wanted = f"batch {sequence} was durable and is not whole: {name}, page {page}: its sum is wrong"
    assert wanted in damaged.stdout.splitlines()[-1]


def test_one_place_of_the_manifest_is_enough_and_none_is_said(copied):
    before = read(copied)[0]
    flip(copied / "manifest", 100, 0)
    batches, said, damage = read(copied)
    assert (batches, damage) == (before, None)
    assert said[0] == "manifest, place 0: its sum is wrong"
    flip(copied / "manifest", 8_192 + 9, 0)
    assert read(copied)[2] == "manifest: no place is whole"
    assert read(copied)[1][1] == "manifest, place 1: it has other letters"


def test_a_missing_segment_is_named(copied):
    name = read(copied)[0][0][1]
    (copied / name).unlink()
    assert read(copied)[2].startswith(f"{name}: it is missing")


def test_the_last_batch_is_cut_where_no_mark_vouches_for_it(copied):
    batches = read(copied)[0]
    sequence, name, page, *_ = batches[-1]
    flip(copied / name, page * PAGE_BYTES + 4_095, 7)
    cut, said, damage = read(copied)
    assert damage is None and cut == batches[:-1]
    wanted = f"ends behind batch {sequence - 1}, mark {sequence - 2}: {name}, page {page}: its sum"
    assert said[-1].startswith(wanted)


@pytest.mark.parametrize("seed", range(60))
def test_the_server_says_the_same_of_every_flipped_bit(copied, seed):
    prng = random.Random(seed)
    batches = read(copied)[0]
    # Small numbers flip bits in the last batches, where torn and damaged lie side by side.
    sequence, name, first, _, records = batches[-1 - seed % 6] if seed < 30 else prng.choice(batches)
    batch_bytes = 40 + sum(4 + len(record) for _, record in records)
    page = first + prng.randrange(-(-batch_bytes // read_log.PART_BYTES))
    flip(copied / name, page * PAGE_BYTES + prng.randrange(PAGE_BYTES), prng.randrange(8))
    found, said, damage = read(copied)
    (server,) = program("open", copied)
    if damage is None:
        assert server == f"opened {found[0][0]} {found[-1][0]}", said
    else:
        number = int(name.removeprefix("segment-"))
        lost = f"batch {sequence} was durable and is not whole"
        assert server == f"refused: {lost}: segment {number}, page {first}"
        assert damage.startswith(f"{lost}: {name}, page {page}: ")


@pytest.mark.parametrize("back", [3, 20, 40])
def test_a_log_may_begin_behind_damage_in_the_middle_of_a_segment(copied, back):
    batches = read(copied)[0]
    sequence, name, page, *_ = batches[-back]
    flip(copied / name, page * PAGE_BYTES + 99, 1)
    assert program(f"behind-{sequence - 1}", copied)[0].startswith("refused: ")
    last = batches[-1][0]
    assert program(f"behind-{sequence}", copied) == [f"opened {sequence + 1} {last}"]
    found, _, damage = read(copied)
    assert damage is None
    assert [batch[0] for batch in found] == list(range(sequence + 1, last + 1))
    assert [batch[3:] for batch in found] == [batch[3:] for batch in batches if sequence < batch[0]]
    assert program("open", copied) == [f"opened {sequence + 1} {last}"]


# What no sum of a page tells: a batch that says something else under the page's right sum, and,
# from the second on, under its own seal.
@pytest.mark.parametrize(
    ("at", "is_sealed", "why"),
    [
        (60, False, "its seal is wrong"),
        (8, True, "it does not name the seal of the batch before"),
        (24, True, "it says that it is batch"),
        (32, True, "records and says"),
        (36, True, "form"),
        (40, True, "record 0 is none"),
    ],
)
def test_what_only_a_seal_or_the_chain_tells_is_damage_to_both(copied, at, is_sealed, why):
    sequence, name, page, _, records = next(
        batch for batch in read(copied)[0] if batch[4] and sum(len(one) for _, one in batch[4]) < 3_000
    )
    segment = next(one for one in manifest_of(copied).segments if one.name == name)
    with (copied / name).open("r+b") as file:
        file.seek(page * PAGE_BYTES)
        content = bytearray(file.read(PAGE_BYTES))
        batch_bytes = struct.unpack_from("<I", content, 12)[0]
        content[32 + at] ^= 0x40
        if is_sealed:
            struct.pack_into("<Q", content, 32, read_log.xxh3(bytes(content[40 : 32 + batch_bytes])))
        seed = (segment.life + (page + 1) * 0x9E3779B97F4A7C15) % (1 << 64)
        struct.pack_into("<Q", content, 0, read_log.xxh3(bytes(content[8:]), seed=seed))
        file.seek(page * PAGE_BYTES)
        file.write(content)
    damage = read(copied)[2]
    assert damage.startswith(f"batch {sequence} under right sums, {name}, page {page}: ")
    assert why in damage
    (server,) = program("open", copied)
    assert server.startswith(f"refused: batch {sequence} was durable and is not whole: ")


def manifest_of(directory):
    return read_log.read_manifest(directory, lambda line: None)


def test_of_two_places_the_one_with_the_higher_generation_counts(copied):
    last = read(copied)[0][-1][0]
    path = copied / "manifest"
    content = bytearray(path.read_bytes())
    place = content[:8_192]
    struct.pack_into("<QQ", place, 24, manifest_of(copied).generation + 1, last + 7)
    struct.pack_into("<Q", place, 0, read_log.xxh3(bytes(place[8:])))
    path.write_bytes(content[:8_192] + place)
    assert read(copied)[2].startswith(f"batch {last + 1} was durable and is not whole: ")
    (server,) = program("open", copied)
    assert server.startswith(f"refused: batch {last + 1} was durable and is not whole: ")
