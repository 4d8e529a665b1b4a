//! `/metrics`: what a scrape asks for, and how it can read the answer.

use std::io::Write as _;

use axum::http::{HeaderMap, HeaderName, header};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::metrics::{ExpositionFormat, ScrapeQuery, ScrapeScope};

/// Names of one query.
const NAMES_MAX: usize = 64;

/// What compresses well enough at the first level, and must not keep the thread busy.
const LEVEL: Compression = Compression::fast();

/// A query that cannot be served, as one sentence.
pub(super) type ScrapeError = &'static str;

/// The query of a scrape, from the pairs of its address.
pub(super) fn query(pairs: &[(String, String)]) -> Result<ScrapeQuery, ScrapeError> {
    let mut query = ScrapeQuery::default();
    for (key, value) in pairs {
        match (key.as_str(), value.as_str()) {
            ("core", "sum") => query.cores = ScrapeScope::Summed,
            ("core", "each") => query.cores = ScrapeScope::Each,
            ("core", _) => return Err("core is sum or each\n"),
            ("name[]", name) if query.names.len() < NAMES_MAX => query.names.push(name.to_owned()),
            ("name[]", _) => return Err("name[] may be given 64 times at most\n"),
            ("tenant_id", tenant) => query.tenant = Some(tenant.to_owned()),
            _ => {
                return Err("the query knows core=sum, core=each, name[]=<metric> and \
                            tenant_id=<tenant>\n");
            }
        }
    }
    Ok(query)
}

/// The format that `Accept` likes best of those that are spoken here. Whoever likes
/// none gets the text: a scraper that asks for protobuf alone reads text, too.
pub(super) fn format(headers: &HeaderMap) -> ExpositionFormat {
    let (mut open_metrics, mut text) = (0, 0);
    for (range, quality) in ranges(headers, &header::ACCEPT) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let version = parts.filter_map(|part| part.split_once('='));
        let version = version.filter(|(name, _)| name.eq_ignore_ascii_case("version"));
        let version = version.map(|(_, version)| version.trim_matches('"')).next();
        let is = |name: &str| kind.eq_ignore_ascii_case(name);
        if is("application/openmetrics-text") && version.is_none_or(|version| version == "1.0.0") {
            open_metrics = open_metrics.max(quality);
        } else if is("text/plain") && version.is_none_or(|version| version == "0.0.4") {
            text = text.max(quality);
        }
    }
    if 0 < open_metrics && text <= open_metrics {
        ExpositionFormat::OpenMetrics
    } else {
        ExpositionFormat::Text
    }
}

/// Whether the answer may be compressed.
pub(super) fn takes_gzip(headers: &HeaderMap) -> bool {
    ranges(headers, &header::ACCEPT_ENCODING).any(|(range, quality)| {
        let name = range.split(';').next().unwrap_or_default().trim();
        0 < quality && name.eq_ignore_ascii_case("gzip")
    })
}

/// The answer, compressed. It has a bound, so this has one.
pub(super) fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 8), LEVEL);
    encoder.write_all(text.as_bytes()).expect("a Vec takes everything");
    encoder.finish().expect("a Vec takes everything")
}

/// Entries of a header with their qualities, in thousandths (RFC 9110, 12.4.2).
fn ranges<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = (&'h str, u16)> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(|range| {
        let parameters = range.split(';').skip(1).filter_map(|part| part.split_once('='));
        let mut quality = parameters.filter(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        let quality = quality.next().map(|(_, quality)| quality.trim().parse::<f32>());
        let quality = match quality {
            None => 1.0,
            Some(Ok(quality)) if (0.0..=1.0).contains(&quality) => quality,
            // What cannot be read is no wish.
            Some(Ok(_) | Err(_)) => 0.0,
        };
        (range.trim(), (quality * 1_000.0) as u16)
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(accept: &str, want: ExpositionFormat) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_str(accept).unwrap());
        assert_eq!(format(&headers), want, "{accept}");
    }

    #[test]
    fn scrapers_get_what_they_like_best() {
        use ExpositionFormat::{OpenMetrics, Text};
        assert_eq!(format(&HeaderMap::new()), Text);
        // Prometheus 2.42, without and with native histograms.
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
             version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            OpenMetrics,
        );
        check(
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
             */*;q=0.1",
            OpenMetrics,
        );
        check("application/openmetrics-text", OpenMetrics);
        check("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", OpenMetrics);
        check("application/openmetrics-text;q=0.4,text/plain;q=0.5", Text);
        check("application/openmetrics-text;q=0.5,text/plain;version=0.0.4;q=0.5", OpenMetrics);
        check("application/openmetrics-text;version=0.0.1", Text);
        check("application/openmetrics-text;q=0", Text);
        check("application/openmetrics-text;q=x", Text);
        check("application/openmetrics-text;q=NaN", Text);
        check("application/vnd.google.protobuf", Text);
        check("*/*", Text);
        check("", Text);
        check(",;=,;;q=", Text);
    }

    #[track_caller]
    fn check_query(pairs: &[(&str, &str)], want: Result<ScrapeQuery, &str>) {
        let pairs: Vec<(String, String)> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        match (query(&pairs), want) {
            (Err(why), Err(want)) => assert!(why.contains(want) && why.ends_with('\n'), "{why}"),
            (query, want) => assert_eq!(query, want.map_err(|_| "")),
        }
    }

    #[test]
    fn queries_are_read_or_refused() {
        check_query(&[], Ok(ScrapeQuery::default()));
        let cores = ScrapeScope::Each;
        check_query(&[("core", "each")], Ok(ScrapeQuery { cores, ..ScrapeQuery::default() }));
        let names = vec!["a".to_owned(), "b".to_owned()];
        let want = Ok(ScrapeQuery { names, ..ScrapeQuery::default() });
        check_query(&[("name[]", "a"), ("name[]", "b")], want);
        check_query(&[("core", "1")], Err("core is sum or each"));
        check_query(&[("name", "a")], Err("the query knows"));
        check_query(&[("name[]", "a"); 65], Err("64 times"));
    }

    #[test]
    fn answers_are_compressed_for_those_who_can_read_that() {
        let takes = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(value));
            takes_gzip(&headers)
        };
        assert!(takes("gzip") && takes("deflate, GZIP;q=0.5") && !takes_gzip(&HeaderMap::new()));
        assert!(!takes("identity") && !takes("gzip;q=0") && !takes("gzipped"));
        let packed = gzip(&"chat ".repeat(1_000));
        assert!(packed.starts_with(&[0x1f, 0x8b]) && packed.len() < 100);
    }
}
