//! One core's whole world: its connections, its rooms, its letters to other cores.
#![forbid(unsafe_code)]
