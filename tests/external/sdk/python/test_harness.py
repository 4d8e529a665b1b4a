"""What the tests themselves stand on."""

from harness import free_port


def test_no_port_is_given_twice(monkeypatch):
    # By chance alone, two of so many would be the same.
    monkeypatch.setenv("ROOKERY_TEST_PORTS", "30000-30399")
    ports = [free_port() for _ in range(100)]
    assert len(set(ports)) == len(ports)
