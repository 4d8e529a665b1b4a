//! What SIGHUP reads again, on a thread of its own: where a file lies on something that
//! hangs, or is a pipe that nobody writes to, reading it takes for ever, and meanwhile
//! signals and pages have to be answered.

use std::future;

use tokio::task::{JoinHandle, spawn_blocking};

use super::{ReloadSecrets, Secrets};

/// Reads again, one time after the other.
pub(super) struct Reloading {
    /// Away while it reads.
    reload: Option<ReloadSecrets>,
    under_way: Option<JoinHandle<(ReloadSecrets, Result<Secrets, String>)>>,
    /// Somebody asked while it read: what it finds may be older than that.
    is_wanted_again: bool,
}

impl Reloading {
    pub fn new(reload: ReloadSecrets) -> Reloading {
        Reloading { reload: Some(reload), under_way: None, is_wanted_again: false }
    }

    /// Begins to read, or does so again when what is under way has ended.
    pub fn begin(&mut self) {
        match self.reload.take() {
            Some(mut reload) => {
                self.under_way = Some(spawn_blocking(move || {
                    let read = reload();
                    (reload, read)
                }));
            }
            None => self.is_wanted_again = true,
        }
    }

    /// What was read; never, while nobody reads.
    pub async fn done(&mut self) -> Result<Secrets, String> {
        let Some(under_way) = &mut self.under_way else { return future::pending().await };
        // A panic there has ended the process.
        let (reload, read) = under_way.await.expect("reading does not panic");
        self.under_way = None;
        self.reload = Some(reload);
        if std::mem::take(&mut self.is_wanted_again) {
            self.begin();
        }
        read
    }
}
