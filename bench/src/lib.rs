//! rookery-bench: loads for any server that speaks the Centrifugal client
//! protocol, and reports of rookery beside a bare ring.
//!
//! In reading order: a `scenario` says what is done, `loads` decide, the
//! `engine` acts, an `outcome` says what was found. `floor` is the bare ring and
//! `disk_loop` and `log_loop` the bare disk (`disks` compares them), `stored` makes a store; an `attack` is one user who does the
//! worst it can, a `backend` publishes by the server API, and `busy` takes the machine from others; `report` runs all of them and puts
//! the figures beside their goals.

pub mod clock;
pub mod pace;
pub mod scenario;
pub mod stats;

pub mod engine;
pub mod loads;

pub mod alone;
pub mod attack;
pub mod backend;
pub mod blocking;
pub mod busy;

pub mod outcome;
pub mod process;

pub mod disk_loop;
pub mod disks;
pub mod floor;
pub mod log_loop;
pub mod stored;

pub mod number;
pub mod plot;
pub mod report;

pub mod cli;
pub mod progress;
