//! Variables that Kubernetes puts into each container of a namespace, for each service
//! in it (`enableServiceLinks`, which is on unless somebody says otherwise). A service
//! called rookery-server brings `ROOKERY_SERVER_PORT=tcp://10.43.7.9:8000`, and others
//! that begin like settings and are nobody's mistake.
//!
//! A variable is one of them if its name and its value have the form. A name alone is
//! not enough: `ROOKERY_SERVER_PORT=9000` is somebody's mistake.

use std::net::{IpAddr, SocketAddr};

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether Kubernetes made this variable.
pub(super) fn is_service_link(name: &str, value: &str) -> bool {
    // Services have all kinds of names, so one variable may have several of these forms.
    let is_host = name.ends_with("_SERVICE_HOST") && value.parse::<IpAddr>().is_ok();
    let is_port = name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_");
    let is_link = name.ends_with("_PORT") && is_address(value);
    is_host || is_port && value.parse::<u16>().is_ok() || is_link || is_part_of_link(name, value)
}

fn is_part_of_link(name: &str, value: &str) -> bool {
    let Some((port, protocol, part)) = port_of(name) else { return false };
    match part {
        "" => is_address(value),
        "_PROTO" => value.eq_ignore_ascii_case(protocol),
        "_PORT" => value == port,
        "_ADDR" => value.parse::<IpAddr>().is_ok(),
        _ => false,
    }
}

/// The number, the protocol and the rest of a name such as `…_PORT_8000_TCP_ADDR`.
fn port_of(name: &str) -> Option<(&str, &str, &str)> {
    let (_, behind) = name.rsplit_once("_PORT_")?;
    let (port, behind) = behind.split_once('_')?;
    port.parse::<u16>().ok()?;
    let protocol = PROTOCOLS.into_iter().find(|protocol| behind.starts_with(protocol))?;
    Some((port, protocol, &behind[protocol.len()..]))
}

/// Such as `tcp://10.43.7.9:8000`, or `udp://[fd00::9]:53`.
fn is_address(value: &str) -> bool {
    let Some((protocol, address)) = value.split_once("://") else { return false };
    PROTOCOLS.iter().any(|one| protocol.eq_ignore_ascii_case(one))
        && address.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kubelet makes for one service with one named port.
    fn links(service: &str, host: &str, port: u16, protocol: &str) -> Vec<(String, String)> {
        let name = service.to_ascii_uppercase().replace('-', "_");
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let url = format!("{}://{shown}:{port}", protocol.to_ascii_lowercase());
        let link = format!("{name}_PORT_{port}_{protocol}");
        vec![
            (format!("{name}_SERVICE_HOST"), host.to_owned()),
            (format!("{name}_SERVICE_PORT"), port.to_string()),
            (format!("{name}_SERVICE_PORT_HTTP_ADMIN"), port.to_string()),
            (format!("{name}_PORT"), url.clone()),
            (link.clone(), url),
            (format!("{link}_PROTO"), protocol.to_ascii_lowercase()),
            (format!("{link}_PORT"), port.to_string()),
            (format!("{link}_ADDR"), host.to_owned()),
        ]
    }

    #[test]
    fn all_that_a_service_brings_is_known() {
        for service in ["rookery", "rookery-server", "rookery-service-port", "rookery-port-1"] {
            for (host, protocol) in [("10.43.7.9", "TCP"), ("fd00::9", "UDP"), ("::1", "SCTP")] {
                for (name, value) in links(service, host, 8_000, protocol) {
                    assert!(is_service_link(&name, &value), "{name}={value}");
                }
            }
        }
    }

    #[test]
    fn what_only_looks_like_it_is_a_mistake() {
        for (name, value) in [
            ("ROOKERY_SERVER_PORT", "9000"),
            ("ROOKERY_SERVER_PORT", ""),
            ("ROOKERY_SERVER_PORT", "http://10.0.0.1:80"),
            ("ROOKERY_SERVER_PORT", "tcp://somewhere"),
            ("ROOKERY_SERVER_SERVICE_HOST", "chat.example.org"),
            ("ROOKERY_SERVER_SERVICE_PORTS", "8000"),
            ("ROOKERY_SERVER_SERVICE_PORT", "tcp"),
            ("ROOKERY_SERVER_PORT_8000_TCP_PORT", "8001"),
            ("ROOKERY_SERVER_PORT_8000_TCP_NAME", "8000"),
            ("ROOKERY_SERVER_PORT_8000_QUIC", "tcp://10.0.0.1:8000"),
            ("ROOKERY_SERVER_PORT_HTTP_TCP", "tcp://10.0.0.1:8000"),
            ("ROOKERY_SERVER_PORT_8000_TCP_PROTO", "udp"),
            ("ROOKERY_SERVER_LISTN", "tcp://10.0.0.1:8000"),
            ("_PORT_", "1"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }
}
