//! The configuration of an alert bridge that has nothing to do.

use std::fs;
use std::path::Path;

use super::free_port;

/// Writes the configuration of a bridge with one robot, which is not there, and says where
/// it lies.
pub fn idle_bridge(folder: &Path, port: u16) -> String {
    fs::write(folder.join("token"), "a-token").expect("it can be written");
    let config = folder.join("bridge.toml");
    let text = format!(
        "[bridge]\nlisten = \"127.0.0.1:{port}\"\ndir = \"{}\"\n\
         [[robots]]\nname = \"one\"\nchannel = \"webhook\"\nchat = \"ops\"\n\
         url = \"http://127.0.0.1:{}/hook\"\ntoken_file = \"token\"\n\
         [[routes]]\nname = \"page\"\nchats = [\"ops\"]\n",
        folder.join("queue").display(),
        free_port()
    );
    fs::write(&config, text).expect("it can be written");
    config.display().to_string()
}
