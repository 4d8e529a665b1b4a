"""What schemathesis cannot know from the schemas alone: texts are bounded by their bytes, addresses
are addresses, and who is kept out is so until some time ahead of now.

Names are often those of channels and users that there are, so that not all is unknown.
"""

import base64
import ipaddress
import time

import schemathesis
from hypothesis import strategies as st

NAMES = ["room:1", "kept:1", "short:1", "wide:1", "@anna", "@bob", "dm#anna,bob", "anna", "bob"]

# One that no test outlives, and that is the same in each run.
AHEAD_UNIX_S = 4_000_000_000


def texts(bytes_max):
    letters = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
    drawn = st.text(letters, max_size=bytes_max)
    names = [name for name in NAMES if len(name) <= bytes_max]
    return st.sampled_from(names) | drawn.filter(lambda text: len(text.encode()) <= bytes_max)


def networks(version, bits_min, bits_max):
    addresses = st.ip_addresses(v=version)
    bits = st.integers(bits_min, bits_max)
    return st.builds(lambda a, b: ipaddress.ip_network((a, b), strict=False), addresses, bits)


def is_of_one_family(network):
    """Addresses of IPv4 are not written as those of IPv6."""
    mapped = ipaddress.ip_network("::ffff:0:0/96")
    return network.version == 4 or not network.overlaps(mapped)


RANGES = (networks(4, 8, 32) | networks(6, 16, 128)).filter(is_of_one_family)

for limit in [32, 64, 123, 255]:
    schemathesis.openapi.format(f"utf8-{limit}", texts(limit))
schemathesis.openapi.format(
    "base64-4096", st.binary(max_size=4096).map(lambda data: base64.b64encode(data).decode())
)
schemathesis.openapi.format("address-range", RANGES.map(str))


def in_digits(value):
    """The same JSON as it is read: 7, and neither 7.0 nor 7e0."""
    if isinstance(value, dict):
        return {name: in_digits(one) for name, one in value.items()}
    if isinstance(value, list):
        return [in_digits(one) for one in value]
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**64
    return int(value) if is_whole else value


def of_one_method(command):
    """The document knows commands of one member; the server lets others be null, as some clients
    write them."""
    if isinstance(command, dict) and [one is None for one in command.values()].count(False) == 1:
        return {name: True if one is None else one for name, one in command.items()}
    return command


def each_once(channels):
    """A history of several channels has each of them once, by name or as a place in it."""
    named = {}
    for one in channels:
        channel = one.get("channel") if isinstance(one, dict) else one
        named.setdefault(repr(channel), one)
    return list(named.values())


def as_it_could_be(body):
    body = in_digits(body)
    if not isinstance(body, dict):
        return body
    end, commands = body.get("expire_at"), body.get("commands")
    if type(end) is int and 0 < end <= time.time():
        body["expire_at"] = AHEAD_UNIX_S
    if isinstance(body.get("channels"), list):
        body["channels"] = each_once(body["channels"])
    if isinstance(commands, list):
        body["commands"] = [of_one_method(command) for command in commands]
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    """Each body that is sent, whatever drew it; schemathesis looks again at what was changed."""
    body = as_it_could_be(case.body)
    if repr(body) != repr(case.body):
        case.body = body
