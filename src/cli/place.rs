//! Where a process stands: its current directory, which may be gone.

use std::env;
use std::io;
use std::path::Path;

/// Goes to `/` where the directory that the process was started in is gone, as that of an
/// old version is after a deploy: the store's library asks for it whatever path it is
/// given, and panics without one. Fails where one of the paths is relative to it.
pub(super) fn leave_gone_directory(paths: &[&Path]) -> Result<(), String> {
    if env::current_dir().is_ok() {
        return Ok(());
    }
    match paths.iter().find(|path| path.is_relative() && !path.as_os_str().is_empty()) {
        Some(path) => Err(format!(
            "{} is relative to the directory that this was started in, and that one is gone; \
             start it in another one, or name the whole path",
            path.display()
        )),
        None => env::set_current_dir("/")
            .map_err(|error: io::Error| format!("no directory can be entered: {error}")),
    }
}
