//! Configurations as operators write them, good and bad.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::*;
use crate::auth::Algorithm;
use crate::room::{Namespace, Permission};
use crate::server::DescriptorTable;
use crate::store::{Durability, Retention};

mod addresses;
mod hooks;
mod keys;
mod operators;
mod origins;
mod printing;
mod server_relations;
mod server_sources;
mod service_links;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[derive(Default)]
struct Case {
    sources: Sources,
    files: BTreeMap<String, Vec<u8>>,
}

impl Case {
    fn file(text: &str) -> Case {
        let file = Some(File { name: "r.toml".to_owned(), text: text.to_owned() });
        Case { sources: Sources { file, ..Sources::default() }, ..Case::default() }
    }

    fn env(mut self, name: &str, value: &str) -> Case {
        self.sources.env.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &'static str, value: &str) -> Case {
        self.sources.flags.push((key, value.to_owned()));
        self
    }

    fn with(mut self, path: &str, bytes: &[u8]) -> Case {
        self.files.insert(path.to_owned(), bytes.to_vec());
        self
    }

    fn resolve(&self) -> Result<Config, Vec<ConfigError>> {
        resolve(&self.sources, &mut |path: &Path| {
            let bytes = self.files.get(path.to_str().expect("a plain path"));
            bytes.cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        })
    }

    #[track_caller]
    fn good(&self) -> Config {
        self.resolve().unwrap_or_else(|mistakes| panic!("{}", lines(&mistakes).join("\n")))
    }

    /// The mistakes as the operator reads them.
    #[track_caller]
    fn mistakes(&self, want: &[&str]) {
        let mistakes = self.resolve().err().unwrap_or_default();
        assert_eq!(lines(&mistakes), want);
    }
}

fn lines(mistakes: &[ConfigError]) -> Vec<String> {
    mistakes.iter().map(ConfigError::to_string).collect()
}
