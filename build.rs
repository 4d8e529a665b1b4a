//! Compiles the wire contract to Rust, without protoc.

use std::error::Error;

const SCHEMA: &str = "proto/client.proto";

/// The fields that carry application data: in JSON they are raw values in place.
const DATA_FIELDS: [&str; 3] = ["data", "conn_info", "chan_info"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SCHEMA}");
    let descriptors = protox::compile([SCHEMA], ["proto"])?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]).btree_map(["."]);
    // The client side reads replies of both encodings into the same types.
    config.type_attribute(".", "#[derive(serde::Deserialize)]");
    config.type_attribute(".", "#[serde(default)]");
    for field in DATA_FIELDS {
        config.field_attribute(field, "#[serde(deserialize_with = \"raw_json\")]");
    }
    config.compile_fds(descriptors)?;
    Ok(())
}
