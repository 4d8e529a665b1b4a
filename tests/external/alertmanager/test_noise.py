"""The claim about noise, measured (`make noise-demo`)."""

import json

from harness import TOP, run


def test_an_incident_of_many_alerts_is_one_message():
    code, said = run(TOP / "scripts/noise-demo", "--json")
    assert code == 0, said
    assert json.loads(said) == {
        "raw_series": 12_840,
        "recorded_series": 4,
        "raw_alerts": 69,
        "raw_alerts_a_minute": 23,
        "shipped_alerts": 1,
        "raw_messages": 69,
        "shipped_messages": 1,
        "shipped_recoveries": 1,
    }
