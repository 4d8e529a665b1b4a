//! Variables that Kubernetes adds.

use super::*;

/// A service called rookery-<section>, in the namespace that the pod runs in.
#[test]
fn what_kubernetes_adds_for_services_is_nobodys_mistake() {
    let sections: std::collections::BTreeSet<&str> =
        SETTINGS.iter().filter_map(|row| row.key.split_once('.')).map(|(name, _)| name).collect();
    for service in sections.iter().map(|name| format!("_{}", name.to_uppercase())).chain([
        String::new(),
        "_NAMESPACES".to_owned(),
        "_AUTH_KEYS".to_owned(),
        "_SERVER_LISTEN".to_owned(),
    ]) {
        let name = |end: &str| format!("ROOKERY{service}{end}");
        let case = Case::default()
            .env(&name("_SERVICE_HOST"), "10.43.7.9")
            .env(&name("_SERVICE_PORT"), "8000")
            .env(&name("_SERVICE_PORT_HTTP"), "8000")
            .env(&name("_PORT"), "tcp://10.43.7.9:8000")
            .env(&name("_PORT_8000_TCP"), "tcp://10.43.7.9:8000")
            .env(&name("_PORT_8000_TCP_PROTO"), "tcp")
            .env(&name("_PORT_8000_TCP_PORT"), "8000")
            .env(&name("_PORT_8000_TCP_ADDR"), "10.43.7.9");
        let config = case.good();
        assert_eq!(config.server.listen, Config::default().server.listen);
    }
    Case::default().env("ROOKERY_SERVER_PORT", "9000").mistakes(&[
        "ROOKERY_SERVER_PORT: there is no such setting; is it `ROOKERY_SERVER_CORES`?",
    ]);
}

/// If one could, a value that an operator gives would be taken for a service's.
#[test]
fn no_setting_has_the_name_of_what_kubernetes_adds() {
    let names = SETTINGS
        .iter()
        .map(SettingRow::env)
        .chain(["ROOKERY_NAMESPACES", "ROOKERY_AUTH_KEYS"].map(str::to_owned));
    for name in names {
        for value in ["tcp://10.43.7.9:8000", "8000", "10.43.7.9", "tcp", "0"] {
            assert!(!crate::config::service_links::is_service_link(&name, value), "{name}={value}");
        }
    }
}
