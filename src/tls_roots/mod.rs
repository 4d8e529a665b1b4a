//! The root certificates that a TLS client of this program trusts; `outbound` and `probe` ask for
//! them.
//!
//! Deliberately absent: connections, and any way not to verify.
#![forbid(unsafe_code)]

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// The settings of a TLS client that trusts the roots of the system, and the certificates in
/// `ca_file` if it names one. The error says in one sentence what is wrong with that file.
pub fn client_config(ca_file: &str) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if !ca_file.is_empty() {
        let certificates = CertificateDer::pem_file_iter(ca_file)
            .map_err(|error| format!("{ca_file}: {error}"))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| format!("{ca_file}: {error}"))?;
            roots.add(certificate).map_err(|error| format!("{ca_file}: {error}"))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = versions.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
