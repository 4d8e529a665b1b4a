//! Where subcommands read their configuration: the file, the environment and the flags.
//!
//! What was given is kept, so that a running server can read everything again.
//!
//! Deliberately absent: what a setting means (`config`).

use std::env;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use super::output::tell;
use super::{Base, FAILED, MISUSED};
use crate::config::{self, Config, ConfigError, DEV_NAME, DEV_TEXT, ENV_PREFIX, File, Sources};

/// Bytes of a configuration, or of a key: more is another file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a configuration is read from; kept, so that it can be read again.
#[derive(Clone, Debug)]
pub(super) struct Inputs {
    pub(super) base: Base,
    pub(super) flags: Vec<(&'static str, String)>,
}

/// Why there is no configuration.
#[derive(Debug)]
pub(super) enum InputError {
    /// The file cannot be read.
    File(PathBuf, io::Error),
    /// What it says cannot be used.
    Mistakes(Vec<ConfigError>),
}

impl Inputs {
    /// Reads everything, now.
    pub(super) fn resolve(&self) -> Result<Config, InputError> {
        let file = match (&self.base.config, self.base.dev) {
            (_, true) => Some(File { name: DEV_NAME.to_owned(), text: DEV_TEXT.to_owned() }),
            (Some(path), false) => Some(read_config(path)?),
            (None, false) => None,
        };
        let sources = Sources { file, env: environment(), flags: self.flags.clone() };
        let folder = self.base.config.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        config::resolve(&sources, &mut |path| read(&folder.join(path)))
            .map_err(InputError::Mistakes)
    }
}

impl InputError {
    /// One line for each thing that is wrong.
    pub(super) fn lines(&self) -> Vec<String> {
        match self {
            InputError::File(path, error) => vec![format!("{}: {error}", path.display())],
            InputError::Mistakes(mistakes) => mistakes.iter().map(ConfigError::to_string).collect(),
        }
    }

    /// Tells the operator; the exit code of that.
    pub(super) fn tell(&self) -> u8 {
        self.lines().iter().for_each(|line| tell(line));
        match self {
            InputError::File(..) => FAILED,
            InputError::Mistakes(_) => MISUSED,
        }
    }
}

pub(super) fn read_config(path: &Path) -> Result<File, InputError> {
    let refuse = |error| InputError::File(path.to_owned(), error);
    let bytes = read(path).map_err(refuse)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| refuse(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")))?;
    Ok(File { name: path.display().to_string(), text })
}

/// A whole file that is not larger than such a file can be.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Opening one waits for a writer, so a reload would wait for ever, and every later one
    // with it. A shell's `<(…)` is one, too, which has its writer.
    if !path.starts_with("/dev") && fs::metadata(path)?.file_type().is_fifo() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is a pipe, and no file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    }
    Ok(bytes)
}

fn environment() -> Vec<(String, String)> {
    let ours = |name: &String| name.starts_with(ENV_PREFIX);
    let texts = env::vars_os().map(|(name, value)| {
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    });
    let mut all: Vec<(String, String)> = texts.filter(|(name, _)| ours(name)).collect();
    all.sort_unstable();
    all
}
