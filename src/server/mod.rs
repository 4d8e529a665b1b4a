//! The one place where ring, shard and admin meet; knows glommio. No decisions about chat.
#![forbid(unsafe_code)]
