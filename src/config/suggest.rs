//! Which known name was probably meant by a misspelt one.

/// The known name that was probably meant: the one that needs the fewest
/// changes, when these are few for its length.
pub(super) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let wrong_last = last(wrong);
    let ranked = known.filter_map(|name| {
        // The right name in the wrong section is nearer than any misspelling.
        let moved = last(name) == wrong_last;
        let distance = if moved { 0 } else { distance(wrong, name) };
        (moved || distance <= name.len().div_ceil(4)).then_some((distance, name))
    });
    ranked.min_by_key(|&(distance, _)| distance).map(|(_, name)| name)
}

/// Insertions, deletions, replacements and swaps of neighbours between two
/// texts. Names are bounded, so the square of their length is small.
fn distance(left: &str, right: &str) -> usize {
    const BYTES_MAX: usize = 128;
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() > BYTES_MAX || right.len() > BYTES_MAX {
        return usize::MAX;
    }
    let mut rows = vec![vec![0; right.len() + 1]; left.len() + 1];
    for i in 0..=left.len() {
        for j in 0..=right.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let cost = usize::from(left[i - 1] != right[j - 1]);
            let mut best = (rows[i - 1][j - 1] + cost).min(rows[i - 1][j] + 1);
            best = best.min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_the_right_one() {
        let known = ["server.listen", "server.admin_listen", "session.ping_interval_ms", "name"];
        for (wrong, want) in [
            ("server.lisen", Some("server.listen")),
            ("server.litsen", Some("server.listen")),
            ("session.ping_interval", Some("session.ping_interval_ms")),
            ("ping_interval_ms", Some("session.ping_interval_ms")),
            ("listen", Some("server.listen")),
            ("nmae", Some("name")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, known.into_iter()), want, "{wrong}");
        }
        assert_eq!(nearest(&"x".repeat(10_000), known.into_iter()), None);
    }
}
