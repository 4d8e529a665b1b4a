/// Milliseconds on the shard's own monotonic clock, from its start.
///
/// Handed in; pure code never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u64);

impl Tick {
    /// The moment `ms` later; stays at the end of time instead of wrapping.
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was in ms, 0 when it is still to come.
    pub fn ms_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What the clocks showed at the start of a turn. Constant within the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: never goes backwards.
    pub tick: Tick,
    /// For people and tokens: milliseconds since 1970-01-01 UTC; may jump.
    pub unix_ms: u64,
}

impl Now {
    /// Whole seconds since 1970-01-01 UTC, as tokens count them (RFC 7519, 2).
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1_000
    }
}
