"""What could be wrong with an exposition: the server's own answer, with one thing changed.

Each case gives the type and the text that a scraper gets.
"""

import time

OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4"
FAMILY = "chat_e2e_latency_seconds"
BUCKET = FAMILY + '_bucket{chat_type="group",direction="recv",le='
BEGAN = time.time()


def changed(old, new):
    """The answer with one part replaced; a case that changes nothing is no case."""

    def case(text):
        assert old in text, f"there is no {old}"
        return OPEN_METRICS, text.replace(old, new, 1)

    return case


def example(text):
    """The part of a line behind the value, of the slow message."""
    line = next(line for line in text.splitlines() if line.startswith(BUCKET + '"0.8"'))
    return line[line.index(" # "):]


def with_example(make):
    def case(text):
        old = example(text)
        return OPEN_METRICS, text.replace(old, make(old))

    return case


def relabelled(labels):
    """Other labels, and a time of its own: the value stays in its bucket."""
    return with_example(lambda old: f" # {{{labels}}} {old.split('} ')[1].split(' ')[0]} {BEGAN:.3f}")


def old_follows_new():
    """At first an example of now, then others that are older than that."""
    served = 0

    def case(text):
        nonlocal served
        served += 1
        when = BEGAN if served == 1 else BEGAN - 100 - served
        old = example(text)
        labels = f'trace_id="{served:032x}"'
        return OPEN_METRICS, text.replace(old, f" # {{{labels}}} 0.6 {when:.3f}")

    return case


CASES = {
    "good": lambda text: (OPEN_METRICS, text),
    "without_time": with_example(lambda old: old.rsplit(" ", 1)[0]),
    "older_than_the_last": old_follows_new(),
    "129_characters": relabelled(f'trace_id="{"x" * 121}"'),
    "128_characters": relabelled(f'trace_id="{"x" * 120}"'),
    "example_in_text": lambda text: (TEXT, text.replace("# EOF\n", "")),
    "no_end": changed("# EOF\n", ""),
    "blank_line": changed("# TYPE chat_rooms ", "\n# TYPE chat_rooms "),
    "wrong_unit": changed("# UNIT chat_bytes bytes", "# UNIT chat_bytes seconds"),
    "example_on_a_gauge": changed("\nchat_rooms 1\n", '\nchat_rooms 1 # {trace_id="a"} 1\n'),
    "family_ends_in_total": changed("# TYPE chat_tasks_spawned ", "# TYPE chat_tasks_spawned_total "),
    "value_outside_its_bucket": with_example(lambda old: old.replace("} 0.", "} 9.")),
    "bound_without_a_point": changed(
        'chat_executor_stall_seconds_bucket{le="1.0"}', 'chat_executor_stall_seconds_bucket{le="1"}'
    ),
}
