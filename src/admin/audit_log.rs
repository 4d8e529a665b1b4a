//! Where audit events go: into the log, as a line with the fields of the event, and into the list
//! that the console shows.
//!
//! Deliberately absent: what is an event (`console`), and who makes one.

use std::sync::Arc;

use tokio::sync::Mutex;

use crate::console::{AuditEvent, AuditTrail, AuditVia};

/// Shared by all who do something or refuse it.
#[derive(Clone, Debug, Default)]
pub struct AuditLog(Arc<Mutex<AuditTrail>>);

impl AuditLog {
    /// Writes an event down.
    pub async fn tell(&self, event: AuditEvent) {
        let from = event.from.map(|from| from.to_string()).unwrap_or_default();
        // A level and a name belong to a place in the source. By its name a line has its rate, so
        // that refusals and busy backends leave out no line about an operator.
        macro_rules! line {
            ($level:ident, $name:literal) => {
                tracing::$level!(
                    name: $name,
                    event = event.action.name(),
                    actor = &*event.actor,
                    via = event.via.name(),
                    from = from.as_str(),
                    subject = &*event.target,
                    outcome = event.outcome.name(),
                    reason = event.outcome.reason(),
                    "audit"
                )
            };
        }
        if event.action.is_refusal() {
            line!(warn, "audit of refusals");
        } else {
            match event.via {
                AuditVia::Api => line!(info, "audit of backends"),
                AuditVia::Console | AuditVia::Debug | AuditVia::Signal | AuditVia::Command => {
                    line!(info, "audit of operators");
                }
            }
        }
        self.0.lock().await.keep(event);
    }

    /// What `read` makes of the last events.
    pub(super) async fn read<T>(&self, read: impl FnOnce(&AuditTrail) -> T) -> T {
        read(&*self.0.lock().await)
    }
}
