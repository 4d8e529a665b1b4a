//! The body of a notification, whatever its size: its beginning, its end, and how many
//! alerts lie between.
//!
//! Alertmanager does not retry what is answered with 4xx, so a body that is too large is read to
//! its end and accepted.

use axum::body::Body as HttpBody;
use http_body_util::BodyExt as _;

use crate::alert::model::notification::NotificationBody;

/// Bytes of the end of a body that are kept: they contain the group key.
const TAIL_BYTES: usize = 64 << 10;

/// A text that each alert has once, and one that each critical alert has.
const ALERT_MARK: &[u8] = b"\"startsAt\":";
const CRITICAL_MARK: &[u8] = b"\"severity\":\"critical\"";

/// Reads a body to its end; `None` when the connection ends before.
pub async fn take(mut body: HttpBody, bytes_max: usize) -> Option<NotificationBody> {
    let mut taken = Taken::new(bytes_max);
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.ok()?.into_data() {
            taken.add(&chunk);
        }
    }
    Some(taken.end())
}

struct Taken {
    bytes_max: usize,
    body: NotificationBody,
}

impl Taken {
    fn new(bytes_max: usize) -> Taken {
        Taken { bytes_max, body: NotificationBody::default() }
    }

    fn add(&mut self, chunk: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.body.bytes.len());
        let (kept, over) = chunk.split_at(chunk.len().min(room));
        self.body.bytes.extend_from_slice(kept);
        if over.is_empty() {
            return;
        }
        if self.body.tail.is_empty() {
            // The alert that is cut is counted here, and not read there.
            let from = self.body.bytes.len().saturating_sub(TAIL_BYTES);
            self.body.tail.extend_from_slice(&self.body.bytes[from..]);
        }
        let tail = &mut self.body.tail;
        // A mark may begin in the chunk before, and is counted in the one that it ends in.
        let old = (CRITICAL_MARK.len() - 1).min(tail.len());
        let from = tail.len() - old;
        tail.extend_from_slice(over);
        self.body.skipped += count(&tail[from..], ALERT_MARK, old);
        self.body.skipped_critical |= count(&tail[from..], CRITICAL_MARK, old) > 0;
        if tail.len() > 2 * TAIL_BYTES {
            tail.drain(..tail.len() - TAIL_BYTES);
        }
    }

    fn end(mut self) -> NotificationBody {
        let over = self.body.tail.len().saturating_sub(TAIL_BYTES);
        self.body.tail.drain(..over);
        self.body
    }
}

/// How often a mark ends behind the first `old` bytes.
fn count(bytes: &[u8], mark: &[u8], old: usize) -> u64 {
    let from = (old + 1).saturating_sub(mark.len());
    let new = bytes.get(from..).unwrap_or_default();
    new.windows(mark.len()).filter(|part| *part == mark).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(whole: &[u8], bytes_max: usize, chunk_bytes: usize) -> NotificationBody {
        let mut taken = Taken::new(bytes_max);
        whole.chunks(chunk_bytes).for_each(|chunk| taken.add(chunk));
        taken.end()
    }

    #[test]
    fn what_lies_between_beginning_and_end_is_counted_whatever_the_chunks() {
        let alert = r#"{"labels":{"severity":"critical"},"startsAt":"2026"},"#;
        let whole = alert.repeat(3_000);
        for (bytes_max, want) in [(whole.len(), 0), (alert.len() * 2_000, 1_000)] {
            for chunk_bytes in [1, 7, 4_096, whole.len()] {
                let body = taken(whole.as_bytes(), bytes_max, chunk_bytes);
                assert_eq!(body.bytes.len(), bytes_max);
                assert_eq!(body.skipped, want, "{chunk_bytes}");
                assert_eq!(body.skipped_critical, want > 0);
                assert!(body.tail.len() <= TAIL_BYTES);
                assert!(body.tail.is_empty() || whole.as_bytes().ends_with(&body.tail));
            }
        }
    }
}
