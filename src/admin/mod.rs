//! The admin listener: HTTP on the control thread. Asks shards nothing; reads cells and sends values.
#![forbid(unsafe_code)]
